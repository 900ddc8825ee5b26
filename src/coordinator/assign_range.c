/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The "range" assignor: each topic is cut into one range per subscriber, the first of them one longer where it does
 * not come out even. What is owned so far does not count. Gives what Kafka's assignor of that name gives.
 */
#include <stdlib.h>

#include "assign_owners.h"

struct range_member {
	const struct assign_member *member;
	int32_t index;
};

/* Static members first, by instance id: their ids outlive a restart, so their ranges do. */
static int range_member_cmp(const void *a, const void *b)
{
	const struct assign_member *x = ((const struct range_member *)a)->member;
	const struct assign_member *y = ((const struct range_member *)b)->member;

	if (x->instance_id.p && y->instance_id.p)
		return str_cmp(x->instance_id, y->instance_id);
	if (x->instance_id.p || y->instance_id.p)
		return x->instance_id.p ? -1 : 1;
	return str_cmp(x->member_id, y->member_id);
}

enum err assign_range(const struct assign_spec *spec, struct arena *arena, struct assign_target **ret)
{
	struct range_member *order = arena_try_alloc_n(arena, (size_t)spec->members_n + 1, sizeof(*order));
	int32_t *next = arena_try_alloc_n(arena, (size_t)spec->topics_n + 1, sizeof(*next));
	int32_t *extra = arena_try_alloc_n(arena, (size_t)spec->topics_n + 1, sizeof(*extra));
	struct assign_owners owners;
	enum err err = assign_owners_init(&owners, spec, arena);

	if (err)
		return err;
	if (!order || !next || !extra)
		return ERR_NO_MEMORY;
	for (int32_t m = 0; m < spec->members_n; m++)
		order[m] = (struct range_member){&spec->members[m], m};
	qsort(order, (size_t)spec->members_n, sizeof(*order), range_member_cmp);
	for (int32_t t = 0; t < spec->topics_n; t++) {
		int32_t subscribers_n = owners.subscriber_from[t + 1] - owners.subscriber_from[t];

		next[t] = owners.first[t];
		extra[t] = subscribers_n ? spec->topics[t].partitions_n % subscribers_n : 0;
	}
	for (int32_t m = 0; m < spec->members_n; m++) {
		for (int32_t i = 0; i < order[m].member->topics_n; i++) {
			int32_t t = order[m].member->topics[i];
			int32_t subscribers_n = owners.subscriber_from[t + 1] - owners.subscriber_from[t];
			int32_t n = spec->topics[t].partitions_n / subscribers_n + (extra[t] > 0);

			extra[t] -= extra[t] > 0;
			for (; n > 0; n--)
				assign_owners_set(&owners, next[t]++, order[m].index);
		}
	}
	return assign_owners_targets(&owners, arena, ret);
}
