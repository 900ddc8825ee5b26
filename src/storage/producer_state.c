/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences of idempotent producers, see producer_state.h. The rules are Kafka's: a producer that is not
 * known may begin anywhere (its records may have been deleted), a new epoch of a known one begins at 0, and
 * what follows is the sequence after the last; a batch whose epoch, first and last sequence are those of one
 * of the newest five is a repetition. The snapshot keeps the newest batch of each producer only, as Kafka's
 * does.
 */
#include "producer_state.h"

#include "check.h"
#include "crc32c.h"
#include "fault.h"
#include "mem.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_CRC_AT 2
#define SNAPSHOT_COUNT_AT 6
#define SNAPSHOT_HEADER_LEN 10
#define SNAPSHOT_ENTRY_LEN 46

void producer_state_init(struct producer_state *state, uint64_t seed)
{
	*state = (struct producer_state){0};
	map_init(&state->by_id, MAP_U64, seed);
}

static struct producer_entry *producer_entry_find(const struct producer_state *state, int64_t producer_id)
{
	return map_get_u64(&state->by_id, (uint64_t)producer_id);
}

static struct producer_entry *producer_entry_add(struct producer_state *state, int64_t producer_id)
{
	struct producer_entry *entry = MEM_NEW(struct producer_entry);

	entry->producer_id = producer_id;
	entry->epoch = NO_PRODUCER_EPOCH;
	entry->coordinator_epoch = -1;
	entry->txn_first_offset = -1;
	entry->last_timestamp_ms = NO_TIMESTAMP;
	map_put_u64(&state->by_id, (uint64_t)producer_id, entry);
	return entry;
}

void producer_state_truncate_all(struct producer_state *state)
{
	struct producer_entry *entry;

	for (uint32_t it = 0; (entry = map_next(&state->by_id, &it)) != NULL;) {
		map_remove_u64(&state->by_id, (uint64_t)entry->producer_id);
		mem_free(entry);
	}
	state->map_end_offset = 0;
}

void producer_state_deinit(struct producer_state *state)
{
	producer_state_truncate_all(state);
	map_deinit(&state->by_id);
}

static const struct producer_batch *producer_entry_newest(const struct producer_entry *entry)
{
	return entry->batches_n ? &entry->batches[entry->batches_n - 1] : NULL;
}

/* The first sequence of a batch: the last one minus the delta, modulo 2^31. */
static int32_t producer_batch_first_seq(const struct producer_batch *batch)
{
	return (int32_t)(((uint32_t)batch->last_seq - (uint32_t)batch->offset_delta) & INT32_MAX);
}

static const struct producer_batch *producer_entry_duplicate(const struct producer_entry *entry,
							     const struct batch_info *batch)
{
	if (batch->producer_epoch != entry->epoch)
		return NULL;
	for (int i = 0; i < entry->batches_n; i++) {
		const struct producer_batch *old = &entry->batches[i];

		if (producer_batch_first_seq(old) == batch->base_sequence &&
		    old->last_seq == batch_last_sequence(batch))
			return old;
	}
	return NULL;
}

static enum err producer_entry_check(const struct producer_entry *entry, const struct batch_info *batch)
{
	const struct producer_batch *newest = producer_entry_newest(entry);

	if (batch->producer_epoch < entry->epoch)
		return ERR_INVALID_PRODUCER_EPOCH;
	if (FAULT(seq_unchecked))
		return ERR_NONE;
	/* Epoch -1: everything the producer wrote is gone, so any sequence will do. */
	if (entry->epoch == NO_PRODUCER_EPOCH)
		return ERR_NONE;
	if (batch->producer_epoch != entry->epoch || !newest)
		return batch->base_sequence == 0 ? ERR_NONE : ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
	return batch->base_sequence == sequence_add(newest->last_seq, 1) ? ERR_NONE
									  : ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

enum err producer_state_check(const struct producer_state *state, const struct batch_info *batch,
			      enum producer_verdict *ret, struct producer_batch *ret_dup)
{
	const struct producer_entry *entry;
	const struct producer_batch *duplicate;
	enum err err;

