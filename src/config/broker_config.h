/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of this node: read from all sources, checked, defaults filled in, and what follows from
 * several keys worked out (eff). Every problem is reported, not only the first.
 *
 * Codes: ML1002 advertised address nobody can reach; ML1100 key of a ZooKeeper cluster or otherwise removed;
 * ML1101 unknown key; ML1102 refused; ML1103 value not valid; ML1104 required key missing; ML1105 keys
 * contradict each other; ML1106 listeners; ML1107 form of file, environment or override; ML1108 given twice;
 * ML1109 given, but without effect here or not yet;
 * ML1112 references in values.
 */
#ifndef CONFIG_BROKER_CONFIG_H
#define CONFIG_BROKER_CONFIG_H

#include "config_source.h"
#include "setting.h"

/* ERR_BAD_CONFIG when the report holds an error; *ret is then untouched. The report is added to, never
 * cleared. */
enum err broker_config_load(struct broker_config *ret, struct config_report *report,
			    const struct config_source *source) MUST_USE;
void broker_config_deinit(struct broker_config *config);

/* Copies an internal topic gets when this many brokers are there: what the user said, else up to three. */
int16_t internal_topic_copies(const struct internal_topic *topic, int32_t brokers_n);
/* The limit for connections from one address; `address` as text, compared with the overrides. */
int32_t broker_config_ip_limit(const struct broker_config *config, struct str address);
/* Writes the value of a key as the original prints it; "" for null, "[hidden]" for passwords that are set. */
void broker_config_format(const struct broker_config *config, enum setting_id id, struct fmt *ret);
/* "server.properties:12", "KAFKA_LOG_DIRS", "--override" or "default". */
void broker_config_format_origin(const struct broker_config *config, enum setting_id id, struct fmt *ret);

/* Steps of broker_config_load, in their order (broker_effective.c, broker_check.c). */
void broker_effective_fill(struct broker_config *config, struct config_report *report);
void broker_listener_limits_fill(struct broker_config *config, struct config_report *report);
void broker_check(const struct broker_config *config, struct config_report *report);

#endif
