/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of sequences and epochs, the window of five, undoing in reverse, expiry. */
#include <malloc.h>

#include "mem.h"
#include "control.h"
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

static struct batch_info marker_of(uint8_t *bytes, int64_t id, int16_t epoch, int32_t coordinator_epoch, bool commit,
				   int64_t offset)
{
	struct control_marker marker = {.offset = offset, .timestamp = 1000 + offset, .producer_id = id,
					.producer_epoch = epoch, .coordinator_epoch = coordinator_epoch,
					.commit = commit};
	struct batch_info batch;

	control_marker_build(bytes, &marker);
	assert_int_equal(batch_parse((struct bytes){bytes, CONTROL_MARKER_LEN}, &batch), ERR_NONE);
	return batch;
}

static void append_txn(struct producer_state *s, int64_t id, int16_t epoch, int32_t seq, int64_t offset)
{
	struct batch_info batch = batch_of(id, epoch, seq, 1, offset);

	batch.attributes = BATCH_TRANSACTIONAL;
	producer_state_append(s, &batch, NULL);
}

/* What is undecided begins with the oldest open transaction, and stays so until its marker counts as stored. */
static void test_transactions(void **state)
{
	struct producer_state s;
	struct aborted_txn aborted;
	uint8_t bytes[CONTROL_MARKER_LEN];
	struct batch_info marker;

	producer_state_init(&s, 1);
	assert_true(producer_state_first_unstable(&s) == INT64_MAX);
	assert_true(producer_state_oldest_txn_ms(&s) == -1);
	append_txn(&s, 7, 0, 0, 10);
	append_txn(&s, 8, 3, 0, 11);
	append_txn(&s, 7, 0, 1, 12);
	assert_true(producer_state_first_unstable(&s) == 10);
	assert_true(producer_state_has_txn(&s, 7, 0));
	assert_false(producer_state_has_txn(&s, 7, 1));
	assert_false(producer_state_has_txn(&s, 9, 0));
	/* An abort of 7: readers learn where it began, and that 11 stays undecided. */
	marker = marker_of(bytes, 7, 0, 5, false, 13);
	assert_true(producer_state_aborts(&s, &marker, &aborted));
	assert_int_equal(aborted.producer_id, 7);
	assert_int_equal(aborted.first_offset, 10);
	assert_int_equal(aborted.last_offset, 13);
	assert_int_equal(aborted.last_stable_offset, 11);
	producer_state_append(&s, &marker, NULL);
	assert_false(producer_state_has_txn(&s, 7, 0));
	assert_false(producer_state_aborts(&s, &marker, &aborted));
	assert_true(producer_state_first_unstable(&s) == 10);
	producer_state_settle(&s, 13);
	assert_true(producer_state_first_unstable(&s) == 10);
	producer_state_settle(&s, 14);
	assert_true(producer_state_first_unstable(&s) == 11);
	/* A commit is in no index. */
	marker = marker_of(bytes, 8, 3, 5, true, 14);
	assert_false(producer_state_aborts(&s, &marker, &aborted));
	producer_state_append(&s, &marker, NULL);
	assert_true(producer_state_first_unstable(&s) == 11);
	producer_state_settle(&s, 15);
	assert_true(producer_state_first_unstable(&s) == INT64_MAX);
	producer_state_deinit(&s);
}

/* Who may end a transaction, by version of the protocol: the original's rules. */
static void test_marker_checks(void **state)
{
	struct producer_state s;
	uint8_t bytes[CONTROL_MARKER_LEN];
	struct batch_info marker;

	producer_state_init(&s, 1);
	assert_int_equal(producer_state_check_marker(&s, -1, 0, 0, 0), ERR_UNKNOWN_SERVER_ERROR);
	assert_int_equal(producer_state_check_marker(&s, 1, 0, 0, 2), ERR_NONE);
	append_txn(&s, 1, 4, 0, 0);
	for (int16_t version = 0; version <= 2; version++) {
		assert_int_equal(producer_state_check_marker(&s, 1, 3, 0, version), ERR_INVALID_PRODUCER_EPOCH);
		assert_int_equal(producer_state_check_marker(&s, 1, 4, 0, version),
				 version == 2 ? ERR_INVALID_PRODUCER_EPOCH : ERR_NONE);
		assert_int_equal(producer_state_check_marker(&s, 1, 5, 0, version), ERR_NONE);
	}
	marker = marker_of(bytes, 1, 5, 9, true, 1);
	producer_state_append(&s, &marker, NULL);
	for (int16_t version = 0; version <= 2; version++) {
		assert_int_equal(producer_state_check_marker(&s, 1, 5, 9, version), ERR_NONE);
		assert_int_equal(producer_state_check_marker(&s, 1, 5, 10, version), ERR_NONE);
		assert_int_equal(producer_state_check_marker(&s, 1, 5, 8, version),
				 ERR_TRANSACTION_COORDINATOR_FENCED);
		assert_int_equal(producer_state_check_marker(&s, 1, 4, 10, version), ERR_INVALID_PRODUCER_EPOCH);
	}
	producer_state_deinit(&s);
}

