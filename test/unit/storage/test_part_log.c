/* SPDX-License-Identifier: Apache-2.0 */
/* A log over real files: append, read, close, open, roll, the three ways a start can find it, cutting,
 * deleting. */
#include "batch_build.h"
#include "control.h"
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

/* Many segments, a kill in the same boot: the tail is found, a cut write is taken off. */
static void test_killed(void **state)
{
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = PLAIN_BATCH(1, 1000);
	char name[64];
	int64_t base;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 50000;
	log = log_open(&t, "k-0", -1);
	for (int i = 0; i < 1000; i++) {
		spec.timestamp_ms = 1000 + i;
		assert_int_equal(log_put(&t, log, &spec, i / 100), ERR_NONE);
	}
	assert_int_equal(log->end, 1000);
	base = log->appended.segment_base;
	assert_true(base > 500);
	assert_true(log->durable.offset == 0);
	log_kill(&t, log);
	storage_test_restart(&t, LOG_DIR_KILLED);
	snprintf(name, sizeof(name), "%020lld.log", (long long)base);
	file_put(&t, "k-0", name, "\0\0\0\0\0\0\3\350\0\0", 10);
	log = log_open(&t, "k-0", -1);
	assert_int_equal(log->end, 1000);
	assert_int_equal(log->durable.offset, 0);
	assert_int_equal(log->recovery_point, 0);
	assert_int_equal(epoch_cache_latest(&log->epochs), 9);
	assert_int_equal(log->epochs.entries.n, 10);
	assert_int_equal(log_check_all(&t, log), 1000);
	assert_int_equal(log_time(&t, log, 1500), 500);
	assert_int_equal(log_time(&t, log, INT64_MIN), 999);
	assert_int_equal(log->max_timestamp_ms, 1999);
	part_log_sync(log);
	for (int i = 0; i < TURNS_MAX && log->durable.offset < 1000; i++)
		turn(&t);
	assert_int_equal(log->durable.offset, 1000);
	log_close(&t, log);
	storage_test_deinit(&t);
}

/* A power cut: what lies beyond the recovery point is read and checked, and ends at the first damage. */
static void test_power_cut(void **state)
{
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = PLAIN_BATCH(1, 1000);
	char name[64];
	uint8_t *batch;
	size_t len;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 20000;
	log = log_open(&t, "p-0", -1);
	for (int i = 0; i < 300; i++)
		assert_int_equal(log_put(&t, log, &spec, 1), ERR_NONE);
	checkpoint(&t);
	assert_int_equal(log->recovery_point, 300);
	assert_int_equal(log->durable.offset, 300);
	assert_true(file_len(&t, "p-0", "00000000000000000300.snapshot") >= 10);
	for (int i = 0; i < 300; i++)
		assert_int_equal(log_put(&t, log, &spec, 2), ERR_NONE);
	assert_int_equal(log->end, 600);
	log_kill(&t, log);
	storage_test_stop(&t);
	batch = batch_make(&spec, &len);
	mem_free(batch);
	/* Damage in the middle of a segment beyond the recovery point. */
	snprintf(name, sizeof(name), "%020d.log", 357);
	if (file_len(&t, "p-0", name) < 0) {
		char found[64] = "";

		for (int i = 301; i < 600 && !found[0]; i++) {
			snprintf(name, sizeof(name), "%020d.log", i);
			if (file_len(&t, "p-0", name) >= 0)
				memcpy(found, name, sizeof(found));
		}
		memcpy(name, found, sizeof(name));
	}
	assert_true(file_len(&t, "p-0", name) > 5 * (int64_t)len);
	{
		char path[300];
		FILE *f;

		snprintf(path, sizeof(path), "%s/p-0/%s", t.path, name);
		f = fopen(path, "r+");
		fseek(f, (long)(5 * len + len - 3), SEEK_SET);
		fputc('X', f);
		fclose(f);
	}
	storage_test_start(&t, LOG_DIR_POWER_CUT);
	log = log_open(&t, "p-0", 300);
	assert_int_equal(log->end, atoi(name) + 5);
	/* What stands behind it may come from a later start in this boot, unsynced. */
	assert_int_equal(log->durable.offset, 300);
	assert_int_equal(log->recovery_point, 300);
	assert_int_equal(log_check_all(&t, log), log->end);
	assert_int_equal(epoch_cache_latest(&log->epochs), 2);
	assert_int_equal(log_put(&t, log, &spec, 2), ERR_NONE);
	log_close(&t, log);
	storage_test_deinit(&t);
}

