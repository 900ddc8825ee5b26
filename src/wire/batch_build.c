/* SPDX-License-Identifier: Apache-2.0 */
/* Building batches. See batch_build.h. */
#include "batch_build.h"

#include "check.h"

void batch_header_write(uint8_t *p, const struct batch_info *info)
{
	store_be64(p + BATCH_OFFSET_AT, (uint64_t)info->base_offset);
	store_be32(p + BATCH_LENGTH_AT, (uint32_t)(info->size - BATCH_PREFIX_LEN));
	store_be32(p + BATCH_LEADER_EPOCH_AT, (uint32_t)info->leader_epoch);
	p[BATCH_MAGIC_AT] = BATCH_MAGIC_NOW;
	store_be16(p + BATCH_ATTRIBUTES_AT, info->attributes);
	store_be32(p + BATCH_LAST_OFFSET_DELTA_AT, (uint32_t)info->last_offset_delta);
	store_be64(p + BATCH_BASE_TIMESTAMP_AT, (uint64_t)info->base_timestamp);
	store_be64(p + BATCH_MAX_TIMESTAMP_AT, (uint64_t)info->max_timestamp);
	store_be64(p + BATCH_PRODUCER_ID_AT, (uint64_t)info->producer_id);
	store_be16(p + BATCH_PRODUCER_EPOCH_AT, (uint16_t)info->producer_epoch);
	store_be32(p + BATCH_BASE_SEQUENCE_AT, (uint32_t)info->base_sequence);
	store_be32(p + BATCH_RECORDS_N_AT, (uint32_t)info->records_n);
	batch_set_crc(p);
}

enum err batch_builder_init(struct batch_builder *b, const struct batch_spec *spec, struct scratch *out,
			    struct compress_ctx *ctx)
{
	enum err err = scratch_reserve(out, BATCH_HEADER_LEN);

	if (err)
		return err;
	CHECK((unsigned)spec->codec < CODEC_N);
	CHECK((spec->attributes & BATCH_CODEC_MASK) == 0);
	CHECK(spec->codec == CODEC_NONE || ctx);
	*b = (struct batch_builder){
		.spec = *spec,
		.ctx = ctx,
		.out = out,
		.records = spec->codec == CODEC_NONE ? out : &ctx->plain,
		.start = out->len,
		.base_timestamp = NO_TIMESTAMP,
		.max_timestamp = NO_TIMESTAMP,
		.last_offset_delta = -1,
	};
	if (spec->attributes & BATCH_DELETE_HORIZON)
		b->base_timestamp = spec->delete_horizon;
	if (b->records != out)
		b->records->len = 0;
	out->len += BATCH_HEADER_LEN;
	return ERR_NONE;
}

enum err batch_builder_add_at(struct batch_builder *b, int64_t offset, int64_t timestamp,
			      const struct record_fields *fields)
{
	int64_t delta = offset - b->spec.base_offset;
	int64_t base = b->base_timestamp;
	enum err err;

	CHECK_OP(delta, >, (int64_t)b->last_offset_delta);
	if (delta > INT32_MAX - 1 || b->records_n == INT32_MAX)
		return ERR_TOO_LARGE;
	if (b->records_n == 0 && !(b->spec.attributes & BATCH_DELETE_HORIZON))
		base = timestamp;
	err = record_write(b->records, (int32_t)delta, (int64_t)((uint64_t)timestamp - (uint64_t)base),
			   fields);
	if (err)
		return err;
	b->base_timestamp = base;
	b->max_timestamp = MAX(b->max_timestamp, timestamp);
	b->last_offset_delta = (int32_t)delta;
	b->records_n++;
	return ERR_NONE;
}

enum err batch_builder_add(struct batch_builder *b, int64_t timestamp, const struct record_fields *fields)
{
	return batch_builder_add_at(b, b->spec.base_offset + b->last_offset_delta + 1, timestamp, fields);
}

size_t batch_builder_len(const struct batch_builder *b)
{
	return b->records == b->out ? b->out->len - b->start : BATCH_HEADER_LEN + b->records->len;
}

void batch_builder_set_last_offset(struct batch_builder *b, int64_t last_offset)
{
	int64_t delta = last_offset - b->spec.base_offset;

	CHECK_OP(delta, >=, (int64_t)b->last_offset_delta);
	CHECK_OP(delta, <=, (int64_t)INT32_MAX);
	b->last_offset_delta = (int32_t)delta;
}

enum err batch_builder_finish(struct batch_builder *b, struct bytes *ret)
{
	const struct batch_spec *spec = &b->spec;
	struct batch_info info = {
		.base_offset = spec->base_offset,
		.leader_epoch = spec->leader_epoch,
		.last_offset_delta = MAX(b->last_offset_delta, 0),
		.attributes = (uint16_t)(spec->attributes | spec->codec),
		.producer_id = spec->producer_id,
		.producer_epoch = spec->producer_epoch,
		.base_timestamp = b->base_timestamp,
		.max_timestamp = b->max_timestamp,
		.base_sequence = spec->base_sequence,
		.records_n = b->records_n,
	};
	enum err err = ERR_NONE;

	if (b->records_n == 0) {
		info.attributes = spec->attributes & (uint16_t)~BATCH_DELETE_HORIZON;
		info.base_timestamp = NO_TIMESTAMP;
		info.max_timestamp = spec->append_time;
	} else if (spec->attributes & BATCH_LOG_APPEND_TIME) {
		info.max_timestamp = spec->append_time;
	}
	if (b->records_n && b->records != b->out)
		err = codec_compress(b->ctx, spec->codec, spec->level, scratch_bytes(b->records), b->out);
	info.size = b->out->len - b->start;
	if (!err && info.size > INT32_MAX)
		err = ERR_TOO_LARGE;
	if (err) {
		b->out->len = b->start;
		return err;
	}
	batch_header_write(b->out->p + b->start, &info);
	*ret = (struct bytes){b->out->p + b->start, info.size};
	return ERR_NONE;
}
