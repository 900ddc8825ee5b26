/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a partition knows of its idempotent and transactional producers: per producer id the epoch and the newest
 * five batches, so that a retry is recognised and a gap refused (KIP-98, KIP-360). Pure: no I/O; the snapshot
 * format is encoded and decoded here, the file is written by others.
 *
 * 1. Batches of an entry are consecutive in sequence (modulo 2^31) and ascending in offset.
 * 2. The state is a function of the log below `map_end_offset`: replaying the log from a snapshot gives it again.
 * 3. producer_state_undo, called in reverse order of the appends, restores the state before each of them exactly.
 */
#ifndef STORAGE_PRODUCER_STATE_H
#define STORAGE_PRODUCER_STATE_H

#include "batch.h"
#include "err.h"
#include "map.h"

#define PRODUCER_BATCHES_MAX 5

struct producer_batch {
	int64_t last_offset;
	int32_t last_seq;
	int32_t offset_delta; /* last offset - first offset */
	int64_t timestamp_ms; /* max timestamp of the batch */
};

struct producer_entry {
	int64_t producer_id;
	int16_t epoch;
	int8_t batches_n;
	int32_t coordinator_epoch;
	int64_t txn_first_offset; /* of the open transaction, -1 none */
	int64_t last_timestamp_ms;
	struct producer_batch batches[PRODUCER_BATCHES_MAX]; /* oldest first */
};

struct producer_state {
	struct map by_id; /* producer id -> struct producer_entry */
	int64_t map_end_offset; /* state covers the log below this */
	bool has_txns; /* some entry may have an open transaction */
};

enum producer_verdict { PRODUCER_APPEND, PRODUCER_DUPLICATE };

/* What one append changed, kept by the append until its write has succeeded. */
struct producer_undo {
	bool used;
	bool was_new;
	struct producer_entry before;
};

void producer_state_init(struct producer_state *state, uint64_t seed);
void producer_state_deinit(struct producer_state *state);
/* May the batch be appended? With PRODUCER_DUPLICATE *ret_dup is the batch it repeats. Errors:
 * ERR_INVALID_PRODUCER_EPOCH, ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, ERR_INVALID_RECORD. A producer id of -1 is always
 * PRODUCER_APPEND. */
enum err producer_state_check(const struct producer_state *state, const struct batch_info *batch,
			      enum producer_verdict *ret, struct producer_batch *ret_dup) MUST_USE;
/* Records an appended batch (also replay after a restart, which checks nothing). undo may be NULL. */
void producer_state_append(struct producer_state *state, const struct batch_info *batch, struct producer_undo *undo);
void producer_state_undo(struct producer_state *state, const struct producer_undo *undo);
/* Forgets producers whose newest batch is older than expire_before_ms and that have no open transaction. */
void producer_state_expire(struct producer_state *state, int64_t expire_before_ms);
/* Where the first transaction began that is not over; INT64_MAX: none. */
int64_t producer_state_first_unstable(struct producer_state *state);
/* Forgets everything. */
void producer_state_truncate_all(struct producer_state *state);
/* The snapshot file's bytes (version 1), in memory the caller frees with mem_free. */
struct bytes producer_state_encode(const struct producer_state *state);
/* ERR_CORRUPT_FILE for anything that is not a whole valid snapshot; the state must be empty. */
enum err producer_state_decode(struct producer_state *state, struct bytes file) MUST_USE;

#endif
