/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads every file of a log directory, or of one partition's, and tells what is damaged: file, position, what is wrong.
 * Nothing is changed, and nothing that is read is trusted. For tools; of a directory that a broker is writing to the
 * newest bytes may be told as damaged.
 *
 *   meta.properties, checkpoint files, partition.metadata, leader-epoch-checkpoint   read whole
 *   quorum-state, .checkpoint   read whole by whoever knows what is in them, see `judge`
 *   .log, .checkpoint      every batch with its checksum; offsets that go on
 *   .index, .timeindex     entries that rise and point into the log
 *   .txnindex, .snapshot   read whole; that markers which abort what is in the log are named, as far as a start trusts
 *                          the indexes: below the newest snapshot
 *   -future directories    as partitions; but a copy that goes on later may end within a batch
 */
#ifndef STORAGE_DIR_CHECK_H
#define STORAGE_DIR_CHECK_H

#include "bytes.h"
#include "fs.h"

struct dir_check {
	/* in */
	void (*found)(struct dir_check *check, const char *path, int64_t pos, const char *what);
	void (*read)(struct dir_check *check, int64_t bytes); /* so much more was read; NULL: nobody asks */
	/* Files of other layers: what is wrong with the content, NULL if nothing. NULL: they are not asked for. */
	const char *(*judge)(struct dir_check *check, const char *name, struct bytes content);
	/* out */
	int64_t files_n, bytes, batches_n, found_n;
	int64_t bytes_total; /* of all .log files, known before the first is read */
	void *ctx;
};

/* ERR_NOT_FOUND, ERR_ACCESS, ...: `path` itself cannot be listed. Damage is no error. */
enum err dir_check_run(struct dir_check *check, struct fs *fs, const char *path) MUST_USE;

#endif
