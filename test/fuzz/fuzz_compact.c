/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction against a naive model: any batches in, any segments, any pace and size of its pieces. Of the records below
 * the end of its map the newest of each key is left, all others, and those without a key, are gone; above it all are
 * there, each at its offset, with its key and value.
 *
 * Input: a byte for the size of the pieces, one for the size of the map; then per batch a byte (records, codec, a gap
 * before it, a new segment after it) and a byte per record (key, tombstone).
 */
#include <inttypes.h>
#include <stdio.h>

#include "batch_build.h"
#include "compact.h"
#include "fuzz_log.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 200
#define SEGMENTS_MAX 12
#define KEYS_N 7 /* the last: none */
#define NO_RECORD (-1)

struct model {
	struct mem_disk disk;
	struct segment segments[SEGMENTS_MAX];
	int segments_n;
	int keys[RECORDS_MAX]; /* by offset; NO_RECORD: a gap */
	bool is_tombstone[RECORDS_MAX];
	bool is_seen[RECORDS_MAX];
	int64_t end;
	bool packs; /* some batches are compressed */
	struct scratch log; /* of the segment that is made */
	struct compress_ctx ctx;
};

static void segment_write(struct model *m)
{
	struct segment *segment = &m->segments[m->segments_n];
	char name[64];

	snprintf(name, sizeof(name), "%020" PRId64 ".log", segment->base);
	fuzz_log_write(&m->disk, name, m->log.p, m->log.len);
	segment->size = (int64_t)m->log.len;
	segment->next_offset = m->end;
	snprintf(name, sizeof(name), "%020" PRId64 ".index", segment->base);
	fuzz_log_write(&m->disk, name, "", 0);
	snprintf(name, sizeof(name), "%020" PRId64 ".timeindex", segment->base);
	fuzz_log_write(&m->disk, name, "", 0);
	m->log.len = 0;
	m->segments_n++;
	m->segments[m->segments_n] = SEGMENT_INIT(m->end);
}

/* Takes its bytes; returns how many. */
static size_t batch_make(struct model *m, const uint8_t *data, size_t size)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct bytes built;
	uint8_t what = data[0];
	size_t n = MIN((size_t)(what & 3) + 1, size - 1);
	enum err err;

	if (what & 0x40)
		m->keys[m->end++] = NO_RECORD;
	spec.base_offset = m->end;
	spec.codec = m->packs ? (enum codec)((what >> 2 & 7) % CODEC_N) : CODEC_NONE;
	err = batch_builder_init(&b, &spec, &m->log, &m->ctx);
	for (size_t i = 0; !err && i < n; i++) {
		uint8_t key = data[1 + i] % KEYS_N, value[8];
		struct record_fields fields = {.value = {value, sizeof(value)}};

		store_be64(value, (uint64_t)m->end);
		m->keys[m->end] = key;
		m->is_tombstone[m->end] = data[1 + i] & 0x80;
		if (key < KEYS_N - 1)
			fields.key = (struct bytes){&key, 1};
		if (m->is_tombstone[m->end])
			fields.value = BYTES_NULL;
		err = batch_builder_add(&b, 1000 + m->end, &fields);
		m->end++;
	}
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
	return 1 + n;
}

static void log_make(struct model *m, const uint8_t *data, size_t size)
{
	size_t at = 0;

	m->segments[0] = SEGMENT_INIT(0);
	while (at + 2 <= size && m->end + 6 < RECORDS_MAX && m->segments_n + 2 < SEGMENTS_MAX) {
		bool is_last = data[at] & 0x80;

		at += batch_make(m, data + at, size - at);
		if (is_last)
			segment_write(m);
	}
	if (m->log.len)
		segment_write(m);
}

