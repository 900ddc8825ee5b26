/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persistent ordered map: an AVL tree of counted nodes over counted items. Copying a map costs one reference; a change
 * copies only the nodes on its path that another map can see, so that a long run of changes to one map copies each
 * node at most once.
 *
 * 1. A node that is reachable from two roots is never written: it, or one above it, has two references or more.
 * 2. Heights of two sibling trees differ by at most 1, so depth, and with it every recursion here, is at most 45.
 */
#ifndef METADATA_PMAP_H
#define METADATA_PMAP_H

#include "types.h"

/* First member of what is in a map. Zeroed by the owner; the map counts its own references. */
struct pmap_item {
	int32_t refs;
};

struct pmap_class {
	/* Order of a key against an item, and of two items by their keys. */
	int (*cmp_key)(const void *key, const struct pmap_item *item);
	int (*cmp)(const struct pmap_item *a, const struct pmap_item *b);
	void (*free)(struct pmap_item *item);
};

struct pmap_node;

/* Zeroed but for the class: empty. */
struct pmap {
	const struct pmap_class *class;
	struct pmap_node *root;
	int32_t n;
};

struct pmap pmap_copy(const struct pmap *map);
/* The map is empty after. */
void pmap_clear(struct pmap *map);
/* NULL when missing. */
struct pmap_item *pmap_get(const struct pmap *map, const void *key);
/* The first item above the key; NULL key: the first of all. NULL at the end. */
struct pmap_item *pmap_next(const struct pmap *map, const void *key);
/* Adds an item or replaces the one with its key. Takes one reference of its own. */
void pmap_put(struct pmap *map, struct pmap_item *item);
/* False when missing. */
bool pmap_remove(struct pmap *map, const void *key);
/* The place of an item in nodes that only this map sees: the item may be replaced there (with its reference) by one of
 * the same key, until the map is copied or changed. NULL when missing. */
struct pmap_item **pmap_own(struct pmap *map, const void *key);

void pmap_item_unref(const struct pmap_class *class, struct pmap_item *item);

/* Items that differ (are not the same object), in key order; NULL on the side that lacks the key. Subtrees that both
 * maps share are skipped. False from fn ends the walk; the result says whether it ran to the end. */
typedef bool pmap_diff_fn(void *ctx, struct pmap_item *a, struct pmap_item *b);
bool pmap_diff(const struct pmap *a, const struct pmap *b, pmap_diff_fn *fn, void *ctx);

/* In order. */
typedef bool pmap_each_fn(void *ctx, struct pmap_item *item);
bool pmap_each(const struct pmap *map, pmap_each_fn *fn, void *ctx);

/* Aborts when heights, order or count are wrong. For tests. */
void pmap_check(const struct pmap *map);

#endif
