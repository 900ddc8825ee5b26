/* SPDX-License-Identifier: Apache-2.0 */
/* Codecs: round trips of every size and level, framing as the original writes it, broken streams, bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lz4frame.h>
#include <snappy-c.h>

#include "compress.h"
#include "mem.h"
#include "rng.h"

static struct compress_ctx ctx;

/* Bytes that pack somewhat: runs of noise and repeats. */
static void fill(uint8_t *p, size_t len, uint64_t seed)
{
	struct rng rng;

	rng_init(&rng, seed);
	for (size_t i = 0; i < len;) {
		size_t run = 1 + (size_t)rng_below(&rng, 200);
		bool noise = rng_chance(&rng, 1, 2);

		for (; run && i < len; run--, i++)
			p[i] = noise ? (uint8_t)rng_u64(&rng) : (uint8_t)(i >> 7);
	}
}

static void assert_same(const struct scratch *got, struct bytes want)
{
	assert_int_equal(got->len, want.len);
	if (want.len)
		assert_memory_equal(got->p, want.p, want.len);
}

static void assert_pieces(enum codec codec, struct bytes packed, struct bytes want, size_t piece)
{
	struct scratch out = {0};
	struct unzip u;
	size_t n;

	assert_int_equal(unzip_init(&u, &ctx, codec, packed, want.len), 0);
	do {
		assert_int_equal(scratch_reserve(&out, piece), 0);
		assert_int_equal(unzip_read(&u, out.p + out.len, piece, &n), 0);
		out.len += n;
	} while (n == piece);
	assert_true(u.ended);
	assert_same(&out, want);
	scratch_deinit(&out);
}

static void round_trips(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 100, 4095, 4096, 32767, 32768, 32769, 65535, 65536, 65537,
				       300000};
	uint8_t *p = mem_alloc(300000);
	struct scratch packed = {0};
	struct scratch out = {0};

	fill(p, 300000, 1);
	for (int codec = 0; codec < CODEC_N; codec++) {
		for (size_t i = 0; i < ARRAY_N(sizes); i++) {
			struct bytes in = {p, sizes[i]};

			packed.len = out.len = 0;
			assert_int_equal(codec_compress(&ctx, (enum codec)codec, COMPRESS_LEVEL_DEFAULT, in,
							&packed), 0);
			assert_int_equal(codec_decompress(&ctx, (enum codec)codec, scratch_bytes(&packed),
							  &out), 0);
			assert_same(&out, in);
			assert_pieces((enum codec)codec, scratch_bytes(&packed), in, 65536);
			assert_pieces((enum codec)codec, scratch_bytes(&packed), in, 1000);
			if (sizes[i] && sizes[i] <= 4096)
				assert_pieces((enum codec)codec, scratch_bytes(&packed), in, 1);
		}
	}
	scratch_deinit(&packed);
	scratch_deinit(&out);
	mem_free(p);
}

static void levels(void **state)
{
	static const struct {
		enum codec codec;
		int level;
	} all[] = {{CODEC_GZIP, 1}, {CODEC_GZIP, 9}, {CODEC_GZIP, -1}, {CODEC_LZ4, 1},       {CODEC_LZ4, 9},
		   {CODEC_LZ4, 17}, {CODEC_ZSTD, 1}, {CODEC_ZSTD, 22}, {CODEC_ZSTD, -131072}};
	uint8_t *p = mem_alloc(100000);
	struct scratch packed = {0};
	struct scratch out = {0};

	fill(p, 100000, 2);
	for (size_t i = 0; i < ARRAY_N(all); i++) {
		packed.len = out.len = 0;
		assert_int_equal(codec_compress(&ctx, all[i].codec, all[i].level, (struct bytes){p, 100000},
						&packed), 0);
		assert_int_equal(codec_decompress(&ctx, all[i].codec, scratch_bytes(&packed), &out), 0);
		assert_same(&out, (struct bytes){p, 100000});
	}
	scratch_deinit(&packed);
	scratch_deinit(&out);
	mem_free(p);
}

