/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction against a plain model: records of few keys, tombstones, several codecs, idempotent producers. What
 * survives, at which offsets, before and after a start of each kind; the parts (map of keys, transactions) alone.
 */
#include "batch_build.h"
#include "compact_txn.h"
#include "control.h"
#include "log_compact.h"
#include "mem.h"
#include "offset_map.h"
#include "rng.h"
#include "storage_test.h"

#define RECORDS_MAX 20000
#define KEYS_N 40

struct model_record {
	int key;   /* -1: none */
	int value; /* -1: tombstone */
	bool is_gone;
};

struct model {
	struct storage_test t;
	struct part_log *log;
	struct rng rng;
	struct model_record records[RECORDS_MAX]; /* by offset */
	int64_t n;
	int32_t seq;
	int64_t lenient_to; /* the map was full: what something below this supersedes may be gone */
	bool is_done;
	struct log_compact job;
};

static struct bytes number(char buf[40], const char *form, int n)
{
	int len = snprintf(buf, 40, "%s-%d", form, n);

	return (struct bytes){(const uint8_t *)buf, (size_t)len};
}

struct model_append {
	struct log_append append;
	bool is_done;
};

static void model_appended(struct log_append *append)
{
	container_of(append, struct model_append, append)->is_done = true;
}

/* One batch of random records. */
static void model_put(struct model *m, bool has_producer)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct compress_ctx ctx = {0};
	struct scratch out = {0};
	struct batch_builder b;
	struct bytes built;
	struct model_append a = {0};
	int n = (int)rng_between(&m->rng, 1, 6);
	char key[40], value[40];

	spec.codec = (enum codec)rng_below(&m->rng, CODEC_N);
	if (has_producer) {
		spec.producer_id = 7;
		spec.producer_epoch = 0;
		spec.base_sequence = m->seq;
		m->seq += n;
	}
	assert_int_equal(batch_builder_init(&b, &spec, &out, &ctx), ERR_NONE);
	for (int i = 0; i < n; i++) {
		struct model_record *r = &m->records[m->n + i];
		struct record_fields fields = {0};

		r->key = (int)rng_below(&m->rng, KEYS_N);
		r->value = rng_below(&m->rng, 5) == 0 ? -1 : (int)(m->n + i);
		r->is_gone = false;
		fields.key = number(key, "key", r->key);
		fields.value = r->value < 0 ? BYTES_NULL : number(value, "value", r->value);
		assert_int_equal(batch_builder_add(&b, 1000 + m->n + i, &fields), ERR_NONE);
	}
	assert_int_equal(batch_builder_finish(&b, &built), ERR_NONE);
	a.append.batch = out.p;
	a.append.len = built.len;
	a.append.done = model_appended;
	assert_int_equal(batch_check_header(built, BATCH_CHECK_CRC, &a.append.info), ERR_NONE);
	assert_int_equal(part_log_append(m->log, &a.append, 3), ERR_NONE);
	for (int i = 0; i < TURNS_MAX && !a.is_done; i++)
		turn(&m->t);
	assert_true(a.is_done);
	assert_int_equal(a.append.err, ERR_NONE);
	assert_int_equal(a.append.info.base_offset, m->n);
	m->n += n;
	scratch_deinit(&out);
	compress_ctx_deinit(&ctx);
}

static void model_checkpointed(struct storage *storage)
{
	container_of((struct storage_test *)storage->ctx, struct model, t)->is_done = true;
}

/* A checkpoint whose file was written. */
static void model_checkpoint(struct model *m)
{
	m->is_done = false;
	m->t.storage.ctx = &m->t;
	assert_true(storage_checkpoint(&m->t.storage, model_checkpointed));
	for (int i = 0; i < TURNS_MAX && !m->is_done; i++)
		turn(&m->t);
	assert_true(m->is_done);
	m->log->recovery_written = m->log->recovery_point;
}

static void model_compacted(struct log_compact *job)
{
	container_of(job, struct model, job)->is_done = true;
}

