/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a consumer group's heartbeat share: the heartbeat on its way, and the group and member it is of. */
#ifndef COORDINATOR_CONSUMER_BEAT_H
#define COORDINATOR_CONSUMER_BEAT_H

#include "consumer_heartbeat.h"

/* One heartbeat on its way. */
struct beat {
	struct group_store *store;
	const struct consumer_group_heartbeat_request *request;
	struct coord_records *records;
	struct arena *arena;
	struct err_text *text;
	struct consumer_group_member_metadata_value_classic_member_metadata *hosted;
	struct str member_id;
	struct group *group;		/* NULL: not there yet */
	struct group_consumer *consumer;
	struct consumer_member *member; /* NULL: new */
	struct consumer_member *replaced; /* static: the one it takes the place of */
	struct part_set owned;		/* as told */
	bool knows_owned;
	struct consumer_group_member_metadata_value meta; /* as it will be */
	struct consumer_change change;
	struct member_current current;	/* as it will be */
	bool is_large; /* its target is made beside it */
	int32_t epoch, target_epoch;
	struct part_set target;
};

/* ---- consumer_find.c ---- */

/* Finds the group; `make`: one that may be made, or come from a classic one, in which case it is that already. */
enum err beat_find_group(struct beat *beat, bool make) MUST_USE;
/* The member's words about what it owns. */
enum err beat_read_owned(struct beat *beat) MUST_USE;
/* The member, or the one it takes the place of. */
enum err beat_find_member(struct beat *beat, bool make) MUST_USE;

#endif
