/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads batches of a segment file with their checksums and finds how far damage reaches. For helper threads. Behind
 * damage the next good batch is looked for where the damaged header says it is, or where the offset index knows one,
 * whichever is nearer; it counts only with its checksum.
 *
 * No checksum covers base offset and leader epoch. An offset has to fit those around it. An epoch counts as damaged
 * when it stands alone against what the log knows of its epochs; two neighbours that agree are more than that, and so
 * is one that fits between two known ones.
 */
#ifndef STORAGE_SEGMENT_CHECK_H
#define STORAGE_SEGMENT_CHECK_H

#include "epoch_cache.h"
#include "producer_state.h"
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
	struct epoch_cache epochs; /* in: see segment_check_set_epochs; may be empty */
	/* in: told of each good batch, in order; a small one, as a marker, has its bytes. NULL: nobody asks */
	void (*see)(struct segment_check *check, const struct batch_info *batch, int64_t pos);
	void *ctx;
	/* out */
	struct log_bad found[SEGMENT_CHECK_FOUND_MAX];
	size_t found_n;
	int64_t batches_n; /* good ones */
};

/* Takes what it has to know of the log's epochs, to be freed by _deinit. `segment` is set already. */
void segment_check_set_epochs(struct segment_check *check, const struct epoch_cache *epochs);
void segment_check_deinit(struct segment_check *check);

/* For `see`: the batch goes into `open`, the transactions that the batches before it have left open. Whether it is a
 * marker that aborts one of them: *ret. */
bool segment_check_aborts(struct producer_state *open, const struct batch_info *batch, struct aborted_txn *ret);
/* At least one batch, and as many as begin within `bytes`. ERR_IO, ...: the disk failed; pos is how far it got. */
enum err segment_check_run(struct segment_check *check, struct fs *fs, fs_file log, int64_t bytes) MUST_USE;

#endif
