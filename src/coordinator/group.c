/* SPDX-License-Identifier: Apache-2.0 */
/* See group.h: the store, and which record changes what. */
#include "group.h"

#include "group_classic.h"
#include "consumer_job.h"
#include "group_offsets.h"
#include "offsets_pending.h"
#include "log.h"
#include "mem.h"
#include "msg/describe_groups.h"

/* With what is of its kind, and its place in maps. */
#define GROUP_BYTES(group) ((int64_t)(sizeof(struct group) + sizeof(struct group_classic) + (group)->id.len + 64))

/* By record type. Without a row: known to the schema, not to this build; skipped, and left in the log. */
static const struct group_record_ops *const group_records[] = {
	[GROUP_LEGACY_OFFSET_COMMIT] = &offsets_legacy_record_ops,
	[GROUP_OFFSET_COMMIT] = &offsets_record_ops,
	[GROUP_GROUP_METADATA] = &classic_record_ops,
	[GROUP_CONSUMER_GROUP_METADATA] = &consumer_record_epoch,
	[GROUP_CONSUMER_GROUP_PARTITION_METADATA] = &consumer_record_partitions,
	[GROUP_CONSUMER_GROUP_MEMBER_METADATA] = &consumer_record_member,
	[GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA] = &consumer_record_target_epoch,
	[GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER] = &consumer_record_target,
	[GROUP_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT] = &consumer_record_current,
	[GROUP_CONSUMER_GROUP_REGULAR_EXPRESSION] = &consumer_record_regex,
};

void group_store_init(struct group_store *store, struct coord_shard *shard, const struct group_settings *settings,
		      uint64_t seed)
{
	*store = (struct group_store){.shard = shard, .settings = *settings, .seed = seed};
	store->scratch.limit = COORD_REPLAY_LIMIT;
	store->inline_max = CONSUMER_INLINE_MAX;
	map_init(&store->groups, MAP_STR, seed);
	pending_init(store);
}

void group_store_deinit(struct group_store *store)
{
	struct group *group;

	if (!store->shard)
		return;
	for (uint32_t it = 0; (group = map_next(&store->groups, &it)) != NULL;)
		group_free(group);
	offsets_deinit(store);
	CHECK_OP(store->kept_bytes, ==, 0);
	CHECK_OP(store->offsets_n, ==, 0);
	map_deinit(&store->groups);
	arena_reset(&store->scratch);
	*store = (struct group_store){0};
}

void group_store_count(struct group_store *store, int64_t bytes)
{
	store->kept_bytes += bytes;
	if (store->memory)
		store->memory->bytes += bytes;
}

bool group_store_has_room(const struct group_store *store, int64_t bytes)
{
	return !store->memory || store->memory->bytes + bytes <= store->memory->bytes_max;
}

struct group *group_find(const struct group_store *store, struct str id)
{
	return map_get_str(&store->groups, id);
}

struct group *group_new(struct group_store *store, struct str id)
{
	struct group *group = MEM_NEW(struct group);

	CHECK(group_find(store, id) == NULL);
	group->id = (struct str){mem_strdup_n(id.p, id.len), id.len};
	group->store = store;
	group_store_count(store, GROUP_BYTES(group));
	map_init(&group->offsets, MAP_STR, store->seed);
	map_put_str(&store->groups, group->id, group);
	return group;
}

void group_free(struct group *group)
{
	if (!group)
		return;
	map_remove_str(&group->store->groups, group->id);
	group_store_count(group->store, -GROUP_BYTES(group));
	if (group->kind)
		group->kind->free(group);
	offsets_free(group);
	mem_free((char *)group->id.p);
	mem_free(group);
}

struct group *group_find_or_make_classic(struct group_store *store, struct str id)
{
	struct group *group = group_find(store, id);

	if (!group) {
		group = group_new(store, id);
		classic_attach(group);
	}
	return group;
}

void group_log(const struct group *group, const char *event, const char *format, ...)
{
	char text[512];
	struct fmt f;
	va_list args;

	fmt_init(&f, text, sizeof(text));
	va_start(args, format);
	fmt_add_v(&f, format, args);
	va_end(args);
	log_info(event, "group=%.*s %s", STR_ARGS(group->id), text);
}

/* ---- records ---- */

struct group_record_read {
	const struct msg_record *row;
	const struct group_record_ops *ops;
	void *key;
};

/* ERR_NOT_SUPPORTED: to be skipped. */
static enum err group_record_key(struct bytes key, struct arena *arena, struct group_record_read *ret,
				 struct err_text *text)
{
	struct coord_key parsed;
	enum err err = coord_key_parse(MSG_FAMILY_GROUP, key, &parsed);

