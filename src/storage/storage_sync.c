/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making logs durable: group commits and checkpoints.
 *
 * Group commit of a directory: dirty logs are collected; one job syncs their files, or the whole file system
 * when they are many. What is written meanwhile is collected for the next one.
 *
 *    commit_dirty --job starts--> commit_running --synced--> durable moves up; still dirty ones go back
 *                                                 --failed--> directory OFFLINE, never tried again
 *
 * Checkpoint: index entries, producer snapshots, epoch files are written, everything is synced, then recovery
 * points move up. Order within the job: files of epochs, synced -> other small files -> sync of all -> directories
 * -> old snapshots removed. It costs some file operations for each log, whatever was appended to it; so one that is due
 * because much is unsynced is of the logs that have much of it, and the clock's is of all.
 *
 * 1. `durable` moves only to the place that was `appended` before the sync began.
 * 2. A recovery point moves only when log, indexes, snapshot and epochs below it are durable.
 * 3. The unsynced bytes of a directory are the sum over the logs that have at least checkpoint_log_bytes of them.
 * 4. The names of new segments are synced with what is in them: a roll does not wait for that (log_tail.c).
 */
#include "fault.h"
#include "log.h"
#include "log_dir.h"
#include "mem.h"
#include "storage_internal.h"

/* Up to this many files are synced one by one; beyond it one sync of the file system costs less. */
#define COMMIT_FILES_MAX 4

static bool log_has_much_unsynced(const struct log_impl *log)
{
	return log->unsynced_bytes >= log->pub.storage->options.checkpoint_log_bytes;
}

static void log_unsynced_add(struct log_impl *log, int64_t bytes)
{
	bool had_much = log_has_much_unsynced(log);

	log->unsynced_bytes += bytes;
	if (log_has_much_unsynced(log))
		dir_core_of(log->pub.dir)->unsynced_bytes += had_much ? bytes : log->unsynced_bytes;
}

static void log_unsynced_clear(struct log_impl *log)
{
	if (log_has_much_unsynced(log))
		dir_core_of(log->pub.dir)->unsynced_bytes -= log->unsynced_bytes;
	log->unsynced_bytes = 0;
}

void storage_log_dirty(struct log_impl *log, int64_t bytes)
{
	struct part_log *pub = &log->pub;
	struct storage_dir *dir = pub->dir;
	struct storage *storage = pub->storage;

	log_unsynced_add(log, bytes);
	dir_core_of(dir)->waiting_bytes += bytes;
	storage_dir_written(dir, bytes);
	dir_core_of(dir)->wants_checkpoint = true;
	if (!list_is_linked(&log->dirty_link)) {
		log->dirty_since_ns = storage->reactor->now_ns;
		log->dirty_link = (struct list){NULL, NULL};
		list_push_back(&dir->commit_dirty, &log->dirty_link);
		storage_tick_start(storage);
	}
	if (storage->options.durability == STORAGE_SYNCED) {
		storage_commit_gather(dir);
	} else if (pub->config.flush_messages > 0 &&
		   pub->appended.offset - pub->durable.offset >= pub->config.flush_messages) {
		part_log_sync(pub);
	}
}

void storage_log_clean(struct log_impl *log)
{
	log_unsynced_clear(log);
	list_remove(&log->dirty_link);
}

void part_log_sync(struct part_log *pub)
{
	struct log_impl *log = impl_of(pub);

	log->sync_to = MAX(log->sync_to, pub->appended.offset);
	if (list_is_linked(&log->dirty_link))
		storage_commit_later(pub->dir);
}

/* --- files of a job --- */

struct sync_file {
	struct log_file *pinned; /* or NULL: opened by path */
	char *path;
};

struct sync_files {
	VEC(struct sync_file) list;
};

/* The .log files with unsynced bytes. */
static void sync_files_add(struct sync_files *files, struct log_impl *log)
{
	char path[FS_PATH_MAX];

	for (size_t i = log->segments.list.n; i-- > 0;) {
		const struct segment *segment = &log->segments.list.v[i];
		struct sync_file file = {NULL, NULL};

		if (segment->base < log->dirty_base)
			break;
		if (segment->file)
			file.pinned = log_file_pin(segment->file);
		else if (segment_path(path, log->path, segment->base, ".log"))
			file.path = mem_strdup_n(path, strlen(path));
		else
			continue;
		vec_push(&files->list, file);
	}
}

