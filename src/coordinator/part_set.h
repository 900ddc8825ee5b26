/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of partitions as sorted arrays: what members of a group own, give back, shall own. A set is a view: its memory
 * belongs to an arena or to the member that keeps it. All operations are linear.
 */
#ifndef COORDINATOR_PART_SET_H
#define COORDINATOR_PART_SET_H

#include "arena.h"
#include "uuid.h"

struct part_id {
	struct uuid topic_id;
	int32_t partition;
	int32_t epoch; /* of the member when it got the partition, no part of the order; -1: does not matter */
};

/* Ascending by topic id and partition, each once. A zeroed set is empty. */
struct part_set {
	struct part_id *v;
	int32_t n;
};

int part_id_cmp(struct part_id a, struct part_id b);
/* Sorts, and drops all but the first of equals. */
void part_set_normalize(struct part_set *set);
bool part_set_has(struct part_set set, struct part_id id);
bool part_set_eq(struct part_set a, struct part_set b);
/* Is every element of `a` in `b`? */
bool part_set_is_within(struct part_set a, struct part_set b);
bool part_set_overlaps(struct part_set a, struct part_set b);
/* Elements of `a` (with its epochs) that are, or are not, in `b`. Memory of the arena. */
struct part_set part_set_common(struct part_set a, struct part_set b, struct arena *arena);
struct part_set part_set_without(struct part_set a, struct part_set b, struct arena *arena);
/* Elements of either; of `a` where both have one. */
struct part_set part_set_joined(struct part_set a, struct part_set b, struct arena *arena);
/* How many elements share the topic of v[from]; for walking a set topic by topic. */
int32_t part_set_topic_n(struct part_set set, int32_t from);

#endif
