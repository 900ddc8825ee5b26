/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinators on one reactor: for each partition of a coordinator's topic (__consumer_offsets,
 * __transaction_state) that it owns and leads, the shard (coordinator/coord_shard.h), its loading, its writes, its
 * timer. And the way there for requests.
 *
 *   request --by the hash of its key (a group's id)--> partition --> its reactor --> operation --> answer, home again
 *
 * 1. Shards come and go by images, as partitions do: leading a partition makes one, which loads itself.
 * 2. What the operations of one turn write goes into one batch, and is appended at the end of the turn.
 * 3. A request that meets a shard which is loading waits a moment; then it is told COORDINATOR_LOAD_IN_PROGRESS.
 */
#ifndef BROKER_COORDINATOR_IO_H
#define BROKER_COORDINATOR_IO_H

#include "arena.h"
#include "coordinator_stats.h"
#include "group.h"
#include "request.h"

#define OFFSETS_TOPIC "__consumer_offsets"
#define TRANSACTIONS_TOPIC "__transaction_state"

struct leader_marker;
struct txn;

struct coordinator_io;

struct coordinator_io *coordinator_io_new(struct shard *shard);
/* NULL is fine. All logs are closed. */
void coordinator_io_free(struct coordinator_io *io);
/* A new image is in force on the shard. */
void coordinator_io_follow(struct shard *shard);
/* A topic went away: so do the offsets in it. */
void coordinator_io_topic_deleted(struct shard *shard, struct str topic);
/* The broker stops: nothing is taken any more, what waits for others to join is ended. */
void coordinator_io_drain(struct shard *shard);
/* Before the logs close. */
void coordinator_io_stop(struct shard *shard);
/* Nothing of it is under way any more. */
bool coordinator_io_is_idle(const struct shard *shard);

/* What the answers to all calls of one request take: when they have taken too much, the rest is refused with
 * INVALID_REQUEST. Reactors share it. */
struct coordinator_room {
	int64_t used; /* bytes; atomic */
};

/* One request for one key. Embed it; it lives in the request's arena. */
struct coordinator_call {
	struct msg msg;         /* private */
	struct list link;       /* private */
	struct shard *owner;    /* private */
	struct uuid topic_id;   /* private */
	int32_t partition;      /* private */
	struct msg leave_msg;   /* private */
	bool is_leaving;        /* private; leave_msg is away, and `done` waits for it */
	bool is_home;           /* private */
	int64_t began_ns;       /* private: the decision */
	/* in */
	struct request *request; /* NULL: `home` is given */
	struct shard *home;      /* where it starts and ends; NULL: the request's */
	enum coordinator_kind_id kind; /* zero: a group's */
	struct str group_id;           /* the key: decides where it is coordinated */
	struct coord_op *op;    /* decide is set */
	struct coordinator_room *room; /* NULL: it asks for no more than one answer of a few bytes */
	const struct coord_origin *origin; /* the transaction that writes; NULL: none does */
	/* At home. op->err: none, or what kept the operation from being decided. Frees nothing. */
	void (*done)(struct coordinator_call *call);
	/* On its reactor, when nobody waits for the answer any more: ends a parked operation. May be NULL. */
	void (*leave)(struct coordinator_call *call);
	/* For what the operation makes; coordinator_call_free when the answer has been encoded. */
	struct arena arena;
	uint8_t block[512]; /* private; its first bytes */
};

/* Each call has a block of memory of its own. A request that would need more of them than COORDINATOR_CALLS_MAX is
 * refused, which ends its connection; then false. */
#define COORDINATOR_CALLS_MAX 50000
bool coordinator_calls_fit(struct request *request, int32_t n);

/* Runs the operation where the group is coordinated. `done` runs later, or before this returns. */
void coordinator_call_start(struct coordinator_call *call);
/* At home, while it runs: the client has gone. */
void coordinator_call_leave(struct coordinator_call *call);
/* For coord_op.settled of calls about groups: the log hears which state a consumer group has come to. */
void coordinator_call_tell_state(struct coord_op *op, void *machine, enum err err);
void coordinator_call_free(struct coordinator_call *call);

/* Are groups of the new protocol served (group.version, group.coordinator.rebalance.protocols)? */
bool consumer_protocol_is_offered(const struct shard *shard);

/* Which partition of the coordinator's topic keeps a key; partitions_n > 0. */
int32_t coordinator_partition_of(struct str key, int32_t partitions_n);

/* Writes a transaction's marker into a partition on its own reactor, as leader_marker_start does; in a partition of
 * __consumer_offsets the transaction's offsets are settled with it. ERR_COORDINATOR_LOAD_IN_PROGRESS while those are
 * being read. */
void coordinator_io_marker(struct shard *shard, struct leader_marker *marker);

/* All transactional ids of all shards of one reactor, as coordinator_io_each. */
enum err coordinator_io_each_txn(struct shard *shard, void (*fn)(void *ctx, const struct txn *txn),
				 void *ctx) MUST_USE;

/* All groups of all shards of one reactor. ERR_COORDINATOR_LOAD_IN_PROGRESS when one is still loading; fn is called for
 * the others all the same. */
enum err coordinator_io_each(struct shard *shard, void (*fn)(void *ctx, const struct group *group),
			     void *ctx) MUST_USE;

#endif
