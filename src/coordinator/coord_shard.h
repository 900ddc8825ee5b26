/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A coordinator's shard: one partition of a coordinator's log and the state that its records make. Generic: groups are
 * one machine on it. An operation decides on the newest state, ahead of the commit, and gives records and an answer;
 * the records are replayed at once and handed to the log; the answer is parked until they are committed, and undone
 * with everything behind it when the log fails. Pure: no I/O, no clock; the glue owns the log and the time.
 *
 *    NONE --coord_shard_load--> LOADING --coord_shard_loaded--> ACTIVE
 *     ^                            |                              |
 *     |                            +--replay fails--> FAILED <----+
 *     +------- coord_shard_unload (leadership lost, stop) --------+   from any state
 *
 *    operation:  decide --records--> replayed, in the log's hands --committed--> answered
 *                  |                        \--failed--> undone newest first, answered with the error
 *                  +--none, nothing open before it--> answered at once
 *                  +--ERR_WOULD_BLOCK--> the machine has parked it and ends it with coord_op_end
 *
 * 1. The state is the latest value of each key: what compaction keeps. replay(current(key)) changes nothing, and
 *    undoing a record is replaying what its key held before. State that no record holds (who is connected) has hooks.
 * 2. An operation sees every operation before it, committed or not, and is answered after all of them are committed.
 * 3. Every operation is answered exactly once: decided, committed, failed, or the shard was unloaded.
 * 4. What is open (records not yet committed) and what waits for it stand in one list, in order.
 */
#ifndef COORDINATOR_COORD_SHARD_H
#define COORDINATOR_COORD_SHARD_H

#include "arena.h"
#include "codec.h"
#include "coord_stats.h"
#include "err.h"
#include "fmt.h"
#include "heap.h"
#include "list.h"
#include "rng.h"
#include "vec.h"

struct coord_shard;
struct coord_op;

/* Keys and values lie in an arena that lives as long as the operation. */
struct coord_record {
	struct bytes key;
	struct bytes value; /* null: the key is deleted */
};

struct coord_records {
	VEC(struct coord_record) v;
	size_t bytes;   /* of all keys and values */
	struct arena *arena;
	bool is_too_large; /* more came than COORD_RECORDS_MAX; the rest was dropped */
};

/* More than any batch holds: an operation that goes beyond fails with ERR_MESSAGE_TOO_LARGE. */
#define COORD_RECORDS_MAX MIB(16)
/* Limit of an arena in which a machine decodes what it replays: whatever an operation may write can be read back, as no
 * value is more than eight times as large in C. */
#define COORD_REPLAY_LIMIT ((size_t)COORD_RECORDS_MAX * 8 * CODEC_DECODE_PART)

/* False: this is more than one operation may write, and it will be refused; nothing more is worth making. */
bool coord_records_have_room(struct coord_records *records);
void coord_records_add(struct coord_records *records, struct bytes key, struct bytes value);

/* Who wrote a record: a transaction, or (producer_id -1) the coordinator itself. */
struct coord_origin {
	int64_t producer_id;
	int16_t producer_epoch;
};

#define COORD_ORIGIN_NONE ((struct coord_origin){-1, -1})

struct coord_machine_ops {
	const char *name; /* of the kind, for logs: "group" */
	/* Changes the state by one record. ERR_NONE also for a type that this build does not know: it is skipped. */
	enum err (*replay)(void *machine, struct coord_origin origin, struct bytes key, struct bytes value,
			   struct err_text *text);
	/* What the state holds for a key: a value in the arena, or null. What replay skips it calls null. */
	struct bytes (*current)(void *machine, struct coord_origin origin, struct bytes key, struct arena *arena);
	/* A transaction ended: what it wrote counts, or is forgotten. NULL: none writes to this machine. */
	void (*end_transaction)(void *machine, struct coord_origin origin, bool commit);
	/* All records are in: timers may start. */
	void (*loaded)(void *machine);
	/* The shard leaves ACTIVE: end what is parked, with err; the state is freed after. */
	void (*unload)(void *machine, enum err err);
};

/* The log, as the glue keeps it. */
struct coord_log_ops {
	/* Queues records behind those queued before, as one batch or as part of one, all or none. ERR_RECORD_TOO_LARGE:
	 * they do not fit into a batch, and nothing was queued. Later exactly one of coord_shard_committed (with this
	 * or a later seq) and coord_shard_failed (with this or an earlier one) is called, never inside this call. */
	enum err (*write)(struct coord_shard *shard, uint64_t seq, struct coord_origin origin,
			  const struct coord_records *records);
	/* The next deadline may have moved: see coord_shard_next_ms. */
	void (*timer_moved)(struct coord_shard *shard);
};

enum coord_shard_state { COORD_NONE, COORD_LOADING, COORD_ACTIVE, COORD_FAILED, COORD_STATES_N };

struct coord_shard {
	enum coord_shard_state state;
	const struct coord_machine_ops *ops;
	void *machine;
	const struct coord_log_ops *log;
	void *ctx;           /* the glue's */
	struct coord_stats *stats; /* the glue's, of all shards of its kind; NULL: nobody counts */
	struct rng *rng;     /* the reactor's */
	int32_t partition;   /* of the log, for logs */
	int64_t now_ms;      /* monotonic; set by coord_shard_time */
	int64_t wall_ms;     /* since 1970 */
	uint64_t seq_queued; /* of the newest write, 0: none yet */
	uint64_t seq_done;   /* committed (or failed) up to here */
	struct list open;    /* struct coord_op, in order */
	struct heap timers;  /* struct coord_timer by deadline */
	int64_t records_n;   /* replayed while loading */
	size_t write_max;    /* bytes of keys and values that the log takes at once; 0: COORD_RECORDS_MAX */
	uint64_t failures_n; /* times that the log failed what was open */
	bool is_undoing;     /* what is replayed now is what a key held before */
	struct coord_records spare; /* empty: its array served an operation and serves the next one */
	struct err_text failure;
};

