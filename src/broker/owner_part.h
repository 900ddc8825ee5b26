/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a request that is about one partition, on the reactor that owns it: finding the partition, checking that
 * we lead it in the epoch the client believes in, waiting until its log is open. What every handler with partitions
 * does first; embed it and go on in `ready`.
 */
#ifndef BROKER_OWNER_PART_H
#define BROKER_OWNER_PART_H

#include "partition.h"
#include "scatter.h"

struct owner_part {
	struct list link;
	struct scatter_leg *leg;
	struct watch open;
	struct uuid topic_id; /* in */
	int32_t index;        /* in */
	int32_t leader_epoch; /* in: what the client believes, -1 no matter */
	struct partition *partition; /* for ready, when err is ERR_NONE: a leader with an open log */
	/* Goes on; ends with scatter_part_done(part->leg), at once or later. */
	void (*ready)(struct owner_part *part, enum err err);
};

/* For scatter_run: all parts of the leg are struct owner_part, linked by `link`. */
void owner_parts_run(struct shard *shard, struct scatter_leg *leg);
/* At home: adds the part to the leg of its owner. */
void owner_part_add(struct scatter *scatter, struct owner_part *part);

#endif
