/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation. Small control structures are allocated here and never fail: a process that cannot get them
 * aborts with its facts. Memory whose size a client chooses is budgeted by its owner first.
 *
 * In simulator builds (MOLDAU_SIM) each block hangs on the list of the scope that is current on this thread,
 * so that freeing a crashed node frees exactly its memory, and whatever is left at a clean end is a leak. A
 * block belongs to that scope until it is freed, whatever scope is current then. Scopes have no lock: one
 * thread uses a scope and the blocks in it. Ordinary builds count nothing: exact counting would need a header
 * in front of each block or a shared counter, and the C library keeps totals already.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "types.h"

/* Never NULL; size 0 gives a unique pointer. */
void *mem_alloc(size_t size) MUST_USE;
/* Zeroed; checks n * size for overflow. */
void *mem_calloc(size_t n, size_t size) MUST_USE;
void *mem_realloc(void *p, size_t size) MUST_USE;
/* NULL is fine. */
void mem_free(void *p);
/* A NUL-terminated copy. */
char *mem_strdup_n(const char *p, size_t len) MUST_USE;

#define MEM_NEW(type) ((type *)mem_calloc(1, sizeof(type)))

#ifdef MOLDAU_SIM
/* Blocks of a scope that are allocated now, and the bytes asked for. */
struct mem_stats {
	int64_t bytes;
	int64_t blocks;
};

struct mem_scope;
struct mem_scope *mem_scope_new(void);
/* Frees every block of the scope and the scope. */
void mem_scope_free(struct mem_scope *scope);
/* Makes `scope` (NULL: none) current on this thread; returns the one before. */
struct mem_scope *mem_scope_enter(struct mem_scope *scope);
struct mem_stats mem_scope_stats(const struct mem_scope *scope);
/* Prints up to `max` blocks still held, with the place that allocated them where known. */
void mem_scope_report(const struct mem_scope *scope, int max);
#endif

#endif
