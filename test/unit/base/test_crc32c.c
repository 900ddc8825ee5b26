/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C at all lengths to 4096 and odd alignments against a bitwise version; known answers; chaining. */
#include "crc32c.h"

#include "rng.h"
#include "test_base.h"

static uint32_t slow(uint32_t poly, uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	for (; len > 0; p++, len--) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? poly : 0);
	}
	return ~crc;
}

#define POLY_C 0x82f63b78U
#define POLY_IEEE 0xedb88320U

static void test_known(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32_plain(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_plain(7, NULL, 0), 7);
	assert_int_equal(crc32c(7, NULL, 0), 7);
}

static void test_lengths(void **state)
{
	static uint8_t data[4096 + 16];
	struct rng rng;

	(void)state;
	rng_init(&rng, 2);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rng_u64(&rng);
	for (size_t align = 0; align < 16; align += align ? 2 : 1) {
		uint32_t c = 0;
		uint32_t ieee = 0;

		for (size_t len = 0; len <= 4096; len++) {
			if (len) {
				c = slow(POLY_C, c, &data[align + len - 1], 1);
				ieee = slow(POLY_IEEE, ieee, &data[align + len - 1], 1);
			}
			assert_int_equal(crc32c(0, data + align, len), c);
			assert_int_equal(crc32_plain(0, data + align, len), ieee);
		}
	}
	for (int i = 0; i < 1000; i++) {
		size_t len = rng_below(&rng, sizeof(data));
		size_t cut = rng_below(&rng, len + 1);

		assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, len - cut), crc32c(0, data, len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
