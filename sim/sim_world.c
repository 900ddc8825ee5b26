/* SPDX-License-Identifier: Apache-2.0 */
/* Events, nodes and their deaths, the trace. See sim_world.h. */
#include "sim_world.h"

#include <stdarg.h>
#include <stdio.h>

#include "fmt.h"
#include "hash.h"
#include "io_sim.h"
#include "sim_disk.h"
#include "sim_net.h"

#define WORLD_WALL_START_NS (INT64_C(1790000000) * NS_PER_S)

void world_hash(struct world *w, const void *p, size_t len)
{
	w->hash = hash_bytes(p, len, w->hash);
}

/* --- trace --- */

static void trace_line(struct world *w, int host, enum log_level level, const char *event, const char *text)
{
	char line[1200];
	struct fmt f;

	fmt_init(&f, line, sizeof(line));
	fmt_add(&f, "%12.6f n%d %s %s %s", (double)w->now_ns / 1e9, host, log_level_name(level), event, text);
	if (level >= LOG_INFO)
		world_hash(w, line, f.len);
	if (w->trace)
		printf("%s\n", line);
}

static void node_sink_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	struct sim_node *sn = container_of(sink, struct sim_node, sink);
	struct mem_scope *scope = mem_scope_enter(NULL);

	trace_line(sn->w, sn->id, level, event, text);
	if (sn->w->on_log && level >= LOG_INFO)
		sn->w->on_log(sn->w, sn->w->log_ctx, event, text);
	mem_scope_enter(scope);
}

static void world_sink_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	trace_line(container_of(sink, struct world, sink), 0, level, event, text);
}

void world_log(struct world *w, const char *event, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	trace_line(w, 0, LOG_INFO, event, text);
}

void world_trace(struct world *w, const char *event, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	if (!w->trace)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	trace_line(w, 0, LOG_DEBUG, event, text);
}

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (w->has_failed)
		return;
	w->has_failed = true;
	va_start(args, fmt);
	vsnprintf(w->failure, sizeof(w->failure), fmt, args);
	va_end(args);
	world_log(w, "world.failed", "%s", w->failure);
	if (!w->quiet)
		fprintf(stderr, "seed %llu at %.6f s: %s\n", (unsigned long long)w->seed, (double)w->now_ns / 1e9,
			w->failure);
}

/* --- events --- */

void world_at(struct world *w, struct sim_event *event, int64_t at_ns, void (*fire)(struct sim_event *))
{
	heap_remove(&w->events, &event->node);
	event->fire = fire;
	/* Ties go by `order`; a random one makes the seed choose. */
	w->events.order_next = rng_u64(&w->rng);
	heap_push(&w->events, &event->node, MAX(at_ns, w->now_ns));
}

void world_off(struct world *w, struct sim_event *event)
{
	heap_remove(&w->events, &event->node);
}

bool world_step(struct world *w)
{
	struct heap_node *top = w->has_failed ? NULL : heap_pop(&w->events);
	struct sim_event *event;

	if (!top)
		return false;
	event = container_of(top, struct sim_event, node);
	CHECK_OP(top->key, >=, w->now_ns);
	w->now_ns = top->key;
	w->events_n++;
	world_hash(w, &w->now_ns, sizeof(w->now_ns));
	event->fire(event);
	return true;
}

void world_run_ms(struct world *w, int64_t ms)
{
	int64_t end_ns = w->now_ns + ms * NS_PER_MS;
	const struct heap_node *top;

	while ((top = heap_peek(&w->events)) != NULL && top->key <= end_ns) {
		if (!world_step(w))
			return;
	}
	if (!w->has_failed)
		w->now_ns = end_ns;
}

int64_t world_draw_us(struct world *w, int64_t max_us)
{
	int64_t most_ns = max_us * 1000;

	/* One in eight may be as long as allowed, the others stay below an eighth of it. */
	if (rng_below(&w->rng, 8) != 0)
		most_ns /= 8;
	return rng_between(&w->rng, 0, most_ns);
}

/* --- nodes --- */

struct sim_node *world_node(struct world *w, int id)
{
	CHECK_OP(id, >=, 1);
	CHECK_OP(id, <=, SIM_NODES_MAX);
	return &w->nodes[id];
}

void world_node_configure(struct world *w, int id, const char *config)
{
	world_node(w, id)->config = config;
}

struct sim_guard sim_node_enter(struct sim_node *sn)
{
	struct sim_guard guard;