	if (batch->producer_id == NO_PRODUCER_ID) {
		*ret = PRODUCER_APPEND;
		return ERR_NONE;
	}
	if (batch->producer_id < 0 || batch->producer_epoch < 0)
		return ERR_INVALID_RECORD;
	if (batch->base_sequence < 0 && !batch_is_control(batch))
		return ERR_INVALID_RECORD;
	entry = producer_entry_find(state, batch->producer_id);
	if (entry && !batch_is_control(batch)) {
		duplicate = producer_entry_duplicate(entry, batch);
		if (duplicate) {
			*ret_dup = *duplicate;
			*ret = PRODUCER_DUPLICATE;
			return ERR_NONE;
		}
		err = producer_entry_check(entry, batch);
		if (err)
			return err;
	}
	*ret = PRODUCER_APPEND;
	return ERR_NONE;
}

static void producer_entry_set_epoch(struct producer_entry *entry, int16_t epoch)
{
	if (entry->epoch == epoch)
		return;
	entry->epoch = epoch;
	entry->batches_n = 0;
}

/* A marker that ends a transaction: the value of its one record is a version and the coordinator's epoch. */
static void producer_entry_end_txn(struct producer_entry *entry, const struct batch_info *batch)
{
	const uint8_t *p = batch->bytes.p;

	producer_entry_set_epoch(entry, batch->producer_epoch);
	entry->txn_first_offset = -1;
	entry->last_timestamp_ms = batch->max_timestamp;
	/* The record is length, attributes, two deltas of one byte, key of 4, value of 6 bytes, no headers.
	 * */
	if (batch->bytes.len == batch->size && batch->size == BATCH_HEADER_LEN + 17 &&
	    p[BATCH_HEADER_LEN + 4] == 8 && p[BATCH_HEADER_LEN + 9] == 12)
		entry->coordinator_epoch = (int32_t)load_be32(p + BATCH_HEADER_LEN + 12);
}

static void producer_entry_push(struct producer_entry *entry, const struct batch_info *batch)
{
	int max = FAULT(dup_window_short) ? 1 : PRODUCER_BATCHES_MAX;
	struct producer_batch added = {.last_offset = batch->last_offset,
				       .last_seq = batch_last_sequence(batch),
				       .offset_delta = batch->last_offset_delta,
				       .timestamp_ms = batch->max_timestamp};

	while (entry->batches_n >= max) {
		memmove(&entry->batches[0], &entry->batches[1],
			sizeof(entry->batches[0]) * (size_t)(entry->batches_n - 1));
		entry->batches_n--;
	}
	entry->batches[entry->batches_n++] = added;
}

void producer_state_append(struct producer_state *state, const struct batch_info *batch,
			   struct producer_undo *undo)
{
	struct producer_entry *entry;

	if (undo)
		undo->used = false;
	if (batch->producer_id < 0)
		return;
	entry = producer_entry_find(state, batch->producer_id);
	if (undo) {
		undo->used = true;
		undo->was_new = !entry;
		if (entry)
			undo->before = *entry;
		else
			undo->before = (struct producer_entry){.producer_id = batch->producer_id};
	}
	if (!entry)
		entry = producer_entry_add(state, batch->producer_id);
	if (batch_is_control(batch)) {
		producer_entry_end_txn(entry, batch);
		return;
	}
	producer_entry_set_epoch(entry, batch->producer_epoch);
	producer_entry_push(entry, batch);
	entry->last_timestamp_ms = batch->max_timestamp;
	if (batch_is_transactional(batch) && entry->txn_first_offset < 0) {
		entry->txn_first_offset = batch->base_offset;
		state->has_txns = true;
	}
}

void producer_state_undo(struct producer_state *state, const struct producer_undo *undo)
{
	struct producer_entry *entry;

	if (!undo->used)
		return;
	entry = producer_entry_find(state, undo->before.producer_id);
	/* It may have expired between the append and the failure of its write. */
	if (!entry)
		return;
	if (!undo->was_new) {
		*entry = undo->before;
		state->has_txns = state->has_txns || entry->txn_first_offset >= 0;
		return;
	}
	map_remove_u64(&state->by_id, (uint64_t)entry->producer_id);
	mem_free(entry);
}

int64_t producer_state_first_unstable(struct producer_state *state)
{
	const struct producer_entry *entry;
	int64_t first = INT64_MAX;

	if (!state->has_txns)
		return first;
	for (uint32_t it = 0; (entry = map_next(&state->by_id, &it)) != NULL;) {
		if (entry->txn_first_offset >= 0)
			first = MIN(first, entry->txn_first_offset);
	}
	state->has_txns = first != INT64_MAX;
	return first;
}

void producer_state_expire(struct producer_state *state, int64_t expire_before_ms)
{
	struct producer_entry *entry;

	for (uint32_t it = 0; (entry = map_next(&state->by_id, &it)) != NULL;) {
		if (entry->last_timestamp_ms > expire_before_ms || entry->txn_first_offset >= 0)
			continue;
		map_remove_u64(&state->by_id, (uint64_t)entry->producer_id);
		mem_free(entry);
	}
}

static void producer_entry_encode(const struct producer_entry *entry, uint8_t *p)
{
	const struct producer_batch *newest = producer_entry_newest(entry);

	store_be64(p, (uint64_t)entry->producer_id);
	store_be16(p + 8, (uint16_t)entry->epoch);
	store_be32(p + 10, newest ? (uint32_t)newest->last_seq : UINT32_MAX);
	store_be64(p + 14, newest ? (uint64_t)newest->last_offset : UINT64_MAX);
	store_be32(p + 22, newest ? (uint32_t)newest->offset_delta : 0);
	store_be64(p + 26, (uint64_t)entry->last_timestamp_ms);
	store_be32(p + 34, (uint32_t)entry->coordinator_epoch);
	store_be64(p + 38, (uint64_t)entry->txn_first_offset);
}

struct bytes producer_state_encode(const struct producer_state *state)
{
	size_t len = SNAPSHOT_HEADER_LEN + (size_t)state->by_id.n * SNAPSHOT_ENTRY_LEN;
	uint8_t *p = mem_alloc(len);
	size_t at = SNAPSHOT_HEADER_LEN;
	const struct producer_entry *entry;

