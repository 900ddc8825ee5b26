/* SPDX-License-Identifier: Apache-2.0 */
/* Whole batches of a file in order, through one buffer. */
#ifndef STORAGE_COMPACT_READER_H
#define STORAGE_COMPACT_READER_H

#include "compact.h"

void compact_reader_init(struct compact_reader *reader);
void compact_reader_deinit(struct compact_reader *reader);
enum err compact_reader_open(struct compact_reader *reader, struct fs *fs, const char *dir,
			     const struct segment *segment) MUST_USE;
void compact_reader_close(struct compact_reader *reader);
/* The next batch, checksum included; ret->bytes stays until the next call. ERR_NOT_FOUND: the end. ERR_CORRUPT_FILE:
 * the batch at reader->pos is damaged, cut, or not of this place. */
enum err compact_reader_next(struct compact_reader *reader, struct batch_info *ret) MUST_USE;

#endif