	CHECK(!sn->is_running);
	sn->is_running = true;
	guard.scope = mem_scope_enter(sn->scope);
	guard.sink = log_sink_set(&sn->sink);
	return guard;
}

void sim_node_leave(struct sim_node *sn, struct sim_guard guard)
{
	mem_scope_enter(guard.scope);
	log_sink_set(guard.sink);
	sn->is_running = false;
	if (sn->doom != SIM_DEATH_NONE)
		world_node_kill(sn->w, sn->id, sn->doom);
}

int64_t sim_node_clock(struct sim_node *sn, enum io_clock clock)
{
	if (clock == IO_CLOCK_MONOTONIC)
		return sn->w->now_ns - sn->boot_ns + NS_PER_S;
	return sn->w->wall_base_ns + sn->w->now_ns + sn->wall_skew_ns;
}

static void node_drop_ios(struct sim_node *sn)
{
	for (int i = 0; i < sn->reactors_n; i++) {
		io_sim_free(sn->ios[i]);
		sn->ios[i] = NULL;
	}
}

/* What is common to every end of a process: streams and handles go, memory is freed. */
static void node_vanish(struct sim_node *sn, enum sim_death death)
{
	sn->state = SIM_NODE_OFF;
	sn->doom = SIM_DEATH_NONE;
	net_host_died(sn->w->net, sn->id, death == SIM_DEATH_POWER);
	mem_scope_free(sn->scope);
	sn->scope = NULL;
	sn->node = NULL;
	node_drop_ios(sn);
	sn->paused_until_ns = 0;
	if (death == SIM_DEATH_POWER) {
		disk_power_cut(sn->disk);
		sn->boot_ns = sn->w->now_ns;
	} else {
		disk_process_end(sn->disk);
	}
}

void world_node_kill(struct world *w, int id, enum sim_death death)
{
	struct sim_node *sn = world_node(w, id);

	CHECK(death != SIM_DEATH_NONE);
	if (sn->state == SIM_NODE_OFF && sn->scope == NULL) {
		if (death == SIM_DEATH_POWER) {
			net_host_died(w->net, id, true);
			disk_power_cut(sn->disk);
			if (w->on_end)
				w->on_end(w, id, death);
		}
		return;
	}
	if (sn->is_running) {
		sn->doom = death;
		return;
	}
	world_log(w, death == SIM_DEATH_POWER ? "node.power_cut" : "node.killed", "id=%d", id);
	node_vanish(sn, death);
	if (w->on_end)
		w->on_end(w, id, death);
}

bool world_node_start(struct world *w, int id)
{
	struct sim_node *sn = world_node(w, id);
	struct io *ios[SIM_REACTORS_MAX];
	struct sim_guard guard;
	enum err err;

	CHECK(sn->state == SIM_NODE_OFF);
	world_log(w, "node.start", "id=%d", id);
	net_host_up(w->net, id);
	sn->starts_n++;
	sn->reactors_n = (int)MIN(w->opt.reactors, SIM_REACTORS_MAX);
	sn->scope = mem_scope_new();
	for (int i = 0; i < sn->reactors_n; i++) {
		sn->ios[i] = io_sim_new(sn, i);
		ios[i] = io_sim_io(sn->ios[i]);
	}
	guard = sim_node_enter(sn);
	sn->node = MEM_NEW(struct node);
	err = node_init(sn->node, id, ios, sn->reactors_n);
	CHECK_OP(err, ==, ERR_NONE);
	for (int i = 0; i < sn->reactors_n; i++)
		sn->node->reactors[i].log_sink = &sn->sink;
	sn->state = SIM_NODE_UP;
	err = w->body->start(sn->node, disk_fs(sn->disk), sn);
	sn->start_err = err;
	if (err)
		sn->doom = sn->doom == SIM_DEATH_NONE ? SIM_DEATH_PROCESS : sn->doom;
	sim_node_leave(sn, guard);
	if (sn->state == SIM_NODE_OFF) {
		world_log(w, "node.start_failed", "id=%d err=%d", id, (int)err);
		return false;
	}
	for (int i = 0; i < sn->reactors_n; i++)
		io_sim_run(sn->ios[i], &sn->node->reactors[i]);
	return true;
}

