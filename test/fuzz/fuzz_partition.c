/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition of transactions: batches of a few producers and markers of any content in some segments, a snapshot and
 * an index of aborted transactions of any content or as the log has them, opened as after each kind of stop; then led,
 * written to and read, and opened again.
 *
 * 1. What an opening finds is sound, a second one finds the same, and the transactions that are listed as aborted lie
 *    within the log, in the order of their ends.
 * 2. What is served is whole and in order. Committed readers get what the markers let them have, all of it and nothing
 *    else, unless damage was told of; a time is found where a plain scan finds it.
 * 3. What was acknowledged is there, in its place, after every stop that it survives.
 *
 * Input: how it was left and whether appends are synced, where the snapshot stands, flags (1: the snapshot's checksum
 * is made right, 2: the versions of the index, 4: both are as the log has them, and a byte each says how they are
 * damaged, 8: there is no file of epochs), lengths of snapshot and index, start of the log, recovery point, number of
 * batches; the bytes of snapshot and index; then batches of 10 bytes: kind, producer, epoch, sequence (2), version and
 * type of a marker, lengths of its key and value, a bit of the header to change (0: none), time, whether a segment
 * begins behind it; then what is done with it, 6 bytes each.
 */
#include <inttypes.h>
#include <stdio.h>

#include "batch_build.h"
#include "control.h"
#include "crc32c.h"
#include "fuzz_log.h"
#include "log.h"
#include "mem.h"
#include "partition_model.h"
#include "txn_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_HEAD 8
#define INPUT_BATCH 10
#define INPUT_STEP 6
#define BATCHES_MAX 48
#define STEPS_MAX 48
#define REOPENINGS_MAX 3
#define SEGMENT_BYTES 600
#define LEADER_EPOCH 1000

/* What the log of events tells. */
struct told {
	struct log_sink sink;
	int damaged_n;
	int lost_n; /* ends that were cut off, offsets that were on the disk */
};

static void told_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	struct told *told = container_of(sink, struct told, sink);

	told->damaged_n += strcmp(event, "log.damaged") == 0;
	told->lost_n += strcmp(event, "log.lost") == 0 || strcmp(event, "log.truncated") == 0;
}

/* ---- the files ---- */

struct maker {
	struct mem_disk *disk;
	struct scratch log; /* of the segment at `base` */
	int64_t base, next;
	struct producer_state producers; /* as the log has them below `snapshot_at` */
	int64_t snapshot_at;
	bool has_flips; /* some batch was damaged */
	bool is_true; /* snapshot and index are as the log has them */
	struct scratch index;
};

static void maker_put_index(struct maker *m)
{
	char name[40];

	snprintf(name, sizeof(name), "%020" PRId64 ".txnindex", m->base);
	if (m->index.len)
		fuzz_log_write(m->disk, name, m->index.p, m->index.len);
	m->index.len = 0;
}

static void maker_end_segment(struct maker *m)
{
	char name[40];

	snprintf(name, sizeof(name), "%020" PRId64 ".log", m->base);
	fuzz_log_write(m->disk, name, m->log.p ? m->log.p : (const uint8_t *)"", m->log.len);
	m->log.len = 0;
	if (m->is_true)
		maker_put_index(m);
	m->base = m->next;
}

/* What a start that meets the batch makes of it. */
static void maker_know(struct maker *m, struct bytes built)
{
	uint8_t entry[TXN_ENTRY_LEN];
	struct aborted_txn txn;
	struct batch_info info;
	enum err err = batch_check_header(built, BATCH_CHECK_CRC, &info);

	CHECK_OP(err, ==, ERR_NONE);
	if (producer_state_aborts(&m->producers, &info, &txn)) {
		txn_entry_encode(&txn, entry);
		err = scratch_append(&m->index, entry, sizeof(entry));
		CHECK_OP(err, ==, ERR_NONE);
	}
	if (m->next <= m->snapshot_at)
		producer_state_append(&m->producers, &info, NULL);
}

