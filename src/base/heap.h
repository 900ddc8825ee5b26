/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive 4-ary min-heap on a 64-bit key, ties by insertion order so that runs repeat. A node knows its place,
 * so removal from the middle costs log n. index is 1-based; 0 means "in no heap".
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "vec.h"

struct heap_node {
	int64_t key;
	uint64_t order;
	size_t index;
};

struct heap {
	VEC(struct heap_node *) nodes;
	uint64_t order_next;
};

void heap_deinit(struct heap *heap);
void heap_push(struct heap *heap, struct heap_node *node, int64_t key);
/* The least node, or NULL. */
struct heap_node *heap_peek(const struct heap *heap);
struct heap_node *heap_pop(struct heap *heap);
/* A no-op for a node in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
