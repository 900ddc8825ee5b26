/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences of idempotent producers, see producer_state.h. The rules are Kafka's: a producer that is not known may
 * begin anywhere (its records may have been deleted), a new epoch of a known one begins at 0, and what follows is the
 * sequence after the last; a batch whose epoch, first and last sequence are those of one of the newest five is a
 * repetition. Only an epoch ends that window, not the end of a transaction, which raises the epoch in version 2. The
 * snapshot keeps the newest batch of each producer only, as Kafka's does.
 */
#include "producer_state.h"

#include <stdlib.h>

#include "check.h"
#include "control.h"
#include "crc32c.h"
#include "fault.h"
#include "mem.h"

/* A vector that grew beyond it goes when it is empty. */
#define ENDING_KEEP 64
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_CRC_AT 2
#define SNAPSHOT_COUNT_AT 6
#define SNAPSHOT_HEADER_LEN 10
#define SNAPSHOT_ENTRY_LEN 46

void producer_state_init(struct producer_state *state, uint64_t seed)
{
	*state = (struct producer_state){0};
	state->by_id.seed = seed;
}

static struct producer_entry *producer_entry_find(const struct producer_state *state, int64_t producer_id)
{
	return producer_table_get(&state->by_id, producer_id);
}

static size_t producer_entry_size(int cap)
{
	return sizeof(struct producer_entry) + (size_t)cap * sizeof(struct producer_batch);
}

static struct producer_entry *producer_entry_add(struct producer_state *state, int64_t producer_id)
{
	struct producer_entry *entry = mem_alloc(producer_entry_size(1));

	*entry = (struct producer_entry){
		.producer_id = producer_id,
		.epoch = NO_PRODUCER_EPOCH,
		.coordinator_epoch = -1,
		.txn_first_offset = -1,
		.last_timestamp_ms = NO_TIMESTAMP,
		.batches_cap = 1,
	};
	producer_table_put(&state->by_id, producer_id, entry);
	return entry;
}

/* Most producers have no more than one batch in the air: room for five comes with the second one. The entry moves. */
static struct producer_entry *producer_entry_reserve(struct producer_state *state, struct producer_entry *entry, int n)
{
	struct producer_entry *moved;

	if (n <= entry->batches_cap)
		return entry;
	moved = mem_alloc(producer_entry_size(PRODUCER_BATCHES_MAX));
	memcpy(moved, entry, producer_entry_size(entry->batches_n));
	moved->batches_cap = PRODUCER_BATCHES_MAX;
	producer_table_put(&state->by_id, moved->producer_id, moved);
	mem_free(entry);
	return moved;
}

void producer_state_truncate_all(struct producer_state *state)
{
	struct producer_entry *entry;

	for (uint32_t it = 0; (entry = producer_table_next(&state->by_id, &it)) != NULL;) {
		producer_table_remove(&state->by_id, entry);
		mem_free(entry);
	}
	vec_deinit(&state->open);
	vec_deinit(&state->ending);
	state->open_first = state->open_holes = 0;
	state->map_end_offset = 0;
}

void producer_state_deinit(struct producer_state *state)
{
	producer_state_truncate_all(state);
	producer_table_deinit(&state->by_id);
}

/* ---- open transactions ---- */

