/* SPDX-License-Identifier: Apache-2.0 */
/* Merging walks over sorted arrays. */
#include "part_set.h"

#include <stdlib.h>

int part_id_cmp(struct part_id a, struct part_id b)
{
	int c = uuid_cmp(a.topic_id, b.topic_id);

	if (c)
		return c;
	return (a.partition > b.partition) - (a.partition < b.partition);
}

static int part_id_cmp_p(const void *a, const void *b)
{
	return part_id_cmp(*(const struct part_id *)a, *(const struct part_id *)b);
}

void part_set_normalize(struct part_set *set)
{
	int32_t n = 0;

	if (set->n > 1)
		qsort(set->v, (size_t)set->n, sizeof(*set->v), part_id_cmp_p);
	for (int32_t i = 0; i < set->n; i++) {
		if (n == 0 || part_id_cmp(set->v[n - 1], set->v[i]) != 0)
			set->v[n++] = set->v[i];
	}
	set->n = n;
}

bool part_set_has(struct part_set set, struct part_id id)
{
	return set.n > 0 && bsearch(&id, set.v, (size_t)set.n, sizeof(*set.v), part_id_cmp_p) != NULL;
}

bool part_set_eq(struct part_set a, struct part_set b)
{
	return a.n == b.n && part_set_is_within(a, b);
}

/* The walk behind the rest: what lies in both, or in `a` alone, is appended to `ret` where it is wanted. */
static int32_t part_set_walk(struct part_set a, struct part_set b, bool want_common, struct part_id *ret)
{
	int32_t n = 0, j = 0;

	for (int32_t i = 0; i < a.n; i++) {
		bool is_common;

		while (j < b.n && part_id_cmp(b.v[j], a.v[i]) < 0)
			j++;
		is_common = j < b.n && part_id_cmp(b.v[j], a.v[i]) == 0;
		if (is_common != want_common)
			continue;
		if (ret)
			ret[n] = a.v[i];
		n++;
	}
	return n;
}

bool part_set_is_within(struct part_set a, struct part_set b)
{
	return part_set_walk(a, b, false, NULL) == 0;
}

bool part_set_overlaps(struct part_set a, struct part_set b)
{
	return part_set_walk(a, b, true, NULL) > 0;
}

static struct part_set part_set_picked(struct part_set a, struct part_set b, bool want_common, struct arena *arena)
{
	struct part_set ret = {ARENA_NEW_N(arena, struct part_id, a.n), 0};

	ret.n = part_set_walk(a, b, want_common, ret.v);
	return ret;
}

struct part_set part_set_common(struct part_set a, struct part_set b, struct arena *arena)
{
	return part_set_picked(a, b, true, arena);
}

struct part_set part_set_without(struct part_set a, struct part_set b, struct arena *arena)
{
	return part_set_picked(a, b, false, arena);
}

struct part_set part_set_joined(struct part_set a, struct part_set b, struct arena *arena)
{
	struct part_set ret = {ARENA_NEW_N(arena, struct part_id, a.n + b.n), 0};
	int32_t i = 0, j = 0;

	while (i < a.n || j < b.n) {
		int c = i == a.n ? 1 : j == b.n ? -1 : part_id_cmp(a.v[i], b.v[j]);

		ret.v[ret.n++] = c <= 0 ? a.v[i] : b.v[j];
		i += c <= 0;
		j += c >= 0;
	}
	return ret;
}

int32_t part_set_topic_n(struct part_set set, int32_t from)
{
	int32_t to = from;

	while (to < set.n && uuid_eq(set.v[to].topic_id, set.v[from].topic_id))
		to++;
	return to - from;
}
