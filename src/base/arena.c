/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: blocks of growing size from mem_*, a moving pointer in the newest. An allocation that would waste
 * much of the current block gets a block of its own, so that a few large strings do not push out the small
 * ones.
 *
 * 1. next and end delimit the free part of the first caller block or of the newest ordinary block; next is a
 *    multiple of 16, and so is every size handed out.
 * 2. used counts the rounded sizes handed out and is never above the limit.
 * 3. The caller's block is never in `blocks`, so reset frees exactly what mem_* gave.
 */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "check.h"
#include "mem.h"

#define ARENA_ALIGN ((size_t)16)
#define ARENA_BLOCK_MIN ((size_t)4096)
#define ARENA_BLOCK_MAX ((size_t)65536)

struct arena_block {
	struct arena_block *older;
	size_t len; /* bytes of data */
	_Alignas(16) uint8_t data[];
};

static size_t arena_limit(const struct arena *arena)
{
	return arena->limit ? arena->limit : ARENA_LIMIT_DEFAULT;
}

/* Points at the caller's block, if there is one, cut to the alignment on both sides. */
static void arena_use_first(struct arena *arena)
{
	uintptr_t from = ((uintptr_t)arena->first + ARENA_ALIGN - 1) & ~(uintptr_t)(ARENA_ALIGN - 1);
	uintptr_t to = ((uintptr_t)arena->first + arena->first_len) & ~(uintptr_t)(ARENA_ALIGN - 1);

	arena->next = arena->end = NULL;
	if (arena->first && from < to) {
		arena->next = arena->first + (from - (uintptr_t)arena->first);
		arena->end = arena->first + (to - (uintptr_t)arena->first);
	}
}

void arena_init(struct arena *arena, void *block, size_t block_len)
{
	*arena = (struct arena){.first = block, .first_len = block ? block_len : 0};
	arena_use_first(arena);
}

static struct arena_block *arena_block_new(size_t len)
{
	struct arena_block *block = mem_alloc(sizeof(*block) + len);

	block->len = len;
	block->older = NULL;
	return block;
}

/* Memory for `size` (rounded) bytes that the current block cannot hold. */
static uint8_t *arena_more(struct arena *arena, size_t size)
{
	size_t len = ARENA_BLOCK_MIN;
	struct arena_block *block;

	while (len < ARENA_BLOCK_MAX && len < arena->used)
		len *= 2;
	if (size > len / 4) {
		block = arena_block_new(size);
		if (arena->blocks) {
			block->older = arena->blocks->older;
			arena->blocks->older = block;
		} else {
			arena->blocks = block;
		}
		return block->data;
	}
	block = arena_block_new(len);
	block->older = arena->blocks;
	arena->blocks = block;
	arena->next = block->data + size;
	arena->end = block->data + len;
	return block->data;
}

/* NULL past the limit. A size of 0 gives a valid pointer that need not be unique. */
static void *arena_take(struct arena *arena, size_t size)
{
	size_t limit = arena_limit(arena);
	size_t rounded;
	uint8_t *p;

	if (size > limit)
		return NULL;
	rounded = (MAX(size, (size_t)1) + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	if (arena->used > limit || rounded > limit - arena->used)
		return NULL;
	if (rounded <= (size_t)(arena->end - arena->next)) {
		p = arena->next;
		arena->next += rounded;
	} else {
		p = arena_more(arena, rounded);
	}
	arena->used += rounded;
	return p;
}

bool arena_has_room(const struct arena *arena, size_t len, size_t pieces_n)
{
	size_t limit = arena_limit(arena), rounding, need;

	if (__builtin_mul_overflow(pieces_n, ARENA_ALIGN, &rounding) || __builtin_add_overflow(len, rounding, &need))
		return false;
	return arena->used <= limit && need <= limit - arena->used;
}

void *arena_alloc_raw(struct arena *arena, size_t size)
{
	void *p = arena_take(arena, size);

	if (unlikely(!p))
		check_op_failed(__FILE__, __LINE__, __func__, "size fits below the arena's limit",
				(int64_t)size, (int64_t)arena_limit(arena));
	return p;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(arena_alloc_raw(arena, size), 0, size);
}

void *arena_try_alloc_n(struct arena *arena, size_t n, size_t size)
{
	size_t len;
	void *p;

	if (__builtin_mul_overflow(n, size, &len))
		return NULL;
	p = arena_take(arena, len);
	return p ? memset(p, 0, len) : NULL;
}

struct str arena_str(struct arena *arena, struct str s)
{
	char *p;

	if (!s.p)
		return STR_NULL;
	p = arena_alloc_raw(arena, s.len + 1);
	memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return (struct str){p, s.len};
}

struct bytes arena_bytes(struct arena *arena, struct bytes b)
{
	if (!b.p)
		return BYTES_NULL;
	return (struct bytes){memcpy(arena_alloc_raw(arena, b.len), b.p, b.len), b.len};
}

struct str arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list args;
	va_list again;
	char probe[1]; /* not NULL: gcc's undefined-behaviour checker takes the size question for a mistake */
	char *p;
	int len;

	va_start(args, fmt);
	va_copy(again, args);
	len = vsnprintf(probe, sizeof(probe), fmt, args);
	va_end(args);
	CHECK(len >= 0);
	p = arena_alloc_raw(arena, (size_t)len + 1);
	vsnprintf(p, (size_t)len + 1, fmt, again);
	va_end(again);
	if (len > INT16_MAX) {
		len = INT16_MAX;
		while (len > 0 && ((uint8_t)p[len] & 0xc0) == 0x80)
			len--;
		p[len] = '\0';
	}
	return (struct str){p, (size_t)len};
}

void arena_reset(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->older;
		mem_free(block);
	}
	arena->used = 0;
	arena_use_first(arena);
}
