/* SPDX-License-Identifier: Apache-2.0 */
/* Who has which partition of a consumer group, given or being taken back: one member at most. See group_consumer.h. */
#include "group_consumer.h"

/* Owners of one topic's partitions. */
struct consumer_owners {
	struct uuid topic_id;
	struct map by_partition; /* partition + 1 -> struct consumer_member */
};

struct consumer_member *consumer_owner_of(const struct group_consumer *consumer, struct part_id id)
{
	const struct consumer_owners *owners = map_get_uuid(&consumer->owners, id.topic_id);

	return owners ? map_get_u64(&owners->by_partition, (uint64_t)id.partition + 1) : NULL;
}

void consumer_own(struct consumer_member *member, struct part_set set)
{
	struct group_consumer *consumer = member->group->consumer;

	for (int32_t i = 0; i < set.n; i++) {
		struct consumer_owners *owners = map_get_uuid(&consumer->owners, set.v[i].topic_id);

		if (!owners) {
			owners = MEM_NEW(struct consumer_owners);
			owners->topic_id = set.v[i].topic_id;
			map_init(&owners->by_partition, MAP_U64, member->group->store->seed);
			map_put_uuid(&consumer->owners, owners->topic_id, owners);
		}
		map_put_u64(&owners->by_partition, (uint64_t)set.v[i].partition + 1, member);
	}
}

static void owners_free(struct consumer_owners *owners)
{
	map_deinit(&owners->by_partition);
	mem_free(owners);
}

void consumer_disown(struct consumer_member *member, struct part_set set)
{
	struct group_consumer *consumer = member->group->consumer;

	for (int32_t i = 0; i < set.n; i++) {
		struct consumer_owners *owners;

		/* A log that was compacted in part may tell of the next owner before it tells of this end. */
		if (consumer_owner_of(consumer, set.v[i]) != member)
			continue;
		owners = map_get_uuid(&consumer->owners, set.v[i].topic_id);
		map_remove_u64(&owners->by_partition, (uint64_t)set.v[i].partition + 1);
		if (owners->by_partition.n == 0)
			owners_free(map_remove_uuid(&consumer->owners, set.v[i].topic_id));
	}
}

void consumer_owners_deinit(struct group_consumer *consumer)
{
	struct consumer_owners *owners;

	for (uint32_t it = 0; (owners = map_next(&consumer->owners, &it)) != NULL;)
		owners_free(owners);
	map_deinit(&consumer->owners);
}
