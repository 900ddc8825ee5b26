/* SPDX-License-Identifier: Apache-2.0 */
/* See live_settings.h. */
#include "live_settings.h"

#include <stdio.h>

#include "broker.h"
#include "dynamic_config.h"
#include "lifecycle.h"
#include "log.h"
#include "mem.h"
#include "replay.h"
#include "topic_settings.h"

struct config_layer live_settings_layer(const struct image *image, int8_t type, struct str resource,
					struct arena *arena)
{
	VEC(struct config_entry) entries = {0};
	struct config_entry entry;
	struct config_entry *copy;
	struct config_layer layer;
	struct str after = STR_NULL;

	while (image_config_next(image, type, resource, after, &entry.name, &entry.value)) {
		vec_push(&entries, entry);
		after = entry.name;
	}
	copy = ARENA_NEW_N(arena, struct config_entry, entries.n);
	if (entries.n)
		memcpy(copy, entries.v, entries.n * sizeof(*copy));
	layer = (struct config_layer){copy, entries.n};
	vec_deinit(&entries);
	return layer;
}

static struct config_layer live_layer_copy(const struct image *image, struct str resource, struct arena *arena)
{
	struct config_layer layer = live_settings_layer(image, CONFIG_RESOURCE_TYPE_BROKER, resource, arena);
	struct config_entry *copy = ARENA_NEW_N(arena, struct config_entry, layer.n);

	for (size_t i = 0; i < layer.n; i++)
		copy[i] = (struct config_entry){arena_str(arena, layer.v[i].name), arena_str(arena, layer.v[i].value)};
	return (struct config_layer){copy, layer.n};
}

/* ---- one shard ---- */

/* What others keep of the settings, and must be told. */
static void live_settings_tell(struct shard *shard)
{
	const struct broker_config *config = shard->config;

	shard->storage.options.producer_expire_ms = config->producer_id_expiration_ms;
	shard->storage.options.file_delete_delay_ms = config->log_segment_delete_delay_ms;
}

static bool live_field_is_same(const struct setting_def *def, const void *a, const void *b)
{
	static const size_t sizes[] = {
		[SETTING_TYPE_BOOLEAN] = sizeof(bool), [SETTING_TYPE_SHORT] = sizeof(int16_t),
		[SETTING_TYPE_INT] = sizeof(int32_t), [SETTING_TYPE_LONG] = sizeof(int64_t),
		[SETTING_TYPE_DOUBLE] = sizeof(double), [SETTING_TYPE_PASSWORD] = 0,
	};
	const char *x = (const char *)a + def->offset, *y = (const char *)b + def->offset;

	if (sizes[def->type])
		return memcmp(x, y, sizes[def->type]) == 0;
	return str_eq(*(const struct str *)(const void *)x, *(const struct str *)(const void *)y);
}

/* Same values; where they come from does not count. */
static bool live_base_is_same(const struct topic_config *a, const struct topic_config *b)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_TOPIC, &n);

	for (size_t i = 0; i < n; i++) {
		if (!live_field_is_same(&defs[i], a, b))
			return false;
	}
	return true;
}

/* Layers that contradict the rest are left out. A log that Kafka wrote may hold such. */
static void live_settings_complain(const struct config_report *report)
{
	for (size_t i = 0; i < report->findings.n; i++) {
		const struct config_finding *finding = &report->findings.v[i];

		if (finding->severity == CONFIG_ERROR)
			log_warn("config.dynamic", "code=%s key=%.*s text=\"%.*s Dynamic settings are left out.\"",
				 finding->code, STR_ARGS(finding->key), STR_ARGS(finding->text));
	}
}

/* True when topics without settings of their own have others now. */
static bool live_settings_merge(struct shard *shard)
{
	struct config_report report = {0};
	struct topic_config base;
	bool is_same;
	struct live_settings *live = &shard->live;
	struct topic_config_layers layers = {
		.broker = live->fixed,
		.dynamic_default = live->dynamic_default,
		.dynamic_broker = live->dynamic_broker,
	};

	broker_config_deinit(&live->merged);
	shard->config = live->fixed;
	if (layers.dynamic_default.n > 0 || layers.dynamic_broker.n > 0) {
		broker_config_with_dynamic(&live->merged, &layers, &report);
		if (shard->index == 0)
			live_settings_complain(&report);
		config_report_deinit(&report);
		shard->config = &live->merged;
	}
	topic_config_base(&base, &layers);
	is_same = live_base_is_same(&base, &live->topic_base);
	live->topic_base = base;
	live_settings_tell(shard);
	return !is_same;
}

void live_settings_init(struct shard *shard)
{
	shard->live = (struct live_settings){.fixed = &shard->broker->config};
	live_settings_merge(shard);
}

