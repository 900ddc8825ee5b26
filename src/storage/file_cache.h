/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open segment files of one reactor under a budget. The least recently used file that nobody uses is closed
 * when the budget is passed; files in use count, but are never closed.
 *
 * When there is no room, most files that had to be opened count as used long ago after their first use: of more files
 * than fit, used one after the other, else each would be closed just before its turn comes. Every so often one does
 * not, so that files which are not used any more make room for others.
 *
 * 1. A pinned file stays open, also after its segment is gone.
 * 2. A file is in `idle` exactly while it has an owner and no pins.
 */
#ifndef STORAGE_FILE_CACHE_H
#define STORAGE_FILE_CACHE_H

#include "fs.h"
#include "list.h"

struct log_impl;

struct log_file {
	struct list node; /* in idle */
	struct file_cache *cache;
	struct log_impl *log; /* owner; NULL: the segment is gone */
	int64_t base;         /* of the segment */
	fs_file file;
	int32_t pins;
	bool is_new; /* opened when there was no room, not used since */
};

struct file_cache {
	struct fs *fs;
	struct list idle; /* oldest first */
	int64_t open_n;
	int64_t open_max;
	uint32_t new_n; /* files that were new */
	/* The owner forgets a file that is about to be closed. */
	void (*forget)(struct log_impl *log, int64_t base);
};

void file_cache_init(struct file_cache *cache, struct fs *fs, int64_t open_max,
		     void (*forget)(struct log_impl *, int64_t));
/* Takes over an open file, without a pin. May close others. */
struct log_file *file_cache_add(struct file_cache *cache, struct log_impl *log, int64_t base,
				fs_file take_file);
struct log_file *log_file_pin(struct log_file *file);
void log_file_unpin(struct log_file *file);
/* The owner lets go: closed now, or with the last pin. NULL is fine. */
void log_file_drop(struct log_file *file);

#endif
