/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side assignment of partitions to the members of a consumer group (KIP-848): pure functions from
 * subscriptions and what is owned now to a target. For large groups they run as WORK on a copy (consumer_job.h).
 *
 * 1. Complete: every partition of a topic that somebody subscribes to has exactly one owner.
 * 2. Legal: its owner subscribes to the topic.
 * 3. Balanced (uniform): no partition can move to another subscriber of its topic that has at least two fewer, unless
 *    the limit of passes was reached; with equal subscriptions sizes differ by one at most.
 * 4. Sticky (uniform): a partition moves only when its owner may not keep it or balance asks for it; with equal
 *    subscriptions no assignment as even moves fewer.
 * 5. The result depends on the spec alone: same input, same output.
 */
#ifndef COORDINATOR_ASSIGN_H
#define COORDINATOR_ASSIGN_H

#include "arena.h"
#include "err.h"
#include "uuid.h"

/* Most partitions of one assignment. */
#define ASSIGN_PARTITIONS_MAX 10000000

struct assign_topic {
	struct uuid id;
	int32_t partitions_n;
};

struct assign_part {
	int32_t topic; /* index in the spec's topics */
	int32_t partition;
};

struct assign_member {
	struct str member_id;
	struct str instance_id; /* null: a dynamic member */
	const int32_t *topics;	/* subscribed: indexes in the spec's topics, ascending, each once */
	int32_t topics_n;
	const struct assign_part *owned; /* its target so far; what is not subscribed or not there is ignored */
	int32_t owned_n;
};

struct assign_spec {
	const struct assign_topic *topics;
	int32_t topics_n;
	const struct assign_member *members;
	int32_t members_n;
};

/* What one member shall own, ascending by topic and partition. */
struct assign_target {
	struct assign_part *parts;
	int32_t parts_n;
};

typedef enum err assign_fn(const struct assign_spec *spec, struct arena *arena, struct assign_target **ret);

/* One target per member, in the spec's order, memory of the arena. ERR_NO_MEMORY beyond
 * ASSIGN_PARTITIONS_MAX or the arena's limit. */

/* "uniform": as even as subscriptions allow, with as few moves as that takes. */
enum err assign_uniform(const struct assign_spec *spec, struct arena *arena, struct assign_target **ret) MUST_USE;
/* "range": each topic cut into ranges over its subscribers, static members by instance id first, then the others by
 * member id: topics with as many partitions as each other are co-partitioned. */
enum err assign_range(const struct assign_spec *spec, struct arena *arena, struct assign_target **ret) MUST_USE;

/* By the name members ask for; NULL when there is none of that name. */
assign_fn *assign_find(struct str name);

#endif