/* Number of the first one, or hole, that began at the offset or behind it. */
static size_t producer_open_at(const struct producer_state *state, int64_t first_offset)
{
	size_t low = state->open_first, high = state->open.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (state->open.v[mid].first_offset < first_offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void producer_open_tidy(struct producer_state *state)
{
	size_t n = 0;

	while (state->open_first < state->open.n && state->open.v[state->open_first].producer_id < 0) {
		state->open_first++;
		state->open_holes--;
	}
	if (state->open_first + state->open_holes <= state->open.n / 2)
		return;
	for (size_t i = state->open_first; i < state->open.n; i++) {
		if (state->open.v[i].producer_id >= 0)
			state->open.v[n++] = state->open.v[i];
	}
	state->open.n = n;
	state->open_first = state->open_holes = 0;
}

static bool producer_open_is(const struct producer_state *state, size_t at, int64_t producer_id, int64_t first_offset)
{
	return state->open.v[at].first_offset == first_offset && state->open.v[at].producer_id == producer_id;
}

static void producer_open_remove(struct producer_state *state, int64_t producer_id, int64_t first_offset)
{
	size_t at = producer_open_at(state, first_offset);

	/* One offset has one transaction, unless a file lies. */
	while (at < state->open.n && !producer_open_is(state, at, producer_id, first_offset))
		at++;
	CHECK(at < state->open.n);
	state->open.v[at].producer_id = ~producer_id;
	state->open_holes++;
	producer_open_tidy(state);
}

/* Mostly at the end; an undo may put one back anywhere. */
static void producer_open_add(struct producer_state *state, int64_t producer_id, int64_t first_offset)
{
	struct producer_txn txn = {first_offset, producer_id};
	size_t at = producer_open_at(state, first_offset);

	if (at < state->open.n && producer_open_is(state, at, ~producer_id, first_offset)) {
		state->open.v[at] = txn;
		state->open_holes--;
		return;
	}
	vec_push(&state->open, txn);
	memmove(&state->open.v[at + 1], &state->open.v[at], (state->open.n - 1 - at) * sizeof(txn));
	state->open.v[at] = txn;
}

static void producer_entry_set_txn(struct producer_state *state, struct producer_entry *entry, int64_t first_offset)
{
	if (entry->txn_first_offset == first_offset)
		return;
	if (entry->txn_first_offset >= 0)
		producer_open_remove(state, entry->producer_id, entry->txn_first_offset);
	entry->txn_first_offset = first_offset;
	if (first_offset >= 0)
		producer_open_add(state, entry->producer_id, first_offset);
}

int64_t producer_state_first_unstable(const struct producer_state *state)
{
	int64_t first = INT64_MAX;

	if (state->open_first < state->open.n)
		first = state->open.v[state->open_first].first_offset;
	for (size_t i = 0; i < state->ending.n; i++)
		first = MIN(first, state->ending.v[i].first_offset);
	return first;
}

void producer_state_settle(struct producer_state *state, int64_t offset)
{
	size_t n = 0;

	while (n < state->ending.n && state->ending.v[n].marker_offset < offset)
		n++;
	if (n == 0)
		return;
	state->ending.n -= n;
	memmove(state->ending.v, state->ending.v + n, state->ending.n * sizeof(state->ending.v[0]));
	if (state->ending.n == 0 && state->ending.cap > ENDING_KEEP)
		vec_deinit(&state->ending);
}

int64_t producer_state_oldest_txn_ms(const struct producer_state *state)
{
	const struct producer_entry *entry;

	if (state->open_first == state->open.n)
		return -1;
	entry = producer_entry_find(state, state->open.v[state->open_first].producer_id);
	CHECK(entry != NULL);
	return entry->last_timestamp_ms;
}

bool producer_state_has_txn(const struct producer_state *state, int64_t producer_id, int16_t epoch)
{
	const struct producer_entry *entry = producer_entry_find(state, producer_id);

	return entry && entry->txn_first_offset >= 0 && entry->epoch == epoch;
}

bool producer_state_has_batches(const struct producer_state *state, int64_t producer_id)
{
	const struct producer_entry *entry = producer_entry_find(state, producer_id);

	return entry && entry->batches_n > 0;
}

/* ---- checks ---- */

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
	if (batch->producer_epoch != entry->epoch && !FAULT(dup_any_epoch))
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
		if (entry->txn_first_offset >= 0 && !batch_is_transactional(batch))
			return ERR_INVALID_TXN_STATE;
	}
	*ret = PRODUCER_APPEND;
	return ERR_NONE;
}

enum err producer_state_check_epoch(const struct producer_state *state, int64_t producer_id, int16_t epoch)
{
	const struct producer_entry *entry = producer_entry_find(state, producer_id);

	return entry && epoch < entry->epoch ? ERR_INVALID_PRODUCER_EPOCH : ERR_NONE;
}

enum err producer_state_check_marker(const struct producer_state *state, int64_t producer_id, int16_t epoch,
				     int32_t coordinator_epoch, int16_t version)
{
	const struct producer_entry *entry;

	if (producer_id < 0 || epoch < 0)
		return ERR_UNKNOWN_SERVER_ERROR;
	entry = producer_entry_find(state, producer_id);
	if (!entry || FAULT(marker_any_epoch))
		return ERR_NONE;
	if (epoch < entry->epoch)
		return ERR_INVALID_PRODUCER_EPOCH;
	if (version >= 2 && epoch == entry->epoch && entry->txn_first_offset >= 0)
		return ERR_INVALID_PRODUCER_EPOCH;
	return coordinator_epoch < entry->coordinator_epoch ? ERR_TRANSACTION_COORDINATOR_FENCED : ERR_NONE;
}