/* One operation. In memory of its owner (mostly a request's) until `done`. */
struct coord_op {
	struct list link; /* private */
	/* in */
	struct arena *arena; /* for records and answer; lives until done */
	struct coord_origin origin; /* COORD_ORIGIN_NONE unless a transaction writes */
	/*
	 * Decides on the newest state and fills answer and records, which are then replayed and logged. An error ends
	 * the operation without records; it is answered as it is, in order. ERR_WOULD_BLOCK without records: the
	 * machine keeps the operation and ends it by coord_op_end.
	 */
	enum err (*decide)(struct coord_op *op, void *machine, struct coord_records *records);
	/* The answer may leave (err as decided), or the operation failed. NULL: nobody waits. Frees the op. */
	void (*done)(struct coord_op *op);
	/* Before done, when the records are committed or have failed (then they are undone already). May be NULL. */
	void (*settled)(struct coord_op *op, void *machine, enum err err);
	void *ctx; /* the owner's */
	/* out */
	enum err err;
	/* private */
	uint64_t seq; /* its own write, or the last one before it; 0: answered without waiting for any */
	bool has_records;
	bool is_open;
	struct coord_record *undo; /* in the order of its records: what their keys held; undo_one, or of its own */
	struct coord_record undo_one; /* mostly there is no more than one */
	size_t undo_n;
};

void coord_shard_init(struct coord_shard *shard, const struct coord_machine_ops *ops, void *machine,
		      const struct coord_log_ops *log, void *ctx, struct rng *rng);
/* In state NONE (unload first). */
void coord_shard_deinit(struct coord_shard *shard);
/* The time of all that follows, until it is set again. */
void coord_shard_time(struct coord_shard *shard, int64_t now_ms, int64_t wall_ms);

/* NONE -> LOADING. */
void coord_shard_load(struct coord_shard *shard);
/* One record of the log, in order. On an error the shard is FAILED, and `failure` says why. */
enum err coord_shard_replay(struct coord_shard *shard, struct coord_origin origin, struct bytes key,
			    struct bytes value) MUST_USE;
/* A transaction's marker in the log, or one written now. */
void coord_shard_end_transaction(struct coord_shard *shard, struct coord_origin origin, bool commit);
/* LOADING -> ACTIVE. */
void coord_shard_loaded(struct coord_shard *shard);
/* The log cannot be read. -> FAILED. */
void coord_shard_fail(struct coord_shard *shard, const char *why);
/* -> NONE. Everything open and parked is ended with `err` (nothing is undone: the state goes away). */
void coord_shard_unload(struct coord_shard *shard, enum err err);

static inline void coord_shard_count(struct coord_shard *shard, enum coord_count count, uint64_t n)
{
	if (shard->stats)
		shard->stats->counts[count] += n;
}

/* ERR_COORDINATOR_LOAD_IN_PROGRESS, ERR_NOT_COORDINATOR (NONE, FAILED), or none. */
enum err coord_shard_check(const struct coord_shard *shard) MUST_USE;
/* Runs an operation. `done` may run before this returns. */
void coord_shard_submit(struct coord_shard *shard, struct coord_op *op);
/* Ends an operation that decided ERR_WOULD_BLOCK, at once. */
void coord_op_end(struct coord_op *op, enum err err);

/*
 * For machines: writes records of their own, outside any operation (a timer, a hook). `is_replayed` false: they tell
 * what the state is already, or will be when `settled` makes it so; undoing them is settled's matter too. The records
 * are copied. settled (NULL is fine) runs once, perhaps before this returns when the log refuses; with an error and
 * without a machine when the shard is unloaded: only to free ctx.
 */
typedef void coord_settled_fn(void *machine, void *ctx, enum err err);
void coord_shard_write(struct coord_shard *shard, const struct coord_records *records, bool is_replayed,
		       coord_settled_fn *settled, void *ctx);

/* From the log. Answers come out of here. */
void coord_shard_committed(struct coord_shard *shard, uint64_t seq);
/* The write `seq` and all behind it are not in the log. */
void coord_shard_failed(struct coord_shard *shard, uint64_t seq, enum err err);

/* Deadlines of the machine. A timer that was stopped does not fire; starting it again moves it. One that moves later,
 * as a session does with each heartbeat, stays where it is in the heap, and is moved when its turn comes. */
struct coord_timer {
	struct heap_node node; /* its key is due_ms or earlier */
	int64_t due_ms;
	void (*fire)(struct coord_timer *timer, void *machine);
};

void coord_timer_start(struct coord_shard *shard, struct coord_timer *timer, int64_t delay_ms,
		       void (*fire)(struct coord_timer *timer, void *machine));
void coord_timer_stop(struct coord_shard *shard, struct coord_timer *timer);
static inline bool coord_timer_is_on(const struct coord_timer *timer)
{
	return timer->node.index != 0;
}
/* No timer fires before. INT64_MAX: there is none. */
int64_t coord_shard_next_ms(const struct coord_shard *shard);
/* Fires what is due. Fires and moves at most `budget`; returns how many. */
int coord_shard_tick(struct coord_shard *shard, int budget);

void coord_shard_check_invariants(const struct coord_shard *shard);

#endif
