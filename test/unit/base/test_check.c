/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK aborts on a false condition and only then, and evaluates its operands once. */
#include "check.h"

#include "test_base.h"

static void body_false(void)
{
	CHECK(1 + 1 == 3);
}

static void body_op(void)
{
	CHECK_OP(3, <, 3);
}

static void body_unreachable(void)
{
	UNREACHABLE();
}

static void test_check(void **state)
{
	int n = 0;

	(void)state;
	assert_true(aborts(body_false));
	assert_true(aborts(body_op));
	assert_true(aborts(body_unreachable));
	CHECK(++n == 1);
	CHECK_OP(++n, ==, 2);
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
