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

#include "fault.h"
#include "story.h"

#define OTHER_DIR "/data2"
#define MOVE_STEPS_MAX 400 /* file operations that are struck one by one */

#define TWO_DIRS "log.dirs=/data," OTHER_DIR "\nmetadata.log.dir=/data\n"

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
		story_begin(&s, seed, NULL, TWO_DIRS, 600);
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
		story_begin(&s, seed, NULL, TWO_DIRS, 600);
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

/* A topic is deleted, and made again under its name, while the directory that holds its partition is missing. */
static void test_made_again_while_missing(void **state)
{
	static const char *const options[] = {"churn=1", "dirs=2", NULL};
	struct story s;

	for (uint64_t seed = 1; seed <= 6; seed++) {
		story_begin(&s, seed, options, TWO_DIRS, 600);
		kill_process(s.w, 1);
		break_dir(s.w);
		assert_true(node_up(s.w, 1));
		run_for(s.w, 3000);
		disk_heal(disk_of_node(s.w, 1));
		kill_process(s.w, 1);
		story_end(&s);
	}
}

static bool is_moved_or_dead(struct world *w, void *wl)
{
	return world_node(w, 1)->state == SIM_NODE_OFF || wl_dirs_is_met(((struct workload *)wl)->dirs);
}

/* Death at each file operation of a move (what it copies, the swap, the cleaning up) and of what goes on beside it, by
 * turns of the process and of the power. */
static void test_death_at_each_step_of_a_move(void **state)
{
	static const char *const options[] = {"dirs=2", NULL};
	struct story s;
	bool is_over;

	for (int how = SIM_DEATH_PROCESS; how <= SIM_DEATH_POWER; how++) {
		is_over = false;
		story_begin(&s, 7, options, TWO_DIRS, 600);
		for (uint64_t n = 1; n <= MOVE_STEPS_MAX && !is_over; n++) {
			wl_dirs_move(s.wl->dirs, 0);
			disk_crash_at(disk_of_node(s.w, 1), n, (enum sim_death)how);
			assert_true(run_until(s.w, is_moved_or_dead, s.wl, 30000));
			is_over = world_node(s.w, 1)->state != SIM_NODE_OFF;
			disk_crash_at(disk_of_node(s.w, 1), 0, SIM_DEATH_NONE);
			if (!is_over)
				assert_true(node_up(s.w, 1));
			/* It goes on with what was interrupted, or gives up; both are an end. */
			run_for(s.w, 300);
			assert_string_equal(s.w->failure, "");
		}
		assert_true(is_over);
		wl_dirs_demand(s.wl->dirs, DIRS_NOTHING, 0);
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
		story_begin(&s, seed, NULL, TWO_DIRS, 600);
		story(&s, seed);
		workload_calm(s.wl);
		run_for(s.w, 5000);
		found = s.w->has_failed;
		story_free(&s);
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
		story_begin(&s, (uint64_t)bytes, NULL, TWO_DIRS, 600);
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
		cmocka_unit_test(test_made_again_while_missing),
		cmocka_unit_test(test_death_at_each_step_of_a_move),
		cmocka_unit_test(test_full_at_every_size),
		cmocka_unit_test(test_deliberate_faults_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