static void model_compact(struct model *m, int64_t cleaner_offset, size_t map_bytes)
{
	m->job = (struct log_compact){.map_bytes_max = (int64_t)map_bytes, .map_load_factor = 0.9,
				      .bytes_per_s = 1e18, .done = model_compacted};
	part_log_cleanable(m->log, cleaner_offset, &m->log->appended, &m->job.range);
	m->is_done = false;
	part_log_compact(m->log, &m->job);
}

static void model_wait(struct model *m)
{
	for (int i = 0; i < TURNS_MAX && !m->is_done; i++)
		turn(&m->t);
	assert_true(m->is_done);
}

/* What is superseded below `map_end` by something below it goes. */
static void model_apply(struct model *m, int64_t map_end, bool drops_tombstones)
{
	for (int64_t i = 0; i < map_end; i++) {
		struct model_record *r = &m->records[i];

		if (drops_tombstones && r->value < 0)
			r->is_gone = true;
		for (int64_t j = i + 1; j < map_end && !r->is_gone; j++)
			r->is_gone = m->records[j].key == r->key;
	}
}

static int64_t model_expect(struct model *m, int64_t at, const struct record *record)
{
	char key[40], value[40];

	while (at < record->offset) {
		for (int64_t j = at + 1; j < m->lenient_to && !m->records[at].is_gone; j++)
			m->records[at].is_gone = m->records[j].key == m->records[at].key;
		if (!m->records[at].is_gone)
			fail_msg("offset %lld is missing", (long long)at);
		at++;
	}
	if (m->records[at].is_gone)
		fail_msg("offset %lld is still there", (long long)at);
	assert_true(bytes_eq(record->key, number(key, "key", m->records[at].key)));
	assert_int_equal(record->timestamp, 1000 + at);
	if (m->records[at].value < 0)
		assert_null(record->value.p);
	else
		assert_true(bytes_eq(record->value, number(value, "value", m->records[at].value)));
	return at + 1;
}

/* Reads all there is and compares; every offset alone, too, leads to the next record there is. */
static void model_check(struct model *m)
{
	struct compress_ctx ctx = {0};
	int64_t at = 0, offset = 0;

	while (offset < m->log->appended.offset) {
		uint8_t *p;
		size_t len;
		struct batch_iter it;
		struct batch_info batch;

		assert_int_equal(log_get(&m->t, m->log, offset, 700, &p, &len), ERR_NONE);
		if (len == 0) {
			mem_free(p);
			break;
		}
		it = batch_iter_of((struct bytes){p, len}, BATCH_CHECK_CRC);
		while (batch_iter_next(&it, &batch)) {
			struct scratch plain = {0};
			struct record_iter records;
			struct record record;
			struct bytes payload;

			assert_int_equal(batch_payload(&batch, &ctx, &plain, &payload), ERR_NONE);
			record_iter_init(&records, &batch, payload);
			while (record_iter_next(&records, &record)) {
				if (record.offset >= at)
					at = model_expect(m, at, &record);
			}
			assert_int_equal(records.err, ERR_NONE);
			scratch_deinit(&plain);
			assert_true(batch.last_offset >= offset);
			offset = batch.last_offset + 1;
		}
		assert_int_equal(it.err, ERR_NONE);
		mem_free(p);
	}
	for (; at < m->n; at++)
		assert_true(m->records[at].is_gone);
	compress_ctx_deinit(&ctx);
	for (int i = 0; i < 50; i++) {
		int64_t time = 1000 + (int64_t)rng_below(&m->rng, (uint64_t)m->n), want = time - 1000;

		while (want < m->n && m->records[want].is_gone)
			want++;
		assert_int_equal(log_time(&m->t, m->log, time), want < m->n ? want : -1);
	}
}

static void model_start(struct model *m, uint64_t seed)
{
	*m = (struct model){0};
	rng_init(&m->rng, seed);
	storage_test_init(&m->t, STORAGE_PAGE_CACHE);
	m->t.config.segment_bytes = 2500;
	m->t.config.index_interval_bytes = 200;
	m->t.config.is_compacted = true;
	m->t.config.max_compaction_lag_ms = INT64_MAX;
	m->t.config.delete_retention_ms = 86400000;
	m->log = log_open(&m->t, "c-0", -1);
}

