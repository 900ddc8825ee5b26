/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log directory damaged at random, opened as after each kind of stop. Whatever comes of it must be sound: good
 * batches up to the end after a check with checksums, and a second opening that finds the same.
 *
 * Input: how it was left, the recovery point, then edits of 5 bytes: file, what, position (2), value.
 */
#include "batch_scan.h"
#include "fuzz_log.h"
#include "log.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quiet_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

static void edit(struct mem_disk *disk, const uint8_t *p)
{
	size_t n = disk->visible.list.n, at = p[0] % n;
	const char *path = disk->visible.list.v[at].path;
	size_t pos = (size_t)p[2] << 8 | p[3];
	struct bytes content = mem_disk_peek(disk, path);
	uint8_t *copy;
	size_t len = content.len;

	if (strncmp(path, FUZZ_LOG_PATH "/", sizeof(FUZZ_LOG_PATH)) != 0)
		return;
	copy = mem_calloc(1, len + 256);
	if (len)
		memcpy(copy, content.p, len);
	switch (p[1] % 4) {
	case 0:
		if (len)
			copy[pos % len] = p[4];
		break;
	case 1:
		len = len ? pos % (len + 1) : 0;
		break;
	case 2:
		memset(copy + len, p[4], 1 + pos % 255);
		len += 1 + pos % 255;
		break;
	default:
		/* A later batch, whole, at the wrong place. */
		if (len > 200)
			memmove(copy + pos % (len - 100), copy + (pos * 7) % (len - 100), 100);
	}
	fuzz_log_write(disk, path + sizeof(FUZZ_LOG_PATH), copy, len);
	mem_free(copy);
}

/* Headers are whole and in order to the end; with checksums where recovery promises that. */
static void check_load(struct mem_disk *disk, const struct log_load *load, bool crc)
{
	int64_t next = 0;

	CHECK_OP(load->log_start, <=, load->end);
	CHECK_OP(load->recovery_point, <=, load->end);
	CHECK(load->segments.list.n > 0);
	for (size_t i = 0; i < load->segments.list.n; i++) {
		const struct segment *segment = &load->segments.list.v[i];
		bool is_last = i + 1 == load->segments.list.n;
		struct batch_scan scan;
		struct batch_info info;
		int64_t pos;
		fs_file file;
		enum err err = segment_open_file(&disk->fs, FUZZ_LOG_PATH, segment->base, ".log", FS_READ, &file);

		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(segment->base, >=, next);
		batch_scan_init(&scan, &disk->fs, file, 0, segment->size, crc);
		next = segment->base;
		while (batch_scan_next(&scan, &info, &pos)) {
			if (crc) {
				CHECK_OP(info.last_offset, >=, next);
				next = info.last_offset + 1;
			}
		}
		if (crc)
			CHECK(!scan.is_bad);
		if (crc && is_last)
			CHECK_OP(next, ==, load->end);
		next = segment->next_offset;
		batch_scan_deinit(&scan);
		fs_close(&disk->fs, file);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_sink quiet = {.level = LOG_ERROR, .write = quiet_write};
	struct log_sink *before = log_sink_set(&quiet);
	struct mem_disk disk;
	struct log_load load, again;
	enum log_dir_stop stop;
	bool all;

	if (size < 2)
		return 0;
	fuzz_log_make(&disk);
	for (size_t i = 2; i + 5 <= size && i < 200; i += 5)
		edit(&disk, data + i);
	stop = (enum log_dir_stop)(data[0] % 4);
	/* From the start on everything is read. */
	all = stop == LOG_DIR_POWER_CUT && data[1] % 2 == 0;
	if (!fuzz_log_open(&disk, &load, stop, all ? 0 : data[1] % (FUZZ_LOG_END + 5))) {
		enum err err;

		check_load(&disk, &load, all);
		/* As it was closed: the end is the recovery point. */
		err = fuzz_log_open(&disk, &again, LOG_DIR_CLEAN, load.end);
		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(again.end, ==, load.end);
		/* Damage at the end, below the recovery point, is met now; it stays, and a new segment begins. */
		CHECK_OP(again.segments.list.n, >=, load.segments.list.n);
		CHECK_OP(again.segments.list.n, <=, load.segments.list.n + 1);
		if (all)
			CHECK_OP(again.segments.list.n, ==, load.segments.list.n);
		all = again.segments.list.n == load.segments.list.n;
		log_load_deinit(&again, &disk.fs);
		err = fuzz_log_open(&disk, &again, LOG_DIR_CLEAN, load.end);
		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(again.end, ==, load.end);
		CHECK_OP(again.segments.list.n, ==, load.segments.list.n + (all ? 0 : 1));
		log_load_deinit(&again, &disk.fs);
	}
	log_load_deinit(&load, &disk.fs);
	mem_disk_deinit(&disk);
	log_sink_set(before);
	return 0;
}
