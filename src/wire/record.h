/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records within a batch of format 2: reading them as views into the (unpacked) bytes, writing them.
 * Nothing is copied and nothing is allocated.
 *
 * A record is: length, attributes (0), timestamp delta, offset delta, key, value, headers; all numbers are
 * zig-zag varints, a length below zero is null. Deltas count from the batch's base offset and base timestamp.
 */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "batch.h"
#include "compress.h"

struct record {
	int64_t offset;
	int64_t timestamp;    /* the append time of the batch where it has that type */
	struct bytes key;     /* null has p == NULL, here and below */
	struct bytes value;
	struct bytes headers; /* as stored, behind their count: record_header_next */
	struct bytes bytes;   /* the whole record with its length */
	int32_t headers_n;
	int32_t sequence;     /* NO_SEQUENCE without a producer */
};

struct record_header {
	struct str key; /* never null; any bytes */
	struct bytes value;
};

/*
 * Walks the records of a batch:
 *
 *	record_iter_init(&it, &batch, payload);
 *	while (record_iter_next(&it, &record))
 *		...
 *	if (it.err) ...
 */
struct record_iter {
	const uint8_t *p;
	const uint8_t *end;
	int64_t base_offset;
	int64_t base_timestamp;
	int64_t append_time;   /* NO_TIMESTAMP: records have their own */
	int32_t base_sequence;
	int32_t left;          /* records still expected */
	bool log_append_time;
	enum err err;          /* ERR_CORRUPT_MESSAGE: malformed, or count and bytes disagree */
};

/* `payload`: the unpacked bytes behind the header of `batch`, a batch of format 2. */
void record_iter_init(struct record_iter *it, const struct batch_info *batch, struct bytes payload);
bool record_iter_next(struct record_iter *it, struct record *ret);

/*
 * The bytes of the records of `batch`, unpacked: in place when it has no codec, else appended to *into.
 * Errors as codec_decompress(). `batch` must be whole.
 */
enum err batch_payload(const struct batch_info *batch, struct compress_ctx *ctx, struct scratch *into,
		       struct bytes *ret) MUST_USE;

/* Takes the next header off *headers; false at the end. The record came from record_iter_next, which checked
 * it. */
bool record_header_next(struct bytes *headers, struct record_header *ret);

/* What is written: headers either as an array, or as stored in `raw_headers` when headers is NULL. */
struct record_fields {
	struct bytes key;
	struct bytes value;
	const struct record_header *headers;
	struct bytes raw_headers;
	int32_t headers_n;
};

/* Size with its length field; 0 when it would be above INT32_MAX. */
size_t record_size(int32_t offset_delta, int64_t timestamp_delta, const struct record_fields *fields);
/* Appends one record. ERR_TOO_LARGE by out->max or INT32_MAX. */
enum err record_write(struct scratch *out, int32_t offset_delta, int64_t timestamp_delta,
		      const struct record_fields *fields) MUST_USE;

/* What a parsed record carries, to write it again. */
static inline struct record_fields record_fields_of(const struct record *record)
{
	return (struct record_fields){.key = record->key,
				      .value = record->value,
				      .raw_headers = record->headers,
				      .headers_n = record->headers_n};
}

/* The shape of one record, for whoever needs no views (validation): what record_shape_read found. */
struct record_shape {
	int64_t timestamp_delta;
	int32_t offset_delta;
	bool has_key;
};

/*
 * A zig-zag varint at p: the byte behind it, or NULL when it does not end before `end` or is too long. The
 * fast ways are one and two bytes: nearly all lengths and deltas.
 */
const uint8_t *record_varlong_slow(const uint8_t *p, const uint8_t *end, int64_t *ret);
const uint8_t *record_varint_slow(const uint8_t *p, const uint8_t *end, int32_t *ret);

static inline const uint8_t *record_varint(const uint8_t *p, const uint8_t *end, int32_t *ret)
{
	uint32_t v;

	if (unlikely(end - p < 2))
		return record_varint_slow(p, end, ret);
	v = p[0];
	if (likely(v < 0x80)) {
		p += 1;
	} else if (likely(p[1] < 0x80)) {
		v = (v & 0x7f) | (uint32_t)p[1] << 7;
		p += 2;
	} else {
		return record_varint_slow(p, end, ret);
	}
	*ret = (int32_t)(v >> 1 ^ (0U - (v & 1)));
	return p;
}

static inline const uint8_t *record_varlong(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
	if (likely(p < end && *p < 0x80)) {
		uint64_t v = *p;

		*ret = (int64_t)(v >> 1 ^ (UINT64_C(0) - (v & 1)));
		return p + 1;
	}
	return record_varlong_slow(p, end, ret);
}

/*
 * A length and that many bytes; below zero is null, whichever number, as the original reads it. NULL when the
 * bytes do not end before `end`.
 */
static inline const uint8_t *record_blob(const uint8_t *p, const uint8_t *end, struct bytes *ret)
{
	int32_t len;

	p = record_varint(p, end, &len);
	if (unlikely(!p))
		return NULL;
	if (len < 0) {
		*ret = BYTES_NULL;
		return p;
	}
	if (unlikely(len > end - p))
		return NULL;
	*ret = (struct bytes){p, (size_t)len};
	return p + len;
}

/* True when `n` well-formed headers end exactly at `end`. */
bool record_headers_check(const uint8_t *p, const uint8_t *end, int32_t n);

/*
 * Checks the inside of one record: `p` to `end` is exactly its body, behind the length. Every varint ends
 * within, lengths add up to the body, header keys are not null. False when malformed. Inline because
 * validation runs it over every record produced.
 */
static inline bool record_shape_read(const uint8_t *p, const uint8_t *end, struct record_shape *ret)
{
	struct bytes key;
	struct bytes value;
	int32_t headers_n;

	if (unlikely(p == end))
		return false;
	p++; /* attributes: unused, whatever they say */
	p = record_varlong(p, end, &ret->timestamp_delta);
	if (unlikely(!p))
		return false;
	p = record_varint(p, end, &ret->offset_delta);
	if (unlikely(!p))
		return false;
	p = record_blob(p, end, &key);
	if (unlikely(!p))
		return false;
	p = record_blob(p, end, &value);
	if (unlikely(!p))
		return false;
	p = record_varint(p, end, &headers_n);
	if (unlikely(!p))
		return false;
	ret->has_key = key.p != NULL;
	return likely(headers_n == 0) ? p == end : record_headers_check(p, end, headers_n);
}

#endif