static void model_restart(struct model *m, enum log_dir_stop stop)
{
	int64_t recovery_point = m->log->recovery_written;

	if (stop == LOG_DIR_CLEAN)
		log_close(&m->t, m->log);
	else
		log_kill(&m->t, m->log);
	storage_test_restart(&m->t, stop);
	m->log = log_open(&m->t, "c-0", recovery_point);
	assert_int_equal(m->log->end, m->n);
}

static void test_log(void **state)
{
	static const enum log_dir_stop stops[] = {LOG_DIR_CLEAN, LOG_DIR_KILLED, LOG_DIR_POWER_CUT, LOG_DIR_UNKNOWN};

	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct model *m = MEM_NEW(struct model);
		int64_t cleaned = -1, before;

		model_start(m, seed);
		for (int round = 0; round < 4; round++) {
			for (int i = 0; i < 150; i++)
				model_put(m, seed % 2);
			model_checkpoint(m);
			before = m->log->size_bytes;
			model_compact(m, cleaned, round == 2 ? 40 * OFFSET_MAP_SLOT_LEN : 1 << 20);
			assert_true(m->job.range.dirty_bytes > 0);
			/* It goes on being written to and read. */
			for (int i = 0; i < 3; i++)
				model_put(m, seed % 2);
			model_wait(m);
			assert_int_equal(m->job.err, ERR_NONE);
			assert_true(m->log->size_bytes < before);
			assert_true(m->job.compacted_to > cleaned);
			if (round != 2)
				assert_int_equal(m->job.compacted_to, m->job.range.round_end);
			cleaned = m->job.compacted_to;
			/* The batch that did not fit was begun. */
			m->lenient_to = round == 2 ? cleaned + 6 : 0;
			model_apply(m, cleaned, false);
			model_check(m);
			model_restart(m, stops[(seed + (uint64_t)round) % 4]);
			model_check(m);
		}
		log_close(&m->t, m->log);
		storage_test_deinit(&m->t);
		mem_free(m);
	}
}

/* The horizon is given by the compaction that meets a tombstone, and the next one behind it takes it away. */
static void test_tombstones(void **state)
{
	struct model *m = MEM_NEW(struct model);

	model_start(m, 99);
	m->t.config.delete_retention_ms = 0;
	part_log_set_config(m->log, &m->t.config);
	for (int i = 0; i < 200; i++)
		model_put(m, false);
	model_checkpoint(m);
	model_compact(m, -1, 1 << 20);
	model_wait(m);
	assert_int_equal(m->job.err, ERR_NONE);
	model_apply(m, m->job.compacted_to, false);
	model_check(m);
	model_put(m, false);
	model_compact(m, m->job.compacted_to, 1 << 20);
	model_wait(m);
	model_apply(m, m->job.compacted_to, true);
	model_check(m);
	log_close(&m->t, m->log);
	storage_test_deinit(&m->t);
	mem_free(m);
}

/* A log that is closed or fails ends its compaction, and the next start finds the old log or the new one. */
static void test_cancel(void **state)
{
	for (int turns = 0; turns < 60; turns += 3) {
		struct model *m = MEM_NEW(struct model);

		model_start(m, 5);
		for (int i = 0; i < 150; i++)
			model_put(m, true);
		model_checkpoint(m);
		model_compact(m, -1, 1 << 20);
		for (int i = 0; i < turns; i++)
			turn(&m->t);
		log_close(&m->t, m->log);
		assert_true(m->is_done);
		storage_test_restart(&m->t, LOG_DIR_CLEAN);
		m->log = log_open(&m->t, "c-0", -1);
		if (m->job.err)
			assert_int_equal(m->job.err, ERR_LOG_CLOSED);
		else
			model_apply(m, m->job.compacted_to, false);
		/* Some groups may have been swapped in before it was cancelled. */
		if (!m->job.err || m->job.segments_out == 0)
			model_check(m);
		log_close(&m->t, m->log);
		storage_test_deinit(&m->t);
		mem_free(m);
	}
}

