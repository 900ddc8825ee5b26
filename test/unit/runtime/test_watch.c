/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: order, any-change goals, starting and stopping from callbacks, failure, an object that goes away. */
#include "watch.h"

#include "rng.h"
#include "test_runtime.h"

struct one {
	struct watch watch;
	int64_t goal;
	int fired;
	enum err err;
	struct one *stops;    /* stopped when this fires */
	struct watch_list *restarts; /* started again there when this fires */
	struct watch_list *frees; /* a list given up when this fires */
};

static int64_t last_goal;

static void one_fire(struct watch *watch, enum err err)
{
	struct one *one = container_of(watch, struct one, watch);

	assert_false(watch_is_on(watch));
	assert_true(one->goal >= last_goal);
	last_goal = one->goal;
	one->fired++;
	one->err = err;
	if (one->stops)
		watch_stop(&one->stops->watch);
	if (one->restarts)
		watch_start(one->restarts, watch, one->goal, one_fire);
	if (one->frees) {
		watch_list_deinit(one->frees, ERR_LOG_CLOSED);
		free(one->frees);
	}
}

static void start(struct watch_list *list, struct one *one, int64_t goal)
{
	one->goal = goal;
	watch_start(list, &one->watch, goal, one_fire);
}

static void advance(struct watch_list *list, int64_t value)
{
	last_goal = INT64_MIN;
	watch_list_advance(list, value);
}

static void test_random_against_naive(void **state)
{
	static struct one all[300];
	struct watch_list list;
	struct rng rng;
	int64_t value = 0;

	rng_init(&rng, 11);
	watch_list_init(&list);
	for (int step = 0; step < 4000; step++) {
		struct one *one = &all[rng_below(&rng, ARRAY_N(all))];
		int fired[ARRAY_N(all)];

		if (rng_chance(&rng, 1, 5))
			watch_stop(&one->watch);
		else
			start(&list, one, rng_chance(&rng, 1, 10) ? WATCH_ANY : value + rng_between(&rng, 1, 60));
		if (!rng_chance(&rng, 1, 4))
			continue;
		value += rng_between(&rng, 0, 30);
		for (size_t i = 0; i < ARRAY_N(all); i++)
			fired[i] = all[i].fired + (watch_is_on(&all[i].watch) && all[i].goal <= value);
		advance(&list, value);
		for (size_t i = 0; i < ARRAY_N(all); i++)
			assert_int_equal(all[i].fired, fired[i]);
	}
	last_goal = INT64_MIN;
	watch_list_deinit(&list, ERR_LOG_CLOSED);
	for (size_t i = 0; i < ARRAY_N(all); i++)
		assert_false(watch_is_on(&all[i].watch));
}

static void test_restart_while_firing(void **state)
{
	struct watch_list list, other;
	struct one a = {0}, b = {0};

	watch_list_init(&list);
	watch_list_init(&other);
	a.restarts = &list;
	b.restarts = &other;
	start(&list, &a, 3);
	start(&list, &b, 3);
	advance(&list, 5);
	/* What started while firing waits for the next advance, though its goal is met. */
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 1);
	assert_true(watch_is_on(&a.watch));
	assert_true(watch_is_on(&b.watch));
	advance(&list, 5);
	assert_int_equal(a.fired, 2);
	assert_int_equal(b.fired, 1);
	a.restarts = NULL;
	b.restarts = NULL;
	last_goal = INT64_MIN;
	watch_list_deinit(&list, ERR_NOT_LEADER_OR_FOLLOWER);
	last_goal = INT64_MIN;
	watch_list_deinit(&other, ERR_NONE);
	assert_int_equal(a.fired, 3);
	assert_int_equal(a.err, ERR_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(b.fired, 2);
}

static void test_stop_while_firing(void **state)
{
	struct watch_list list;
	struct one a = {0}, b = {0}, c = {0};

	watch_list_init(&list);
	a.stops = &b;
	start(&list, &a, 1);
	start(&list, &b, 2);
	start(&list, &c, 3);
	advance(&list, 3);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 0);
	assert_int_equal(c.fired, 1);
	assert_false(watch_is_on(&b.watch));
	start(&list, &b, 9);
	advance(&list, 8);
	assert_int_equal(b.fired, 0);
	last_goal = INT64_MIN;
	watch_list_fail(&list, ERR_KAFKA_STORAGE_ERROR);
	assert_int_equal(b.fired, 1);
	assert_int_equal(b.err, ERR_KAFKA_STORAGE_ERROR);
	watch_list_deinit(&list, ERR_NONE);
}

static void test_object_goes_away_while_firing(void **state)
{
	struct watch_list *list = malloc(sizeof(*list));
	struct one a = {0}, b = {0}, c = {0};

	watch_list_init(list);
	a.frees = list;
	start(list, &a, 1);
	start(list, &b, 2);
	start(list, &c, 100);
	last_goal = INT64_MIN;
	/* a's callback gives the list up: c fails there and then; b, already satisfied, is told after. */
	b.goal = 100;
	watch_list_advance(list, 2);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 1);
	assert_int_equal(b.err, ERR_NONE);
	assert_int_equal(c.fired, 1);
	assert_int_equal(c.err, ERR_LOG_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_against_naive),
		cmocka_unit_test(test_restart_while_firing),
		cmocka_unit_test(test_stop_while_firing),
		cmocka_unit_test(test_object_goes_away_while_firing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
