/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes of aborted transactions of any content. What is read has the length of the file and encodes to the same
 * bytes; what is refused adds nothing.
 *
 * Input: the file. The first bit of its length decides whether every version is made right, so that entries are met.
 */
#include "fuzz_log.h"
#include "mem.h"
#include "txn_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct aborted_txns txns = {0};
	uint8_t *file = mem_alloc(size + TXN_ENTRY_LEN);
	struct mem_disk disk;
	size_t len = size;
	enum err err;

	if (size)
		memcpy(file, data, size);
	if (size & 1) {
		len -= len % TXN_ENTRY_LEN;
		for (size_t at = 0; at < len; at += TXN_ENTRY_LEN)
			store_be16(file + at, 0);
	}
	fuzz_log_make(&disk);
	fuzz_log_write(&disk, "00000000000000000000.txnindex", file, len);
	err = txn_index_read(&disk.fs, FUZZ_LOG_PATH, 0, &txns);
	if (size & 1)
		CHECK_OP(err, ==, ERR_NONE);
	CHECK_OP(txns.list.n * TXN_ENTRY_LEN, ==, err ? 0 : len);
	for (size_t i = 0; i < txns.list.n; i++) {
		uint8_t entry[TXN_ENTRY_LEN];

		txn_entry_encode(&txns.list.v[i], entry);
		CHECK(memcmp(entry, file + i * TXN_ENTRY_LEN, TXN_ENTRY_LEN) == 0);
	}
	vec_deinit(&txns.list);
	mem_disk_deinit(&disk);
	mem_free(file);
	return 0;
}
