/* SPDX-License-Identifier: Apache-2.0 */
/* Message formats 0 and 1. See legacy.h. */
#include "legacy.h"

#include "check.h"

/* Offset, size, checksum, format, attributes; in format 1 the timestamp follows. */
#define KEY_AT_V0 18
#define KEY_AT_V1 26

static bool blob_read(struct bytes *in, struct bytes *ret)
{
	int32_t len;

	if (in->len < 4)
		return false;
	len = (int32_t)load_be32(in->p);
	*in = (struct bytes){in->p + 4, in->len - 4};
	*ret = BYTES_NULL;
	if (len < 0)
		return len == -1;
	if ((size_t)len > in->len)
		return false;
	*ret = (struct bytes){in->p, (size_t)len};
	*in = (struct bytes){in->p + len, in->len - (size_t)len};
	return true;
}

enum err legacy_parse(const struct batch_info *batch, struct legacy_record *ret)
{
	size_t at = batch->magic == 0 ? KEY_AT_V0 : KEY_AT_V1;
	struct legacy_record r = {
		.offset = batch->base_offset, .timestamp = batch->max_timestamp, .bytes = batch->bytes};
	struct bytes rest;

	CHECK_OP(batch->magic, <, BATCH_MAGIC_NOW);
	CHECK_OP(batch->bytes.len, ==, batch->size);
	rest = (struct bytes){batch->bytes.p + at, batch->size - at};
	if (!blob_read(&rest, &r.key) || !blob_read(&rest, &r.value) || rest.len)
		return ERR_CORRUPT_MESSAGE;
	*ret = r;
	return ERR_NONE;
}

/* The stored offset of the last message inside, after checking that all are whole and of the same plain
 * format. */
static enum err inner_scan(struct batch_iter it, int8_t magic, int64_t *ret_last)
{
	struct batch_info b;
	int64_t last = -1;
	bool any = false;

	while (batch_iter_next(&it, &b)) {
		if (b.magic != magic || batch_codec(&b) != CODEC_NONE)
			return ERR_CORRUPT_MESSAGE;
		last = b.base_offset;
		any = true;
	}
	if (it.err || it.left || !any)
		return ERR_CORRUPT_MESSAGE;
	*ret_last = last;
	return ERR_NONE;
}

enum err legacy_iter_init(struct legacy_iter *it, const struct batch_info *batch, unsigned flags,
			  struct compress_ctx *ctx, struct scratch *into)
{
	enum codec codec = batch_codec(batch);
	size_t start = into->len;
	struct legacy_record wrapper;
	int64_t last;
	enum err err;

	*it = (struct legacy_iter){.magic = batch->magic};
	if (codec == CODEC_NONE) {
		it->self = *batch;
		it->plain = true;
		return ERR_NONE;
	}
	if (codec > CODEC_LZ4)
		return ERR_UNSUPPORTED_COMPRESSION_TYPE;
	err = legacy_parse(batch, &wrapper);
	if (err)
		return err;
	if (!wrapper.value.p)
		return ERR_CORRUPT_MESSAGE;
	if (codec == CODEC_LZ4 && batch->magic == 0)
		codec = CODEC_LZ4_V0;
	err = codec_decompress(ctx, codec, wrapper.value, into);
	if (err)
		return err;
	it->inner = batch_iter_of((struct bytes){into->p + start, into->len - start}, flags);
	err = inner_scan(it->inner, batch->magic, &last);
	if (err)
		return err;
	it->inner.flags = 0; /* checked by the scan */
	if (batch->magic > 0) {
		it->offset_add = (int64_t)((uint64_t)batch->base_offset - (uint64_t)last);
		it->has_append_time = batch_is_log_append_time(batch);
		it->append_time = batch->max_timestamp;
	}
	return ERR_NONE;
}

bool legacy_iter_next(struct legacy_iter *it, struct legacy_record *ret)
{
	struct batch_info b;
	struct legacy_record r;

	if (it->err)
		return false;
	if (it->plain) {
		it->plain = false;
		b = it->self;
	} else if (!it->inner.in.p || !batch_iter_next(&it->inner, &b)) {
		return false;
	}
	it->err = legacy_parse(&b, &r);
	if (it->err)
		return false;
	r.offset = (int64_t)((uint64_t)r.offset + (uint64_t)it->offset_add);
	if (it->has_append_time)
		r.timestamp = it->append_time;
	*ret = r;
	return true;
}
