/* SPDX-License-Identifier: Apache-2.0 */
/* The checker of transactions: each anomaly it names is found, and what is allowed is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "check_txn.h"
#include "toy_body.h"

struct bench {
	struct world *w;
	struct check_txn c;
	uint32_t txn;
	uint32_t a, b; /* its records, in partitions 0 and 1 */
};

static void bench_init(struct bench *b)
{
	struct sim_options opt;

	sim_options_plain(&opt);
	b->w = world_new(1, &opt, &toy_body);
	b->w->quiet = true;
	check_txn_init(&b->c, b->w);
	b->txn = check_txn_begin(&b->c);
	b->a = check_txn_record(&b->c, b->txn, 0, CHECK_TXN_NONE);
	b->b = check_txn_record(&b->c, b->txn, 1, CHECK_TXN_NONE);
}

/* Returns whether the checker has found something. */
static bool bench_end(struct bench *b)
{
	bool found = b->w->has_failed;

	check_txn_deinit(&b->c);
	world_free(b->w);
	return found;
}

static void ends(struct bench *b, bool commit)
{
	check_txn_end_sent(&b->c, b->txn, commit);
	check_txn_end_acked(&b->c, b->txn, commit);
}

static void reads(struct bench *b, uint32_t record, int64_t offset, bool committed)
{
	uint8_t value[CHECK_TXN_VALUE_LEN];

	check_txn_value(record, value);
	(void)check_txn_read(&b->c, b->c.records.v[record].part, offset, (struct bytes){value, sizeof(value)},
			     committed);
}

static void both_acked(struct bench *b)
{
	check_txn_acked(&b->c, b->a, 0);
	check_txn_acked(&b->c, b->b, 0);
}

static void later(struct bench *b)
{
	b->w->now_ns += 10;
}

static void test_right(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	both_acked(&b);
	reads(&b, b.a, 0, false);
	ends(&b, true);
	reads(&b, b.a, 0, true);
	reads(&b, b.b, 0, true);
	reads(&b, b.b, 0, false);
	check_txn_passed(&b.c, 0, 1, 2);
	check_txn_finish(&b.c, 0);
	assert_false(bench_end(&b));
}

static void test_aborted_read(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	ends(&b, false);
	reads(&b, b.a, 0, false);
	assert_false(b.w->has_failed);
	reads(&b, b.a, 0, true);
	assert_true(bench_end(&b));
}

static void test_undecided_read(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	reads(&b, b.a, 0, true);
	assert_true(bench_end(&b));
}

static void test_outcome_changes(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	ends(&b, true);
	ends(&b, false);
	assert_true(bench_end(&b));
	bench_init(&b);
	ends(&b, false);
	ends(&b, true);
	assert_true(bench_end(&b));
	/* Read, so committed, whatever a late answer says. */
	bench_init(&b);
	check_txn_end_sent(&b.c, b.txn, true);
	reads(&b, b.a, 0, true);
	assert_false(b.w->has_failed);
	check_txn_end_acked(&b.c, b.txn, false);
	assert_true(bench_end(&b));
}

static void test_lost_answer(void **state UNUSED)
{
	struct bench b;

	/* One commit was not answered, another one refused: either way. */
	bench_init(&b);
	both_acked(&b);
	check_txn_end_sent(&b.c, b.txn, true);
	check_txn_end_sent(&b.c, b.txn, true);
	check_txn_end_refused(&b.c, b.txn, true);
	reads(&b, b.a, 0, true);
	reads(&b, b.b, 0, true);
	check_txn_finish(&b.c, 0);
	assert_false(bench_end(&b));
	/* Both refused: it is aborted. */
	bench_init(&b);
	check_txn_end_sent(&b.c, b.txn, true);
	check_txn_end_sent(&b.c, b.txn, true);
	check_txn_end_refused(&b.c, b.txn, true);
	check_txn_end_refused(&b.c, b.txn, true);
	reads(&b, b.a, 0, true);
	assert_true(bench_end(&b));
}

static void test_torn(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	both_acked(&b);
	check_txn_end_sent(&b.c, b.txn, true);
	reads(&b, b.a, 0, true);
	reads(&b, b.b, 0, false);
	assert_false(b.w->has_failed);
	check_txn_finish(&b.c, 0);
	assert_true(bench_end(&b));
}

static void test_lost(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	both_acked(&b);
	ends(&b, true);
	reads(&b, b.a, 0, true);
	check_txn_finish(&b.c, 0);
	assert_true(bench_end(&b));
}

static void test_places(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	check_txn_acked(&b.c, b.a, 3);
	check_txn_acked(&b.c, b.a, 3);
	assert_false(b.w->has_failed);
	reads(&b, b.a, 4, false);
	assert_true(bench_end(&b));
	bench_init(&b);
	check_txn_acked(&b.c, b.a, 3);
	reads(&b, check_txn_record(&b.c, b.txn, 0, CHECK_TXN_NONE), 3, false);
	assert_true(bench_end(&b));
	/* Sent to another partition. */
	bench_init(&b);
	b.c.records.v[b.a].part = 1;
	reads(&b, b.a, 0, false);
	assert_false(b.w->has_failed);
	b.c.records.v[b.a].part = 0;
	reads(&b, b.b, 0, false);
	assert_true(bench_end(&b));
}