/* ---- what the log says ---- */

static void producer_entry_set_epoch(struct producer_entry *entry, int16_t epoch)
{
	if (entry->epoch == epoch)
		return;
	entry->epoch = epoch;
	if (!FAULT(dup_any_epoch))
		entry->batches_n = 0;
}

/* The one record of a marker, where its bytes are at hand. */
static bool producer_marker_read(const struct batch_info *batch, struct control_record *ret)
{
	struct record_iter it;
	struct record record;

	if (batch->bytes.len != batch->size || batch_codec(batch) != CODEC_NONE)
		return false;
	record_iter_init(&it, batch, (struct bytes){batch->bytes.p + BATCH_HEADER_LEN, batch->size - BATCH_HEADER_LEN});
	return record_iter_next(&it, &record) && !control_parse(&record, ret) && ret->type <= CONTROL_COMMIT;
}

bool producer_state_aborts(const struct producer_state *state, const struct batch_info *batch, struct aborted_txn *ret)
{
	const struct producer_entry *entry;
	struct control_record control;
	int64_t stable = batch->last_offset + 1;

	if (!batch_is_control(batch) || batch->producer_id < 0 || FAULT(aborted_unlisted))
		return false;
	entry = producer_entry_find(state, batch->producer_id);
	if (!entry || entry->txn_first_offset < 0)
		return false;
	if (!producer_marker_read(batch, &control) || control.type != CONTROL_ABORT)
		return false;
	/* The oldest of those that stay open. */
	for (size_t i = state->open_first; i < state->open.n; i++) {
		if (state->open.v[i].producer_id < 0 || state->open.v[i].producer_id == batch->producer_id)
			continue;
		stable = state->open.v[i].first_offset;
		break;
	}
	*ret = (struct aborted_txn){batch->producer_id, entry->txn_first_offset, batch->last_offset, stable};
	return true;
}

static void producer_entry_end_txn(struct producer_state *state, struct producer_entry *entry,
				   const struct batch_info *batch)
{
	struct producer_ending ending = {entry->txn_first_offset, batch->last_offset};
	struct control_record control;

	producer_entry_set_epoch(entry, batch->producer_epoch);
	if (ending.first_offset >= 0)
		vec_push(&state->ending, ending);
	producer_entry_set_txn(state, entry, -1);
	entry->last_timestamp_ms = batch->max_timestamp;
	if (producer_marker_read(batch, &control))
		entry->coordinator_epoch = control.coordinator_epoch;
}

static struct producer_entry *producer_entry_push(struct producer_state *state, struct producer_entry *entry,
						  const struct batch_info *batch)
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
	entry = producer_entry_reserve(state, entry, entry->batches_n + 1);
	entry->batches[entry->batches_n++] = added;
	return entry;
}

static void producer_undo_take(struct producer_undo *undo, int64_t producer_id, const struct producer_entry *entry)
{
	undo->used = true;
	undo->was_new = !entry;
	undo->was_ending = false;
	undo->producer_id = producer_id;
	if (!entry)
		return;
	undo->epoch = entry->epoch;
	undo->coordinator_epoch = entry->coordinator_epoch;
	undo->txn_first_offset = entry->txn_first_offset;
	undo->last_timestamp_ms = entry->last_timestamp_ms;
	undo->batches_n = entry->batches_n;
	if (entry->batches_n)
		memcpy(undo->batches, entry->batches, sizeof(entry->batches[0]) * (size_t)entry->batches_n);
}

void producer_state_append(struct producer_state *state, const struct batch_info *batch, struct producer_undo *undo)
{
	struct producer_entry *entry;

	if (undo)
		undo->used = false;
	if (batch->producer_id < 0)
		return;
	entry = producer_entry_find(state, batch->producer_id);
	if (undo)
		producer_undo_take(undo, batch->producer_id, entry);
	if (!entry)
		entry = producer_entry_add(state, batch->producer_id);
	if (batch_is_control(batch)) {
		if (undo)
			undo->was_ending = entry->txn_first_offset >= 0;
		producer_entry_end_txn(state, entry, batch);
		return;
	}
	producer_entry_set_epoch(entry, batch->producer_epoch);
	entry = producer_entry_push(state, entry, batch);
	entry->last_timestamp_ms = batch->max_timestamp;
	if (batch_is_transactional(batch) && entry->txn_first_offset < 0)
		producer_entry_set_txn(state, entry, batch->base_offset);
}