void live_settings_deinit(struct shard *shard)
{
	broker_config_deinit(&shard->live.merged);
	arena_reset(&shard->live.arena);
}

/* As live_settings_merge. */
static bool live_settings_read(struct shard *shard, const struct image *image)
{
	struct live_settings *live = &shard->live;
	struct arena before = live->arena; /* has texts of the base that is compared with */
	bool is_changed;
	char id[16];

	snprintf(id, sizeof(id), "%d", shard->broker->node_id);
	live->arena = (struct arena){0};
	live->dynamic_default = live_layer_copy(image, STR(""), &live->arena);
	live->dynamic_broker = live_layer_copy(image, str_of(id), &live->arena);
	is_changed = live_settings_merge(shard);
	arena_reset(&before);
	return is_changed;
}

/* ---- partitions ---- */

static void live_settings_give(const struct shard_topic *topic, const struct partition_config *config)
{
	for (int32_t i = 0; i < topic->partitions_n; i++) {
		if (topic->partitions[i])
			partition_set_config(topic->partitions[i], config);
	}
}

static void live_settings_topic(struct shard *shard, const struct image *image, const struct shard_topic *topic,
				struct str name)
{
	struct partition_config config;

	topic_settings_build(&shard->live.topic_base, image, name, &config);
	live_settings_give(topic, &config);
}

static struct str live_topic_name(const struct shard_topic *topic)
{
	for (int32_t i = 0; i < topic->partitions_n; i++) {
		if (topic->partitions[i])
			return str_of(topic->partitions[i]->topic);
	}
	return STR_NULL;
}

/* Most topics have nothing of their own: they share what the base comes to. */
static void live_settings_all_topics(struct shard *shard, const struct image *image)
{
	struct partition_config base;
	struct shard_topic *topic;

	topic_settings_partition(&shard->live.topic_base, &base);
	for (uint32_t it = 0; (topic = map_next(&shard->topics, &it)) != NULL;) {
		struct str name = live_topic_name(topic), key, value;

		if (!name.p)
			continue;
		if (image_config_next(image, CONFIG_RESOURCE_TYPE_TOPIC, name, STR_NULL, &key, &value))
			live_settings_topic(shard, image, topic, name);
		else
			live_settings_give(topic, &base);
	}
}

struct live_diff {
	struct shard *shard;
	const struct image *after;
	char node_id[16];
	bool has_new_base;
};

static void live_settings_find_base(void *ctx, int8_t type, struct str resource)
{
	struct live_diff *diff = ctx;

	if (type == CONFIG_RESOURCE_TYPE_BROKER && (resource.len == 0 || str_eq_c(resource, diff->node_id)))
		diff->has_new_base = true;
}

static void live_settings_find_topic(void *ctx, int8_t type, struct str resource)
{
	struct live_diff *diff = ctx;
	const struct topic_image *topic;
	const struct shard_topic *own;

	if (type != CONFIG_RESOURCE_TYPE_TOPIC)
		return;
	topic = image_topic(diff->after, resource);
	own = topic ? map_get_uuid(&diff->shard->topics, topic->id) : NULL;
	if (own)
		live_settings_topic(diff->shard, diff->after, own, resource);
}

void live_settings_follow(struct shard *shard, const struct image *before, const struct image *after)
{
	struct live_diff diff = {.shard = shard, .after = after};

	snprintf(diff.node_id, sizeof(diff.node_id), "%d", shard->broker->node_id);
	image_diff_configs(before, after, live_settings_find_base, &diff);
	if (diff.has_new_base) {
		if (live_settings_read(shard, after))
			live_settings_all_topics(shard, after);
		else
			image_diff_configs(before, after, live_settings_find_topic, &diff);
		if (shard->index == 0)
			lifecycle_settings_changed(shard->broker);
	} else {
		image_diff_configs(before, after, live_settings_find_topic, &diff);
	}
}

/* ---- read again ---- */

struct live_reload {
	struct broker *broker;
	struct broker_config *now;
	struct broker_config *before; /* freed when no shard reads it any more */
	int out_n;
	int changed_n;
};

struct live_reload_leg {
	struct msg msg;
	struct live_reload *reload;
};

static void live_reload_returns(struct reactor *reactor, struct msg *msg)
{
	struct live_reload_leg *leg = container_of(msg, struct live_reload_leg, msg);
	struct live_reload *reload = leg->reload;

	mem_free(leg);
	if (--reload->out_n > 0)
		return;
	log_info("config.reload", "changed=%d", reload->changed_n);
	if (reload->before != &reload->broker->config) {
		broker_config_deinit(reload->before);
		mem_free(reload->before);
	}
	mem_free(reload);
}

