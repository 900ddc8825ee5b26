/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets in transactions: what a marker makes count, what is overtaken, undone, deleted; and that a shard which reads
 * the log again knows the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group_offsets.h"
#include "msg/offset_commit.h"
#include "msg/offset_fetch.h"
#include "offsets_pending.h"

enum { MARKER_NONE, MARKER_ABORT, MARKER_COMMIT };

struct entry {
	struct coord_origin origin;
	int marker;
	struct bytes key, value;
};

static struct world {
	struct coord_shard shard;
	struct group_store store;
	struct rng rng;
	struct arena arena;
	VEC(struct entry) log;
	size_t committed_n;
	uint64_t seq;
} w;

static enum err world_write(struct coord_shard *shard UNUSED, uint64_t seq, struct coord_origin origin,
			    const struct coord_records *records)
{
	w.seq = seq;
	for (size_t i = 0; i < records->v.n; i++) {
		struct entry entry = {origin, MARKER_NONE, arena_bytes(&w.arena, records->v.v[i].key),
				      arena_bytes(&w.arena, records->v.v[i].value)};

		vec_push(&w.log, entry);
	}
	return ERR_NONE;
}

static void world_timer_moved(struct coord_shard *shard UNUSED)
{
}

static const struct coord_log_ops world_log_ops = {.write = world_write, .timer_moved = world_timer_moved};

static void world_open(void)
{
	struct group_settings settings = {.offset_metadata_max_bytes = 4096, .offsets_retention_ms = 1000000,
					  .offsets_retention_check_interval_ms = 600000};

	coord_shard_init(&w.shard, &group_machine_ops, &w.store, &world_log_ops, NULL, &w.rng);
	group_store_init(&w.store, &w.shard, &settings, 1);
	coord_shard_time(&w.shard, 1000, 1700000000000);
	coord_shard_load(&w.shard);
}

static int setup(void **state UNUSED)
{
	memset(&w, 0, sizeof(w));
	rng_init(&w.rng, 1);
	world_open();
	coord_shard_loaded(&w.shard);
	return 0;
}

static void world_close(void)
{
	coord_shard_unload(&w.shard, ERR_NOT_COORDINATOR);
	group_store_deinit(&w.store);
	coord_shard_deinit(&w.shard);
}

static int teardown(void **state UNUSED)
{
	world_close();
	vec_deinit(&w.log);
	arena_reset(&w.arena);
	return 0;
}

static void world_commit(void)
{
	if (w.seq > 0)
		coord_shard_committed(&w.shard, w.seq);
	w.committed_n = w.log.n;
}

static void world_fail(void)
{
	coord_shard_failed(&w.shard, w.shard.seq_done + 1, ERR_NOT_COORDINATOR);
	w.log.n = w.committed_n;
}

static void world_reload(void)
{
	world_close();
	world_open();
	w.seq = 0;
	for (size_t i = 0; i < w.log.n; i++) {
		const struct entry *entry = &w.log.v[i];

		if (entry->marker)
			coord_shard_end_transaction(&w.shard, entry->origin, entry->marker == MARKER_COMMIT);
		else
			assert_int_equal(coord_shard_replay(&w.shard, entry->origin, entry->key, entry->value),
					 ERR_NONE);
	}
	coord_shard_loaded(&w.shard);
}

struct commit {
	struct coord_op op;
	struct arena arena;
	int64_t offset;
	bool is_deletion;
};

static enum err commit_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct commit *commit = container_of(op, struct commit, op);
	struct offset_commit_request in;
	struct offset_commit_request_topics topic;
	struct offset_commit_request_topics_partitions partition;
	struct offset_commit_response out;

	if (commit->is_deletion)
		return group_delete(machine, STR("g"), records);
	msg_init(&offset_commit_request_type, &in);
	msg_init(&offset_commit_request_topics_type, &topic);
	msg_init(&offset_commit_request_topics_partitions_type, &partition);
	msg_init(&offset_commit_response_type, &out);
	in.group_id = STR("g");
	in.generation_id_or_member_epoch = -1;
	in.topics = &topic;
	in.topics_n = 1;
	topic.name = STR("t");
	topic.partitions = &partition;
	topic.partitions_n = 1;
	partition.committed_offset = commit->offset;
	return op->origin.producer_id >= 0 ? offsets_commit_in_transaction(machine, &in, &out, records)
					   : offsets_commit(machine, &in, 2, &out, records);
}

