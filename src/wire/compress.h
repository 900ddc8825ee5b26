/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codecs of record batches behind one table: gzip (RFC 1952), snappy (the block stream of snappy-java, raw
 * snappy accepted), lz4 (frames), zstd. Reading is whole (into memory that grows up to a cap) or piece by piece
 * (for validation, where nothing is kept). Writing is whole.
 *
 * Contexts of the libraries are dear and are kept in a `struct compress_ctx`, one per reactor or helper thread;
 * nothing here is shared between threads. A zeroed context is valid; its parts come into being on first use.
 */
#ifndef WIRE_COMPRESS_H
#define WIRE_COMPRESS_H

#include "bytes.h"
#include "err.h"

/* The number in the attributes of a batch. */
enum codec {
	CODEC_NONE = 0,
	CODEC_GZIP = 1,
	CODEC_SNAPPY = 2,
	CODEC_LZ4 = 3,
	CODEC_ZSTD = 4,
	CODEC_N = 5,
};

/* "none", "gzip", ... as in compression.type; NULL when unknown. */
const char *codec_name(enum codec codec);
/* ERR_INVALID_TEXT for an unknown name ("producer" and "uncompressed" included: those are settings). */
enum err codec_parse(struct str name, enum codec *ret) MUST_USE;

/* Levels as in the settings compression.gzip.level and so on. */
#define COMPRESS_LEVEL_DEFAULT INT32_MIN
#define GZIP_LEVEL_DEFAULT (-1)
#define LZ4_LEVEL_DEFAULT 9
#define ZSTD_LEVEL_DEFAULT 3

/* Growing bytes of one owner. A zeroed scratch is empty and has no maximum: set `max` first. */
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
/* Gives memory back when the capacity is above `keep`, so that one large batch does not stay for ever. */
void scratch_trim(struct scratch *s, size_t keep);

static inline struct bytes scratch_bytes(const struct scratch *s)
{
	return (struct bytes){s->p, s->len};
}

struct compress_ctx {
	void *gzip_in;      /* z_stream for inflate */
	void *gzip_out;     /* z_stream for deflate, of level gzip_level */
	void *lz4_in;
	void *lz4_out;
	void *zstd_in;
	void *zstd_out;
	int gzip_level;
	struct scratch window; /* what a streaming reader hands out */
	struct scratch plain;  /* for callers: records before compression or after decompression */
	struct scratch built;  /* for callers: a batch built anew */
	uint8_t *block;        /* a snappy block, and lz4's window */
	size_t block_cap;
};

void compress_ctx_deinit(struct compress_ctx *ctx);
/* Called now and then (an idle moment): gives back scratch beyond `keep` bytes each. */
void compress_ctx_trim(struct compress_ctx *ctx, size_t keep);

/*
 * Appends what `in` unpacks to. ERR_CORRUPT_MESSAGE when the bytes are not a stream of the codec, end early or are
 * followed by others; ERR_TOO_LARGE when out->max would be passed; ERR_UNSUPPORTED_COMPRESSION_TYPE for an unknown
 * codec. On an error `out` holds an undefined number of bytes more.
 */
enum err decompress(struct compress_ctx *ctx, enum codec codec, struct bytes in, struct scratch *out) MUST_USE;
/* Appends `in` packed with `codec`; level COMPRESS_LEVEL_DEFAULT or as in the setting. */
enum err compress(struct compress_ctx *ctx, enum codec codec, int level, struct bytes in, struct scratch *out) MUST_USE;

/*
 * Unpacks piece by piece. One stream per context at a time.
 *
 *	unzip_init(&u, ctx, codec, in, total_max);
 *	while (!(err = unzip_next(&u, &piece)) && piece.len)
 *		...
 */
struct unzip {
	struct compress_ctx *ctx;
	enum codec codec;
	struct bytes in;   /* not yet eaten */
	size_t total;      /* unpacked so far */
	size_t total_max;
	bool started;
	bool ended;
	bool raw;          /* snappy without blocks */
};

#define UNZIP_PIECE_LEN ((size_t)64 * 1024) /* pieces are at most so long, save those of snappy */

void unzip_init(struct unzip *u, struct compress_ctx *ctx, enum codec codec, struct bytes in, size_t total_max);
/* The next piece, valid until the next call; empty at the end. Errors as decompress; ERR_TOO_LARGE past total_max. */
enum err unzip_next(struct unzip *u, struct bytes *ret) MUST_USE;

#endif
