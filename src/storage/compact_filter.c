/* SPDX-License-Identifier: Apache-2.0 */
/* See compact_filter.h. Two walks over the records: which stay, and, when not all do, building what is left. */
#include "compact_filter.h"

#include "batch_build.h"
#include "legacy.h"
#include "mem.h"

#define PLAIN_KEEP ((size_t)4 << 20)
/* Nothing, but not null. */
#define COMPACT_EMPTY ((struct bytes){(const uint8_t *)"", 0})

void compact_filter_deinit(struct compact_filter *filter)
{
	compress_ctx_deinit(&filter->ctx);
	scratch_deinit(&filter->plain);
	vec_deinit(&filter->keys);
	vec_deinit(&filter->keep);
}

static enum err filter_payload(struct compact_filter *filter, const struct batch_info *batch, struct bytes *ret)
{
	scratch_trim(&filter->plain, PLAIN_KEEP);
	return batch_payload(batch, &filter->ctx, &filter->plain, ret);
}

/* Transactions are told of every batch: does it go for their sake? */
static enum err filter_discards(struct compact_filter *filter, const struct batch_info *batch, bool *ret)
{
	struct bytes key = BYTES_NULL, payload;
	struct record_iter it;
	struct record record;
	enum err err;

	if (batch_is_control(batch)) {
		err = filter_payload(filter, batch, &payload);
		if (err)
			return err;
		record_iter_init(&it, batch, payload);
		if (record_iter_next(&it, &record))
			key = record.key.p ? record.key : COMPACT_EMPTY;
		if (it.err)
			return it.err;
	}
	*ret = compact_txns_see(filter->txns, batch, key);
	return ERR_NONE;
}

static bool filter_keeps_empty(const struct compact_filter *filter, const struct batch_info *batch)
{
	const struct compact_producer *producer;

	if (batch->last_offset + 1 == filter->round_end)
		return true;
	if (batch->producer_id < 0)
		return false;
	producer = map_get_u64(filter->producers, (uint64_t)batch->producer_id);
	if (!producer)
		return false;
	if (producer->last_offset >= 0)
		return batch->last_offset == producer->last_offset;
	return batch_is_control(batch) && batch->producer_epoch == producer->epoch;
}

static bool filter_keeps_record(const struct compact_filter *filter, struct bytes key, struct bytes value,
				int64_t offset, struct offset_map_key hash, bool keeps_tombstones)
{
	if (offset >= filter->map_end)
		return true;
	if (!key.p)
		return false;
	return offset >= offset_map_get(filter->map, hash) && (value.p || keeps_tombstones);
}

/* Marks in filter->keep which records stay; how many, and whether a tombstone is among them. */
static enum err filter_choose(struct compact_filter *filter, const struct batch_info *batch, struct bytes payload,
			      size_t *ret_n, bool *ret_tombstones)
{
	bool keeps_tombstones = !batch_has_delete_horizon(batch) || filter->now_ms < batch->base_timestamp;
	struct record_iter it;
	struct record record;
	size_t n = 0, i = 0;

	filter->keys.n = filter->keep.n = 0;
	*ret_tombstones = false;
	record_iter_init(&it, batch, payload);
	while (!batch_is_control(batch) && record_iter_next(&it, &record)) {
		struct offset_map_key key = {0, 0};

		if (record.key.p) {
			key = offset_map_hash(filter->map, record.key);
			offset_map_prefetch(filter->map, key);
		}
		vec_push(&filter->keys, key);
	}
	if (it.err)
		return it.err;
	record_iter_init(&it, batch, payload);
	for (; record_iter_next(&it, &record); i++) {
		bool keep = batch_is_control(batch) ||
			    filter_keeps_record(filter, record.key, record.value, record.offset,
						filter->keys.v[i], keeps_tombstones);

		vec_push(&filter->keep, keep);
		n += keep;
		filter->keyless_n += !record.key.p;
		*ret_tombstones = *ret_tombstones || (keep && !record.value.p);
	}
	*ret_n = n;
	return it.err;
}

/* What is left of a batch, with the header's other fields as they were. */
static enum err filter_rebuild(struct compact_filter *filter, const struct batch_info *batch, struct bytes payload,
			       int64_t horizon, struct scratch *out)
{
	struct batch_spec spec = {
		.base_offset = batch->base_offset,
		.producer_id = batch->producer_id,
		.append_time = batch->max_timestamp,
		.delete_horizon = horizon,
		.leader_epoch = batch->leader_epoch,
		.base_sequence = batch->base_sequence,
		.level = COMPRESS_LEVEL_DEFAULT,
		.codec = batch_codec(batch),
		.attributes = batch->attributes & (uint16_t)~(BATCH_CODEC_MASK | BATCH_DELETE_HORIZON),
		.producer_epoch = batch->producer_epoch,
	};
	struct batch_builder builder;
	struct record_iter it;
	struct record record;
	struct bytes built;
	enum err err;

	if (horizon != NO_TIMESTAMP)
		spec.attributes |= BATCH_DELETE_HORIZON;
	err = batch_builder_init(&builder, &spec, out, &filter->ctx);
	if (err)
		return err;
	record_iter_init(&it, batch, payload);
	for (size_t i = 0; !err && i < filter->keep.n && record_iter_next(&it, &record); i++) {
		struct record_fields fields = record_fields_of(&record);

		if (filter->keep.v[i])
			err = batch_builder_add_at(&builder, record.offset, record.timestamp, &fields);
	}
	if (err)
		return err;
	batch_builder_set_last_offset(&builder, batch->last_offset);
	return batch_builder_finish(&builder, &built);
}