/* The first bytes are those the original's writers make. */
static void framing(void **state)
{
	static const uint8_t snappy[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
	static const uint8_t lz4[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40};
	uint8_t *p = mem_calloc(1, 100000);
	struct scratch out = {0};

	assert_int_equal(codec_compress(&ctx, CODEC_SNAPPY, 0, (struct bytes){p, 100000}, &out), 0);
	assert_memory_equal(out.p, snappy, sizeof(snappy));
	size_t blocks = 0;
	for (size_t at = 16; at < out.len; blocks++)
		at += 4 + load_be32(out.p + at);
	assert_int_equal(blocks, 4);
	out.len = 0;
	assert_int_equal(codec_compress(&ctx, CODEC_LZ4, COMPRESS_LEVEL_DEFAULT, (struct bytes){p, 100000},
					&out), 0);
	assert_memory_equal(out.p, lz4, sizeof(lz4));
	out.len = 0;
	assert_int_equal(codec_compress(&ctx, CODEC_GZIP, COMPRESS_LEVEL_DEFAULT, (struct bytes){p, 10},
					&out), 0);
	assert_memory_equal(out.p, "\x1f\x8b\x08", 3);
	scratch_deinit(&out);
	mem_free(p);
}

static void snappy_variants(void **state)
{
	uint8_t text[3000];
	char raw[4000];
	size_t raw_len = sizeof(raw);
	struct scratch out = {0};
	struct scratch packed = {0};

	fill(text, sizeof(text), 3);
	assert_int_equal(snappy_compress((const char *)text, sizeof(text), raw, &raw_len), SNAPPY_OK);
	/* Raw, without blocks. */
	assert_int_equal(codec_decompress(&ctx, CODEC_SNAPPY, (struct bytes){(uint8_t *)raw, raw_len}, &out),
			 0);
	assert_same(&out, (struct bytes){text, sizeof(text)});
	/* Version fields in the other byte order, or anything: not looked at. */
	assert_int_equal(codec_compress(&ctx, CODEC_SNAPPY, 0, (struct bytes){text, sizeof(text)}, &packed),
			 0);
	memcpy(packed.p + 8, "\1\0\0\0\7\7\7\7", 8);
	out.len = 0;
	assert_int_equal(codec_decompress(&ctx, CODEC_SNAPPY, scratch_bytes(&packed), &out), 0);
	assert_same(&out, (struct bytes){text, sizeof(text)});
	/* Two streams joined. */
	assert_int_equal(scratch_reserve(&packed, packed.len), 0);
	memcpy(packed.p + packed.len, packed.p, packed.len);
	packed.len *= 2;
	out.len = 0;
	assert_int_equal(codec_decompress(&ctx, CODEC_SNAPPY, scratch_bytes(&packed), &out), 0);
	assert_int_equal(out.len, 2 * sizeof(text));
	scratch_deinit(&out);
	scratch_deinit(&packed);
}

static void joined_streams(void **state)
{
	struct bytes half = {(const uint8_t *)"half of it, ", 12};
	struct scratch packed = {0};
	struct scratch out = {0};

	for (int codec = CODEC_GZIP; codec < CODEC_N; codec++) {
		packed.len = out.len = 0;
		assert_int_equal(codec_compress(&ctx, (enum codec)codec, COMPRESS_LEVEL_DEFAULT, half,
						&packed), 0);
		assert_int_equal(codec_compress(&ctx, (enum codec)codec, COMPRESS_LEVEL_DEFAULT, half,
						&packed), 0);
		/* The original's lz4 reader stops after one frame, so the second would be lost: refused. */
		assert_int_equal(codec_decompress(&ctx, (enum codec)codec, scratch_bytes(&packed), &out),
				 codec == CODEC_LZ4 ? ERR_CORRUPT_MESSAGE : ERR_NONE);
		assert_int_equal(out.len, codec == CODEC_LZ4 ? 0 : 24);
	}
	scratch_deinit(&packed);
	scratch_deinit(&out);
}

static void linked_lz4_blocks_are_refused(void **state)
{
	LZ4F_preferences_t prefs = {.frameInfo = {.blockMode = LZ4F_blockLinked}};
	uint8_t *p = mem_calloc(1, 200000);
	uint8_t *packed = mem_alloc(300000);
	size_t n = LZ4F_compressFrame(packed, 300000, p, 200000, &prefs);
	struct scratch out = {0};

	assert_false(LZ4F_isError(n));
	assert_int_equal(codec_decompress(&ctx, CODEC_LZ4, (struct bytes){packed, n}, &out),
			 ERR_CORRUPT_MESSAGE);
	mem_free(p);
	mem_free(packed);
	scratch_deinit(&out);
}

/* Every proper beginning of a stream, and one with something behind it, is an error. */
static void cut_and_longer_streams(void **state)
{
	uint8_t text[700];
	struct scratch packed = {0};
	struct scratch out = {0};

	fill(text, sizeof(text), 4);
	for (int codec = CODEC_GZIP; codec < CODEC_N; codec++) {
		packed.len = 0;
		assert_int_equal(codec_compress(&ctx, (enum codec)codec, COMPRESS_LEVEL_DEFAULT,
						(struct bytes){text, sizeof(text)}, &packed), 0);
		for (size_t len = 0; len < packed.len; len++) {
			if (codec == CODEC_SNAPPY && len == 16)
				continue; /* a header alone is an empty stream */
			/* An exact copy, so that the address checker sees a byte read too far. */
			uint8_t *cut = mem_alloc(len);

			if (len)
				memcpy(cut, packed.p, len);
			assert_int_equal(codec_decompress(&ctx, (enum codec)codec, (struct bytes){cut, len},
							  &out),
					 ERR_CORRUPT_MESSAGE);
			assert_int_equal(out.len, 0);
			mem_free(cut);
		}
		assert_int_equal(scratch_append(&packed, "\x7f?!", 3), 0);
		assert_int_equal(codec_decompress(&ctx, (enum codec)codec, scratch_bytes(&packed), &out),
				 ERR_CORRUPT_MESSAGE);
	}
	assert_int_equal(codec_decompress(&ctx, CODEC_N, scratch_bytes(&packed), &out),
			 ERR_UNSUPPORTED_COMPRESSION_TYPE);
	assert_int_equal(codec_decompress(&ctx, (enum codec)7, scratch_bytes(&packed), &out),
			 ERR_UNSUPPORTED_COMPRESSION_TYPE);
	scratch_deinit(&packed);
	scratch_deinit(&out);
}

/* Bit flips at every place never crash, and never give more than the limit. */
static void flipped_bits(void **state)
{
	uint8_t text[300];
	struct scratch packed = {0};
	struct scratch out = {.max = 1 << 20};

	fill(text, sizeof(text), 5);
	for (int codec = CODEC_GZIP; codec < CODEC_N; codec++) {
		packed.len = 0;
		assert_int_equal(codec_compress(&ctx, (enum codec)codec, COMPRESS_LEVEL_DEFAULT,
						(struct bytes){text, sizeof(text)}, &packed), 0);
		for (size_t bit = 0; bit < packed.len * 8; bit++) {
			enum err err;

			packed.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
			out.len = 0;
			err = codec_decompress(&ctx, (enum codec)codec, scratch_bytes(&packed), &out);
			assert_true(err == ERR_NONE || err == ERR_CORRUPT_MESSAGE || err == ERR_TOO_LARGE);
			packed.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
		}
	}
	scratch_deinit(&packed);
	scratch_deinit(&out);
}

static void bombs_are_capped(void **state)
{
	size_t len = (size_t)40 << 20;
	uint8_t *zeros = mem_calloc(1, len);
	struct scratch packed = {0};
	struct scratch out = {0};

	for (int codec = CODEC_GZIP; codec < CODEC_N; codec++) {
		packed.len = 0;
		assert_int_equal(codec_compress(&ctx, (enum codec)codec, COMPRESS_LEVEL_DEFAULT,
						(struct bytes){zeros, len},
						&packed), 0);
		/* By the caller's limit: exactly enough is fine, one less is not. */
		out.max = len;
		out.len = 0;
		if (decompress_max(packed.len) >= len) {
			assert_int_equal(codec_decompress(&ctx, (enum codec)codec, scratch_bytes(&packed),
							  &out), 0);
			assert_int_equal(out.len, len);
		}
		out.len = 0;
		out.max = len - 1;
		assert_int_equal(codec_decompress(&ctx, (enum codec)codec, scratch_bytes(&packed), &out),
				 ERR_TOO_LARGE);
		assert_int_equal(out.len, 0);
		scratch_deinit(&out);
	}
	/* zstd packs this to some 4 KB: beyond the ratio, so the floor holds. */
	assert_true(packed.len < 10000);
	out.max = 0;
	assert_int_equal(codec_decompress(&ctx, CODEC_ZSTD, scratch_bytes(&packed), &out), ERR_TOO_LARGE);
	assert_true(out.cap <= ((size_t)64 << 20));
	/* A snappy block that claims 4 GB allocates nothing. */
	scratch_deinit(&out);
	assert_int_equal(codec_decompress(&ctx, CODEC_SNAPPY,
					  (struct bytes){(const uint8_t *)"\xff\xff\xff\xff\x0f", 5}, &out),
			 ERR_CORRUPT_MESSAGE);
	assert_int_equal(decompress_max(0), (size_t)16 << 20);
	assert_int_equal(decompress_max(100000), 100000000);
	assert_int_equal(decompress_max(SIZE_MAX), (size_t)256 << 20);
	compress_ctx_trim(&ctx, 1 << 12);
	assert_int_equal(ctx.block.cap, 0);
	scratch_deinit(&packed);
	scratch_deinit(&out);
	mem_free(zeros);
}

static void names(void **state)
{
	enum codec codec;

	for (int i = 0; i < CODEC_N; i++) {
		assert_int_equal(codec_parse(str_of(codec_name((enum codec)i)), &codec), 0);
		assert_int_equal(codec, i);
	}
	assert_null(codec_name(CODEC_N));
	assert_int_equal(codec_parse(STR("producer"), &codec), ERR_INVALID_TEXT);
	assert_int_equal(codec_parse(STR("GZIP"), &codec), ERR_INVALID_TEXT);
}

static void scratch_is_bounded(void **state)
{
	struct scratch s = {.max = 10};

	assert_int_equal(scratch_append(&s, "0123456789", 10), 0);
	assert_int_equal(scratch_append(&s, "x", 1), ERR_TOO_LARGE);
	assert_int_equal(scratch_reserve(&s, SIZE_MAX), ERR_TOO_LARGE);
	assert_int_equal(s.len, 10);
	scratch_trim(&s, 4);
	assert_null(s.p);
	scratch_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(scratch_is_bounded),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(levels),
		cmocka_unit_test(framing),
		cmocka_unit_test(snappy_variants),
		cmocka_unit_test(joined_streams),
		cmocka_unit_test(linked_lz4_blocks_are_refused),
		cmocka_unit_test(cut_and_longer_streams),
		cmocka_unit_test(flipped_bits),
		cmocka_unit_test(bombs_are_capped),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	compress_ctx_deinit(&ctx);
	return failed;
}