static void live_reload_arrives(struct reactor *reactor, struct msg *msg)
{
	struct live_reload_leg *leg = container_of(msg, struct live_reload_leg, msg);
	struct shard *shard = reactor->shard;

	shard->live.fixed = leg->reload->now;
	if (live_settings_merge(shard))
		live_settings_all_topics(shard, shard->image);
	msg->handle = live_reload_returns;
	reactor_send(reactor, shard->broker->shards[0].reactor, msg);
}

/* Does a change of this key take effect while the node runs? What changes sockets does not, unlike Kafka. */
static bool live_can_change(const struct setting_def *def)
{
	enum setting_id id = setting_id(def);

	if (id == SETTING_LISTENERS || id == SETTING_LISTENER_SECURITY_PROTOCOL_MAP)
		return false;
	return def->update != SETTING_UPDATE_READ_ONLY || id == SETTING_LOG_LEVEL; /* who writes the log sees to it */
}

static struct str live_text(const struct setting_def *def, const struct broker_config *config, char *buf, size_t cap)
{
	struct fmt f;

	fmt_init(&f, buf, cap);
	setting_format_field(def, config, config->origin[setting_id(def)].is_null, &f);
	return (struct str){buf, f.len};
}

/* The key in `to` becomes what it is in `from`. */
static void live_keep(const struct setting_def *def, struct broker_config *to, const struct broker_config *from,
		      struct str text)
{
	enum setting_id id = setting_id(def);
	struct setting_value value = {.is_null = true, .i = -1};

	if (!from->origin[id].is_null && setting_parse(def, text, &value, NULL) != ERR_NONE)
		return; /* a default of the original's that is outside of its own rules */
	setting_store(def, to, &value, &to->arena);
	to->origin[id] = from->origin[id];
	to->origin[id].where = arena_str(&to->arena, from->origin[id].where);
}

#define LIVE_TEXT_MAX ((size_t)64 << 10)

/* What cannot change now stays as it was. */
static int live_settle(struct broker_config *now, const struct broker_config *before)
{
	char *old_text = mem_alloc(LIVE_TEXT_MAX), *new_text = mem_alloc(LIVE_TEXT_MAX);
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_BROKER, &n);
	int changed_n = 0;

	for (size_t i = 0; i < n; i++) {
		enum setting_id id = setting_id(&defs[i]);
		bool is_given = before->origin[id].kind != CONFIG_ORIGIN_DEFAULT ||
				now->origin[id].kind != CONFIG_ORIGIN_DEFAULT;
		bool is_same;
		struct str was, is;

		was = live_text(&defs[i], before, old_text, LIVE_TEXT_MAX);
		is = live_text(&defs[i], now, new_text, LIVE_TEXT_MAX);
		is_same = str_eq(was, is) && before->origin[id].is_null == now->origin[id].is_null;
		if (is_given && !is_same && live_can_change(&defs[i])) {
			changed_n++;
			log_info("config.reload", "key=%.*s value=%.*s", STR_ARGS(defs[i].name),
				 STR_ARGS(setting_is_sensitive(&defs[i]) ? STR("[hidden]") : is));
		} else if (!is_same) {
			if (is_given)
				log_warn("config.reload",
					 "key=%.*s text=\"this change takes effect with the next start\"",
					 STR_ARGS(defs[i].name));
			live_keep(&defs[i], now, before, was);
		}
	}
	mem_free(old_text);
	mem_free(new_text);
	return changed_n;
}

/* What follows from several keys stays that of the start, except for what may change. */
static void live_keep_effective(struct broker_config *now, const struct broker_config *start)
{
	struct broker_effective eff = start->eff;

	eff.ip_limits = now->eff.ip_limits;
	eff.retention_ms = now->eff.retention_ms;
	eff.roll_ms = now->eff.roll_ms;
	eff.roll_jitter_ms = now->eff.roll_jitter_ms;
	eff.flush_ms = now->eff.flush_ms;
	now->eff = eff;
}

void broker_reload_config(struct broker *broker, struct broker_config *take_config)
{
	struct live_reload *reload = MEM_NEW(struct live_reload);

	reload->broker = broker;
	reload->before = broker->fixed;
	reload->now = MEM_NEW(struct broker_config);
	*reload->now = *take_config;
	*take_config = (struct broker_config){0};
	reload->changed_n = live_settle(reload->now, reload->before);
	live_keep_effective(reload->now, &broker->config);
	broker->fixed = reload->now;
	reload->out_n = broker->shards_n;
	for (int i = 0; i < broker->shards_n; i++) {
		struct live_reload_leg *leg = MEM_NEW(struct live_reload_leg);

		leg->reload = reload;
		leg->msg.handle = live_reload_arrives;
		reactor_send(broker->shards[0].reactor, broker->shards[i].reactor, &leg->msg);
	}
}