static void test_bad_batch(void **state)
{
	struct model *m = MEM_NEW(struct model);
	uint8_t *p;
	size_t len;

	model_start(m, 6);
	for (int i = 0; i < 100; i++)
		model_put(m, false);
	model_checkpoint(m);
	assert_int_equal(log_get(&m->t, m->log, 0, 1 << 20, &p, &len), ERR_NONE);
	p[BATCH_HEADER_LEN + 3] ^= 0x10;
	file_cut(&m->t, "c-0", "00000000000000000000.log", 0);
	file_put(&m->t, "c-0", "00000000000000000000.log", p, len);
	mem_free(p);
	model_compact(m, -1, 1 << 20);
	model_wait(m);
	assert_int_equal(m->job.err, ERR_CORRUPT_FILE);
	assert_non_null(strstr(m->job.text.text, "00000000000000000000.log"));
	assert_non_null(strstr(m->job.text.text, "position"));
	assert_int_equal(m->log->state, PART_LOG_OPEN);
	assert_int_equal(file_len(&m->t, "c-0", "00000000000000000000.log.cleaned"), -1);
	log_close(&m->t, m->log);
	storage_test_deinit(&m->t);
	mem_free(m);
}

static void test_offset_map(void **state)
{
	struct offset_map map;
	size_t n = 0;
	int key;

	offset_map_init(&map, 5000 * OFFSET_MAP_SLOT_LEN, 0.9, 42);
	for (key = 0; key < 100000; key++) {
		if (!offset_map_put(&map, offset_map_hash(&map, (struct bytes){(uint8_t *)&key, sizeof(key)}), key))
			break;
		n++;
	}
	assert_int_equal(n, 4500);
	assert_true(map.cap <= 5000);
	for (key = 0; key < 6000; key++) {
		struct offset_map_key hash = offset_map_hash(&map, (struct bytes){(uint8_t *)&key, sizeof(key)});

		assert_int_equal(offset_map_get(&map, hash), key < 4500 ? key : -1);
		assert_int_equal(offset_map_put(&map, hash, key + 10), key < 4500);
	}
	offset_map_deinit(&map);
}

/* Bytes of one batch, at the end of the log. */
static int64_t put_bytes(struct model *m, uint8_t *p, size_t len)
{
	struct model_append a = {.append = {.batch = p, .len = len, .done = model_appended}};

	assert_int_equal(batch_check_header((struct bytes){p, len}, BATCH_CHECK_CRC, &a.append.info), ERR_NONE);
	assert_int_equal(part_log_append(m->log, &a.append, 3), ERR_NONE);
	for (int i = 0; i < TURNS_MAX && !a.is_done; i++)
		turn(&m->t);
	assert_true(a.is_done);
	assert_int_equal(a.append.err, ERR_NONE);
	return a.append.info.base_offset;
}

static int64_t put_record(struct model *m, bool is_transactional, const char *key, const char *value)
{
	struct record_fields fields = {.key = {(const uint8_t *)key, strlen(key)},
				       .value = {(const uint8_t *)value, strlen(value)}};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct scratch out = {0};
	struct batch_builder b;
	struct bytes built;
	int64_t offset;

	if (is_transactional) {
		spec.attributes = BATCH_TRANSACTIONAL;
		spec.producer_id = 7;
		spec.producer_epoch = 0;
		spec.base_sequence = 0;
	}
	assert_int_equal(batch_builder_init(&b, &spec, &out, NULL), ERR_NONE);
	assert_int_equal(batch_builder_add(&b, 1000, &fields), ERR_NONE);
	assert_int_equal(batch_builder_finish(&b, &built), ERR_NONE);
	offset = put_bytes(m, out.p, built.len);
	scratch_deinit(&out);
	return offset;
}

/* The record at the offset, or the next one: is it at the offset, with this value? */
static bool is_record_at(struct model *m, int64_t offset, const char *value)
{
	struct batch_info batch;
	struct record_iter records;
	struct record record;
	struct batch_iter it;
	bool is_there;
	uint8_t *p;
	size_t len;

	assert_int_equal(log_get(&m->t, m->log, offset, 700, &p, &len), ERR_NONE);
	it = batch_iter_of((struct bytes){p, len}, BATCH_CHECK_CRC);
	assert_true(batch_iter_next(&it, &batch));
	record_iter_init(&records, &batch, (struct bytes){batch.bytes.p + BATCH_HEADER_LEN,
							  batch.size - BATCH_HEADER_LEN});
	is_there = record_iter_next(&records, &record) && record.offset == offset &&
		   bytes_eq(record.value, (struct bytes){(const uint8_t *)value, strlen(value)});
	mem_free(p);
	return is_there;
}

