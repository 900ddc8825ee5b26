/* SPDX-License-Identifier: Apache-2.0 */
/* The table of messages as the program has it. */
#include "message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_message_is_whole(void **state)
{
	assert_true(messages_n > 20);
	for (size_t i = 0; i < messages_n; i++) {
		const struct message *m = &messages[i];

		assert_int_equal(strlen(m->code), 6);
		assert_memory_equal(m->code, "ML", 2);
		assert_true(strlen(m->title) > 5);
		assert_true(strlen(m->what) > 20);
		assert_true(strlen(m->why) > 10);
		assert_true(strlen(m->todo) > 10);
		assert_true(i == 0 || strcmp(messages[i - 1].code, m->code) < 0);
		assert_ptr_equal(message_find(m->code), m);
	}
}

static void test_find(void **state)
{
	assert_string_equal(message_find("ML1012")->code, "ML1012");
	assert_string_equal(message_find("ml1012")->code, "ML1012");
	assert_string_equal(message_find("1012")->code, "ML1012");
	assert_non_null(strstr(message_find("1012")->todo, "\n  fuser"));
	assert_null(message_find("ML9999"));
	assert_null(message_find("ML"));
	assert_null(message_find(""));
	assert_null(message_find("ML101"));
	assert_null(message_find("ML10122"));
	assert_null(message_find("nonsense"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_message_is_whole),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
