/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codecs of record batches behind one table: gzip (RFC 1952), snappy (the block stream of snappy-java,
 * raw snappy accepted), lz4 (frames of independent blocks), zstd. Reading is whole (into memory that grows up
 * to a cap) or piece by piece (for validation, where nothing is kept). Writing is whole.
 *
 * Contexts of the libraries are dear and are kept in a `struct compress_ctx`, one per reactor or helper
 * thread; nothing here is shared between threads. A zeroed context is valid; its parts come into being on
 * first use.
 */
#ifndef WIRE_COMPRESS_H
#define WIRE_COMPRESS_H

#include "bytes.h"
#include "err.h"

struct z_stream_s;
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;
struct LZ4F_cctx_s;
struct LZ4F_dctx_s;

/* The number in the attributes of a batch. */
enum codec {
	CODEC_NONE = 0,
	CODEC_GZIP = 1,
	CODEC_SNAPPY = 2,
	CODEC_LZ4 = 3,
	CODEC_ZSTD = 4,
	CODEC_N = 5,
	CODEC_LZ4_V0 = 8, /* read only, of message format 0: the header checksum is wrong */
};

/* "none", "gzip", ...; NULL when unknown. */
const char *codec_name(enum codec codec);
/* ERR_INVALID_TEXT for an unknown name. "producer" and "uncompressed" are values of a setting, not codecs. */
enum err codec_parse(struct str name, enum codec *ret) MUST_USE;

/* Levels as in the settings compression.gzip.level and so on; snappy has none. */
#define COMPRESS_LEVEL_DEFAULT INT32_MIN
#define GZIP_LEVEL_DEFAULT (-1)
#define LZ4_LEVEL_DEFAULT 9
#define ZSTD_LEVEL_DEFAULT 3

/* Growing bytes of one owner. A zeroed scratch is empty. */
struct scratch {
	uint8_t *p;
	size_t len;
	size_t cap;
	size_t max; /* len never exceeds it; 0 means SCRATCH_MAX_DEFAULT */
};

#define SCRATCH_MAX_DEFAULT ((size_t)1 << 30)

/* Room for `more` bytes behind len; ERR_TOO_LARGE beyond the maximum. Moves the bytes: keep no pointer. */
enum err scratch_reserve(struct scratch *s, size_t more) MUST_USE;
enum err scratch_append(struct scratch *s, const void *p, size_t len) MUST_USE;
void scratch_deinit(struct scratch *s);
/* Empties; gives memory above `keep` back, so that one large batch does not stay for ever. */
void scratch_trim(struct scratch *s, size_t keep);

static inline struct bytes scratch_bytes(const struct scratch *s)
{
	return (struct bytes){s->p, s->len};
}

struct compress_ctx {
	struct z_stream_s *gzip_in;
	struct z_stream_s *gzip_out; /* of gzip_level */
	struct ZSTD_DCtx_s *zstd_in;
	struct ZSTD_CCtx_s *zstd_out;
	struct LZ4F_dctx_s *lz4_in;
	struct LZ4F_cctx_s *lz4_out;
	int gzip_level;
	struct scratch block;  /* one unpacked snappy block */
	struct scratch window; /* batch_validate: the part of the records it looks at */
	struct scratch plain;  /* batch builder and rebuilding: records before compression */
	struct scratch built;  /* batch_validate: a batch built anew */
};

/* A zeroed context is fine. */
void compress_ctx_deinit(struct compress_ctx *ctx);
/* For an idle moment: gives back each scratch above `keep` bytes, and a zstd context that a huge window blew
 * up. */
void compress_ctx_trim(struct compress_ctx *ctx, size_t keep);

/*
 * How much `packed_len` bytes may unpack to before it counts as an attack: 1,000 times as much (gzip's limit
 * is 1,032), at least 16 MiB (zstd packs repetition far better than that), at most 256 MiB.
 */
size_t decompress_max(size_t packed_len);

/*
 * Appends what `in` unpacks to. ERR_CORRUPT_MESSAGE when the bytes are not a stream of the codec, end early
 * or are followed by others; ERR_TOO_LARGE when decompress_max or out->max would be passed;
 * ERR_UNSUPPORTED_COMPRESSION_TYPE for an unknown codec. After an error `out` is as long as before.
 */
enum err codec_decompress(struct compress_ctx *ctx, enum codec codec, struct bytes in,
			  struct scratch *out) MUST_USE;
/* Appends `in` packed with `codec`; level COMPRESS_LEVEL_DEFAULT or as in the setting. ERR_TOO_LARGE by
 * out->max. */
enum err codec_compress(struct compress_ctx *ctx, enum codec codec, int level, struct bytes in,
			struct scratch *out)
	MUST_USE;

/*
 * Unpacks piece by piece. One stream per context at a time, and no codec_decompress() of the same codec
 * meanwhile.
 *
 * 1. `in` is what is not eaten yet; `total` never exceeds `total_max`.
 * 2. After `ended` every byte of the input was eaten and the codec's own end was seen.
 */
struct unzip {
	struct compress_ctx *ctx;
	enum codec codec;
	struct bytes in;
	struct bytes ready; /* snappy: unpacked, in ctx->block, not yet handed out */
	size_t total;
	size_t total_max;
	bool blocks;     /* snappy: the block stream, not raw */
	bool ended;
	uint8_t head[32]; /* lz4 of format 0: frame header with the checksum put right */
	uint8_t head_len;
	uint8_t head_pos;
};

/* ERR_UNSUPPORTED_COMPRESSION_TYPE, or ERR_CORRUPT_MESSAGE when the beginning already shows it. */
enum err unzip_init(struct unzip *u, struct compress_ctx *ctx, enum codec codec, struct bytes in,
		    size_t total_max)
	MUST_USE;
/* Fills dst; *ret_n < cap (and maybe 0) only at the end. Errors as codec_decompress(). cap > 0. */
enum err unzip_read(struct unzip *u, uint8_t *dst, size_t cap, size_t *ret_n) MUST_USE;

#endif
