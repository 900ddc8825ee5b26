/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of a live log: what of it may be compacted now, and doing it while the log is written and read. See
 * compact.h for the work itself.
 *
 *    part_log_compact --> STEP (a helper) --> [PAUSE by the rate] --> STEP ... --> SWAP (a helper) --> ... --> done
 *                           \--cancelled, failed--> what was written is removed --> done
 *
 * 1. Only whole segments are touched, all of them below the written recovery point (a start checks nothing there and
 *    takes no gap for a torn tail), the high watermark and the first open transaction.
 * 2. A log that is closed, cut or failed ends its compaction first; `done` runs once, always.
 * 3. While a swap runs no read looks anything up in files: those who have to wait until it is over.
 */
#ifndef STORAGE_LOG_COMPACT_H
#define STORAGE_LOG_COMPACT_H

#include "compact.h"
#include "part_log.h"

/* What could be done, by the log's settings. */
struct log_cleanable {
	int64_t first_dirty; /* compaction begins here */
	int64_t round_end;   /* and leaves alone what is from here on */
	int64_t clean_bytes; /* below first_dirty */
	int64_t dirty_bytes; /* from there to round_end */
	bool is_overdue;     /* by max.compaction.lag.ms */
	int64_t overdue_ms;  /* for so long */
};

/* cleaner_offset: where the last one ended, -1: never. `high_watermark`: of the partition. */
void part_log_cleanable(struct part_log *log, int64_t cleaner_offset, const struct log_pos *high_watermark,
			struct log_cleanable *ret);

/* One compaction. The caller keeps the memory until `done`. */
struct log_compact {
	/* in */
	struct log_cleanable range;
	int64_t map_bytes_max;
	double map_load_factor;
	double bytes_per_s; /* read and written together; live */
	void (*done)(struct log_compact *job);
	void *ctx;
	/* progress */
	int64_t started_ns;
	int64_t bytes_done, bytes_total; /* read, and to be read */
	int64_t bytes_in, bytes_out;     /* of the segments that were replaced, and of those that took their place */
	int64_t records_in, records_out;
	int64_t segments_in, segments_out;
	double map_use; /* how full the map of keys became, 1: full */
	/* at done */
	enum err err;         /* ERR_LOG_CLOSED: cancelled. ERR_CORRUPT_FILE: a batch cannot be read */
	struct err_text text; /* of an error: which file, where */
	int64_t compacted_to; /* nothing below is dirty any more */
	struct log_compact_run *run; /* private */
};

/* OPEN, and no other one under way. */
void part_log_compact(struct part_log *log, struct log_compact *job);
/* Ends it soon; nothing happens without one. */
void part_log_compact_cancel(struct part_log *log);
bool part_log_is_compacting(const struct part_log *log);

#endif
