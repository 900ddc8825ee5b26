/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition on the reactor that owns it: its role, its log, its high watermark, and who waits for it. Partitions
 * come and go by differences between metadata images only, never by the handler that created the topic.
 *
 *    IDLE --image names us leader--> LEADER --image takes it away, topic gone--> STOPPED
 *      (log opened on first use or in the background; requests wait for it)
 *      any state --log failed--> OFFLINE  (answers ERR_KAFKA_STORAGE_ERROR until the next start)
 *
 * 1. high_watermark never goes back while this broker leads in one leader epoch, and never passes what the durability
 *    mode calls stored: `appended` in page-cache mode, `durable` in synced mode.
 * 2. A reader gets nothing at or above the high watermark.
 * 3. A waiter is told exactly once: goal reached, or the partition stopped leading, or its log failed.
 * 4. An append is refused before it gets an offset, or it is stored, or its offset is taken back unseen.
 */
#ifndef REPLICATION_PARTITION_H
#define REPLICATION_PARTITION_H

#include "image.h"
#include "part_log.h"
#include "reactor.h"
#include "timer.h"
#include "txn_guard.h"
#include "watch.h"

struct compress_ctx;
struct move;

enum partition_state { PARTITION_IDLE, PARTITION_LEADER, PARTITION_STOPPED, PARTITION_OFFLINE };

/* The topic settings that the data path reads, already merged from all their sources. */
struct partition_config {
	int32_t max_message_bytes;
	int64_t timestamp_before_max_ms;
	int64_t timestamp_after_max_ms;
	bool log_append_time;
	bool is_compacted;
	int8_t compression_codec;  /* enum codec, or -1: as the producer sent it */
	int32_t compression_level; /* of compression_codec */
	int32_t min_insync_replicas;
	struct log_config log;
};

struct partition {
	struct storage *storage;
	struct uuid topic_id;
	char *topic; /* NUL-terminated */
	int32_t index;
	enum partition_state state;
	bool is_open; /* the log is open; a leader serves */
	int32_t leader_epoch;
	struct partition_config config;
	struct part_log *log;
	struct log_pos high_watermark;
	struct watch_list hw_watches;   /* high watermark reaches a goal, or any advance */
	struct watch_list open_watches; /* the log is open (or failed) */
	struct txn_guards txn_guards;   /* of transactions that are about to begin here */
	int64_t checkpoint_recovery_point, checkpoint_log_start; /* from the checkpoint files, -1 none */
	int64_t checkpoint_high_watermark;
	int64_t recovery_collected; /* the recovery point that a checkpoint under way writes, -1 */
	int64_t cleaner_offset;     /* compaction has gone through everything below; -1: it never has */
	/* The log opened, moved, closed or failed. NULL: nobody asks. */
	void (*log_changed)(struct partition *partition);
	struct list link;          /* the shard's lists */
	struct deferred free_later; /* the shard's */
	uint64_t kept_in_pass;     /* the last pass of the shard's housekeeper that saw it */
	int64_t late_told;         /* first offset + 1 of the late transaction that the log was told of */
	bool is_uncleanable;       /* its compaction met a batch that cannot be read */
	bool is_opening;           /* the shard counts it */
	bool is_unopened;          /* and these */
	bool is_held;              /* on its way to another directory: its log is not opened */
	struct move *move;         /* the shard's mover's, NULL: none */
	bool is_deleted;           /* its files go when the log is closed */
	void *ctx; /* the shard */
};

struct partition *partition_new(struct storage *storage, struct storage_dir *dir, const struct topic_image *topic,
				int32_t index, const struct partition_config *config);
/* The log must be CLOSED or FAILED. */
void partition_free(struct partition *partition);

/* Settings of its topic changed: in force for the next append. */
void partition_set_config(struct partition *partition, const struct partition_config *config);

/* Applies what the image says of this partition: leader and epoch. Opening the log is left to partition_open. */
void partition_become_leader(struct partition *partition, int32_t leader_epoch);
/* Another (or nobody) leads from this epoch on; the log stays open. */
void partition_resign(struct partition *partition, int32_t leader_epoch);
/* Fails every waiter with err and closes the log; `partition->log` tells when it is closed. */
void partition_stop(struct partition *partition, enum err err);
/* Closes an open log: in order, unless its files go (is_deleted). */
void partition_close(struct partition *partition);
/* Starts to open the log unless it is open or under way. */
void partition_open(struct partition *partition);
/* Closes the open log; requests wait until partition_release opens it again, wherever it lies then. */
void partition_hold(struct partition *partition);
void partition_release(struct partition *partition);
/* Its log is CLOSED and lies in another directory from now on; what the checkpoints know of it stays. */
void partition_change_dir(struct partition *partition, struct storage_dir *dir);
/* ERR_NONE: a leader with an open log. ERR_WOULD_BLOCK: wait on open_watches (goal WATCH_ANY; opening has been
 * started). Else the error to answer. epoch -1: not checked; lower than ours ERR_FENCED_LEADER_EPOCH, higher
 * ERR_UNKNOWN_LEADER_EPOCH. */
enum err partition_check_leader(struct partition *partition, int32_t epoch) MUST_USE;

/* Appending as leader. Lives in the request's arena. */
struct leader_append {
	struct log_append append; /* private */
	struct watch watch;       /* private */
	struct timer timer;       /* private */
	uint8_t *rebuilt;         /* private: a batch packed anew, freed at the end */
	struct partition *partition;
	/* in */
	uint8_t *records; /* the field of the produce request: one batch v2; stamped in place */
	size_t records_len;
	int16_t acks;
	int32_t timeout_ms;
	int64_t now_ms; /* wall clock */
	struct reactor *reactor;
	struct compress_ctx *compress;
	bool is_coordinators; /* a coordinator writes for a transaction: sequences do not count */
	struct arena *arena; /* for texts; only this append's reactor uses it while the append runs */
	bool is_guarded;     /* the first batch of a transaction needs `txn_guard` */
	uint64_t txn_guard;  /* of txn_guard_take, before the coordinator was asked */
	/* out */
	enum err err;
	bool was_rebuilt;       /* the batch was packed anew */
	int64_t base_offset;    /* -1 on error */
	int64_t append_time_ms; /* with LogAppendTime, else -1 */
	int64_t log_start_offset;
	struct str error_text;  /* null: none */
	struct leader_record_error *record_errors;
	int32_t record_errors_n;
	void (*done)(struct leader_append *append);
};

struct leader_record_error {
	int32_t index; /* of the record in its batch */
	struct str text;
};

/* partition_check_leader must have said ERR_NONE in this turn. Checks, assigns offsets, queues the write; nothing that
 * comes later can overtake it. `done` always runs, perhaps before this returns when the batch is refused. acks 0 and 1:
 * done when stored as the durability mode says; -1: when the high watermark is past it, or ERR_REQUEST_TIMED_OUT. */
void leader_append_start(struct leader_append *append);

/* Everything below is decided: the high watermark, or the start of the first transaction that is not over. */
int64_t leader_last_stable(struct partition *partition);
/* Reading as leader: bounds a log_read by the high watermark, or by the last stable offset. True: finished, `done` is
 * not called. */
bool leader_read(struct partition *partition, bool only_stable, struct log_read *read) MUST_USE;

#endif
