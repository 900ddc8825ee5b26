/* SPDX-License-Identifier: Apache-2.0 */
/* Varints at every boundary of their length, cut short, too long, and with bits the type cannot hold. */
#include "varint.h"

#include <string.h>

#include "rng.h"
#include "test_base.h"

static void round_trip(uint64_t v)
{
	uint8_t p[VARINT64_MAX + 1];
	uint64_t u64 = 0;
	int64_t i64 = 0;
	uint32_t u32 = 0;
	int32_t i32 = 0;
	size_t n;

	n = uvarlong_write(p, v);
	assert_int_equal(uvarlong_read(p, sizeof(p), &u64), n);
	assert_true(u64 == v);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(uvarlong_read(p, cut, &u64), 0);
	n = varlong_write(p, (int64_t)v);
	assert_int_equal(n, varlong_size((int64_t)v));
	assert_int_equal(varlong_read(p, n, &i64), n);
	assert_true(i64 == (int64_t)v);
	n = uvarint_write(p, (uint32_t)v);
	assert_int_equal(n, uvarint_size((uint32_t)v));
	assert_int_equal(uvarint_read(p, n, &u32), n);
	assert_int_equal(u32, (uint32_t)v);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(uvarint_read(p, cut, &u32), 0);
	n = varint_write(p, (int32_t)v);
	assert_int_equal(n, varint_size((int32_t)v));
	assert_int_equal(varint_read(p, n, &i32), n);
	assert_int_equal(i32, (int32_t)v);
}

static void test_boundaries(void **state)
{
	struct rng rng;

	(void)state;
	for (int bit = 0; bit < 64; bit++) {
		uint64_t v = UINT64_C(1) << bit;

		for (uint64_t d = 0; d < 5; d++) {
			round_trip(v - 2 + d);
			round_trip(0 - (v - 2 + d));
		}
	}
	rng_init(&rng, 8);
	for (int i = 0; i < 20000; i++)
		round_trip(rng_u64(&rng) >> rng_below(&rng, 64));
}

static void test_known(void **state)
{
	static const struct {
		int64_t v;
		size_t n;
		uint8_t bytes[10];
	} known[] = {
		{0, 1, {0}}, {-1, 1, {1}}, {1, 1, {2}}, {63, 1, {0x7e}}, {-64, 1, {0x7f}}, {64, 2, {0x80, 1}},
		{-65, 2, {0x81, 1}}, {8191, 2, {0xfe, 0x7f}}, {8192, 3, {0x80, 0x80, 1}},
		{INT32_MAX, 5, {0xfe, 0xff, 0xff, 0xff, 0x0f}},
		{INT32_MIN, 5, {0xff, 0xff, 0xff, 0xff, 0x0f}},
		{INT64_MAX, 10, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
		{INT64_MIN, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
	};
	uint8_t p[10];

	(void)state;
	for (size_t i = 0; i < ARRAY_N(known); i++) {
		assert_int_equal(varlong_write(p, known[i].v), known[i].n);
		assert_memory_equal(p, known[i].bytes, known[i].n);
		if (known[i].v >= INT32_MIN && known[i].v <= INT32_MAX) {
			assert_int_equal(varint_write(p, (int32_t)known[i].v), known[i].n);
			assert_memory_equal(p, known[i].bytes, known[i].n);
		}
	}
}

static void test_too_long(void **state)
{
	uint8_t p[12];
	uint32_t u32 = 77;
	int32_t i32 = 77;
	uint64_t u64 = 77;
	int64_t i64 = 77;

	(void)state;
	memset(p, 0x80, sizeof(p));
	p[5] = 0;
	assert_int_equal(uvarint_read(p, sizeof(p), &u32), 0);
	assert_int_equal(varint_read(p, sizeof(p), &i32), 0);
	p[5] = 0x80;
	p[10] = 0;
	assert_int_equal(uvarlong_read(p, sizeof(p), &u64), 0);
	assert_int_equal(varlong_read(p, sizeof(p), &i64), 0);
	assert_true(u32 == 77 && i32 == 77 && u64 == 77 && i64 == 77);
	/* More bytes than needed are fine, and so are bits beyond the type: they are dropped. */
	p[4] = 0x7f;
	assert_int_equal(uvarint_read(p, sizeof(p), &u32), 5);
	assert_int_equal(u32, 0xf0000000);
	p[4] = 0;
	assert_int_equal(uvarint_read(p, sizeof(p), &u32), 5);
	assert_int_equal(u32, 0);
	p[4] = 0x80;
	p[9] = 0x7f;
	assert_int_equal(uvarlong_read(p, sizeof(p), &u64), 10);
	assert_true(u64 == UINT64_C(1) << 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boundaries),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
