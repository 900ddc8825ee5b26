/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting the stream into frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "frame.h"

static void test_cut(void **state)
{
	static const uint8_t in[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0};
	struct frame frame;

	for (size_t len = 0; len <= sizeof(in); len++) {
		assert_int_equal(frame_cut((struct bytes){in, len}, 3, &frame), ERR_NONE);
		assert_int_equal(frame.want, len < 4 ? 4 : 7);
		assert_int_equal(frame.used, len < 7 ? 0 : 7);
		if (frame.used)
			assert_true(bytes_eq(frame.body, (struct bytes){in + 4, 3}));
	}
	assert_int_equal(frame_cut((struct bytes){in, 4}, 2, &frame), ERR_TOO_LARGE);
}

static void test_bad_lengths(void **state)
{
	static const uint8_t negative[] = {0xff, 0xff, 0xff, 0xff}, huge[] = {0x7f, 0xff, 0xff, 0xff},
			     empty[] = {0, 0, 0, 0};
	struct frame frame;

	assert_int_equal(frame_cut((struct bytes){negative, 4}, 100, &frame), ERR_DECODE);
	assert_int_equal(frame_cut((struct bytes){huge, 4}, 100, &frame), ERR_TOO_LARGE);
	assert_int_equal(frame_cut((struct bytes){empty, 4}, 100, &frame), ERR_NONE);
	assert_int_equal(frame.used, 4);
	assert_int_equal(frame.body.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bad_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
