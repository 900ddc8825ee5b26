/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: every code point, every two-byte start, and every cut of a text. */
#include "utf8.h"

#include <stdlib.h>

#include "test_base.h"

/* Encodes without asking whether the code point is allowed. */
static size_t encode(uint32_t c, uint8_t *p)
{
	if (c < 0x80) {
		p[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (uint8_t)(0xc0 | c >> 6);
		p[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (uint8_t)(0xe0 | c >> 12);
		p[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		p[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | c >> 18);
	p[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	p[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	p[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

static bool valid(const void *p, size_t n)
{
	return utf8_is_valid((struct str){p, n});
}

static void test_code_points(void **state)
{
	uint8_t p[4];

	(void)state;
	for (uint32_t c = 0; c < 0x1fffff; c++) {
		size_t n = encode(c, p);

		assert_int_equal(valid(p, n), c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff));
		if (n > 1) {
			assert_false(valid(p, n - 1));
			assert_false(valid(p + 1, n - 1));
		}
	}
}

static void test_refused(void **state)
{
	static const struct str bad[] = {
		STR("\x80"), STR("\xbf"), STR("\xc0\x80"), STR("\xc1\xbf"),
		STR("\xe0\x80\x80"), STR("\xe0\x9f\xbf"), STR("\xf0\x80\x80\x80"), STR("\xf0\x8f\xbf\xbf"),
		STR("\xf5\x80\x80\x80"), STR("\xff"), STR("\xfe"),
		STR("\xc3\x28"), STR("\xe2\x28\xa1"), STR("\xe2\x82\x28"), STR("\xf0\x9f\x98\x28"),
		STR("\xed\xa0\xbd\xed\xb8\x80"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_N(bad); i++)
		assert_false(utf8_is_valid(bad[i]));
	assert_true(utf8_is_valid(STR_NULL));
	assert_true(utf8_is_valid(STR("")));
	assert_true(utf8_is_valid(STR("a\0b")));
}

/* Exact-size heap copies, so that the sanitizer sees a read beyond the end; a bad byte at each place. */
static void test_places(void **state)
{
	static const char text[] = "0123456789abcdefghij\xc3\xa9klmnopqrstuvwxyz";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		char *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, text, n);
		assert_int_equal(valid(copy, n), n != 21);
		for (size_t i = 0; i < n; i++) {
			copy[i] = (char)0xff;
			assert_false(valid(copy, n));
			copy[i] = text[i];
		}
		free(copy);
	}
}

/* How much of what is malformed Java takes for one U+FFFD. */
static void test_steps(void **state)
{
	static const struct {
		struct str text;
		size_t n;
		bool is_ok;
	} steps[] = {
		{STR("a\xff"), 1, true},	    {STR("\xc3\xa9"), 2, true},	      {STR("\xc3"), 1, false},
		{STR("\xe2\x82"), 2, false},	    {STR("\xe2\x82\x28"), 2, false},  {STR("\xe2\x28\xa1"), 1, false},
		{STR("\xed\xa0\x80"), 3, false},  {STR("\xe0\x80\x80"), 1, false},  {STR("\xf0\x9f\x92"), 3, false},
		{STR("\xf4\x90\x80\x80"), 1, false}, {STR("\xf5\x80\x80\x80"), 1, false}, {STR("\x80\x80"), 1, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_N(steps); i++) {
		bool is_ok;

		assert_int_equal(utf8_step((const uint8_t *)steps[i].text.p, steps[i].text.len, &is_ok), steps[i].n);
		assert_int_equal(is_ok, steps[i].is_ok);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_code_points),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
