/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a partition's directory: what is there, what the way it was left demands to be checked, and what
 * has to be mended. Sequential code for helper threads; touches nothing but its own struct and the files. The
 * same code cuts a log (truncate_to), which is opening it again with a shorter end.
 *
 *   directory, partition.metadata -> names -> leftovers of a compaction -> segments -> cut
 *   -> check as `stop` asks -> indexes -> epochs -> producers -> active segment open
 *
 * What is checked:
 *   CLEAN      from the last index entry of the last segment on, with checksums; what is damaged before the recovery
 *              point, where the log ended, stays, and a new segment begins
 *   KILLED     the same, but the end is cut: writes of the same boot are there, only the last can be torn.
 *              Damage that good batches follow stays, with them
 *   POWER_CUT  every batch from the recovery point on, with checksums, and that segments follow each other
 *              without a gap; indexes of what is checked are made anew
 *   UNKNOWN    the same, but gaps are a compaction's; when there are any all is synced, up to a new recovery point
 *
 * 1. Nothing below the recovery point is ever cut, unless truncate_to says so.
 * 2. Behind the bad batch that ends the log nothing is kept: later segments go first, then the tail, so that a crash in
 *    between finds the same bad batch again.
 * 3. A directory that is made here is empty: nothing is looked for in it. Its names become durable at the end, then
 *    it itself; records come only after that.
 * 4. Afterwards every index entry points at a batch and names its last offset.
 * 5. A log that ends below the recovery point it is given has lost records: that is said. One that is strict is refused
 *    for that, or for damage that no crash explains, before anything is cut.
 * 6. A gap, or damage, that one start has kept lies below the recovery point when it ends, where no later start minds
 *    it. For a gap's sake the directory stays UNKNOWN until a checkpoint has written that point.
 */
#ifndef STORAGE_LOG_LOAD_H
#define STORAGE_LOG_LOAD_H

#include "epoch_cache.h"
#include "fmt.h"
#include "fs.h"
#include "producer_state.h"
#include "segment.h"
#include "storage.h"
#include "txn_index.h"

struct log_load {
	/* in */
	const char *dir_path; /* log directory */
	const char *name;     /* "orders-4" */
	const char *path;     /* of the partition's directory */
	struct uuid topic_id; /* zero: not checked, none written */
	struct uuid unique;   /* for the name of a stray */
	int64_t index_interval_bytes;
	enum log_dir_stop stop;
	int64_t truncate_to; /* INT64_MAX: no cut */
	bool rewrites_tail; /* what may not be on the disk is written again, so that the next sync is about all of it */
	bool has_lost_syncs; /* with rewrites_tail: the small files too, which else need no more than a sync */
	bool is_strict; /* nothing of it may be missing: whoever cuts it writes its recovery point first */
	int64_t snapshot_keep; /* -1, or the offset of a snapshot not to be removed */
	/* in and out; -1: not known. Out: clamped to what is there. */
	int64_t recovery_point;
	int64_t log_start;
	/* out */
	struct segment_list segments; /* never empty after success */
	struct epoch_cache epochs;
	struct producer_state producers; /* initialised by the caller */
	struct aborted_txns aborted;     /* by the offsets of their markers */
	bool is_txn_index_bad;           /* one of its files was, or empty; from the first such on they are made anew */
	int64_t txn_index_bad_base;      /* its segment */
	int64_t end;
	int64_t bytes_since_index;     /* of the last segment */
	int64_t last_time_ms;          /* of the last entry of its time index, -1 */
	int64_t recovery_base, recovery_pos; /* segment and position of recovery_point */
	int64_t snapshot_offset; /* of the newest snapshot, -1 */
	fs_file active; /* .log of the last segment, for writing */
	bool has_gaps;   /* of UNKNOWN: some offsets behind the recovery point were left out */
	bool has_damage; /* the last segment goes on behind it */
	bool has_epochs;  /* the file was there and good */
	bool epochs_changed; /* headers had more than the file, which is not written yet */
	bool is_changed; /* something had to be mended */
	bool is_fresh;   /* the directory was made by this load */
	struct err_text text;
};

/* What lies behind the recovery point may be anything. */
static inline bool log_load_is_suspect(const struct log_load *load)
{
	return load->stop == LOG_DIR_POWER_CUT || load->stop == LOG_DIR_UNKNOWN;
}

/* On error everything allocated is still freed by log_load_deinit. */
enum err log_load_run(struct log_load *load, struct fs *fs) MUST_USE;
void log_load_deinit(struct log_load *load, struct fs *fs);

#endif
