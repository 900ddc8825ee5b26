/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of aborted transactions of a segment (.txnindex): for each whose marker lies in the segment, who began it
 * and where its records lie. Absent when there are none.
 *
 *   int16 version 0, int64 producer id, int64 first offset, int64 last offset (the marker's), int64 last stable offset
 */
#ifndef STORAGE_TXN_INDEX_H
#define STORAGE_TXN_INDEX_H

#include "fs.h"
#include "vec.h"

#define TXN_ENTRY_LEN 34

struct aborted_txn {
	int64_t producer_id;
	int64_t first_offset;
	int64_t last_offset;
	int64_t last_stable_offset;
};

struct aborted_txns {
	VEC(struct aborted_txn) list;
};

/* Whether the index of a segment that begins at `base` can have the entry. */
bool aborted_txn_is_sane(const struct aborted_txn *txn, int64_t base);
/* Ascending by marker. */
void aborted_txns_sort(struct aborted_txns *txns);
/* Number of the first in the sorted list whose marker lies at the offset or behind it. */
size_t aborted_txns_at(const struct aborted_txns *txns, int64_t offset);
/* Whether the sorted list has one that ended with this marker. */
bool aborted_txns_have(const struct aborted_txns *txns, int64_t producer_id, int64_t last_offset);
void txn_entry_encode(const struct aborted_txn *txn, uint8_t p[TXN_ENTRY_LEN]);
/* Appends the entries of a segment; a file that is not there has none. ERR_CORRUPT_FILE: not a whole number of
 * entries, another version, or more of them than anybody can have meant. */
enum err txn_index_read(struct fs *fs, const char *dir, int64_t base, struct aborted_txns *into) MUST_USE;

#endif
