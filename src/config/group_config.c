/* SPDX-License-Identifier: Apache-2.0 */
/* See group_config.h. Order and words of the checks are the original's (test/unit/config/resource_values.tsv). */
#include "group_config.h"

#include "broker_config.h"

/* A group setting and the node settings that bound it; -1: no lower bound. */
static const struct {
	int id, min, max;
} bounds[] = {
	{GROUP_SETTING_CONSUMER_HEARTBEAT_INTERVAL_MS, SETTING_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS,
	 SETTING_GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS},
	{GROUP_SETTING_CONSUMER_SESSION_TIMEOUT_MS, SETTING_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS,
	 SETTING_GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS},
	{GROUP_SETTING_CONSUMER_ASSIGNMENT_INTERVAL_MS, SETTING_GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS,
	 SETTING_GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS},
	{GROUP_SETTING_SHARE_HEARTBEAT_INTERVAL_MS, SETTING_GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS,
	 SETTING_GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS},
	{GROUP_SETTING_SHARE_SESSION_TIMEOUT_MS, SETTING_GROUP_SHARE_MIN_SESSION_TIMEOUT_MS,
	 SETTING_GROUP_SHARE_MAX_SESSION_TIMEOUT_MS},
	{GROUP_SETTING_SHARE_RECORD_LOCK_DURATION_MS, SETTING_GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS,
	 SETTING_GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS},
	{GROUP_SETTING_SHARE_DELIVERY_COUNT_LIMIT, SETTING_GROUP_SHARE_MIN_DELIVERY_COUNT_LIMIT,
	 SETTING_GROUP_SHARE_MAX_DELIVERY_COUNT_LIMIT},
	{GROUP_SETTING_SHARE_PARTITION_MAX_RECORD_LOCKS, SETTING_GROUP_SHARE_MIN_PARTITION_MAX_RECORD_LOCKS,
	 SETTING_GROUP_SHARE_MAX_PARTITION_MAX_RECORD_LOCKS},
	{GROUP_SETTING_SHARE_ASSIGNMENT_INTERVAL_MS, SETTING_GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS,
	 SETTING_GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS},
	{GROUP_SETTING_STREAMS_HEARTBEAT_INTERVAL_MS, SETTING_GROUP_STREAMS_MIN_HEARTBEAT_INTERVAL_MS,
	 SETTING_GROUP_STREAMS_MAX_HEARTBEAT_INTERVAL_MS},
	{GROUP_SETTING_STREAMS_SESSION_TIMEOUT_MS, SETTING_GROUP_STREAMS_MIN_SESSION_TIMEOUT_MS,
	 SETTING_GROUP_STREAMS_MAX_SESSION_TIMEOUT_MS},
	{GROUP_SETTING_STREAMS_NUM_STANDBY_REPLICAS, -1, SETTING_GROUP_STREAMS_MAX_STANDBY_REPLICAS},
	{GROUP_SETTING_STREAMS_ASSIGNMENT_INTERVAL_MS, SETTING_GROUP_STREAMS_MIN_ASSIGNMENT_INTERVAL_MS,
	 SETTING_GROUP_STREAMS_MAX_ASSIGNMENT_INTERVAL_MS},
};

/* A session must outlast a heartbeat. */
static const struct {
	int session, heartbeat;
} pairs[] = {
	{GROUP_SETTING_CONSUMER_SESSION_TIMEOUT_MS, GROUP_SETTING_CONSUMER_HEARTBEAT_INTERVAL_MS},
	{GROUP_SETTING_SHARE_SESSION_TIMEOUT_MS, GROUP_SETTING_SHARE_HEARTBEAT_INTERVAL_MS},
	{GROUP_SETTING_STREAMS_SESSION_TIMEOUT_MS, GROUP_SETTING_STREAMS_HEARTBEAT_INTERVAL_MS},
};

/* The int field of a setting, in the struct of its family. */
static int32_t *int_of(const void *config, int id)
{
	CHECK(setting_defs[id].type == SETTING_TYPE_INT);
	return (int32_t *)((char *)config + setting_defs[id].offset);
}

static void put(struct group_config *config, const struct setting_def *def, const struct setting_value *value,
		enum setting_source source)
{
	setting_store(def, config, value, NULL);
	config->source[(int)setting_id(def) - GROUP_SETTING_FIRST] = source;
}

