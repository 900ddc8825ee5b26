/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads batches of a segment file with their checksums and finds how far damage reaches. For helper threads. Behind
 * damage the next good batch is looked for where the damaged header says it is, or where the offset index knows one,
 * whichever is nearer; it counts only with its checksum.
 */
#ifndef STORAGE_SEGMENT_CHECK_H
#define STORAGE_SEGMENT_CHECK_H

#include "segment.h"

/* Places told by one call; what is behind is left to the next. */
#define SEGMENT_CHECK_FOUND_MAX 16

/* Bytes of one segment that hold no good batch. */
struct log_bad {
	int64_t segment_base;
	int64_t pos, end_pos;       /* in the file; end_pos exclusive */
	int64_t offset, end_offset; /* what a reader asks for that would be served from there; exclusive */
	bool is_told;               /* a read that met it was told in the log */
};

struct segment_check {
	/* in */
	const char *dir; /* of the log */
	struct segment segment;
	/* in and out */
	int64_t pos;         /* where a batch begins, or should; then: behind the last one looked at */
	int64_t next_offset; /* no batch from pos on holds an offset below */
	bool is_wanted;      /* in: next_offset is one that the first batch ends at or behind, but may begin before */
	/* out */
	struct log_bad found[SEGMENT_CHECK_FOUND_MAX];
	size_t found_n;
};

/* At least one batch, and as many as begin within `bytes`. ERR_IO, ...: the disk failed; pos is how far it got. */
enum err segment_check_run(struct segment_check *check, struct fs *fs, fs_file log, int64_t bytes) MUST_USE;

#endif
