/* SPDX-License-Identifier: Apache-2.0 */
/* Message formats 0 and 1: every golden message set, offsets and times inside wrappers, broken wrappers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "batch_cases.h"
#include "crc32c.h"
#include "legacy.h"
#include "mem.h"

static struct batch_cases cases;

static void assert_bytes(struct bytes got, struct bytes want)
{
	assert_int_equal(got.p == NULL, want.p == NULL);
	assert_int_equal(got.len, want.len);
	if (got.len)
		assert_memory_equal(got.p, want.p, got.len);
}

static void golden_sets(void **state)
{
	struct compress_ctx ctx = {0};
	int seen = 0;
	int deep = 0;

	for (size_t i = 0; i < cases.n; i++) {
		const struct batch_case *c = &cases.v[i];
		struct batch_iter it = batch_iter_of(c->bytes, BATCH_CHECK_CRC);
		struct batch_info b;
		int32_t n = 0;

		if (c->batches[0].info.magic == 2)
			continue;
		while (batch_iter_next(&it, &b)) {
			const struct case_batch *want = &c->batches[n++];
			struct scratch into = {0};
			struct legacy_iter deep_it;
			struct legacy_record r;
			int32_t records = 0;

			assert_int_equal(legacy_iter_init(&deep_it, &b, BATCH_CHECK_CRC, &ctx, &into), 0);
			while (legacy_iter_next(&deep_it, &r)) {
				const struct case_record *w = &want->records[records++];

				assert_int_equal(r.offset, w->offset);
				assert_int_equal(r.timestamp, w->timestamp);
				assert_bytes(r.key, w->key);
				assert_bytes(r.value, w->value);
				assert_true(r.timestamp <= b.max_timestamp);
			}
			assert_int_equal(deep_it.err, 0);
			assert_int_equal(records, want->records_n);
			deep += records > 1;
			scratch_deinit(&into);
		}
		assert_int_equal(it.err, 0);
		assert_int_equal(n, c->batches_n);
		seen++;
	}
	assert_true(seen >= 70);
	assert_true(deep >= 20);
	compress_ctx_deinit(&ctx);
}

/* A message of format 1 with the given value, checksum right; returns its length. */
static size_t message(uint8_t *p, int64_t offset, uint8_t magic, uint8_t attributes, struct bytes value)
{
	size_t at = magic ? 26 : 18;
	size_t len = at + 8 + value.len;

	memset(p, 0, at);
	store_be64(p, (uint64_t)offset);
	store_be32(p + 8, (uint32_t)(len - 12));
	p[16] = magic;
	p[17] = attributes;
	store_be32(p + at, UINT32_MAX);
	store_be32(p + at + 4, value.p ? (uint32_t)value.len : UINT32_MAX);
	if (value.len)
		memcpy(p + at + 8, value.p, value.len);
	store_be32(p + 12, crc32_plain(0, p + 16, len - 16));
	return len;
}

static enum err walk(uint8_t *p, size_t len, int64_t *offsets, int *ret_n)
{
	struct compress_ctx ctx = {0};
	struct scratch into = {0};
	struct legacy_iter it;
	struct legacy_record r;
	struct batch_info b;
	enum err err;

	*ret_n = 0;
	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &b), 0);
	err = legacy_iter_init(&it, &b, BATCH_CHECK_CRC, &ctx, &into);
	if (!err) {
		while (legacy_iter_next(&it, &r))
			offsets[(*ret_n)++] = r.offset;
		err = it.err;
	}
	scratch_deinit(&into);
	compress_ctx_deinit(&ctx);
	return err;
}

static void offsets_in_wrappers(void **state)
{
	struct bytes v = {(const uint8_t *)"v", 1};
	uint8_t inner[512];
	uint8_t outer[1024];
	int64_t offsets[8];
	struct compress_ctx ctx = {0};
	struct scratch packed = {0};
	int n;

	for (uint8_t magic = 0; magic < 2; magic++) {
		/* The inner offsets have a gap, as compaction leaves it. */
		size_t len = message(inner, magic ? 0 : 100, magic, 0, v);

		len += message(inner + len, magic ? 3 : 103, magic, 0, v);
		packed.len = 0;
		assert_int_equal(codec_compress(&ctx, CODEC_GZIP, COMPRESS_LEVEL_DEFAULT,
						(struct bytes){inner, len}, &packed),
				 0);
		len = message(outer, 103, magic, CODEC_GZIP, scratch_bytes(&packed));
		assert_int_equal(walk(outer, len, offsets, &n), 0);
		assert_int_equal(n, 2);
		assert_int_equal(offsets[0], 100);
		assert_int_equal(offsets[1], 103);
	}
	scratch_deinit(&packed);
	compress_ctx_deinit(&ctx);
}

