/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Effective settings of a topic. A value comes from the first of: the topic's own overrides; the dynamic
 * settings of this broker; the dynamic settings of all brokers; the static node settings; the default. Below
 * the topic the key is a broker setting: the synonyms of the key in their order, the first that is set in any
 * of these layers wins, so log.retention.ms beats log.retention.minutes beats log.retention.hours.
 *
 * Texts in struct topic_config (lists) are borrowed from the layer that gave them.
 */
#ifndef CONFIG_TOPIC_CONFIG_H
#define CONFIG_TOPIC_CONFIG_H

#include "err.h"
#include "setting.h"

struct config_entry {
	struct str name;
	struct str value; /* null: as if the entry were not there */
};

struct config_layer {
	const struct config_entry *v;
	size_t n;
};

struct topic_config_layers {
	const struct broker_config *broker;  /* static settings */
	struct config_layer dynamic_default; /* broker settings of all brokers */
	struct config_layer dynamic_broker;  /* broker settings of this broker */
};

/* What a topic without overrides has. Values that do not pass (a log written by another version may hold
 * them) are skipped, and the next layer counts. */
void topic_config_base(struct topic_config *ret, const struct topic_config_layers *layers);
/* The base with a topic's overrides; unknown names and bad values are skipped. Cheap: build the base once. */
void topic_config_build(struct topic_config *ret, const struct topic_config *base,
			struct config_layer overrides);

/* One override: ERR_INVALID_CONFIG with the original's words, "Unknown topic config name: x" for an unknown
 * one. */
enum err topic_config_check_override(struct str name, struct str value, struct err_text *text) MUST_USE;
/* All overrides of a topic together, as CreateTopics and IncrementalAlterConfigs check them: none without a
 * value, then names, then values in the order of the table, then values against each other over `base`. */
enum err topic_config_check(const struct topic_config *base, struct config_layer overrides,
			    struct err_text *text) MUST_USE;

/* Writes the effective value as DescribeConfigs prints it; answers to CreateTopics show overrides as they
 * were given, and leave out internal settings. */
void topic_config_format(const struct topic_config *config, enum setting_id id, struct fmt *ret);
/* True for internal.segment.bytes and the like, which are null unless set. */
bool topic_config_is_null(const struct topic_config *config, enum setting_id id);

#endif
