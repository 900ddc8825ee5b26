/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world: virtual time, one queue of events, nodes with their reactors, disks and streams between them, all in one
 * thread and all drawn from one seed. Node code is the product's own; only its io and fs are the simulator's.
 *
 * 1. The least event runs next; equal times are ordered by the seed. Nothing reads a real clock.
 * 2. While code of a node runs, its memory scope is current and its log sink is set; simulator code that it calls
 *    leaves the scope for its own allocations.
 * 3. A killed node leaves nothing: its events are off, its streams end as the manner of death says, its memory is
 *    freed by scope and no destructor runs. Its disk stays.
 * 4. `hash` covers every event (time, kind, node) and every log line at INFO and above: one seed, one hash.
 *
 *       OFF --start--> UP --request_stop--> STOPPING --is_stopped--> OFF
 *        ^             |                       |      UP and is_stopped: it ended by itself
 *        +---- kill ---+---------- kill -------+       start that fails: OFF, start_err says why
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "fs.h"
#include "heap.h"
#include "list.h"
#include "log.h"
#include "mem.h"
#include "node.h"
#include "rng.h"
#include "sim_swarm.h"

#define SIM_NODES_MAX 6
#define SIM_HOSTS_MAX (SIM_NODES_MAX + 1) /* host 0: where clients live */
#define SIM_REACTORS_MAX 4

struct world;
struct io_sim;
struct sim_disk;
struct sim_net;

struct sim_event {
	struct heap_node node;
	void (*fire)(struct sim_event *event);
};

struct sim_node;

/* What runs on a node. All calls come with the node's scope entered. */
struct sim_body {
	const char *name;
	/* Builds everything on node->reactors; may use fs directly. An error means "did not start": what was built is
	 * freed with the scope. */
	enum err (*start)(struct node *node, struct fs *fs, const struct sim_node *config);
	/* Begins a clean stop, which goes on over later turns. */
	void (*request_stop)(struct node *node);
	/* Also true of a node that ended by itself, as one whose last log directory failed does. */
	bool (*is_stopped)(struct node *node);
	/* It gave up: its process ends as it is, nothing is freed one by one. May be NULL. */
	bool (*has_failed)(struct node *node);
	/* Serves clients. NULL: as soon as start returned. */
	bool (*is_ready)(struct node *node);
	/* Called only after is_stopped: every block of the scope has to be back after it. */
	void (*free)(struct node *node);
	/* May be NULL. Cheap checks at quiet points, e.g. that the metadata image equals a replay; what is wrong goes
	 * to world_fail. */
	void (*check)(struct node *node, struct world *w);
};

enum sim_node_state { SIM_NODE_OFF, SIM_NODE_UP, SIM_NODE_STOPPING };

enum sim_death { SIM_DEATH_NONE, SIM_DEATH_PROCESS, SIM_DEATH_POWER };

struct sim_node {
	struct world *w;
	int id;      /* 1 .. SIM_NODES_MAX */
	int port;    /* where its body listens for clients */
	const struct sim_options *opt;
	const char *config; /* extra lines of server.properties, or "" */
	enum sim_node_state state;
	enum err start_err;
	struct mem_scope *scope;
	struct node *node;
	struct io_sim *ios[SIM_REACTORS_MAX];
	int reactors_n;
	struct sim_disk *disk;
	struct log_sink sink;
	int64_t boot_ns;         /* the monotonic clock's zero */
	int64_t wall_skew_ns;
	int64_t paused_until_ns;
	enum sim_death doom;     /* dies when the running callback returns */
	bool is_running;         /* its code is on the stack */
	int starts_n;
};

struct world {
	uint64_t seed;
	struct rng rng;
	struct sim_options opt;
	int64_t now_ns;
	int64_t wall_base_ns;
	struct heap events;
	uint64_t events_n;
	uint64_t hash;
	uint32_t era;        /* lossy cuts so far */
	bool trace;          /* print every line, TRACE level included */
	bool quiet;          /* print no failure text */
	struct sim_node nodes[SIM_NODES_MAX + 1]; /* [0] unused */
	struct sim_net *net;
	const struct sim_body *body;
	struct log_sink sink;
	bool has_failed;
	char failure[512];   /* the first */
	/* A node ended: killed, crashed; SIM_DEATH_NONE: stopped, or by itself. Called right after. May be NULL. */
	void (*on_end)(struct world *w, int id, enum sim_death death);
	void *ctx;           /* of on_end */
	/* A line of a node's log, at INFO or above. May be NULL. */
	void (*on_log)(struct world *w, void *ctx, const char *event, const char *text);
	void *log_ctx;
};

struct world *world_new(uint64_t seed, const struct sim_options *opt, const struct sim_body *body);
void world_free(struct world *w);

/* Events. Scheduling one that is queued moves it. */
void world_at(struct world *w, struct sim_event *event, int64_t at_ns, void (*fire)(struct sim_event *));
static inline void world_after(struct world *w, struct sim_event *event, int64_t delay_ns,
			       void (*fire)(struct sim_event *))
{
	world_at(w, event, w->now_ns + delay_ns, fire);
}
void world_off(struct world *w, struct sim_event *event);
static inline bool sim_event_is_on(const struct sim_event *event)
{
	return event->node.index != 0;
}

/* Runs the next event; false when there is none or the world has failed. */
bool world_step(struct world *w);
/* Runs everything due within `ms`; time moves to the end of it. */
void world_run_ms(struct world *w, int64_t ms);

/* A draw of [0, max_us] microseconds in ns, mostly short. */
int64_t world_draw_us(struct world *w, int64_t max_us);
static inline bool world_chance(struct world *w, int64_t num, int64_t den)
{
	return num > 0 && rng_chance(&w->rng, (uint64_t)num, (uint64_t)den);
}

/* Remembers the first failure and stops the run. */
void world_fail(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A line of the world itself, hashed like a node's. */
void world_log(struct world *w, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A line for --trace only. */
void world_trace(struct world *w, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
void world_hash(struct world *w, const void *p, size_t len);

/* Nodes. `config`: borrowed until the world ends. */
struct sim_node *world_node(struct world *w, int id);
void world_node_configure(struct world *w, int id, const char *config);
/* False when start failed (start_err) or the crash counter struck during it. */
bool world_node_start(struct world *w, int id);
void world_node_stop(struct world *w, int id);
/* At once, or when the node's running callback returns. A power cut also takes the machine's kernel: peers hear
 * nothing, unsynced writes are at the disk model's mercy, the boot id changes. */
void world_node_kill(struct world *w, int id, enum sim_death death);
bool world_node_is_ready(struct world *w, int id);
void world_node_pause(struct world *w, int id, int64_t ms);
/* Runs the body's check on every node that is up. */
void world_check(struct world *w);

/* Around each piece of node code. */
struct sim_guard {
	struct mem_scope *scope;
	struct log_sink *sink;
};
struct sim_guard sim_node_enter(struct sim_node *sn);
/* Carries out a death that struck meanwhile: `sn` may be OFF after. */
void sim_node_leave(struct sim_node *sn, struct sim_guard guard);
int64_t sim_node_clock(struct sim_node *sn, enum io_clock clock);

#endif
