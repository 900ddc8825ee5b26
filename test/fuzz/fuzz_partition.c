/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition of transactions: batches of a few producers and markers of any content, a snapshot and an index of
 * aborted transactions of any content, opened as after each kind of stop. What is found is sound, a second opening
 * finds the same, and the transactions that are listed as aborted lie within the log, in the order of their ends.
 *
 * Input: how it was left, where the snapshot stands, flags (1: the snapshot's checksum is made right, 2: the versions
 * of the index), lengths of snapshot and index, their bytes; then batches of 8 bytes: kind, producer, epoch, sequence
 * (2), version and type of a marker, a bit of the header to change (0: none).
 */
#include <stdio.h>

#include "batch_build.h"
#include "control.h"
#include "crc32c.h"
#include "fuzz_log.h"
#include "log.h"
#include "mem.h"
#include "txn_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_HEAD 5
#define INPUT_BATCH 8
#define BATCHES_MAX 64

static void quiet_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

static void put_batch(struct scratch *log, int64_t offset, const uint8_t *p)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct record_fields fields = {.value = {p, INPUT_BATCH}};
	struct batch_builder b;
	struct bytes built;
	size_t start = log->len;
	bool is_control = p[0] % 3 == 2;
	uint8_t key[4] = {0, p[5] / 16, 0, p[5] % 16};
	uint8_t value[6] = {0, p[5] / 64, 0, 0, 0, p[2]};
	enum err err;

	spec.base_offset = offset;
	spec.producer_id = p[1] % 4;
	spec.producer_epoch = (int16_t)(p[2] % 4);
	spec.base_sequence = is_control ? -1 : p[3] << 8 | p[4];
	spec.leader_epoch = (int32_t)(offset / 20);
	spec.attributes = (p[0] % 3 ? BATCH_TRANSACTIONAL : 0) | (is_control ? BATCH_CONTROL : 0);
	if (is_control) {
		fields.key = (struct bytes){key, p[6] % 5};
		fields.value = (struct bytes){value, p[6] % 7};
	}
	err = batch_builder_init(&b, &spec, log, NULL);
	if (!err)
		err = batch_builder_add(&b, 1000 + offset, &fields);
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
	if (p[7])
		((uint8_t *)log->p)[start + p[7] % BATCH_HEADER_LEN] ^= (uint8_t)(1 << (p[7] % 8));
}

static void put_files(struct mem_disk *disk, const uint8_t *data, size_t size)
{
	struct scratch log = {0};
	size_t snapshot_len = MIN((size_t)data[3], size - INPUT_HEAD), txn_len, at = INPUT_HEAD;
	uint8_t small[256];
	int64_t n = 0;
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
	fuzz_log_write(disk, name, small, snapshot_len);
	txn_len = MIN((size_t)data[4], size - at);
	memcpy(small, data + at, txn_len);
	at += txn_len;
	if (data[2] & 2) {
		txn_len -= txn_len % TXN_ENTRY_LEN;
		for (size_t i = 0; i < txn_len; i += TXN_ENTRY_LEN)
			store_be16(small + i, 0);
	}
	fuzz_log_write(disk, "00000000000000000000.txnindex", small, txn_len);
	for (; at + INPUT_BATCH <= size && n < BATCHES_MAX; at += INPUT_BATCH)
		put_batch(&log, n++, data + at);
	fuzz_log_write(disk, "00000000000000000000.log", log.p ? log.p : small, log.len);
	scratch_deinit(&log);
}

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
	CHECK_OP(a->end, ==, b->end);
	CHECK_OP(a->producers.by_id.n, ==, b->producers.by_id.n);
	CHECK_OP(a->aborted.list.n, ==, b->aborted.list.n);
	CHECK_OP(producer_state_first_unstable(&a->producers) == INT64_MAX, ==,
		 producer_state_first_unstable(&b->producers) == INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_sink quiet = {.level = LOG_ERROR, .write = quiet_write};
	struct log_sink *before = log_sink_set(&quiet);
	struct mem_disk disk;
	struct log_load load, again;
	enum err err;

	if (size < INPUT_HEAD)
		return 0;
	mem_disk_init(&disk, 1);
	err = disk.fs.ops->mkdir(&disk.fs, FUZZ_LOG_PATH);
	CHECK_OP(err, ==, ERR_NONE);
	put_files(&disk, data, size);
	if (!fuzz_log_open(&disk, &load, (enum log_dir_stop)(data[0] % 4), 0)) {
		check_load(&load);
		err = fuzz_log_open(&disk, &again, LOG_DIR_KILLED, load.recovery_point);
		CHECK_OP(err, ==, ERR_NONE);
		check_same(&load, &again);
		log_load_deinit(&again, &disk.fs);
	}
	log_load_deinit(&load, &disk.fs);
	mem_disk_deinit(&disk);
	log_sink_set(before);
	return 0;
}
