/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the coordinator of a transaction, from any reactor, for the sake of a write: may this producer write into
 * these partitions now? Version 2 of transactions enrols the partitions with it (KIP-890 part 2); before, they must
 * have been enrolled, and that is verified before the first write of a transaction to a partition (part 1).
 *
 *    transaction_enrol --> the coordinator's reactor --> decided, committed --> done, where it was started
 *                ^                 |      ^
 *                |                 |      +-- the end of the transaction before is complete --+
 *                |                 +-- CONCURRENT_TRANSACTIONS, version 2: waits for its end --+
 *                +---- CONCURRENT_TRANSACTIONS, version 2, its end not under way: again after a pause
 *
 * 1. `done` runs exactly once, perhaps before transaction_enrol returns.
 * 2. Without errors the partitions are in the open transaction, and the log says so, committed.
 * 3. It waits for the transaction before no longer than add.partitions.to.txn.retry.backoff.max.ms.
 */
#ifndef BROKER_TRANSACTION_CALL_H
#define BROKER_TRANSACTION_CALL_H

#include "coordinator_io.h"
#include "timer.h"
#include "transaction_markers.h"
#include "txn.h"

/* What a write asks, which also tells what errors its client understands. */
enum transaction_ask {
	TRANSACTION_VERIFY_OLD, /* enrolled? Produce up to version 10, TxnOffsetCommit up to 3 */
	TRANSACTION_VERIFY,     /* enrolled? The client knows TRANSACTION_ABORTABLE: Produce 11, TxnOffsetCommit 4 */
	TRANSACTION_ADD,        /* enrol: from Produce 12 and TxnOffsetCommit 5 on, with transaction.version 2 */
};

struct transaction_call {
	struct coordinator_call call; /* private */
	struct coord_op op;           /* private */
	struct timer retry;           /* private */
	int64_t give_up_ns, began_ns; /* private */
	struct txn_end_waiter waiter; /* private; on the coordinator's reactor */
	struct txn_partitions sorted; /* private */
	/* in: all memory stays as it is until `done` */
	struct shard *home; /* whose reactor starts it */
	enum transaction_ask ask;
	struct str transactional_id;
	struct txn_producer producer;
	const struct txn_partition *partitions;
	int32_t partitions_n;
	const struct request *request; /* whose write it is, for the log */
	void *ctx; /* the caller's */
	/* On the reactor of `home`. */
	void (*done)(struct transaction_call *call);
	/* out: the error of each partition as the answer to a write gives it (Produce's errors), in memory of the call
	 * that transaction_call_free frees */
	enum err *errs;
};

void transaction_enrol(struct transaction_call *call);
/* After `done`. */
void transaction_call_free(struct transaction_call *call);

/* transaction.version of the cluster as this shard knows it now. */
enum txn_version transaction_version(const struct shard *shard);
/* How long an enrolment that begins now waits for the end of the transaction before. */
int64_t transaction_give_up_ns(const struct shard *shard);
/* transaction.partition.verification.enable, in force now. */
bool transaction_is_verified(const struct shard *shard);

#endif