void group_config_base(struct group_config *ret, const struct broker_config *node)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_GROUP, &n);

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < n; i++) {
		struct setting_value value = setting_default(&defs[i]);
		enum setting_source source = SETTING_SOURCE_DEFAULT;

		if (defs[i].synonyms_n > 0) {
			int id = defs[i].synonyms[0].id;

			value.i = *int_of(node, id);
			if (node->origin[id].kind != CONFIG_ORIGIN_DEFAULT)
				source = SETTING_SOURCE_STATIC;
		}
		put(ret, &defs[i], &value, source);
	}
}

static void lay_overrides(struct group_config *ret, struct config_layer overrides)
{
	for (size_t i = 0; i < overrides.n; i++) {
		const struct setting_def *def = setting_find_in(SETTING_FAMILY_GROUP, overrides.v[i].name);
		struct setting_value value;

		if (def && overrides.v[i].value.p &&
		    setting_parse(def, overrides.v[i].value, &value, NULL) == ERR_NONE)
			put(ret, def, &value, SETTING_SOURCE_GROUP);
	}
}

void group_config_build(struct group_config *ret, const struct broker_config *node, const struct group_config *base,
			struct config_layer overrides)
{
	*ret = *base;
	if (overrides.n == 0)
		return;
	lay_overrides(ret, overrides);
	for (size_t i = 0; i < ARRAY_N(bounds); i++) {
		int32_t *field = int_of(ret, bounds[i].id);

		if (bounds[i].min >= 0)
			*field = MAX(*field, *int_of(node, bounds[i].min));
		*field = MIN(*field, *int_of(node, bounds[i].max));
	}
	for (size_t i = 0; i < ARRAY_N(pairs); i++) {
		if (*int_of(ret, pairs[i].session) <= *int_of(ret, pairs[i].heartbeat)) {
			*int_of(ret, pairs[i].session) = *int_of(base, pairs[i].session);
			*int_of(ret, pairs[i].heartbeat) = *int_of(base, pairs[i].heartbeat);
		}
	}
}

static enum err check_values(struct config_layer overrides, struct err_text *text)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_GROUP, &n);

	for (size_t i = 0; i < overrides.n; i++) {
		if (!setting_find_in(SETTING_FAMILY_GROUP, overrides.v[i].name))
			return err_text_set(text, ERR_INVALID_CONFIG, "Unknown group config name: %.*s",
					    STR_ARGS(overrides.v[i].name));
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < overrides.n; j++) {
			struct setting_value value;
			enum err err;

			if (!overrides.v[j].value.p || !str_eq(overrides.v[j].name, defs[i].name))
				continue;
			err = setting_parse(&defs[i], overrides.v[j].value, &value, text);
			if (err)
				return err;
		}
	}
	return ERR_NONE;
}

enum err group_config_check(const struct broker_config *node, struct config_layer overrides, struct err_text *text)
{
	struct group_config config;
	enum err err = check_values(overrides, text);

	if (err)
		return err;
	group_config_base(&config, node);
	lay_overrides(&config, overrides);
	for (size_t i = 0; i < ARRAY_N(bounds); i++) {
		int32_t v = *int_of(&config, bounds[i].id);
		struct str name = setting_defs[bounds[i].id].name;

		if (bounds[i].min >= 0 && v < *int_of(node, bounds[i].min))
			return err_text_set(text, ERR_INVALID_CONFIG, "%.*s must be greater than or equal to %.*s",
					    STR_ARGS(name), STR_ARGS(setting_defs[bounds[i].min].name));
		if (v > *int_of(node, bounds[i].max))
			return err_text_set(text, ERR_INVALID_CONFIG, "%.*s must be less than or equal to %.*s",
					    STR_ARGS(name), STR_ARGS(setting_defs[bounds[i].max].name));
	}
	for (size_t i = 0; i < ARRAY_N(pairs); i++) {
		if (*int_of(&config, pairs[i].session) <= *int_of(&config, pairs[i].heartbeat))
			return err_text_set(text, ERR_INVALID_CONFIG, "%.*s must be greater than %.*s",
					    STR_ARGS(setting_defs[pairs[i].session].name),
					    STR_ARGS(setting_defs[pairs[i].heartbeat].name));
	}
	return ERR_NONE;
}