static void maker_put_batch(struct maker *m, const uint8_t *p)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {.value = {p, INPUT_BATCH}};
	struct batch_builder b;
	struct bytes built;
	size_t start = m->log.len;
	bool is_control = p[0] % 3 == 2;
	uint8_t key[4] = {0, p[5] / 16, 0, p[5] % 16};
	uint8_t value[6] = {0, p[5] / 64, 0, 0, 0, p[2]};
	int records_n = is_control ? 1 : 1 + p[0] / 64;
	enum err err;

	spec.base_offset = m->next;
	spec.producer_id = p[1] % 4;
	spec.producer_epoch = (int16_t)(p[2] % 4);
	spec.base_sequence = is_control ? -1 : p[3] << 8 | p[4];
	spec.leader_epoch = (int32_t)(m->next / 20);
	spec.attributes = (p[0] % 3 ? BATCH_TRANSACTIONAL : 0) | (is_control ? BATCH_CONTROL : 0);
	if (is_control) {
		fields.key = (struct bytes){key, p[6] % 8 ? sizeof(key) : p[6] / 8 % 5};
		fields.value = (struct bytes){value, p[6] % 8 ? sizeof(value) : p[6] / 40 % 7};
	}
	err = batch_builder_init(&b, &spec, &m->log, NULL);
	for (int i = 0; !err && i < records_n; i++)
		err = batch_builder_add(&b, 1000 + 10 * p[8] + i, &fields);
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
	m->next += records_n;
	maker_know(m, built);
	m->has_flips = m->has_flips || p[7];
	if (p[7])
		m->log.p[start + p[7] % BATCH_HEADER_LEN] ^= (uint8_t)(1 << (p[7] % 8));
	if (p[9] % 4 == 3)
		maker_end_segment(m);
}

/* Any bytes. */
static size_t put_any(struct maker *m, const uint8_t *data, size_t size)
{
	size_t snapshot_len = MIN((size_t)data[3], size - INPUT_HEAD), txn_len, at = INPUT_HEAD;
	uint8_t small[256];
	char name[40];

	memcpy(small, data + at, snapshot_len);
	at += snapshot_len;
	if (data[2] & 1 && snapshot_len >= 10) {
		store_be16(small, 1);
		store_be32(small + 6, (uint32_t)((snapshot_len - 10) / 46));
		snapshot_len = 10 + (snapshot_len - 10) / 46 * 46;
		store_be32(small + 2, crc32c(0, small + 6, snapshot_len - 6));
	}
	snprintf(name, sizeof(name), "%020d.snapshot", data[1] % 64);
	fuzz_log_write(m->disk, name, small, snapshot_len);
	txn_len = MIN((size_t)data[4], size - at);
	memcpy(small, data + at, txn_len);
	at += txn_len;
	if (data[2] & 2) {
		txn_len -= txn_len % TXN_ENTRY_LEN;
		for (size_t i = 0; i < txn_len; i += TXN_ENTRY_LEN)
			store_be16(small + i, 0);
	}
	fuzz_log_write(m->disk, "00000000000000000000.txnindex", small, txn_len);
	return at;
}

/* What was true, perhaps damaged so that it can be seen. */
static void put_true(struct maker *m, const uint8_t *data)
{
	struct bytes snapshot = producer_state_encode(&m->producers);
	uint8_t *p = (uint8_t *)(uintptr_t)snapshot.p;
	char name[40];

	if (data[3])
		p[data[3] % snapshot.len] ^= (uint8_t)(1 << data[3] % 8);
	snprintf(name, sizeof(name), "%020" PRId64 ".snapshot", m->producers.map_end_offset);
	fuzz_log_write(m->disk, name, snapshot.p, snapshot.len - (data[3] == 255));
	mem_free(p);
	if (data[4] % 4)
		fuzz_log_write(m->disk, "00000000000000000000.txnindex", "\0\1damaged", data[4] % 4 == 1 ? 0 : 9);
}

