/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of record batches: reading, checking, walking, changing in place. See batch.h. */
#include "batch.h"

#include "check.h"
#include "crc32c.h"

/* Least length field of any format: what follows the first 12 bytes of an empty message of format 0. */
#define LENGTH_MIN (BATCH_V0_LEN_MIN - BATCH_PREFIX_LEN)
/* Formats 0 and 1: checksum, format, attributes; then in 1 the timestamp. */
#define V0_CRC_AT 12
#define V0_CRC_START 16
#define V0_ATTRIBUTES_AT 17
#define V1_TIMESTAMP_AT 18

_Static_assert(BATCH_RECORDS_N_AT + 4 == BATCH_HEADER_LEN, "the header ends with the count");
_Static_assert(BATCH_PEEK_LEN == BATCH_MAGIC_AT + 1, "peeking ends with the format");

static enum err parse_old(struct bytes in, int8_t magic, struct batch_info *b)
{
	size_t header_len = magic == 0 ? V1_TIMESTAMP_AT : V1_TIMESTAMP_AT + 8;

	if (b->size < (magic == 0 ? BATCH_V0_LEN_MIN : BATCH_V1_LEN_MIN))
		return ERR_CORRUPT_MESSAGE;
	if (in.len < header_len)
		return ERR_WOULD_BLOCK;
	b->last_offset = b->base_offset;
	b->leader_epoch = NO_LEADER_EPOCH;
	b->crc = load_be32(in.p + V0_CRC_AT);
	b->attributes = in.p[V0_ATTRIBUTES_AT];
	b->base_timestamp = magic == 0 ? NO_TIMESTAMP : (int64_t)load_be64(in.p + V1_TIMESTAMP_AT);
	b->max_timestamp = b->base_timestamp;
	b->producer_id = NO_PRODUCER_ID;
	b->producer_epoch = NO_PRODUCER_EPOCH;
	b->base_sequence = NO_SEQUENCE;
	b->records_n = -1;
	return ERR_NONE;
}

static enum err parse_now(struct bytes in, struct batch_info *b)
{
	const uint8_t *p = in.p;

	if (b->size < BATCH_HEADER_LEN)
		return ERR_CORRUPT_MESSAGE;
	if (in.len < BATCH_HEADER_LEN)
		return ERR_WOULD_BLOCK;
	b->leader_epoch = (int32_t)load_be32(p + BATCH_LEADER_EPOCH_AT);
	b->crc = load_be32(p + BATCH_CRC_AT);
	b->attributes = load_be16(p + BATCH_ATTRIBUTES_AT);
	b->last_offset_delta = (int32_t)load_be32(p + BATCH_LAST_OFFSET_DELTA_AT);
	b->base_timestamp = (int64_t)load_be64(p + BATCH_BASE_TIMESTAMP_AT);
	b->max_timestamp = (int64_t)load_be64(p + BATCH_MAX_TIMESTAMP_AT);
	b->producer_id = (int64_t)load_be64(p + BATCH_PRODUCER_ID_AT);
	b->producer_epoch = (int16_t)load_be16(p + BATCH_PRODUCER_EPOCH_AT);
	b->base_sequence = (int32_t)load_be32(p + BATCH_BASE_SEQUENCE_AT);
	b->records_n = (int32_t)load_be32(p + BATCH_RECORDS_N_AT);
	if (b->last_offset_delta < 0 || b->records_n < 0)
		return ERR_CORRUPT_MESSAGE;
	if (__builtin_add_overflow(b->base_offset, (int64_t)b->last_offset_delta, &b->last_offset))
		return ERR_CORRUPT_MESSAGE;
	return ERR_NONE;
}

enum err batch_parse(struct bytes in, struct batch_info *ret)
{
	struct batch_info b = {0};
	int32_t length;
	enum err err;

