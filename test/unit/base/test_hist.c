/* SPDX-License-Identifier: Apache-2.0 */
/* Histogram: bins hold what they say, quantiles against sorted values. */
#include "hist.h"

#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "test_base.h"

enum { N = 20000 };

static void check_bin(int64_t value)
{
	int bin = hist_bin(value);

	assert_in_range(bin, 0, HIST_BINS_N - 1);
	assert_true(value < hist_bin_end(bin));
	if (bin > 0)
		assert_true(value >= hist_bin_end(bin - 1));
}

static void test_bins(void **state)
{
	struct rng rng;

	rng_init(&rng, 7);
	for (int64_t value = 0; value < 5000; value++)
		check_bin(value);
	for (int i = 0; i < N; i++)
		check_bin(rng_between(&rng, 0, HIST_VALUE_MAX >> rng_between(&rng, 0, 43)));
	for (int bin = 1; bin < HIST_BINS_N; bin++)
		assert_true(hist_bin_end(bin) > hist_bin_end(bin - 1));
	assert_int_equal(hist_bin(HIST_VALUE_MAX), HIST_BINS_N - 1);
	assert_int_equal(hist_bin_end(HIST_BINS_N - 1), HIST_VALUE_MAX + 1);
	assert_int_equal(hist_bin(INT64_MAX), HIST_BINS_N - 1);
	assert_int_equal(hist_bin(-1), 0);
}

static int compare_values(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_quantiles(void **state)
{
	static const double qs[] = {0.5, 0.75, 0.95, 0.98, 0.99, 0.999};
	static int64_t values[N];
	static struct hist hist;
	static double weights[HIST_BINS_N];
	struct rng rng;

	rng_init(&rng, 11);
	for (int i = 0; i < N; i++) {
		values[i] = rng_between(&rng, 1, (int64_t)1 << rng_between(&rng, 4, 40));
		hist_add(&hist, values[i]);
	}
	qsort(values, N, sizeof(values[0]), compare_values);
	for (int i = 0; i < HIST_BINS_N; i++)
		weights[i] = hist.bins[i];
	assert_int_equal(hist.n, N);
	for (size_t i = 0; i < ARRAY_N(qs); i++) {
		double exact = (double)values[(int)(qs[i] * N)], got = hist_quantile(weights, qs[i]);

		assert_true(got > exact * 0.85 - 1 && got < exact * 1.15 + 1);
	}
	memset(weights, 0, sizeof(weights));
	assert_true(hist_quantile(weights, 0.5) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bins), cmocka_unit_test(test_quantiles)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
