/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 4-ary min-heap. Four children share a cache line of pointers, so the tree is half as deep as a binary one.
 *
 * 1. No node is before its parent: (key, order) of nodes[(i - 1) / 4] < that of nodes[i].
 * 2. nodes[i]->index == i + 1; a node that is in no heap has index 0.
 * 3. order grows with every push and is never used twice, so no two nodes are equal.
 */
#include "heap.h"

#define HEAP_ARITY 4

static bool heap_before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void heap_place(struct heap *heap, struct heap_node *node, size_t i)
{
	heap->nodes.v[i] = node;
	node->index = i + 1;
}

static void heap_up(struct heap *heap, struct heap_node *node, size_t i)
{
	while (i > 0) {
		size_t parent = (i - 1) / HEAP_ARITY;

		if (!heap_before(node, heap->nodes.v[parent]))
			break;
		heap_place(heap, heap->nodes.v[parent], i);
		i = parent;
	}
	heap_place(heap, node, i);
}

static void heap_down(struct heap *heap, struct heap_node *node, size_t i)
{
	for (;;) {
		size_t first = i * HEAP_ARITY + 1;
		size_t end = MIN(first + HEAP_ARITY, heap->nodes.n);
		size_t least = first;

		if (first >= heap->nodes.n)
			break;
		for (size_t child = first + 1; child < end; child++) {
			if (heap_before(heap->nodes.v[child], heap->nodes.v[least]))
				least = child;
		}
		if (!heap_before(heap->nodes.v[least], node))
			break;
		heap_place(heap, heap->nodes.v[least], i);
		i = least;
	}
	heap_place(heap, node, i);
}

void heap_deinit(struct heap *heap)
{
	vec_deinit(&heap->nodes);
}

void heap_push(struct heap *heap, struct heap_node *node, int64_t key)
{
	CHECK_OP(node->index, ==, 0U);
	node->key = key;
	node->order = heap->order_next++;
	vec_push(&heap->nodes, node);
	heap_up(heap, node, heap->nodes.n - 1);
}

struct heap_node *heap_peek(const struct heap *heap)
{
	return heap->nodes.n ? heap->nodes.v[0] : NULL;
}

struct heap_node *heap_pop(struct heap *heap)
{
	struct heap_node *node = heap_peek(heap);

	if (node)
		heap_remove(heap, node);
	return node;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	struct heap_node *last;
	size_t i;

	if (node->index == 0)
		return;
	i = node->index - 1;
	CHECK_OP(i, <, heap->nodes.n);
	CHECK(heap->nodes.v[i] == node);
	last = heap->nodes.v[--heap->nodes.n];
	node->index = 0;
	if (last == node)
		return;
	if (heap_before(last, node))
		heap_up(heap, last, i);
	else
		heap_down(heap, last, i);
}
