/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the codecs piece by piece. Each reader fills the caller's memory, eats `u->in`, and sets `ended`
 * when the codec's own end has been seen and nothing is left. Input that stops short, goes on behind the end,
 * or says something the library refuses is ERR_CORRUPT_MESSAGE: these bytes come from clients and from disks.
 */
#define ZLIB_CONST
#include <lz4frame.h>
#include <snappy-c.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "check.h"
#include "compress.h"
#include "mem.h"

#define GZIP_WBITS (15 + 16)
#define SNAPPY_MAGIC_LEN 8
#define SNAPPY_HEADER_LEN 16
/* A snappy copy of three bytes makes at most 64: more than this many times the input is a lie. */
#define SNAPPY_RATIO_MAX ((size_t)22)
#define LZ4_MAGIC_LE 0x184d2204u
#define LZ4_HEADER_MIN ((size_t)7) /* magic, flags, block size, checksum */
#define LZ4_INDEPENDENT 0x20
#define LZ4_HAS_SIZE 0x08
#define LZ4_HAS_DICT 0x01

static const uint8_t snappy_magic[SNAPPY_MAGIC_LEN] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

/* What is left behind the first n bytes. Null stays null. */
static struct bytes behind(struct bytes b, size_t n)
{
	return n ? (struct bytes){b.p + n, b.len - n} : b;
}

static enum err none_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *n)
{
	*n = MIN(cap, u->in.len);
	if (*n)
		memcpy(dst, u->in.p, *n);
	u->in = behind(u->in, *n);
	u->ended = u->in.len == 0;
	return ERR_NONE;
}

static void *zlib_alloc(void *opaque, uInt n, uInt size)
{
	return mem_calloc(n, size);
}

static void zlib_free(void *opaque, void *p)
{
	mem_free(p);
}

static void gzip_init(struct unzip *u)
{
	z_stream *z = u->ctx->gzip_in;

	if (!z) {
		z = MEM_NEW(z_stream);
		z->zalloc = zlib_alloc;
		z->zfree = zlib_free;
		CHECK_OP(inflateInit2(z, GZIP_WBITS), ==, Z_OK);
		u->ctx->gzip_in = z;
	} else {
		inflateReset(z);
	}
}

/* Several members in a row are one stream, as RFC 1952 says. */
static enum err gzip_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *n)
{
	z_stream *z = u->ctx->gzip_in;
	uInt in_len;
	uInt out_len;
	int rc;

	*n = 0;
	while (*n < cap && !u->ended) {
		in_len = (uInt)MIN(u->in.len, (size_t)INT32_MAX);
		out_len = (uInt)MIN(cap - *n, (size_t)INT32_MAX);
		z->next_in = u->in.p;
		z->avail_in = in_len;
		z->next_out = dst + *n;
		z->avail_out = out_len;
		rc = inflate(z, Z_NO_FLUSH);
		u->in = behind(u->in, in_len - z->avail_in);
		*n += out_len - z->avail_out;
		if (rc == Z_STREAM_END) {
			u->ended = u->in.len == 0;
			inflateReset(z);
		} else if (rc != Z_OK || (in_len == z->avail_in && out_len == z->avail_out)) {
			return ERR_CORRUPT_MESSAGE;
		}
	}
	return ERR_NONE;
}

static enum err zstd_init(struct unzip *u)
{
	if (!u->ctx->zstd_in)
		u->ctx->zstd_in = ZSTD_createDCtx();
	CHECK(u->ctx->zstd_in);
	ZSTD_DCtx_reset(u->ctx->zstd_in, ZSTD_reset_session_only);
	return u->in.len ? ERR_NONE : ERR_CORRUPT_MESSAGE;
}

static enum err zstd_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *n)
{
	ZSTD_outBuffer out = {dst, cap, 0};
	ZSTD_inBuffer in = {u->in.p, u->in.len, 0};
	size_t in_pos;
	size_t out_pos;
	size_t rc;