/* A wrapper with log append time gives its time to all inside, whatever they say themselves. */
static void times_in_wrappers(void **state)
{
	struct bytes v = {(const uint8_t *)"v", 1};
	uint8_t inner[64];
	uint8_t outer[256];
	struct compress_ctx ctx = {0};

	for (uint8_t attributes = CODEC_GZIP; attributes <= (CODEC_GZIP | BATCH_LOG_APPEND_TIME);
	     attributes += BATCH_LOG_APPEND_TIME) {
		struct scratch packed = {0};
		struct scratch into = {0};
		struct legacy_iter it;
		struct legacy_record r;
		struct batch_info b;
		size_t len = message(inner, 0, 1, 0, v);

		store_be64(inner + 18, 555);
		assert_int_equal(codec_compress(&ctx, CODEC_GZIP, COMPRESS_LEVEL_DEFAULT,
						(struct bytes){inner, len}, &packed),
				 0);
		len = message(outer, 9, 1, attributes, scratch_bytes(&packed));
		store_be64(outer + 18, 777);
		assert_int_equal(batch_check_header((struct bytes){outer, len}, 0, &b), 0);
		assert_int_equal(legacy_iter_init(&it, &b, 0, &ctx, &into), 0);
		assert_true(legacy_iter_next(&it, &r));
		assert_int_equal(r.timestamp, attributes & BATCH_LOG_APPEND_TIME ? 777 : 555);
		assert_int_equal(b.max_timestamp, 777);
		scratch_deinit(&packed);
		scratch_deinit(&into);
	}
	compress_ctx_deinit(&ctx);
}

static void broken_wrappers(void **state)
{
	struct bytes v = {(const uint8_t *)"v", 1};
	uint8_t inner[512];
	uint8_t outer[1024];
	int64_t offsets[8];
	struct compress_ctx ctx = {0};
	struct scratch packed = {0};
	size_t len;
	int n;

	for (int what = 0; what < 8; what++) {
		len = message(inner, 0, 1, 0, v);
		switch (what) {
		case 0: /* nothing inside */
			len = 0;
			break;
		case 1: /* another format inside */
			len = message(inner, 0, 0, 0, v);
			break;
		case 2: /* a wrapper inside */
			len = message(inner, 0, 1, CODEC_GZIP, v);
			break;
		case 3: /* cut */
			len--;
			break;
		case 4: /* checksum of the inner message */
			inner[len - 1] ^= 1;
			break;
		case 5: /* value length beyond the message */
			store_be32(inner + 30, 2);
			store_be32(inner + 12, crc32_plain(0, inner + 16, len - 16));
			break;
		case 6: /* a byte behind the value */
			inner[len++] = 0;
			store_be32(inner + 8, (uint32_t)(len - 12));
			store_be32(inner + 12, crc32_plain(0, inner + 16, len - 16));
			break;
		default: /* value length -2 */
			store_be32(inner + 30, (uint32_t)-2);
			store_be32(inner + 12, crc32_plain(0, inner + 16, len - 16));
			break;
		}
		packed.len = 0;
		assert_int_equal(codec_compress(&ctx, CODEC_GZIP, COMPRESS_LEVEL_DEFAULT,
						(struct bytes){inner, len}, &packed),
				 0);
		len = message(outer, 103, 1, CODEC_GZIP, scratch_bytes(&packed));
		assert_int_equal(walk(outer, len, offsets, &n), ERR_CORRUPT_MESSAGE);
	}
	len = message(outer, 103, 1, CODEC_GZIP, BYTES_NULL);
	assert_int_equal(walk(outer, len, offsets, &n), ERR_CORRUPT_MESSAGE);
	len = message(outer, 103, 1, CODEC_ZSTD, v);
	assert_int_equal(walk(outer, len, offsets, &n), ERR_UNSUPPORTED_COMPRESSION_TYPE);
	scratch_deinit(&packed);
	compress_ctx_deinit(&ctx);
}

/* The wrong frame header checksum of format 0 is read in format 0 only. */
static void old_lz4_header(void **state)
{
	struct compress_ctx ctx = {0};
	struct scratch packed = {0};
	struct scratch out = {0};

	assert_int_equal(codec_compress(&ctx, CODEC_LZ4, COMPRESS_LEVEL_DEFAULT,
					(struct bytes){(const uint8_t *)"hello", 5},
					&packed), 0);
	assert_int_equal(codec_decompress(&ctx, CODEC_LZ4_V0, scratch_bytes(&packed), &out), 0);
	packed.p[6] ^= 0x55;
	assert_int_equal(codec_decompress(&ctx, CODEC_LZ4, scratch_bytes(&packed), &out),
			 ERR_CORRUPT_MESSAGE);
	assert_int_equal(codec_decompress(&ctx, CODEC_LZ4_V0, scratch_bytes(&packed), &out), 0);
	assert_int_equal(out.len, 10);
	assert_memory_equal(out.p, "hellohello", 10);
	scratch_deinit(&packed);
	scratch_deinit(&out);
	compress_ctx_deinit(&ctx);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_sets),
		cmocka_unit_test(offsets_in_wrappers),
		cmocka_unit_test(times_in_wrappers),
		cmocka_unit_test(broken_wrappers),
		cmocka_unit_test(old_lz4_header),
	};
	int failed;

	batch_cases_load(&cases, argc > 1 ? argv[1] : NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	batch_cases_free(&cases);
	return failed;
}
