/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: memory with one lifetime, usually a request. Allocation moves a pointer; everything is freed at
 * once. A zeroed arena is valid and empty. The total is capped: a hostile request cannot grow it without end.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "bytes.h"

struct arena_block;

struct arena {
	struct arena_block *blocks; /* from mem_*, newest first */
	uint8_t *next;              /* free part of the block in use */
	uint8_t *end;
	uint8_t *first;   /* the caller's block, used again after a reset; may be NULL */
	size_t first_len; /* bytes */
	size_t used;      /* bytes handed out, each size rounded up to 16 */
	size_t limit;     /* of used; set it after arena_init; 0 means ARENA_LIMIT_DEFAULT */
};

#define ARENA_LIMIT_DEFAULT ((size_t)1 << 30)

/* An arena whose first block is block_len bytes of caller memory (not freed), e.g. embedded in the request.
 * The block must live as long as the arena. */
void arena_init(struct arena *arena, void *block, size_t block_len);
/* Zeroed memory aligned to 16; aborts past the limit: for sizes the program chooses. */
void *arena_alloc(struct arena *arena, size_t size) MUST_USE;
/* The same without zeroing. */
void *arena_alloc_raw(struct arena *arena, size_t size) MUST_USE;
/* NULL past the limit or when n * size overflows: for sizes that came from outside. Zeroed. */
void *arena_try_alloc_n(struct arena *arena, size_t n, size_t size) MUST_USE;
/* Would `len` bytes, in up to `pieces_n` allocations, still fit? */
bool arena_has_room(const struct arena *arena, size_t len, size_t pieces_n);
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_NEW_N(arena, type, n) ((type *)arena_alloc((arena), (size_t)(n) * sizeof(type)))
/* Copies; the str copy is NUL-terminated behind its length. Null stays null. */
struct str arena_str(struct arena *arena, struct str s);
struct bytes arena_bytes(struct arena *arena, struct bytes b);
/* Cut, between two characters of UTF-8, to what the longest string on the wire may be (INT16_MAX bytes). */
struct str arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Frees everything; the arena can be used again, with its first block and limit. */
void arena_reset(struct arena *arena);

#endif
