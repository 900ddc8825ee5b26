/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment of a log: what is known of its files, and finding a batch in them. A segment is named by the
 * offset it begins with, in 20 digits; .log holds the batches, .index and .timeindex lead into it.
 *
 * 1. size counts whole good batches only; the file may be longer while a failed write waits for its repair.
 * 2. index_n and time_index_n count the entries of the files plus those that a live log still keeps in
 * memory.
 */
#ifndef STORAGE_SEGMENT_H
#define STORAGE_SEGMENT_H

#include "batch.h"
#include "fs.h"
#include "vec.h"

struct log_file;

struct segment {
	int64_t base;
	int64_t size;        /* bytes of .log */
	/* behind the last batch; of a segment that is not the last: the base of the next */
	int64_t next_offset;
	int64_t max_timestamp_ms;     /* -1: none */
	int64_t max_timestamp_offset; /* last offset of the batch that has it, -1 */
	int64_t first_timestamp_ms;   /* greatest of the first batch; -1: none or not known */
	int64_t mtime_ms;             /* wall clock of the last write, as far as known */
	uint32_t index_n;
	uint32_t time_index_n;
	struct log_file *file; /* open .log in the file cache; NULL: closed */
};

struct segment_list {
	VEC(struct segment) list;
};

#define SEGMENT_INIT(base_)                                                                         \
	((struct segment){.base = (base_), .next_offset = (base_), .max_timestamp_ms = -1,          \
			  .max_timestamp_offset = -1, .first_timestamp_ms = -1})

/* How old the newest of its records is for retention and compaction: their time, the file's where none has one. */
static inline int64_t segment_newest_ms(const struct segment *segment)
{
	return segment->max_timestamp_ms >= 0 ? segment->max_timestamp_ms : segment->mtime_ms;
}

/* "<dir>/<20 digits><suffix>"; false when it does not fit. */
bool segment_path(char ret[FS_PATH_MAX], const char *dir, int64_t base, const char *suffix);
/* "00000000000000000042.index": the number, and the suffix with its dot; false when it is no such name. */
bool segment_parse_name(struct str name, int64_t *ret_base, struct str *ret_suffix);
/* Opens one of the segment's files. */
enum err segment_open_file(struct fs *fs, const char *dir, int64_t base, const char *suffix, int flags,
			   fs_file *ret)
	MUST_USE;
/* Removes the files of the segment that exist, .log first. */
enum err segment_unlink(struct fs *fs, const char *dir, int64_t base) MUST_USE;

/* Where a batch lies. */
struct segment_hit {
	struct batch_info info; /* header; bytes are not kept */
	int64_t pos;
};

/* The first batch whose last offset is >= `offset`, within the first `limit` bytes. Reads the index (the
 * first index_n entries; a missing or short file only makes the walk longer) and headers. ERR_NOT_FOUND:
 * none. ERR_CORRUPT_FILE: *ret is the place of the damage, and an offset below which nothing lies from there on. */
enum err segment_find(struct fs *fs, const char *dir, const struct segment *segment, fs_file log,
		      int64_t offset,
		      int64_t limit, struct segment_hit *ret) MUST_USE;
/* Whether the batch there has its checksum. */
bool segment_is_good_at(struct fs *fs, fs_file log, int64_t pos, int64_t limit);
/* The same as segment_find from a place on where a batch begins, without the index. */
enum err segment_find_behind(struct fs *fs, const struct segment *segment, fs_file log, int64_t pos, int64_t offset,
			     int64_t limit, struct segment_hit *ret) MUST_USE;

#endif
