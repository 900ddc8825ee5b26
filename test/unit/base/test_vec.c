/* SPDX-License-Identifier: Apache-2.0 */
/* Growing arrays: content survives growth, reserve does its word, absurd sizes abort. */
#include "vec.h"

#include "test_base.h"

static void test_push(void **state)
{
	VEC(uint32_t) vec = {0};
	const uint32_t *before;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++)
		vec_push(&vec, i * 3);
	assert_int_equal(vec.n, 100000);
	assert_true(vec.cap >= vec.n && vec.cap < 2 * vec.n);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(vec.v[i], i * 3);
	vec_reserve(&vec, 200000);
	assert_true(vec.cap >= 300000);
	before = vec.v;
	for (uint32_t i = 0; i < 200000; i++)
		vec_push(&vec, i);
	assert_ptr_equal(vec.v, before);
	vec_deinit(&vec);
	assert_null(vec.v);
	assert_int_equal(vec.cap, 0);
	vec_reserve(&vec, 0);
	assert_null(vec.v);
}

static void body_overflow(void)
{
	VEC(uint64_t) vec = {0};

	vec_reserve(&vec, SIZE_MAX / 8);
}

static void test_overflow(void **state)
{
	(void)state;
	assert_true(aborts(body_overflow));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
