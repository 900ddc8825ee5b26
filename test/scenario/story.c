/* SPDX-License-Identifier: Apache-2.0 */
/* See story.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "check_dirs.h"
#include "check_files.h"
#include "sim_bodies.h"
#include "story.h"

void story_begin(struct story *s, uint64_t seed, const char *const *options, const char *config, int64_t ms)
{
	struct sim_options opt;

	sim_options_plain(&opt);
	opt.synced = 1;
	for (; options && *options; options++)
		assert_int_equal(sim_options_set(&opt, *options), ERR_NONE);
	s->w = world_new(seed, &opt, &broker_body);
	s->w->trace = getenv("TRACE") != NULL;
	log_sink_set(&s->w->sink);
	if (config)
		world_node_configure(s->w, 1, config);
	s->wl = workload_new(s->w, 1);
	assert_true(node_up(s->w, 1));
	workload_start(s->wl);
	run_for(s->w, ms);
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

void story_free(struct story *s)
{
	workload_free(s->wl);
	log_sink_set(NULL);
	world_free(s->w);
}

void story_end(struct story *s)
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
	check_files(disk_of_node(s->w, 1), &s->wl->history);
	check_dirs(disk_of_node(s->w, 1), s->w);
	assert_string_equal(s->w->failure, "");
	assert_true(s->wl->history.acked_n > 50);
	story_free(s);
}
