/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the end of a transaction into one partition that this broker leads: a control batch with one marker, which
 * ends the producer's open transaction there, moves the last stable offset, and for an abort leaves an entry in the
 * index of aborted transactions.
 *
 * 1. A marker whose coordinator epoch is older than that of the last marker of the producer id is refused with
 *    ERR_TRANSACTION_COORDINATOR_FENCED; one with an epoch older than the producer's with ERR_INVALID_PRODUCER_EPOCH.
 * 2. A marker may come again: where no transaction of its epoch is open it changes nothing that readers see.
 * 3. `done` comes when the marker is as safe as an acks=all write, not before.
 */
#ifndef REPLICATION_LEADER_MARKER_H
#define REPLICATION_LEADER_MARKER_H

#include "partition.h"

struct leader_marker {
	struct leader_append append; /* private */
	uint8_t bytes[128];          /* private: the batch */
	/* in */
	struct partition *partition;
	int64_t producer_id;
	int16_t producer_epoch;
	bool commit;
	int32_t coordinator_epoch;
	int16_t version; /* transaction version that the marker is written in: 0, 1, 2 */
	struct reactor *reactor;
	int64_t now_ms; /* wall clock */
	void *ctx;      /* the caller's */
	/* out */
	enum err err;
	void (*done)(struct leader_marker *marker);
};

/* On the reactor that owns the partition; partition_check_leader must have said ERR_NONE in this turn. `done` always
 * runs, perhaps before this returns. The memory stays valid until then. */
void leader_marker_start(struct leader_marker *marker);

#endif
