/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool behind counted blocks: standard blocks wait on a free list, others go back to the system.
 *
 * 1. Every block on the free list has cap == block_len and refs == 0; free_n is their number, <= keep_max.
 * 2. bytes is the sum of cap over blocks with refs > 0.
 */
#include "buf.h"

#include "mem.h"

void buf_pool_init(struct buf_pool *pool, size_t block_len, uint32_t keep_max)
{
	*pool = (struct buf_pool){.block_len = block_len, .keep_max = keep_max};
}

void buf_pool_deinit(struct buf_pool *pool)
{
	CHECK_OP(pool->bytes, ==, 0);
	while (pool->free) {
		struct buf *buf = pool->free;

		pool->free = buf->next;
		mem_free(buf);
	}
	pool->free_n = 0;
}

struct buf *buf_new(struct buf_pool *pool, size_t min_len)
{
	struct buf *buf = pool->free;

	if (min_len <= pool->block_len && buf) {
		pool->free = buf->next;
		pool->free_n--;
	} else {
		/* At least one byte, so that `bytes` tells a block that is out from none. */
		size_t cap = min_len <= pool->block_len ? MAX(pool->block_len, (size_t)1) : min_len;

		CHECK_OP(cap, <=, SIZE_MAX / 2);
		buf = mem_alloc(sizeof(*buf) + cap);
		buf->pool = pool;
		buf->cap = cap;
	}
	buf->next = NULL;
	buf->refs = 1;
	buf->pins = 0;
	buf->len = 0;
	pool->bytes += (int64_t)buf->cap;
	return buf;
}

void buf_unref(struct buf *buf)
{
	struct buf_pool *pool = buf->pool;

	CHECK(buf->refs > 0);
	if (--buf->refs > 0)
		return;
	pool->bytes -= (int64_t)buf->cap;
	if (buf->cap == pool->block_len && pool->free_n < pool->keep_max) {
		buf->next = pool->free;
		pool->free = buf;
		pool->free_n++;
	} else {
		mem_free(buf);
	}
}