	if (in.len < BATCH_PREFIX_LEN)
		return ERR_WOULD_BLOCK;
	b.base_offset = (int64_t)load_be64(in.p + BATCH_OFFSET_AT);
	length = (int32_t)load_be32(in.p + BATCH_LENGTH_AT);
	if (length < LENGTH_MIN || length > INT32_MAX - BATCH_PREFIX_LEN)
		return ERR_CORRUPT_MESSAGE;
	b.size = (size_t)length + BATCH_PREFIX_LEN;
	if (in.len < BATCH_PEEK_LEN)
		return ERR_WOULD_BLOCK;
	b.magic = (int8_t)in.p[BATCH_MAGIC_AT];
	if (b.magic < 0 || b.magic > BATCH_MAGIC_NOW)
		return ERR_CORRUPT_MESSAGE;
	err = b.magic == BATCH_MAGIC_NOW ? parse_now(in, &b) : parse_old(in, b.magic, &b);
	if (err)
		return err;
	b.bytes = (struct bytes){in.p, MIN(in.len, b.size)};
	*ret = b;
	return ERR_NONE;
}

bool batch_crc_is_right(const struct batch_info *batch)
{
	const uint8_t *p = batch->bytes.p;

	CHECK_OP(batch->bytes.len, ==, batch->size);
	if (batch->magic == BATCH_MAGIC_NOW)
		return crc32c(0, p + BATCH_ATTRIBUTES_AT, batch->size - BATCH_ATTRIBUTES_AT) == batch->crc;
	return crc32_plain(0, p + V0_CRC_START, batch->size - V0_CRC_START) == batch->crc;
}

enum err batch_check_header(struct bytes in, unsigned flags, struct batch_info *ret)
{
	struct batch_info b;

	if (batch_parse(in, &b) || b.bytes.len != b.size)
		return ERR_CORRUPT_MESSAGE;
	if ((flags & BATCH_CHECK_CRC) && !batch_crc_is_right(&b))
		return ERR_CORRUPT_MESSAGE;
	*ret = b;
	return ERR_NONE;
}

bool batch_iter_next(struct batch_iter *it, struct batch_info *ret)
{
	struct bytes rest;
	struct batch_info b;

	if (it->err || it->pos == it->in.len)
		return false;
	rest = (struct bytes){it->in.p + it->pos, it->in.len - it->pos};
	it->err = batch_parse(rest, &b);
	if (it->err == ERR_WOULD_BLOCK || (!it->err && b.bytes.len < b.size)) {
		it->err = ERR_NONE;
		it->left = rest.len;
		it->need = rest.len < BATCH_PREFIX_LEN
				   ? 0
				   : (size_t)load_be32(rest.p + BATCH_LENGTH_AT) + BATCH_PREFIX_LEN;
		return false;
	}
	if (!it->err && (it->flags & BATCH_CHECK_CRC) && !batch_crc_is_right(&b))
		it->err = ERR_CORRUPT_MESSAGE;
	if (it->err)
		return false;
	it->pos += b.size;
	*ret = b;
	return true;
}

void batch_set_crc(uint8_t *batch)
{
	size_t size = (size_t)load_be32(batch + BATCH_LENGTH_AT) + BATCH_PREFIX_LEN;

	CHECK_OP(batch[BATCH_MAGIC_AT], ==, BATCH_MAGIC_NOW);
	CHECK_OP(size, >=, (size_t)BATCH_HEADER_LEN);
	store_be32(batch + BATCH_CRC_AT, crc32c(0, batch + BATCH_ATTRIBUTES_AT, size - BATCH_ATTRIBUTES_AT));
}

bool batch_set_attributes(uint8_t *batch, uint16_t attributes)
{
	if (load_be16(batch + BATCH_ATTRIBUTES_AT) == attributes)
		return false;
	store_be16(batch + BATCH_ATTRIBUTES_AT, attributes);
	batch_set_crc(batch);
	return true;
}

bool batch_set_max_timestamp(uint8_t *batch, bool log_append_time, int64_t max_timestamp)
{
	uint16_t old = load_be16(batch + BATCH_ATTRIBUTES_AT);
	uint16_t attributes = (uint16_t)((old & ~BATCH_LOG_APPEND_TIME) |
					 (log_append_time ? BATCH_LOG_APPEND_TIME : 0));

	if (old == attributes && (int64_t)load_be64(batch + BATCH_MAX_TIMESTAMP_AT) == max_timestamp)
		return false;
	store_be16(batch + BATCH_ATTRIBUTES_AT, attributes & BATCH_ATTRIBUTES_KNOWN);
	store_be64(batch + BATCH_MAX_TIMESTAMP_AT, (uint64_t)max_timestamp);
	batch_set_crc(batch);
	return true;
}
