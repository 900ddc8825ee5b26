/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs: the rules of assigning and cutting, and answers against a plain list of offsets. */
#include "epoch_cache.h"
#include "mem.h"
#include "rng.h"
#include "storage_test.h"

static void test_assign(void **state)
{
	struct epoch_cache c = {0};
	int32_t epoch;
	int64_t end;

	assert_int_equal(epoch_cache_latest(&c), -1);
	epoch_cache_end(&c, 3, 100, &epoch, &end);
	assert_int_equal(epoch, -1);
	assert_int_equal(end, -1);
	assert_true(epoch_cache_assign(&c, 2, 10));
	assert_false(epoch_cache_assign(&c, 2, 15));
	assert_true(epoch_cache_assign(&c, 5, 20));
	/* An epoch without records is replaced by the next. */
	assert_true(epoch_cache_assign(&c, 6, 20));
	assert_int_equal(c.entries.n, 2);
	assert_int_equal(epoch_cache_of(&c, 9), -1);
	assert_int_equal(epoch_cache_of(&c, 19), 2);
	assert_int_equal(epoch_cache_of(&c, 20), 6);
	epoch_cache_end(&c, 1, 100, &epoch, &end);
	assert_int_equal(epoch, 1);
	assert_int_equal(end, 10);
	epoch_cache_end(&c, 4, 100, &epoch, &end);
	assert_int_equal(epoch, 2);
	assert_int_equal(end, 20);
	epoch_cache_end(&c, 6, 100, &epoch, &end);
	assert_int_equal(end, 100);
	epoch_cache_end(&c, 7, 100, &epoch, &end);
	assert_int_equal(end, -1);
	assert_true(epoch_cache_truncate_start(&c, 15));
	assert_int_equal(c.entries.v[0].start_offset, 15);
	assert_false(epoch_cache_truncate_start(&c, 15));
	assert_true(epoch_cache_truncate_end(&c, 20));
	assert_int_equal(c.entries.n, 1);
	epoch_cache_deinit(&c);
}

#define MODEL_N 300

static void test_model(void **state)
{
	for (uint64_t seed = 1; seed < 300; seed++) {
		int32_t model[MODEL_N]; /* epoch of each offset */
		struct epoch_cache c = {0};
		struct rng rng;
		int64_t end = 0, start = 0;
		int32_t latest = 0;

		rng_init(&rng, seed);
		for (int step = 0; step < 60; step++) {
			uint64_t what = rng_below(&rng, 10);

			if (what < 6 && end < MODEL_N - 10) {
				int64_t n = (int64_t)rng_below(&rng, 8) + 1;

				latest += (int32_t)rng_below(&rng, 3);
				epoch_cache_assign(&c, latest, end);
				for (int64_t i = 0; i < n; i++)
					model[end++] = latest;
			} else if (what < 8 && end > start) {
				end = rng_between(&rng, start, end);
				epoch_cache_truncate_end(&c, end);
			} else if (end > start) {
				start = rng_between(&rng, start, end - 1);
				epoch_cache_truncate_start(&c, start);
			}
			for (int64_t i = start; i < end; i++)
				assert_int_equal(epoch_cache_of(&c, i), model[i]);
			for (size_t i = 1; i < c.entries.n; i++) {
				assert_true(c.entries.v[i].epoch > c.entries.v[i - 1].epoch);
				assert_true(c.entries.v[i].start_offset > c.entries.v[i - 1].start_offset);
			}
		}
		epoch_cache_deinit(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assign),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
