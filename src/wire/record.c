/* SPDX-License-Identifier: Apache-2.0 */
/* Records of format 2: parsing, checking, writing. See record.h. */
#include "record.h"

#include "check.h"
#include "varint.h"

const uint8_t *record_varint_slow(const uint8_t *p, const uint8_t *end, int32_t *ret)
{
	size_t n = varint_read(p, (size_t)(end - p), ret);

	return n ? p + n : NULL;
}

const uint8_t *record_varlong_slow(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
	size_t n = varlong_read(p, (size_t)(end - p), ret);

	return n ? p + n : NULL;
}

bool record_headers_check(const uint8_t *p, const uint8_t *end, int32_t n)
{
	struct bytes key;
	struct bytes value;

	/* A header has two bytes at least: a count beyond that would only keep us busy. */
	if (n < 0 || n > (end - p) / 2)
		return false;
	for (; n > 0; n--) {
		p = record_blob(p, end, &key);
		if (!p || !key.p)
			return false;
		p = record_blob(p, end, &value);
		if (!p)
			return false;
	}
	return p == end;
}

void record_iter_init(struct record_iter *it, const struct batch_info *batch, struct bytes payload)
{
	CHECK_OP(batch->magic, ==, BATCH_MAGIC_NOW);
	*it = (struct record_iter){
		.p = payload.p,
		.end = payload.p + payload.len,
		.base_offset = batch->base_offset,
		.base_timestamp = batch->base_timestamp,
		.append_time = batch->max_timestamp,
		.base_sequence = batch->base_sequence,
		.left = batch->records_n,
		.log_append_time = batch_is_log_append_time(batch),
	};
}

static const uint8_t *record_parse(struct record_iter *it, const uint8_t *p, const uint8_t *end,
				   struct record *r)
{
	int64_t timestamp_delta;
	int32_t offset_delta;

	if (p == end)
		return NULL;
	p = record_varlong(p + 1, end, &timestamp_delta);
	if (!p)
		return NULL;
	p = record_varint(p, end, &offset_delta);
	if (!p)
		return NULL;
	p = record_blob(p, end, &r->key);
	if (!p)
		return NULL;
	p = record_blob(p, end, &r->value);
	if (!p)
		return NULL;
	p = record_varint(p, end, &r->headers_n);
	if (!p || !record_headers_check(p, end, r->headers_n))
		return NULL;
	r->headers = (struct bytes){p, (size_t)(end - p)};
	/* Sums wrap as the original's do: whether they make sense is the reader's question. */
	r->offset = (int64_t)((uint64_t)it->base_offset + (uint64_t)(int64_t)offset_delta);
	r->timestamp = it->log_append_time
			       ? it->append_time
			       : (int64_t)((uint64_t)it->base_timestamp + (uint64_t)timestamp_delta);
	r->sequence = sequence_add(it->base_sequence, offset_delta);
	return end;
}

bool record_iter_next(struct record_iter *it, struct record *ret)
{
	const uint8_t *start = it->p;
	const uint8_t *body;
	struct record r;
	int32_t len;

	if (it->err)
		return false;
	if (it->left == 0) {
		if (it->p != it->end)
			it->err = ERR_CORRUPT_MESSAGE;
		return false;
	}
	body = record_varint(it->p, it->end, &len);
	if (!body || len < 0 || len > it->end - body || !record_parse(it, body, body + len, &r)) {
		it->err = ERR_CORRUPT_MESSAGE;
		return false;
	}
	it->p = body + len;
	it->left--;
	r.bytes = (struct bytes){start, (size_t)(it->p - start)};
	*ret = r;
	return true;
}

enum err batch_payload(const struct batch_info *batch, struct compress_ctx *ctx, struct scratch *into,
		       struct bytes *ret)
{
	struct bytes packed = {batch->bytes.p + BATCH_HEADER_LEN, batch->bytes.len - BATCH_HEADER_LEN};
	size_t start = into->len;
	enum err err;

