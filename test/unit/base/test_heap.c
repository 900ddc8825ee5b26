/* SPDX-License-Identifier: Apache-2.0 */
/* Heap: random pushes, pops and removals against a plain array; order of equal keys. */
#include "heap.h"

#include "rng.h"
#include "test_base.h"

enum { N = 300 };

/* The least linked node by key, then by the number of its push. */
static struct heap_node *least_of(struct heap_node *nodes)
{
	struct heap_node *least = NULL;

	for (int i = 0; i < N; i++) {
		struct heap_node *n = &nodes[i];

		if (n->index == 0)
			continue;
		if (!least || n->key < least->key || (n->key == least->key && n->order < least->order))
			least = n;
	}
	return least;
}

static void check_shape(const struct heap *heap)
{
	for (size_t i = 0; i < heap->nodes.n; i++) {
		const struct heap_node *n = heap->nodes.v[i];
		const struct heap_node *parent = heap->nodes.v[i ? (i - 1) / 4 : 0];

		assert_int_equal(n->index, i + 1);
		assert_true(parent->key <= n->key);
	}
}

static void test_model(void **state)
{
	static struct heap_node nodes[N];
	struct heap heap = {0};
	struct rng rng;
	size_t live = 0;

	(void)state;
	rng_init(&rng, 3);
	for (int step = 0; step < 20000; step++) {
		struct heap_node *n = &nodes[rng_below(&rng, N)];

		/* Phases that fill and phases that drain. */
		if (rng_chance(&rng, step / 2000 % 2 ? 1 : 3, 4)) {
			if (n->index == 0) {
				heap_push(&heap, n, rng_between(&rng, -20, 20));
				live++;
			}
		} else if (rng_chance(&rng, 1, 2)) {
			live -= n->index != 0;
			heap_remove(&heap, n);
			assert_int_equal(n->index, 0);
		} else {
			struct heap_node *want = least_of(nodes);

			assert_ptr_equal(heap_peek(&heap), want);
			assert_ptr_equal(heap_pop(&heap), want);
			live -= want != NULL;
		}
		assert_int_equal(heap.nodes.n, live);
		if (step % 16 == 0)
			check_shape(&heap);
	}
	while (live-- > 0) {
		struct heap_node *want = least_of(nodes);

		assert_ptr_equal(heap_pop(&heap), want);
	}
	assert_null(heap_pop(&heap));
	assert_null(heap_peek(&heap));
	heap_deinit(&heap);
}

static void test_ties(void **state)
{
	struct heap_node nodes[50] = {0};
	struct heap heap = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_N(nodes); i++)
		heap_push(&heap, &nodes[i], 7);
	for (size_t i = 0; i < ARRAY_N(nodes); i++)
		assert_ptr_equal(heap_pop(&heap), &nodes[i]);
	heap_deinit(&heap);
}

static void body_push_twice(void)
{
	struct heap_node node = {0};
	struct heap heap = {0};

	heap_push(&heap, &node, 1);
	heap_push(&heap, &node, 2);
}

static void body_wrong_heap(void)
{
	struct heap_node nodes[2] = {0};
	struct heap a = {0};
	struct heap b = {0};

	heap_push(&a, &nodes[0], 1);
	heap_push(&b, &nodes[1], 1);
	heap_remove(&a, &nodes[1]);
}

static void test_misuse(void **state)
{
	(void)state;
	assert_true(aborts(body_push_twice));
	assert_true(aborts(body_wrong_heap));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
