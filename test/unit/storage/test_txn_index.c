/* SPDX-License-Identifier: Apache-2.0 */
/* An index of aborted transactions with an entry that nobody can have written: all of it is found again in the log, and
 * the next start finds nothing wrong. */
#include "mem.h"
#include "storage_test.h"
#include "txn_index.h"

#define NAME "txn-0"
#define INDEX_FILE "00000000000000000000.txnindex"

static void test_damaged(void **state)
{
	static const struct aborted_txn entries[] = {
		{7, 5, -5, 0}, {7, -5, -5, 0}, {7, 5, 3, 0}, {-2, 0, 2, 0}, {7, INT64_MAX, INT64_MIN, 0},
	};
	struct test_batch spec = PLAIN_BATCH(3, 1000);

	for (size_t i = 0; i < ARRAY_N(entries); i++) {
		uint8_t p[TXN_ENTRY_LEN];
		struct storage_test t;
		struct part_log *log;

		storage_test_init(&t, STORAGE_PAGE_CACHE);
		log = log_open(&t, NAME, -1);
		for (int b = 0; b < 4; b++)
			assert_int_equal(log_put(&t, log, &spec, 0), ERR_NONE);
		log_close(&t, log);
		txn_entry_encode(&entries[i], p);
		file_put(&t, NAME, INDEX_FILE, p, sizeof(p));
		for (int start = 0; start < 2; start++) {
			storage_test_restart(&t, LOG_DIR_CLEAN);
			log = log_open(&t, NAME, 12);
			assert_int_equal(log->aborted.list.n, 0);
			assert_int_equal(file_len(&t, NAME, INDEX_FILE), -1);
			log_close(&t, log);
		}
		storage_test_deinit(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
