/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers: a fixed stream per seed, ranges kept at their ends, a rough look at uniformity. */
#include "rng.h"

#include "test_base.h"

static void test_stream(void **state)
{
	struct rng a, b, c;
	struct rng known = {{1, 2, 3, 4}};

	(void)state;
	/* The published algorithm from state 1, 2, 3, 4. */
	assert_true(rng_u64(&known) == 11520);
	assert_true(rng_u64(&known) == 0);
	assert_true(rng_u64(&known) == 1509978240);
	rng_init(&a, 0);
	assert_true(a.s[0] == UINT64_C(0xe220a8397b1dcdaf));
	rng_init(&b, 0);
	rng_init(&c, 1);
	for (int i = 0; i < 100; i++) {
		uint64_t v = rng_u64(&a);

		assert_true(v == rng_u64(&b));
		assert_true(v != rng_u64(&c));
	}
}

static void test_ranges(void **state)
{
	struct rng rng;
	int seen[6] = {0};

	(void)state;
	rng_init(&rng, 6);
	for (int i = 0; i < 60000; i++) {
		int64_t v = rng_between(&rng, -2, 3);
		double unit = rng_unit(&rng);

		assert_true(v >= -2 && v <= 3);
		seen[v + 2]++;
		assert_true(unit >= 0 && unit < 1);
		assert_int_equal(rng_below(&rng, 1), 0);
		assert_true(rng_below(&rng, UINT64_C(3) << 62) < UINT64_C(3) << 62);
		assert_true(rng_chance(&rng, 1, 1));
		assert_false(rng_chance(&rng, 0, 1));
	}
	for (size_t i = 0; i < ARRAY_N(seen); i++)
		assert_true(seen[i] > 9500 && seen[i] < 10500);
	assert_true(rng_between(&rng, INT64_MAX, INT64_MAX) == INT64_MAX);
	(void)rng_between(&rng, INT64_MIN, INT64_MAX);
}

static void body_below_zero(void)
{
	struct rng rng;

	rng_init(&rng, 1);
	rng_below(&rng, 0);
}

static void test_misuse(void **state)
{
	(void)state;
	assert_true(aborts(body_below_zero));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
