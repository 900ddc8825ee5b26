/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers whose transaction is about to reach a partition: between the question to the coordinator, whether the
 * partition is in the transaction, and the first append (KIP-890). A guard is a number that tells this question from
 * every other. The end of a transaction takes the guards of its producer away: an answer that belongs to the
 * transaction before lets nothing into the next. In version 2 epochs tell transactions apart, and a guard that was
 * asked for by the next one stays: the coordinator answers that one only when the end is complete.
 *
 *    absent --take--> waiting --first append, marker--> absent
 *
 * 1. A guard is never given twice. Several requests of one producer that wait at the same time share one.
 * 2. Nothing of this is kept over a restart: then the coordinator is asked again.
 */
#ifndef REPLICATION_TXN_GUARD_H
#define REPLICATION_TXN_GUARD_H

#include "err.h"
#include "map.h"
#include "rng.h"

struct txn_guard {
	int64_t producer_id;
	uint64_t number; /* 0: none */
	int64_t asked_ns;
	int32_t lowest_sequence;
	int16_t epoch;
	bool is_version_2;
};

struct txn_guards {
	struct txn_guard first; /* mostly there is no more than one, and it is soon gone */
	struct map by_producer; /* of the others: producer id -> struct txn_guard */
	uint64_t last;
	bool is_made; /* by_producer */
};

/* All zeros is empty. */
void txn_guards_deinit(struct txn_guards *guards);

struct txn_guard_ask {
	int64_t producer_id;
	int16_t epoch;
	int32_t sequence;  /* of the batch that asks */
	bool is_version_2; /* the producer's epoch rises with each transaction */
	int64_t now_ns;
	int64_t expire_ns; /* how long one that nobody used is remembered */
	struct rng *rng;   /* seeds the table */
};

/* The guard of the producer, made when there is none. Never 0. */
uint64_t txn_guard_take(struct txn_guards *guards, const struct txn_guard_ask *ask);
/* May a batch with this sequence begin a transaction? has_batches: the partition knows batches of this producer.
 * Errors: ERR_INVALID_TXN_STATE: the guard is not in force (any more). ERR_OUT_OF_ORDER_SEQUENCE_NUMBER: a lower
 * sequence asked before and was not appended, or in version 2 a producer that nobody knows does not begin at 0. */
enum err txn_guard_check(const struct txn_guards *guards, int64_t producer_id, uint64_t guard, int32_t sequence,
			 bool has_batches) MUST_USE;
void txn_guard_drop(struct txn_guards *guards, int64_t producer_id);
/* The marker of a transaction's end, of this version and epoch (leader_marker.h), is in the log. */
void txn_guard_end(struct txn_guards *guards, int64_t producer_id, int16_t epoch, int16_t version);

#endif