/* Formats 0 and 1: a message, or a wrapper, stays whole when anything in it stays. */
static enum err filter_old_batch(struct compact_filter *filter, const struct batch_info *batch, struct scratch *out)
{
	struct legacy_iter it;
	struct legacy_record record;
	bool keep = false;
	enum err err;

	scratch_trim(&filter->plain, PLAIN_KEEP);
	err = legacy_iter_init(&it, batch, BATCH_CHECK_CRC, &filter->ctx, &filter->plain);
	if (err)
		return err;
	while (legacy_iter_next(&it, &record)) {
		struct offset_map_key key = {0, 0};

		if (record.key.p)
			key = offset_map_hash(filter->map, record.key);
		filter->records_in++;
		keep = keep || filter_keeps_record(filter, record.key, record.value, record.offset, key,
						   filter->keeps_old_tombstones);
	}
	if (it.err || !keep)
		return it.err;
	filter->records_out++;
	return scratch_append(out, batch->bytes.p, batch->bytes.len);
}

enum err compact_filter_batch(struct compact_filter *filter, const struct batch_info *batch, struct scratch *out)
{
	bool discards, is_marker_of_nothing, has_tombstones = false, keeps_empty, sets_horizon;
	struct bytes payload = COMPACT_EMPTY;
	size_t n = 0;
	enum err err;

	if (batch->magic < BATCH_MAGIC_NOW)
		return filter_old_batch(filter, batch, out);
	filter->records_in += batch->records_n;
	err = filter_discards(filter, batch, &discards);
	if (err)
		return err;
	is_marker_of_nothing = discards && batch_is_control(batch);
	/* A marker waits for its horizon. */
	if (is_marker_of_nothing)
		discards = batch_has_delete_horizon(batch) && batch->base_timestamp <= filter->now_ms;
	keeps_empty = filter_keeps_empty(filter, batch);
	if (discards && !keeps_empty)
		return ERR_NONE;
	filter->keep.n = 0;
	if (!discards) {
		err = filter_payload(filter, batch, &payload);
		if (!err)
			err = filter_choose(filter, batch, payload, &n, &has_tombstones);
		if (err)
			return err;
	}
	if (n == 0 && !keeps_empty)
		return ERR_NONE;
	filter->records_out += (int64_t)n;
	if (n == 0) {
		filter->keep.n = 0;
		return filter_rebuild(filter, batch, payload, NO_TIMESTAMP, out);
	}
	sets_horizon = (has_tombstones || is_marker_of_nothing) && !batch_has_delete_horizon(batch);
	if (n == (size_t)batch->records_n && !sets_horizon)
		return scratch_append(out, batch->bytes.p, batch->bytes.len);
	return filter_rebuild(filter, batch, payload,
			      sets_horizon ? filter->now_ms + filter->delete_retention_ms
			      : batch_has_delete_horizon(batch) ? batch->base_timestamp : NO_TIMESTAMP, out);
}

static bool filter_map_key(struct offset_map *map, struct bytes key, int64_t offset, int64_t from)
{
	if (!key.p || offset < from)
		return true;
	return offset_map_put(map, offset_map_hash(map, key), offset);
}

static enum err filter_map_old(struct compact_filter *filter, struct offset_map *map, const struct batch_info *batch,
			       int64_t from, bool *ret_full)
{
	struct legacy_iter it;
	struct legacy_record record;
	enum err err;

	scratch_trim(&filter->plain, PLAIN_KEEP);
	err = legacy_iter_init(&it, batch, BATCH_CHECK_CRC, &filter->ctx, &filter->plain);
	if (err)
		return err;
	while (!*ret_full && legacy_iter_next(&it, &record))
		*ret_full = !filter_map_key(map, record.key, record.offset, from);
	return it.err;
}

enum err compact_filter_map(struct compact_filter *filter, struct offset_map *map, const struct batch_info *batch,
			    int64_t from, bool *ret_full)
{
	struct record_iter it;
	struct record record;
	struct bytes payload;
	bool discards;
	enum err err;

	*ret_full = false;
	if (batch->magic < BATCH_MAGIC_NOW)
		return filter_map_old(filter, map, batch, from, ret_full);
	err = filter_discards(filter, batch, &discards);
	if (err || discards || batch_is_control(batch))
		return err;
	err = filter_payload(filter, batch, &payload);
	if (err)
		return err;
	record_iter_init(&it, batch, payload);
	while (!*ret_full && record_iter_next(&it, &record))
		*ret_full = !filter_map_key(map, record.key, record.offset, from);
	return *ret_full ? ERR_NONE : it.err;
}
