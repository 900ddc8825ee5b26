/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of one partition: segments in Kafka's format, append, read, roll, truncate. Owned by one reactor; every
 * function is called on it. Slow work runs on helpers and never touches the struct: it works on its own copy and
 * hands results back.
 *
 *    CLOSED --open--> OPENING --> OPEN --> CLOSING --> CLOSED
 *       ^                |          |
 *       |                v          v
 *       +------------ FAILED <------+   I/O error, or damage that recovery cannot mend; the directory may be OFFLINE
 *
 * OPENING and CLOSING end CLOSED, with a failure, when the disk is full: it can be opened again when there is space.
 *
 * An OPEN log with a roll or repair under way queues its writes; offsets are assigned all the same.
 *
 * Marks (offsets, exclusive):  log_start <= recovery_point <= durable <= appended <= end
 *   end       next offset to assign (assigned, maybe not written yet)
 *   appended  written to the file: survives the process
 *   durable   synced: survives the machine
 *
 * 1. A batch is readable only below `appended`.
 * 2. Offsets assigned to a write that failed are taken back, with everything behind it, before any other append:
 *    no reader has seen them and no answer named them.
 * 3. Log and indexes agree: an index entry never points beyond the log or inside a batch; after recovery each is
 *    rebuilt or trimmed until that holds.
 * 4. `durable` never passes a write that the sync did not cover; a failed sync takes the directory OFFLINE.
 */
#ifndef STORAGE_PART_LOG_H
#define STORAGE_PART_LOG_H

#include "batch.h"
#include "epoch_cache.h"
#include "fmt.h"
#include "producer_state.h"
#include "retention.h"
#include "storage.h"
#include "txn_index.h"

struct log_config {
	int64_t segment_bytes;
	int64_t segment_ms;
	int64_t segment_jitter_ms;
	int64_t index_interval_bytes;
	int64_t index_bytes; /* segment.index.bytes */
	int64_t flush_messages;
	int64_t flush_ms;
	int64_t retention_ms;    /* below 0: for ever */
	int64_t retention_bytes; /* below 0: no limit */
	int64_t file_delete_delay_ms;
	int64_t delete_retention_ms;
	int64_t min_compaction_lag_ms;
	int64_t max_compaction_lag_ms; /* INT64_MAX: none */
	double min_dirty_ratio;        /* min.cleanable.dirty.ratio */
	bool is_deleted;   /* cleanup.policy names delete */
	bool is_compacted; /* cleanup.policy names compact */
	bool preallocate;
	bool is_strict; /* refused for damage that no crash explains, or an end below what was on the disk */
	bool is_synced; /* its owner syncs before it promises anything, whatever the durability of the storage */
};

enum part_log_state { PART_LOG_CLOSED, PART_LOG_OPENING, PART_LOG_OPEN, PART_LOG_CLOSING, PART_LOG_FAILED };

/* A place in the log: its file position is known, so that a read bound needs no index. */
struct log_pos {
	int64_t offset;
	int64_t segment_base;
	int64_t file_pos;
};

struct part_log {
	struct storage *storage;
	struct storage_dir *dir;
	char *name; /* "orders-4": the directory's name */
	struct uuid topic_id;
	struct log_config config;
	enum part_log_state state;
	enum err failure; /* when FAILED; of CLOSED: why it could not be opened, or closed in order */
	int64_t log_start;
	int64_t recovery_point;
	int64_t recovery_written; /* what the checkpoint file says of it, by those who write it; never more */
	struct log_pos durable;
	struct log_pos appended;
	int64_t end;
	int64_t size_bytes; /* of all segments' .log */
	int64_t max_timestamp_ms, max_timestamp_offset; /* -1: no record with a timestamp; the offset is the last one
							 * of the batch that holds it */
	struct epoch_cache epochs;
	struct producer_state producers;
	struct aborted_txns aborted; /* by the offsets of their markers */
	/* `appended`, `durable` or the state moved. */
	void (*advanced)(struct part_log *log);
	void *ctx; /* the partition */
	struct list link; /* in storage->logs */
};

struct part_log *part_log_new(struct storage *storage, struct storage_dir *dir, struct str name, struct uuid topic_id,
			      const struct log_config *config);
/* `log`, never opened, is `before`, closed, in another place: what is known of producers and in no file comes too. */
void part_log_inherit(struct part_log *log, struct part_log *before);
/* CLOSED or FAILED only. Reads and queries still under way end with ERR_LOG_CLOSED. */
void part_log_free(struct part_log *log);

/* recovery_point and log_start from the checkpoints (-1: none). Creates directory, first segment and
 * partition.metadata when missing; recovers as dir->stop asks. `advanced` tells the end: state OPEN or FAILED. */
void part_log_open(struct part_log *log, int64_t recovery_point, int64_t log_start);
/* Writes what is queued, syncs, trims indexes, writes the producer snapshot, closes files. `advanced` tells the end. */
void part_log_close(struct part_log *log);
/* Closes a log whose files part_log_delete takes next: nothing but what is queued is written, and nothing is synced. A
 * full disk has no room for more, and deleting is what makes some. */
void part_log_discard(struct part_log *log);

/* One append: a whole batch v2, validated by the caller, in memory the caller keeps and lets the log stamp. */
struct log_append {
	struct list link;
	uint8_t *batch; /* in: base offset and leader epoch are stamped at submit */
	size_t len;
	struct batch_info info; /* in: of this batch; base_offset is filled at submit */
	int64_t max_timestamp_offset; /* in: offset delta of the record with the batch's max timestamp */
	struct producer_undo undo; /* private */
	bool aborts;               /* private: `aborted` ends with it */
	struct aborted_txn aborted; /* private */
	bool has_new_epoch;        /* private */
	enum err err;              /* out, at done */
	void (*done)(struct log_append *append);
};