/* Whatever a failed sync says, "full" too, the pages may be lost: ERR_IO, which takes the directory OFFLINE. */
static enum err sync_file(struct fs *fs, fs_file file, bool all)
{
	enum err err = all ? fs->ops->sync_all(fs, file) : fs_sync(fs, file);

	return err ? ERR_IO : ERR_NONE;
}

static enum err sync_file_run(const struct sync_file *sync, struct fs *fs, bool all)
{
	fs_file file;
	enum err err;

	if (sync->pinned)
		return sync_file(fs, sync->pinned->file, all);
	err = fs_open(fs, sync->path, FS_WRITE, &file);
	/* Removed by retention since: nothing of it needs to last. */
	if (err == ERR_NOT_FOUND && !all)
		return ERR_NONE;
	if (err)
		return err;
	err = sync_file(fs, file, all);
	fs_close(fs, file);
	return err;
}

static enum err sync_files_run(const struct sync_files *files, struct fs *fs, size_t each_max)
{
	enum err err = ERR_NONE;

	if (FAULT(skip_sync) || files->list.n == 0)
		return ERR_NONE;
	if (files->list.n > each_max) {
		for (size_t i = 0; i < files->list.n; i++) {
			err = sync_file_run(&files->list.v[i], fs, true);
			if (err != ERR_NOT_FOUND)
				return err;
		}
		return ERR_NONE;
	}
	for (size_t i = 0; !err && i < files->list.n; i++)
		err = sync_file_run(&files->list.v[i], fs, false);
	return err;
}

static void sync_files_deinit(struct sync_files *files)
{
	for (size_t i = 0; i < files->list.n; i++) {
		if (files->list.v[i].pinned)
			log_file_unpin(files->list.v[i].pinned);
		mem_free(files->list.v[i].path);
	}
	vec_deinit(&files->list);
}

/* Everything up to `goal` is durable. */
static void log_set_durable_to(struct log_impl *log, struct log_pos goal)
{
	struct part_log *pub = &log->pub;

	if (goal.offset > pub->durable.offset ||
	    (goal.offset == pub->durable.offset && goal.segment_base != pub->durable.segment_base)) {
		pub->durable = goal;
		log->dirty_base = MAX(goal.segment_base, log->dirty_base);
	}
	if (pub->durable.offset == pub->appended.offset)
		list_remove(&log->dirty_link);
	else
		log->dirty_since_ns = log_reactor(log)->now_ns;
}

/* The log may be freed when this returns. */
static void log_synced(struct log_impl *log)
{
	if (log->pub.state == PART_LOG_OPENING) {
		if (log->pub.durable.offset == log->pub.appended.offset)
			log_opened(log);
		return;
	}
	log_ref(log);
	log_tell(log);
	if (!log->is_zombie)
		log_drive_later(log);
	log_unref(log);
}

/* --- group commit --- */

struct commit_job {
	struct io_op op;
	struct storage_dir *dir;
	struct sync_files files;
	VEC(char *) renewed; /* paths of logs that were rolled since the last one */
};

/* A file whose name is lost is lost with it. One sync of the file system has kept the names too. */
static enum err commit_sync_names(const struct commit_job *job, struct fs *fs)
{
	enum err err = ERR_NONE;

	if (FAULT(skip_sync) || FAULT(skip_name_sync) || job->files.list.n > COMMIT_FILES_MAX)
		return ERR_NONE;
	for (size_t i = 0; !err && i < job->renewed.n; i++) {
		err = fs->ops->sync_dir(fs, job->renewed.v[i]);
		/* Of a failed log, deleted since. */
		if (err)
			err = err == ERR_NOT_FOUND ? ERR_NONE : ERR_IO;
	}
	return err;
}

static void commit_job_free(struct commit_job *job)
{
	sync_files_deinit(&job->files);
	for (size_t i = 0; i < job->renewed.n; i++)
		mem_free(job->renewed.v[i]);
	vec_deinit(&job->renewed);
	mem_free(job);
}

static void commit_job_run(struct io_op *op, struct fs *fs)
{
	struct commit_job *job = container_of(op, struct commit_job, op);

	op->err = sync_files_run(&job->files, fs, COMMIT_FILES_MAX);
	if (!op->err)
		op->err = commit_sync_names(job, fs);
	if (op->err)
		log_dir_note_lost_sync(job->dir->path, fs);
}

static bool log_wants_commit(const struct log_impl *log)
{
	if (log->pub.durable.offset == log->pub.appended.offset)
		return false;
	return log->pub.storage->options.durability == STORAGE_SYNCED ||
		log->sync_to > log->pub.durable.offset;
}

