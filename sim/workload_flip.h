/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage at rest: what the client of the rotting topic (workload_flip.c) and who flips its bits (flip_rot.c) share.
 */
#ifndef SIM_WORKLOAD_FLIP_H
#define SIM_WORKLOAD_FLIP_H

#include "vec.h"
#include "workload_client.h"

#define FLIP_TOPIC "flipped"
#define FLIPS_MAX 16

/* One bit. */
struct flip {
	int64_t segment_base, pos;
	int bit;
	int64_t batch_pos;
	int64_t offset, end_offset; /* of its batch; exclusive */
	/* What may be lost with it: of a header all to the segment's end; of a base offset, when a read begins there,
	 * the batch before, as either may be the wrong one. */
	int64_t reach_from, reach_offset;
	int life;                   /* start of the node in which, or after which, it flipped */
	bool is_told;               /* in the node's log */
};

struct flip_entry { /* by offset */
	uint32_t counter_plus1; /* 0: not known */
	uint32_t era;
};

enum flip_step { FLIP_CREATE, FLIP_WORK, FLIP_SWEEP, FLIP_SCRUB, FLIP_LAST, FLIP_DONE };

struct wl_flip {
	struct wl_client client;
	struct workload *wl;
	enum flip_step step;
	bool is_resting;
	VEC(struct flip_entry) entries;
	uint32_t counter_next;
	uint32_t sent_first, sent_n; /* the batch that is out */
	int64_t pos, asked, hw;
	int asked_life; /* of the node, when the fetch was sent */
	int idle_n;
	int64_t refused_n;
	int64_t scrub_ns;
	int64_t synced_to; /* recovery point on the disk, the highest seen */
	struct flip flips[FLIPS_MAX];
	int flips_n;
};

#endif
