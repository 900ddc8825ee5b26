/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a live log's old segments again to see that every batch still has its checksum. The caller asks for one piece
 * after another and pauses in between as it likes; each piece runs on a helper.
 *
 *    part_log_scrub --> RUNS (a helper) --> found ... --> done --> part_log_scrub again --> ... --> OVER
 *
 * 1. Only segments that are not written any more, below the recovery point: what differs there is damage.
 * 2. What is found is kept with the open log: from then on no read serves it, and what is before and behind it is
 *    served.
 * 3. A marker that aborts what is in the log, but that the log does not know as one, is told in each pass; only a start
 *    makes the index anew. Remembered from one piece to the next are the transactions that are open there; behind
 *    damage none.
 * 4. A piece that a cut or a compaction overtook tells nothing; its segment is read anew.
 */
#ifndef STORAGE_LOG_SCRUB_H
#define STORAGE_LOG_SCRUB_H

#include "part_log.h"
#include "segment_check.h"

enum log_scrub_step {
	LOG_SCRUB_RUNS,  /* `done` will run */
	LOG_SCRUB_LATER, /* files are being renamed */
	LOG_SCRUB_OVER,  /* nothing more to read, or the log is not open */
};

/* A walk over one log; the caller keeps the memory until `done`. Zeroed: from the beginning. */
struct log_scrub {
	/* in */
	void (*found)(struct log_scrub *scrub, const struct part_log *log, const char *path,
		      const struct log_bad *bad); /* each once as long as the log is open */
	/* The first such marker of a piece, and how many. */
	void (*unlisted)(struct log_scrub *scrub, const struct part_log *log, const char *path, int64_t pos, size_t n);
	void (*done)(struct log_scrub *scrub);
	/* out, at done */
	int64_t bytes; /* read by this piece */
	enum err err;  /* a file that cannot be read: its segment was passed over; ERR_LOG_CLOSED */
	/* private: where it is */
	int64_t offset, pos, next_offset;
	uint32_t generation;
	struct producer_state *open_txns; /* NULL before the first piece; a helper's while one runs */
};

enum log_scrub_step part_log_scrub(struct part_log *log, struct log_scrub *scrub);
/* After the walk, or before its end; no piece is under way. */
void log_scrub_deinit(struct log_scrub *scrub);

#endif
