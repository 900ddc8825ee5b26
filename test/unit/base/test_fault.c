/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberate faults: names are found, one is chosen at a time. */
#include "fault.h"

#include "test_base.h"

static void test_choose(void **state)
{
	(void)state;
	assert_false(FAULT(skip_sync));
	assert_int_equal(fault_find("no such fault"), FAULT_NONE);
	for (int i = FAULT_NONE + 1; i < FAULT_N; i++)
		assert_int_equal(fault_find(fault_name((enum fault)i)), i);
	fault_set(fault_find("skip_sync"));
	assert_true(FAULT(skip_sync));
	assert_false(FAULT(ack_early));
	fault_set(FAULT_NONE);
	assert_false(FAULT(skip_sync));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
