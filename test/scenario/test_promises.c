/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients were told stays true while the machine below them misbehaves. The workload's clients check each answer
 * as it comes (offsets against the log, marks, sequences, ids); the last reading checks the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "story.h"

/* A topic deleted and made again under its name begins empty and is another, also when the node dies in between. */
static void test_recreated_topic_begins_empty(void **state)
{
	static const char *const options[] = {"churn=1", NULL};
	struct story s;

	story_begin(&s, 1, options, NULL, 500);
	for (int i = 0; i < 8; i++) {
		run_for(s.w, 150);
		assert_true(restart(s.w, 1));
	}
	story_end(&s);
}

/* An idempotent producer whose connections break sends again: nothing stands twice, nothing is left out. */
static void test_broken_connections_make_no_duplicates(void **state)
{
	static const char *const options[] = {"idem_pct=100", "in_flight=5", "producers=3",
					     "latency_us=20000", "gap_us=2000", "partitions=1", "batches_max=20000",
					     "readers=1", NULL};
	struct story s;

	story_begin(&s, 2, options, NULL, 500);
	for (int i = 0; i < 100; i++) {
		net_break_one(s.w->net, 1);
		net_break_one(s.w->net, 1);
		run_for(s.w, 150);
	}
	story_end(&s);
}

/* A full disk takes nothing, keeps its offsets for who comes next, and recovers by itself. */
static void test_full_disk_reuses_no_offset(void **state)
{
	static const char *const options[] = {"value_len=2000", "producers=3", NULL};
	struct story s;

	story_begin(&s, 3, options, NULL, 500);
	for (int i = 0; i < 5; i++) {
		disk_fill(s.w, 1, i * 5000);
		run_for(s.w, 400);
		assert_int_equal(world_node(s.w, 1)->state, SIM_NODE_UP);
		disk_room(s.w, 1);
		run_for(s.w, 1500);
	}
	story_end(&s);
}

/* Small fetches that begin inside batches get the batch that holds the offset; segments roll all the time. */
static void test_fetch_inside_batches_of_small_segments(void **state)
{
	static const char *const options[] = {"fetch_max=1", "batch_n=20", "index_bytes=24", "roll_ms=50", NULL};
	struct story s;

	story_begin(&s, 4, options, NULL, 500);
	power_cut(s.w, 1);
	assert_true(node_up(s.w, 1));
	run_for(s.w, 1000);
	story_end(&s);
}

/* Producer ids are never handed out twice, though the node dies right after handing them out. */
static void test_producer_ids_across_deaths(void **state)
{
	static const char *const options[] = {"idem_pct=100", "producers=4", NULL};
	struct story s;

	story_begin(&s, 5, options, NULL, 500);
	for (int i = 0; i < 10; i++) {
		run_for(s.w, 30);
		power_cut(s.w, 1);
		assert_true(node_up(s.w, 1));
	}
	story_end(&s);
}

/* durability=page-cache: a power cut may take a suffix of a partition, nothing else; a process death takes nothing. */
static void test_page_cache_loses_a_suffix_only(void **state)
{
	static const char *const options[] = {"synced=0", NULL};
	struct story s;

	for (uint64_t seed = 1; seed <= 5; seed++) {
		story_begin(&s, seed, options, NULL, 500);
		assert_true(restart(s.w, 1));
		run_for(s.w, 300);
		power_cut(s.w, 1);
		history_lossy_cut(&s.wl->history);
		assert_true(node_up(s.w, 1));
		run_for(s.w, 300);
	story_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recreated_topic_begins_empty),
		cmocka_unit_test(test_broken_connections_make_no_duplicates),
		cmocka_unit_test(test_full_disk_reuses_no_offset),
		cmocka_unit_test(test_fetch_inside_batches_of_small_segments),
		cmocka_unit_test(test_producer_ids_across_deaths),
		cmocka_unit_test(test_page_cache_loses_a_suffix_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