static void commit_done(struct coord_op *op)
{
	struct commit *commit = container_of(op, struct commit, op);

	arena_reset(&commit->arena);
	free(commit);
}

/* producer -1: a plain commit; offset -1: the group is deleted. */
static void decide(int64_t producer_id, int16_t epoch, int64_t offset)
{
	struct commit *commit = calloc(1, sizeof(*commit));

	commit->offset = offset;
	commit->is_deletion = offset < 0;
	commit->op = (struct coord_op){.arena = &commit->arena,
				       .origin = {producer_id, epoch},
				       .decide = commit_decide,
				       .done = commit_done};
	coord_shard_submit(&w.shard, &commit->op);
}

static void put(int64_t producer_id, int16_t epoch, int64_t offset)
{
	decide(producer_id, epoch, offset);
	world_commit();
}

static void marker(int64_t producer_id, int16_t epoch, bool commit)
{
	struct entry entry = {{producer_id, epoch}, commit ? MARKER_COMMIT : MARKER_ABORT, BYTES_NULL, BYTES_NULL};

	vec_push(&w.log, entry);
	w.committed_n = w.log.n;
	coord_shard_end_transaction(&w.shard, entry.origin, commit);
}

/* -1: none. */
static int64_t now(void)
{
	const struct group *group = group_find(&w.store, STR("g"));
	const struct committed_offset *entry = group ? offsets_find(group, STR("t"), 0) : NULL;

	return entry ? entry->offset : -1;
}

/* Here, and where the log is read again. */
static void expect(int64_t offset, bool is_unstable)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(now(), offset);
		assert_int_equal(pending_is(&w.store, STR("g"), STR("t"), 0), is_unstable);
		world_reload();
	}
}

static void test_a_commit_counts_with_its_marker(void **state UNUSED)
{
	put(7, 0, 10);
	expect(-1, true);
	assert_true(pending_is_group(&w.store, STR("g")));
	marker(7, 0, true);
	expect(10, false);
	assert_int_equal(w.store.pendings_n, 0);
}

static void test_an_abort_forgets(void **state UNUSED)
{
	put(-1, -1, 5);
	put(7, 0, 10);
	marker(7, 1, false);
	expect(5, false);
}

static void test_redpanda_3232_a_marker_settles_its_own_producer_and_no_later_epoch(void **state UNUSED)
{
	put(7, 3, 10);
	marker(8, 3, true);
	expect(-1, true);
	marker(7, 2, true); /* late, of the transaction before */
	expect(-1, true);
	marker(7, 3, true);
	expect(10, false);
}

static void test_the_later_one_in_the_log_wins(void **state UNUSED)
{
	put(7, 0, 10);
	put(-1, -1, 5);
	expect(5, true);
	marker(7, 0, true);
	expect(5, false);
	put(7, 0, 20);
	put(8, 0, 30);
	marker(8, 0, true);
	expect(30, true);
	marker(7, 0, true);
	expect(30, false);
	put(7, 0, 40);
	put(8, 0, 50);
	marker(7, 0, true);
	expect(40, true);
	marker(8, 0, true);
	expect(50, false);
}

static void test_what_failed_does_not_overtake(void **state UNUSED)
{
	put(-1, -1, 1);
	put(7, 0, 10);
	decide(-1, -1, 5);
	world_fail();
	expect(1, true);
	put(7, 0, 11);
	decide(-1, -1, 5);
	decide(-1, -1, -1);
	decide(-1, -1, 6);
	world_fail();
	assert_int_equal(now(), 1);
	marker(7, 0, true);
	expect(11, false);
}

static void test_what_failed_is_not_pending(void **state UNUSED)
{
	put(7, 0, 10);
	decide(7, 0, 20);
	decide(8, 0, 30);
	world_fail();
	marker(8, 0, true);
	expect(-1, true);
	marker(7, 0, true);
	expect(10, false);
}

