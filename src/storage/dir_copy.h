/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a partition's directory to another disk, in bounded pieces while it is written to, then the rest and the
 * change of names once its log is closed. Sequential code over fs, run as IO_WORK.
 *
 *    pieces of .log files below a bound ... (log closed) everything else, synced --> names
 *
 * The names change in an order that leaves the partition whole in one place at least:
 *   1. the copy is whole and durable, and says by the file MOVED_FILE that it is a copy
 *   2. "<partition>.<id>-future" becomes "<partition>", durably: it lies in two directories, and the marked one counts
 *   3. the old one becomes "<partition>.<id>-delete", durably
 *   4. MOVED_FILE goes, when the checkpoint files of the new directory know the partition (until then it holds the
 *      start of the log and its recovery point: what a compaction has left must not be read as damage)
 */
#ifndef STORAGE_DIR_COPY_H
#define STORAGE_DIR_COPY_H

#include "fs.h"
#include "part_log.h"

/* In a partition's directory: it was copied here, and what else bears its name is to go. */
#define MOVED_FILE "moved.moldau"

struct dir_mark {
	int64_t log_start; /* -1: it does not say */
	int64_t end;       /* all below is durable in the copy; -1 */
};

struct dir_copy {
	const char *from, *to; /* partition directories */
	struct log_pos bound;  /* in: nothing at or above is copied; everything below must be in the files */
	int64_t bytes_max;     /* in: of this piece */
	int64_t bytes;         /* out: copied */
	int64_t offset;        /* out: a segment boundary (or the bound) up to which all is copied */
	bool is_complete;      /* out: up to the bound */
};

/* One piece, synced. What is in `to` already is believed. Makes the directory when it is missing. A segment that goes
 * away meanwhile is passed over. */
enum err dir_copy_piece(struct dir_copy *copy, struct fs *fs) MUST_USE;
/* The log is closed: makes `to` the same as `from`, durably, and marks it (step 1). */
enum err dir_copy_rest(struct fs *fs, const char *from, const char *to, const struct dir_mark *mark) MUST_USE;
/* Steps 2 and 3. `to_dir` and `from_dir` are the log directories, `name` the partition's. */
enum err dir_copy_rename(struct fs *fs, const char *from_dir, const char *to_dir, const char *future, const char *name,
			 const char *away) MUST_USE;

/* Step 4. */
enum err dir_copy_unmark(struct fs *fs, const char *dir) MUST_USE;
/* Is the partition directory a marked copy? */
bool dir_copy_is_marked(struct fs *fs, const char *dir, struct dir_mark *ret);

#endif
