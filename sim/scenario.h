/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary of named scenarios, so that a story reads as one:
 *
 *	struct world *w = scenario_world(1, &broker_body);
 *	node_up(w, 1);
 *	...
 *	power_cut(w, 1);
 *	node_up(w, 1);
 *	CHECK(run_until(w, is_served, ctx, 5000));
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "sim_disk.h"
#include "sim_net.h"
#include "sim_world.h"

/* A world with plain options. */
static inline struct world *scenario_world(uint64_t seed, const struct sim_body *body)
{
	struct sim_options opt;

	sim_options_plain(&opt);
	return world_new(seed, &opt, body);
}

typedef bool scenario_cond(struct world *w, void *ctx);

/* Runs until the condition holds; false when it did not within `ms` or the world failed. */
static inline bool run_until(struct world *w, scenario_cond *cond, void *ctx, int64_t ms)
{
	int64_t end_ns = w->now_ns + ms * NS_PER_MS;

	while (!cond(w, ctx)) {
		if (w->now_ns >= end_ns || w->has_failed)
			return false;
		world_run_ms(w, 1);
	}
	return true;
}

static inline void run_for(struct world *w, int64_t ms)
{
	world_run_ms(w, ms);
}

static inline bool scenario_is_ready(struct world *w, void *id)
{
	return world_node_is_ready(w, *(const int *)id);
}

static inline bool scenario_is_off(struct world *w, void *id)
{
	return world_node(w, *(const int *)id)->state == SIM_NODE_OFF;
}

/* Starts the node and waits until it serves. */
static inline bool node_up(struct world *w, int id)
{
	return world_node_start(w, id) && run_until(w, scenario_is_ready, &id, 60000);
}

/* Clean stop, waited for. */
static inline bool node_down(struct world *w, int id)
{
	world_node_stop(w, id);
	return run_until(w, scenario_is_off, &id, 60000);
}

static inline void kill_process(struct world *w, int id)
{
	world_node_kill(w, id, SIM_DEATH_PROCESS);
}

static inline void power_cut(struct world *w, int id)
{
	world_node_kill(w, id, SIM_DEATH_POWER);
}

static inline bool restart(struct world *w, int id)
{
	kill_process(w, id);
	return node_up(w, id);
}

static inline struct sim_disk *disk_of_node(struct world *w, int id)
{
	return world_node(w, id)->disk;
}

/* Leaves `bytes` free. */
static inline void disk_fill(struct world *w, int id, int64_t bytes)
{
	disk_set_capacity(disk_of_node(w, id), disk_used(disk_of_node(w, id)) + bytes);
}

static inline void disk_room(struct world *w, int id)
{
	disk_set_capacity(disk_of_node(w, id), INT64_C(1) << 50);
}

/* The next operation of that kind fails with ERR_IO. */
static inline void fail_next(struct world *w, int id, enum disk_op op)
{
	disk_fault(disk_of_node(w, id), op, (struct disk_fault){.next_n = 1});
}

#endif