/* Many open ones, ended in any order, against a plain search. */
static void test_many_open(void **state)
{
	enum { N = 300 };
	bool is_open[N] = {false};
	struct producer_state s;
	struct rng rng;
	int64_t first[N] = {0}, offset = 0;
	uint8_t bytes[CONTROL_MARKER_LEN];

	rng_init(&rng, 5);
	producer_state_init(&s, 1);
	for (int i = 0; i < 20000; i++, offset++) {
		int at = (int)rng_below(&rng, N);
		int64_t least = INT64_MAX;

		if (is_open[at]) {
			struct batch_info marker = marker_of(bytes, at, 0, 0, rng_below(&rng, 2) != 0, offset);

			producer_state_append(&s, &marker, NULL);
			producer_state_settle(&s, offset + 1);
		} else {
			append_txn(&s, at, 0, i, offset);
			first[at] = offset;
		}
		is_open[at] = !is_open[at];
		for (int k = 0; k < N; k++) {
			if (is_open[k])
				least = MIN(least, first[k]);
		}
		assert_true(producer_state_first_unstable(&s) == least);
		assert_true(s.open.n <= 2 * N + 2);
	}
	producer_state_deinit(&s);
}

static bool same(const struct producer_state *a, const struct producer_state *b)
{
	const struct producer_entry *entry;

	if (a->by_id.n != b->by_id.n || a->ending.n != b->ending.n ||
	    producer_state_first_unstable(a) != producer_state_first_unstable(b))
		return false;
	for (uint32_t i = 0; (entry = producer_table_next(&a->by_id, &i)) != NULL;) {
		const struct producer_entry *other = producer_table_get(&b->by_id, entry->producer_id);

		if (!other || entry->epoch != other->epoch || entry->txn_first_offset != other->txn_first_offset ||
		    entry->coordinator_epoch != other->coordinator_epoch || entry->batches_n != other->batches_n ||
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
			uint8_t marker[CONTROL_MARKER_LEN];
			struct batch_info batch = batch_of((int64_t)rng_below(&rng, 4) - 1,
							   (int16_t)rng_below(&rng, 3),
							   (int32_t)rng_below(&rng, 100), 3, 3 * i);

			if (batch.producer_id >= 0 && rng_below(&rng, 3) == 0)
				batch = marker_of(marker, batch.producer_id, batch.producer_epoch, i / 4,
						  rng_below(&rng, 2) != 0, 3 * i);
			else if (rng_below(&rng, 2))
				batch.attributes = BATCH_TRANSACTIONAL;
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

/* A log closed and opened again: older batches come back where the newest is the same, and only there. */
static void test_recall(void **state)
{
	struct producer_state before, after;
	enum producer_verdict v;
	struct bytes file;

	producer_state_init(&before, 1);
	for (int i = 0; i < 7; i++)
		append(&before, 7, 0, 5 * i, 5, 5 * i);
	for (int64_t id = 8; id <= 10; id++) {
		append(&before, id, 0, 0, 5, 40);
		append(&before, id, 0, 5, 5, 45);
	}
	file = producer_state_encode(&before);
	producer_state_init(&after, 2);
	assert_int_equal(producer_state_decode(&after, file), ERR_NONE);
	mem_free((void *)(uintptr_t)file.p);
	assert_int_equal(check(&after, 7, 0, 25, 5, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	append(&before, 8, 0, 10, 5, 50);
	append(&after, 9, 1, 0, 5, 50);
	append(&before, 11, 0, 0, 5, 55);
	producer_state_recall(&after, &before);
	for (int i = 2; i < 7; i++) {
		assert_int_equal(check(&after, 7, 0, 5 * i, 5, &v), ERR_NONE);
		assert_int_equal(v, PRODUCER_DUPLICATE);
	}
	assert_int_equal(check(&after, 7, 0, 5, 5, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(check(&after, 7, 0, 35, 5, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_APPEND);
	assert_int_equal(check(&after, 8, 0, 0, 5, &v), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	assert_int_equal(check(&after, 9, 1, 5, 5, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_APPEND);
	assert_int_equal(check(&after, 9, 0, 0, 5, &v), ERR_INVALID_PRODUCER_EPOCH);
	assert_int_equal(check(&after, 10, 0, 0, 5, &v), ERR_NONE);
	assert_int_equal(v, PRODUCER_DUPLICATE);
	assert_null(producer_table_get(&after.by_id, 11));
	producer_state_deinit(&before);
	producer_state_deinit(&after);
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
	assert_null(producer_table_get(&s.by_id, 1));
	assert_non_null(producer_table_get(&s.by_id, 2));
	assert_non_null(producer_table_get(&s.by_id, 3));
	producer_state_deinit(&s);
}

#define TABLE_IDS 64

/* Against a list, over many comings and goings, some of them while the table is walked. */
static void test_table(void **state)
{
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct producer_table table = {.seed = seed};
		struct producer_entry *there[TABLE_IDS] = {NULL};
		uint32_t n = 0;
		struct rng rng;

		rng_init(&rng, seed);
		for (int step = 0; step < 3000; step++) {
			int64_t id = (int64_t)rng_below(&rng, TABLE_IDS);
			struct producer_entry *entry = there[id];

			if (step % 500 == 499) {
				for (uint32_t it = 0; (entry = producer_table_next(&table, &it)) != NULL;) {
					assert_ptr_equal(there[entry->producer_id], entry);
					if (rng_below(&rng, 2))
						continue;
					producer_table_remove(&table, entry);
					there[entry->producer_id] = NULL;
					mem_free(entry);
					n--;
				}
			} else if (entry && rng_below(&rng, 3)) {
				producer_table_remove(&table, entry);
				there[id] = NULL;
				mem_free(entry);
				n--;
			} else {
				n += !entry;
				there[id] = MEM_NEW(struct producer_entry);
				there[id]->producer_id = id;
				producer_table_put(&table, id, there[id]);
				mem_free(entry);
			}
			assert_int_equal(table.n, n);
			assert_true(table.used <= table.slots_n - table.slots_n / 4);
			for (int64_t i = -1; i <= TABLE_IDS; i++)
				assert_ptr_equal(producer_table_get(&table, i),
						 i < 0 || i == TABLE_IDS ? NULL : there[i]);
		}
		for (int i = 0; i < TABLE_IDS; i++)
			mem_free(there[i]);
		producer_table_deinit(&table);
	}
}

/* Bytes in use, as the C library counts them: what it adds to each block is in it. */
static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* The most that a producer id takes, at any number of them from 1,000 on: also just after the table has grown. */
static double bytes_each(int batches_n)
{
	struct producer_state s;
	size_t before = allocated();
	double most = 0;

	producer_state_init(&s, 1);
	for (int i = 0; i < 100000; i++) {
		for (int k = 0; k < batches_n; k++)
			append(&s, i, 0, k, 1, i * 10 + k);
		if (i >= 1000)
			most = MAX(most, (double)(allocated() - before) / (i + 1));
	}
	producer_state_deinit(&s);
	return most;
}

static void test_memory(void **state)
{
	double one, five;

	/* Some sanitizers have an allocator that does not count; the simulator's has headers of its own. */
	void *p = mem_alloc(100);
	bool counts = allocated() > 0;

	mem_free(p);
#ifdef MOLDAU_SIM
	counts = false;
#endif
	if (!counts)
		skip();
	one = bytes_each(1);
	five = bytes_each(5);
	print_message("bytes of an idle producer id: %.0f with one batch, %.0f with five\n", one, five);
	assert_true(one <= 128);
	assert_true(five <= 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_transactions),
		cmocka_unit_test(test_marker_checks),
		cmocka_unit_test(test_many_open),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_recall),
		cmocka_unit_test(test_expire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