/* Also logs that were not part of the last commit may have asked for one while it ran. */
static void commit_again(struct storage_dir *dir)
{
	list_for_each(node, tmp, &dir->commit_dirty) {
		if (log_wants_commit(list_entry(node, struct log_impl, dirty_link))) {
			storage_commit_gather(dir);
			return;
		}
	}
}

/* Moves durable of each log of the commit; those with newer bytes go back to the dirty ones. Then tells, one
 * log after the other: a callback may free logs, also others. */
static void commit_finish(struct storage_dir *dir)
{
	struct list done, *node;

	list_init(&done);
	list_splice(&done, &dir->commit_running);
	while ((node = list_pop_front(&done)) != NULL) {
		struct log_impl *log = list_entry(node, struct log_impl, dirty_link);

		log_set_durable_to(log, log->commit_goal);
		log_names_synced(log, log->commit_names_n);
		if (log->pub.durable.offset < log->pub.appended.offset)
			list_push_back(&dir->commit_dirty, &log->dirty_link);
		log_synced(log);
	}
	commit_again(dir);
}

static void commit_job_done(struct io_op *op)
{
	struct commit_job *job = container_of(op, struct commit_job, op);
	struct storage_dir *dir = job->dir;
	enum err err = op->err;

	core_of(dir->storage)->works--;
	dir->commit_is_running = false;
	dir_core_of(dir)->commit_took_ns = dir->storage->reactor->now_ns - dir_core_of(dir)->commit_began_ns;
	hist_add(&dir->storage->flush_ns, dir_core_of(dir)->commit_took_ns);
	dir_core_of(dir)->expected_bytes = dir_core_of(dir)->commit_bytes + dir_core_of(dir)->waiting_bytes;
	commit_job_free(job);
	if (err) {
		/* A page that could not be written may be dropped by the kernel and the next sync succeed:
		 * the disk is no longer to be believed. Full or not: this is the end for the directory. */
		log_error("storage.sync_failed", "dir=%s error=%s", dir->path, err_name(err));
		storage_dir_failed(dir, ERR_IO);
		return;
	}
	if (dir->state == LOG_DIR_OFFLINE)
		return;
	commit_finish(dir);
}

void storage_commit_start(struct storage_dir *dir)
{
	struct commit_job *job;

	if (dir->commit_is_running || dir->state == LOG_DIR_OFFLINE)
		return;
	job = MEM_NEW(struct commit_job);
	job->dir = dir;
	list_for_each(node, tmp, &dir->commit_dirty) {
		struct log_impl *log = list_entry(node, struct log_impl, dirty_link);

		if (!log_wants_commit(log))
			continue;
		log->commit_goal = log->pub.appended;
		log_unsynced_clear(log);
		log->commit_names_n = log->names_n;
		if (log_names_are_unsynced(log))
			vec_push(&job->renewed, mem_strdup_n(log->path, strlen(log->path)));
		sync_files_add(&job->files, log);
		list_remove(node);
		list_push_back(&dir->commit_running, node);
	}
	if (list_is_empty(&dir->commit_running)) {
		commit_job_free(job);
		return;
	}
	timer_stop(&dir->storage->reactor->timers, &dir_core_of(dir)->gather);
	dir_core_of(dir)->commit_bytes = dir_core_of(dir)->waiting_bytes;
	dir_core_of(dir)->waiting_bytes = 0;
	dir->commit_is_running = true;
	dir_core_of(dir)->commit_began_ns = dir->storage->reactor->now_ns;
	core_of(dir->storage)->works++;
	job->op.kind = IO_WORK;
	job->op.work.run = commit_job_run;
	job->op.done = commit_job_done;
	io_submit(dir->storage->reactor->io, &job->op);
}

/* --- checkpoint --- */

struct checkpoint_item {
	struct log_impl *log;
	struct log_pos goal;
	uint32_t names_n;
	struct index_write index;
	struct bytes snapshot, epochs;
	int64_t snapshot_offset; /* -1: none */
	int64_t snapshot_remove; /* -1: none */
	VEC(int64_t) bases;      /* segments whose indexes have to be synced */
};

struct checkpoint_job {
	struct io_op op;
	struct storage_dir *dir;
	VEC(struct checkpoint_item) items;
	struct sync_files files;
};

/* The small files and indexes of one log, one by one. */
static enum err checkpoint_sync_item(const struct checkpoint_item *item, struct fs *fs)
{
	enum err err = log_sync_small(fs, item->log->path, item->bases.v, item->bases.n);

