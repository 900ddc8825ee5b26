/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: the decision against tables of cases, and a log over the posix backend that loses its segments. */
#include <unistd.h>

#include "mem.h"
#include "retention.h"
#include "storage_internal.h"
#include "storage_test.h"

#define NOW INT64_C(1700000000000)

/* Segments of 10 offsets and 100 bytes each; the newest record of the last one is `age_ms` old, of each before it
 * 1000 ms more. */
static void make_segments(struct segment *v, size_t n, int64_t age_ms)
{
	for (size_t i = 0; i < n; i++) {
		v[i] = SEGMENT_INIT((int64_t)i * 10);
		v[i].size = 100;
		v[i].next_offset = ((int64_t)i + 1) * 10;
		v[i].max_timestamp_ms = NOW - age_ms - (int64_t)(n - 1 - i) * 1000;
	}
}

static struct retention_input input(const struct segment *v, size_t n)
{
	return (struct retention_input){.segments = v, .segments_n = n, .log_end = (int64_t)n * 10,
					.high_watermark = (int64_t)n * 10, .now_ms = NOW, .is_deleted = true,
					.retention_ms = -1, .retention_bytes = -1};
}

static void test_by_time(void **state)
{
	struct segment v[4];
	struct retention_input in = input(v, 4);
	struct retention_verdict out;

	make_segments(v, 4, 0);
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 0);
	in.retention_ms = 2000;
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 1); /* exactly as old as the limit stays */
	assert_int_equal(out.log_start, 10);
	assert_int_equal(out.bytes, 100);
	assert_false(out.rolls);
	in.now_ms += 10000;
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 4);
	assert_true(out.rolls);
	assert_int_equal(out.log_start, 40);
	assert_int_equal(out.reasons_n[RETENTION_TIME], 4);
	in.is_deleted = false;
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 0);
}

static void test_watermark(void **state)
{
	struct segment v[4];
	struct retention_input in = input(v, 4);
	struct retention_verdict out;

	make_segments(v, 4, 0);
	in.now_ms += 100000;
	in.retention_ms = 0;
	in.retention_bytes = 0;
	for (int64_t hw = 0; hw <= 40; hw++) {
		in.high_watermark = hw;
		retention_decide(&in, &out);
		assert_int_equal(out.segments_n, hw / 10);
		assert_int_equal(out.log_start, hw / 10 * 10);
		assert_int_equal(out.rolls, hw == 40);
	}
}

static void test_by_size(void **state)
{
	struct segment v[4];
	struct retention_input in = input(v, 4);
	struct retention_verdict out;

	make_segments(v, 4, 0);
	for (int64_t limit = 0; limit <= 450; limit += 10) {
		in.retention_bytes = limit;
		retention_decide(&in, &out);
		/* What stays is at least the limit. */
		assert_int_equal(out.segments_n, limit > 400 ? 0 : (400 - limit) / 100);
		assert_int_equal(out.reasons_n[RETENTION_SIZE], out.segments_n);
	}
}

static void test_empty_active(void **state)
{
	struct segment v[3];
	struct retention_input in = input(v, 3);
	struct retention_verdict out;

	make_segments(v, 3, 5000);
	v[2].size = 0;
	v[2].next_offset = v[2].base;
	in.log_end = in.high_watermark = 20;
	in.retention_ms = 0;
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 2);
	assert_false(out.rolls);
	assert_int_equal(out.log_start, 20);
	in.segments = v + 2;
	in.segments_n = 1;
	in.log_start = 20;
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 0);
}

static void test_order(void **state)
{
	struct segment v[5];
	struct retention_input in = input(v, 5);
	struct retention_verdict out;

	make_segments(v, 5, 0);
	/* The start, then the size, then the time; a younger segment shields those behind it. */
	in.log_start = 13;
	in.retention_bytes = 300;
	in.retention_ms = 1500;
	retention_decide(&in, &out);
	assert_int_equal(out.reasons_n[RETENTION_START], 1);
	assert_int_equal(out.reasons_n[RETENTION_SIZE], 1);
	assert_int_equal(out.reasons_n[RETENTION_TIME], 1);
	assert_int_equal(out.log_start, 30);
	in.retention_bytes = -1;
	v[1].max_timestamp_ms = NOW + 5000;
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 1);
	assert_int_equal(out.log_start, 13);
	assert_true(out.is_in_future);
	/* Records without a time: the file's. */
	v[1].max_timestamp_ms = -1;
	v[1].mtime_ms = NOW - 1501;
	retention_decide(&in, &out);
	assert_int_equal(out.segments_n, 3);
}

static void turns(struct storage_test *t, struct part_log *log)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		turn(t);
		if (i > 3 && storage_is_idle(&t->storage))
			return;
	}
	fail_msg("not idle, log starts at %lld", (long long)log->log_start);
}

