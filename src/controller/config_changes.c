/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See config_changes.h: new settings over those that the image has. What a resource will have is checked as a whole,
 * then the difference becomes ConfigRecords. Settings of brokers are written again even when they are the same, which
 * makes brokers read files anew that a setting names. Same as Kafka in codes and words.
 */
#include "config_changes.h"

#include "controller_private.h"
#include "topic_name.h"

#define MIN_ISR "min.insync.replicas"

struct alter {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	const struct resource_change *resource;
	VEC(struct controller_config) next;    /* all settings that the resource will have */
	VEC(struct controller_config) written; /* the records */
	struct map at;                         /* key -> its index in next, plus one */
	struct err_text text;
};

/* ---- lists ---- */

static struct str alter_next_part(struct str list, size_t *at)
{
	size_t from = *at, to = from;

	while (to < list.len && list.p[to] != ',')
		to++;
	*at = to + 1;
	return (struct str){list.p + from, to - from};
}

/* As Java splits: empty parts at the end do not count, but a text without a comma is one part. */
static size_t alter_split_len(struct str list)
{
	size_t len = list.len;

	while (len > 0 && list.p[len - 1] == ',')
		len--;
	return len;
}

struct alter_list {
	char *text;
	size_t len;
	bool has_part;
};

static void alter_list_add(struct alter_list *list, struct str part)
{
	if (list->has_part)
		list->text[list->len++] = ',';
	if (part.len)
		memcpy(list->text + list->len, part.p, part.len);
	list->len += part.len;
	list->has_part = true;
}

/* The parts of `before` that are not empty, with those of `parts` behind that are not there yet. */
static void alter_append(struct alter *alter, struct str before, struct str parts, struct alter_list *list)
{
	struct map seen;
	bool has_comma = parts.len > 0 && memchr(parts.p, ',', parts.len);
	size_t len = alter_split_len(parts);

	map_init(&seen, MAP_STR, rng_u64(alter->controller->rng));
	for (size_t at = 0; at < before.len;) {
		struct str part = alter_next_part(before, &at);

		if (part.len == 0)
			continue;
		map_put_str(&seen, part, alter);
		alter_list_add(list, part);
	}
	for (size_t at = 0; has_comma ? at < len : at == 0;) {
		struct str part = alter_next_part((struct str){parts.p, len}, &at);

		if (!map_put_str(&seen, part, alter))
			alter_list_add(list, part);
	}
	map_deinit(&seen);
}

/* Each part of `parts` takes one of its kind away. */
static void alter_subtract(struct alter *alter, struct str before, struct str parts, struct alter_list *list)
{
	struct map counts;
	size_t len = alter_split_len(parts);

	map_init(&counts, MAP_STR, rng_u64(alter->controller->rng));
	for (size_t at = 0; at < len;) {
		struct str part = alter_next_part((struct str){parts.p, len}, &at);
		int32_t *n = map_get_str(&counts, part);

		if (!n) {
			n = ARENA_NEW(alter->arena, int32_t);
			map_put_str(&counts, part, n);
		}
		(*n)++;
	}
	for (size_t at = 0; at < before.len;) {
		struct str part = alter_next_part(before, &at);
		int32_t *n = map_get_str(&counts, part);

		if (n && *n > 0)
			(*n)--;
		else if (part.len > 0)
			alter_list_add(list, part);
	}
	map_deinit(&counts);
}

static enum err alter_no_list(struct alter *alter, const struct config_change *change, enum controller_list kind)
{
	bool appends = change->op == CONFIG_OP_APPEND;

	if (alter->resource->type != CONFIG_TYPE_BROKER)
		return err_text_set(&alter->text, ERR_INVALID_CONFIG,
				    "Can't %s to key %.*s because its type is not LIST.",
				    appends ? "APPEND" : "SUBTRACT", STR_ARGS(change->name));
	if (kind == CONTROLLER_LIST_UNKNOWN)
		return err_text_set(&alter->text, ERR_INVALID_CONFIG, "Unknown config name: %.*s",
				    STR_ARGS(change->name));
	return err_text_set(&alter->text, ERR_INVALID_CONFIG, "Config value %s is not allowed for config key: %.*s",
			    appends ? "append" : "subtract", STR_ARGS(change->name));
}

