/* SPDX-License-Identifier: Apache-2.0 */
/* Timers: a thousand against a plain array, stops and restarts from callbacks, the budget. */
#include "timer.h"

#include "rng.h"
#include "test_runtime.h"

#define TIMERS_N 1000

struct one {
	struct timer timer;
	int64_t at_ns; /* what the plain model says; INT64_MAX: off */
	int fired;
};

static struct {
	struct one all[TIMERS_N];
	struct timers timers;
	struct rng rng;
	int64_t now_ns;
	int64_t last_ns;
} w;

static void one_fire(struct timer *timer)
{
	struct one *one = container_of(timer, struct one, timer);

	assert_true(one->at_ns <= w.now_ns);
	assert_true(one->at_ns >= w.last_ns);
	assert_false(timer_is_on(timer));
	w.last_ns = one->at_ns;
	one->at_ns = INT64_MAX;
	one->fired++;
}

static int64_t naive_next(void)
{
	int64_t least = INT64_MAX;

	for (int i = 0; i < TIMERS_N; i++)
		least = MIN(least, w.all[i].at_ns);
	return least;
}

static int naive_due(void)
{
	int n = 0;

	for (int i = 0; i < TIMERS_N; i++)
		n += w.all[i].at_ns <= w.now_ns;
	return n;
}

static void test_random_against_naive(void **state)
{
	memset(&w, 0, sizeof(w));
	rng_init(&w.rng, 7);
	for (int i = 0; i < TIMERS_N; i++)
		w.all[i].at_ns = INT64_MAX;
	for (int step = 0; step < 3000; step++) {
		int due;

		for (int k = 0; k < 20; k++) {
			struct one *one = &w.all[rng_below(&w.rng, TIMERS_N)];

			if (rng_chance(&w.rng, 1, 4)) {
				timer_stop(&w.timers, &one->timer);
				one->at_ns = INT64_MAX;
			} else {
				one->at_ns = w.now_ns + rng_between(&w.rng, 0, 500);
				timer_start(&w.timers, &one->timer, one->at_ns, one_fire);
			}
			assert_int_equal(timer_is_on(&one->timer), one->at_ns != INT64_MAX);
		}
		assert_int_equal(timers_next_ns(&w.timers), naive_next());
		w.now_ns += rng_between(&w.rng, 0, 40);
		due = naive_due();
		w.last_ns = 0;
		assert_int_equal(timers_run(&w.timers, w.now_ns, INT32_MAX), due);
		assert_int_equal(naive_due(), 0);
	}
	timers_deinit(&w.timers);
}

static void one_again(struct timer *timer)
{
	struct one *one = container_of(timer, struct one, timer);

	one->fired++;
	timer_start(&w.timers, timer, 0, one_again);
}

static void one_stop_next(struct timer *timer)
{
	struct one *one = container_of(timer, struct one, timer);

	one->fired++;
	timer_stop(&w.timers, &one[1].timer);
}

static void test_callbacks_start_and_stop(void **state)
{
	memset(&w, 0, sizeof(w));
	assert_int_equal(timers_next_ns(&w.timers), INT64_MAX);
	timer_start(&w.timers, &w.all[0].timer, 5, one_again);
	/* One that starts itself again at a time past uses up the budget, not the thread. */
	assert_int_equal(timers_run(&w.timers, 10, 64), 64);
	assert_int_equal(w.all[0].fired, 64);
	timer_stop(&w.timers, &w.all[0].timer);
	timer_stop(&w.timers, &w.all[0].timer);
	timer_start(&w.timers, &w.all[1].timer, 5, one_stop_next);
	timer_start(&w.timers, &w.all[2].timer, 5, one_stop_next);
	assert_int_equal(timers_run(&w.timers, 10, 64), 1);
	assert_int_equal(w.all[2].fired, 0);
	assert_false(timer_is_on(&w.all[2].timer));
	timers_deinit(&w.timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_against_naive),
		cmocka_unit_test(test_callbacks_start_and_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
