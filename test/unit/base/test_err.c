/* SPDX-License-Identifier: Apache-2.0 */
/* The error table: names, wire codes of our own errors, flags, numbers that no row has. */
#include "err.h"

#include <string.h>

#include "test_base.h"

static void test_rows(void **state)
{
	(void)state;
	assert_int_equal(ERR_NONE, 0);
	assert_string_equal(err_name(ERR_NOT_LEADER_OR_FOLLOWER), "NOT_LEADER_OR_FOLLOWER");
	assert_int_equal(err_wire(ERR_NOT_LEADER_OR_FOLLOWER), 6);
	assert_true(err_is_retriable(ERR_NOT_LEADER_OR_FOLLOWER));
	assert_true(err_is_stale_metadata(ERR_NOT_LEADER_OR_FOLLOWER));
	assert_false(err_is_retriable(ERR_MESSAGE_TOO_LARGE));
	assert_int_equal(err_wire(ERR_UNKNOWN_SERVER_ERROR), -1);
	assert_int_equal(err_wire(ERR_DISK_FULL), ERR_KAFKA_STORAGE_ERROR);
	assert_int_equal(err_wire(ERR_DECODE), ERR_INVALID_REQUEST);
	assert_int_equal(err_wire((enum err)31000), -1);
	assert_string_equal(err_name((enum err)31000), "UNKNOWN");
	assert_false(err_is_retriable((enum err)31000));
}

/* Every code of the protocol from -1 on has a row: the last one is 133. */
static void test_dense(void **state)
{
	(void)state;
	for (int code = -1; code <= 133; code++) {
		assert_string_not_equal(err_name((enum err)code), "UNKNOWN");
		assert_true(strlen(err_text((enum err)code)) > 3);
	}
	assert_string_equal(err_name((enum err)134), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_dense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
