/* SPDX-License-Identifier: Apache-2.0 */
/* See telemetry_subscriptions.h. */
#include "telemetry_subscriptions.h"

#include <stdio.h>

#include "client_metrics_config.h"
#include "hash.h"
#include "live_settings.h"
#include "mem.h"
#include "pattern.h"
#include "vec.h"

#define SUBSCRIPTIONS_MAX 1000
#define MATCHES_MAX 16

struct subscription {
	int32_t interval_ms;
	struct str metrics; /* a list */
	int matches_n;
	struct {
		enum client_metrics_label label;
		struct pattern *pattern;
	} matches[MATCHES_MAX];
};

struct telemetry_subscriptions {
	struct arena arena;
	VEC(struct subscription *) v;
};

static void subscription_matches(struct subscription *subscription, struct str match)
{
	struct setting_list_pos pos = {0};
	struct str item, source;

	while (subscription->matches_n < MATCHES_MAX && setting_list_next(match, &pos, &item)) {
		int at = subscription->matches_n;

		if (client_metrics_match_parse(item, &subscription->matches[at].label, &source) &&
		    pattern_new(source, PATTERN_JAVA, &subscription->matches[at].pattern, NULL) == ERR_NONE)
			subscription->matches_n++;
	}
}

struct telemetry_subscriptions *telemetry_subscriptions_new(const struct image *image)
{
	struct telemetry_subscriptions *subscriptions = MEM_NEW(struct telemetry_subscriptions);
	struct str name = STR_NULL;

	while (subscriptions->v.n < SUBSCRIPTIONS_MAX &&
	       image_resource_next(image, CONFIG_RESOURCE_TYPE_CLIENT_METRICS, name, &name)) {
		struct subscription *subscription = MEM_NEW(struct subscription);
		struct client_metrics_config config;
		struct arena arena = {0};

		client_metrics_config_build(
			&config, live_settings_layer(image, CONFIG_RESOURCE_TYPE_CLIENT_METRICS, name, &arena));
		subscription->interval_ms = config.interval_ms;
		subscription->metrics = arena_str(&subscriptions->arena, config.metrics);
		subscription_matches(subscription, config.match);
		arena_reset(&arena);
		vec_push(&subscriptions->v, subscription);
	}
	return subscriptions;
}

void telemetry_subscriptions_free(struct telemetry_subscriptions *subscriptions)
{
	if (!subscriptions)
		return;
	for (size_t i = 0; i < subscriptions->v.n; i++) {
		for (int m = 0; m < subscriptions->v.v[i]->matches_n; m++)
			pattern_free(subscriptions->v.v[i]->matches[m].pattern);
		mem_free(subscriptions->v.v[i]);
	}
	vec_deinit(&subscriptions->v);
	arena_reset(&subscriptions->arena);
	mem_free(subscriptions);
}

uint64_t telemetry_subscriptions_hash(const struct image *image)
{
	struct str name = STR_NULL;
	uint64_t hash = 0;

	while (image_resource_next(image, CONFIG_RESOURCE_TYPE_CLIENT_METRICS, name, &name)) {
		struct str key = STR_NULL, value;

		hash = hash_bytes(name.p, name.len, hash);
		while (image_config_next(image, CONFIG_RESOURCE_TYPE_CLIENT_METRICS, name, key, &key, &value)) {
			hash = hash_bytes(key.p, key.len, hash);
			hash = hash_bytes(value.p, value.len, hash);
		}
	}
	return hash;
}

static struct str source_label(const struct telemetry_source *source, enum client_metrics_label label, char *room,
			       size_t room_len)
{
	switch (label) {
	case CLIENT_METRICS_LABEL_INSTANCE_ID:
		uuid_format(source->instance_id, room);
		return str_of(room);
	case CLIENT_METRICS_LABEL_ID:
		return source->client_id;
	case CLIENT_METRICS_LABEL_SOFTWARE_NAME:
		return source->software_name;
	case CLIENT_METRICS_LABEL_SOFTWARE_VERSION:
		return source->software_version;
	case CLIENT_METRICS_LABEL_SOURCE_ADDRESS:
		return source->address;
	case CLIENT_METRICS_LABEL_SOURCE_PORT:
		snprintf(room, room_len, "%u", source->port);
		return str_of(room);
	case CLIENT_METRICS_LABEL_N:
	default:
		return STR("");
	}
}

static bool subscription_is_for(const struct subscription *subscription, const struct telemetry_source *source)
{
	for (int i = 0; i < subscription->matches_n; i++) {
		char room[UUID_TEXT_LEN + 1];
		struct str text = source_label(source, subscription->matches[i].label, room, sizeof(room));
		bool matches = false;

		if (pattern_match(subscription->matches[i].pattern, text, &matches) != ERR_NONE || !matches)
			return false;
	}
	return true;
}

static void subscription_add_metric(struct telemetry_subscription *ret, struct str metric)
{
	for (int32_t i = 0; i < ret->metrics_n; i++) {
		if (str_eq(ret->metrics[i], metric))
			return;
	}
	if (ret->metrics_n < TELEMETRY_METRICS_MAX)
		ret->metrics[ret->metrics_n++] = metric;
}

void telemetry_subscriptions_find(const struct telemetry_subscriptions *subscriptions,
				  const struct telemetry_source *source, struct arena *arena,
				  struct telemetry_subscription *ret)
{
	uint64_t hash = 0;
	bool all = false;

	*ret = (struct telemetry_subscription){.push_interval_ms = CLIENT_METRICS_INTERVAL_MS_DEFAULT,
					       .metrics = ARENA_NEW_N(arena, struct str, TELEMETRY_METRICS_MAX)};
	for (size_t i = 0; i < subscriptions->v.n; i++) {
		const struct subscription *subscription = subscriptions->v.v[i];
		struct setting_list_pos pos = {0};
		struct str metric;

		if (!subscription_is_for(subscription, source))
			continue;
		ret->push_interval_ms = MIN(ret->push_interval_ms, subscription->interval_ms);
		while (setting_list_next(subscription->metrics, &pos, &metric)) {
			all |= str_eq_c(metric, "*");
			subscription_add_metric(ret, metric);
		}
	}
	if (all) { /* the others add nothing */
		ret->metrics[0] = STR("*");
		ret->metrics_n = 1;
	}
	for (int32_t i = 0; i < ret->metrics_n; i++)
		hash = hash_bytes(ret->metrics[i].p, ret->metrics[i].len, hash + 1);
	hash = hash_u64((uint64_t)ret->push_interval_ms, hash) ^ hash_uuid(source->instance_id, 0);
	ret->id = (int32_t)(uint32_t)(hash ^ hash >> 32);
}
