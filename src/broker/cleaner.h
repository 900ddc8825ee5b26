/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction by the clock. Each shard looks for its log that needs it most and asks reactor 0, who lets as many run at
 * once as log.cleaner.threads says, the neediest first.
 *
 *    IDLE --backoff over, a log needs it--> ASKED --granted--> RUNNING --done--> looks again at once
 *                       \--none does--> IDLE for log.cleaner.backoff.ms
 *
 * 1. One compaction a shard at a time; over all shards at most log.cleaner.threads.
 * 2. A log whose compaction met a batch that cannot be read is left alone until the next start, and is named; all
 *    others go on.
 */
#ifndef BROKER_CLEANER_H
#define BROKER_CLEANER_H

#include "types.h"

struct cleaner;
struct cleaner_desk;
struct shard;

/* What runs on a shard now; for those who show jobs. */
struct cleaner_progress {
	const char *topic; /* NULL: nothing runs */
	int32_t partition;
	int64_t bytes_done, bytes_total;
	double bytes_per_s;
	int64_t eta_ms; /* -1: not known yet */
};

/* What a shard's compactions came to; for the metrics page. */
struct cleaner_stats {
	int64_t looked_ns;       /* last looked at all logs; 0: never */
	double dirty_share_max;  /* of the dirtiest log then */
	int64_t overdue_ms_max;  /* of the one that is late most */
	uint64_t done_n, failed_n;
	uint64_t moved_bytes;    /* read and written */
	/* of the last one */
	int64_t took_ns;
	double kept_share;       /* bytes that are left of those there were */
	double map_use;
};

struct cleaner *cleaner_new(struct shard *shard);
void cleaner_free(struct cleaner *cleaner);
void cleaner_start(struct cleaner *cleaner);
/* Begins nothing more; what runs ends with its log. */
void cleaner_stop(struct cleaner *cleaner);
void cleaner_progress(const struct cleaner *cleaner, struct cleaner_progress *ret);
void cleaner_stats_read(const struct cleaner *cleaner, struct cleaner_stats *ret);

#endif
