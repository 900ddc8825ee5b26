/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a member of a KIP-848 consumer group comes from what it has to what it shall have, one step at a time. A pure
 * function: the caller keeps the member, logs the step as a ConsumerGroupCurrentMemberAssignment record, and tells the
 * member what it may own.
 *
 *                  target moved, something to give back
 *        STABLE -------------------------------------------> UNREVOKED_PARTITIONS
 *          ^ \                                                  |  (waits until the member no longer
 *          |  \ target moved, something still held by others    |   owns what it gives back)
 *          |   v                                                v
 *          +-- UNRELEASED_PARTITIONS <--------------------------+
 *              (waits until others have given back)        or straight to STABLE
 *
 * 1. A member is given a partition only when no other member has it or still gives it back, so two members never own
 *    one partition in an epoch.
 * 2. A member's epoch is the target's only when it has nothing left to give back.
 * 3. What a member has is never more than (what it had, joined with the target).
 */
#ifndef COORDINATOR_CONSUMER_RECONCILE_H
#define COORDINATOR_CONSUMER_RECONCILE_H

#include "part_set.h"

/* The numbers of the record. */
enum member_state {
	MEMBER_STABLE = 0,
	MEMBER_UNREVOKED_PARTITIONS = 1,
	MEMBER_UNRELEASED_PARTITIONS = 2,
	MEMBER_UNKNOWN = 127,
};

/* What a member has. */
struct member_current {
	enum member_state state;
	int32_t epoch, previous_epoch;
	struct part_set assigned; /* with the epoch at which each was assigned */
	struct part_set revoking;
};

struct reconcile {
	/* in */
	struct part_set target;
	int32_t target_epoch;
	bool knows_owned; /* the member said what it owns */
	struct part_set owned;
	/* Does another member have the partition, or has not given it back yet? */
	bool (*is_taken)(void *ctx, struct part_id id);
	void *ctx;
	/* out */
	bool must_fence; /* its state is of a newer version: it must join anew */
};

/* The member's next state; `current` itself when it cannot go on yet. Sets are memory of the arena, or of `current`. */
struct member_current member_reconcile(const struct member_current *current, struct reconcile *reconcile,
				       struct arena *arena);

#endif