	if (!err && item->snapshot_offset >= 0)
		err = log_sync_small(fs, item->log->path, &item->snapshot_offset, 1);
	return err ? err : fs->ops->sync_dir(fs, item->log->path);
}

static enum err checkpoint_write_item(const struct checkpoint_item *item, struct fs *fs)
{
	const char *path = item->log->path;
	enum err err = index_write_run(&item->index, fs, path);

	if (!err && item->snapshot_offset >= 0)
		err = log_write_snapshot(fs, path, item->snapshot_offset, item->snapshot, false);
	return err;
}

/* Before the snapshots. Those of many logs share two syncs. */
static enum err checkpoint_write_epochs(const struct checkpoint_job *job, struct fs *fs, bool each)
{
	enum err err = ERR_NONE;
	bool any = false;

	for (size_t i = 0; !err && i < job->items.n; i++) {
		const struct checkpoint_item *item = &job->items.v[i];

		if (!item->epochs.p)
			continue;
		any = true;
		err = each ? log_write_epochs(fs, item->log->path, item->epochs)
			   : log_write_epochs_tmp(fs, item->log->path, item->epochs);
	}
	if (err || each || !any)
		return err;
	err = sync_files_run(&job->files, fs, 0);
	for (size_t i = 0; !err && i < job->items.n; i++) {
		if (job->items.v[i].epochs.p)
			err = log_rename_epochs_tmp(fs, job->items.v[i].log->path);
	}
	return err ? err : sync_files_run(&job->files, fs, 0);
}

static void checkpoint_job_run(struct io_op *op, struct fs *fs)
{
	struct checkpoint_job *job = container_of(op, struct checkpoint_job, op);
	char path[FS_PATH_MAX];
	bool each = job->files.list.n <= COMMIT_FILES_MAX && job->items.n <= COMMIT_FILES_MAX;
	enum err err = checkpoint_write_epochs(job, fs, each);

	for (size_t i = 0; !err && i < job->items.n; i++)
		err = checkpoint_write_item(&job->items.v[i], fs);
	if (!err)
		err = sync_files_run(&job->files, fs, each ? SIZE_MAX : 0);
	for (size_t i = 0; !err && each && !FAULT(skip_sync) && i < job->items.n; i++)
		err = checkpoint_sync_item(&job->items.v[i], fs);
	for (size_t i = 0; !err && i < job->items.n; i++) {
		const struct checkpoint_item *item = &job->items.v[i];

		if (item->snapshot_remove >= 0 &&
		    segment_path(path, item->log->path, item->snapshot_remove, ".snapshot") &&
		    fs->ops->unlink(fs, path))
			log_debug("storage.snapshot_stays", "path=%s", path);
	}
	/* A full disk is not told from a failed sync here: what is written again too often is only slow. */
	if (err)
		log_dir_note_lost_sync(job->dir->path, fs);
	op->err = err;
}

static bool log_is_base(const struct log_impl *log, int64_t offset)
{
	return log->segments.list.v[log_segment_at(log, offset)].base == offset;
}

static void checkpoint_add(struct checkpoint_job *job, struct log_impl *log)
{
	struct part_log *pub = &log->pub;
	struct checkpoint_item item = {.log = log, .goal = pub->appended, .snapshot_offset = -1,
				       .snapshot_remove = -1, .names_n = log->names_n};

	producer_state_expire(&pub->producers,
			      log_reactor(log)->wall_ms - pub->storage->options.producer_expire_ms);
	index_write_take(log, true, &item.index);
	if (log->snapshot_offset != item.goal.offset) {
		item.snapshot = log_encode_producers(log);
		item.snapshot_offset = item.goal.offset;
		if (log->snapshot_offset >= 0 && !log_is_base(log, log->snapshot_offset))
			item.snapshot_remove = log->snapshot_offset;
	}
	if (log_wants_epochs(log))
		item.epochs = log_take_epochs(log);
	for (size_t i = log_first_unsynced(log); i < log->segments.list.n; i++)
		vec_push(&item.bases, log->segments.list.v[i].base);
	/* Also segments that a commit has synced: with few files they cost little, and the list is never
	 * empty. */
	if (log->dirty_base > log->segments.list.v[log_segment_at(log, pub->recovery_point)].base)
		log->dirty_base = log->segments.list.v[log_segment_at(log, pub->recovery_point)].base;
	sync_files_add(&job->files, log);
	log_unsynced_clear(log);
	log->shared_n++;
	log->in_checkpoint = true;
	log_ref(log);
	vec_push(&job->items, item);
}

