/* SPDX-License-Identifier: Apache-2.0 */
/* Logs that nobody writes to: starts and stops leave their files alone. */
#include <sys/stat.h>

#include "mem.h"
#include "storage_test.h"

/* When the files of a segment were last changed, in nanoseconds, all together. */
static int64_t files_changed_ns(struct storage_test *t, const char *log, const char *base)
{
	static const char *const suffixes[] = {".log", ".index", ".timeindex"};
	int64_t sum = 0;

	for (size_t i = 0; i < ARRAY_N(suffixes); i++) {
		char path[200];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s/%s%s", t->path, log, base, suffixes[i]);
		assert_int_equal(stat(path, &st), 0);
		sum += st.st_ctim.tv_sec * NS_PER_S + st.st_ctim.tv_nsec;
	}
	return sum;
}

/* A log that nobody appends to is opened and closed without a write. */
static void test_idle_log_stays_as_it_is(void **state)
{
	static const int batches_n[] = {1, 40};
	struct storage_test t;

	for (size_t i = 0; i < ARRAY_N(batches_n); i++) {
		struct part_log *log;
		struct test_batch spec = PLAIN_BATCH(3, 1000);
		int64_t before;

		storage_test_init(&t, STORAGE_PAGE_CACHE);
		log = log_open(&t, "idle-0", -1);
		for (int k = 0; k < batches_n[i]; k++) {
			spec.timestamp_ms = 1000 + k * 10;
			assert_int_equal(log_put(&t, log, &spec, 5), ERR_NONE);
		}
		log_close(&t, log);
		before = files_changed_ns(&t, "idle-0", "00000000000000000000");
		for (int k = 0; k < 2; k++) {
			storage_test_restart(&t, LOG_DIR_CLEAN);
			log = log_open(&t, "idle-0", 3 * batches_n[i]);
			assert_int_equal(log_time(&t, log, spec.timestamp_ms), 3 * batches_n[i] - 3);
			log_close(&t, log);
			assert_int_equal(files_changed_ns(&t, "idle-0", "00000000000000000000"), before);
		}
		/* The entry that closed the time index is followed by others. */
		storage_test_restart(&t, LOG_DIR_CLEAN);
		log = log_open(&t, "idle-0", 3 * batches_n[i]);
		for (int k = 0; k < 100; k++) {
			spec.timestamp_ms += 10;
			assert_int_equal(log_put(&t, log, &spec, 5), ERR_NONE);
		}
		log_close(&t, log);
		storage_test_restart(&t, LOG_DIR_CLEAN);
		log = log_open(&t, "idle-0", 3 * batches_n[i] + 300);
		for (int k = 0; k < batches_n[i] + 100; k++)
			assert_int_equal(log_time(&t, log, 1000 + k * 10), k * 3);
		log_close(&t, log);
		storage_test_deinit(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_log_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