/* What an aborted transaction wrote takes nothing's place, though the marker that says so is in the active segment,
 * whose index of aborted transactions is in no file yet. */
static void test_aborted_in_the_active_segment(void **state)
{
	struct control_marker marker = {.timestamp = 1000, .producer_id = 7, .leader_epoch = 3};
	uint8_t bytes[CONTROL_MARKER_LEN];
	struct model *m = MEM_NEW(struct model);
	int64_t old, aborted;

	model_start(m, 5);
	old = put_record(m, false, "k", "old");
	aborted = put_record(m, true, "k", "aborted");
	for (int i = 0; i < 100; i++)
		(void)put_record(m, false, "other", "value");
	assert_true(m->log->appended.segment_base > aborted);
	marker.offset = m->log->end;
	control_marker_build(bytes, &marker);
	(void)put_bytes(m, bytes, sizeof(bytes));
	producer_state_settle(&m->log->producers, m->log->end);
	model_checkpoint(m);
	model_compact(m, -1, 1 << 20);
	model_wait(m);
	assert_int_equal(m->job.err, ERR_NONE);
	assert_true(m->job.compacted_to > aborted);
	assert_true(is_record_at(m, old, "old"));
	assert_false(is_record_at(m, aborted, "aborted"));
	log_close(&m->t, m->log);
	storage_test_deinit(&m->t);
	mem_free(m);
}

static struct batch_info txn_batch(int64_t offset, int64_t producer, bool is_control)
{
	return (struct batch_info){.magic = 2, .base_offset = offset, .last_offset = offset, .producer_id = producer,
				   .attributes = (uint16_t)(BATCH_TRANSACTIONAL | (is_control ? BATCH_CONTROL : 0))};
}

static bool txn_see(struct compact_txns *txns, int64_t offset, int64_t producer, int marker)
{
	const uint8_t key[] = {0, 0, 0, (uint8_t)marker};
	struct batch_info batch = txn_batch(offset, producer, marker >= 0);

	return compact_txns_see(txns, &batch, (struct bytes){key, sizeof(key)});
}

static void test_transactions(void **state)
{
	struct aborted_txns all = {0};
	struct compact_txns txns;
	struct batch_info empty = txn_batch(20, 1, true);

	vec_push(&all.list, ((struct aborted_txn){1, 2, 6, 0}));
	vec_push(&all.list, ((struct aborted_txn){2, 8, 9, 0}));
	compact_txns_init(&txns, &all, 1);
	assert_false(txn_see(&txns, 0, 1, -1));
	assert_false(txn_see(&txns, 1, 1, CONTROL_COMMIT)); /* its record is still there */
	assert_true(txn_see(&txns, 2, 1, -1));              /* aborted */
	assert_false(txn_see(&txns, 3, 2, -1));
	assert_false(txn_see(&txns, 5, 2, CONTROL_COMMIT));
	assert_false(txn_see(&txns, 6, 1, CONTROL_ABORT));
	assert_int_equal(txns.kept.list.n, 1);
	assert_int_equal(txns.kept.list.v[0].producer_id, 1);
	assert_true(txn_see(&txns, 9, 2, CONTROL_ABORT)); /* nothing of it was met */
	assert_true(txn_see(&txns, 10, 3, CONTROL_COMMIT));
	assert_true(compact_txns_see(&txns, &empty, BYTES_NULL));
	assert_int_equal(txns.kept.list.n, 1);
	compact_txns_deinit(&txns);
	vec_deinit(&all.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offset_map), cmocka_unit_test(test_transactions), cmocka_unit_test(test_log),
		cmocka_unit_test(test_aborted_in_the_active_segment),
		cmocka_unit_test(test_tombstones), cmocka_unit_test(test_cancel), cmocka_unit_test(test_bad_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
