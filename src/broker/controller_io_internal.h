/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the controller's glue share: controller_io.c has its states, its start and stop, raft's actions and
 * the queue of operations; controller_log.c appends to the metadata log, controller_publish.c brings images to the
 * shards and answers, controller_snapshot.c writes snapshots, controller_lead.c begins to lead.
 */
#ifndef BROKER_CONTROLLER_IO_INTERNAL_H
#define BROKER_CONTROLLER_IO_INTERNAL_H

#include "controller_io.h"
#include "metadata_store.h"
#include "metrics.h"
#include "part_log.h"
#include "raft.h"

enum controller_io_state { CIO_CLOSED, CIO_OPENING, CIO_LOADING, CIO_ELECTING, CIO_LEADING, CIO_CLOSING, CIO_FAILED };

/* One image on its way to one shard. */
struct image_update {
	struct msg msg;
	struct controller_io *io;
	struct image *image;
};

/* One batch on its way into the log. */
struct metadata_append {
	struct log_append append;
	struct controller_io *io;
	struct scratch batch;
};

/* The first operation of a leader. Part of the whole, so that a stop may leave it unanswered. */
struct bootstrap_op {
	struct controller_op op;
	struct controller_records records;
	struct arena arena;
};

/* Looks now and then for brokers that have gone without a word. */
struct sessions_op {
	struct controller_op op;
	struct arena arena;
	bool is_running;
};

struct controller_io {
	struct broker *broker;
	struct reactor *reactor;
	struct sm state;
	struct part_log *log;
	struct metadata_load load;
	bool load_running;
	struct raft raft;
	bool has_raft;
	struct quorum_save quorum_save;
	struct arena quorum_arena;
	struct controller controller;
	bool has_controller;
	bool bootstrap_again;    /* it failed, as on a full disk: the tick tries once more */
	struct bootstrap_op bootstrap;
	struct sessions_op sessions;
	struct deferred run;     /* raft actions and queued operations */
	struct list queued;      /* struct controller_op, not decided yet */
	struct list pending;     /* decided, not answered */
	struct image *published; /* every shard has this one, or gets it now */
	struct image *replaced;  /* the one before, until all have the new one */
	struct image_update *updates; /* per shard */
	int updates_out;
	int64_t applied_offset;  /* every shard has an image of at least this */
	int64_t decided_end;     /* log end after all decided operations */
	int64_t barrier_offset;  /* nothing is decided until this is applied */
	struct snapshot_save snapshot;
	bool snapshot_running;
	int64_t snapshot_last_offset, snapshot_last_ns, snapshot_bytes;
	int64_t snapshot_written_bytes; /* size of the newest one written since the start, 0: none */
	struct timer tick;
	struct metrics_controller metrics;
};

void controller_io_move(struct controller_io *io, int state);
bool controller_io_is(const struct controller_io *io, enum controller_io_state state);
/* Ends the node. */
void controller_io_fail(struct controller_io *io, enum err err, const char *what);
/* Looks for raft's actions and queued operations, not inside this call. */
void controller_io_run_later(struct controller_io *io);

/* Tells the owner of an operation that it has ended. */
void controller_io_answer_op(struct controller_io *io, struct controller_op *op);
/* Invariant 3: in order, and only what every shard has seen. */
void controller_io_answer(struct controller_io *io);
/* Sends the newest committed image to every shard, unless one is on its way. */
void controller_io_publish(struct controller_io *io);

/* Writes a snapshot when one is due. */
void controller_io_snapshot(struct controller_io *io);

/* Appends a batch of the leader's, and syncs it. On failure the batch is freed and nothing has changed. */
enum err controller_log_append(struct controller_io *io, struct scratch *take_batch, int32_t epoch) MUST_USE;
/* part_log.advanced of the metadata log */
void controller_log_advanced(struct part_log *log);

/* The controller begins with what has been loaded. */
void controller_io_lead(struct controller_io *io);
/* Queues the first operation of a leader. */
void controller_io_bootstrap(struct controller_io *io);
/* Fences a broker whose session has ended. */
void controller_io_check_sessions(struct controller_io *io);
void controller_bootstrap_deinit(struct bootstrap_op *bootstrap);

#endif
