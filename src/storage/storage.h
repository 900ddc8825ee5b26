/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage of one reactor: its view of the log directories, its open files under a descriptor budget, the group
 * commit of `durability=synced`, and the background checkpoints. Partition logs (part_log.h) hang on it. One
 * instance per reactor; what directories share across reactors is told by messages of the broker.
 *
 * A directory's state:
 *
 *    ONLINE <--> FULL        writes refused with ERR_DISK_FULL, all else goes on; back when space is there
 *      |          |
 *      +----------+--> OFFLINE   an I/O error other than "full": its partitions answer ERR_DIR_OFFLINE
 *
 * 1. A sync that failed is never repeated: the directory goes OFFLINE.
 * 2. Nothing in a directory is changed before its lock is held and its meta.properties fit.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "hist.h"
#include "map.h"
#include "reactor.h"
#include "uuid.h"

enum storage_durability { STORAGE_PAGE_CACHE, STORAGE_SYNCED };

enum log_dir_state { LOG_DIR_ONLINE, LOG_DIR_FULL, LOG_DIR_OFFLINE };

/* How the directory was left, found once at start (log_dir.h). */
enum log_dir_stop {
	LOG_DIR_CLEAN,	   /* .kafka_cleanshutdown was there */
	LOG_DIR_KILLED,	   /* unclean, same boot: what was written is there, only the last write may be cut */
	LOG_DIR_POWER_CUT, /* unclean, in another boot: anything after the recovery point is suspect */
	LOG_DIR_UNKNOWN,   /* unclean, left by Kafka: the same, but a gap may be a compaction's */
};

struct storage;

/* One reactor's view of a directory. */
struct storage_dir {
	struct storage *storage;
	int index;
	char *path;
	struct uuid id; /* directory.id */
	enum log_dir_state state;
	enum log_dir_stop stop;
	bool rewrites_tail;        /* a sync failed in this boot (log_dir.h): opening a log writes its tail again */
	int64_t reserve_bytes;     /* FULL when less than this is usable (0: only on ENOSPC) */
	int64_t resume_more_bytes; /* to be ONLINE again this much more has to be there */
	bool needs_checkpoint;     /* to be ONLINE again the checkpoint files have to be written */
	/* --- private to storage --- */
	struct list commit_dirty;   /* logs with appended, not yet durable data */
	struct list commit_running; /* logs in the sync under way */
	bool commit_is_running;
	void *priv;
};

struct storage_options {
	enum storage_durability durability;
	int64_t open_files_max;       /* descriptors this reactor's storage may hold */
	int64_t checkpoint_bytes;     /* unsynced bytes of a directory that start a checkpoint (default 256 MiB) */
	int64_t checkpoint_log_bytes; /* counted and taken are only the logs that have at least so many */
	int64_t checkpoint_ms;        /* and the longest time (Kafka: 60 s) */
	int64_t full_reserve_bytes;   /* usable space below which a directory is FULL (0: only on ENOSPC) */
	int64_t file_delete_delay_ms; /* file.delete.delay.ms */
	int64_t producer_expire_ms;   /* producer.id.expiration.ms */
};

struct storage {
	struct reactor *reactor;
	struct storage_options options;
	struct storage_dir *dirs;
	int dirs_n;
	struct list logs; /* every part_log */
	struct hist flush_ns; /* how long syncs of data took: group commits, checkpoints */
	/* A directory of this view changed its state (I/O error, full, space again). */
	void (*dir_changed)(struct storage *storage, struct storage_dir *dir, enum err err);
	/* More than checkpoint_bytes are unsynced in a directory, or checkpoint_ms have passed with something
	 * unsynced: the broker runs storage_checkpoint_due on every reactor, then writes the checkpoint files. NULL:
	 * it starts by itself, and nobody writes the files. */
	void (*checkpoint_due)(struct storage *storage);
	void *ctx;  /* the broker's */
	void *priv; /* file cache, timers, commit */
};

void storage_init(struct storage *storage, struct reactor *reactor, const struct storage_options *options);
/* Every log must be freed before, and storage_is_idle. */
void storage_deinit(struct storage *storage);
/* All logs are closed and stay so: nothing is begun by the clock any more. What waits for its removal is found at the
 * next start. */
void storage_stop(struct storage *storage);
/* No work is under way, of logs that are freed or deleted neither. */
bool storage_is_idle(const struct storage *storage);
/* Before any log. */
struct storage_dir *storage_add_dir(struct storage *storage, const char *path, struct uuid id,
				    enum log_dir_stop stop);
/* The caller met an error in the directory: it becomes FULL (ERR_DISK_FULL) or OFFLINE, and dir_changed tells. */
void storage_dir_failed(struct storage_dir *dir, enum err err);
/* The checkpoint files of the directory were written, or could not be: then it is FULL, at least, until they are. */
void storage_dir_checkpointed(struct storage_dir *dir, bool is_written);
/* Another reactor saw the change: no callback. */
void storage_dir_set_state(struct storage_dir *dir, enum log_dir_state state);

/* Syncs what the logs of this reactor have not synced, writes index entries, producer snapshots and epoch files, and
 * moves each log's recovery_point up to what was appended at the start of the call. done (not inside this call) also
 * when a directory failed or was full: its recovery points then stay. One at a time: false when one is under way. */
bool storage_checkpoint(struct storage *storage, void (*done)(struct storage *storage));
/* The same after checkpoint_due: of all logs when it is time, else of those that have much to sync. */
bool storage_checkpoint_due(struct storage *storage, void (*done)(struct storage *storage));

#endif