/* Missing, short, long and wrong indexes are made anew. */
static void test_indexes(void **state)
{
	static const struct {
		const char *file;
		int what; /* 0 remove, 1 cut to an odd size, 2 zeros behind, 3 garbage behind */
	} cases[] = {{".index", 0}, {".index", 1}, {".index", 2}, {".index", 3}, {".timeindex", 0},
		     {".timeindex", 1},
		     {".timeindex", 2}, {".timeindex", 3}};
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = PLAIN_BATCH(1, 1000);
	uint8_t garbage[24];

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 100000;
	log = log_open(&t, "i-0", -1);
	for (int i = 0; i < 1000; i++) {
		spec.timestamp_ms = 1000 + i;
		assert_int_equal(log_put(&t, log, &spec, 1), ERR_NONE);
	}
	log_close(&t, log);
	for (size_t c = 0; c < 2 * ARRAY_N(cases); c++) {
		/* The first segment, or the last one. */
		char name[64], index[64];
		int64_t before, time_before;
		int base = 0;

		for (int i = 0; c % 2 && i < 1000; i++) {
			snprintf(name, sizeof(name), "%020d.log", i);
			if (file_len(&t, "i-0", name) >= 0)
				base = i;
		}
		snprintf(index, sizeof(index), "%020d.index", base);
		before = file_len(&t, "i-0", index);
		snprintf(name, sizeof(name), "%020d.timeindex", base);
		time_before = file_len(&t, "i-0", name);
		assert_true(before > 16);
		assert_true(time_before > 24);
		snprintf(name, sizeof(name), "%020d%s", base, cases[c / 2].file);
		memset(garbage, cases[c / 2].what == 2 ? 0 : 0x77, sizeof(garbage));
		if (cases[c / 2].what == 0) {
			char path[300];

			snprintf(path, sizeof(path), "%s/i-0/%s", t.path, name);
			assert_int_equal(remove(path), 0);
		} else if (cases[c / 2].what == 1) {
			file_cut(&t, "i-0", name, 13);
		} else {
			file_put(&t, "i-0", name, garbage, sizeof(garbage));
		}
		storage_test_restart(&t, LOG_DIR_CLEAN);
		log = log_open(&t, "i-0", 1000);
		assert_int_equal(log->end, 1000);
		assert_int_equal(log_check_all(&t, log), 1000);
		assert_int_equal(log_time(&t, log, 1030), 30);
		assert_int_equal(log_time(&t, log, 1700), 700);
		assert_int_equal(log_time(&t, log, INT64_MIN), 999);
		log_close(&t, log);
		assert_int_equal(file_len(&t, "i-0", index), before);
		snprintf(name, sizeof(name), "%020d.timeindex", base);
		assert_int_equal(file_len(&t, "i-0", name), time_before);
	}
	storage_test_deinit(&t);
}

static void test_truncate(void **state)
{
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = PLAIN_BATCH(2, 1000);

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 20000;
	log = log_open(&t, "t-0", -1);
	for (int i = 0; i < 300; i++)
		assert_int_equal(log_put(&t, log, &spec, i / 50), ERR_NONE);
	t.told = 0;
	part_log_truncate(log, 251);
	for (int i = 0; i < TURNS_MAX && log->end != 250; i++)
		turn(&t);
	assert_int_equal(log->end, 250);
	assert_int_equal(log->appended.offset, 250);
	assert_int_equal(epoch_cache_latest(&log->epochs), 2);
	assert_int_equal(log_check_all(&t, log), 125);
	assert_int_equal(log_put(&t, log, &spec, 9), ERR_NONE);
	assert_int_equal(log_check_all(&t, log), 126);
	part_log_truncate(log, 0);
	for (int i = 0; i < TURNS_MAX && log->end != 0; i++)
		turn(&t);
	assert_int_equal(log->end, 0);
	assert_int_equal(log_put(&t, log, &spec, 9), ERR_NONE);
	assert_int_equal(log_check_all(&t, log), 1);
	log_close(&t, log);
	storage_test_restart(&t, LOG_DIR_CLEAN);
	log = log_open(&t, "t-0", 2);
	assert_int_equal(log->end, 2);
	assert_int_equal(log_check_all(&t, log), 1);
	log_close(&t, log);
	storage_test_deinit(&t);
}

struct txn_put {
	struct log_append append;
	bool done;
};

static void txn_put_done(struct log_append *append)
{
	assert_int_equal(append->err, ERR_NONE);
	container_of(append, struct txn_put, append)->done = true;
}