	while (out.pos < cap && !u->ended) {
		in_pos = in.pos;
		out_pos = out.pos;
		rc = ZSTD_decompressStream(u->ctx->zstd_in, &out, &in);
		if (ZSTD_isError(rc))
			return ERR_CORRUPT_MESSAGE;
		if (rc == 0)
			u->ended = in.pos == in.size; /* else another frame follows */
		else if (in.pos == in_pos && out.pos == out_pos)
			return ERR_CORRUPT_MESSAGE;
	}
	u->in = behind(u->in, in.pos);
	*n = out.pos;
	return ERR_NONE;
}

/*
 * Message format 0 computed the header checksum over the magic too. The header is copied and its checksum
 * made right, so that the library reads the rest as it is.
 */
static enum err lz4_head_fix(struct unzip *u)
{
	uint8_t flags = u->in.p[4];
	size_t len = LZ4_HEADER_MIN + (flags & LZ4_HAS_SIZE ? 8 : 0) + (flags & LZ4_HAS_DICT ? 4 : 0);

	if (u->in.len < len)
		return ERR_CORRUPT_MESSAGE;
	memcpy(u->head, u->in.p, len);
	u->head[len - 1] = (uint8_t)(XXH32(u->head + 4, len - 5, 0) >> 8);
	u->head_len = (uint8_t)len;
	u->in = behind(u->in, len);
	return ERR_NONE;
}

static enum err lz4_init(struct unzip *u)
{
	uint32_t magic;

	if (u->in.len < LZ4_HEADER_MIN)
		return ERR_CORRUPT_MESSAGE;
	memcpy(&magic, u->in.p, 4);
	/* Linked blocks are refused because no Java client could read them. */
	if (magic != LZ4_MAGIC_LE || !(u->in.p[4] & LZ4_INDEPENDENT))
		return ERR_CORRUPT_MESSAGE;
	if (!u->ctx->lz4_in)
		CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&u->ctx->lz4_in, LZ4F_VERSION)));
	LZ4F_resetDecompressionContext(u->ctx->lz4_in);
	return u->codec == CODEC_LZ4_V0 ? lz4_head_fix(u) : ERR_NONE;
}

static enum err lz4_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *n)
{
	const uint8_t *src;
	size_t in_len;
	size_t out_len;
	size_t rc;
	bool head;

	*n = 0;
	while (*n < cap && !u->ended) {
		head = u->head_pos < u->head_len;
		src = head ? u->head + u->head_pos : u->in.p;
		in_len = head ? (size_t)(u->head_len - u->head_pos) : u->in.len;
		out_len = cap - *n;
		rc = LZ4F_decompress(u->ctx->lz4_in, dst + *n, &out_len, src, &in_len, NULL);
		if (LZ4F_isError(rc))
			return ERR_CORRUPT_MESSAGE;
		if (head)
			u->head_pos = (uint8_t)(u->head_pos + in_len);
		else
			u->in = behind(u->in, in_len);
		*n += out_len;
		if (rc == 0) {
			/* One frame: the original's readers stop at its end. */
			if (u->in.len)
				return ERR_CORRUPT_MESSAGE;
			u->ended = true;
		} else if (in_len == 0 && out_len == 0) {
			return ERR_CORRUPT_MESSAGE;
		}
	}
	return ERR_NONE;
}

static bool snappy_at_header(struct bytes in)
{
	return in.len >= SNAPPY_HEADER_LEN && memcmp(in.p, snappy_magic, SNAPPY_MAGIC_LEN) == 0;
}

/* Unpacks one block into ctx->block. */
static enum err snappy_unpack(struct unzip *u, struct bytes packed)
{
	struct scratch *block = &u->ctx->block;
	size_t len;

	if (snappy_uncompressed_length((const char *)packed.p, packed.len, &len) != SNAPPY_OK)
		return ERR_CORRUPT_MESSAGE;
	if (len / SNAPPY_RATIO_MAX > packed.len)
		return ERR_CORRUPT_MESSAGE;
	if (len > u->total_max - u->total)
		return ERR_TOO_LARGE;
	block->len = 0;
	if (scratch_reserve(block, MAX(len, (size_t)1)))
		return ERR_TOO_LARGE;
	if (snappy_uncompress((const char *)packed.p, packed.len, (char *)block->p, &len) != SNAPPY_OK)
		return ERR_CORRUPT_MESSAGE;
	u->ready = (struct bytes){block->p, len};
	return ERR_NONE;
}

