/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of __consumer_offsets in any order, replayed into a shard: of every type and version, well formed or not,
 * over a few groups, members and partitions, so that they meet each other. Whatever the order:
 *
 *   - what a key holds, replayed, changes nothing: neither what that key holds nor what any other key does;
 *   - a shard that has loaded them starts, keeps its invariants, and goes away without a rest.
 */
#include "check.h"
#include "codec_fill.h"
#include "coord_record.h"
#include "group_classic.h"
#include "image.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 200
#define KEYS_MAX 64

struct seen {
	struct bytes keys[KEYS_MAX];
	size_t n;
};

static enum err take(struct coord_shard *shard, uint64_t seq, struct coord_origin origin,
		     const struct coord_records *records)
{
	return ERR_NONE;
}

static void timer_moved(struct coord_shard *shard)
{
}

static const struct coord_log_ops fuzz_log = {.write = take, .timer_moved = timer_moved};

static const struct group_settings fuzz_settings = {
	.min_session_timeout_ms = 10,
	.max_session_timeout_ms = 100000,
	.max_size = 2,
	.offset_metadata_max_bytes = 100,
	.offsets_retention_ms = 1000,
	.offsets_retention_check_interval_ms = 1000,
	.consumer_session_timeout_ms = 1000,
	.consumer_max_size = 10,
	.consumer_has_uniform = true,
};

static void quiet(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

static struct log_sink fuzz_sink = {.level = LOG_ERROR, .write = quiet};

/* Names and numbers of a key, or of the members in a value, from small sets. */
static void tame(const struct msg_type *type, int16_t version, uint8_t *obj, struct rng *rng)
{
	static const char *const names[] = {"a", "b", "c", ""};

	for (uint16_t i = 0; i < type->fields_n; i++) {
		const struct msg_field *field = &type->fields[i];

		if (field->flags & (MSG_ARRAY | MSG_POINTER) || version < field->version_first ||
		    version > field->version_last)
			continue;
		if (field->kind == MSG_STRING)
			*(struct str *)(void *)(obj + field->offset) = str_of(names[rng_below(rng, ARRAY_N(names))]);
		else if (field->kind == MSG_INT32)
			*(int32_t *)(void *)(obj + field->offset) &= 3;
	}
}

static struct bytes make_key(const struct msg_record *row, struct arena *arena, struct rng *rng)
{
	struct fill fill = {.rng = *rng, .arena = arena, .elems_max = 2};
	void *key = arena_alloc(arena, row->key->size);

	fill_message(&fill, row->key, row->key->version_min, key);
	*rng = fill.rng;
	tame(row->key, row->key->version_min, key, rng);
	return coord_key_encode(MSG_FAMILY_GROUP, row->number, key, arena);
}

static struct bytes make_value(const struct msg_record *row, struct arena *arena, struct rng *rng)
{
	struct fill fill = {.rng = *rng, .arena = arena, .elems_max = 3, .tags = true};
	int16_t version = (int16_t)rng_between(rng, row->value->version_min, row->value->version_max);
	void *value = arena_alloc(arena, row->value->size);

	fill_message(&fill, row->value, version, value);
	*rng = fill.rng;
	if (row->number == GROUP_GROUP_METADATA) {
		struct group_metadata_value *group = value;

		for (int32_t i = 0; i < group->members_n; i++)
			tame(&group_metadata_value_member_metadata_type, version, (uint8_t *)&group->members[i],
			     rng);
	}
	return coord_value_encode(MSG_FAMILY_GROUP, row->number, version, value, arena);
}

static void spoil(struct bytes bytes, struct rng *rng)
{
	if (bytes.len > 0)
		((uint8_t *)(uintptr_t)bytes.p)[rng_below(rng, bytes.len)] = (uint8_t)rng_u64(rng);
}

static struct bytes current(struct coord_shard *shard, struct bytes key, struct arena *arena)
{
	return shard->ops->current(shard->machine, COORD_ORIGIN_NONE, key, arena);
}

static void remember(struct seen *seen, struct bytes key)
{
	for (size_t i = 0; i < seen->n; i++) {
		if (bytes_eq(seen->keys[i], key))
			return;
	}
	if (seen->n < KEYS_MAX)
		seen->keys[seen->n++] = key;
}

/* Replays what one key holds; nothing that any key holds may change. */
static void check_replay_of_current(struct coord_shard *shard, const struct seen *seen, struct bytes key)
{
	struct arena arena = {0};
	struct bytes before[KEYS_MAX], held = current(shard, key, &arena);

	for (size_t i = 0; i < seen->n; i++)
		before[i] = current(shard, seen->keys[i], &arena);
	if (held.p)
		CHECK_OP(coord_shard_replay(shard, COORD_ORIGIN_NONE, key, held), ==, ERR_NONE);
	for (size_t i = 0; i < seen->n; i++) {
		struct bytes after = current(shard, seen->keys[i], &arena);

		CHECK((after.p == NULL) == (before[i].p == NULL));
		CHECK(bytes_eq(after, before[i]));
	}
	arena_reset(&arena);
}

static bool replay_one(struct coord_shard *shard, struct seen *seen, struct arena *arena, struct rng *rng)
{
	const struct msg_record *row = msg_record_find(MSG_FAMILY_GROUP, (int32_t)rng_below(rng, 17));
	struct bytes key, value = BYTES_NULL;

	if (!row || !row->key || !row->value)
		return true;
	key = make_key(row, arena, rng);
	if (rng_below(rng, 4) != 0)
		value = make_value(row, arena, rng);
	if (rng_below(rng, 50) == 0)
		spoil(rng_below(rng, 2) ? key : value, rng);
	if (coord_shard_replay(shard, COORD_ORIGIN_NONE, key, value))
		return false;
	remember(seen, key);
	check_replay_of_current(shard, seen, seen->keys[rng_below(rng, seen->n)]);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct coord_shard shard;
	struct group_store store;
	struct seen seen = {.n = 0};
	struct rng rng, shard_rng;
	struct image *image = image_new_empty();
	size_t n = MIN(size / 8, (size_t)RECORDS_MAX);

	log_sink_set(&fuzz_sink);
	rng_init(&shard_rng, 1);
	coord_shard_init(&shard, &group_machine_ops, &store, &fuzz_log, NULL, &shard_rng);
	group_store_init(&store, &shard, &fuzz_settings, 7);
	store.image = image;
	coord_shard_time(&shard, 1000, 1700000000000);
	coord_shard_load(&shard);
	for (size_t i = 0; i < n; i++) {
		rng_init(&rng, load_be64(data + 8 * i));
		if (!replay_one(&shard, &seen, &arena, &rng))
			break;
	}
	if (shard.state == COORD_LOADING) {
		coord_shard_loaded(&shard);
		coord_shard_check_invariants(&shard);
		coord_shard_time(&shard, 4000, 1700000003000);
		coord_shard_tick(&shard, 10);
		coord_shard_check_invariants(&shard);
	}
	coord_shard_unload(&shard, ERR_NOT_COORDINATOR);
	group_store_deinit(&store);
	coord_shard_deinit(&shard);
	image_unref(image);
	arena_reset(&arena);
	log_sink_set(NULL);
	return 0;
}