static void txn_append(struct storage_test *t, struct part_log *log, uint8_t *p, size_t len)
{
	struct txn_put put = {.append = {.batch = p, .len = len, .done = txn_put_done}};

	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &put.append.info), ERR_NONE);
	assert_int_equal(part_log_append(log, &put.append, 0), ERR_NONE);
	for (int i = 0; i < TURNS_MAX && !put.done; i++)
		turn(t);
	assert_true(put.done);
}

static void txn_write(struct storage_test *t, struct part_log *log, int64_t producer_id, int32_t seq)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {.key = BYTES_NULL, .value = {(const uint8_t *)"x", 1}};
	struct scratch out = {0};
	struct batch_builder b;
	struct bytes bytes;

	spec.attributes = BATCH_TRANSACTIONAL;
	spec.producer_id = producer_id;
	spec.producer_epoch = 0;
	spec.base_sequence = seq;
	assert_int_equal(batch_builder_init(&b, &spec, &out, NULL), ERR_NONE);
	assert_int_equal(batch_builder_add(&b, 1000, &fields), ERR_NONE);
	assert_int_equal(batch_builder_finish(&b, &bytes), ERR_NONE);
	txn_append(t, log, out.p, bytes.len);
	mem_free(out.p);
}

static void txn_abort(struct storage_test *t, struct part_log *log, int64_t producer_id)
{
	struct control_marker marker = {.timestamp = 1000, .producer_id = producer_id};
	uint8_t p[CONTROL_MARKER_LEN];

	control_marker_build(p, &marker);
	txn_append(t, log, p, sizeof(p));
}

static void truncate_to(struct storage_test *t, struct part_log *log, int64_t offset)
{
	part_log_truncate(log, offset);
	for (int i = 0; i < TURNS_MAX && log->end != offset; i++)
		turn(t);
	assert_int_equal(log->end, offset);
}

/* What was cut off is open again, or never was. */
static void test_truncate_transactions(void **state)
{
	struct storage_test t;
	struct part_log *log;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	log = log_open(&t, "x-0", -1);
	txn_write(&t, log, 7, 0); /* 0 */
	txn_abort(&t, log, 7);    /* 1 */
	txn_write(&t, log, 8, 0); /* 2 */
	txn_write(&t, log, 7, 1); /* 3 */
	txn_abort(&t, log, 8);    /* 4 */
	txn_abort(&t, log, 7);    /* 5 */
	assert_int_equal(log->aborted.list.n, 3);
	truncate_to(&t, log, 5);
	assert_int_equal(log->aborted.list.n, 2);
	assert_int_equal(log->aborted.list.v[1].first_offset, 2);
	assert_int_equal(log->aborted.list.v[1].last_stable_offset, 3);
	assert_true(producer_state_has_txn(&log->producers, 7, 0));
	assert_false(producer_state_has_txn(&log->producers, 8, 0));
	truncate_to(&t, log, 4);
	assert_int_equal(log->aborted.list.n, 1);
	assert_true(producer_state_has_txn(&log->producers, 8, 0));
	txn_abort(&t, log, 7); /* 4, in the place of the other */
	assert_int_equal(log->aborted.list.n, 2);
	assert_int_equal(log->aborted.list.v[1].producer_id, 7);
	truncate_to(&t, log, 2);
	assert_int_equal(log->aborted.list.n, 1);
	log_close(&t, log);
	storage_test_restart(&t, LOG_DIR_CLEAN);
	log = log_open(&t, "x-0", 2);
	assert_int_equal(log->aborted.list.n, 1);
	assert_int_equal(log->aborted.list.v[0].last_offset, 1);
	log_close(&t, log);
	storage_test_deinit(&t);
}

static void test_set_start(void **state)
{
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = PLAIN_BATCH(1, 1000);
	uint8_t *p;
	size_t len;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 20000;
	log = log_open(&t, "s-0", -1);
	for (int i = 0; i < 300; i++) {
		spec.timestamp_ms = 1000 + i;
		assert_int_equal(log_put(&t, log, &spec, i / 50), ERR_NONE);
	}
	part_log_set_start(log, 255);
	assert_int_equal(log->log_start, 255);
	assert_int_equal(log_get(&t, log, 254, 100, &p, &len), ERR_OFFSET_OUT_OF_RANGE);
	assert_int_equal(log_time(&t, log, 1000), 255);
	for (int i = 0; i < TURNS_MAX && (file_len(&t, "s-0", "00000000000000000000.log") != -1 ||
					  file_len(&t, "s-0", "00000000000000000000.log.deleted") != -1); i++)
		turn(&t);
	assert_int_equal(file_len(&t, "s-0", "00000000000000000000.log"), -1);
	assert_int_equal(log_get(&t, log, 255, 100, &p, &len), ERR_NONE);
	assert_int_equal(load_be64(p), 255);
	mem_free(p);
	assert_int_equal(log->epochs.entries.v[0].epoch, 5);
	assert_int_equal(log->epochs.entries.v[0].start_offset, 255);
	log_close(&t, log);
	storage_test_restart(&t, LOG_DIR_CLEAN);
	log = part_log_new(&t.storage, t.dir, STR("s-0"), t.topic_id, &t.config);
	part_log_open(log, 300, 255);
	for (int i = 0; i < TURNS_MAX && log->state == PART_LOG_OPENING; i++)
		turn(&t);
	assert_int_equal(log->log_start, 255);
	assert_int_equal(log->end, 300);
	log_close(&t, log);
	storage_test_deinit(&t);
}

