/* SPDX-License-Identifier: Apache-2.0 */
/* Names, scratch memory, contexts, whole buffers packed and unpacked; reading piece by piece is in unzip.c. */
#include "compress.h"

#define ZLIB_CONST
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "check.h"
#include "mem.h"

#define RATIO_MAX ((size_t)1000)
#define UNPACKED_FLOOR ((size_t)16 << 20)
#define UNPACKED_CEILING ((size_t)256 << 20)
#define SCRATCH_CAP_MIN ((size_t)4096)
#define GZIP_WBITS (15 + 16) /* 32 KiB window, gzip header */
#define GZIP_MEM_LEVEL 8
#define SNAPPY_BLOCK_LEN ((size_t)32 * 1024)
#define SNAPPY_HEADER_LEN 16
/* The lz4 library's last level; the setting allows 17, the last level of the Java library. */
#define LZ4_LEVEL_LAST 12

static const char *const codec_names[CODEC_N] = {"none", "gzip", "snappy", "lz4", "zstd"};

const char *codec_name(enum codec codec)
{
	return (unsigned)codec < CODEC_N ? codec_names[codec] : NULL;
}

enum err codec_parse(struct str name, enum codec *ret)
{
	for (int i = 0; i < CODEC_N; i++) {
		if (str_eq_c(name, codec_names[i])) {
			*ret = (enum codec)i;
			return ERR_NONE;
		}
	}
	return ERR_INVALID_TEXT;
}

enum err scratch_reserve(struct scratch *s, size_t more)
{
	size_t max = s->max ? s->max : SCRATCH_MAX_DEFAULT;
	size_t cap;

	if (s->len > max || more > max - s->len)
		return ERR_TOO_LARGE;
	if (more <= s->cap - s->len)
		return ERR_NONE;
	cap = MAX(s->cap * 2, s->len + more);
	if (cap < SCRATCH_CAP_MIN)
		cap = SCRATCH_CAP_MIN;
	if (cap > max)
		cap = max;
	s->p = mem_realloc(s->p, cap);
	s->cap = cap;
	return ERR_NONE;
}

enum err scratch_append(struct scratch *s, const void *p, size_t len)
{
	enum err err = scratch_reserve(s, len);

	if (err || len == 0)
		return err;
	memcpy(s->p + s->len, p, len);
	s->len += len;
	return ERR_NONE;
}

void scratch_deinit(struct scratch *s)
{
	mem_free(s->p);
	s->p = NULL;
	s->len = s->cap = 0;
}

void scratch_trim(struct scratch *s, size_t keep)
{
	if (s->cap > keep)
		scratch_deinit(s);
	s->len = 0;
}

void compress_ctx_deinit(struct compress_ctx *ctx)
{
	if (ctx->gzip_in)
		inflateEnd(ctx->gzip_in);
	mem_free(ctx->gzip_in);
	if (ctx->gzip_out)
		deflateEnd(ctx->gzip_out);
	mem_free(ctx->gzip_out);
	ZSTD_freeDCtx(ctx->zstd_in);
	ZSTD_freeCCtx(ctx->zstd_out);
	LZ4F_freeDecompressionContext(ctx->lz4_in);
	LZ4F_freeCompressionContext(ctx->lz4_out);
	scratch_deinit(&ctx->block);
	scratch_deinit(&ctx->window);
	scratch_deinit(&ctx->plain);
	scratch_deinit(&ctx->built);
	*ctx = (struct compress_ctx){0};
}

void compress_ctx_trim(struct compress_ctx *ctx, size_t keep)
{
	scratch_trim(&ctx->block, keep);
	scratch_trim(&ctx->window, keep);
	scratch_trim(&ctx->plain, keep);
	scratch_trim(&ctx->built, keep);
	if (ctx->zstd_in && ZSTD_sizeof_DCtx(ctx->zstd_in) > keep) {
		ZSTD_freeDCtx(ctx->zstd_in);
		ctx->zstd_in = NULL;
	}
	if (ctx->zstd_out && ZSTD_sizeof_CCtx(ctx->zstd_out) > keep) {
		ZSTD_freeCCtx(ctx->zstd_out);
		ctx->zstd_out = NULL;
	}
}

size_t decompress_max(size_t packed_len)
{
	if (packed_len > UNPACKED_CEILING / RATIO_MAX)
		return UNPACKED_CEILING;
	return MAX(packed_len * RATIO_MAX, UNPACKED_FLOOR);
}

enum err codec_decompress(struct compress_ctx *ctx, enum codec codec, struct bytes in, struct scratch *out)
{
	size_t start = out->len;
	size_t step = SCRATCH_CAP_MIN + MIN(in.len * 2, UNPACKED_FLOOR);
	size_t room = (out->max ? out->max : SCRATCH_MAX_DEFAULT) - out->len;
	size_t left;
	size_t want;
	size_t n;
	uint8_t none;
	struct unzip u;
	enum err err = unzip_init(&u, ctx, codec, in, MIN(room, decompress_max(in.len)));

	while (!err) {
		left = u.total_max - u.total;
		err = scratch_reserve(out, MIN(step, left));
		if (err)
			break;
		want = MIN(out->cap - out->len, left);
		/* At the limit only the end may follow. */
		err = want ? unzip_read(&u, out->p + out->len, want, &n) : unzip_read(&u, &none, 1, &n);
		if (err)
			break;
		out->len += n;
		if (n < want || want == 0)
			return ERR_NONE;
		step = out->cap;
	}
	out->len = start;
	return err;
}