static enum err alter_list_op(struct alter *alter, const struct config_change *change, struct str before,
			      struct str *ret)
{
	const struct controller_defaults *defaults = &alter->controller->defaults;
	enum controller_list kind = CONTROLLER_LIST_UNKNOWN;
	struct alter_list list = {0};
	struct str standard = STR_NULL;

	if (defaults->list_default)
		kind = defaults->list_default(defaults->config_ctx, alter->resource->type, change->name, alter->arena,
					      &standard);
	if (kind != CONTROLLER_LIST_IS)
		return alter_no_list(alter, change, kind);
	if (!before.p)
		before = standard;
	list.text = arena_alloc(alter->arena, before.len + change->value.len + 2);
	if (change->op == CONFIG_OP_APPEND)
		alter_append(alter, before, change->value, &list);
	else
		alter_subtract(alter, before, change->value, &list);
	*ret = (struct str){list.text, list.len};
	return ERR_NONE;
}

/* ---- one resource ---- */

static struct controller_config *alter_find(const struct alter *alter, struct str name)
{
	uintptr_t at = (uintptr_t)map_get_str(&alter->at, name);

	return at ? &alter->next.v[at - 1] : NULL;
}

static void alter_load(struct alter *alter)
{
	const struct resource_change *resource = alter->resource;
	struct controller_config config;

	for (struct str after = STR_NULL; image_config_next(alter->controller->latest, resource->type, resource->name,
							    after, &config.name, &config.value);
	     after = config.name) {
		vec_push(&alter->next, config);
		map_put_str(&alter->at, config.name, (void *)(uintptr_t)alter->next.n);
	}
}

/* A value of null: without the setting. */
static void alter_set(struct alter *alter, struct str name, struct str value)
{
	struct controller_config config = {name, value};
	struct controller_config *there = alter_find(alter, name);
	bool is_same = there ? there->value.p && value.p && str_eq(there->value, value) : !value.p;

	if (is_same && alter->resource->type != CONFIG_TYPE_BROKER)
		return;
	vec_push(&alter->written, config);
	if (there) {
		there->value = value;
		return;
	}
	vec_push(&alter->next, config);
	map_put_str(&alter->at, name, (void *)(uintptr_t)alter->next.n);
}

static enum err alter_ops(struct alter *alter)
{
	for (int32_t i = 0; i < alter->resource->changes_n; i++) {
		const struct config_change *change = &alter->resource->changes[i];
		const struct controller_config *there = alter_find(alter, change->name);
		struct str value = change->op == CONFIG_OP_DELETE ? STR_NULL : change->value;
		enum err err = ERR_NONE;

		if (change->op < CONFIG_OP_SET || change->op > CONFIG_OP_SUBTRACT)
			return err_text_set(&alter->text, ERR_INVALID_REQUEST, "Unknown operations type %d",
					    change->op);
		if (change->op == CONFIG_OP_APPEND || change->op == CONFIG_OP_SUBTRACT)
			err = alter_list_op(alter, change, there ? there->value : STR_NULL, &value);
		if (err)
			return err;
		alter_set(alter, change->name, value);
	}
	return ERR_NONE;
}

/* What AlterConfigs does not name goes. */
static void alter_delete_rest(struct alter *alter, size_t had_n)
{
	struct map named;

	map_init(&named, MAP_STR, rng_u64(alter->controller->rng));
	for (int32_t i = 0; i < alter->resource->changes_n; i++)
		map_put_str(&named, alter->resource->changes[i].name, alter);
	for (size_t i = 0; i < had_n; i++) {
		if (!map_get_str(&named, alter->next.v[i].name))
			alter_set(alter, alter->next.v[i].name, STR_NULL);
	}
	map_deinit(&named);
}