/* What was there has its old place among the commits again, however many after it failed. */
static void test_what_failed_twice_leaves_what_was_before(void **state UNUSED)
{
	put(7, 0, 10);
	put(-1, -1, 5);
	decide(7, 0, 20);
	decide(-1, -1, 6);
	decide(7, 0, 30);
	decide(7, 0, 40);
	world_fail();
	marker(7, 0, true);
	expect(5, false);
	put(7, 0, 11);
	put(8, 0, 12);
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 5; j++)
			decide(7, 0, 50 + j);
		world_fail();
	}
	marker(8, 0, true);
	marker(7, 0, true);
	expect(12, false);
}

/* A transaction's offsets are memory like others: refused when there is none, given back with the marker. */
static void test_open_transactions_count_in_memory(void **state UNUSED)
{
	struct group_memory memory = {0, INT64_MAX};
	int64_t settled;

	w.store.memory = &memory;
	put(-1, -1, 5);
	settled = memory.bytes;
	assert_true(settled > 0);
	for (int i = 0; i < 100; i++)
		put(7, 0, 10 + i);
	for (int i = 0; i < 3; i++)
		decide(7, 0, 1000 + i);
	assert_true(memory.bytes > settled + 100);
	assert_true(memory.bytes < settled + 10000);
	assert_int_equal(memory.bytes, w.store.kept_bytes);
	world_fail();
	memory.bytes_max = memory.bytes - 1;
	for (int64_t i = 100; i < 110; i++)
		put(i, 0, i);
	assert_int_equal(w.store.pendings_n, 1);
	marker(7, 0, true);
	assert_int_equal(w.store.pendings_n, 0);
	assert_int_equal(now(), 109);
	assert_int_equal(memory.bytes, settled);
	/* Takes the place of what is there. */
	memory.bytes_max = 0;
	put(8, 0, 200);
	put(9, 0, 300);
	assert_int_equal(w.store.pendings_n, 1);
	marker(8, 0, true);
	assert_int_equal(now(), 200);
	assert_int_equal(memory.bytes, settled);
	w.store.memory = NULL;
}

static void test_a_deleted_group_does_not_come_back(void **state UNUSED)
{
	put(7, 0, 10);
	put(-1, -1, -1);
	expect(-1, false);
	marker(7, 0, true);
	expect(-1, false);
	assert_int_equal(w.store.pendings_n, 0);
}

/* Drawn histories: the model is a list of commits in order, and who has ended. */
static void test_drawn(void **state UNUSED)
{
	for (int round = 0; round < 300; round++) {
		struct { int64_t offset; int order; } open[4] = {{0}};
		int64_t held = -1;
		int held_order = 0, order = 0;

		teardown(NULL);
		setup(NULL);
		rng_init(&w.rng, (uint64_t)round + 1);
		for (int step = 0; step < 30; step++) {
			int producer = (int)rng_below(&w.rng, 4), what = (int)rng_below(&w.rng, 5);

			order++;
			if (what <= 1) {
				put(producer, 0, order);
				open[producer].offset = order;
				open[producer].order = order;
			} else if (what == 2) {
				put(-1, -1, order);
				held = order;
				held_order = order;
			} else if (what == 3) {
				bool commit = rng_below(&w.rng, 2) == 0;

				marker(producer, 0, commit);
				if (commit && open[producer].order > held_order) {
					held = open[producer].offset;
					held_order = open[producer].order;
				}
				open[producer].order = 0;
			} else {
				decide(rng_below(&w.rng, 2) ? -1 : producer, 0, 1000);
				world_fail();
				if (producer == 0)
					world_reload();
			}
			assert_int_equal(now(), held);
		}
		world_reload();
		assert_int_equal(now(), held);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_commit_counts_with_its_marker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_abort_forgets, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_redpanda_3232_a_marker_settles_its_own_producer_and_no_later_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_later_one_in_the_log_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_failed_does_not_overtake, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_failed_is_not_pending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_failed_twice_leaves_what_was_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_transactions_count_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_deleted_group_does_not_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drawn, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
