/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compaction has to know of transactions while it walks a log from its start: whose records are those of an
 * aborted transaction (they go), and which markers still have records before them (they stay). Pure.
 *
 * 1. Batches are given in the order of their offsets.
 * 2. A marker may go only when no batch of its transaction was met.
 */
#ifndef STORAGE_COMPACT_TXN_H
#define STORAGE_COMPACT_TXN_H

#include "batch.h"
#include "map.h"
#include "txn_index.h"

struct compact_txns {
	struct map ongoing;             /* producer id -> struct compact_txn */
	const struct aborted_txns *all; /* by first offset; lent */
	size_t next;
	struct aborted_txns kept; /* whose markers were met and stay */
};

void compact_txns_init(struct compact_txns *txns, const struct aborted_txns *all, uint64_t seed);
void compact_txns_deinit(struct compact_txns *txns);
/* Leaves out the transactions that ended below `offset`. */
void compact_txns_skip(struct compact_txns *txns, int64_t offset);
/* True when the batch belongs to an aborted transaction; for a control batch: when nothing of its transaction is left.
 * `first_key`: of a control batch the key of its first record, null when it has none. */
bool compact_txns_see(struct compact_txns *txns, const struct batch_info *batch, struct bytes first_key);

#endif
