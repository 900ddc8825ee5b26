/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed offsets and the shard they stand on: answers wait for the log, what failed is undone, expiry by all its
 * rules, topics that are deleted, and what loading skips or refuses.
 */
#include "group_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define DAY_MS INT64_C(86400000)

static void test_an_answer_waits_for_the_log(void **state)
{
	struct rig rig;
	struct rig_commit_op a, b;

	rig_init(&rig);
	rig_commit_offset(&rig, &a, "g", NULL, "t", 0, 5);
	rig_commit_offset(&rig, &b, "g", NULL, "t", 0, 6);
	assert_false(a.is_over);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), 6); /* the newest state, ahead of the commit */
	rig_commit(&rig);
	assert_true(a.is_over);
	assert_true(b.is_over);
	assert_int_equal(a.op.err, ERR_NONE);
	rig_check(&rig);
	rig_deinit(&rig);
}

static void test_what_failed_is_undone(void **state)
{
	struct rig rig;
	struct rig_commit_op ops[3];

	rig_init(&rig);
	assert_int_equal(rig_offset(&rig, "g", "t", 0, 5), ERR_NONE);
	rig_commit_offset(&rig, &ops[0], "g", NULL, "t", 0, 6);
	rig_commit_offset(&rig, &ops[1], "g", NULL, "t", 0, 7);
	rig_commit_offset(&rig, &ops[2], "g", NULL, "u", 3, 1);
	rig_fail(&rig, ERR_COORDINATOR_NOT_AVAILABLE);
	for (int i = 0; i < 3; i++) {
		assert_true(ops[i].is_over);
		assert_int_equal(ops[i].op.err, ERR_COORDINATOR_NOT_AVAILABLE);
	}
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), 5);
	assert_int_equal(rig_offset_of(&rig, "g", "u", 3), -1);
	assert_int_equal(rig.store.offsets_n, 1);
	rig.refuse = ERR_MESSAGE_TOO_LARGE;
	assert_int_equal(rig_offset(&rig, "g", "t", 0, 8), ERR_MESSAGE_TOO_LARGE);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), 5);
	rig_check(&rig);
	rig_deinit(&rig);
}

static void test_who_comes_behind_a_write_waits_for_it(void **state)
{
	struct rig rig;
	struct rig_commit_op write, wrong;
	struct rig_member nobody;

	rig_init(&rig);
	member_init(&nobody, &rig, "g");
	nobody.id[0] = 'x';
	nobody.generation = 3;
	rig_commit_offset(&rig, &write, "g", NULL, "t", 0, 6);
	rig_commit_offset(&rig, &wrong, "g", &nobody, "t", 0, 7);
	assert_false(wrong.is_over); /* it was refused by a state that may yet be undone */
	rig_commit(&rig);
	assert_true(write.is_over && wrong.is_over);
	assert_int_equal(wrong.op.err, ERR_UNKNOWN_MEMBER_ID);
	rig_deinit(&rig);
}

static void test_offsets_of_nobody_expire_one_by_one(void **state)
{
	struct coord_stats stats = {{0}};
	struct rig rig;

	rig_init(&rig);
	rig.shard.stats = &stats;
	rig_offset(&rig, "g", "t", 0, 5);
	rig_wait(&rig, DAY_MS / 2);
	rig_offset(&rig, "g", "t", 1, 6);
	rig_wait(&rig, DAY_MS / 2 + 600001);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), -1);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 1), 6);
	rig_wait(&rig, DAY_MS / 2);
	assert_int_equal(stats.counts[COORD_OFFSET_COMMITS], 2);
	assert_int_equal(stats.counts[COORD_OFFSET_EXPIRATIONS], 2);
	assert_int_equal(stats.counts[COORD_OFFSET_DELETIONS], 0);
	assert_string_equal(rig_state(&rig, "g"), "absent");
	rig_check(&rig);
	rig_deinit(&rig);
}

static enum err old_commit_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct rig_commit_op *commit = container_of(op, struct rig_commit_op, op);

	commit->in.retention_time_ms = 1000;
	return offsets_commit(machine, &commit->in, 4, &commit->out, records);
}

