/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition that is led and served on one reactor over a disk in memory, for fuzz targets: each call turns the
 * reactor until its answer is there. No answer after many turns is a hang, and ends the program.
 */
#ifndef LIVE_PARTITION_H
#define LIVE_PARTITION_H

#include "leader_marker.h"
#include "mem_disk.h"
#include "node.h"

struct live_options {
	enum storage_durability durability;
	enum log_dir_stop stop;
	int64_t recovery_point, log_start; /* of the checkpoints, -1: none */
	int64_t segment_bytes;
	int32_t leader_epoch;
};

struct live_partition {
	struct mem_disk *disk;
	struct io *io;
	struct node node;
	struct reactor *reactor;
	struct storage storage;
	struct partition *partition;
	struct compress_ctx compress;
};

/* What a fetch finds. */
struct live_read {
	bool only_stable;
	int64_t offset;
	int64_t max_bytes;
	enum err err;
	struct scratch bytes;
	int64_t end_offset;
};

/* False: its log cannot be opened. Ended with live_end either way. */
bool live_begin(struct live_partition *live, struct mem_disk *disk, const struct live_options *options) MUST_USE;
/* in_order: the log is closed; else the process is killed. */
void live_end(struct live_partition *live, bool in_order);
void live_checkpoint(struct live_partition *live);
/* One produce; the batch is stamped in place. *ret_offset: its first. */
enum err live_produce(struct live_partition *live, struct bytes batch, int64_t *ret_offset) MUST_USE;
enum err live_mark(struct live_partition *live, int64_t producer_id, int16_t producer_epoch, int32_t coordinator_epoch,
		   bool commit, int16_t version) MUST_USE;
/* read->bytes is emptied first, and the caller's. */
void live_fetch(struct live_partition *live, struct live_read *read);
/* bound as fetches have it. *ret: what was answered. */
void live_find_time(struct live_partition *live, bool only_stable, int64_t timestamp_ms, struct log_time_query *ret);
/* Until nothing is under way. */
void live_settle(struct live_partition *live);

#endif
