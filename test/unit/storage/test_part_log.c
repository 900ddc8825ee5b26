/* SPDX-License-Identifier: Apache-2.0 */
/* A log over real files: append, read, close, open, roll, the three ways a start can find it, cutting, deleting. */
#include "mem.h"
#include "storage_test.h"

static void test_append_read_reopen(void **state)
{
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = PLAIN_BATCH(3, 1000);
	uint8_t *p;
	size_t len;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	log = log_open(&t, "orders-4", -1);
	assert_int_equal(log->end, 0);
	assert_int_equal(log_get(&t, log, 0, 100, &p, &len), ERR_NONE);
	assert_int_equal(len, 0);
	assert_int_equal(log_get(&t, log, 1, 100, &p, &len), ERR_OFFSET_OUT_OF_RANGE);
	for (int i = 0; i < 200; i++) {
		spec.timestamp_ms = 1000 + i * 10;
		assert_int_equal(log_put(&t, log, &spec, 5), ERR_NONE);
	}
	assert_int_equal(log_put_many(&t, log, &spec, 5, 300), 300);
	assert_int_equal(log->end, 1500);
	assert_int_equal(log->appended.offset, 1500);
	assert_int_equal(log_check_all(&t, log), 500);
	/* An offset within a batch gives the batch. */
	assert_int_equal(log_get(&t, log, 901, 1, &p, &len), ERR_NONE);
	assert_int_equal(load_be64(p), 900);
	assert_int_equal(len, load_be32(p + 8) + 12);
	mem_free(p);
	assert_int_equal(log_time(&t, log, 1000), 0);
	assert_int_equal(log_time(&t, log, 1011), 4);
	assert_int_equal(log_time(&t, log, 2990 + 2), 599);
	assert_int_equal(log_time(&t, log, 2990 + 3), -1);
	assert_int_equal(log_time(&t, log, INT64_MIN), 599);
	log_close(&t, log);
	storage_test_restart(&t, LOG_DIR_CLEAN);
	log = log_open(&t, "orders-4", 1500);
	assert_int_equal(log->end, 1500);
	assert_int_equal(log->durable.offset, 1500);
	assert_int_equal(epoch_cache_latest(&log->epochs), 5);
	assert_int_equal(log->max_timestamp_ms, 2992);
	assert_int_equal(log_check_all(&t, log), 500);
	for (int64_t i = 0; i < 1500; i += 7) {
		assert_int_equal(log_get(&t, log, i, 300, &p, &len), ERR_NONE);
		assert_int_equal(load_be64(p), i - i % 3);
		mem_free(p);
	}
	assert_int_equal(log_time(&t, log, 1011), 4);
	assert_int_equal(log_put(&t, log, &spec, 6), ERR_NONE);
	assert_int_equal(log->end, 1503);
	log_close(&t, log);
	storage_test_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_read_reopen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