static void node_finish_stop(struct sim_node *sn)
{
	struct mem_stats left;
	struct sim_guard guard = sim_node_enter(sn);

	sn->w->body->free(sn->node);
	node_deinit(sn->node);
	mem_free(sn->node);
	sn->node = NULL;
	for (int i = 0; i < sn->reactors_n; i++)
		io_sim_drop_blocks(sn->ios[i]);
	left = mem_scope_stats(sn->scope);
	if (left.blocks) {
		if (!sn->w->quiet)
			mem_scope_report(sn->scope, 10);
		world_fail(sn->w, "node %d: %lld blocks, %lld bytes still held after a clean stop", sn->id,
			   (long long)left.blocks, (long long)left.bytes);
	}
	sn->doom = SIM_DEATH_NONE;
	sim_node_leave(sn, guard);
	world_log(sn->w, sn->state == SIM_NODE_STOPPING ? "node.stopped" : "node.ended_by_itself", "id=%d", sn->id);
	node_vanish(sn, SIM_DEATH_PROCESS);
	if (sn->w->on_end)
		sn->w->on_end(sn->w, sn->id, SIM_DEATH_NONE);
}

/* Called by io_sim after each turn of one of the node's reactors. */
void sim_node_turn_done(struct sim_node *sn)
{
	struct sim_guard guard;
	bool is_stopped;

	if (sn->state == SIM_NODE_OFF)
		return;
	guard = sim_node_enter(sn);
	if (sn->w->body->has_failed && sn->w->body->has_failed(sn->node))
		sn->doom = SIM_DEATH_PROCESS;
	is_stopped = sn->w->body->is_stopped(sn->node);
	sim_node_leave(sn, guard);
	if (is_stopped && sn->state != SIM_NODE_OFF)
		node_finish_stop(sn);
}

void world_node_stop(struct world *w, int id)
{
	struct sim_node *sn = world_node(w, id);
	struct sim_guard guard;

	if (sn->state != SIM_NODE_UP)
		return;
	world_log(w, "node.stop", "id=%d", id);
	guard = sim_node_enter(sn);
	sn->state = SIM_NODE_STOPPING;
	w->body->request_stop(sn->node);
	sim_node_leave(sn, guard);
	for (int i = 0; sn->state != SIM_NODE_OFF && i < sn->reactors_n; i++)
		io_sim_poke(sn->ios[i]);
}

bool world_node_is_ready(struct world *w, int id)
{
	struct sim_node *sn = world_node(w, id);
	struct sim_guard guard;
	bool is_ready;

	if (sn->state != SIM_NODE_UP)
		return false;
	if (!w->body->is_ready)
		return true;
	guard = sim_node_enter(sn);
	is_ready = w->body->is_ready(sn->node);
	sim_node_leave(sn, guard);
	return is_ready;
}

void world_node_pause(struct world *w, int id, int64_t ms)
{
	world_node(w, id)->paused_until_ns = w->now_ns + ms * NS_PER_MS;
}

void world_check(struct world *w)
{
	for (int id = 1; id <= SIM_NODES_MAX; id++) {
		struct sim_node *sn = &w->nodes[id];
		struct sim_guard guard;

		if (sn->state != SIM_NODE_UP || !w->body->check)
			continue;
		guard = sim_node_enter(sn);
		w->body->check(sn->node, w);
		sim_node_leave(sn, guard);
	}
}

struct world *world_new(uint64_t seed, const struct sim_options *opt, const struct sim_body *body)
{
	struct world *w = MEM_NEW(struct world);

	w->seed = seed;
	rng_init(&w->rng, seed ^ UINT64_C(0x6d6f6c646175));
	w->opt = *opt;
	w->wall_base_ns = WORLD_WALL_START_NS;
	w->hash = seed;
	w->body = body;
	w->sink = (struct log_sink){.level = LOG_INFO, .write = world_sink_write};
	w->net = net_new(w);
	for (int id = 1; id <= SIM_NODES_MAX; id++) {
		struct sim_node *sn = &w->nodes[id];

		sn->w = w;
		sn->id = id;
		sn->port = 9092;
		sn->opt = &w->opt;
		sn->config = "";
		sn->sink = (struct log_sink){.level = LOG_INFO, .write = node_sink_write};
		sn->disk = disk_new(w, sn);
	}
	return w;
}

void world_free(struct world *w)
{
	for (int id = 1; id <= SIM_NODES_MAX; id++) {
		if (w->nodes[id].scope)
			node_vanish(&w->nodes[id], SIM_DEATH_PROCESS);
		disk_free(w->nodes[id].disk);
	}
	net_free(w->net);
	heap_deinit(&w->events);
	mem_free(w);
}
