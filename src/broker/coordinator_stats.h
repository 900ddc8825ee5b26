/* SPDX-License-Identifier: Apache-2.0 */
/* What the metrics page says of the coordinators on one reactor: a copy of what they count, and how they stand. */
#ifndef BROKER_COORDINATOR_STATS_H
#define BROKER_COORDINATOR_STATS_H

#include "coord_shard.h"
#include "metrics.h"

enum coordinator_kind_id { COORDINATOR_GROUP, COORDINATOR_TRANSACTION, COORDINATOR_KINDS_N };

struct coordinator_stats {
	struct coord_stats of[COORDINATOR_KINDS_N];
	int32_t partitions_n[COORDINATOR_KINDS_N][COORD_STATES_N];
	int32_t queued_n; /* requests for groups that wait for a partition that loads */
	int64_t markers_waiting_n;     /* markers that wait until their partition takes them */
	int32_t completions_waiting_n; /* transactions whose end was marked, and could not be logged */
	struct transaction_stats asks;
};

struct shard;

/* On its reactor. */
void coordinator_stats_read(const struct shard *shard, struct coordinator_stats *ret);

#endif