static void *zlib_alloc(void *opaque, uInt n, uInt size)
{
	return mem_calloc(n, size);
}

static void zlib_free(void *opaque, void *p)
{
	mem_free(p);
}

static enum err gzip_compress(struct compress_ctx *ctx, int level, struct bytes in, struct scratch *out)
{
	z_stream *z = ctx->gzip_out;
	size_t bound;
	enum err err;

	if (in.len > UINT32_MAX / 2)
		return ERR_TOO_LARGE;
	if (z && ctx->gzip_level != level) {
		deflateEnd(z);
		mem_free(z);
		z = ctx->gzip_out = NULL;
	}
	if (!z) {
		z = MEM_NEW(z_stream);
		z->zalloc = zlib_alloc;
		z->zfree = zlib_free;
		CHECK(deflateInit2(z, level, Z_DEFLATED, GZIP_WBITS, GZIP_MEM_LEVEL, Z_DEFAULT_STRATEGY) ==
		      Z_OK);
		ctx->gzip_out = z;
		ctx->gzip_level = level;
	}
	deflateReset(z);
	bound = deflateBound(z, (uLong)in.len);
	err = scratch_reserve(out, bound);
	if (err)
		return err;
	z->next_in = in.p;
	z->avail_in = (uInt)in.len;
	z->next_out = out->p + out->len;
	z->avail_out = (uInt)bound;
	CHECK_OP(deflate(z, Z_FINISH), ==, Z_STREAM_END);
	out->len += bound - z->avail_out;
	return ERR_NONE;
}

/* The block stream of snappy-java: magic, two version numbers, then blocks with their length in front. */
static enum err snappy_blocks_compress(struct bytes in, struct scratch *out)
{
	static const uint8_t header[SNAPPY_HEADER_LEN] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1,
							  0, 0, 0, 1};
	enum err err = scratch_append(out, header, sizeof(header));

	for (size_t pos = 0; !err && pos < in.len; pos += SNAPPY_BLOCK_LEN) {
		size_t len = MIN(SNAPPY_BLOCK_LEN, in.len - pos);
		size_t packed = snappy_max_compressed_length(len);

		err = scratch_reserve(out, 4 + packed);
		if (err)
			break;
		CHECK(snappy_compress((const char *)in.p + pos, len, (char *)out->p + out->len + 4,
				      &packed) == SNAPPY_OK);
		store_be32(out->p + out->len, (uint32_t)packed);
		out->len += 4 + packed;
	}
	return err;
}

static enum err lz4_compress(struct compress_ctx *ctx, int level, struct bytes in, struct scratch *out)
{
	/* The original reads independent blocks only; its default level is the library's fast mode. */
	LZ4F_preferences_t prefs = {
		.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
		.compressionLevel = level == LZ4_LEVEL_DEFAULT ? 0 : MIN(level, LZ4_LEVEL_LAST),
		.autoFlush = 1,
	};
	size_t bound = LZ4F_compressFrameBound(in.len, &prefs);
	size_t at = out->len;
	size_t end = at + bound;
	size_t n;
	enum err err = scratch_reserve(out, bound);

	if (err)
		return err;
	if (!ctx->lz4_out)
		CHECK(!LZ4F_isError(LZ4F_createCompressionContext(&ctx->lz4_out, LZ4F_VERSION)));
	n = LZ4F_compressBegin(ctx->lz4_out, out->p + at, end - at, &prefs);
	CHECK(!LZ4F_isError(n));
	at += n;
	n = LZ4F_compressUpdate(ctx->lz4_out, out->p + at, end - at, in.p, in.len, NULL);
	CHECK(!LZ4F_isError(n));
	at += n;
	n = LZ4F_compressEnd(ctx->lz4_out, out->p + at, end - at, NULL);
	CHECK(!LZ4F_isError(n));
	out->len = at + n;
	return ERR_NONE;
}

static enum err zstd_compress(struct compress_ctx *ctx, int level, struct bytes in, struct scratch *out)
{
	size_t bound = ZSTD_compressBound(in.len);
	size_t n;
	enum err err = scratch_reserve(out, bound);

	if (err)
		return err;
	if (!ctx->zstd_out)
		ctx->zstd_out = ZSTD_createCCtx();
	CHECK(ctx->zstd_out);
	CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(ctx->zstd_out, ZSTD_c_compressionLevel, level)));
	n = ZSTD_compress2(ctx->zstd_out, out->p + out->len, bound, in.p, in.len);
	CHECK(!ZSTD_isError(n));
	out->len += n;
	return ERR_NONE;
}

enum err codec_compress(struct compress_ctx *ctx, enum codec codec, int level, struct bytes in,
			struct scratch *out)
{
	bool use_default = level == COMPRESS_LEVEL_DEFAULT;

	switch (codec) {
	case CODEC_NONE:
		return scratch_append(out, in.p, in.len);
	case CODEC_GZIP:
		return gzip_compress(ctx, use_default ? GZIP_LEVEL_DEFAULT : level, in, out);
	case CODEC_SNAPPY:
		return snappy_blocks_compress(in, out);
	case CODEC_LZ4:
		return lz4_compress(ctx, use_default ? LZ4_LEVEL_DEFAULT : level, in, out);
	case CODEC_ZSTD:
		return zstd_compress(ctx, use_default ? ZSTD_LEVEL_DEFAULT : level, in, out);
	case CODEC_N:
	case CODEC_LZ4_V0:
		break;
	}
	return ERR_UNSUPPORTED_COMPRESSION_TYPE;
}