static void test_delete_and_recreate(void **state)
{
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = PLAIN_BATCH(1, 1000);

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	log = log_open(&t, "d-0", -1);
	assert_int_equal(log_put(&t, log, &spec, 1), ERR_NONE);
	part_log_close(log);
	for (int i = 0; i < TURNS_MAX && log->state != PART_LOG_CLOSED; i++)
		turn(&t);
	part_log_delete(log, NULL, NULL);
	for (int i = 0; i < TURNS_MAX && file_len(&t, "d-0", "partition.metadata") >= 0; i++)
		turn(&t);
	assert_int_equal(file_len(&t, "d-0", "partition.metadata"), -1);
	log = log_open(&t, "d-0", -1);
	assert_int_equal(log->end, 0);
	assert_int_equal(log_put(&t, log, &spec, 1), ERR_NONE);
	log_close(&t, log);
	/* Deleting a log that never had a directory takes nobody else's away. */
	t.topic_id.lo = ~t.topic_id.lo;
	part_log_delete(part_log_new(&t.storage, t.dir, STR("d-0"), t.topic_id, &t.config), NULL, NULL);
	for (int i = 0; i < TURNS_MAX && !storage_is_idle(&t.storage); i++)
		turn(&t);
	assert_true(file_len(&t, "d-0", "partition.metadata") > 0);
	/* Another id: the old directory is kept aside, never mixed, never removed. */
	log = log_open(&t, "d-0", 1);
	assert_int_equal(log->end, 0);
	log_close(&t, log);
	assert_int_equal(system("true"), 0);
	{
		char command[200];

		snprintf(command, sizeof(command), "ls %s | grep -q '^d-0\\.[0-9a-f]*-stray$'", t.path);
		assert_int_equal(system(command), 0);
	}
	storage_test_deinit(&t);
}

/* What is due for removal after the stop stays: nobody would wait for the work. */
static void test_stopped_storage_begins_nothing(void **state)
{
	struct storage_test t;
	struct part_log *log;
	char command[200];

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	log = log_open(&t, "d-0", -1);
	part_log_close(log);
	for (int i = 0; i < TURNS_MAX && log->state != PART_LOG_CLOSED; i++)
		turn(&t);
	part_log_delete(log, NULL, NULL);
	for (int i = 0; i < TURNS_MAX && (file_len(&t, "d-0", "partition.metadata") >= 0 ||
					  !storage_is_idle(&t.storage)); i++)
		turn(&t);
	storage_stop(&t.storage);
	for (int64_t end_ns = t.reactor->now_ns + 1500 * NS_PER_MS; t.reactor->now_ns < end_ns;) {
		turn(&t);
		assert_true(storage_is_idle(&t.storage));
	}
	snprintf(command, sizeof(command), "ls %s | grep -q '^d-0\\.[0-9a-f]*-delete$'", t.path);
	assert_int_equal(system(command), 0);
	storage_test_deinit(&t);
}

static void test_synced(void **state)
{
	struct storage_test t;
	struct part_log *logs[6];
	struct test_batch spec = PLAIN_BATCH(1, 1000);

	storage_test_init(&t, STORAGE_SYNCED);
	for (int i = 0; i < 6; i++) {
		char name[32];

		snprintf(name, sizeof(name), "y-%d", i);
		logs[i] = log_open(&t, name, -1);
	}
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 6; i++)
			assert_int_equal(log_put_many(&t, logs[i], &spec, 1, 5), 5);
	}
	for (int i = 0; i < 6; i++) {
		for (int k = 0; k < TURNS_MAX && logs[i]->durable.offset < 100; k++)
			turn(&t);
		assert_int_equal(logs[i]->durable.offset, 100);
		assert_int_equal(logs[i]->durable.file_pos, logs[i]->appended.file_pos);
		log_kill(&t, logs[i]);
	}
	storage_test_restart(&t, LOG_DIR_KILLED);
	for (int i = 0; i < 6; i++) {
		char name[32];

		snprintf(name, sizeof(name), "y-%d", i);
		logs[i] = log_open(&t, name, -1);
		assert_int_equal(logs[i]->durable.offset, 100);
		log_close(&t, logs[i]);
	}
	storage_test_deinit(&t);
}

