/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of sequences and epochs, the window of five, undoing in reverse, expiry. */
#include "mem.h"
#include "producer_state.h"
#include "rng.h"
#include "storage_test.h"

static struct batch_info batch_of(int64_t id, int16_t epoch, int32_t seq, int32_t n, int64_t offset)
{
	return (struct batch_info){.magic = 2, .producer_id = id, .producer_epoch = epoch,
				   .base_sequence = seq,
				   .last_offset_delta = n - 1, .base_offset = offset,
					.last_offset = offset + n - 1,
				   .records_n = n, .max_timestamp = 1000 + offset, .size = 100};
}

static enum err check(const struct producer_state *s, int64_t id, int16_t epoch, int32_t seq, int32_t n,
		      enum producer_verdict *verdict)
{
	struct batch_info batch = batch_of(id, epoch, seq, n, 0);
	struct producer_batch dup = {0};
	enum err err = producer_state_check(s, &batch, verdict, &dup);

	if (!err && *verdict == PRODUCER_DUPLICATE)
		assert_int_equal(dup.offset_delta, n - 1);
	return err;
}

static void append(struct producer_state *s, int64_t id, int16_t epoch, int32_t seq, int32_t n,
		   int64_t offset)
{
	struct batch_info batch = batch_of(id, epoch, seq, n, offset);

	producer_state_append(s, &batch, NULL);
}

static void test_rules(void **state)
{
	struct producer_state s;
	enum producer_verdict v;

	producer_state_init(&s, 1);
	assert_int_equal(check(&s, -1, -1, -1, 5, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_APPEND);
	/* Not known: may begin anywhere. */
	assert_int_equal(check(&s, 7, 0, 33, 5, &v), ERR_NONE);
	assert_int_equal(check(&s, 7, 0, -1, 5, &v), ERR_INVALID_RECORD);
	assert_int_equal(check(&s, 7, -1, 0, 5, &v), ERR_INVALID_RECORD);
	append(&s, 7, 0, 0, 5, 100);
	assert_int_equal(check(&s, 7, 0, 5, 2, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_APPEND);
	assert_int_equal(check(&s, 7, 0, 0, 5, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_DUPLICATE);
	assert_int_equal(check(&s, 7, 0, 0, 4, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(check(&s, 7, 0, 6, 1, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	/* A new epoch begins at 0. */
	assert_int_equal(check(&s, 7, 1, 5, 1, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(check(&s, 7, 1, 0, 5, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_APPEND);
	append(&s, 7, 1, 0, 5, 105);
	assert_int_equal(check(&s, 7, 0, 5, 1, &v), ERR_INVALID_PRODUCER_EPOCH);
	/* The newest five are remembered. */
	for (int i = 1; i < 6; i++)
		append(&s, 7, 1, 5 * i, 5, 105 + 5 * i);
	for (int i = 1; i < 6; i++) {
		assert_int_equal(check(&s, 7, 1, 5 * i, 5, &v), ERR_NONE);
		assert_int_equal(v, PRODUCER_DUPLICATE);
	}
	assert_int_equal(check(&s, 7, 1, 0, 5, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	producer_state_deinit(&s);
}

static void test_wrap(void **state)
{
	struct producer_state s;
	enum producer_verdict v;

	producer_state_init(&s, 1);
	append(&s, 7, 0, INT32_MAX - 2, 3, 0);
	assert_int_equal(check(&s, 7, 0, 0, 1, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_APPEND);
	assert_int_equal(check(&s, 7, 0, 1, 1, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	producer_state_truncate_all(&s);
	/* Within a batch: the last record has sequence 1. */
	append(&s, 7, 0, INT32_MAX - 1, 4, 0);
	assert_int_equal(check(&s, 7, 0, 2, 1, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_APPEND);
	assert_int_equal(check(&s, 7, 0, INT32_MAX - 1, 4, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_DUPLICATE);
	producer_state_deinit(&s);
}

static bool same(const struct producer_state *a, const struct producer_state *b)
{
	const struct producer_entry *entry;

	if (a->by_id.n != b->by_id.n)
		return false;
	for (uint32_t i = 0; (entry = map_next(&a->by_id, &i)) != NULL;) {
		const struct producer_entry *other = map_get_u64(&b->by_id, (uint64_t)entry->producer_id);

		if (!other || entry->epoch != other->epoch || entry->batches_n != other->batches_n ||
		    entry->last_timestamp_ms != other->last_timestamp_ms ||
		    memcmp(entry->batches, other->batches,
			   sizeof(entry->batches[0]) * (size_t)entry->batches_n) != 0)
			return false;
	}
	return true;
}

/* Appends that are undone in reverse leave what was there, at every step. */
static void test_undo(void **state)
{
	for (uint64_t seed = 1; seed < 200; seed++) {
		struct producer_state s, model;
		struct producer_undo undos[20];
		struct rng rng;
		int n, kept;

		rng_init(&rng, seed);
		producer_state_init(&s, seed);
		producer_state_init(&model, seed + 1);
		n = (int)rng_below(&rng, 20) + 1;
		kept = (int)rng_below(&rng, (uint64_t)n);
		for (int i = 0; i < n; i++) {
			struct batch_info batch = batch_of((int64_t)rng_below(&rng, 4) - 1,
							   (int16_t)rng_below(&rng, 3),
							   (int32_t)rng_below(&rng, 100), 3, 3 * i);

			producer_state_append(&s, &batch, &undos[i]);
			if (i < kept)
				producer_state_append(&model, &batch, NULL);
		}
		for (int i = n; i-- > kept;)
			producer_state_undo(&s, &undos[i]);
		assert_true(same(&s, &model));
		producer_state_deinit(&s);
		producer_state_deinit(&model);
	}
}

static void test_expire(void **state)
{
	struct producer_state s;
	struct batch_info txn = batch_of(3, 0, 0, 1, 20);

	producer_state_init(&s, 1);
	append(&s, 1, 0, 0, 1, 10);
	append(&s, 2, 0, 0, 1, 50);
	txn.attributes = BATCH_TRANSACTIONAL;
	producer_state_append(&s, &txn, NULL);
	producer_state_expire(&s, 1030);
	assert_null(map_get_u64(&s.by_id, 1));
	assert_non_null(map_get_u64(&s.by_id, 2));
	assert_non_null(map_get_u64(&s.by_id, 3));
	producer_state_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_expire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