static void test_passed(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	ends(&b, true);
	reads(&b, b.a, 2, true);
	check_txn_passed(&b.c, 0, 0, 2);
	check_txn_passed(&b.c, 0, 3, 9);
	assert_false(b.w->has_failed);
	check_txn_passed(&b.c, 0, 1, 3);
	assert_true(bench_end(&b));
	bench_init(&b);
	ends(&b, true);
	check_txn_passed(&b.c, 0, 0, 3);
	reads(&b, b.a, 2, true);
	assert_true(bench_end(&b));
}

static void test_fenced(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	check_txn_fence(&b.c, b.txn);
	check_txn_end_sent(&b.c, b.txn, true);
	assert_false(b.w->has_failed);
	check_txn_end_acked(&b.c, b.txn, true);
	assert_true(bench_end(&b));
	/* Asked before it was fenced: either way. */
	bench_init(&b);
	check_txn_end_sent(&b.c, b.txn, true);
	check_txn_fence(&b.c, b.txn);
	reads(&b, b.a, 0, true);
	assert_false(bench_end(&b));
}

static void test_marks(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	later(&b);
	check_txn_marks(&b.c, 0, 5, 7, b.w->now_ns);
	check_txn_marks(&b.c, 0, 4, 6, b.w->now_ns - 5); /* an older answer comes late */
	later(&b);
	check_txn_marks(&b.c, 0, 5, 8, b.w->now_ns);
	assert_false(b.w->has_failed);
	later(&b);
	check_txn_marks(&b.c, 0, 4, 8, b.w->now_ns);
	assert_true(bench_end(&b));
	bench_init(&b);
	check_txn_marks(&b.c, 0, 9, 8, 0);
	assert_true(bench_end(&b));
}

static void test_offsets(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	check_txn_offset(&b.c, b.txn, 0, 10);
	check_txn_offset_told(&b.c, 0, -1, 0);
	ends(&b, true);
	later(&b);
	check_txn_offset_told(&b.c, 0, 10, b.w->now_ns);
	assert_false(b.w->has_failed);
	later(&b);
	check_txn_offset_told(&b.c, 0, -1, b.w->now_ns);
	assert_true(bench_end(&b));
	bench_init(&b);
	check_txn_offset(&b.c, b.txn, 0, 10);
	ends(&b, false);
	check_txn_offset_told(&b.c, 0, 10, b.w->now_ns);
	assert_true(bench_end(&b));
}

static void test_handled(void **state UNUSED)
{
	struct bench b;
	uint32_t out1, out2;

	bench_init(&b);
	out1 = check_txn_record(&b.c, b.txn, 1, b.a);
	out2 = check_txn_record(&b.c, b.txn, 1, b.a);
	ends(&b, true);
	reads(&b, b.a, 0, true);
	assert_int_equal(check_txn_unhandled(&b.c, 1), 1);
	reads(&b, out1, 1, true);
	assert_int_equal(check_txn_unhandled(&b.c, 1), 0);
	reads(&b, out1, 1, true);
	reads(&b, out2, 2, false);
	assert_false(b.w->has_failed);
	reads(&b, out2, 2, true);
	assert_true(bench_end(&b));
	bench_init(&b);
	ends(&b, true);
	reads(&b, b.a, 0, true);
	check_txn_finish(&b.c, 1);
	assert_true(bench_end(&b));
}

static void test_epochs(void **state UNUSED)
{
	struct bench b;

	bench_init(&b);
	check_txn_producer(&b.c, 0, 7, 0);
	check_txn_producer(&b.c, 0, 7, 2);
	check_txn_producer(&b.c, 0, 8, 0);
	check_txn_producer(&b.c, 1, 9, 32766);
	assert_false(b.w->has_failed);
	check_txn_producer(&b.c, 0, 7, 2);
	assert_true(bench_end(&b));
	bench_init(&b);
	check_txn_producer(&b.c, 0, 7, 0);
	check_txn_producer(&b.c, 1, 7, 1);
	assert_true(bench_end(&b));
	bench_init(&b);
	check_txn_producer(&b.c, 0, 7, -32768);
	assert_true(bench_end(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),	  cmocka_unit_test(test_aborted_read),
		cmocka_unit_test(test_undecided_read), cmocka_unit_test(test_outcome_changes),
		cmocka_unit_test(test_lost_answer), cmocka_unit_test(test_torn),
		cmocka_unit_test(test_lost),	  cmocka_unit_test(test_places),
		cmocka_unit_test(test_passed),	  cmocka_unit_test(test_fenced),
		cmocka_unit_test(test_marks),	  cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_handled),	  cmocka_unit_test(test_epochs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
