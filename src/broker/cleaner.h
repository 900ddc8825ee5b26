/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction by the clock. Each shard looks for its log that needs it most and asks reactor 0, who lets as many run at
 * once as log.cleaner.threads says, the neediest first; wherever they lie, several of one shard too. The work itself is
 * done piece by piece by helper threads.
 *
 *    IDLE --a log needs it--> ASKED --granted--> a run begins, and IDLE: looks again at once
 *      \--none does--> IDLE for log.cleaner.backoff.ms, or until a run is done
 *
 * 1. At most log.cleaner.threads runs over all shards, each of another log, each with its part of
 *    log.cleaner.dedupe.buffer.size; together they keep to log.cleaner.io.max.bytes.per.second, within a second of a
 *    change.
 * 2. A log whose compaction met a batch that cannot be read is left alone until the next start, and is named; all
 *    others go on.
 */
#ifndef BROKER_CLEANER_H
#define BROKER_CLEANER_H

#include "types.h"

struct cleaner;
struct cleaner_desk;
struct shard;

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
void cleaner_stats_read(const struct cleaner *cleaner, struct cleaner_stats *ret);

#endif
