/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends of transactions on their way: from the decision, which is committed, until every partition has its marker and
 * the log of the coordinator says so. On the coordinator's reactor.
 *
 *    markers_send --> a wave of partitions, each on its owner's reactor --+--> next wave ... --> txn_markers_written
 *                              ^                                          |                            |
 *                              +------ pause <----- some have failed -----+<------ the log refused ----+
 *
 * 1. Tried for ever, with a growing pause; after a restart again from the beginning (the coordinator's log says what is
 *    decided). A marker that is written twice does no harm (leader_marker.h).
 * 2. A partition of a topic that is gone needs none. It counts as gone when two waves, a pause apart, do not find it:
 *    the image of this reactor may be a little behind that of the one that enrolled it.
 * 3. When the coordinator's shard goes, nothing of this comes back to it: its successor starts anew.
 * 4. An operation that waits for an end is run again right behind the completion, so that both go into one batch of the
 *    log; or it ends with CONCURRENT_TRANSACTIONS at its deadline, or with the shard.
 */
#ifndef BROKER_TRANSACTION_MARKERS_H
#define BROKER_TRANSACTION_MARKERS_H

#include "coordinator_io_internal.h"
#include "txn.h"

/* The machine of the kind. */
struct coordinator_txn {
	struct txn_store store; /* first */
	struct shard *owner;
	struct coord_partition *part;
	struct map endings; /* id -> struct txn_ending */
};

/* For txn_store.send_markers. */
void transaction_markers_send(struct txn_store *store, const struct txn *txn);
/* The shard is going: what is under way ends by itself. */
void transaction_markers_leave(struct coordinator_txn *machine);

/* The partitions of a transaction that is decided and still lack their marker, in the arena; those of any other are its
 * own. False: the arena has no room. */
bool transaction_markers_left(const struct coordinator_txn *machine, const struct txn *txn, struct arena *arena,
			      struct txn_partitions *ret) MUST_USE;

/* An operation that can be decided only when the end of a transaction is complete. */
struct txn_end_waiter {
	struct list link;         /* private */
	struct timer deadline;    /* private */
	struct coord_op *op;      /* private */
	struct reactor *reactor;  /* private */
};

/* For an operation that met CONCURRENT_TRANSACTIONS, while it decides: true when the end of `id` is under way. It is
 * then parked (decide returns ERR_WOULD_BLOCK), and decides again, or has ended by `deadline_ns`. */
bool transaction_markers_wait(struct coordinator_txn *machine, struct str id, struct txn_end_waiter *waiter,
			      struct coord_op *op, int64_t deadline_ns) MUST_USE;

#endif
