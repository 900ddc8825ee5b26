/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See config_changes.h: what is wrong with a request for other settings whatever the settings are now. Same as Kafka in
 * order and words, but for one resource twice in AlterConfigs, which Kafka never answers.
 */
#include "config_changes.h"
#include "map.h"

void resource_change_refuse(struct resource_change *resource, enum err err, const struct err_text *text,
			    struct arena *arena)
{
	resource->is_done = true;
	resource->err = err;
	resource->message = text ? arena_str(arena, str_of(text->text)) : STR_NULL;
}

/* The type stands in front of the name, so that one map finds both. */
static struct str resource_key(const struct resource_change *resource, struct arena *arena)
{
	char *key = arena_alloc(arena, resource->name.len + 1);

	key[0] = (char)resource->type;
	if (resource->name.len)
		memcpy(key + 1, resource->name.p, resource->name.len);
	return (struct str){key, resource->name.len + 1};
}

static void resources_refuse_twice(const struct resource_changes *changes, uint64_t seed, struct arena *arena)
{
	struct err_text text;
	struct map seen;

	map_init(&seen, MAP_STR, seed);
	err_text_set(&text, ERR_NONE, "Each resource must appear at most once.");
	for (int32_t i = 0; i < changes->n; i++) {
		struct str key = resource_key(&changes->v[i], arena);
		struct resource_change *before = map_get_str(&seen, key);

		if (!before) {
			map_put_str(&seen, key, &changes->v[i]);
			continue;
		}
		resource_change_refuse(before, ERR_INVALID_REQUEST, &text, arena);
		resource_change_refuse(&changes->v[i], ERR_INVALID_REQUEST, &text, arena);
	}
	map_deinit(&seen);
}

static bool resource_has_key_twice(const struct resource_change *resource, uint64_t seed)
{
	struct map seen;
	bool twice = false;

	map_init(&seen, MAP_STR, seed);
	for (int32_t i = 0; i < resource->changes_n && !twice; i++)
		twice = map_put_str(&seen, resource->changes[i].name, (void *)&resource->changes[i]) != NULL;
	map_deinit(&seen);
	return twice;
}

static enum err resource_check_nulls(const struct resource_change *resource, struct err_text *text)
{
	char names[400];
	struct fmt f;

	fmt_init(&f, names, sizeof(names));
	for (int32_t i = 0; i < resource->changes_n; i++) {
		const struct config_change *change = &resource->changes[i];

		if (change->op != CONFIG_OP_DELETE && !change->value.p)
			fmt_add(&f, "%s%.*s", f.len ? ", " : "", STR_ARGS(change->name));
	}
	if (f.len == 0)
		return ERR_NONE;
	return err_text_set(text, ERR_INVALID_REQUEST, "Null value not supported for : %s", names);
}

static enum err resource_check_node(const struct resource_change *resource, int32_t node_id, const char *format,
				    struct err_text *text)
{
	int32_t id;

	if (parse_i32(resource->name, &id))
		return err_text_set(text, ERR_INVALID_REQUEST, "Node id must be an integer, but it is: %.*s",
				    STR_ARGS(resource->name));
	if (id == node_id)
		return ERR_NONE;
	return err_text_set(text, ERR_INVALID_REQUEST, "%s %d, but received %.*s", format, node_id,
			    STR_ARGS(resource->name));
}

static enum err resource_check(const struct resource_changes *changes, const struct resource_change *resource,
			       int32_t node_id, uint64_t seed, struct err_text *text)
{
	enum err err;

	if (resource_has_key_twice(resource, seed))
		return err_text_set(text, ERR_INVALID_REQUEST, "Error due to duplicate config keys");
	err = resource_check_nulls(resource, text);
	if (err)
		return err;
	switch (resource->type) {
	case CONFIG_RESOURCE_TYPE_TOPIC:
	case CONFIG_RESOURCE_TYPE_CLIENT_METRICS:
	case CONFIG_RESOURCE_TYPE_GROUP:
		return ERR_NONE;
	case CONFIG_RESOURCE_TYPE_BROKER:
		if (resource->name.len == 0)
			return ERR_NONE;
		return resource_check_node(resource, node_id, "Unexpected broker id, expected", text);
	case CONFIG_RESOURCE_TYPE_BROKER_LOGGER:
		if (!changes->replaces)
			return resource_check_node(resource, node_id, "Unexpected node id. Expected", text);
		break;
	default:
		break;
	}
	return err_text_set(text, ERR_INVALID_REQUEST, "Unknown resource type %d", resource->type);
}

void resource_changes_check(const struct resource_changes *changes, int32_t node_id, uint64_t seed,
			    struct arena *arena)
{
	resources_refuse_twice(changes, seed, arena);
	for (int32_t i = 0; i < changes->n; i++) {
		struct resource_change *resource = &changes->v[i];
		struct err_text text;
		enum err err;

		if (resource->is_done)
			continue;
		err = resource_check(changes, resource, node_id, seed, &text);
		if (err)
			resource_change_refuse(resource, err, &text, arena);
	}
}
