/* SPDX-License-Identifier: Apache-2.0 */
/* The checker itself: each anomaly it names is found, and what is allowed is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "check_history.h"
#include "toy_body.h"

struct bench {
	struct world *w;
	struct history h;
	struct hist_part *part;
	uint32_t writer;
};

static void bench_init(struct bench *b, bool is_idempotent)
{
	struct sim_options opt;

	sim_options_plain(&opt);
	b->w = world_new(1, &opt, &toy_body);
	b->w->quiet = true;
	history_init(&b->h, b->w);
	b->part = history_part(&b->h, "t", UUID_ZERO, 0);
	b->writer = history_writer(&b->h, b->part, is_idempotent);
	history_sent(&b->h, b->writer, 10);
}

/* Returns whether the checker has found something. */
static bool bench_end(struct bench *b)
{
	bool found = b->w->has_failed;

	history_deinit(&b->h);
	world_free(b->w);
	return found;
}

static void acked(struct bench *b, uint32_t counter, int64_t offset)
{
	history_acked(&b->h, b->w->era, b->writer, counter, 1, offset);
}

static void saw(struct bench *b, uint32_t era, uint32_t counter, int64_t offset)
{
	uint8_t value[HISTORY_VALUE_MAX];
	size_t len = history_value(&b->h, b->writer, counter, value);

	history_read(&b->h, era, b->part, "r", offset, offset, (struct bytes){value, len}, offset + 1);
}

static void last_reading(struct bench *b, int64_t end)
{
	b->w->now_ns += 10;
	history_finish_part(&b->h, b->part, end, b->w->now_ns);
	history_finish(&b->h);
}

static void saw_last(struct bench *b, uint32_t counter, int64_t offset)
{
	saw(b, b->w->era, counter, offset);
	history_final(&b->h, b->part, offset);
}

static void test_a_quiet_run_passes(void **state)
{
	struct bench b;

	bench_init(&b, true);
	for (uint32_t i = 0; i < 10; i++)
		acked(&b, i, i);
	for (uint32_t i = 0; i < 10; i++)
		saw_last(&b, i, i);
	last_reading(&b, 10);
	assert_false(bench_end(&b));
}

static void test_an_acknowledged_record_that_is_gone(void **state)
{
	struct bench b;

	bench_init(&b, false);
	acked(&b, 0, 0);
	acked(&b, 1, 1);
	saw_last(&b, 0, 0);
	last_reading(&b, 1);
	assert_true(bench_end(&b));
}

static void test_acknowledged_without_a_place_and_gone(void **state)
{
	struct bench b;

	bench_init(&b, true);
	acked(&b, 0, -1);
	last_reading(&b, 0);
	assert_true(bench_end(&b));
}

static void test_two_values_at_one_offset(void **state)
{
	struct bench b;

	bench_init(&b, false);
	acked(&b, 0, 5);
	acked(&b, 1, 5);
	assert_true(bench_end(&b));
}

static void test_one_value_at_two_offsets(void **state)
{
	struct bench b;

	bench_init(&b, true);
	saw(&b, 0, 0, 0);
	saw(&b, 0, 0, 1);
	assert_true(bench_end(&b));
}

static void test_a_changed_value(void **state)
{
	struct bench b;
	uint8_t value[HISTORY_VALUE_MAX];
	size_t len;

	bench_init(&b, false);
	len = history_value(&b.h, b.writer, 0, value);
	value[len - 1] ^= 1;
	history_read(&b.h, 0, b.part, "r", 0, 0, (struct bytes){value, len}, 1);
	assert_true(bench_end(&b));
}

static void test_a_value_nobody_sent(void **state)
{
	struct bench b;

	bench_init(&b, false);
	saw(&b, 0, 10, 0);
	assert_true(bench_end(&b));
}

static void test_above_the_high_watermark(void **state)
{
	struct bench b;
	uint8_t value[HISTORY_VALUE_MAX];
	size_t len;

	bench_init(&b, false);
	len = history_value(&b.h, b.writer, 0, value);
	history_read(&b.h, 0, b.part, "r", 3, 3, (struct bytes){value, len}, 3);
	assert_true(bench_end(&b));
}

static void test_a_reader_that_jumps(void **state)
{
	struct bench b;
	uint8_t value[HISTORY_VALUE_MAX];
	size_t len;

	bench_init(&b, false);
	len = history_value(&b.h, b.writer, 0, value);
	history_read(&b.h, 0, b.part, "r", 3, 2, (struct bytes){value, len}, 9);
	assert_true(bench_end(&b));
}

static void test_gap_and_order_of_an_idempotent_session(void **state)
{
	struct bench b;

	bench_init(&b, true);
	saw_last(&b, 0, 0);
	saw_last(&b, 2, 1);
	last_reading(&b, 2);
	assert_true(bench_end(&b));
	bench_init(&b, true);
	saw_last(&b, 1, 0);
	saw_last(&b, 0, 1);
	last_reading(&b, 2);
	assert_true(bench_end(&b));
	bench_init(&b, false);
	saw_last(&b, 0, 0);
	saw_last(&b, 2, 1);
	last_reading(&b, 2);
	assert_false(bench_end(&b));
}

