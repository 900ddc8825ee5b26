/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of two log directories fails, while the node runs or before it starts. The node goes on with the other one; when
 * the disk is in order again and the node starts once more, nothing that was promised is missing, in either.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "check_files.h"
#include "fault.h"
#include "scenario.h"
#include "sim_bodies.h"
#include "workload.h"

#define OTHER_DIR "/data2"

struct story {
	struct world *w;
	struct workload *wl;
};

static void story_begin(struct story *s, uint64_t seed)
{
	struct sim_options opt;

	sim_options_plain(&opt);
	opt.synced = 1;
	s->w = world_new(seed, &opt, &broker_body);
	s->w->trace = getenv("TRACE") != NULL;
	log_sink_set(&s->w->sink);
	world_node_configure(s->w, 1, "log.dirs=/data," OTHER_DIR "\nmetadata.log.dir=/data\n");
	s->wl = workload_new(s->w, 1);
	assert_true(node_up(s->w, 1));
	workload_start(s->wl);
	run_for(s->w, 600);
	assert_false(s->w->has_failed);
}

static bool has_produced(struct world *w, void *wl)
{
	return workload_has_produced(wl);
}

static bool has_read(struct world *w, void *wl)
{
	return workload_has_read(wl);
}

static bool is_drained(struct world *w, void *wl)
{
	return workload_is_drained(wl);
}

static bool is_verified(struct world *w, void *wl)
{
	return workload_is_verified(wl);
}

static void story_end(struct story *s)
{
	if (world_node(s->w, 1)->state == SIM_NODE_OFF)
		assert_true(node_up(s->w, 1));
	workload_calm(s->wl);
	assert_true(run_until(s->w, has_produced, s->wl, 90000));
	workload_stop_producers(s->wl);
	assert_true(run_until(s->w, is_drained, s->wl, 60000));
	assert_true(run_until(s->w, has_read, s->wl, 90000));
	workload_verify(s->wl);
	assert_true(run_until(s->w, is_verified, s->wl, 60000));
	world_check(s->w);
	workload_stop(s->wl);
	run_for(s->w, 100);
	assert_true(node_down(s->w, 1));
	assert_string_equal(s->w->failure, "");
	workload_free(s->wl);
	log_sink_set(NULL);
	world_free(s->w);
}

/* Nothing can be opened, made or renamed below the other directory any more. */
static void break_dir(struct world *w)
{
	static const enum disk_op ops[] = {DISK_OP_OPEN, DISK_OP_NAMES};

	for (size_t i = 0; i < ARRAY_N(ops); i++)
		disk_fault(disk_of_node(w, 1), ops[i], (struct disk_fault){.ppm = 1000000, .path = OTHER_DIR});
}

static void test_fails_while_running(void **state)
{
	struct story s;

	for (uint64_t seed = 1; seed <= 6; seed++) {
		story_begin(&s, seed);
		break_dir(s.w);
		run_for(s.w, 3000);
		assert_true(world_node_is_ready(s.w, 1));
		disk_heal(disk_of_node(s.w, 1));
		run_for(s.w, 1000);
		if (seed % 3 == 0)
			assert_true(node_down(s.w, 1));
		else if (seed % 3 == 1)
			kill_process(s.w, 1);
		else
			power_cut(s.w, 1);
		story_end(&s);
	}
}

static void test_missing_at_the_start(void **state)
{
	struct story s;

	for (uint64_t seed = 1; seed <= 6; seed++) {
		story_begin(&s, seed);
		if (seed % 2)
			power_cut(s.w, 1);
		else
			assert_true(node_down(s.w, 1));
		break_dir(s.w);
		assert_true(node_up(s.w, 1));
		run_for(s.w, 2000);
		assert_true(world_node_is_ready(s.w, 1));
		disk_heal(disk_of_node(s.w, 1));
		kill_process(s.w, 1);
		story_end(&s);
	}
}

/* Does the world notice within so many seeds? */
static bool bites(enum fault fault, void (*story)(struct story *s, uint64_t seed))
{
	bool found = false;
	struct story s;

	fault_set(fault);
	for (uint64_t seed = 1; !found && seed <= 20; seed++) {
		story_begin(&s, seed);
		story(&s, seed);
		workload_calm(s.wl);
		run_for(s.w, 5000);
		found = s.w->has_failed;
		workload_free(s.wl);
		log_sink_set(NULL);
		world_free(s.w);
	}
	fault_set(FAULT_NONE);
	return found;
}

static void story_missing(struct story *s, uint64_t seed)
{
	assert_true(node_down(s->w, 1));
	break_dir(s->w);
	assert_true(node_up(s->w, 1));
	run_for(s->w, 2000);
}

static void story_full(struct story *s, uint64_t seed)
{
	disk_fill(s->w, 1, (int64_t)seed * 777);
	run_for(s->w, 2000);
	disk_room(s->w, 1);
}

static void test_deliberate_faults_are_found(void **state)
{
	assert_true(bites(FAULT_dir_begun_anew, story_missing));
	assert_true(bites(FAULT_enospc_keeps_offset, story_full));
	assert_false(bites(FAULT_NONE, story_missing));
	assert_false(bites(FAULT_NONE, story_full));
}

/* Struck by a full disk at any write: refused, nothing promised is lost, and it goes on when there is room. */
static void test_full_at_every_size(void **state)
{
	struct story s;

	for (int64_t bytes = 0; bytes <= 20000; bytes += 1777) {
		story_begin(&s, (uint64_t)bytes);
		disk_fill(s.w, 1, bytes);
		run_for(s.w, 2000);
		assert_true(world_node_is_ready(s.w, 1));
		disk_room(s.w, 1);
		story_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fails_while_running),
		cmocka_unit_test(test_missing_at_the_start),
		cmocka_unit_test(test_full_at_every_size),
		cmocka_unit_test(test_deliberate_faults_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
