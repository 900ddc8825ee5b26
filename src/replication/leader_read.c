/* SPDX-License-Identifier: Apache-2.0 */
/* Reading from a partition as its leader: never at or above the high watermark. */
#include "fault.h"
#include "partition.h"

int64_t leader_last_stable(struct partition *partition)
{
	const struct part_log *log = partition->log;
	/* What the start of the log has passed keeps nobody waiting. */
	int64_t unstable = MAX(producer_state_first_unstable(&log->producers), log->log_start);

	if (FAULT(stable_is_high))
		return partition->high_watermark.offset;
	return MIN(partition->high_watermark.offset, unstable);
}

bool leader_read(struct partition *partition, bool only_stable, struct log_read *read)
{
	int64_t stable = only_stable ? leader_last_stable(partition) : INT64_MAX;

	read->log = partition->log;
	read->bound = FAULT(read_past_hw) ? partition->log->appended : partition->high_watermark;
	if (stable < read->bound.offset)
		read->bound = part_log_bound_at(partition->log, stable);
	return part_log_read(partition->log, read);
}
