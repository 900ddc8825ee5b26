/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offset index (.index) and time index (.timeindex) of a segment, as files: encoding, search, checking.
 * Entries are relative to the segment's base offset and of fixed size, so a search is a handful of small
 * reads; nothing is mapped.
 *
 *   .index      int32 last offset of a batch - base, int32 position of that batch
 *   .timeindex  int64 greatest timestamp so far, int32 last offset of the batch that has it - base
 *
 * 1. In both files the values of an entry are greater than those of the one before; in the time index the
 * offset may
 *    stay. What follows the first entry that breaks this (zeros of a preallocated file, a torn write) does
 * not count.
 */
#ifndef STORAGE_INDEX_FILE_H
#define STORAGE_INDEX_FILE_H

#include "fs.h"

#define INDEX_ENTRY_LEN 8
#define TIME_ENTRY_LEN 12

struct index_entry {
	int64_t offset; /* absolute */
	int64_t pos;
};

struct time_entry {
	int64_t timestamp_ms;
	int64_t offset; /* absolute */
};

void index_entry_encode(const struct index_entry *entry, int64_t base, uint8_t p[INDEX_ENTRY_LEN]);
void time_entry_encode(const struct time_entry *entry, int64_t base, uint8_t p[TIME_ENTRY_LEN]);

/* Reads entry number i, which must be in the file (ERR_CORRUPT_FILE if not). */
enum err index_read(struct fs *fs, fs_file file, int64_t base, uint32_t i, struct index_entry *ret) MUST_USE;
enum err index_read_many(struct fs *fs, fs_file file, int64_t base, uint32_t first, uint32_t n, struct index_entry *ret)
	MUST_USE;
enum err time_index_read(struct fs *fs, fs_file file, int64_t base, uint32_t i,
			 struct time_entry *ret) MUST_USE;

/* How many of the first n entries have offset <= `offset` (timestamp <= `timestamp_ms`). */
enum err index_count_offset(struct fs *fs, fs_file file, int64_t base, uint32_t n, int64_t offset,
			    uint32_t *ret)
	MUST_USE;
enum err time_index_count(struct fs *fs, fs_file file, int64_t base, uint32_t n, int64_t timestamp_ms,
			  uint32_t *ret)
	MUST_USE;
enum err time_index_count_offset(struct fs *fs, fs_file file, int64_t base, uint32_t n, int64_t offset,
				 uint32_t *ret) MUST_USE;

/* How many entries from the start of the file are good: invariant 1, positions below log_size, offsets below
 * `end`. */
enum err index_check(struct fs *fs, fs_file file, int64_t base, int64_t log_size, int64_t end,
		     uint32_t *ret_n)
	MUST_USE;
enum err time_index_check(struct fs *fs, fs_file file, int64_t base, int64_t end, uint32_t *ret_n) MUST_USE;

#endif
