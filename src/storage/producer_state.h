/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a partition knows of its idempotent and transactional producers: per producer id the epoch and the newest
 * five batches, so that a retry is recognised and a gap refused (KIP-98, KIP-360). Pure: no I/O; the snapshot
 * format is encoded and decoded here, the file is written by others.
 *
 *
 * A transaction is open in a partition from its first batch until a marker of its producer, and what it wrote is
 * undecided until that marker counts as stored: until then it stands in `ending`.
 *
 * 1. Batches of an entry are consecutive in sequence (modulo 2^31) and ascending in offset.
 * 2. The state is a function of the log below `map_end_offset`: replaying the log from a snapshot gives it again.
 * 3. producer_state_undo, called in reverse order of the appends, restores the state before each of them exactly.
 * 4. `open` holds, ascending by first offset, exactly the transactions that entries name as open, and holes.
 * 5. Nothing at or above producer_state_first_unstable is known to be decided; it goes back only by an undo of what
 *    nobody has seen.
 */
#ifndef STORAGE_PRODUCER_STATE_H
#define STORAGE_PRODUCER_STATE_H

#include "batch.h"
#include "err.h"
#include "producer_table.h"
#include "txn_index.h"
#include "vec.h"

#define PRODUCER_BATCHES_MAX 5

struct producer_batch {
	int64_t last_offset;
	int32_t last_seq;
	int32_t offset_delta; /* last offset - first offset */
	int64_t timestamp_ms; /* max timestamp of the batch */
};

struct producer_entry {
	int64_t producer_id;
	int64_t txn_first_offset; /* of the open transaction, -1 none */
	int64_t last_timestamp_ms;
	int32_t coordinator_epoch;
	int16_t epoch;
	int8_t batches_n, batches_cap;
	struct producer_batch batches[]; /* oldest first */
};

struct producer_txn {
	int64_t first_offset;
	int64_t producer_id; /* a hole: its complement */
};

struct producer_ending {
	int64_t first_offset, marker_offset;
};

struct producer_state {
	struct producer_table by_id;
	int64_t map_end_offset; /* state covers the log below this */
	VEC(struct producer_txn) open;
	size_t open_first, open_holes; /* no hole at open_first; holes behind it */
	VEC(struct producer_ending) ending; /* ascending by marker */
};

enum producer_verdict { PRODUCER_APPEND, PRODUCER_DUPLICATE };

/* What one append changed, kept by the append until its write has succeeded. */
struct producer_undo {
	bool used;
	bool was_new;
	bool was_ending; /* it ended a transaction */
	int8_t batches_n;
	int16_t epoch;
	int32_t coordinator_epoch;
	int64_t producer_id, txn_first_offset, last_timestamp_ms;
	struct producer_batch batches[PRODUCER_BATCHES_MAX];
};

void producer_state_init(struct producer_state *state, uint64_t seed);
void producer_state_deinit(struct producer_state *state);
/* May the batch be appended? With PRODUCER_DUPLICATE *ret_dup is the batch it repeats. Errors:
 * ERR_INVALID_PRODUCER_EPOCH, ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, ERR_INVALID_RECORD, ERR_INVALID_TXN_STATE (not
 * transactional, while its transaction is open). A producer id of -1 is always PRODUCER_APPEND. */
enum err producer_state_check(const struct producer_state *state, const struct batch_info *batch,
			      enum producer_verdict *ret, struct producer_batch *ret_dup) MUST_USE;
/* The same for a batch that a coordinator writes in a transaction: its sequence does not count.
 * ERR_INVALID_PRODUCER_EPOCH. */
enum err producer_state_check_epoch(const struct producer_state *state, int64_t producer_id, int16_t epoch) MUST_USE;
/* May the marker be written? version: of transactions, as in WriteTxnMarkers; from 2 on its epoch must be above the
 * producer's, unless nothing is open: then it is a repetition. Errors: ERR_INVALID_PRODUCER_EPOCH,
 * ERR_TRANSACTION_COORDINATOR_FENCED, ERR_UNKNOWN_SERVER_ERROR (no producer, and the original's word for it). */
enum err producer_state_check_marker(const struct producer_state *state, int64_t producer_id, int16_t epoch,
				     int32_t coordinator_epoch, int16_t version) MUST_USE;
/* Does this producer have an open transaction in this epoch? */
bool producer_state_has_txn(const struct producer_state *state, int64_t producer_id, int16_t epoch);
/* Are batches of the producer, in its newest epoch, remembered? */
bool producer_state_has_batches(const struct producer_state *state, int64_t producer_id);
/* Is the batch a marker that aborts an open transaction? Before it is recorded; *ret is what the index of aborted
 * transactions says of it. */
bool producer_state_aborts(const struct producer_state *state, const struct batch_info *batch, struct aborted_txn *ret);
/* Records an appended batch (also replay after a restart, which checks nothing). undo may be NULL. */
void producer_state_append(struct producer_state *state, const struct batch_info *batch, struct producer_undo *undo);
void producer_state_undo(struct producer_state *state, const struct producer_undo *undo);
/* `state` was read from the files of a log that was closed, which hold the newest batch of each producer only: it takes
 * over the older ones from what was known before, so that a retry is recognised still. */
void producer_state_recall(struct producer_state *state, const struct producer_state *before);
/* Forgets producers whose newest batch is older than expire_before_ms and that have no open transaction. */
void producer_state_expire(struct producer_state *state, int64_t expire_before_ms);
/* Where the first transaction began that is not over, or whose end does not count as stored yet; INT64_MAX: none. */
int64_t producer_state_first_unstable(const struct producer_state *state);
/* Everything below counts as stored: markers there have ended their transactions for good. */
void producer_state_settle(struct producer_state *state, int64_t offset);
/* When the producer of the oldest open transaction wrote last; -1: none is open. */
int64_t producer_state_oldest_txn_ms(const struct producer_state *state);
/* Forgets everything. */
void producer_state_truncate_all(struct producer_state *state);
/* The snapshot file's bytes (version 1), in memory the caller frees with mem_free. */
struct bytes producer_state_encode(const struct producer_state *state);
/* ERR_CORRUPT_FILE for anything that is not a whole valid snapshot; the state must be empty. */
enum err producer_state_decode(struct producer_state *state, struct bytes file) MUST_USE;

#endif