/* Assigns the next offsets (append->info.base_offset), stamps, records producer state and epoch, and queues the write
 * for this turn. done runs when the bytes are in the file (or failed; then ERR_DISK_FULL or ERR_IO or
 * ERR_DIR_OFFLINE). Refused at once, without done: state not OPEN (ERR_LOG_CLOSED), directory FULL (ERR_DISK_FULL) or
 * OFFLINE. */
enum err part_log_append(struct part_log *log, struct log_append *append, int32_t leader_epoch) MUST_USE;

/* One read: a range of one segment file that begins with the batch holding `offset`. */
struct log_read {
	struct list link;      /* private */
	struct log_file *file; /* private: what is_pinned holds */
	struct part_log *log;
	int64_t offset;       /* in */
	struct log_pos bound; /* in: exclusive; high watermark or log end; file_pos -1: the log finds the place */
	int64_t max_bytes;    /* in */
	bool whole_first;     /* in: give the first batch whole even when it is over max_bytes */
	bool wants_end;       /* in: end_offset near the end of the piece, even if a helper has to look it up */
	struct piece piece;   /* out: len 0 when offset == bound.offset */
	int64_t first_batch_bytes; /* out: size of the batch at the start of the piece; 0: not looked at, as all
	                              there is was given */
	int64_t end_offset;   /* out: no batch of the piece reaches it; at most an index entry behind the last of them
	                         when the log knew or wants_end, else at most the end of the segment or the bound */
	bool is_pinned;       /* out: log_read_release owed */
	int64_t segment_base; /* out */
	/* out: ERR_OFFSET_OUT_OF_RANGE below log_start or above the bound, ERR_CORRUPT_MESSAGE for a batch that a scrub
	 * found damaged, ERR_CORRUPT_FILE, ... */
	enum err err;
	void (*done)(struct log_read *read);
};

/* True: finished at once, done is not called. False: done will run. */
bool part_log_read(struct part_log *log, struct log_read *read) MUST_USE;
/* A bound within the log whose place is not known. */
struct log_pos part_log_bound_at(struct part_log *log, int64_t offset);
/* Lets go of the file range after it was sent (or not). A no-op when nothing is pinned. */
void log_read_release(struct log_read *read);

/* Offset lookup by time: the first record whose timestamp >= timestamp_ms at or above log_start and below bound. */
struct log_time_query {
	struct list link; /* private */
	struct part_log *log;
	int64_t timestamp_ms;     /* in; INT64_MIN: ask for the record with the greatest timestamp */
	struct log_pos bound;     /* in */
	int64_t offset;           /* out: -1 not found */
	int64_t found_timestamp_ms; /* out: -1 */
	int32_t leader_epoch;     /* out: -1 */
	enum err err;
	void (*done)(struct log_time_query *query);
};
void part_log_find_time(struct part_log *log, struct log_time_query *query);

/* Leader life: records (epoch, end) in the epoch cache. Its file follows with the next checkpoint, roll or close: until
 * then the headers of the batches carry the epoch. */
void part_log_start_epoch(struct part_log *log, int32_t epoch);
/* Removes the batch that holds `offset` and everything behind; `advanced` tells when done. For followers, and the
 * metadata log. No append, read or time query may be under way or be started until then. The recovery point checkpoint
 * must be written before the next append is acknowledged: the old one may lie beyond the new end. When it fails the log
 * is FAILED. */
void part_log_truncate(struct part_log *log, int64_t offset);
/* Moves log_start up (DeleteRecords, retention); whole segments below go away in the background. */
void part_log_set_start(struct part_log *log, int64_t offset);
/* Syncs everything appended so far; done through `durable` in `advanced`. For the metadata log and flush settings. */
void part_log_sync(struct part_log *log);
/* What retention took away: see part_log_retain. */
struct log_retained {
	size_t segments_n; /* 0: nothing */
	int64_t bytes;
	enum retention_reason reason; /* of the oldest one */
	int64_t log_start;            /* afterwards */
	bool is_in_future;            /* a segment stays because a record's time has not come yet */
};
/* Lets go of the segments that the settings no longer keep, none above the high watermark. When that is all of a log
 * the start follows once a new segment was begun. OPEN only; anything else does nothing. */
void part_log_retain(struct part_log *log, int64_t high_watermark, struct log_retained *ret);
/* How many segments there are; 0 unless OPEN. */
int32_t part_log_segments_n(const struct part_log *log);
void part_log_set_config(struct part_log *log, const struct log_config *config);
/* After close or discard, or FAILED while its directory is not: renames the directory to "-delete" and removes it after
 * file.delete.delay.ms, in the background; where a full disk has no room for that name it removes it at once. One that
 * bears another topic id is left alone. `log` is freed at once. renamed(ctx) runs, later, when the name is free
 * for another log (or could not be freed); NULL: nobody asks. */
void part_log_delete(struct part_log *log, void (*renamed)(void *ctx), void *ctx);

/* Sequential reader over a log directory's segments, for helpers and offline tools (the metadata log's replay, checks):
 * calls fn for each whole valid batch from `offset` on until it returns false. ERR_CORRUPT_FILE names file and position
 * in text. */
typedef bool log_scan_fn(void *ctx, const struct batch_info *info, struct bytes batch);
enum err log_scan(struct fs *fs, const char *dir, int64_t offset, log_scan_fn *fn, void *ctx, struct err_text *text)
	MUST_USE;

#endif
