/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes: Java's string hash on known strings, seeds that matter, damaged text kept inside its bounds. */
#include "hash.h"

#include "test_base.h"

static void test_java(void **state)
{
	(void)state;
	assert_int_equal(hash_java_string(STR("")), 0);
	assert_int_equal(hash_java_string(STR_NULL), 0);
	assert_int_equal(hash_java_string(STR("a")), 97);
	assert_int_equal(hash_java_string(STR("hello")), 99162322);
	assert_int_equal(hash_java_string(STR("polygenelubricants")), INT32_MIN);
	assert_int_equal(hash_java_string(STR("\xc3\xa9")), 0xe9);
	assert_int_equal(hash_java_string(STR("\xe2\x82\xac")), 0x20ac);
	assert_int_equal(hash_java_string(STR("\xf0\x9f\x98\x80")), 0xd83d * 31 + 0xde00);
}

static void test_java_damaged(void **state)
{
	static const char text[] = "\xf0\x9f\x98\x80\xe2\x82\xac\xc3";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		char *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, text, n);
		(void)hash_java_string((struct str){copy, n});
		free(copy);
	}
}

static void test_seeds(void **state)
{
	(void)state;
	assert_true(hash_str(STR("orders"), 1) == hash_str(STR("orders"), 1));
	assert_true(hash_str(STR("orders"), 1) != hash_str(STR("orders"), 2));
	assert_true(hash_str(STR("orders"), 1) != hash_str(STR("orderz"), 1));
	assert_true(hash_str(STR_NULL, 1) == hash_str(STR(""), 1));
	assert_true(hash_u64(1, 1) != hash_u64(1, 2));
	assert_true(hash_u64(1, 1) != hash_u64(2, 1));
	assert_true(hash_uuid((struct uuid){1, 2}, 1) != hash_uuid((struct uuid){2, 1}, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_java),
		cmocka_unit_test(test_java_damaged),
		cmocka_unit_test(test_seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
