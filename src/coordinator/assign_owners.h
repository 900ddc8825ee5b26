/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the assignors share: who owns each partition while an assignment is made, and who subscribes to each topic,
 * as flat tables in the arena.
 */
#ifndef COORDINATOR_ASSIGN_OWNERS_H
#define COORDINATOR_ASSIGN_OWNERS_H

#include "assign.h"

#define ASSIGN_NOBODY (-1)

struct assign_owners {
	const struct assign_spec *spec;
	int32_t *first;		  /* per topic and one more: its first partition's place in `owner` */
	int32_t *owner;		  /* per partition of every topic: index of a member, or ASSIGN_NOBODY */
	int32_t *subscriber_from; /* per topic and one more: its first place in `subscribers` */
	int32_t *subscribers;	  /* indexes of members, ascending within a topic */
	int32_t *owned_n;	  /* per member */
};

/* Nobody owns anything yet. */
enum err assign_owners_init(struct assign_owners *owners, const struct assign_spec *spec,
			    struct arena *arena) MUST_USE;
void assign_owners_set(struct assign_owners *owners, int32_t place, int32_t member);
/* The table as one target per member. */
enum err assign_owners_targets(const struct assign_owners *owners, struct arena *arena,
			       struct assign_target **ret) MUST_USE;

#endif
