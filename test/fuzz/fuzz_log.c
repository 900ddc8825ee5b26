/* SPDX-License-Identifier: Apache-2.0 */
/* See fuzz_log.h. */
#include "fuzz_log.h"

#include <inttypes.h>
#include <stdio.h>

#include "batch_build.h"
#include "index_file.h"
#include "mem.h"

void fuzz_log_write(struct mem_disk *disk, const char *name, const void *p, size_t len)
{
	char path[200];
	fs_file file;
	enum err err;

	snprintf(path, sizeof(path), FUZZ_LOG_PATH "/%s", name);
	err = fs_open(&disk->fs, path, FS_WRITE | FS_CREATE | FS_TRUNCATE, &file);
	CHECK_OP(err, ==, ERR_NONE);
	err = fs_pwrite_all(&disk->fs, file, p, len, 0);
	CHECK_OP(err, ==, ERR_NONE);
	fs_close(&disk->fs, file);
}

static void batch_put(struct scratch *out, int64_t offset)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct record_fields fields = {.value = {(const uint8_t *)"value", 5}};
	struct bytes bytes;
	enum err err;

	spec.base_offset = offset;
	spec.producer_id = 7;
	spec.producer_epoch = 0;
	spec.base_sequence = (int32_t)offset;
	spec.leader_epoch = (int32_t)(offset / 30);
	err = batch_builder_init(&b, &spec, out, NULL);
	for (int i = 0; !err && i < FUZZ_LOG_RECORDS; i++)
		err = batch_builder_add(&b, 1000 + offset + i, &fields);
	if (!err)
		err = batch_builder_finish(&b, &bytes);
	CHECK_OP(err, ==, ERR_NONE);
}

static void segment_make(struct mem_disk *disk, int64_t base)
{
	struct scratch log = {0};
	uint8_t index[FUZZ_LOG_BATCHES * INDEX_ENTRY_LEN], times[FUZZ_LOG_BATCHES * TIME_ENTRY_LEN];
	char name[64];
	size_t n = 0;

	for (int64_t offset = base; offset < base + FUZZ_LOG_PER_SEGMENT; offset += FUZZ_LOG_RECORDS) {
		struct index_entry entry = {offset + FUZZ_LOG_RECORDS - 1, (int64_t)log.len};
		struct time_entry time = {1000 + entry.offset, entry.offset};

		if (log.len) {
			index_entry_encode(&entry, base, index + n * INDEX_ENTRY_LEN);
			time_entry_encode(&time, base, times + n * TIME_ENTRY_LEN);
			n++;
		}
		batch_put(&log, offset);
	}
	snprintf(name, sizeof(name), "%020" PRId64 ".log", base);
	fuzz_log_write(disk, name, log.p, log.len);
	snprintf(name, sizeof(name), "%020" PRId64 ".index", base);
	fuzz_log_write(disk, name, index, n * INDEX_ENTRY_LEN);
	snprintf(name, sizeof(name), "%020" PRId64 ".timeindex", base);
	fuzz_log_write(disk, name, times, n * TIME_ENTRY_LEN);
	scratch_deinit(&log);
}

void fuzz_log_make(struct mem_disk *disk)
{
	struct producer_state producers;
	struct bytes snapshot;
	char name[64];
	enum err err;

	mem_disk_init(disk, 1);
	err = disk->fs.ops->mkdir(&disk->fs, FUZZ_LOG_PATH);
	CHECK_OP(err, ==, ERR_NONE);
	producer_state_init(&producers, 1);
	for (int64_t base = 0; base < FUZZ_LOG_END; base += FUZZ_LOG_PER_SEGMENT) {
		segment_make(disk, base);
		snapshot = producer_state_encode(&producers);
		snprintf(name, sizeof(name), "%020" PRId64 ".snapshot", base);
		fuzz_log_write(disk, name, snapshot.p, snapshot.len);
		mem_free((void *)(uintptr_t)snapshot.p);
	}
	producer_state_deinit(&producers);
	fuzz_log_write(disk, "leader-epoch-checkpoint", "0\n3\n0 0\n1 30\n2 60\n", 18);
	fuzz_log_write(disk, "partition.metadata", "version: 0\ntopic_id: oWyt804ZzG25SDDJ3kmR9g", 43);
}

enum err fuzz_log_open(struct mem_disk *disk, struct log_load *load, enum log_dir_stop stop, int64_t recovery_point)
{
	*load = (struct log_load){.dir_path = FUZZ_LOG_DIR,
				  .name = FUZZ_LOG_NAME,
				  .path = FUZZ_LOG_PATH,
				  .unique = {1, 2},
				  .index_interval_bytes = 50,
				  .stop = stop,
				  .truncate_to = INT64_MAX,
				  .snapshot_keep = -1,
				  .recovery_point = recovery_point,
				  .log_start = -1,
				  .active = FS_FILE_NONE};
	producer_state_init(&load->producers, 3);
	return log_load_run(load, &disk->fs);
}
