/* SPDX-License-Identifier: Apache-2.0 */
/* Guards of transactions that are about to begin: which answers of the coordinator still let a batch in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "txn_guard.h"

static struct rng rng;

static uint64_t take(struct txn_guards *guards, int64_t producer_id, int16_t epoch, int32_t sequence, bool is_version_2)
{
	return txn_guard_take(guards, &(struct txn_guard_ask){.producer_id = producer_id, .epoch = epoch,
							      .sequence = sequence, .is_version_2 = is_version_2,
							      .expire_ns = 1000, .rng = &rng});
}

static void test_an_answer_counts_once(void **state)
{
	struct txn_guards guards = {0};
	uint64_t first = take(&guards, 7, 0, 0, true), second;

	assert_int_equal(take(&guards, 7, 0, 1, true), first);
	assert_int_not_equal(take(&guards, 8, 0, 0, true), first);
	assert_int_equal(txn_guard_check(&guards, 7, first, 0, false), ERR_NONE);
	assert_int_equal(txn_guard_check(&guards, 7, 0, 0, false), ERR_INVALID_TXN_STATE);
	/* A marker, and the next transaction: what was asked before it means nothing any more. */
	txn_guard_drop(&guards, 7);
	assert_int_equal(txn_guard_check(&guards, 7, first, 0, false), ERR_INVALID_TXN_STATE);
	second = take(&guards, 7, 0, 0, true);
	assert_int_not_equal(second, first);
	assert_int_equal(txn_guard_check(&guards, 7, first, 0, false), ERR_INVALID_TXN_STATE);
	assert_int_equal(txn_guard_check(&guards, 7, second, 0, false), ERR_NONE);
	txn_guard_drop(&guards, 7);
	txn_guard_drop(&guards, 8);
	txn_guard_drop(&guards, 8);
	assert_false(guards.is_made);
	txn_guards_deinit(&guards);
}

static void test_which_ends_take_it_away(void **state)
{
	struct txn_guards guards = {0};
	/* In version 2 the marker that ends what was begun in epoch 4 has epoch 5. */
	uint64_t guard = take(&guards, 1, 5, 0, true);

	txn_guard_end(&guards, 1, 5, 2);
	txn_guard_end(&guards, 1, 4, 2);
	txn_guard_end(&guards, 2, 9, 2);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 0, false), ERR_NONE);
	txn_guard_end(&guards, 1, 6, 2);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 0, false), ERR_INVALID_TXN_STATE);
	/* Ended in an older version: its epoch tells nothing. */
	guard = take(&guards, 1, 5, 0, true);
	txn_guard_end(&guards, 1, 5, 1);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 0, false), ERR_INVALID_TXN_STATE);
	guard = take(&guards, 1, 5, 0, false);
	txn_guard_end(&guards, 1, 5, 2);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 0, false), ERR_INVALID_TXN_STATE);
	assert_false(guards.is_made);
}

static void test_sequences(void **state)
{
	struct txn_guards guards = {0};
	uint64_t guard = take(&guards, 1, 0, 5, false);

	assert_int_equal(txn_guard_check(&guards, 1, guard, 5, false), ERR_NONE);
	assert_int_equal(take(&guards, 1, 0, 3, false), guard);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 5, false), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 3, false), ERR_NONE);
	/* A new epoch begins anew; in version 2 at 0, unless its batches are known. */
	assert_int_equal(take(&guards, 1, 1, 4, true), guard);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 4, false), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 4, true), ERR_NONE);
	/* An older one changes nothing. */
	assert_int_equal(take(&guards, 1, 0, 0, false), guard);
	assert_int_equal(txn_guard_check(&guards, 1, guard, 4, false), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	txn_guards_deinit(&guards);
}

static void test_those_of_nobody_are_bounded(void **state)
{
	struct txn_guards guards = {0};

	for (int64_t i = 0; i < 200000; i++)
		take(&guards, i, 0, 0, true);
	assert_true(guards.by_producer.n <= 65536);
	txn_guards_deinit(&guards);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_counts_once),
		cmocka_unit_test(test_which_ends_take_it_away),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_those_of_nobody_are_bounded),
	};

	rng_init(&rng, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
