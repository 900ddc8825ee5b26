/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of syncing the clock starts, once a second while something is unsynced: flush.ms, and checkpoints that are due
 * by time or by what is unsynced. How they work is in storage_sync.c.
 */
#include "storage_internal.h"

bool storage_checkpoint(struct storage *storage, void (*done)(struct storage *storage))
{
	return storage_checkpoint_run(storage, true, done);
}

static int64_t storage_checkpoint_age_ns(const struct storage *storage)
{
	return storage->reactor->now_ns - core_of(storage)->checkpoint_ns;
}

bool storage_checkpoint_due(struct storage *storage, void (*done)(struct storage *storage))
{
	int64_t due_ns = storage->options.checkpoint_ms * NS_PER_MS;

	/* Nearly is enough: those of all reactors, one of which has asked, stay together. */
	return storage_checkpoint_run(storage, storage_checkpoint_age_ns(storage) >= due_ns - due_ns / 8, done);
}

static void storage_flush_ms(struct storage_dir *dir)
{
	int64_t now_ns = dir->storage->reactor->now_ns;

	list_for_each(node, tmp, &dir->commit_dirty) {
		struct log_impl *log = list_entry(node, struct log_impl, dirty_link);
		int64_t flush_ms = log->pub.config.flush_ms;

		if (flush_ms <= 0 || flush_ms > INT64_MAX / NS_PER_MS)
			continue;
		if (now_ns - log->dirty_since_ns >= flush_ms * NS_PER_MS)
			part_log_sync(&log->pub);
	}
}

void storage_sync_tick(struct storage *storage)
{
	struct storage_core *core = core_of(storage);
	const struct storage_options *options = &storage->options;
	bool is_due = storage_checkpoint_age_ns(storage) >= options->checkpoint_ms * NS_PER_MS;
	bool is_dirty = false;

	for (int i = 0; i < storage->dirs_n; i++) {
		struct storage_dir *dir = &storage->dirs[i];

		if (dir->state == LOG_DIR_OFFLINE)
			continue;
		storage_flush_ms(dir);
		/* A commit that has synced it all moves no recovery point: what a power cut has the next start read,
		 * and what may be compacted, would stay behind for ever. */
		is_dirty = is_dirty || !list_is_empty(&dir->commit_dirty) || dir_core_of(dir)->wants_checkpoint;
		if (dir_core_of(dir)->unsynced_bytes > options->checkpoint_bytes)
			is_due = true;
	}
	if (!is_due || !is_dirty || core->checkpoints_running)
		return;
	if (storage->checkpoint_due)
		storage->checkpoint_due(storage);
	else
		storage_checkpoint_due(storage, NULL);
}
