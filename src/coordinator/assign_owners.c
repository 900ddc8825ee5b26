/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of assign_owners.h: built from the spec with two counting passes, no list per member or topic. */
#include "assign_owners.h"

#include "check.h"

static enum err owners_place_partitions(struct assign_owners *owners, struct arena *arena)
{
	const struct assign_spec *spec = owners->spec;
	int64_t sum = 0;

	owners->first = arena_try_alloc_n(arena, (size_t)spec->topics_n + 1, sizeof(int32_t));
	if (!owners->first)
		return ERR_NO_MEMORY;
	for (int32_t t = 0; t < spec->topics_n; t++) {
		CHECK(spec->topics[t].partitions_n >= 0);
		owners->first[t] = (int32_t)sum;
		sum += spec->topics[t].partitions_n;
		if (sum > ASSIGN_PARTITIONS_MAX)
			return ERR_NO_MEMORY;
	}
	owners->first[spec->topics_n] = (int32_t)sum;
	owners->owner = arena_try_alloc_n(arena, (size_t)sum + 1, sizeof(int32_t));
	if (!owners->owner)
		return ERR_NO_MEMORY;
	for (int64_t i = 0; i < sum; i++)
		owners->owner[i] = ASSIGN_NOBODY;
	return ERR_NONE;
}

static enum err owners_place_subscribers(struct assign_owners *owners, struct arena *arena)
{
	const struct assign_spec *spec = owners->spec;
	int32_t *from = arena_try_alloc_n(arena, (size_t)spec->topics_n + 2, sizeof(int32_t));

	if (!from)
		return ERR_NO_MEMORY;
	/* Counted two places up, so that filling below leaves the beginnings behind. */
	for (int32_t m = 0; m < spec->members_n; m++) {
		for (int32_t i = 0; i < spec->members[m].topics_n; i++)
			from[spec->members[m].topics[i] + 2]++;
	}
	for (int32_t t = 0; t < spec->topics_n; t++)
		from[t + 2] += from[t + 1];
	owners->subscribers = arena_try_alloc_n(arena, (size_t)from[spec->topics_n + 1] + 1, sizeof(int32_t));
	if (!owners->subscribers)
		return ERR_NO_MEMORY;
	for (int32_t m = 0; m < spec->members_n; m++) {
		for (int32_t i = 0; i < spec->members[m].topics_n; i++)
			owners->subscribers[from[spec->members[m].topics[i] + 1]++] = m;
	}
	owners->subscriber_from = from;
	return ERR_NONE;
}

enum err assign_owners_init(struct assign_owners *owners, const struct assign_spec *spec, struct arena *arena)
{
	enum err err;

	*owners = (struct assign_owners){.spec = spec};
	owners->owned_n = arena_try_alloc_n(arena, (size_t)spec->members_n + 1, sizeof(int32_t));
	if (!owners->owned_n)
		return ERR_NO_MEMORY;
	err = owners_place_partitions(owners, arena);
	return err ? err : owners_place_subscribers(owners, arena);
}

void assign_owners_set(struct assign_owners *owners, int32_t place, int32_t member)
{
	if (owners->owner[place] != ASSIGN_NOBODY)
		owners->owned_n[owners->owner[place]]--;
	owners->owner[place] = member;
	owners->owned_n[member]++;
}

enum err assign_owners_targets(const struct assign_owners *owners, struct arena *arena, struct assign_target **ret)
{
	const struct assign_spec *spec = owners->spec;
	struct assign_target *targets = arena_try_alloc_n(arena, (size_t)spec->members_n + 1, sizeof(*targets));
	struct assign_part *parts =
		arena_try_alloc_n(arena, (size_t)owners->first[spec->topics_n] + 1, sizeof(*parts));

	if (!targets || !parts)
		return ERR_NO_MEMORY;
	for (int32_t m = 0; m < spec->members_n; m++) {
		targets[m].parts = parts;
		parts += owners->owned_n[m];
	}
	for (int32_t t = 0; t < spec->topics_n; t++) {
		for (int32_t place = owners->first[t]; place < owners->first[t + 1]; place++) {
			struct assign_target *target;

			if (owners->owner[place] == ASSIGN_NOBODY)
				continue;
			target = &targets[owners->owner[place]];
			target->parts[target->parts_n++] = (struct assign_part){t, place - owners->first[t]};
		}
	}
	*ret = targets;
	return ERR_NONE;
}