	store_be16(p, SNAPSHOT_VERSION);
	store_be32(p + SNAPSHOT_COUNT_AT, state->by_id.n);
	for (uint32_t it = 0; (entry = map_next(&state->by_id, &it)) != NULL; at += SNAPSHOT_ENTRY_LEN)
		producer_entry_encode(entry, p + at);
	CHECK_OP(at, ==, len);
	store_be32(p + SNAPSHOT_CRC_AT, crc32c(0, p + SNAPSHOT_COUNT_AT, len - SNAPSHOT_COUNT_AT));
	return (struct bytes){p, len};
}

static bool producer_entry_decode(struct producer_state *state, const uint8_t *p)
{
	int64_t producer_id = (int64_t)load_be64(p);
	struct producer_batch newest = {.last_seq = (int32_t)load_be32(p + 10),
					.last_offset = (int64_t)load_be64(p + 14),
					.offset_delta = (int32_t)load_be32(p + 22),
					.timestamp_ms = (int64_t)load_be64(p + 26)};
	struct producer_entry *entry;

	if (producer_id < 0 || newest.offset_delta < 0 || newest.last_offset < -1)
		return false;
	if (newest.last_offset >= 0 && newest.last_offset < newest.offset_delta)
		return false;
	if (producer_entry_find(state, producer_id))
		return false;
	entry = producer_entry_add(state, producer_id);
	entry->epoch = (int16_t)load_be16(p + 8);
	entry->last_timestamp_ms = newest.timestamp_ms;
	entry->coordinator_epoch = (int32_t)load_be32(p + 34);
	entry->txn_first_offset = (int64_t)load_be64(p + 38);
	state->has_txns = state->has_txns || entry->txn_first_offset >= 0;
	if (newest.last_offset >= 0 && newest.last_seq >= 0)
		entry->batches[entry->batches_n++] = newest;
	return true;
}

enum err producer_state_decode(struct producer_state *state, struct bytes file)
{
	uint32_t n;

	CHECK_OP(state->by_id.n, ==, 0u);
	if (file.len < SNAPSHOT_HEADER_LEN || load_be16(file.p) != SNAPSHOT_VERSION)
		return ERR_CORRUPT_FILE;
	n = load_be32(file.p + SNAPSHOT_COUNT_AT);
	if ((file.len - SNAPSHOT_HEADER_LEN) / SNAPSHOT_ENTRY_LEN != n ||
	    (file.len - SNAPSHOT_HEADER_LEN) % SNAPSHOT_ENTRY_LEN != 0)
		return ERR_CORRUPT_FILE;
	if (crc32c(0, file.p + SNAPSHOT_COUNT_AT,
		   file.len - SNAPSHOT_COUNT_AT) != load_be32(file.p + SNAPSHOT_CRC_AT))
		return ERR_CORRUPT_FILE;
	for (uint32_t i = 0; i < n; i++) {
		if (!producer_entry_decode(state,
					   file.p + SNAPSHOT_HEADER_LEN + (size_t)i * SNAPSHOT_ENTRY_LEN)) {
			producer_state_truncate_all(state);
			return ERR_CORRUPT_FILE;
		}
	}
	return ERR_NONE;
}
