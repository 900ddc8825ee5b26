/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches as they lie on the wire and in segments: read the header, walk from batch to batch, change
 * the header fields a leader may change, build a new batch. Everything works in place on memory of the
 * caller.
 *
 * Format 2 has a header of 61 bytes and a CRC-32C over everything from byte 21 on. Formats 0 and 1 (only in
 * old segments) share the first 17 bytes: offset, size, and a version byte at 16. batch_parse and the
 * iterator read all three, so that recovery needs one loop; what is inside an old wrapper is legacy.h's
 * matter.
 *
 * Offset and leader epoch are outside the checksum: a leader stamps them without touching it.
 */
#ifndef WIRE_BATCH_H
#define WIRE_BATCH_H

#include "bytes.h"
#include "compress.h"
#include "err.h"

/* Byte offsets in the header of format 2. */
#define BATCH_OFFSET_AT 0
#define BATCH_LENGTH_AT 8
#define BATCH_LEADER_EPOCH_AT 12
#define BATCH_MAGIC_AT 16
#define BATCH_CRC_AT 17
#define BATCH_ATTRIBUTES_AT 21
#define BATCH_LAST_OFFSET_DELTA_AT 23
#define BATCH_BASE_TIMESTAMP_AT 27
#define BATCH_MAX_TIMESTAMP_AT 35
#define BATCH_PRODUCER_ID_AT 43
#define BATCH_PRODUCER_EPOCH_AT 51
#define BATCH_BASE_SEQUENCE_AT 53
#define BATCH_RECORDS_N_AT 57
#define BATCH_HEADER_LEN 61

/* Offset and length field, in front of what the length counts; the same in all formats. */
#define BATCH_PREFIX_LEN 12
/* Enough bytes to tell the format of a batch and its size. */
#define BATCH_PEEK_LEN 17
/* Smallest whole message of formats 0 and 1 (null key, null value). */
#define BATCH_V0_LEN_MIN 26
#define BATCH_V1_LEN_MIN 34

#define BATCH_MAGIC_NOW 2

/* Attributes. The same codec bits and timestamp bit exist in format 1. */
#define BATCH_CODEC_MASK 0x07
#define BATCH_LOG_APPEND_TIME 0x08
#define BATCH_TRANSACTIONAL 0x10
#define BATCH_CONTROL 0x20
#define BATCH_DELETE_HORIZON 0x40
#define BATCH_ATTRIBUTES_KNOWN 0x7f

#define NO_TIMESTAMP INT64_C(-1)
#define NO_PRODUCER_ID INT64_C(-1)
#define NO_PRODUCER_EPOCH ((int16_t)-1)
#define NO_SEQUENCE (-1)
#define NO_LEADER_EPOCH (-1)

/* A header, taken apart. `bytes` borrows from the memory that was parsed. */
struct batch_info {
	struct bytes bytes;        /* the batch with its header; after batch_parse as much as there was */
	size_t size;               /* of the whole batch with its first 12 bytes */
	int64_t base_offset;       /* formats 0, 1: the one offset that is stored, the last in a wrapper */
	int64_t last_offset;       /* formats 0, 1: the same */
	int32_t leader_epoch;      /* formats 0, 1: -1 */
	uint32_t crc;              /* as stored */
	int32_t last_offset_delta; /* formats 0, 1: 0 */
	uint16_t attributes;
	int8_t magic;
	int16_t producer_epoch;
	int64_t producer_id;
	int64_t base_timestamp;    /* of the first record; or the delete horizon, by that bit; -1 if none */
	int64_t max_timestamp;     /* format 1: as stored, which a wrapper carries for all inside; 0: -1 */
	int32_t base_sequence;
	int32_t records_n;         /* may be 0 after compaction; formats 0, 1: -1, unknown */
};

static inline enum codec batch_codec(const struct batch_info *batch)
{
	return (enum codec)(batch->attributes & BATCH_CODEC_MASK);
}