/* All but the last segment. Returns the end of its map. */
static int64_t log_compact(struct model *m, int64_t piece, size_t map_bytes)
{
	struct compact_options options = {
		.round_end = m->segments[m->segments_n - 1].base,
		.now_ms = 1000000,
		.delete_retention_ms = 86400000,
		.segment_bytes = 600,
		.index_bytes = 1000,
		.index_interval_bytes = 100,
		.map_bytes_max = map_bytes,
		.map_load_factor = 0.9,
		.seed = 5,
	};
	struct compact c;
	int64_t bytes, end;
	bool is_begun;
	enum err err = ERR_NONE;

	compact_init(&c, FUZZ_LOG_PATH, &options);
	for (int i = 0; i + 1 < m->segments_n; i++)
		vec_push(&c.segments.list, m->segments[i]);
	for (int n = 0; !err && c.phase != COMPACT_DONE; n++) {
		CHECK_OP(n, <, 100000); /* it comes to an end */
		if (c.phase == COMPACT_SWAP) {
			err = compact_swap(&c, &m->disk.fs, &is_begun);
			compact_swapped(&c);
		} else {
			err = compact_step(&c, &m->disk.fs, piece, &bytes);
		}
	}
	CHECK_OP(err, ==, ERR_NONE);
	end = c.compacted_to;
	compact_deinit(&c, &m->disk.fs);
	return end;
}

static void record_check(struct model *m, const struct record *record)
{
	int key;

	CHECK(record->offset >= 0);
	CHECK_OP(record->offset, <, m->end);
	CHECK(!m->is_seen[record->offset]);
	m->is_seen[record->offset] = true;
	key = m->keys[record->offset];
	CHECK(key != NO_RECORD);
	CHECK_OP(record->timestamp, ==, 1000 + record->offset);
	CHECK_OP((int)record->key.len, ==, key < KEYS_N - 1 ? 1 : 0);
	if (record->key.len)
		CHECK_OP((int)record->key.p[0], ==, key);
	if (m->is_tombstone[record->offset])
		CHECK(!record->value.p);
	else
		CHECK_OP((int64_t)load_be64(record->value.p), ==, record->offset);
}

static void segment_read(struct model *m, struct bytes log)
{
	struct batch_iter it = batch_iter_of(log, BATCH_CHECK_CRC);
	struct batch_info batch;

	while (batch_iter_next(&it, &batch)) {
		struct scratch plain = {0};
		struct record_iter records;
		struct record record;
		struct bytes payload;
		enum err err = batch_payload(&batch, &m->ctx, &plain, &payload);

		CHECK_OP(err, ==, ERR_NONE);
		record_iter_init(&records, &batch, payload);
		while (record_iter_next(&records, &record))
			record_check(m, &record);
		CHECK_OP(records.err, ==, ERR_NONE);
		scratch_deinit(&plain);
	}
	CHECK_OP(it.err, ==, ERR_NONE);
}

static void log_read(struct model *m)
{
	for (size_t i = 0; i < m->disk.visible.list.n; i++) {
		const char *path = m->disk.visible.list.v[i].path;
		size_t len = strlen(path);

		if (len > 4 && strcmp(path + len - 4, ".log") == 0)
			segment_read(m, mem_disk_peek(&m->disk, path));
		/* Nothing half done lies about. */
		CHECK(!strstr(path, ".cleaned"));
		CHECK(!strstr(path, ".swap"));
	}
}

static void model_compare(const struct model *m, int64_t map_end)
{
	bool has_newer[KEYS_N] = {[KEYS_N - 1] = true};

	for (int64_t at = m->end; at-- > 0;) {
		int key = m->keys[at];

		if (key == NO_RECORD)
			continue;
		CHECK_OP((int)m->is_seen[at], ==, at >= map_end || !has_newer[key] ? 1 : 0);
		if (at < map_end)
			has_newer[key] = true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *m;
	enum err err;

	if (size < 4)
		return 0;
	m = MEM_NEW(struct model);
	mem_disk_init(&m->disk, 1);
	err = m->disk.fs.ops->mkdir(&m->disk.fs, FUZZ_LOG_PATH);
	CHECK_OP(err, ==, ERR_NONE);
	m->packs = data[0] < 32; /* setting up codecs takes most of the time */
	log_make(m, data + 2, size - 2);
	if (m->segments_n > 1) {
		int64_t map_end = log_compact(m, 1 + data[0] * 8, data[1] & 1 ? MIB(1) : (size_t)200 + data[1] * 4);

		log_read(m);
		model_compare(m, map_end);
	}
	scratch_deinit(&m->log);
	compress_ctx_deinit(&m->ctx);
	mem_disk_deinit(&m->disk);
	mem_free(m);
	return 0;
}
