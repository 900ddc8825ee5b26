/* SPDX-License-Identifier: Apache-2.0 */
/* The groups' checker itself: each anomaly it names is found, and what is allowed is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "check_groups.h"
#include "toy_body.h"

struct bench {
	struct world *w;
	struct check_group c;
};

static const struct group_author anna = {1, 1}, bert = {2, 1};

static void bench_init(struct bench *b)
{
	struct sim_options opt;

	sim_options_plain(&opt);
	b->w = world_new(1, &opt, &toy_body);
	b->w->quiet = true;
	check_group_init(&b->c, b->w, "g");
}

/* Returns whether the checker has found something. */
static bool bench_end(struct bench *b)
{
	bool found = b->w->has_failed;

	check_group_deinit(&b->c);
	world_free(b->w);
	return found;
}

static struct group_known known(const struct bench *b)
{
	return b->c.parts[0].known;
}

static void sends(struct bench *b)
{
	check_group_commit_sent(&b->c, 0);
}

/* Acknowledged at once. */
static void commits(struct bench *b, struct group_author author, int64_t value)
{
	struct group_known before = known(b);

	sends(b);
	b->w->now_ns += 10;
	check_group_acked(&b->c, b->w->era, b->w->now_ns, author, 0, value, &before);
}

static void fetches(struct bench *b, int64_t value)
{
	struct group_known before = known(b);

	check_group_fetched(&b->c, b->w->era, 0, value, &before);
}

static void deletes(struct bench *b)
{
	check_group_delete_sent(&b->c, 1);
	b->w->now_ns += 10;
	check_group_delete_done(&b->c, b->w->era, 1, true, true);
}

static void test_offsets_that_rise_pass(void **state)
{
	struct bench b;

	bench_init(&b);
	fetches(&b, -1);
	for (int i = 0; i < 5; i++) {
		commits(&b, i % 2 ? anna : bert, check_group_value(&b.c, 0));
		fetches(&b, i);
	}
	assert_false(bench_end(&b));
}

static void test_an_offset_that_goes_back_is_found(void **state)
{
	struct bench b;

	bench_init(&b);
	for (int i = 0; i < 3; i++)
		commits(&b, anna, check_group_value(&b.c, 0));
	fetches(&b, 1);
	assert_true(bench_end(&b));
}

static void test_a_lost_offset_is_found(void **state)
{
	struct bench b;

	bench_init(&b);
	commits(&b, anna, check_group_value(&b.c, 0));
	fetches(&b, -1);
	assert_true(bench_end(&b));
}

static void test_an_offset_nobody_committed_is_found(void **state)
{
	struct bench b;

	bench_init(&b);
	fetches(&b, 0);
	assert_true(bench_end(&b));
}

static void test_a_commit_without_answer_may_come_late_once(void **state)
{
	struct bench b;
	int64_t doubted, next;

	bench_init(&b);
	doubted = check_group_value(&b.c, 0);
	sends(&b);
	check_group_unknown(&b.c, anna, 0, doubted);
	next = check_group_value(&b.c, 0);
	commits(&b, anna, next);
	fetches(&b, doubted);
	assert_false(b.w->has_failed);
	/* Somebody else owns it now. */
	commits(&b, bert, check_group_value(&b.c, 0));
	fetches(&b, doubted);
	assert_true(bench_end(&b));
}

static void test_a_commit_of_who_was_replaced_is_found(void **state)
{
	struct bench b;
	int64_t old;

	bench_init(&b);
	old = check_group_value(&b.c, 0);
	commits(&b, bert, check_group_value(&b.c, 0));
	commits(&b, anna, old);
	assert_true(bench_end(&b));
}

static void test_what_was_deleted_may_be_gone(void **state)
{
	struct bench b;

	bench_init(&b);
	commits(&b, anna, check_group_value(&b.c, 0));
	deletes(&b);
	fetches(&b, -1);
	commits(&b, anna, check_group_value(&b.c, 0));
	fetches(&b, 1);
	assert_false(b.w->has_failed);
	fetches(&b, -1);
	assert_true(bench_end(&b));
}

static void test_a_deleted_offset_that_comes_back_is_found(void **state)
{
	struct bench b;

	bench_init(&b);
	commits(&b, anna, check_group_value(&b.c, 0));
	deletes(&b);
	fetches(&b, 0);
	assert_true(bench_end(&b));
}

/* The commit was on its way when the group was deleted: either may have been first. */
static void test_a_deletion_and_a_commit_may_race(void **state)
{
	for (int64_t seen = -1; seen <= 0; seen++) {
		struct group_known before;
		struct bench b;
		int64_t value;

		bench_init(&b);
		value = check_group_value(&b.c, 0);
		before = known(&b);
		sends(&b);
		check_group_delete_sent(&b.c, 1);
		b.w->now_ns += 10;
		check_group_acked(&b.c, b.w->era, b.w->now_ns - 10, anna, 0, value, &before);
		check_group_delete_done(&b.c, b.w->era, 1, true, true);
		fetches(&b, seen);
		assert_false(bench_end(&b));
	}
}

static void test_a_lossy_cut_begins_anew(void **state)
{
	struct bench b;

	bench_init(&b);
	commits(&b, anna, check_group_value(&b.c, 0));
	b.w->era++;
	fetches(&b, -1);
	assert_false(b.w->has_failed);
	/* So does the knowledge of a deletion. */
	commits(&b, anna, check_group_value(&b.c, 0));
	deletes(&b);
	b.w->era++;
	fetches(&b, 0);
	fetches(&b, 0);
	assert_false(bench_end(&b));
}

static void test_two_owners_are_found(void **state)
{
	struct group_owner owners[] = {{"a", 1, 1}, {"b", 1, 2}, {"c", 1, 2}};
	struct bench b;

	bench_init(&b);
	check_group_owners(&b.c, owners, 2);
	assert_false(b.w->has_failed);
	check_group_owners(&b.c, owners, 3);
	assert_true(bench_end(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets_that_rise_pass),
		cmocka_unit_test(test_an_offset_that_goes_back_is_found),
		cmocka_unit_test(test_a_lost_offset_is_found),
		cmocka_unit_test(test_an_offset_nobody_committed_is_found),
		cmocka_unit_test(test_a_commit_without_answer_may_come_late_once),
		cmocka_unit_test(test_a_commit_of_who_was_replaced_is_found),
		cmocka_unit_test(test_what_was_deleted_may_be_gone),
		cmocka_unit_test(test_a_deleted_offset_that_comes_back_is_found),
		cmocka_unit_test(test_a_deletion_and_a_commit_may_race),
		cmocka_unit_test(test_a_lossy_cut_begins_anew),
		cmocka_unit_test(test_two_owners_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