/* With eligible leader replicas min.insync.replicas belongs to the cluster (KIP-966). */
static enum err alter_check_min_isr(struct alter *alter)
{
	if (alter->resource->type != CONFIG_TYPE_BROKER || !controller_has_elr(alter->controller))
		return ERR_NONE;
	for (size_t i = 0; i < alter->written.n; i++) {
		if (!str_eq_c(alter->written.v[i].name, MIN_ISR))
			continue;
		if (alter->resource->name.len > 0)
			return err_text_set(&alter->text, ERR_INVALID_CONFIG, "Broker-level min.insync.replicas cannot "
					    "be altered while ELR is enabled.");
		if (!alter->written.v[i].value.p)
			return err_text_set(&alter->text, ERR_INVALID_CONFIG, "Cluster-level min.insync.replicas "
					    "cannot be removed while ELR is enabled.");
	}
	return ERR_NONE;
}

static enum err alter_check_name(struct alter *alter)
{
	const struct resource_change *resource = alter->resource;
	const char *text = NULL;

	if (resource->type == CONFIG_RESOURCE_TYPE_TOPIC && resource->name.len > 0)
		return topic_name_check(resource->name, &alter->text);
	if (resource->name.len > 0)
		return ERR_NONE;
	if (resource->type == CONFIG_RESOURCE_TYPE_TOPIC)
		text = "Default topic resources are not allowed.";
	else if (resource->type == CONFIG_RESOURCE_TYPE_GROUP)
		text = "Default group resources are not allowed.";
	else if (resource->type == CONFIG_RESOURCE_TYPE_CLIENT_METRICS)
		text = "Subscription name can't be empty";
	return text ? err_text_set(&alter->text, ERR_INVALID_REQUEST, "%s", text) : ERR_NONE;
}

static enum err alter_check_values(struct alter *alter)
{
	const struct controller_defaults *defaults = &alter->controller->defaults;
	size_t n = 0;

	for (size_t i = 0; i < alter->next.n; i++) {
		if (alter->next.v[i].value.len > INT16_MAX)
			return err_text_set(&alter->text, ERR_INVALID_CONFIG, "The configuration value cannot be "
					    "added because it exceeds the maximum value size of %d bytes.", INT16_MAX);
		if (alter->next.v[i].value.p)
			alter->next.v[n++] = alter->next.v[i];
	}
	alter->next.n = n;
	if (!defaults->check_configs)
		return ERR_NONE;
	return defaults->check_configs(defaults->config_ctx, alter->resource->type, alter->resource->name,
				       alter->next.v, n, &alter->text);
}

static enum err alter_check_exists(struct alter *alter)
{
	const struct resource_change *resource = alter->resource;
	const struct image *image = alter->controller->latest;
	int32_t id;

	if (resource->type == CONFIG_RESOURCE_TYPE_TOPIC && !image_topic(image, resource->name))
		return err_text_set(&alter->text, ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.",
				    STR_ARGS(resource->name));
	if (resource->type != CONFIG_RESOURCE_TYPE_BROKER || resource->name.len == 0)
		return ERR_NONE;
	if (parse_i32(resource->name, &id))
		return err_text_set(&alter->text, ERR_INVALID_REQUEST, "Invalid broker name %.*s",
				    STR_ARGS(resource->name));
	if (!image_broker(image, id))
		return err_text_set(&alter->text, ERR_BROKER_ID_NOT_REGISTERED, "No node with id %d found.", id);
	return ERR_NONE;
}

/* The values of a broker are checked by the broker before the controller hears of them: first, then. */
static enum err alter_check(struct alter *alter)
{
	bool is_broker = alter->resource->type == CONFIG_TYPE_BROKER;
	enum err err = is_broker ? alter_check_values(alter) : ERR_NONE;

	if (!err)
		err = alter_check_min_isr(alter);
	if (!err)
		err = alter_check_name(alter);
	if (!err && !is_broker)
		err = alter_check_values(alter);
	return err ? err : alter_check_exists(alter);
}

static void alter_write(struct alter *alter)
{
	struct config_record record;

	msg_init(&config_record_type, &record);
	for (size_t i = 0; i < alter->written.n; i++) {
		record.resource_type = alter->resource->type;
		record.resource_name = alter->resource->name;
		record.name = alter->written.v[i].name;
		record.value = alter->written.v[i].value;
		controller_add(alter->records, alter->arena, METADATA_CONFIG_RECORD, 0, &record);
	}
}

