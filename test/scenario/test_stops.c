/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a node ends and what the next start makes of it. Each story runs clients against the broker with
 * durability=synced, does one thing to the node, and then reads everything back: nothing that was promised is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "story.h"

#define CLEAN_MARK "/data/.kafka_cleanshutdown"
#define METADATA_LOG "/data/__cluster_metadata-0/00000000000000000000.log"
#define TOPIC_LOG "/data/topic0-0/00000000000000000000.log"

static bool has_file(struct story *s, const char *path)
{
	bool exists;

	disk_peek(disk_of_node(s->w, 1), path, &exists);
	return exists;
}

static void test_power_cut_loses_nothing_synced(void **state)
{
	struct story s;

	for (uint64_t seed = 1; seed <= 5; seed++) {
		story_begin(&s, seed, NULL, NULL, 400);
		power_cut(s.w, 1);
		story_end(&s);
	}
}

static void test_clean_stop_leaves_the_mark(void **state)
{
	struct story s;

	story_begin(&s, 1, NULL, NULL, 400);
	assert_false(has_file(&s, CLEAN_MARK));
	assert_true(node_down(s.w, 1));
	assert_true(has_file(&s, CLEAN_MARK));
	assert_true(node_up(s.w, 1));
	assert_false(has_file(&s, CLEAN_MARK));
	story_end(&s);
}

/* A stop before the logs were looked at must not say that they are in order (KAFKA-10471), at any moment of the
 * start. It must not trip over the election either. */
static void test_stop_during_start_after_power_cut(void **state)
{
	struct story s;

	for (int64_t ms = 0; ms <= 200; ms += 8) {
		story_begin(&s, 2, NULL, NULL, 400);
		power_cut(s.w, 1);
		disk_slow(disk_of_node(s.w, 1), 50000);
		assert_true(world_node_start(s.w, 1));
		run_for(s.w, ms);
		if (!world_node_is_ready(s.w, 1)) {
			assert_true(node_down(s.w, 1));
			assert_false(has_file(&s, CLEAN_MARK));
		}
		disk_heal(disk_of_node(s.w, 1));
		story_end(&s);
	}
}

/* What cannot be saved was not closed in order (KAFKA-13773). */
static void test_full_disk_leaves_no_clean_mark(void **state)
{
	struct story s;

	story_begin(&s, 3, NULL, NULL, 400);
	disk_fill(s.w, 1, 0);
	assert_true(node_down(s.w, 1));
	assert_false(has_file(&s, CLEAN_MARK));
	disk_room(s.w, 1);
	story_end(&s);
}

/* After a failed sync the cache holds what no later sync saves: it has to be written again. */
static void test_failed_sync_then_power_cut(void **state)
{
	struct story s;

	for (uint64_t seed = 1; seed <= 5; seed++) {
		story_begin(&s, seed, NULL, NULL, 400);
		fail_next(s.w, 1, DISK_OP_SYNC);
		run_for(s.w, 200);
		if (world_node(s.w, 1)->state != SIM_NODE_OFF)
			kill_process(s.w, 1);
		assert_true(node_up(s.w, 1));
		run_for(s.w, 500);
		power_cut(s.w, 1);
		story_end(&s);
	}
}

/* Metadata that cannot be read does not mean that there are no topics: nothing is deleted or put aside. */
static void test_unreadable_metadata_deletes_nothing(void **state)
{
	struct story s;

	story_begin(&s, 6, NULL, NULL, 400);
	assert_true(node_down(s.w, 1));
	assert_true(has_file(&s, TOPIC_LOG));
	assert_true(disk_flip(disk_of_node(s.w, 1), METADATA_LOG, 300, 3));
	if (world_node_start(s.w, 1))
		run_for(s.w, 3000);
	assert_false(world_node_is_ready(s.w, 1));
	assert_true(has_file(&s, TOPIC_LOG));
	if (world_node(s.w, 1)->state != SIM_NODE_OFF)
		kill_process(s.w, 1);
	assert_true(disk_flip(disk_of_node(s.w, 1), METADATA_LOG, 300, 3));
	story_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cut_loses_nothing_synced),
		cmocka_unit_test(test_clean_stop_leaves_the_mark),
		cmocka_unit_test(test_stop_during_start_after_power_cut),
		cmocka_unit_test(test_full_disk_leaves_no_clean_mark),
		cmocka_unit_test(test_failed_sync_then_power_cut),
		cmocka_unit_test(test_unreadable_metadata_deletes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
