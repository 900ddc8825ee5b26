/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a live log share: part_log.c (life, what to do next), log_append.c (queue, writes, failed
 * writes), log_tail.c (index entries, rolling), log_read.c, log_time.c, log_trim.c, storage_sync.c (commits,
 * checkpoints). Nobody else includes it.
 *
 * Slow work of one log is either exclusive (open, roll, repair, truncate, close: one at a time, the queue
 * waits) or shared (writing index entries, checkpoints: they write fixed bytes at fixed places and may
 * overlap with a roll or a repair, but not with truncate and close).
 *
 * 1. `queue` and `writing` hold the appends between `appended` and `end`, in order.
 * 2. While `writing` is not empty the file may be longer than the segment's size.
 * 3. A log whose `refs` is not 0 is not freed: somebody's completion still comes back to it.
 */
#ifndef STORAGE_PART_LOG_INTERNAL_H
#define STORAGE_PART_LOG_INTERNAL_H

#include "file_cache.h"
#include "index_file.h"
#include "log_load.h"
#include "log_scrub.h"
#include "part_log.h"
#include "segment.h"

#define LOG_IOV_MAX 64
#define LOG_RING_N 64u /* a power of two */
#define LOG_HINTS_N 4
#define LOG_PAGE_N 512u
/* Index entries kept in memory before they are written. */
#define LOG_INDEX_GROUP 64

struct log_ring_entry {
	int64_t base_offset;
	int64_t pos;
};

/* What a log needs while it is being written to. */
struct log_tail {
	VEC(struct index_entry) index; /* the newest entries of the active segment, not written yet */
	VEC(struct time_entry) times;
	struct log_ring_entry ring[LOG_RING_N]; /* newest batches of the active segment */
	uint32_t ring_next, ring_n;
	struct iovec iov[LOG_IOV_MAX];
};

/* Index entries of one segment around the place of a sequential reader. */
struct log_page {
	int64_t base;
	uint32_t n;
	struct index_entry entries[LOG_PAGE_N];
};

/* A range of a segment's file whose batches a helper has looked at. */
struct log_checked {
	int64_t base;
	int64_t pos, end_pos;
};

struct log_impl {
	struct part_log pub;
	char *path;
	struct segment_list segments; /* not empty while OPEN */
	int32_t refs;
	bool is_zombie; /* freed by its owner; memory goes with the last ref */

	struct list queue;   /* log_append.link: has its offset, waits for the file */
	struct list writing; /* given to the file */
	struct io_op write_op;
	struct log_file *write_file;
	bool is_writing;
	bool is_driven; /* in storage's list for the end of this turn */
	struct list drive_link;

	struct log_tail *tail; /* NULL while nothing is written */
	int64_t bytes_since_index;
	int64_t last_index_timestamp_ms; /* of the last time index entry of the active segment, -1 */
	uint32_t txns_n, txns_written; /* aborted transactions of the active segment; in its file */
	int64_t active_created_ms;
	int64_t active_jitter_ms;
	struct log_page *page; /* NULL */
	struct log_pos hints[LOG_HINTS_N];
	uint32_t hint_next;
	uint32_t generation; /* counts truncations: a place found before one means nothing after */

	bool is_busy;         /* exclusive work runs */
	bool index_is_running;
	bool is_swapping;     /* a compaction renames files: nothing is looked up in them */
	struct log_compact_run *compaction; /* NULL: none */
	VEC(struct log_bad) bad; /* what was found damaged, never served */
	VEC(struct log_checked) checked;
	uint32_t checked_next;         /* the one that goes when there are too many */
	int64_t own_base, own_pos;     /* what lies from here on was appended since the log was opened */
	bool is_trimming;     /* segments below the start are being renamed */
	struct progress *trimming; /* of many such segments, which go job by job; NULL: not many */
	int32_t shared_n;     /* shared work under way */
	bool wants_repair;
	bool wants_close;
	bool is_discarded;    /* it is not opened again */
	bool is_unsettled;    /* its closing failed: indexes and snapshot may not be there */
	bool wants_open_file;
	int64_t roll_at;      /* a new segment is to begin here, and the log with it; -1 */
	int64_t truncate_to;  /* INT64_MAX: none asked for */
	struct list reads;    /* log_read.link: waiting for a helper */
	struct list queries;  /* log_time_query.link */
	struct list parked_reads, parked_queries; /* for the end of a swap */

