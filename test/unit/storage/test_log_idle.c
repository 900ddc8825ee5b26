/* SPDX-License-Identifier: Apache-2.0 */
/* Logs that nobody writes to, or little: starts and stops leave their files alone, and so do checkpoints that others
 * need. */
#include <inttypes.h>
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

/* With more bytes each than counts as much. */
static void put_much(struct storage_test *t, struct part_log *log)
{
	struct test_batch spec = PLAIN_BATCH(10, 1000);
	int64_t before = log->size_bytes;

	while (log->size_bytes - before <= t->options.checkpoint_log_bytes)
		assert_int_equal(log_put(t, log, &spec, 1), ERR_NONE);
}

/* Passes time until the storage has looked at its clock, and what came of it is done. */
static void wait_for_tick(struct storage_test *t)
{
	int64_t end_ns = t->reactor->now_ns + 1500 * NS_PER_MS;

	while (t->reactor->now_ns < end_ns)
		turn(t);
}

static bool has_snapshot(struct storage_test *t, const char *name, const struct part_log *log)
{
	char file[64];

	snprintf(file, sizeof(file), "%020" PRId64 ".snapshot", log->end);
	return file_len(t, name, file) >= 0;
}

/* A checkpoint for the sake of what is unsynced takes the logs that have much of it; when asked for it takes all. */
static void test_checkpoint_of_who_has_much(void **state)
{
	struct test_batch spec = PLAIN_BATCH(10, 1000);
	struct storage_test t;
	struct part_log *much, *little;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	storage_test_stop(&t);
	t.options.checkpoint_log_bytes = KIB(32);
	t.options.checkpoint_bytes = KIB(48);
	storage_test_start(&t, LOG_DIR_CLEAN);
	much = log_open(&t, "much-0", -1);
	little = log_open(&t, "little-0", -1);
	assert_int_equal(log_put(&t, little, &spec, 1), ERR_NONE);
	put_much(&t, much);
	wait_for_tick(&t);
	/* Of those that count there is not enough. */
	assert_int_equal(much->recovery_point, 0);
	put_much(&t, much);
	wait_for_tick(&t);
	assert_int_equal(much->recovery_point, much->end);
	assert_int_equal(much->durable.offset, much->end);
	assert_true(has_snapshot(&t, "much-0", much));
	assert_int_equal(little->recovery_point, 0);
	assert_false(has_snapshot(&t, "little-0", little));
	/* What was taken does not count again; what was not still does. */
	put_much(&t, little);
	wait_for_tick(&t);
	assert_int_equal(little->recovery_point, 0);
	put_much(&t, much);
	wait_for_tick(&t);
	assert_int_equal(little->recovery_point, little->end);
	assert_int_equal(much->recovery_point, much->end);
	assert_int_equal(log_put(&t, little, &spec, 1), ERR_NONE);
	checkpoint(&t);
	assert_int_equal(little->recovery_point, little->end);
	log_close(&t, much);
	log_close(&t, little);
	storage_test_deinit(&t);
}

/* Its replay is longer than a checkpoint's: the producers are found in the headers behind the last snapshot. */
static void test_killed_without_snapshot(void **state)
{
	struct test_batch spec = {5, 0, 0, 10, 1000, 100};
	struct storage_test t;
	struct part_log *log, *much;
	enum producer_verdict verdict;
	struct producer_batch dup;
	struct batch_info info = {.producer_id = 5, .producer_epoch = 0, .base_sequence = 10, .last_offset_delta = 9};
	int64_t end;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	storage_test_stop(&t);
	t.options.checkpoint_log_bytes = KIB(32);
	t.options.checkpoint_bytes = KIB(16);
	storage_test_start(&t, LOG_DIR_CLEAN);
	log = log_open(&t, "p-0", -1);
	much = log_open(&t, "much-0", -1);
	for (int i = 0; i < 2; i++, spec.seq += 10)
		assert_int_equal(log_put(&t, log, &spec, 1), ERR_NONE);
	put_much(&t, much);
	wait_for_tick(&t);
	assert_int_equal(much->recovery_point, much->end);
	assert_int_equal(log->recovery_point, 0);
	end = log->end;
	log_kill(&t, log);
	log_kill(&t, much);
	storage_test_restart(&t, LOG_DIR_POWER_CUT);
	log = log_open(&t, "p-0", 0);
	assert_int_equal(log->end, end);
	assert_int_equal(producer_state_check(&log->producers, &info, &verdict, &dup), ERR_NONE);
	assert_int_equal(verdict, PRODUCER_DUPLICATE);
	assert_int_equal(dup.last_seq, 19);
	log_close(&t, log);
	storage_test_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_log_stays_as_it_is),
		cmocka_unit_test(test_checkpoint_of_who_has_much),
		cmocka_unit_test(test_killed_without_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