	if (err)
		return err;
	ret->row = parsed.row;
	ret->ops = (size_t)parsed.row->number < ARRAY_N(group_records) ? group_records[parsed.row->number] : NULL;
	if (!ret->ops)
		return ERR_NOT_SUPPORTED;
	ret->key = arena_alloc(arena, parsed.row->key->size);
	return coord_key_decode(&parsed, arena, ret->key, text);
}

static enum err group_replay(void *machine, struct coord_origin origin, struct bytes key, struct bytes value,
			     struct err_text *text)
{
	struct group_store *store = machine;
	struct arena *arena = &store->scratch;
	struct group_record_read record;
	void *decoded = NULL;
	enum err err = group_record_key(key, arena, &record, text);

	if (!err && value.p) {
		decoded = arena_alloc(arena, record.row->value->size);
		err = coord_value_decode(record.row, value, arena, decoded, text);
	}
	if (!err)
		err = record.ops->replay(store, origin, record.key, decoded, text);
	arena_reset(arena);
	return err == ERR_NOT_SUPPORTED ? ERR_NONE : err;
}

static struct bytes group_current(void *machine, struct coord_origin origin, struct bytes key, struct arena *arena)
{
	struct group_store *store = machine;
	struct group_record_read record;
	int16_t version;
	void *value;

	if (group_record_key(key, arena, &record, NULL))
		return BYTES_NULL;
	value = arena_alloc(arena, record.row->value->size);
	msg_init(record.row->value, value);
	if (!record.ops->current(store, origin, record.key, arena, value, &version))
		return BYTES_NULL;
	return coord_value_encode(MSG_FAMILY_GROUP, record.row->number, version, value, arena);
}

static void group_end_transaction(void *machine, struct coord_origin origin, bool commit)
{
	offsets_end_transaction(machine, origin, commit);
}

static void group_loaded(void *machine)
{
	struct group_store *store = machine;
	struct group *group;

	/* Starting timers puts no group into the map; a rebalance of a group that is too large may write. */
	for (uint32_t it = 0; (group = map_next(&store->groups, &it)) != NULL;)
		group->kind->loaded(group);
	offsets_loaded(store);
}

void group_store_release(struct group_store *store, enum err err)
{
	struct group *group;

	for (uint32_t it = 0; (group = map_next(&store->groups, &it)) != NULL;)
		group->kind->unload(group, err);
}

/* Ends what is parked; then there is no state any more. */
static void group_unload(void *machine, enum err err)
{
	struct group_store *store = machine;
	struct group *group;

	group_store_release(store, err);
	for (uint32_t it = 0; (group = map_next(&store->groups, &it)) != NULL;)
		group_free(group);
	offsets_deinit(store);
}

const struct coord_machine_ops group_machine_ops = {
	.name = "group",
	.replay = group_replay,
	.current = group_current,
	.end_transaction = group_end_transaction,
	.loaded = group_loaded,
	.unload = group_unload,
};

/* ---- what requests do ---- */

void group_describe(struct group_store *store, struct str id, int16_t version, struct arena *arena,
		    struct describe_groups_response_groups *ret)
{
	const struct group *group = group_find(store, id);

	ret->group_id = id;
	if (group && group->kind == &group_kind_classic) {
		if (classic_describe(group, arena, ret))
			return;
		msg_init(&describe_groups_response_groups_type, ret);
		ret->group_id = id;
		ret->error_code = err_wire(ERR_INVALID_REQUEST);
		return;
	}
	ret->group_state = STR("Dead");
	if (version < 6)
		return;
	ret->error_code = err_wire(ERR_GROUP_ID_NOT_FOUND);
	ret->error_message = group ? arena_printf(arena, "Group %.*s is not a classic group.", STR_ARGS(id))
				   : arena_printf(arena, "Group %.*s not found.", STR_ARGS(id));
}

enum err group_delete(struct group_store *store, struct str id, struct coord_records *records)
{
	const struct group *group = group_find(store, id);
	enum err err = group ? group->kind->check_delete(group) : ERR_GROUP_ID_NOT_FOUND;

	if (err)
		return err;
	group_log(group, "group.deleted", "offsets=%lld", (long long)group->offsets_n);
	offsets_tombstones(group, records);
	group->kind->tombstones(group, records);
	return ERR_NONE;
}

/* Filters are compared without regard to case, as Kafka does. */
static bool str_eq_any_case(struct str a, const char *b)
{
	if (a.len != strlen(b))
		return false;
	return a.len == 0 || strncasecmp(a.p, b, a.len) == 0;
}

static bool filter_has(const struct str *values, int32_t n, const char *value)
{
	bool has = n <= 0;

	for (int32_t i = 0; i < n; i++)
		has |= str_eq_any_case(values[i], value);
	return has;
}

bool group_matches(const struct group *group, const struct group_filter *filter)
{
	return filter_has(filter->states, filter->states_n, group->kind->state(group)) &&
	       filter_has(filter->types, filter->types_n, group->kind->type);
}