/* By size a log keeps what it must; by time a quiet one becomes empty and goes on at the same offset. */
static void test_log(void **state)
{
	struct storage_test t;
	struct log_retained gone;
	struct part_log *log;
	int64_t end;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 1000;
	t.config.is_deleted = true;
	t.config.retention_ms = -1;
	t.config.retention_bytes = 2500;
	t.config.file_delete_delay_ms = 3600000;
	log = log_open(&t, "r-0", -1);
	assert_int_equal(log_put_many(&t, log, &PLAIN_BATCH(1, 1000), 0, 60), 60);
	end = log->end;
	part_log_retain(log, 0, &gone);
	assert_int_equal(gone.segments_n, 0);
	part_log_retain(log, end, &gone);
	assert_true(gone.segments_n > 0);
	assert_int_equal(gone.reason, RETENTION_SIZE);
	assert_int_equal(log->log_start, gone.log_start);
	turns(&t, log);
	assert_in_range(log->size_bytes, 2500, 3500);
	assert_true(file_len(&t, "r-0", "00000000000000000000.log") == -1);
	assert_true(file_len(&t, "r-0", "00000000000000000000.log.deleted") > 0);
	t.config.retention_bytes = -1;
	t.config.retention_ms = 1000;
	part_log_set_config(log, &t.config);
	part_log_retain(log, end, &gone);
	assert_int_equal(gone.reason, RETENTION_TIME);
	assert_int_equal(gone.log_start, end);
	turns(&t, log);
	assert_int_equal(log->log_start, end);
	assert_int_equal(log->size_bytes, 0);
	part_log_retain(log, end, &gone);
	assert_int_equal(gone.segments_n, 0);
	assert_int_equal(log_put(&t, log, &PLAIN_BATCH(1, 1000), 0), ERR_NONE);
	assert_int_equal(log->end, end + 1);
	log_close(&t, log);
	storage_test_restart(&t, LOG_DIR_CLEAN);
	log = log_open(&t, "r-0", -1);
	assert_int_equal(log->log_start, end);
	assert_int_equal(log->end, end + 1);
	log_close(&t, log);
	storage_test_deinit(&t);
}

/* Many segments go job by job, from the oldest on, and are told once. */
static void test_many_segments(void **state)
{
	struct storage_test t;
	struct log_retained gone;
	struct part_log *log;
	int32_t before, now, steps = 0;
	int64_t end;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 200;
	t.config.is_deleted = true;
	t.config.retention_ms = 1000;
	t.config.retention_bytes = -1;
	log = log_open(&t, "r-0", -1);
	assert_int_equal(log_put_many(&t, log, &PLAIN_BATCH(1, 1000), 0, 300), 300);
	end = log->end;
	before = part_log_segments_n(log);
	assert_int_equal(before, 300);
	part_log_retain(log, end, &gone);
	assert_int_equal(gone.segments_n, 300);
	for (int i = 0; i < TURNS_MAX && part_log_segments_n(log) > 1; i++) {
		turn(&t);
		now = part_log_segments_n(log);
		assert_in_range(before - now, now > before ? -1 : 0, 64);
		steps += now < before;
		before = now;
		part_log_retain(log, end, &gone);
		assert_int_equal(gone.segments_n, 0);
	}
	assert_true(steps >= 5);
	turns(&t, log);
	assert_int_equal(log->log_start, end);
	assert_int_equal(log->size_bytes, 0);
	assert_int_equal(part_log_segments_n(log), 1);
	log_close(&t, log);
	storage_test_restart(&t, LOG_DIR_CLEAN);
	log = log_open(&t, "r-0", -1);
	assert_int_equal(log->log_start, end);
	log_close(&t, log);
	storage_test_deinit(&t);
}

/* Much that goes at once leaves the helpers to others. */
static void test_removal_of_much(void **state)
{
	struct storage_test t;
	struct storage_core *core;
	bool began = false;
	char path[128];

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	core = core_of(&t.storage);
	for (int i = 0; i < 60; i++) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/%d.deleted", t.path, i);
		file = fopen(path, "w");
		assert_non_null(file);
		fclose(file);
		storage_trash(&t.storage, path, false, i < 50 ? 0 : 1000000);
	}
	for (int i = 0; i < TURNS_MAX && !(began && core->removal.total == 0); i++) {
		turn(&t);
		began = began || core->removal.total > 0;
		assert_in_range(core->removals_n, 0, 2);
		assert_int_equal(core->works, core->removals_n);
	}
	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "%s/%d.deleted", t.path, i);
		assert_int_equal(access(path, F_OK) == 0, i >= 50);
	}
	assert_int_equal(core->removal.total, 0);
	assert_true(storage_trash_waits(&t.storage));
	storage_test_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_time), cmocka_unit_test(test_watermark), cmocka_unit_test(test_by_size),
		cmocka_unit_test(test_empty_active), cmocka_unit_test(test_order), cmocka_unit_test(test_log),
		cmocka_unit_test(test_many_segments), cmocka_unit_test(test_removal_of_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