static void old_commit_done(struct coord_op *op)
{
	struct rig_commit_op *commit = container_of(op, struct rig_commit_op, op);

	commit->is_over = true;
	arena_reset(&commit->arena);
}

static void test_an_old_commit_has_its_own_time(void **state)
{
	struct rig rig;
	struct rig_commit_op op, again;

	rig_init(&rig);
	rig_commit_offset(&rig, &op, "g", NULL, "t", 1, 5);
	rig_commit(&rig);
	again = op;
	again.in.topics = &again.topic;
	again.topic.partitions = &again.partition;
	again.partition.partition_index = 0;
	again.op.arena = &again.arena;
	again.op.decide = old_commit_decide;
	again.op.done = old_commit_done;
	coord_shard_submit(&rig.shard, &again.op);
	rig_commit(&rig);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), 5);
	rig_wait(&rig, 600000);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), -1);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 1), 5);
	rig_check(&rig);
	rig_deinit(&rig);
}

static void member_stable(struct rig *rig, struct rig_member *member)
{
	member_join(member);
	rig_wait(rig, 7000);
	member_sync(member, NULL, 0);
	assert_int_equal(member->sync_err, ERR_NONE);
}

static void member_lives(struct rig *rig, struct rig_member *member, int64_t ms)
{
	for (int64_t left = ms; left > 0; left -= member->session_ms / 2) {
		rig_wait(rig, MIN(left, (int64_t)member->session_ms / 2));
		assert_int_equal(member_heartbeat(member), ERR_NONE);
	}
}

static void test_a_stable_group_keeps_what_it_reads(void **state)
{
	struct rig rig;
	struct rig_member member;
	struct rig_commit_op op;

	rig_init(&rig);
	member_init(&member, &rig, "g");
	member.session_ms = 1800000;
	member_stable(&rig, &member);
	rig_commit_offset(&rig, &op, "g", &member, "t", 0, 5);
	rig_commit(&rig);
	rig_commit_offset(&rig, &op, "g", &member, "other", 0, 6);
	rig_commit(&rig);
	member_lives(&rig, &member, DAY_MS - 3600000);
	assert_int_equal(rig_offset_of(&rig, "g", "other", 0), 6);
	member_lives(&rig, &member, 2 * 3600000);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), 5);
	assert_int_equal(rig_offset_of(&rig, "g", "other", 0), -1);
	/* Once it is empty, all go a day later: counted from then, not from the commit. */
	assert_int_equal(member_leave(&member), ERR_NONE);
	rig_wait(&rig, DAY_MS - 600000);
	assert_int_equal(rig_offset_of(&rig, "g", "t", 0), 5);
	rig_wait(&rig, 2 * 600000);
	assert_string_equal(rig_state(&rig, "g"), "absent");
	rig_check(&rig);
	rig_deinit(&rig);
	member_deinit(&member);
}

static void test_a_deleted_topic(void **state)
{
	struct rig rig;
	char group[16];

	rig_init(&rig);
	for (int i = 0; i < 2500; i++) {
		snprintf(group, sizeof(group), "g%d", i);
		rig_offset(&rig, group, "t", i % 3, i);
		if (i % 2)
			rig_offset(&rig, group, "kept", 0, i);
	}
	rig_wait(&rig, 10);
	offsets_topic_deleted(&rig.store, STR("t"));
	rig_wait(&rig, 1);
	rig_offset(&rig, "g2400", "t", 0, 77); /* of a new topic of that name */
	rig_wait(&rig, 100);
	assert_int_equal(rig_offset_of(&rig, "g2400", "t", 0), 77);
	assert_int_equal(rig.store.offsets_n, 1250 + 1);
	assert_int_equal(rig.store.deleted.n, 0);
	rig_deinit(&rig);
}

static enum err replay(struct coord_shard *shard, const char *key, size_t key_len, const char *value, size_t value_len)
{
	struct bytes k = {(const uint8_t *)key, key_len};
	struct bytes v = {(const uint8_t *)value, value_len};

	return coord_shard_replay(shard, COORD_ORIGIN_NONE, k, value ? v : BYTES_NULL);
}

