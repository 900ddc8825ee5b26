/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of storage share beyond storage.h. */
#ifndef STORAGE_STORAGE_INTERNAL_H
#define STORAGE_STORAGE_INTERNAL_H

#include "part_log_internal.h"
#include "progress.h"
#include "storage.h"

#define STORAGE_DIRS_MAX 64

struct storage_core {
	struct storage *storage;
	struct file_cache files;
	struct list driven; /* logs to drive at the end of this turn */
	struct flush_hook hook;
	struct timer tick; /* once a second while something is unsynced or a directory is full */
	struct list trash;     /* files and directories to remove at their time */
	struct list trash_due; /* those whose time has come */
	int32_t removals_n;    /* at helpers */
	struct progress removal; /* of what is due; total 0: nothing is */
	uint32_t frees;    /* logs freed: an iteration over storage->logs starts anew when it changed */
	int64_t checkpoint_ns; /* end of the last one of all logs */
	int32_t checkpoints_running;
	bool checkpoint_is_whole; /* of all logs */
	int32_t closing_n; /* logs on their way to CLOSED */
	int32_t works; /* jobs and writes under way, also of logs that were freed */
	bool is_stopped; /* storage_stop: the clock begins nothing any more */
	void (*checkpoint_done)(struct storage *storage);
};

struct dir_core {
	struct storage_dir *dir;
	struct flush_hook hook; /* starts a group commit */
	struct timer gather;    /* the same, a little later, so that more join it */
	int64_t commit_began_ns;
	int64_t commit_took_ns; /* the last one */
	int64_t commit_bytes;   /* that it brought to the disk */
	int64_t waiting_bytes;  /* appended since it began */
	int64_t expected_bytes; /* that the next one should have: what waited already, and as much as was answered */
	int64_t gather_bytes;   /* waiting_bytes when `gather` was set */
	int gather_looks_n;     /* turns in which nothing was new after that */
	int64_t gather_end_ns;  /* it is not set anew to after that; 0: it was set once */
	int64_t unsynced_bytes; /* see storage_sync.c */
	bool wants_checkpoint; /* something was written since the last one, be it synced or not */
	bool probe_is_running;
	bool was_written; /* since the last tick */
	int64_t room_bytes; /* may be written before it is asked again how much space there is */
};

static inline struct storage_core *core_of(const struct storage *storage)
{
	return storage->priv;
}

static inline struct dir_core *dir_core_of(const struct storage_dir *dir)
{
	return dir->priv;
}

void storage_tick_start(struct storage *storage);
/* So much was written to the directory. */
void storage_dir_written(struct storage_dir *dir, int64_t bytes);
void storage_commit_start(struct storage_dir *dir);
/* See storage_checkpoint; whole: of all logs, else of those that have much to sync. */
bool storage_checkpoint_run(struct storage *storage, bool is_whole, void (*done)(struct storage *storage));
/* storage_gather.c: begins a group commit soon, or at the end of the turn when nobody else is expected. */
void storage_commit_gather(struct storage_dir *dir);
/* storage_clock.c: flush.ms, and whether a checkpoint is due. */
void storage_sync_tick(struct storage *storage);

/* storage_trash.c. Removes a file or a whole directory after delay_ms, in the background, a few at a time. */
void storage_trash(struct storage *storage, const char *path, bool is_dir, int64_t delay_ms);
void storage_trash_tick(struct storage *storage);
/* Something has a time that has not come yet. */
bool storage_trash_waits(const struct storage *storage);
void storage_trash_init(struct storage *storage);
void storage_trash_deinit(struct storage *storage);

#endif
