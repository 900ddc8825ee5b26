/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counted blocks of bytes from a pool. The count is not atomic: a block belongs to the reactor whose pool it came
 * from. Another reactor may read a block that its owner keeps alive for the length of an exchange of messages,
 * but never counts it.
 *
 * 1. refs >= 1 while anybody can reach the block; at 0 it returns to its pool, or to the system beyond the
 *    pool's `keep_max`.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "check.h"

struct buf_pool {
	struct buf *free;   /* blocks of block_len, linked by `next` */
	uint32_t free_n;
	uint32_t keep_max;  /* free blocks kept */
	size_t block_len;   /* standard capacity, bytes */
	int64_t bytes;      /* capacity of all blocks in use, bytes */
};

struct buf {
	struct buf_pool *pool;
	struct buf *next;
	uint32_t refs;
	uint32_t pins; /* the user's: how many of the references it accounts for */
	size_t cap;  /* bytes in data */
	size_t len;  /* filled part, kept by the writer */
	uint8_t data[];
};

void buf_pool_init(struct buf_pool *pool, size_t block_len, uint32_t keep_max);
/* Frees the kept blocks; every block must be back. */
void buf_pool_deinit(struct buf_pool *pool);
/* A block with one reference: of block_len when min_len fits, else of exactly min_len. Not zeroed. */
struct buf *buf_new(struct buf_pool *pool, size_t min_len) MUST_USE;
void buf_unref(struct buf *buf);

static inline struct buf *buf_ref(struct buf *buf)
{
	CHECK(buf->refs > 0);
	buf->refs++;
	return buf;
}

#endif
