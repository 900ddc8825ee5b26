/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Markers of transactions in partitions of __consumer_offsets: what a transaction committed there counts, or is
 * forgotten, when its marker is in the log. What operations decided before the marker is appended before it, so that
 * the log tells the same story when it is read again.
 */
#include "coordinator_io_internal.h"
#include "leader_marker.h"
#include "mem.h"
#include "shard.h"

/* A marker on its way through the log of a shard of groups. */
struct coord_marker {
	struct leader_marker inner;
	struct leader_marker *outer;
	struct shard *shard;
	struct uuid topic_id;
	int32_t index;
};

static void coord_marker_done(struct leader_marker *inner)
{
	struct coord_marker *marker = container_of(inner, struct coord_marker, inner);
	struct leader_marker *outer = marker->outer;
	struct coord_partition *part =
		coordinator_io_partition(marker->shard, COORDINATOR_GROUP, marker->topic_id, marker->index);

	outer->err = inner->err;
	if (!inner->err && part && part->shard.state == COORD_ACTIVE) {
		struct coord_origin origin = {inner->producer_id, inner->producer_epoch};

		coord_partition_enter(part);
		coord_shard_end_transaction(&part->shard, origin, inner->commit);
	}
	mem_free(marker);
	outer->done(outer);
}

static void coord_marker_start(struct coord_partition *part, struct leader_marker *outer)
{
	struct coord_marker *marker = MEM_NEW(struct coord_marker);

	marker->inner = *outer;
	marker->inner.done = coord_marker_done;
	marker->outer = outer;
	marker->shard = part->io->shard;
	marker->topic_id = part->topic_id;
	marker->index = part->index;
	part->markers_n++;
	coord_partition_flush_now(part);
	leader_marker_start(&marker->inner);
}

void coordinator_io_marker(struct shard *shard, struct leader_marker *outer)
{
	const struct partition *partition = outer->partition;
	struct coord_partition *part;

	if (strcmp(partition->topic, OFFSETS_TOPIC) != 0) {
		leader_marker_start(outer);
		return;
	}
	part = coordinator_io_partition(shard, COORDINATOR_GROUP, partition->topic_id, partition->index);
	outer->err = part ? coord_shard_check(&part->shard) : ERR_NOT_COORDINATOR;
	/* Where the offsets cannot be read at all nobody is served them; the transaction can end all the same. */
	if (part && part->shard.state == COORD_FAILED)
		leader_marker_start(outer);
	else if (outer->err)
		outer->done(outer);
	else
		coord_marker_start(part, outer);
}
