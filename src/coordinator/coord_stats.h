/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the coordinators of one kind on one reactor count: plain numbers that only grow. The shards count what their
 * machines decide, the glue measures the times, as a shard has no clock.
 *
 *    request received --queue--> decided --processing--> records wait for their batch --linger--> appended --flush-->
 *                                         \--purgatory: until they are committed and the answer may leave
 */
#ifndef COORDINATOR_COORD_STATS_H
#define COORDINATOR_COORD_STATS_H

#include "hist.h"

enum coord_count {
	COORD_OFFSET_COMMITS,     /* offsets, also those in a transaction */
	COORD_OFFSET_EXPIRATIONS, /* that went as they were old */
	COORD_OFFSET_DELETIONS,   /* by OffsetDelete */
	COORD_CLASSIC_REBALANCES, /* that came to an assignment */
	COORD_CONSUMER_REBALANCES, /* epochs that a heartbeat or a member's join raised */
	COORD_COUNTS_N,
};

enum coord_time {
	COORD_TIME_QUEUE,
	COORD_TIME_PROCESSING,
	COORD_TIME_PURGATORY,
	COORD_TIME_FLUSH,
	COORD_TIME_LINGER,
	COORD_TIME_LOAD, /* of a partition */
	COORD_TIMES_N,
};

struct coord_stats {
	uint64_t counts[COORD_COUNTS_N];
	struct hist times[COORD_TIMES_N]; /* ns */
};

#endif