	CHECK_OP(batch->bytes.len, ==, batch->size);
	CHECK_OP(batch->magic, ==, BATCH_MAGIC_NOW);
	if (batch_codec(batch) == CODEC_NONE) {
		*ret = packed;
		return ERR_NONE;
	}
	err = codec_decompress(ctx, batch_codec(batch), packed, into);
	if (err)
		return err;
	*ret = (struct bytes){into->p + start, into->len - start};
	return ERR_NONE;
}

bool record_header_next(struct bytes *headers, struct record_header *ret)
{
	const uint8_t *end = headers->p + headers->len;
	const uint8_t *p;
	struct bytes key;

	if (headers->len == 0)
		return false;
	p = record_blob(headers->p, end, &key);
	if (p)
		p = record_blob(p, end, &ret->value);
	CHECK(p);
	ret->key = bytes_str(key);
	*headers = (struct bytes){p, (size_t)(end - p)};
	return true;
}

static size_t blob_size(struct bytes b)
{
	return b.p ? varint_size((int32_t)b.len) + b.len : varint_size(-1);
}

static uint8_t *blob_write(uint8_t *p, struct bytes b)
{
	if (!b.p)
		return p + varint_write(p, -1);
	p += varint_write(p, (int32_t)b.len);
	if (b.len)
		memcpy(p, b.p, b.len);
	return p + b.len;
}

/* The bytes behind the length; more than INT32_MAX when a part or the sum is too long. */
static uint64_t body_size(int32_t offset_delta, int64_t timestamp_delta, const struct record_fields *f)
{
	const uint64_t too_long = UINT64_C(1) << 32;
	uint64_t size = 1 + varlong_size(timestamp_delta) + varint_size(offset_delta);

	if (f->key.len > INT32_MAX || f->value.len > INT32_MAX || f->raw_headers.len > INT32_MAX)
		return too_long;
	size += blob_size(f->key) + blob_size(f->value) + varint_size(f->headers_n);
	if (!f->headers)
		return size + f->raw_headers.len;
	for (int32_t i = 0; i < f->headers_n && size <= INT32_MAX; i++) {
		if (f->headers[i].key.len > INT32_MAX || f->headers[i].value.len > INT32_MAX)
			return too_long;
		size += blob_size(str_bytes(f->headers[i].key)) + blob_size(f->headers[i].value);
	}
	return size;
}

size_t record_size(int32_t offset_delta, int64_t timestamp_delta, const struct record_fields *fields)
{
	uint64_t size = body_size(offset_delta, timestamp_delta, fields);

	return size > INT32_MAX - VARINT32_MAX ? 0 : (size_t)size + varint_size((int32_t)size);
}

enum err record_write(struct scratch *out, int32_t offset_delta, int64_t timestamp_delta,
		      const struct record_fields *fields)
{
	uint64_t size = body_size(offset_delta, timestamp_delta, fields);
	uint8_t *p;
	enum err err;

	if (size > INT32_MAX - VARINT32_MAX)
		return ERR_TOO_LARGE;
	err = scratch_reserve(out, VARINT32_MAX + (size_t)size);
	if (err)
		return err;
	p = out->p + out->len;
	p += varint_write(p, (int32_t)size);
	*p++ = 0;
	p += varlong_write(p, timestamp_delta);
	p += varint_write(p, offset_delta);
	p = blob_write(p, fields->key);
	p = blob_write(p, fields->value);
	p += varint_write(p, fields->headers_n);
	if (fields->headers) {
		for (int32_t i = 0; i < fields->headers_n; i++) {
			CHECK(fields->headers[i].key.p);
			p = blob_write(p, str_bytes(fields->headers[i].key));
			p = blob_write(p, fields->headers[i].value);
		}
	} else if (fields->raw_headers.len) {
		memcpy(p, fields->raw_headers.p, fields->raw_headers.len);
		p += fields->raw_headers.len;
	}
	out->len = (size_t)(p - out->p);
	return ERR_NONE;
}