	struct list dirty_link;    /* dir->commit_dirty or commit_running */
	struct log_pos commit_goal; /* of the commit under way */
	int64_t sync_to;           /* somebody asked for durability up to here; -1 */
	int64_t dirty_base;        /* base of the first segment with unsynced bytes */
	int64_t dirty_since_ns;
	int64_t unsynced_bytes;    /* appended since the last commit or checkpoint of this log began */
	int64_t snapshot_offset;   /* of the newest snapshot file, -1 */
	bool epochs_changed;       /* since the file was written */
	bool epoch_is_new;         /* the last epoch was begun since, and had no records then */
	bool in_checkpoint;        /* whose job writes the epochs and a snapshot */
	/* Rolls whose new names the directory has; those up to names_synced_n survive the machine. */
	uint32_t names_n, names_synced_n;
	uint32_t commit_names_n;   /* of the commit under way */
};

static inline struct log_impl *impl_of(struct part_log *log)
{
	return container_of(log, struct log_impl, pub);
}

static inline struct segment *log_active(struct log_impl *log)
{
	CHECK(log->segments.list.n > 0);
	return &log->segments.list.v[log->segments.list.n - 1];
}

/* A roll does not wait for the disk: who makes the log durable, or removes what lies before, syncs the directory. */
static inline bool log_names_are_unsynced(const struct log_impl *log)
{
	return log->names_n != log->names_synced_n;
}

static inline void log_names_synced(struct log_impl *log, uint32_t n)
{
	log->names_synced_n = MAX(log->names_synced_n, n);
}

static inline struct reactor *log_reactor(struct log_impl *log)
{
	return log->pub.storage->reactor;
}

/* part_log.c */
void log_ref(struct log_impl *log);
void log_unref(struct log_impl *log);
/* Decides what to do next; called after every change. */
void log_drive(struct log_impl *log);
/* The same at the end of this turn. */
void log_drive_later(struct log_impl *log);
/* FAILED: everything waiting ends with err. `advanced` may free the log. */
void log_fail(struct log_impl *log, enum err err);
void log_tell(struct log_impl *log);
/* OPENING (CLOSING) is over. */
void log_opened(struct log_impl *log);
void log_closed(struct log_impl *log);
/* Number of the segment that holds offset: the last with base <= offset; 0 for one below all. */
size_t log_segment_at(const struct log_impl *log, int64_t offset);
void log_forget_file(struct log_impl *log, int64_t base);
void log_submit_work(struct log_impl *log, struct io_op *op, void (*run)(struct io_op *, struct fs *),
		     void (*done)(struct io_op *));
/* Producer state as of `appended`, without what is queued. */
struct bytes log_encode_producers(struct log_impl *log);

/* log_append.c */
void log_write_start(struct log_impl *log);
bool log_needs_roll(struct log_impl *log, const struct log_append *append, int64_t pos);
/* Takes back every append that waits or is being written; they end with err. */
void log_take_back(struct log_impl *log, enum err err);
void log_repair_start(struct log_impl *log);
void log_open_file_start(struct log_impl *log);

/* log_tail.c */
void log_tail_make(struct log_impl *log);
void log_tail_free(struct log_impl *log);
/* One batch stands at pos of the active segment: index entries and ring. */
void log_tail_add(struct log_impl *log, const struct batch_info *info, int64_t pos);
void log_tail_forget_places(struct log_impl *log);
/* The active segment counts its age from now, and gets its share of the jitter: the first one too, or all partitions of
 * a new topic would roll at once. */
void log_begin_active(struct log_impl *log);
void log_roll_start(struct log_impl *log);
void log_index_start(struct log_impl *log);
/* log_close.c */
void log_close_start(struct log_impl *log);
/* Number of the first segment whose indexes may not be durable. */
size_t log_first_unsynced(const struct log_impl *log);
/* Syncs indexes and snapshots with these numbers, as far as they are there. ERR_IO when that fails, full or not. */
enum err log_sync_small(struct fs *fs, const char *path, const int64_t *bases, size_t bases_n) MUST_USE;

/* Pending index entries of a segment as bytes, for a job. */
struct index_write {
	int64_t base;
	uint32_t first, time_first; /* entry numbers */
	uint32_t n, time_n;
	uint32_t txn_first, txn_n;
	uint8_t *bytes; /* n offset entries, then time_n time entries */
	uint8_t *txns;  /* txn_n entries of aborted transactions */
};
/* whole: also what only a snapshot needs or a segment ends with, the aborted transactions and an entry for the greatest
 * timestamp of all. */