static void load(struct rig *rig)
{
	rig_init(rig);
	coord_shard_unload(&rig->shard, ERR_NOT_COORDINATOR);
	coord_shard_load(&rig->shard);
}

static void test_loading_skips_what_it_does_not_know(void **state)
{
	struct rig rig;

	load(&rig);
	assert_int_equal(replay(&rig.shard, "\0\11garbage", 9, "x", 1), ERR_NONE);  /* type 9 went away */
	assert_int_equal(replay(&rig.shard, "\0\22garbage", 9, NULL, 0), ERR_NONE); /* 18 too */
	assert_int_equal(replay(&rig.shard, "\177\0x", 3, "x", 1), ERR_NONE);
	assert_int_equal(replay(&rig.shard, "\0\1\0\1g\0\1t\0\0\0\0", 12, NULL, 0), ERR_NONE);
	assert_int_equal(coord_shard_check(&rig.shard), ERR_COORDINATOR_LOAD_IN_PROGRESS);
	coord_shard_loaded(&rig.shard);
	assert_int_equal(rig_offset(&rig, "g", "t", 0, 5), ERR_NONE);
	rig_deinit(&rig);
}

static void test_damage_fails_the_shard(void **state)
{
	static const struct {
		const char *key;
		size_t key_len;
		const char *value;
		size_t value_len;
	} cases[] = {
		{"\0", 1, "x", 1},
		{"\0\1\0\1g", 5, "\0\3", 2},
		{"\0\1\0\1g\0\1t\0\0\0\0", 12, "\0", 1},
		{"\0\1\0\1g\0\1t\0\0\0\0", 12, "\0\11rest", 6}, /* a version of the future */
		{"\0\1\0\1g\0\1t\0\0\0\0", 12, "\0\3short", 7},
		{"\0\2\0\1g", 5, "\0\3\0\10consumer\0\0\0\1\377\377\377\377\0\0\0\0\0\0\0\1\177\377\377\377", 33},
	};

	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct rig rig;

		load(&rig);
		assert_int_not_equal(replay(&rig.shard, cases[i].key, cases[i].key_len, cases[i].value,
					    cases[i].value_len), ERR_NONE);
		assert_int_equal(rig.shard.state, COORD_FAILED);
		assert_int_equal(rig_offset(&rig, "g", "t", 0, 5), ERR_NOT_COORDINATOR);
		rig_deinit(&rig);
	}
}

static enum err delete_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	return group_delete(machine, STR("g"), records);
}

static void delete_done(struct coord_op *op)
{
}

static void test_a_deletion_that_fails_brings_all_back(void **state)
{
	struct rig rig;
	struct arena arena = {0};
	struct coord_op op = {.arena = &arena, .origin = COORD_ORIGIN_NONE, .decide = delete_decide,
			      .done = delete_done};

	rig_init(&rig);
	for (int i = 0; i < 5; i++)
		rig_offset(&rig, "g", i < 3 ? "t" : "u", i, i);
	coord_shard_submit(&rig.shard, &op);
	assert_string_equal(rig_state(&rig, "g"), "absent");
	rig_fail(&rig, ERR_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(op.err, ERR_COORDINATOR_NOT_AVAILABLE);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig_offset_of(&rig, "g", i < 3 ? "t" : "u", i), i);
	rig_check(&rig);
	coord_shard_submit(&rig.shard, &op);
	rig_commit(&rig);
	assert_int_equal(op.err, ERR_NONE);
	assert_int_equal(rig.store.offsets_n, 0);
	rig_check(&rig);
	rig_deinit(&rig);
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_waits_for_the_log),
		cmocka_unit_test(test_what_failed_is_undone),
		cmocka_unit_test(test_who_comes_behind_a_write_waits_for_it),
		cmocka_unit_test(test_offsets_of_nobody_expire_one_by_one),
		cmocka_unit_test(test_an_old_commit_has_its_own_time),
		cmocka_unit_test(test_a_stable_group_keeps_what_it_reads),
		cmocka_unit_test(test_a_deleted_topic),
		cmocka_unit_test(test_loading_skips_what_it_does_not_know),
		cmocka_unit_test(test_damage_fails_the_shard),
		cmocka_unit_test(test_a_deletion_that_fails_brings_all_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
