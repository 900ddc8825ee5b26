/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index files of any content beside a good log. Counting what is good in them ends, and a search finds the right batch
 * whatever they say.
 *
 * Input: a bit chooses .index or .timeindex, the rest is its content.
 */
#include "fuzz_log.h"
#include "index_file.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_counts(struct mem_disk *disk, const char *suffix)
{
	fs_file file;
	uint32_t n;
	enum err err = segment_open_file(&disk->fs, FUZZ_LOG_PATH, 0, suffix, FS_READ, &file);

	CHECK_OP(err, ==, ERR_NONE);
	if (strcmp(suffix, ".index") == 0)
		err = index_check(&disk->fs, file, 0, 10000, 10000, &n);
	else
		err = time_index_check(&disk->fs, file, 0, 10000, &n);
	CHECK_OP(err, ==, ERR_NONE);
	fs_close(&disk->fs, file);
}

static void check_search(struct mem_disk *disk)
{
	struct segment segment = SEGMENT_INIT(0);
	fs_file file;
	enum err err = segment_open_file(&disk->fs, FUZZ_LOG_PATH, 0, ".log", FS_READ, &file);

	CHECK_OP(err, ==, ERR_NONE);
	err = disk->fs.ops->file_size(&disk->fs, file, &segment.size);
	CHECK_OP(err, ==, ERR_NONE);
	segment.index_n = UINT32_MAX;
	for (int64_t offset = 0; offset < FUZZ_LOG_PER_SEGMENT; offset++) {
		struct segment_hit hit;

		err = segment_find(&disk->fs, FUZZ_LOG_PATH, &segment, file, offset, segment.size, &hit);
		CHECK_OP(err, ==, ERR_NONE);
		CHECK_OP(hit.info.base_offset, ==, offset - offset % FUZZ_LOG_RECORDS);
	}
	fs_close(&disk->fs, file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem_disk disk;
	bool is_time;

	if (size < 1)
		return 0;
	is_time = data[0] & 1;
	fuzz_log_make(&disk);
	fuzz_log_write(&disk, is_time ? "00000000000000000000.timeindex" : "00000000000000000000.index", data + 1,
		       size - 1);
	check_counts(&disk, is_time ? ".timeindex" : ".index");
	check_search(&disk);
	mem_disk_deinit(&disk);
	return 0;
}