/* A log that asks to be synced while a commit of another is under way is not forgotten. */
static void test_sync_during_a_commit(void **state)
{
	struct storage_test t;
	struct part_log *first, *second;
	struct test_batch spec = PLAIN_BATCH(1, 1000);
	int met = 0;

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	first = log_open(&t, "s-0", -1);
	second = log_open(&t, "s-1", -1);
	for (int round = 0; round < 30; round++) {
		assert_int_equal(log_put(&t, first, &spec, 1), ERR_NONE);
		assert_int_equal(log_put(&t, second, &spec, 1), ERR_NONE);
		part_log_sync(first);
		for (int k = 0; k < 10 && first->durable.offset < first->end && !t.dir->commit_is_running; k++)
			turn(&t);
		met += t.dir->commit_is_running;
		part_log_sync(second);
		for (int k = 0; k < TURNS_MAX && second->durable.offset < second->end; k++)
			turn(&t);
		assert_int_equal(second->durable.offset, second->end);
	}
	assert_true(met > 0);
	log_close(&t, first);
	log_close(&t, second);
	storage_test_deinit(&t);
}

/* Few descriptors, many logs: files are closed and opened again. */
static void test_descriptors(void **state)
{
	struct storage_test t;
	struct part_log *logs[40];
	struct test_batch spec = PLAIN_BATCH(1, 1000);

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.options.open_files_max = 8;
	storage_test_restart(&t, LOG_DIR_CLEAN);
	t.config.segment_bytes = 2000;
	for (int i = 0; i < 40; i++) {
		char name[32];

		snprintf(name, sizeof(name), "f-%d", i);
		logs[i] = log_open(&t, name, -1);
	}
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 40; i++)
			assert_int_equal(log_put_many(&t, logs[i], &spec, 1, 2), 2);
	}
	for (int i = 0; i < 40; i++)
		assert_int_equal(log_check_all(&t, logs[i]), 40);
	checkpoint(&t);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(logs[i]->recovery_point, 40);
		log_close(&t, logs[i]);
	}
	storage_test_deinit(&t);
}

static void test_producers_survive(void **state)
{
	struct storage_test t;
	struct part_log *log;
	struct test_batch spec = {.producer_id = 77, .epoch = 0, .seq = 0, .records_n = 2,
				  .timestamp_ms = 1000,
				  .value_len = 10};

	storage_test_init(&t, STORAGE_PAGE_CACHE);
	t.config.segment_bytes = 1000;
	log = log_open(&t, "q-0", -1);
	for (int i = 0; i < 30; i++) {
		spec.seq = 2 * i;
		assert_int_equal(log_put(&t, log, &spec, 1), ERR_NONE);
	}
	for (int how = 0; how < 3; how++) {
		struct batch_info info = {.producer_id = 77, .producer_epoch = 0, .base_sequence = 60,
					  .magic = 2,
					  .last_offset_delta = 1};
		enum producer_verdict verdict;
		struct producer_batch dup;
		enum log_dir_stop stop = (enum log_dir_stop)how;

		if (stop == LOG_DIR_CLEAN)
			log_close(&t, log);
		else
			log_kill(&t, log);
		storage_test_restart(&t, stop);
		log = log_open(&t, "q-0", stop == LOG_DIR_CLEAN ? 60 : -1);
		assert_int_equal(log->end, 60);
		assert_int_equal(producer_state_check(&log->producers, &info, &verdict, &dup), ERR_NONE);
		assert_int_equal(verdict, PRODUCER_APPEND);
		info.base_sequence = 58;
		assert_int_equal(producer_state_check(&log->producers, &info, &verdict, &dup), ERR_NONE);
		assert_int_equal(verdict, PRODUCER_DUPLICATE);
		assert_int_equal(dup.last_offset, 59);
		info.base_sequence = 62;
		assert_int_equal(producer_state_check(&log->producers, &info, &verdict, &dup),
				 ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	}
	log_close(&t, log);
	storage_test_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_read_reopen),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_power_cut),
		cmocka_unit_test(test_indexes),
		cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_truncate_transactions),
		cmocka_unit_test(test_set_start),
		cmocka_unit_test(test_delete_and_recreate),
		cmocka_unit_test(test_stopped_storage_begins_nothing),
		cmocka_unit_test(test_synced),
		cmocka_unit_test(test_sync_during_a_commit),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_producers_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