static void put_epochs(struct maker *m)
{
	char text[200];
	int n = 0, len;

	len = snprintf(text, sizeof(text), "0\n%d\n", (int)(m->next + 19) / 20);
	for (int64_t offset = 0; offset < m->next; offset += 20, n++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%d %" PRId64 "\n", n, offset);
	fuzz_log_write(m->disk, "leader-epoch-checkpoint", text, (size_t)len);
}

/* Returns where the steps begin. */
static size_t put_files(struct mem_disk *disk, const uint8_t *data, size_t size, bool *ret_has_flips)
{
	struct maker m = {.disk = disk, .is_true = (data[2] & 4) != 0, .snapshot_at = data[1] % 64};
	size_t at = m.is_true ? INPUT_HEAD : put_any(&m, data, size), n = data[7] % BATCHES_MAX;

	producer_state_init(&m.producers, 5);
	for (size_t i = 0; i < n && at + INPUT_BATCH <= size; i++, at += INPUT_BATCH) {
		maker_put_batch(&m, data + at);
		if (m.next <= m.snapshot_at)
			m.producers.map_end_offset = m.next;
	}
	maker_end_segment(&m);
	if (m.is_true)
		put_true(&m, data);
	if (!(data[2] & 8) && m.next)
		put_epochs(&m);
	*ret_has_flips = m.has_flips;
	producer_state_deinit(&m.producers);
	scratch_deinit(&m.log);
	scratch_deinit(&m.index);
	return at;
}

/* ---- openings ---- */

static void check_load(const struct log_load *load)
{
	int64_t last = -1;

	CHECK_OP(load->log_start, <=, load->end);
	for (size_t i = 0; i < load->aborted.list.n; i++) {
		const struct aborted_txn *txn = &load->aborted.list.v[i];

		CHECK_OP(txn->first_offset, <=, txn->last_offset);
		CHECK_OP(txn->first_offset, >=, 0);
		CHECK_OP(txn->last_offset, <, load->end);
		CHECK_OP(txn->last_offset, >=, last);
		last = txn->last_offset;
	}
}

static void check_same(const struct log_load *a, const struct log_load *b)
{
	CHECK_OP(a->producers.by_id.n, ==, b->producers.by_id.n);
	CHECK_OP(a->aborted.list.n, ==, b->aborted.list.n);
	CHECK_OP(producer_state_first_unstable(&a->producers) == INT64_MAX, ==,
		 producer_state_first_unstable(&b->producers) == INT64_MAX);
}

/* A start that trusts a snapshot may know what is damaged in the log, or what is not so. */
static void open_twice(struct mem_disk *disk, enum log_dir_stop stop, bool knows_all, const struct told *told)
{
	struct log_load load, again;
	enum err err;

	if (!fuzz_log_open(disk, &load, stop, 0)) {
		check_load(&load);
		err = fuzz_log_open(disk, &again, LOG_DIR_KILLED, load.recovery_point);
		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(load.end, ==, again.end);
		if (knows_all && told->damaged_n == 0)
			check_same(&load, &again);
		log_load_deinit(&again, &disk->fs);
	}
	log_load_deinit(&load, &disk->fs);
}

/* ---- a life ---- */

struct life {
	struct mem_disk *disk;
	struct live_options options;
	struct live_partition live;
	struct model model; /* at the last look */
	bool has_model;
	bool has_flips;  /* also where nobody looks */
	bool is_damaged; /* was at a look; also when that is deleted later */
	bool knows_all;
	const struct told *told;
	int reopenings_n;
};

static bool life_begin(struct life *life)
{
	life->options.leader_epoch++;
	return live_begin(&life->live, life->disk, &life->options);
}

static void life_look(struct life *life, int64_t max_bytes, int64_t timestamp_ms)
{
	if (life->has_model)
		model_deinit(&life->model);
	live_settle(&life->live);
	model_read(&life->model, &life->live, max_bytes);
	life->has_model = true;
	life->is_damaged = life->is_damaged || life->model.has_holes;
	model_check_committed(&life->model, &life->live, max_bytes, life->knows_all && !life->is_damaged);
	for (int i = 0; i < 2; i++) {
		model_check_time(&life->model, &life->live, timestamp_ms, i);
		model_check_time(&life->model, &life->live, INT64_MIN, i);
	}
}

static void life_append(struct life *life, const uint8_t *p)
{
	struct part_log *log = life->live.partition->log;
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {.value = {p, INPUT_STEP}};
	const struct producer_entry *entry;
	struct scratch out = {0};
	struct batch_builder b;
	struct bytes built;
	int64_t end = log->end, offset;
	enum err err;

	spec.producer_id = p[1] % 5 - 1;
	if (spec.producer_id >= 0) {
		entry = producer_table_get(&log->producers.by_id, spec.producer_id);
		spec.producer_epoch = entry && entry->epoch > 0 ? entry->epoch : 0;
		spec.base_sequence = p[5] == 1 ? p[4] : entry && entry->batches_n
				     ? sequence_add(entry->batches[entry->batches_n - 1].last_seq, 1) : 0;
		if (p[2] & 1)
			spec.attributes = BATCH_TRANSACTIONAL;
	}
	err = batch_builder_init(&b, &spec, &out, NULL);
	for (int i = 0; !err && i <= p[3] % 3; i++)
		err = batch_builder_add(&b, 1000 + 10 * p[4] + i, &fields);
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
	err = live_produce(&life->live, built, &offset);
	if (err)
		CHECK_OP(log->end, ==, end);
	else
		CHECK_OP(log->end, >=, offset + 1 + p[3] % 3);
	scratch_deinit(&out);
}

static void life_mark(struct life *life, const uint8_t *p)
{
	struct part_log *log = life->live.partition->log;
	const struct producer_entry *entry = producer_table_get(&log->producers.by_id, p[1] % 4);
	int16_t epoch = (int16_t)((entry && entry->epoch > 0 ? entry->epoch & 0xfff : 0) + p[2] % 2);
	int32_t coordinator_epoch = (entry ? entry->coordinator_epoch & 0xffff : 0) + p[3] % 2;
	int64_t end = log->end;
	enum err err = live_mark(&life->live, p[1] % 4, epoch, coordinator_epoch, p[4] % 2, p[5] % 3);

	CHECK_OP(log->end, ==, end + (err ? 0 : 1));
}

static void life_trim(struct life *life, uint8_t at)
{
	struct part_log *log = life->live.partition->log;
	int64_t span = life->live.partition->high_watermark.offset - log->log_start;

	part_log_set_start(log, log->log_start + at % (span + 1));
}

/* Ends it in one of the ways and begins again. False: it does not open any more. */
static bool life_reopen(struct life *life, uint8_t way)
{
	struct part_log *log = life->live.partition->log;
	struct model before;
	bool is_durable = life->options.durability == STORAGE_SYNCED;
	int lost_n = life->told->lost_n;
	int64_t kept;

	life_look(life, 200, 1000);
	before = life->model;
	life->has_model = false;
	kept = way % 3 == 2 ? log->durable.offset : log->end;
	if (is_durable)
		CHECK_OP(kept, ==, log->end);
	life->options.recovery_point = log->recovery_point;
	life->options.log_start = log->log_start;
	live_end(&life->live, way % 3 == 0);
	if (way % 3 == 0)
		life->options.recovery_point = before.end;
	if (way % 3 == 1)
		mem_disk_kill(life->disk);
	if (way % 3 == 2)
		mem_disk_power_cut(life->disk);
	life->options.stop = way % 3 == 0 ? LOG_DIR_CLEAN : way % 3 == 1 ? LOG_DIR_KILLED : LOG_DIR_POWER_CUT;
	if (!life_begin(life)) {
		CHECK(life->is_damaged);
		model_deinit(&before);
		return false;
	}
	life_look(life, 200, 1000);
	/* Behind damage that a start looks at the log ends. */
	if (!life->has_flips || life->told->lost_n == lost_n) {
		CHECK_OP(life->model.end, >=, kept);
		CHECK_OP(life->model.log_start, ==, before.log_start);
		if (!life->is_damaged)
			model_check_kept(&before, &life->model, kept);
	}
	model_deinit(&before);
	return true;
}

static void life_run(struct life *life, const uint8_t *data, size_t size)
{
	bool is_open = life_begin(life);

	if (is_open)
		life_look(life, 1, 1000);
	for (size_t at = 0, n = 0; is_open && at + INPUT_STEP <= size && n < STEPS_MAX; at += INPUT_STEP, n++) {
		const uint8_t *p = data + at;

		switch (p[0] % 8) {
		case 0:
		case 1:
		case 2:
			life_append(life, p);
			break;
		case 3:
			life_mark(life, p);
			break;
		case 4:
			live_checkpoint(&life->live);
			break;
		case 5:
			life_trim(life, p[1]);
			break;
		case 6:
			life_look(life, p[1] * 4, 990 + p[2] * 5);
			break;
		default:
			if (life->reopenings_n++ < REOPENINGS_MAX)
				is_open = life_reopen(life, p[1]);
		}
	}
	if (is_open)
		is_open = life_reopen(life, (uint8_t)(size % 3));
	live_end(&life->live, is_open);
	if (life->has_model)
		model_deinit(&life->model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told told = {.sink = {.level = LOG_WARN, .write = told_write}};
	struct log_sink *before = log_sink_set(&told.sink);
	struct mem_disk disk;
	struct life life = {.disk = &disk, .told = &told};
	size_t at;
	enum err err;

	if (size < INPUT_HEAD)
		return 0;
	mem_disk_init(&disk, 1);
	err = disk.fs.ops->mkdir(&disk.fs, FUZZ_LOG_PATH);
	if (!err)
		err = disk.fs.ops->sync_all(&disk.fs, FS_FILE_NONE);
	at = put_files(&disk, data, size, &life.has_flips);
	/* What a process that was killed left may not be on the disk, but for what a checkpoint says of it. */
	if (!err && (data[0] % 4 != LOG_DIR_KILLED || data[6] % 128 > 1))
		err = disk.fs.ops->sync_all(&disk.fs, FS_FILE_NONE);
	CHECK_OP(err, ==, ERR_NONE);
	life.knows_all = !(data[2] & 1) || (data[2] & 4);
	if (data[0] & 0x10) {
		open_twice(&disk, (enum log_dir_stop)(data[0] % 4), life.knows_all, &told);
	} else {
		life.options = (struct live_options){
			.durability = data[0] & 4 ? STORAGE_SYNCED : STORAGE_PAGE_CACHE,
			.stop = (enum log_dir_stop)(data[0] % 4),
			.recovery_point = data[6] % 128 - 1,
			.log_start = data[5] % 2 ? data[5] / 2 : -1,
			.segment_bytes = SEGMENT_BYTES,
			.leader_epoch = LEADER_EPOCH,
		};
		life_run(&life, data + at, size - at);
	}
	mem_disk_deinit(&disk);
	log_sink_set(before);
	return 0;
}
