/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings as DescribeConfigs tells them: value, where it comes from, and what else would give it (synonyms). A key
 * of this node, or of a topic without settings of its own, is worked out once a request and shared by all answers.
 *
 * Sources of a broker key, the first that says something wins: dynamic for this broker, dynamic for all brokers,
 * static, default. Within each come the key's names from fine to coarse (ms, minutes, hours). As in Kafka a list of
 * synonyms begins with the first that bears the asked name: what only a coarser name says does not show.
 */
#ifndef BROKER_CONFIG_DESCRIBE_H
#define BROKER_CONFIG_DESCRIBE_H

#include "arena.h"
#include "setting.h"
#include "topic_config.h"

struct describe_configs_response_results_configs;
struct shard;

#define SETTING_TYPE_UNKNOWN 0

struct config_describe {
	const struct shard *shard;
	struct arena *arena;
	bool has_synonyms, has_documentation;
	struct describe_configs_response_results_configs *made[SETTING_N]; /* by id; NULL: not asked for yet */
};

/* What a broker key is on this node, or what a key of topics or groups is without a value of the resource's own. */
void config_describe_row(struct config_describe *describe, const struct setting_def *def,
			 struct describe_configs_response_results_configs *ret);
/* A key of topics or groups with the resource's own value, if that is good. */
void config_describe_override(struct config_describe *describe, const struct setting_def *def, struct str value,
			      struct describe_configs_response_results_configs *ret);
/* A dynamic broker key that no table knows, or for one listener, on this node. */
void config_describe_unknown(struct config_describe *describe, struct str name,
			     struct describe_configs_response_results_configs *ret);
/* A broker key as it is set for all brokers. */
void config_describe_default(struct config_describe *describe, const struct config_entry *entry,
			     struct describe_configs_response_results_configs *ret);
/* Bytes that a row takes on the wire, about. */
int64_t config_describe_len(const struct describe_configs_response_results_configs *row);
/* The entry of this name in a layer that is in order of names, or NULL. */
const struct config_entry *config_layer_find(struct config_layer layer, struct str name);

#endif
