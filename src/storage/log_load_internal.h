/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of opening a log share: log_load.c (segments, order of steps), log_load_dir.c (directory and
 * names), log_load_scan.c (one segment), log_load_state.c (epochs and producers), log_load_replay.c (headers
 * for them), log_load_sync.c (what goes to the disk at once). Nobody else includes it. */
#ifndef STORAGE_LOG_LOAD_INTERNAL_H
#define STORAGE_LOG_LOAD_INTERNAL_H

#include "batch_scan.h"
#include "log_load.h"

/* Names found in the directory. */
struct log_names {
	VEC(int64_t) logs;
	VEC(int64_t) indexes; /* segments that have an index of either kind */
	VEC(int64_t) snapshots;
	VEC(int64_t) txn_indexes;
	VEC(int64_t) swaps;   /* .log.swap */
	VEC(char *) remove;   /* file names */
	VEC(char *) index_swaps;
	int64_t cleaned_min;  /* least base with a .cleaned file, INT64_MAX */
	bool is_empty;        /* nothing at all in the directory */
	bool has_log_files;
};

void log_names_deinit(struct log_names *names);
/* "<directory of the log>/<name>"; false when it does not fit. */
bool load_path(const struct log_load *load, const char *name, char ret[FS_PATH_MAX]);
/* The directory exists afterwards and belongs to the topic id. */
enum err load_prepare_dir(struct log_load *load, struct fs *fs) MUST_USE;
/* Lists, finishes or undoes what a compaction left, and removes leftovers. */
enum err load_list(struct log_load *load, struct fs *fs, struct log_names *names) MUST_USE;

/* Checks segment number `at` from the index entry before from_offset on, with checksums for batches that
 * reach crc_from, and makes its indexes end where the good batches end. *ret_is_bad: the file goes on behind
 * size, and what follows is no good batch. Does not change .log. */
enum err log_load_scan(struct log_load *load, struct fs *fs, size_t at, int64_t from_offset, int64_t crc_from,
		       bool *ret_is_bad) MUST_USE;

/* Replays the headers of one segment from producers.map_end_offset on. */
enum err log_load_replay(struct log_load *load, struct fs *fs, const struct segment *segment) MUST_USE;
/* Of a log that was closed, whose last segment turned out to end with a bad batch: whether something that was there
 * then is missing. It is not cut. */
bool log_load_is_end_damaged(const struct log_load *load);

enum err load_read_epochs(struct log_load *load, struct fs *fs) MUST_USE;
enum err load_write_epochs(struct log_load *load, struct fs *fs) MUST_USE;
/* Aborted transactions, of the files; what the headers behind the snapshot say besides comes with the producers. */
enum err load_aborted(struct log_load *load, struct fs *fs, const struct log_names *names) MUST_USE;
/* Producers, and epochs as far as their file does not have them. Removes snapshots that nobody needs. */
enum err load_producers(struct log_load *load, struct fs *fs, const struct log_names *names) MUST_USE;

/* When a sync fails, Linux keeps the bytes in its cache but takes them for written: the process that starts next reads
 * them, and no later sync brings them to the disk. The tail that may be such is written again. */
enum err load_rewrite_tail(struct log_load *load, struct fs *fs) MUST_USE;
/* The log and both indexes of a segment, not their names. */
enum err load_sync_segment(struct log_load *load, struct fs *fs, const struct segment *segment) MUST_USE;
/* Gaps and damage behind the recovery point are kept this once only: the log is synced, and they lie below it. */
enum err load_settle_gaps(struct log_load *load, struct fs *fs) MUST_USE;

#endif
