/* SPDX-License-Identifier: Apache-2.0 */

/* The bare loop's one file of record batches, and a sparse index from offset to place. */

#ifndef BENCH_BARE_LOG_H
#define BENCH_BARE_LOG_H

#include <stddef.h>
#include <stdint.h>

struct bare_log_entry {
	int64_t offset;
	int64_t pos;
};

struct bare_log {
	int fd;
	int64_t len;
	int64_t offset_end; /* of the next record */
	struct bare_log_entry last; /* the last batch */
	struct bare_log_entry *index;
	size_t index_n;
	size_t index_cap;
};

/* Creates the file, or empties it. */
void bare_log_open(struct bare_log *log, const char *path);
/* Stamps the next offset into a valid batch and writes it; its base offset. */
int64_t bare_log_append(struct bare_log *log, uint8_t *batch, size_t len);
/* Position of the batch that holds `offset`, which is not negative and below the end. */
int64_t bare_log_find(const struct bare_log *log, int64_t offset);
void bare_log_clear(struct bare_log *log);

#endif
