/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the batches of a segment file one after another with small reads: headers only, or with the checksum
 * of the whole batch. Memory is one fixed buffer whatever a damaged size field says. For helper threads and
 * tools.
 *
 *	batch_scan_init(&scan, fs, file, pos, limit, want_crc);
 *	while (batch_scan_next(&scan, &info, &pos))
 *		...
 *	if (scan.err) -> the disk failed
 *	else if (scan.is_bad) -> the batch that begins at scan.pos is damaged, or cut by `limit`
 *	batch_scan_deinit(&scan);
 */
#ifndef STORAGE_BATCH_SCAN_H
#define STORAGE_BATCH_SCAN_H

#include "batch.h"
#include "fs.h"

/* No checksum covers base offset and leader epoch: from batch to batch offsets ascend, and epochs do not fall. */
struct batch_order {
	int64_t next_offset, end_offset; /* what a batch holds lies between; end exclusive */
	int32_t leader_epoch;            /* of the batch before; -1: none */
};

/* Whether what the batch holds lies between the offsets. */
static inline bool batch_is_between(const struct batch_info *info, int64_t next_offset, int64_t end_offset)
{
	return info->base_offset >= next_offset && info->last_offset < end_offset;
}

/* The next batch; false when it is not of this place. */
bool batch_order_take(struct batch_order *order, const struct batch_info *info) MUST_USE;

struct batch_scan {
	struct fs *fs;
	fs_file file;
	int64_t pos;   /* of the next batch */
	int64_t limit; /* exclusive */
	bool want_crc; /* may change between batches */
	bool is_bad;
	enum err err;
	uint8_t *buf;
	int64_t buf_pos;
	size_t buf_len;
	size_t last_size; /* of the batch before */
};

void batch_scan_init(struct batch_scan *scan, struct fs *fs, fs_file file, int64_t pos, int64_t limit,
		     bool want_crc);
void batch_scan_deinit(struct batch_scan *scan);
/* info->bytes is not the whole batch unless it is a small one (a control batch always is). */
bool batch_scan_next(struct batch_scan *scan, struct batch_info *ret, int64_t *ret_pos);
/* Checksum of the batch at pos, part by part; size and crc are read of info. False when it is wrong or the disk failed.
 * Any batch with its whole bytes below the limit. */
bool batch_scan_crc_is_good(struct batch_scan *scan, int64_t pos, const struct batch_info *info);
/* The whole bytes of a batch that was found, in memory the caller frees with mem_free; ret->bytes refers to
 * them. */
enum err batch_scan_load(struct batch_scan *scan, int64_t pos, struct batch_info *info,
			 uint8_t **ret) MUST_USE;

#endif