static enum err snappy_next(struct unzip *u)
{
	size_t len;
	enum err err;

	if (!u->blocks) {
		err = snappy_unpack(u, u->in);
		u->in.len = 0;
		return err;
	}
	/*
	 * The version numbers in the header are not looked at: some clients write them in the other byte
	 * order. A header may come again where streams were joined.
	 */
	if (snappy_at_header(u->in)) {
		u->in = behind(u->in, SNAPPY_HEADER_LEN);
		return ERR_NONE;
	}
	if (u->in.len < 4)
		return ERR_CORRUPT_MESSAGE;
	len = load_be32(u->in.p);
	if (len > u->in.len - 4)
		return ERR_CORRUPT_MESSAGE;
	err = snappy_unpack(u, (struct bytes){u->in.p + 4, len});
	u->in = behind(u->in, 4 + len);
	return err;
}

static enum err snappy_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *n)
{
	enum err err;
	size_t len;

	*n = 0;
	while (*n < cap) {
		if (u->ready.len == 0) {
			u->ended = u->in.len == 0;
			if (u->ended)
				break;
			err = snappy_next(u);
			if (err)
				return err;
		}
		len = MIN(cap - *n, u->ready.len);
		if (len)
			memcpy(dst + *n, u->ready.p, len);
		u->ready = behind(u->ready, len);
		*n += len;
	}
	return ERR_NONE;
}

enum err unzip_init(struct unzip *u, struct compress_ctx *ctx, enum codec codec, struct bytes in,
		    size_t total_max)
{
	*u = (struct unzip){.ctx = ctx, .codec = codec, .in = in, .total_max = total_max};
	switch (codec) {
	case CODEC_NONE:
		return ERR_NONE;
	case CODEC_GZIP:
		gzip_init(u);
		return ERR_NONE;
	case CODEC_SNAPPY:
		u->blocks = snappy_at_header(in);
		return in.len ? ERR_NONE : ERR_CORRUPT_MESSAGE;
	case CODEC_LZ4:
	case CODEC_LZ4_V0:
		return lz4_init(u);
	case CODEC_ZSTD:
		return zstd_init(u);
	case CODEC_N:
		break;
	}
	return ERR_UNSUPPORTED_COMPRESSION_TYPE;
}

static enum err codec_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *n)
{
	switch (u->codec) {
	case CODEC_NONE:
		return none_read(u, dst, cap, n);
	case CODEC_GZIP:
		return gzip_read(u, dst, cap, n);
	case CODEC_SNAPPY:
		return snappy_read(u, dst, cap, n);
	case CODEC_LZ4:
	case CODEC_LZ4_V0:
		return lz4_read(u, dst, cap, n);
	case CODEC_ZSTD:
		return zstd_read(u, dst, cap, n);
	case CODEC_N:
		break;
	}
	return ERR_UNSUPPORTED_COMPRESSION_TYPE;
}

enum err unzip_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *ret_n)
{
	size_t n = 0;
	size_t more = 0;
	uint8_t probe;
	enum err err;

	CHECK(cap > 0);
	if (u->ended) {
		*ret_n = 0;
		return ERR_NONE;
	}
	if (u->total < u->total_max) {
		err = codec_read(u, dst, MIN(cap, u->total_max - u->total), &n);
		if (err)
			return err;
		u->total += n;
	}
	/* At the limit the stream must be at its end, which some codecs tell only when asked for more. */
	if (n < cap && !u->ended) {
		err = codec_read(u, &probe, 1, &more);
		if (err)
			return err;
		if (more)
			return ERR_TOO_LARGE;
	}
	*ret_n = n;
	return ERR_NONE;
}