/* Only the gap at the very beginning, and only where it was said. */
static void test_a_session_that_begins_late(void **state)
{
	struct bench b;

	for (int is_late = 0; is_late < 2; is_late++) {
		bench_init(&b, true);
		if (is_late)
			history_begins_late(&b.h, b.writer);
		saw_last(&b, 2, 0);
		saw_last(&b, 3, 1);
		last_reading(&b, 2);
		assert_int_equal(bench_end(&b), !is_late);
	}
	bench_init(&b, true);
	history_begins_late(&b.h, b.writer);
	saw_last(&b, 2, 0);
	saw_last(&b, 4, 1);
	last_reading(&b, 2);
	assert_true(bench_end(&b));
	bench_init(&b, true);
	history_begins_late(&b.h, b.writer);
	acked(&b, 0, 0);
	saw_last(&b, 2, 1);
	last_reading(&b, 2);
	assert_true(bench_end(&b));
}

static void test_a_lost_suffix_is_allowed_after_a_cut(void **state)
{
	struct bench b;

	bench_init(&b, true);
	for (uint32_t i = 0; i < 6; i++)
		acked(&b, i, i);
	history_lossy_cut(&b.h);
	for (uint32_t i = 0; i < 3; i++)
		saw_last(&b, i, i);
	last_reading(&b, 3);
	assert_false(bench_end(&b));
}

static void test_a_hole_is_not(void **state)
{
	struct bench b;
	uint32_t other;

	bench_init(&b, false);
	for (uint32_t i = 0; i < 6; i++)
		acked(&b, i, i);
	history_lossy_cut(&b.h);
	saw(&b, 1, 5, 5);
	other = history_writer(&b.h, b.part, false);
	history_sent(&b.h, other, 1);
	history_acked(&b.h, 1, other, 0, 1, 2);
	assert_true(bench_end(&b));
}

static void test_nothing_comes_back(void **state)
{
	struct bench b;
	uint32_t other;

	bench_init(&b, false);
	for (uint32_t i = 0; i < 6; i++)
		acked(&b, i, i);
	history_lossy_cut(&b.h);
	other = history_writer(&b.h, b.part, false);
	history_sent(&b.h, other, 1);
	history_acked(&b.h, 1, other, 0, 1, 2);
	saw(&b, 1, 4, 4);
	assert_true(bench_end(&b));
}

static void test_what_was_on_its_way_counts_for_its_time(void **state)
{
	struct bench b;

	bench_init(&b, false);
	acked(&b, 0, 0);
	history_lossy_cut(&b.h);
	/* The answer left before the cut and arrives after it. */
	history_acked(&b.h, 0, b.writer, 1, 1, 1);
	saw_last(&b, 0, 0);
	last_reading(&b, 1);
	assert_false(bench_end(&b));
}

static void test_a_place_that_was_taken_between_two_cuts(void **state)
{
	struct bench b;

	bench_init(&b, false);
	acked(&b, 0, 0);
	acked(&b, 1, 1);
	history_lossy_cut(&b.h);
	/* In this era another record that nobody sees takes offset 1, offset 2 is seen; the next cut keeps both. */
	acked(&b, 3, 2);
	history_lossy_cut(&b.h);
	saw_last(&b, 3, 2);
	saw_last(&b, 2, 1);
	saw_last(&b, 0, 0);
	last_reading(&b, 3);
	assert_false(bench_end(&b));
}

static void test_no_loss_without_a_cut_since(void **state)
{
	struct bench b;

	bench_init(&b, false);
	acked(&b, 0, 0);
	history_lossy_cut(&b.h);
	acked(&b, 1, 1);
	saw_last(&b, 0, 0);
	last_reading(&b, 1);
	assert_true(bench_end(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_quiet_run_passes),
		cmocka_unit_test(test_an_acknowledged_record_that_is_gone),
		cmocka_unit_test(test_acknowledged_without_a_place_and_gone),
		cmocka_unit_test(test_two_values_at_one_offset),
		cmocka_unit_test(test_one_value_at_two_offsets),
		cmocka_unit_test(test_a_changed_value),
		cmocka_unit_test(test_a_value_nobody_sent),
		cmocka_unit_test(test_above_the_high_watermark),
		cmocka_unit_test(test_a_reader_that_jumps),
		cmocka_unit_test(test_gap_and_order_of_an_idempotent_session),
		cmocka_unit_test(test_a_session_that_begins_late),
		cmocka_unit_test(test_a_lost_suffix_is_allowed_after_a_cut),
		cmocka_unit_test(test_a_hole_is_not),
		cmocka_unit_test(test_nothing_comes_back),
		cmocka_unit_test(test_what_was_on_its_way_counts_for_its_time),
		cmocka_unit_test(test_a_place_that_was_taken_between_two_cuts),
		cmocka_unit_test(test_no_loss_without_a_cut_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
