/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References in values, ${provider:path:key} or ${provider:key}, filled in by the providers that config.providers
 * names: the environment, a properties file, a directory with a file for each key. The original's classes for these
 * three are known by name; config.providers.NAME.param.allowed.paths and .param.allowlist.pattern limit them.
 *
 *   config.providers=env,file
 *   config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
 *   config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
 *   ssl.keystore.password=${file:/etc/moldau/secrets.properties:keystore}
 *
 * A value that was filled in is not looked at again. A reference that cannot be filled in is an error; the original
 * leaves it as it stands and may start with it as a password.
 */
#ifndef CONFIG_CONFIG_PROVIDER_H
#define CONFIG_CONFIG_PROVIDER_H

#include "config_source.h"

#define CONFIG_PROVIDERS_MAX 16

/* Fills in all pairs. Problems go to the report with code ML1112. */
void config_providers_fill(struct config_pairs *pairs, const struct config_source *source, struct arena *arena,
			   struct config_report *report);

#endif
