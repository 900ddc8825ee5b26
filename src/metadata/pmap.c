/* SPDX-License-Identifier: Apache-2.0 */
/* See pmap.h. */
#include "pmap.h"

#include "check.h"
#include "mem.h"

#define PMAP_DEPTH_MAX 48 /* 1.44 * log2(2^31) + 2 */

struct pmap_node {
	int32_t refs;
	int32_t height;
	struct pmap_node *left;
	struct pmap_node *right;
	struct pmap_item *item;
};

void pmap_item_unref(const struct pmap_class *class, struct pmap_item *item)
{
	if (--item->refs == 0)
		class->free(item);
}

static struct pmap_node *node_ref(struct pmap_node *node)
{
	if (node)
		node->refs++;
	return node;
}

static void node_unref(const struct pmap_class *class, struct pmap_node *node)
{
	if (!node || --node->refs > 0)
		return;
	node_unref(class, node->left);
	node_unref(class, node->right);
	pmap_item_unref(class, node->item);
	mem_free(node);
}

struct pmap pmap_copy(const struct pmap *map)
{
	node_ref(map->root);
	return *map;
}

void pmap_clear(struct pmap *map)
{
	node_unref(map->class, map->root);
	map->root = NULL;
	map->n = 0;
}

struct pmap_item *pmap_get(const struct pmap *map, const void *key)
{
	const struct pmap_node *node = map->root;

	while (node) {
		int c = map->class->cmp_key(key, node->item);

		if (c == 0)
			return node->item;
		node = c < 0 ? node->left : node->right;
	}
	return NULL;
}

struct pmap_item *pmap_next(const struct pmap *map, const void *key)
{
	const struct pmap_node *node = map->root;
	struct pmap_item *best = NULL;

