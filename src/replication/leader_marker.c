/* SPDX-License-Identifier: Apache-2.0 */
/* Markers of transactions. See leader_marker.h. */
#include "leader_marker.h"

#include "fault.h"

static void leader_marker_end(struct leader_marker *marker, enum err err)
{
	watch_stop(&marker->watch);
	marker->err = err;
	marker->offset = err ? -1 : marker->append.info.base_offset;
	marker->done(marker);
}

static void leader_marker_watch_fired(struct watch *watch, enum err err)
{
	leader_marker_end(container_of(watch, struct leader_marker, watch), err);
}

static void leader_marker_stored(struct log_append *append)
{
	struct leader_marker *marker = container_of(append, struct leader_marker, append);
	struct partition *partition = marker->partition;
	int64_t goal = append->info.last_offset + 1;

	if (append->err)
		leader_marker_end(marker, append->err);
	else if (partition->high_watermark.offset >= goal || FAULT(ack_early))
		leader_marker_end(marker, ERR_NONE);
	else if (partition->state != PARTITION_LEADER)
		/* Nobody advances the mark of a partition that was stopped while the write was on its way. */
		leader_marker_end(marker, ERR_NOT_LEADER_OR_FOLLOWER);
	else
		watch_start(&partition->hw_watches, &marker->watch, goal, leader_marker_watch_fired);
}

static void leader_marker_build(struct leader_marker *marker)
{
	const struct control_marker control = {
		.offset = marker->partition->log->end,
		.timestamp = marker->now_ms,
		.producer_id = marker->producer_id,
		.leader_epoch = marker->partition->leader_epoch,
		.coordinator_epoch = marker->coordinator_epoch,
		.producer_epoch = marker->producer_epoch,
		.commit = marker->commit,
	};

	control_marker_build(marker->batch, &control);
	marker->append = (struct log_append){.batch = marker->batch, .len = CONTROL_MARKER_LEN,
					     .done = leader_marker_stored};
}

void leader_marker_start(struct leader_marker *marker)
{
	struct partition *partition = marker->partition;
	struct bytes batch = {marker->batch, CONTROL_MARKER_LEN};
	enum err err;

	CHECK(partition->is_open);
	marker->watch = (struct watch){0};
	leader_marker_build(marker);
	err = producer_state_check_marker(&partition->log->producers, marker->producer_id, marker->producer_epoch,
					  marker->coordinator_epoch, marker->version);
	if (!err)
		err = batch_parse(batch, &marker->append.info);
	if (!err)
		err = part_log_append(partition->log, &marker->append, partition->leader_epoch);
	if (!err)
		txn_guard_end(&partition->txn_guards, marker->producer_id, marker->producer_epoch, marker->version);
	if (err)
		leader_marker_end(marker, err);
}
