/* SPDX-License-Identifier: Apache-2.0 */
/* A line is said once a minute for each kind and peer, with the number of those left out; crowds take no memory. */
#include "broker_rig.h"
#include "said.h"

static void test_once_a_minute(void **state)
{
	struct said said = {0};
	struct io_addr a = {.ip = {10, 0, 0, 1}, .port = 1}, b = {.ip = {10, 0, 0, 2}, .port = 1};
	int64_t n = -1;

	assert_true(said_is_due(&said, 0, SAID_REFUSED, &a, &n));
	assert_int_equal(n, 0);
	for (int i = 0; i < 1000; i++) {
		a.port++; /* another connection of the same peer */
		assert_false(said_is_due(&said, i, SAID_REFUSED, &a, &n));
	}
	assert_true(said_is_due(&said, 5, SAID_REFUSED, &b, &n));
	assert_true(said_is_due(&said, 5, SAID_FOREIGN, &a, &n));
	assert_true(said_is_due(&said, 5, SAID_DISK_FULL, NULL, &n));
	assert_false(said_is_due(&said, 6, SAID_DISK_FULL, NULL, &n));
	assert_false(said_is_due(&said, SAID_AGAIN_NS, SAID_REFUSED, &a, &n));
	assert_true(said_is_due(&said, SAID_AGAIN_NS + 2, SAID_REFUSED, &a, &n));
	assert_int_equal(n, 1001);
	assert_false(said_is_due(&said, SAID_AGAIN_NS + 3, SAID_REFUSED, &a, &n));
}

static void test_crowd(void **state)
{
	struct said said = {0};
	int64_t n = -1;

	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 10000; i++) {
			struct io_addr peer = {0};

			store_be32(peer.ip, i);
			if (said_is_due(&said, 1 + i, SAID_REFUSED, &peer, &n))
				assert_int_equal(n, 0);
			assert_false(said_is_due(&said, 1 + i, SAID_REFUSED, &peer, &n));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_once_a_minute), cmocka_unit_test(test_crowd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