void index_write_take(struct log_impl *log, bool whole, struct index_write *ret);
void index_write_free(struct index_write *write);
enum err index_write_run(const struct index_write *write, struct fs *fs, const char *path) MUST_USE;
/* The entries are in the files: forgets them. */
void index_write_done(struct log_impl *log, const struct index_write *write);
enum err log_write_snapshot(struct fs *fs, const char *path, int64_t offset, struct bytes bytes,
			    bool sync) MUST_USE;
enum err log_write_epochs(struct fs *fs, const char *path, struct bytes bytes) MUST_USE;
/* Whether the file has to be written. An epoch without records is not worth it: no start would keep it. */
bool log_wants_epochs(const struct log_impl *log);
/* What the file is to hold; it counts as written from now on. The caller frees it. */
struct bytes log_take_epochs(struct log_impl *log);
/* The same in two steps, for many logs: see fs_write_tmp. */
enum err log_write_epochs_tmp(struct fs *fs, const char *path, struct bytes bytes) MUST_USE;
enum err log_rename_epochs_tmp(struct fs *fs, const char *path) MUST_USE;

/* A place to begin a read at. */
struct read_place {
	size_t at; /* number of the segment */
	int64_t pos;
	size_t first_size; /* of the batch there; 0: not known */
	bool is_newest;    /* among the newest batches, which are in memory */
	bool is_checked;   /* a helper has just looked at what is there */
};

/* log_read.c */
/* Gives the range there. True when the read has ended; else a helper has to look first. asked_helper: what the index
 * says is at hand. */
bool log_read_at_place(struct log_impl *log, struct log_read *read, struct read_place place, bool asked_helper);
void log_hint(struct log_impl *log, struct log_pos pos);
void log_reads_fail(struct log_impl *log, enum err err);
/* A swap is over: what waited for it looks again. */
void log_reads_unpark(struct log_impl *log);
/* log_check.c */
/* At open, with the segments as they were found. */
void log_check_begin(struct log_impl *log);
/* How far what lies from pos on may be served: to a place between batches, INT64_MAX: all; pos: nothing is known. */
int64_t log_checked_to(const struct log_impl *log, int64_t base, int64_t pos);
/* A helper has looked at it: its batches are good, or among the damaged places. */
void log_checked_add(struct log_impl *log, struct log_checked range);
/* Not all of it is in the page cache: the disk gives it again. */
bool log_is_cold(struct log_impl *log, const struct segment *segment, int64_t pos, size_t len);
/* What was cold at the place has to be looked at anew, and what follows it in the segment. */
void log_check_forget(struct log_impl *log, const struct segment *segment, int64_t pos);
/* Has a helper look at what is at the place, whose file is open; then the read goes on there. */
void log_check_submit(struct log_impl *log, struct log_read *read, struct read_place place, bool asked_helper);
/* On the way to the offset there is damage at the place, of no batch that holds an offset below next_offset: finds how
 * far it reaches; then the offset is looked for again. */
void log_check_search(struct log_impl *log, struct log_read *read, struct read_place place, int64_t next_offset);
/* False: it is known as far as it reaches, or there is no room. */
bool log_bad_add(struct log_impl *log, const struct log_bad *bad);
struct log_bad *log_bad_at_pos(struct log_impl *log, int64_t segment_base, int64_t pos);
/* What lay at or above the offset is cut off. */
void log_bad_truncate(struct log_impl *log, int64_t offset);
/* The damage that a read of the offset would meet; NULL: none is known. */
struct log_bad *log_bad_at(struct log_impl *log, int64_t offset);
/* The limit of a read from pos on, so that it ends before damage; pos: it begins in it. */
int64_t log_bad_limit(const struct log_impl *log, int64_t segment_base, int64_t pos, int64_t limit);
/* The end of the last damage before the offset, in the file of its segment; 0: none is known. */
int64_t log_bad_behind(const struct log_impl *log, int64_t segment_base, int64_t offset);
/* Names it in the log, once. */
void log_bad_tell(struct log_impl *log, struct log_bad *bad);
/* log_time.c */
void log_queries_fail(struct log_impl *log, enum err err);
/* log_trim.c */
/* Lets go of whole segments below the start; one job at a time. */
void log_trim(struct log_impl *log);
void log_truncate_start(struct log_impl *log);

/* storage_internal.h's, seen from a log: */
void storage_log_dirty(struct log_impl *log, int64_t bytes);
void storage_log_clean(struct log_impl *log);
void storage_commit_later(struct storage_dir *dir);

#endif