/* Replicas that were eligible to lead were so under another min.insync.replicas. */
static bool alter_clears_elr(const struct alter *alter)
{
	if (!controller_has_elr(alter->controller) || (alter->resource->type != CONFIG_RESOURCE_TYPE_TOPIC &&
						       alter->resource->type != CONFIG_RESOURCE_TYPE_BROKER))
		return false;
	for (size_t i = 0; i < alter->written.n; i++) {
		if (str_eq_c(alter->written.v[i].name, MIN_ISR))
			return true;
	}
	return false;
}

static void alter_resource(struct alter *alter, struct resource_change *resource, bool replaces,
			   struct controller_records *after)
{
	size_t had_n;
	enum err err;

	alter->resource = resource;
	alter->next.n = 0;
	alter->written.n = 0;
	map_init(&alter->at, MAP_STR, rng_u64(alter->controller->rng));
	alter_load(alter);
	had_n = alter->next.n;
	err = alter_ops(alter);
	if (!err && replaces)
		alter_delete_rest(alter, had_n);
	if (!err)
		err = alter_check(alter);
	map_deinit(&alter->at);
	resource_change_refuse(resource, err, err ? &alter->text : NULL, alter->arena);
	if (err)
		return;
	alter_write(alter);
	if (alter_clears_elr(alter)) {
		struct clear_elr_record record;

		msg_init(&clear_elr_record_type, &record);
		record.topic_name = resource->type == CONFIG_RESOURCE_TYPE_TOPIC ? resource->name : STR("");
		controller_add(after, alter->arena, METADATA_CLEAR_ELR_RECORD, 0, &record);
	}
}

/* ---- all of them ---- */

/* An operation that does not exist ends all that the controller would decide, without a word; that of a broker's
 * setting is found before. */
static bool alter_has_unknown_op(const struct resource_changes *changes)
{
	for (int32_t i = 0; i < changes->n; i++) {
		const struct resource_change *resource = &changes->v[i];

		for (int32_t j = 0; !resource->is_done && resource->type != CONFIG_TYPE_BROKER &&
				    j < resource->changes_n; j++) {
			if (resource->changes[j].op < CONFIG_OP_SET || resource->changes[j].op > CONFIG_OP_SUBTRACT)
				return true;
		}
	}
	return false;
}

static void alter_refuse_all(const struct resource_changes *changes, enum err err, const struct err_text *text,
			     struct arena *arena)
{
	for (int32_t i = 0; i < changes->n; i++) {
		struct resource_change *resource = &changes->v[i];
		bool is_ours = resource->type != CONFIG_RESOURCE_TYPE_BROKER_LOGGER;

		if (!resource->is_done || (is_ours && !resource->err))
			resource_change_refuse(resource, err, text, arena);
	}
}

enum err controller_alter_configs(struct controller *controller, const struct resource_changes *changes,
				  struct controller_records *records, struct arena *arena)
{
	struct alter alter = {.controller = controller, .records = records, .arena = arena};
	struct controller_records after = {0};

	records->atomic = true;
	if (alter_has_unknown_op(changes)) {
		alter_refuse_all(changes, ERR_UNKNOWN_SERVER_ERROR, NULL, arena);
		return ERR_NONE;
	}
	for (int32_t i = 0; i < changes->n; i++) {
		if (!changes->v[i].is_done)
			alter_resource(&alter, &changes->v[i], changes->replaces, &after);
	}
	for (size_t i = 0; i < after.values.n; i++)
		vec_push(&records->values, after.values.v[i]);
	if (records->values.n > RECORDS_PER_OPERATION_MAX) {
		err_text_set(&alter.text, ERR_NONE, "Unable to perform excessively large batch operation.");
		alter_refuse_all(changes, ERR_POLICY_VIOLATION, &alter.text, arena);
		records->values.n = 0;
	}
	if (changes->validate_only)
		records->values.n = 0;
	vec_deinit(&after.values);
	vec_deinit(&alter.next);
	vec_deinit(&alter.written);
	return ERR_NONE;
}
