/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of topic names. */
#include "broker_rig.h"
#include "topic_reply.h"

static void test_names(void **state)
{
	static const char *const good[] = {"a", "Z", "0", "...", "..a", "_", "-", "a.b_c-D9", "__consumer_offsets"};
	static const char *const bad[] = {"", ".", "..", "a b", "a/b", "a:b", "\xc3\xa9", "a\n", "a,b", "a@b", "a\\b"};
	char name[300];

	for (size_t i = 0; i < ARRAY_N(good); i++)
		assert_true(topic_name_is_valid(str_of(good[i])));
	for (size_t i = 0; i < ARRAY_N(bad); i++)
		assert_false(topic_name_is_valid(str_of(bad[i])));
	memset(name, 'x', sizeof(name));
	assert_true(topic_name_is_valid((struct str){name, 249}));
	assert_false(topic_name_is_valid((struct str){name, 250}));
	assert_false(topic_name_is_valid(STR_NULL));
	assert_false(topic_name_is_valid((struct str){"a\0b", 3}));
	for (int c = 0; c < 256; c++) {
		char text = (char)c;
		bool is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
			       c == '-';

		assert_int_equal(topic_name_is_valid((struct str){&text, 1}), is_good);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
