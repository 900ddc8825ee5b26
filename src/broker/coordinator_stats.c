/* SPDX-License-Identifier: Apache-2.0 */
/* See coordinator_stats.h. */
#include "coordinator_stats.h"

#include "coordinator_io_internal.h"
#include "shard.h"

void coordinator_stats_read(const struct shard *shard, struct coordinator_stats *ret)
{
	const struct coordinator_io *io = shard->coordinators;
	const struct coord_partition *part;

	*ret = (struct coordinator_stats){.asks = shard->metrics.transaction_asks};
	if (!io)
		return;
	memcpy(ret->of, io->stats, sizeof(ret->of));
	ret->queued_n = io->waiting_n;
	ret->markers_waiting_n = io->markers_waiting_n;
	ret->completions_waiting_n = io->completions_waiting_n;
	for (uint32_t it = 0; (part = map_next(&io->partitions, &it)) != NULL;)
		ret->partitions_n[part->kind_id][part->shard.state]++;
}
