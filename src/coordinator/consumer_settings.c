/* SPDX-License-Identifier: Apache-2.0 */
/* What one consumer group says of its own settings, in the bounds that the node has now. See group_consumer.h. */
#include "group_consumer.h"

/* Type of a group in ConfigRecord. */
#define RESOURCE_GROUP 32

/* A group's own value of a setting; -1: it has none. */
static int32_t consumer_own_setting(const struct group_store *store, struct str group_id, const char *key)
{
	struct str text;
	int64_t v = 0;

	if (!store->image || !image_config(store->image, RESOURCE_GROUP, group_id, str_of(key), &text) ||
	    text.len == 0 || text.len > 10)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -1;
		v = v * 10 + (text.p[i] - '0');
	}
	return v <= INT32_MAX ? (int32_t)v : -1;
}

static int32_t consumer_bounded(int32_t own, int32_t standard, int32_t least, int32_t most)
{
	if (own < 0)
		return standard;
	return most > 0 ? MAX(least, MIN(own, most)) : own;
}

int32_t consumer_session_timeout_ms(const struct group_store *store, struct str group_id)
{
	const struct group_settings *settings = &store->settings;

	return consumer_bounded(consumer_own_setting(store, group_id, "consumer.session.timeout.ms"),
				settings->consumer_session_timeout_ms, settings->consumer_session_least_ms,
				settings->consumer_session_most_ms);
}

int32_t consumer_heartbeat_interval_ms(const struct group_store *store, struct str group_id)
{
	const struct group_settings *settings = &store->settings;

	return consumer_bounded(consumer_own_setting(store, group_id, "consumer.heartbeat.interval.ms"),
				settings->consumer_heartbeat_interval_ms, settings->consumer_heartbeat_least_ms,
				settings->consumer_heartbeat_most_ms);
}

int32_t consumer_assignment_interval_ms(const struct group_store *store, struct str group_id)
{
	const struct group_settings *settings = &store->settings;

	return consumer_bounded(consumer_own_setting(store, group_id, "consumer.assignment.interval.ms"),
				settings->consumer_assignment_interval_ms, settings->consumer_assignment_least_ms,
				settings->consumer_assignment_most_ms);
}
