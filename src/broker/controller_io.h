/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller and its Raft node on reactor 0, tied to the metadata log on disk and to the shards. The cores
 * (controller.h, raft.h) decide; this file appends their records, syncs, commits, publishes images, and answers.
 *
 *   operation --message--> decide --> append to __cluster_metadata-0 --> sync --> commit --> image to every shard
 *        ^                                                                                      |
 *        +---------------------------- answer, when every shard has the image ------------------+
 *
 * 1. The metadata log is synced before a record counts as committed.
 * 2. Images reach each shard in order; the one before comes back before it is freed.
 * 3. An operation is answered when its records are committed and every shard has an image that holds them; operations
 *    are answered in the order in which they were decided.
 */
#ifndef BROKER_CONTROLLER_IO_H
#define BROKER_CONTROLLER_IO_H

#include "arena.h"
#include "controller.h"
#include "reactor.h"

struct broker;
struct raft;
struct controller_io;

/* One operation: lives in its owner's memory until done runs on the owner's reactor. */
struct controller_op {
	struct msg msg;   /* private */
	struct list link; /* private */
	/* in */
	struct reactor *home;
	struct arena *arena; /* the response's; nobody else uses it meanwhile */
	const void *request; /* wire structs */
	void *response;
	int16_t version;
	struct str client_id; /* of a client's operation that makes or deletes partitions; null: nothing is counted */
	struct str user;
	bool is_strict; /* over its limit the client is refused, not only slowed down */
	bool is_barrier; /* removes topics: nothing is decided before every shard has let go of them, so that a topic of
	                    the same name never meets the old one's files */
	/* Calls one of the core's functions. */
	enum err (*decide)(struct controller *controller, struct controller_op *op, struct controller_records *records);
	void (*done)(struct controller_op *op);
	/* out */
	enum err err;
	int64_t end_offset; /* private: the log's end after its records */
	int64_t queued_ns;  /* private: when it came */
	int64_t first_offset; /* of its first record, -1 when it wrote none */
	int32_t throttle_ms; /* the client is to wait */
	void *ctx;
};

/* From any reactor. `done` runs later, on op->home. */
void controller_submit(struct broker *broker, struct controller_op *op);

/* What DescribeQuorum tells. */
struct quorum_status {
	int32_t leader_id;
	int32_t leader_epoch;
	int64_t high_watermark;
	int64_t log_end_offset;
	struct uuid directory_id;
	int64_t last_caught_up_ms;
};
void controller_io_quorum(const struct broker *broker, struct quorum_status *ret);
/* The version that the quorum's directories were formatted with, from when there is an image; on any reactor. */
int16_t controller_io_kraft_version(const struct broker *broker);

/* At start, on reactor 0, blocking: reads or formats the metadata log of `dir`, replays it. The text explains. */
enum err controller_io_open(struct broker *broker, struct err_text *text) MUST_USE;
/* Opens the log for writing, elects itself, publishes the first image. */
void controller_io_start(struct broker *broker);
/* Writes what is queued, closes the log; controller_io_is_closed tells when. */
void controller_io_stop(struct broker *broker);
bool controller_io_is_closed(const struct broker *broker);
void controller_io_close(struct broker *broker);
/* Below it the metadata log is synced, -1 when that is not known; on reactor 0. */
int64_t controller_io_recovery_point(const struct broker *broker);
/* The next offset of the metadata log; on reactor 0. */
int64_t controller_io_log_end(const struct broker *broker);

#endif