void producer_state_undo(struct producer_state *state, const struct producer_undo *undo)
{
	struct producer_entry *entry;

	if (!undo->used)
		return;
	if (undo->was_ending) {
		CHECK_OP(state->ending.n, >, 0u);
		state->ending.n--;
	}
	entry = producer_entry_find(state, undo->producer_id);
	/* It may have expired between the append and the failure of its write. */
	if (!entry)
		return;
	if (undo->was_new) {
		producer_entry_set_txn(state, entry, -1);
		producer_table_remove(&state->by_id, entry);
		mem_free(entry);
		return;
	}
	entry = producer_entry_reserve(state, entry, undo->batches_n);
	entry->epoch = undo->epoch;
	entry->coordinator_epoch = undo->coordinator_epoch;
	producer_entry_set_txn(state, entry, undo->txn_first_offset);
	entry->last_timestamp_ms = undo->last_timestamp_ms;
	entry->batches_n = undo->batches_n;
	if (undo->batches_n)
		memcpy(entry->batches, undo->batches, sizeof(undo->batches[0]) * (size_t)undo->batches_n);
}

/* Where both know the same newest batch, what came before it is the same as well. */
void producer_state_recall(struct producer_state *state, const struct producer_state *before)
{
	const struct producer_entry *old;

	for (uint32_t it = 0; (old = producer_table_next(&before->by_id, &it)) != NULL;) {
		struct producer_entry *entry = producer_entry_find(state, old->producer_id);
		const struct producer_batch *newest = entry ? producer_entry_newest(entry) : NULL;
		const struct producer_batch *known = producer_entry_newest(old);

		if (!newest || old->batches_n <= entry->batches_n || entry->epoch != old->epoch ||
		    newest->last_offset != known->last_offset || newest->last_seq != known->last_seq)
			continue;
		entry = producer_entry_reserve(state, entry, old->batches_n);
		memcpy(entry->batches, old->batches, sizeof(old->batches[0]) * (size_t)old->batches_n);
		entry->batches_n = old->batches_n;
	}
}

void producer_state_expire(struct producer_state *state, int64_t expire_before_ms)
{
	struct producer_entry *entry;

	for (uint32_t it = 0; (entry = producer_table_next(&state->by_id, &it)) != NULL;) {
		if (entry->last_timestamp_ms > expire_before_ms || entry->txn_first_offset >= 0)
			continue;
		producer_table_remove(&state->by_id, entry);
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
	for (uint32_t it = 0; (entry = producer_table_next(&state->by_id, &it)) != NULL; at += SNAPSHOT_ENTRY_LEN)
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
	if ((int64_t)load_be64(p + 38) < -1)
		return false;
	if (producer_entry_find(state, producer_id))
		return false;
	entry = producer_entry_add(state, producer_id);
	entry->epoch = (int16_t)load_be16(p + 8);
	entry->last_timestamp_ms = newest.timestamp_ms;
	entry->coordinator_epoch = (int32_t)load_be32(p + 34);
	entry->txn_first_offset = FAULT(open_forgotten) ? -1 : (int64_t)load_be64(p + 38);
	if (entry->txn_first_offset >= 0)
		vec_push(&state->open, ((struct producer_txn){entry->txn_first_offset, producer_id}));
	if (newest.last_offset >= 0 && newest.last_seq >= 0)
		entry->batches[entry->batches_n++] = newest;
	return true;
}

static int producer_txn_cmp(const void *a, const void *b)
{
	const struct producer_txn *x = a, *y = b;

	return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
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
	if (crc32c(0, file.p + SNAPSHOT_COUNT_AT, file.len - SNAPSHOT_COUNT_AT) != load_be32(file.p + SNAPSHOT_CRC_AT))
		return ERR_CORRUPT_FILE;
	for (uint32_t i = 0; i < n; i++) {
		if (!producer_entry_decode(state, file.p + SNAPSHOT_HEADER_LEN + (size_t)i * SNAPSHOT_ENTRY_LEN)) {
			producer_state_truncate_all(state);
			return ERR_CORRUPT_FILE;
		}
	}
	if (state->open.n)
		qsort(state->open.v, state->open.n, sizeof(state->open.v[0]), producer_txn_cmp);
	return ERR_NONE;
}