	while (node) {
		if (!key || map->class->cmp_key(key, node->item) < 0) {
			best = node->item;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return best;
}

/* ---- changing ---- */

/* Trades one reference to a node for one to a node that nobody else sees. The caller owns the path to it. */
static struct pmap_node *node_own(struct pmap_node *node)
{
	struct pmap_node *copy;

	if (node->refs == 1)
		return node;
	copy = mem_alloc(sizeof(*copy));
	*copy = *node;
	copy->refs = 1;
	node_ref(copy->left);
	node_ref(copy->right);
	copy->item->refs++;
	node->refs--;
	return copy;
}

static int32_t node_height(const struct pmap_node *node)
{
	return node ? node->height : 0;
}

static void node_update(struct pmap_node *node)
{
	node->height = 1 + MAX(node_height(node->left), node_height(node->right));
}

static struct pmap_node *node_rotate_right(struct pmap_node *node)
{
	struct pmap_node *up = node_own(node->left);

	node->left = up->right;
	up->right = node;
	node_update(node);
	node_update(up);
	return up;
}

static struct pmap_node *node_rotate_left(struct pmap_node *node)
{
	struct pmap_node *up = node_own(node->right);

	node->right = up->left;
	up->left = node;
	node_update(node);
	node_update(up);
	return up;
}

static struct pmap_node *node_balance(struct pmap_node *node)
{
	int32_t lean = node_height(node->left) - node_height(node->right);

	if (lean > 1) {
		if (node_height(node->left->left) < node_height(node->left->right))
			node->left = node_rotate_left(node_own(node->left));
		return node_rotate_right(node);
	}
	if (lean < -1) {
		if (node_height(node->right->right) < node_height(node->right->left))
			node->right = node_rotate_right(node_own(node->right));
		return node_rotate_left(node);
	}
	node_update(node);
	return node;
}

/* Takes the reference to node, gives one to the new root of the subtree. */
static struct pmap_node *node_put(struct pmap *map, struct pmap_node *node, struct pmap_item *item)
{
	int c;

	if (!node) {
		node = MEM_NEW(struct pmap_node);
		node->refs = 1;
		node->height = 1;
		node->item = item;
		item->refs++;
		map->n++;
		return node;
	}
	node = node_own(node);
	c = map->class->cmp(item, node->item);
	if (c == 0) {
		struct pmap_item *before = node->item;

		item->refs++;
		node->item = item;
		pmap_item_unref(map->class, before);
		return node;
	}
	if (c < 0)
		node->left = node_put(map, node->left, item);
	else
		node->right = node_put(map, node->right, item);
	return node_balance(node);
}

void pmap_put(struct pmap *map, struct pmap_item *item)
{
	map->root = node_put(map, map->root, item);
}

/* Takes the leftmost node out of a subtree. */
static struct pmap_node *node_take_first(struct pmap_node *node, struct pmap_node **ret_first)
{
	node = node_own(node);
	if (!node->left) {
		struct pmap_node *rest = node->right;

		node->right = NULL;
		*ret_first = node;
		return rest;
	}
	node->left = node_take_first(node->left, ret_first);
	return node_balance(node);
}

static struct pmap_node *node_remove(struct pmap *map, struct pmap_node *node, const void *key)
{
	int c;

	node = node_own(node);
	c = map->class->cmp_key(key, node->item);
	if (c < 0) {
		node->left = node_remove(map, node->left, key);
	} else if (c > 0) {
		node->right = node_remove(map, node->right, key);
	} else {
		struct pmap_node *left = node->left, *right = node->right, *first;

		node->left = NULL;
		node->right = NULL;
		node_unref(map->class, node);
		if (!right)
			return left;
		right = node_take_first(right, &first);
		first->left = left;
		first->right = right;
		node = first;
	}
	return node_balance(node);
}

bool pmap_remove(struct pmap *map, const void *key)
{
	if (!pmap_get(map, key))
		return false;
	map->root = node_remove(map, map->root, key);
	map->n--;
	return true;
}

struct pmap_item **pmap_own(struct pmap *map, const void *key)
{
	struct pmap_node **at = &map->root;

	if (!pmap_get(map, key))
		return NULL;
	for (;;) {
		struct pmap_node *node = *at = node_own(*at);
		int c = map->class->cmp_key(key, node->item);

		if (c == 0)
			return &node->item;
		at = c < 0 ? &node->left : &node->right;
	}
}

/* ---- walking ---- */

/* What is left of a walk: whole subtrees, and single nodes whose left side is done. */
struct pmap_walk {
	struct {
		struct pmap_node *node;
		bool whole;
	} stack[2 * PMAP_DEPTH_MAX];
	int n;
};

static void walk_push(struct pmap_walk *walk, struct pmap_node *node, bool whole)
{
	if (!node)
		return;
	CHECK_OP(walk->n, <, (int)ARRAY_N(walk->stack));
	walk->stack[walk->n].node = node;
	walk->stack[walk->n++].whole = whole;
}

static void walk_expand(struct pmap_walk *walk)
{
	struct pmap_node *node = walk->stack[--walk->n].node;

	walk_push(walk, node->right, true);
	walk_push(walk, node, false);
	walk_push(walk, node->left, true);
}

static bool walk_is_whole(const struct pmap_walk *walk)
{
	return walk->n > 0 && walk->stack[walk->n - 1].whole;
}

static struct pmap_node *walk_top(const struct pmap_walk *walk)
{
	return walk->n > 0 ? walk->stack[walk->n - 1].node : NULL;
}

bool pmap_diff(const struct pmap *a, const struct pmap *b, pmap_diff_fn *fn, void *ctx)
{
	struct pmap_walk wa, wb;

	wa.n = wb.n = 0;
	walk_push(&wa, a->root, true);
	walk_push(&wb, b->root, true);
	while (wa.n > 0 || wb.n > 0) {
		struct pmap_node *na = walk_top(&wa), *nb = walk_top(&wb);
		bool whole_a = walk_is_whole(&wa), whole_b = walk_is_whole(&wb);
		int c;

		if (whole_a && whole_b && na == nb) {
			wa.n--;
			wb.n--;
			continue;
		}
		if (whole_a && (!whole_b || node_height(na) >= node_height(nb))) {
			walk_expand(&wa);
			continue;
		}
		if (whole_b) {
			walk_expand(&wb);
			continue;
		}
		c = !na ? 1 : !nb ? -1 : a->class->cmp(na->item, nb->item);
		if (c <= 0)
			wa.n--;
		if (c >= 0)
			wb.n--;
		if (c == 0 && na->item == nb->item)
			continue;
		if (!fn(ctx, c <= 0 ? na->item : NULL, c >= 0 ? nb->item : NULL))
			return false;
	}
	return true;
}

bool pmap_each(const struct pmap *map, pmap_each_fn *fn, void *ctx)
{
	struct pmap_walk walk;

	walk.n = 0;
	walk_push(&walk, map->root, true);
	while (walk.n > 0) {
		if (walk_is_whole(&walk)) {
			walk_expand(&walk);
			continue;
		}
		if (!fn(ctx, walk.stack[--walk.n].node->item))
			return false;
	}
	return true;
}

static int32_t node_check(const struct pmap_class *class, const struct pmap_node *node)
{
	int32_t lean;

	if (!node)
		return 0;
	CHECK_OP(node->refs, >, 0);
	CHECK_OP(node->item->refs, >, 0);
	lean = node_height(node->left) - node_height(node->right);
	CHECK(lean >= -1 && lean <= 1);
	CHECK_OP(node->height, ==, 1 + MAX(node_height(node->left), node_height(node->right)));
	if (node->left)
		CHECK(class->cmp(node->left->item, node->item) < 0);
	if (node->right)
		CHECK(class->cmp(node->right->item, node->item) > 0);
	return 1 + node_check(class, node->left) + node_check(class, node->right);
}

void pmap_check(const struct pmap *map)
{
	CHECK_OP(node_check(map->class, map->root), ==, map->n);
}
