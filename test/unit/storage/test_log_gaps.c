/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of Kafka's that was not closed may hold gaps of offsets behind its recovery point: a follower copies
 * what the compaction of its leader left. They are kept by the first start, and so by every later one, however that
 * finds the log; what has come behind them is not lost. Where we alone have written a gap is damage.
 */
#include <sys/stat.h>

#include "mem.h"
#include "storage_test.h"

#define NAME "gap-0"

/* A batch of three records at `offset`. */
static void put_at(struct storage_test *t, const char *file, int64_t offset)
{
	struct test_batch spec = PLAIN_BATCH(3, 1000);
	size_t len;
	uint8_t *batch = batch_make(&spec, &len);

	store_be64(batch, (uint64_t)offset);
	file_put(t, NAME, file, batch, len);
	mem_free(batch);
}

static void make(struct storage_test *t)
{
	char path[300];

	storage_test_init(t, STORAGE_PAGE_CACHE);
	storage_test_stop(t);
	snprintf(path, sizeof(path), "%s/" NAME, t->path);
	assert_int_equal(mkdir(path, 0755), 0);
}

/* The batches, by their base offsets. */
static void check_batches(struct storage_test *t, struct part_log *log, const int64_t *bases, size_t n)
{
	int64_t offset = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t *p;
		size_t len;

		assert_int_equal(log_get(t, log, offset, 1, &p, &len), ERR_NONE);
		assert_true(len > 12);
		assert_int_equal(load_be64(p), bases[i]);
		mem_free(p);
		offset = bases[i] + 3;
	}
	assert_int_equal(offset, log->end);
}

/* The first start, by the recovery point that Kafka left; then records of our own, and the end `stop`. */
static void check_kept(struct storage_test *t, int64_t recovery_point, enum log_dir_stop stop, const int64_t *bases,
		       size_t n)
{
	struct test_batch spec = PLAIN_BATCH(3, 2000);
	struct part_log *log;

	storage_test_start(t, LOG_DIR_UNKNOWN);
	log = log_open(t, NAME, recovery_point);
	check_batches(t, log, bases, n - 1);
	recovery_point = log->recovery_point;
	assert_int_equal(log_put(t, log, &spec, 0), ERR_NONE);
	check_batches(t, log, bases, n);
	log_kill(t, log);
	for (int i = 0; i < 2; i++) {
		storage_test_restart(t, stop);
		log = log_open(t, NAME, recovery_point);
		check_batches(t, log, bases, n);
		log_kill(t, log);
	}
	storage_test_deinit(t);
}

static void test_within(void **state)
{
	static const int64_t bases[] = {0, 3, 16, 100, 103};
	static const enum log_dir_stop stops[] = {LOG_DIR_KILLED, LOG_DIR_POWER_CUT, LOG_DIR_UNKNOWN, LOG_DIR_CLEAN};

	for (size_t i = 0; i < ARRAY_N(stops); i++) {
		for (int64_t recovery_point = -1; recovery_point <= 6; recovery_point++) {
			struct storage_test t;

			make(&t);
			for (size_t b = 0; b < 4; b++)
				put_at(&t, "00000000000000000000.log", bases[b]);
			check_kept(&t, recovery_point, stops[i], bases, ARRAY_N(bases));
		}
	}
}

/* In front of a segment, and at its end. */
static void test_between(void **state)
{
	static const int64_t bases[] = {5, 8, 40, 50, 53};
	static const enum log_dir_stop stops[] = {LOG_DIR_KILLED, LOG_DIR_POWER_CUT, LOG_DIR_UNKNOWN};

	for (size_t i = 0; i < ARRAY_N(stops); i++) {
		struct storage_test t;

		make(&t);
		put_at(&t, "00000000000000000000.log", 5);
		put_at(&t, "00000000000000000000.log", 8);
		put_at(&t, "00000000000000000040.log", 40);
		put_at(&t, "00000000000000000050.log", 50);
		check_kept(&t, -1, stops[i], bases, ARRAY_N(bases));
	}
}

/* One that only the names of the segments show. */
static void test_names(void **state)
{
	static const int64_t bases[] = {0, 40, 43};
	static const enum log_dir_stop stops[] = {LOG_DIR_KILLED, LOG_DIR_POWER_CUT};

	for (size_t i = 0; i < ARRAY_N(stops); i++) {
		struct storage_test t;

		make(&t);
		put_at(&t, "00000000000000000000.log", 0);
		put_at(&t, "00000000000000000040.log", 40);
		check_kept(&t, 0, stops[i], bases, ARRAY_N(bases));
	}
}

/* Without gaps the start syncs nothing: the recovery point stays where it was. */
static void test_none(void **state)
{
	struct storage_test t;
	struct part_log *log;

	make(&t);
	put_at(&t, "00000000000000000000.log", 0);
	put_at(&t, "00000000000000000000.log", 3);
	storage_test_start(&t, LOG_DIR_UNKNOWN);
	log = log_open(&t, NAME, 0);
	assert_int_equal(log->recovery_point, 0);
	assert_int_equal(log->durable.offset, 0);
	log_kill(&t, log);
	storage_test_deinit(&t);
}

/* Of our own writing a gap is damage, whatever lies below the recovery point: nothing behind it after a power cut, and
 * after a kill what good batches follow stays, as far as they go. */
static void test_damage(void **state)
{
	static const struct {
		int64_t bases[4], recovery_point, end, end_killed;
	} cases[] = {
		{{0, 3, 16, 19}, 0, 6, 22},     {{0, 3, 16, 19}, 6, 6, 22}, {{0, 3, 16, 19}, 18, 6, 22},
		{{0, 13, 16, 29}, 19, 19, 19},  {{0, 16, 6, 9}, 12, 3, 12}, {{0, 3, 6, 1 << 20}, 12, 9, 9},
		{{0, 3, 2, 9}, 12, 6, 12},
	};
	static const enum log_dir_stop stops[] = {LOG_DIR_KILLED, LOG_DIR_POWER_CUT};

	for (size_t i = 0; i < ARRAY_N(cases) * ARRAY_N(stops); i++) {
		int64_t recovery_point = cases[i / 2].recovery_point;
		struct storage_test t;
		struct part_log *log;

		/* After a power cut the gap that begins below the recovery point is one of before. */
		if (stops[i % 2] == LOG_DIR_POWER_CUT && recovery_point > cases[i / 2].end)
			continue;
		make(&t);
		for (size_t b = 0; b < 4; b++)
			put_at(&t, "00000000000000000000.log", cases[i / 2].bases[b]);
		storage_test_start(&t, stops[i % 2]);
		log = log_open(&t, NAME, recovery_point);
		assert_int_equal(log->end,
				 stops[i % 2] == LOG_DIR_KILLED ? cases[i / 2].end_killed : cases[i / 2].end);
		log_kill(&t, log);
		storage_test_deinit(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_within), cmocka_unit_test(test_between), cmocka_unit_test(test_names),
		cmocka_unit_test(test_none), cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