static void checkpoint_item_done(struct checkpoint_item *item, enum err err)
{
	struct log_impl *log = item->log;
	bool is_live = log->pub.state == PART_LOG_OPEN || log->pub.state == PART_LOG_CLOSING;

	log->shared_n--;
	log->in_checkpoint = false;
	if (is_live && err) {
		log->epochs_changed = log->epochs_changed || item->epochs.p;
		log_drive_later(log); /* what waited for the end of it, whichever */
	} else if (is_live) {
		index_write_done(log, &item->index);
		log_names_synced(log, item->names_n);
		if (item->snapshot_offset >= 0)
			log->snapshot_offset = MAX(log->snapshot_offset, item->snapshot_offset);
		log->pub.recovery_point = MAX(log->pub.recovery_point, item->goal.offset);
		/* A commit under way tells by itself. */
		if (!list_is_linked(&log->dirty_link) || item->goal.offset > log->pub.durable.offset)
			log_set_durable_to(log, item->goal);
		if (log->pub.durable.offset == log->pub.appended.offset && !log->is_writing &&
		    list_is_empty(&log->queue) && log->tail && log->tail->index.n == 0 &&
			!log->index_is_running)
			log_tail_free(log);
		log_synced(log);
	}
	index_write_free(&item->index);
	mem_free((void *)(uintptr_t)item->snapshot.p);
	mem_free((void *)(uintptr_t)item->epochs.p);
	vec_deinit(&item->bases);
	log_unref(log);
}

static void checkpoint_end(struct storage *storage)
{
	struct storage_core *core = core_of(storage);

	if (--core->checkpoints_running > 0)
		return;
	if (core->checkpoint_is_whole)
		core->checkpoint_ns = storage->reactor->now_ns;
	list_for_each(node, tmp, &storage->logs) {
		if (list_entry(node, struct part_log, link)->state == PART_LOG_CLOSING)
			log_drive_later(impl_of(list_entry(node, struct part_log, link)));
	}
	if (core->checkpoint_done)
		core->checkpoint_done(storage);
}

static void checkpoint_job_done(struct io_op *op)
{
	struct checkpoint_job *job = container_of(op, struct checkpoint_job, op);
	struct storage_dir *dir = job->dir;

	core_of(dir->storage)->works--;
	if (op->err)
		log_warn("storage.checkpoint_failed", "dir=%s error=%s", dir->path, err_name(op->err));
	for (size_t i = 0; i < job->items.n; i++)
		checkpoint_item_done(&job->items.v[i], op->err);
	sync_files_deinit(&job->files);
	vec_deinit(&job->items);
	if (op->err)
		storage_dir_failed(dir, op->err);
	mem_free(job);
	checkpoint_end(dir->storage);
}

static bool log_wants_checkpoint(const struct log_impl *log, const struct storage_dir *dir)
{
	if (log->pub.dir != dir || log->truncate_to != INT64_MAX || log->is_busy)
		return false;
	if (log->pub.state != PART_LOG_OPEN && log->pub.state != PART_LOG_CLOSING)
		return false;
	return log->pub.recovery_point < log->pub.appended.offset || log_wants_epochs(log) ||
	       log->pub.durable.offset < log->pub.appended.offset;
}

bool storage_checkpoint_run(struct storage *storage, bool is_whole, void (*done)(struct storage *storage))
{
	struct storage_core *core = core_of(storage);

	if (core->checkpoints_running)
		return false;
	core->checkpoint_done = done;
	core->checkpoint_is_whole = is_whole;
	core->checkpoints_running = storage->dirs_n;
	for (int i = 0; i < storage->dirs_n; i++) {
		struct checkpoint_job *job = MEM_NEW(struct checkpoint_job);

		job->dir = &storage->dirs[i];
		dir_core_of(job->dir)->wants_checkpoint = dir_core_of(job->dir)->wants_checkpoint && !is_whole;
		list_for_each(node, tmp, &storage->logs) {
			struct log_impl *log = impl_of(list_entry(node, struct part_log, link));

			if (log_wants_checkpoint(log, job->dir) && (is_whole || log_has_much_unsynced(log)))
				checkpoint_add(job, log);
		}
		core->works++;
		job->op.kind = IO_WORK;
		job->op.work.run = checkpoint_job_run;
		job->op.done = checkpoint_job_done;
		io_submit(storage->reactor->io, &job->op);
	}
	return true;
}
