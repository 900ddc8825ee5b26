/* SPDX-License-Identifier: Apache-2.0 */
/* See txn_index.h. */
#include "txn_index.h"

#include <stdlib.h>

#include "mem.h"
#include "segment.h"

#define TXN_INDEX_MAX ((size_t)MIB(64))

bool aborted_txn_is_sane(const struct aborted_txn *txn, int64_t base)
{
	return txn->producer_id >= 0 && txn->first_offset >= 0 && txn->first_offset < txn->last_offset &&
	       txn->last_offset >= base;
}

static int aborted_cmp(const void *a, const void *b)
{
	const struct aborted_txn *x = a, *y = b;

	return (x->last_offset > y->last_offset) - (x->last_offset < y->last_offset);
}

void aborted_txns_sort(struct aborted_txns *txns)
{
	if (txns->list.n)
		qsort(txns->list.v, txns->list.n, sizeof(txns->list.v[0]), aborted_cmp);
}

size_t aborted_txns_at(const struct aborted_txns *txns, int64_t offset)
{
	size_t low = 0, high = txns->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (txns->list.v[mid].last_offset < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool aborted_txns_have(const struct aborted_txns *txns, int64_t producer_id, int64_t last_offset)
{
	size_t at = aborted_txns_at(txns, last_offset);

	return at < txns->list.n && txns->list.v[at].last_offset == last_offset &&
	       txns->list.v[at].producer_id == producer_id;
}

void txn_entry_encode(const struct aborted_txn *txn, uint8_t p[TXN_ENTRY_LEN])
{
	store_be16(p, 0);
	store_be64(p + 2, (uint64_t)txn->producer_id);
	store_be64(p + 10, (uint64_t)txn->first_offset);
	store_be64(p + 18, (uint64_t)txn->last_offset);
	store_be64(p + 26, (uint64_t)txn->last_stable_offset);
}

enum err txn_index_read(struct fs *fs, const char *dir, int64_t base, struct aborted_txns *into)
{
	char path[FS_PATH_MAX], *text;
	const uint8_t *p;
	size_t len;
	enum err err;

	if (!segment_path(path, dir, base, ".txnindex"))
		return ERR_TOO_LARGE;
	err = fs_read_all(fs, path, TXN_INDEX_MAX, &text, &len);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_NONE : err == ERR_TOO_LARGE ? ERR_CORRUPT_FILE : err;
	p = (const uint8_t *)text;
	for (size_t at = 0; !err && at < len; at += TXN_ENTRY_LEN) {
		struct aborted_txn txn;

		if (len - at < TXN_ENTRY_LEN || load_be16(p + at) != 0) {
			err = ERR_CORRUPT_FILE;
			break;
		}
		txn.producer_id = (int64_t)load_be64(p + at + 2);
		txn.first_offset = (int64_t)load_be64(p + at + 10);
		txn.last_offset = (int64_t)load_be64(p + at + 18);
		txn.last_stable_offset = (int64_t)load_be64(p + at + 26);
		vec_push(&into->list, txn);
	}
	mem_free(text);
	return err;
}
