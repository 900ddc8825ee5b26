/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas in the image: one object per entity, found by its parts. Parts stand in the order of their types and values in
 * the order of their keys, so that an entity is the same whatever order a record has.
 */
#include "check.h"
#include "image_state.h"
#include "mem.h"

static struct str quota_copy(char **at, struct str s)
{
	char *copy = *at;

	if (!s.p)
		return STR_NULL;
	if (s.len)
		memcpy(copy, s.p, s.len);
	*at += s.len;
	return (struct str){copy, s.len};
}

struct quota_node *quota_node_new(const struct quota_part *parts, int32_t parts_n, const struct quota_value *values,
				  int32_t values_n)
{
	size_t len = (size_t)parts_n * sizeof(*parts) + (size_t)values_n * sizeof(*values);
	struct quota_node *node;
	struct quota_part *to_parts;
	struct quota_value *to_values;
	char *at;

	for (int32_t i = 0; i < parts_n; i++)
		len += parts[i].type.len + parts[i].name.len + 1;
	for (int32_t i = 0; i < values_n; i++)
		len += values[i].key.len;
	node = mem_calloc(1, sizeof(*node) + len);
	to_parts = (struct quota_part *)(void *)(node + 1);
	to_values = (struct quota_value *)(void *)(to_parts + parts_n);
	at = (char *)(to_values + values_n);
	node->pub = (struct quota_image){parts_n, values_n, to_parts, to_values};
	for (int32_t i = 0; i < parts_n; i++) {
		to_parts[i].type = quota_copy(&at, parts[i].type);
		to_parts[i].name = quota_copy(&at, parts[i].name);
		at++; /* an empty name is not a null one */
	}
	for (int32_t i = 0; i < values_n; i++)
		to_values[i] = (struct quota_value){quota_copy(&at, values[i].key), values[i].value};
	return node;
}

static struct quota_node *quota_item(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct quota_node, item);
}

/* Null, the default, stands before every name. */
static int quota_cmp_name(struct str a, struct str b)
{
	if (!a.p || !b.p)
		return (a.p != NULL) - (b.p != NULL);
	return str_cmp(a, b);
}

static int quota_cmp_parts(const struct quota_image *a, const struct quota_image *b)
{
	int c = 0;

	for (int32_t i = 0; !c && i < MIN(a->parts_n, b->parts_n); i++) {
		c = str_cmp(a->parts[i].type, b->parts[i].type);
		if (!c)
			c = quota_cmp_name(a->parts[i].name, b->parts[i].name);
	}
	return c ? c : (a->parts_n > b->parts_n) - (a->parts_n < b->parts_n);
}

static int quota_cmp_key(const void *key, const struct pmap_item *item)
{
	return quota_cmp_parts(key, &quota_item(item)->pub);
}

static int quota_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return quota_cmp_parts(&quota_item(a)->pub, &quota_item(b)->pub);
}

static void quota_free(struct pmap_item *item)
{
	mem_free(quota_item(item));
}

const struct pmap_class quota_class = {quota_cmp_key, quota_cmp, quota_free};

bool quota_image_equal(const struct quota_image *a, const struct quota_image *b)
{
	if (a->values_n != b->values_n)
		return false;
	for (int32_t i = 0; i < a->values_n; i++) {
		/* As stored: a value that is no number equals itself. */
		if (!str_eq(a->values[i].key, b->values[i].key) ||
		    memcmp(&a->values[i].value, &b->values[i].value, sizeof(double)) != 0)
			return false;
	}
	return true;
}

/* ---- reading ---- */

int32_t image_quotas_n(const struct image *image)
{
	return image_node_of(image)->state.quotas.n;
}

const struct quota_image *image_quota(const struct image *image, const struct quota_part *parts, int32_t parts_n)
{
	const struct quota_image key = {.parts = parts, .parts_n = parts_n};
	struct pmap_item *item = pmap_get(&image_node_of(image)->state.quotas, &key);

	return item ? &quota_item(item)->pub : NULL;
}

const struct quota_image *image_quota_next(const struct image *image, const struct quota_image *after)
{
	struct pmap_item *item = pmap_next(&image_node_of(image)->state.quotas, after);

	return item ? &quota_item(item)->pub : NULL;
}

bool image_quotas_same(const struct image *a, const struct image *b)
{
	return image_node_of(a)->state.quotas.root == image_node_of(b)->state.quotas.root;
}

bool quota_value(const struct quota_image *quota, struct str key, double *ret)
{
	for (int32_t i = 0; i < quota->values_n; i++) {
		if (str_eq(quota->values[i].key, key)) {
			*ret = quota->values[i].value;
			return true;
		}
	}
	return false;
}
