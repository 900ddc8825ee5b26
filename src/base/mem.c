/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation over the C library's. Ordinary builds add nothing but the abort. Simulator builds put a header
 * in front of each block and hang it on the list of the thread's current scope. The current scope is a
 * thread-local variable because allocation happens below everything that could carry it as a parameter; it is
 * the only writable variable here and exists in simulator builds alone.
 *
 * 1. Every block allocated while a scope was current is on that scope's list until it is freed; realloc keeps
 *    both the scope and the place on the list.
 * 2. scope->stats is the number and the sum of sizes of the blocks on its list.
 * 3. header->magic is MEM_MAGIC while the block lives: a stray or second free stops at once.
 */
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static NORETURN void mem_failed(size_t size)
{
	fprintf(stderr, "moldau: out of memory: %zu bytes\n", size);
	abort();
}

#ifndef MOLDAU_SIM

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (unlikely(!p))
		mem_failed(size);
	return p;
}

void *mem_calloc(size_t n, size_t size)
{
	size_t len;
	void *p;

	if (__builtin_mul_overflow(n, size, &len))
		mem_failed(SIZE_MAX);
	p = calloc(1, len ? len : 1);
	if (unlikely(!p))
		mem_failed(len);
	return p;
}

void *mem_realloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (unlikely(!p))
		mem_failed(size);
	return p;
}

void mem_free(void *p)
{
	free(p);
}

#else

#include <dlfcn.h>

#include "list.h"

#define MEM_MAGIC UINT64_C(0x6d6f6c6461756d65)

struct mem_scope {
	struct list blocks; /* struct mem_header, oldest first */
	struct mem_stats stats;
};

struct mem_header {
	struct list link;        /* unlinked when scope is NULL */
	struct mem_scope *scope; /* may be NULL */
	size_t size;             /* bytes asked for */
	void *place;             /* return address of the allocation */
	uint64_t magic;
};

/* What follows must be aligned like malloc's. */
_Static_assert(sizeof(struct mem_header) % 16 == 0, "the header keeps the alignment");

static _Thread_local struct mem_scope *mem_scope_now;

static void *mem_new(size_t size, bool zero, void *place)
{
	struct mem_scope *scope = mem_scope_now;
	struct mem_header *header;

	if (size > SIZE_MAX / 2)
		mem_failed(size);
	header = zero ? calloc(1, sizeof(*header) + size) : malloc(sizeof(*header) + size);
	if (!header)
		mem_failed(size);
	*header = (struct mem_header){.scope = scope, .size = size, .place = place, .magic = MEM_MAGIC};
	list_init(&header->link);
	if (scope) {
		list_push_back(&scope->blocks, &header->link);
		scope->stats.bytes += (int64_t)size;
		scope->stats.blocks++;
	}
	return header + 1;
}

/* Takes the block out of its scope. */
static struct mem_header *mem_detach(void *p)
{
	struct mem_header *header = (struct mem_header *)p - 1;

	CHECK(header->magic == MEM_MAGIC);
	if (header->scope) {
		header->scope->stats.bytes -= (int64_t)header->size;
		header->scope->stats.blocks--;
	}
	list_remove(&header->link);
	return header;
}

void *mem_alloc(size_t size)
{
	return mem_new(size, false, __builtin_return_address(0));
}

void *mem_calloc(size_t n, size_t size)
{
	size_t len;

	if (__builtin_mul_overflow(n, size, &len))
		mem_failed(SIZE_MAX);
	return mem_new(len, true, __builtin_return_address(0));
}

void *mem_realloc(void *p, size_t size)
{
	struct mem_header *header;
	struct list *prev;

	if (!p)
		return mem_new(size, false, __builtin_return_address(0));
	if (size > SIZE_MAX / 2)
		mem_failed(size);
	header = (struct mem_header *)p - 1;
	prev = header->link.prev;
	header = mem_detach(p);
	header = realloc(header, sizeof(*header) + size);
	if (!header)
		mem_failed(size);
	header->size = size;
	list_init(&header->link);
	if (header->scope) {
		list_insert_between(&header->link, prev, prev->next);
		header->scope->stats.bytes += (int64_t)size;
		header->scope->stats.blocks++;
	}
	return header + 1;
}

void mem_free(void *p)
{
	struct mem_header *header;

	if (!p)
		return;
	header = mem_detach(p);
	header->magic = 0;
	free(header);
}

struct mem_scope *mem_scope_new(void)
{
	/* Not from mem_*: a scope is in no scope. */
	struct mem_scope *scope = calloc(1, sizeof(*scope));

	if (!scope)
		mem_failed(sizeof(*scope));
	list_init(&scope->blocks);
	return scope;
}

void mem_scope_free(struct mem_scope *scope)
{
	if (!scope)
		return;
	CHECK(scope != mem_scope_now);
	list_for_each(link, tmp, &scope->blocks)
		mem_free(list_entry(link, struct mem_header, link) + 1);
	CHECK_OP(scope->stats.blocks, ==, 0);
	CHECK_OP(scope->stats.bytes, ==, 0);
	free(scope);
}

struct mem_scope *mem_scope_enter(struct mem_scope *scope)
{
	struct mem_scope *before = mem_scope_now;

	mem_scope_now = scope;
	return before;
}

struct mem_stats mem_scope_stats(const struct mem_scope *scope)
{
	return scope->stats;
}

void mem_scope_report(const struct mem_scope *scope, int max)
{
	list_for_each(link, tmp, &scope->blocks) {
		const struct mem_header *header = list_entry(link, struct mem_header, link);
		Dl_info info;

		if (max-- <= 0)
			break;
		/* Module and offset, as addr2line wants them. */
		if (dladdr(header->place, &info) && info.dli_fname)
			fprintf(stderr, "moldau: %zu bytes held from %s+0x%zx\n", header->size,
				info.dli_fname, (size_t)((char *)header->place - (char *)info.dli_fbase));
		else
			fprintf(stderr, "moldau: %zu bytes held from %p\n", header->size, header->place);
	}
}

#endif

char *mem_strdup_n(const char *p, size_t len)
{
	char *copy;

	CHECK_OP(len, <, SIZE_MAX);
	copy = mem_alloc(len + 1);
	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}
