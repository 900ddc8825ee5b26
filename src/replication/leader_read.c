/* SPDX-License-Identifier: Apache-2.0 */
/* Reading from a partition as its leader: never at or above the high watermark. */
#include "fault.h"
#include "partition.h"

bool leader_read(struct partition *partition, struct log_read *read)
{
	read->log = partition->log;
	read->bound = FAULT(read_past_hw) ? partition->log->appended : partition->high_watermark;
	return part_log_read(partition->log, read);
}