static inline bool batch_is_transactional(const struct batch_info *batch)
{
	return (batch->attributes & BATCH_TRANSACTIONAL) != 0;
}

static inline bool batch_is_control(const struct batch_info *batch)
{
	return (batch->attributes & BATCH_CONTROL) != 0;
}

static inline bool batch_is_log_append_time(const struct batch_info *batch)
{
	return (batch->attributes & BATCH_LOG_APPEND_TIME) != 0;
}

static inline bool batch_has_delete_horizon(const struct batch_info *batch)
{
	return batch->magic == BATCH_MAGIC_NOW && (batch->attributes & BATCH_DELETE_HORIZON) != 0;
}

/* A producer's sequence number `delta` records after `sequence`: after INT32_MAX follows 0. NO_SEQUENCE
 * stays. */
static inline int32_t sequence_add(int32_t sequence, int32_t delta)
{
	return sequence < 0 ? NO_SEQUENCE : (int32_t)(((uint32_t)sequence + (uint32_t)delta) & INT32_MAX);
}

static inline int32_t batch_last_sequence(const struct batch_info *batch)
{
	/* What coordinators write has no sequence. */
	return batch->base_sequence < 0 ? -1 : sequence_add(batch->base_sequence, batch->last_offset_delta);
}

/*
 * Reads the header at the start of `in`, which may end before the batch does (61 bytes always suffice).
 * ERR_WOULD_BLOCK: `in` ends within the header. ERR_CORRUPT_MESSAGE: size below the format's least or above 2
 * GB, unknown format, negative count or last offset delta. Neither CRC nor codec number is looked at.
 */
enum err batch_parse(struct bytes in, struct batch_info *ret) MUST_USE;

#define BATCH_CHECK_CRC 1u /* the checksum too, of any format */

/* batch_parse, and the whole batch is there (else ERR_CORRUPT_MESSAGE); ret->bytes is exactly the batch. */
enum err batch_check_header(struct bytes in, unsigned flags, struct batch_info *ret) MUST_USE;
/* True when the stored checksum is right. batch->bytes must hold the whole batch. */
bool batch_crc_is_right(const struct batch_info *batch);

/*
 * Walks batches that lie one after another.
 *
 *	struct batch_iter it = batch_iter_of(range, BATCH_CHECK_CRC);
 *	while (batch_iter_next(&it, &batch))
 *		...
 *	if (it.err) -> it.pos is where the bad batch begins
 *	else if (it.left) -> the range ends in part of a batch, which begins at it.pos
 */
struct batch_iter {
	struct bytes in;
	unsigned flags;
	size_t pos;    /* end of the last whole batch */
	size_t left;   /* bytes of a batch that the range cuts; known when next has returned false */
	size_t need;   /* whole size of that batch when its size field is there, else 0 */
	enum err err;  /* ERR_NONE also when a cut batch ends the range */
};

static inline struct batch_iter batch_iter_of(struct bytes in, unsigned flags)
{
	return (struct batch_iter){.in = in, .flags = flags};
}

bool batch_iter_next(struct batch_iter *it, struct batch_info *ret);

/* Changes in place, format 2, whole batch at `batch`. Offset and epoch are outside the checksum. */
static inline void batch_set_base_offset(uint8_t *batch, int64_t offset)
{
	store_be64(batch + BATCH_OFFSET_AT, (uint64_t)offset);
}

static inline void batch_set_leader_epoch(uint8_t *batch, int32_t epoch)
{
	store_be32(batch + BATCH_LEADER_EPOCH_AT, (uint32_t)epoch);
}

/*
 * Sets timestamp type and maximum; when that changes a byte, clears unknown attributes and computes the
 * checksum anew. True when it did.
 */
bool batch_set_max_timestamp(uint8_t *batch, bool log_append_time, int64_t max_timestamp);
/* The same for any change of attributes. */
bool batch_set_attributes(uint8_t *batch, uint16_t attributes);
/* Sets the stored checksum to what the bytes say; the length field must be right. */
void batch_set_crc(uint8_t *batch);

#endif
