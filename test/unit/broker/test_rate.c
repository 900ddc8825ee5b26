/* SPDX-License-Identifier: Apache-2.0 */
/* Rates over windows and token buckets, with the figures that the original's formulas give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "rate.h"

#define SAMPLES 11

struct meter {
	struct rate rate;
	struct rate_sample samples[SAMPLES + 1];
};

static void meter_init(struct meter *m)
{
	*m = (struct meter){0};
	rate_init(&m->rate, m->samples, SAMPLES, 1000);
}

/* The first burst spreads over at least ten windows. */
static void test_first_burst(void **state)
{
	struct meter m;

	meter_init(&m);
	assert_true(rate_measure(&m.rate, 5000) == 0);
	rate_record(&m.rate, 10000, 5000);
	assert_true(rate_measure(&m.rate, 5000) == 1000);
	assert_int_equal(rate_throttle_ms(&m.rate, 1000, 5000), 0);
	rate_record(&m.rate, 10000, 5000);
	/* 2000 a second against 1000: once more the ten seconds. */
	assert_int_equal(rate_throttle_ms(&m.rate, 1000, 5000), 10000);
	assert_int_equal(rate_throttle_ms(&m.rate, 2000, 5000), 0);
}

/* Use at the bound is never slowed; beyond it the wait is what brings the rate back. */
static void test_steady(void **state)
{
	struct meter m;

	meter_init(&m);
	for (int64_t ms = 0; ms < 60000; ms += 100) {
		rate_record(&m.rate, 100, ms);
		/* A window that has just begun holds one record more than its time. */
		assert_in_range(rate_throttle_ms(&m.rate, 1000, ms), 0, 200);
	}
	assert_true(rate_measure(&m.rate, 59900) > 990);
	assert_true(rate_measure(&m.rate, 59900) < 1020);
}

/* A client that always waits as told, at several sizes of requests: its use stays at the bound. */
static void test_obedient(void **state)
{
	static const double sizes[] = {100, 1000, 5000, 50000};

	for (size_t i = 0; i < ARRAY_N(sizes); i++) {
		struct meter m;
		int64_t ms = 0;
		double sum = 0, from = 0;
		int64_t from_ms = 0;

		meter_init(&m);
		while (ms < 600000) {
			int64_t wait;

			rate_record(&m.rate, sizes[i], ms);
			sum += sizes[i];
			wait = rate_throttle_ms(&m.rate, 10000, ms);
			ms += wait + 1;
			if (!from_ms && ms > 60000) {
				from_ms = ms;
				from = sum;
			}
		}
		sum = (sum - from) / (double)(ms - from_ms) * 1000;
		assert_true(sum > 8500);
		assert_true(sum < 11500);
	}
}

static void test_forgets(void **state)
{
	struct meter m;

	meter_init(&m);
	rate_record(&m.rate, 50000, 0);
	assert_true(rate_measure(&m.rate, 10999) > 0);
	assert_true(rate_measure(&m.rate, 11000) == 0);
	rate_record(&m.rate, 10, 11000);
	rate_record(&m.rate, -10, 11000);
	assert_true(rate_measure(&m.rate, 11000) == 0);
}

/* More windows than there are samples are used in turn. */
static void test_many_windows(void **state)
{
	struct meter m;

	meter_init(&m);
	for (int64_t s = 0; s < 1000; s++) {
		rate_record(&m.rate, 500, s * 1000);
		assert_true(m.rate.used_n <= SAMPLES + 1);
	}
	assert_true(rate_measure(&m.rate, 999000) >= 500);
	assert_true(rate_measure(&m.rate, 999999) <= 550);
}

/* A bound of nothing, or none at all, never asks for an endless wait. */
static void test_odd_bounds(void **state)
{
	struct meter m;
	double nan = __builtin_nan("");

	meter_init(&m);
	rate_record(&m.rate, 1e300, 0);
	assert_int_equal(rate_throttle_ms(&m.rate, nan, 0), 0);
	assert_int_equal(rate_throttle_ms(&m.rate, 0, 0), 0);
	assert_int_equal(rate_throttle_ms(&m.rate, 1e-300, 0), 86400000);
}

/* As the original answered: 1 a second, windows of 11 s; 5, 20, then 14 s of debt. */
static void test_bucket(void **state)
{
	struct token_bucket b = {0};

	token_bucket_fill(&b, 1, 11, 1000);
	assert_true(b.tokens == 11);
	b.tokens -= 5;
	token_bucket_fill(&b, 1, 11, 1000);
	assert_true(b.tokens == 6);
	assert_int_equal(token_bucket_throttle_ms(&b, 1), 0);
	b.tokens -= 20;
	assert_int_equal(token_bucket_throttle_ms(&b, 1), 14000);
	assert_int_equal(token_bucket_throttle_ms(&b, 2), 7000);
	token_bucket_fill(&b, 1, 11, 15000);
	assert_int_equal(token_bucket_throttle_ms(&b, 1), 0);
	token_bucket_fill(&b, 1, 11, 100000);
	assert_true(b.tokens == 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_burst), cmocka_unit_test(test_steady), cmocka_unit_test(test_obedient),
		cmocka_unit_test(test_forgets), cmocka_unit_test(test_many_windows),
		cmocka_unit_test(test_odd_bounds), cmocka_unit_test(test_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
