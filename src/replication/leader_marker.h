/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending a transaction in one partition, as its leader: the coordinator's word becomes a control batch in the log.
 *
 *    CHECK --> QUEUED --stored by the log--> STORED --high watermark passes it--> done
 *      |          |                             |
 *      +----------+------- refused, failed -----+-- leadership lost ------------> done with an error
 *
 * 1. The marker names the producer's id and epoch: one of an older epoch ends nothing.
 * 2. A marker may come again. Where its transaction is over already it is written once more, as Kafka does, and
 *    changes nothing.
 * 3. `done` without an error means that the end is stored as acks=all promises.
 */
#ifndef REPLICATION_LEADER_MARKER_H
#define REPLICATION_LEADER_MARKER_H

#include "control.h"
#include "partition.h"

/* Lives until `done`. */
struct leader_marker {
	struct log_append append;           /* private */
	struct watch watch;                 /* private */
	uint8_t batch[CONTROL_MARKER_LEN];  /* private */
	/* in */
	struct partition *partition;
	int64_t producer_id;
	int16_t producer_epoch;
	bool commit;
	int32_t coordinator_epoch;
	int16_t version; /* transaction.version of the end: 0, 1; 2: the coordinator raised the epoch for it */
	struct reactor *reactor;
	int64_t now_ms; /* wall clock, the marker's timestamp */
	void *ctx;      /* the caller's */
	/* out: ERR_INVALID_PRODUCER_EPOCH, ERR_TRANSACTION_COORDINATOR_FENCED, ERR_NOT_LEADER_OR_FOLLOWER,
	 * ERR_UNKNOWN_SERVER_ERROR (no producer), or what the log failed with */
	enum err err;
	int64_t offset; /* out: the marker's, -1 on error */
	void (*done)(struct leader_marker *marker);
};

/* partition_check_leader must have said ERR_NONE in this turn. `done` always runs, perhaps before this returns when the
 * marker is refused. There is no timeout: it ends with the write. */
void leader_marker_start(struct leader_marker *marker);

#endif
