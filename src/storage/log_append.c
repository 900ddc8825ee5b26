/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending. An append gets its offset at once and waits in the queue; at the end of the turn everything
 * queued for the active segment goes out as one write. One write per log is under way at a time: when it
 * fails, what it carried and what waits behind it is taken back, newest first, and the file is cut to its
 * last good size before anything else is written.
 *
 *    queue --end of turn--> writing --written--> done
 *      |                      |
 *      +------ write failed --+--> taken back, done with an error; repair: file cut to the segment's size
 */
#include "part_log_internal.h"

#include <inttypes.h>

#include "fault.h"
#include "log.h"
#include "mem.h"
#include "storage_internal.h"

static enum err log_append_refused(const struct part_log *pub)
{
	if (pub->state == PART_LOG_FAILED)
		return pub->failure;
	if (pub->state != PART_LOG_OPEN)
		return ERR_LOG_CLOSED;
	switch (pub->dir->state) {
	case LOG_DIR_ONLINE:
		return ERR_NONE;
	case LOG_DIR_FULL:
		/* What the cluster agrees on is small, and deleting a topic is part of it: it takes what is left. */
		return pub->config.is_synced ? ERR_NONE : ERR_DISK_FULL;
	case LOG_DIR_OFFLINE:
		return ERR_DIR_OFFLINE;
	}
	UNREACHABLE();
}

enum err part_log_append(struct part_log *pub, struct log_append *append, int32_t leader_epoch)
{
	struct log_impl *log = impl_of(pub);
	struct batch_info *info = &append->info;
	enum err err = log_append_refused(pub);

	if (err)
		return err;
	CHECK_OP(append->len, ==, info->size);
	CHECK_OP(info->magic, ==, BATCH_MAGIC_NOW);
	if (append->len > INT32_MAX || info->last_offset_delta > INT32_MAX - 1)
		return ERR_RECORD_LIST_TOO_LARGE;
	info->base_offset = pub->end;
	info->last_offset = pub->end + info->last_offset_delta;
	info->leader_epoch = leader_epoch;
	info->bytes = (struct bytes){append->batch, append->len};
	batch_set_base_offset(append->batch, info->base_offset);
	batch_set_leader_epoch(append->batch, leader_epoch);
	append->err = ERR_NONE;
	append->has_new_epoch = leader_epoch > epoch_cache_latest(&pub->epochs) &&
				epoch_cache_assign(&pub->epochs, leader_epoch, info->base_offset);
	if (append->has_new_epoch)
		log->epochs_changed = true;
	append->aborts = producer_state_aborts(&pub->producers, info, &append->aborted);
	producer_state_append(&pub->producers, info, &append->undo);
	pub->end = info->last_offset + 1;
	pub->producers.map_end_offset = pub->end;
	append->link = (struct list){NULL, NULL};
	list_push_back(&log->queue, &append->link);
	if (!log->is_writing && !log->is_busy)
		log_drive_later(log);
	return ERR_NONE;
}

/* Takes the appends of `from` back, newest first, and moves them to the front of `ret`. */
static void log_undo_list(struct log_impl *log, struct list *from, struct list *ret)
{
	while (!list_is_empty(from)) {
		struct log_append *append = list_entry(from->prev, struct log_append, link);

		list_remove(&append->link);
		list_push_front(ret, &append->link);
		if (log->is_zombie)
			continue;
		producer_state_undo(&log->pub.producers, &append->undo);
		if (append->has_new_epoch) {
			log->pub.epochs.entries.n--;
			log->epochs_changed = true;
		}
		if (!FAULT(enospc_keeps_offset))
			log->pub.end = append->info.base_offset;
	}
	log->pub.producers.map_end_offset = log->pub.end;
}

/* An epoch that began behind what is gone now begins at the end. */
static void log_undo_epochs(struct log_impl *log)
{
	struct epoch_cache *epochs = &log->pub.epochs;
	int32_t latest = epoch_cache_latest(epochs);

	if (latest < 0 || epochs->entries.v[epochs->entries.n - 1].start_offset <= log->pub.end)
		return;
	epoch_cache_truncate_end(epochs, log->pub.end);
	epoch_cache_assign(epochs, latest, log->pub.end);
	log->epochs_changed = true;
}

void log_take_back(struct log_impl *log, enum err err)
{
	struct list taken, *node;

	list_init(&taken);
	log_undo_list(log, &log->queue, &taken);
	log_undo_list(log, &log->writing, &taken);
	log_undo_epochs(log);
	while ((node = list_pop_front(&taken)) != NULL) {
		struct log_append *append = list_entry(node, struct log_append, link);

		append->err = err;
		append->done(append);
	}
}

/* --- writing --- */

bool log_needs_roll(struct log_impl *log, const struct log_append *append, int64_t pos)
{
	const struct log_config *config = &log->pub.config;
	struct segment *active = log_active(log);
	int64_t segment_ms = config->segment_ms, age_ms;

	if (append->info.last_offset - active->base > INT32_MAX)
		return true;
	if (pos == 0)
		return false;
	if (pos + (int64_t)append->len > MIN(config->segment_bytes, (int64_t)INT32_MAX))
		return true;
	/* The last place of the time index is for the entry that a roll adds. */
	if (active->index_n >= config->index_bytes / INDEX_ENTRY_LEN ||
	    active->time_index_n + 1 >= config->index_bytes / TIME_ENTRY_LEN)
		return true;
	/* A batch without times ages no segment that begins with one. */
	if (active->first_timestamp_ms >= 0)
		age_ms = append->info.max_timestamp - active->first_timestamp_ms;
	else
		age_ms = log_reactor(log)->wall_ms - log->active_created_ms;
	/* Compaction leaves the active segment alone: what it has to reach in time must not stay there. */
	if (config->is_compacted && config->max_compaction_lag_ms > 0)
		segment_ms = MIN(segment_ms, config->max_compaction_lag_ms);
	return age_ms > segment_ms - log->active_jitter_ms;
}

/* The write is in the file. */
static void log_written(struct log_impl *log, struct list *done)
{
	struct part_log *pub = &log->pub;
	struct segment *active = log_active(log);
	int64_t bytes = 0;

	for (struct list *n = log->writing.next; n != &log->writing; n = n->next) {
		struct log_append *append = list_entry(n, struct log_append, link);
		const struct batch_info *info = &append->info;

		if (active->size == 0)
			active->first_timestamp_ms = info->max_timestamp;
		log_tail_add(log, info, active->size);
		if (append->aborts) {
			vec_push(&pub->aborted.list, append->aborted);
			log->txns_n++;
		}
		active->size += (int64_t)append->len;
		active->next_offset = info->last_offset + 1;
		active->mtime_ms = log_reactor(log)->wall_ms;
		bytes += (int64_t)append->len;
		if (info->max_timestamp > pub->max_timestamp_ms) {
			pub->max_timestamp_ms = info->max_timestamp;
			pub->max_timestamp_offset = info->last_offset;
		}
	}
	list_splice(done, &log->writing);
	pub->appended = (struct log_pos){active->next_offset, active->base, active->size};
	pub->size_bytes += bytes;
	storage_log_dirty(log, bytes);
}

static void log_write_failed(struct log_impl *log, enum err err)
{
	struct part_log *pub = &log->pub;

	log_warn("log.write_failed", "log=%s dir=%s offset=%" PRId64 " error=%s", pub->name, pub->dir->path,
		 pub->appended.offset, err_name(err));
	log->wants_repair = true;
	storage_dir_failed(pub->dir, err);
	/* An OFFLINE directory has failed this log, which took everything back. */
	if (pub->state != PART_LOG_FAILED)
		log_take_back(log, err);
}

static void log_write_done(struct io_op *op)
{
	struct log_impl *log = container_of(op, struct log_impl, write_op);
	struct list done, *node;
	bool was_failed = log->pub.state == PART_LOG_FAILED;

	list_init(&done);
	log->is_writing = false;
	log_file_unpin(log->write_file);
	log->write_file = NULL;
	if (was_failed) {
		log_take_back(log, log->pub.failure);
	} else if (op->err && !FAULT(dir_acks_on)) {
		log_write_failed(log, op->err);
	} else {
		log_written(log, &done);
		/* The owner first: when an append ends, the mark it may wait for has moved already. */
		log_tell(log);
		while ((node = list_pop_front(&done)) != NULL) {
			struct log_append *append = list_entry(node, struct log_append, link);

			append->done(append);
		}
	}
	if (!log->is_zombie)
		log_drive_later(log);
	log_unref(log);
}

/* As many queued appends as one write takes and the segment holds. The first one fits. */
void log_write_start(struct log_impl *log)
{
	struct segment *active = log_active(log);
	int64_t pos = active->size;
	int iov_n = 0;

	log_tail_make(log);
	while (!list_is_empty(&log->queue) && iov_n < LOG_IOV_MAX) {
		struct log_append *append = list_entry(log->queue.next, struct log_append, link);

		if (iov_n && log_needs_roll(log, append, pos))
			break;
		log->tail->iov[iov_n++] = (struct iovec){append->batch, append->len};
		pos += (int64_t)append->len;
		list_remove(&append->link);
		list_push_back(&log->writing, &append->link);
	}
	CHECK_OP(iov_n, >, 0);
	log->is_writing = true;
	log->write_file = log_file_pin(active->file);
	log->write_op = (struct io_op){
		.kind = IO_WRITE,
		.done = log_write_done,
		.write = {.file = active->file->file, .iov = log->tail->iov, .iov_n = iov_n,
			  .pos = active->size},
	};
	log_ref(log);
	io_submit(log_reactor(log)->io, &log->write_op);
}

/* --- the active segment's file: opening it again, cutting it after a failed write --- */

struct file_job {
	struct io_op op;
	struct log_impl *log;
	int64_t base;
	int64_t size; /* repair: cut to it */
	bool is_repair;
	fs_file file;
};

static void file_job_run(struct io_op *op, struct fs *fs)
{
	struct file_job *job = container_of(op, struct file_job, op);

	op->err = segment_open_file(fs, job->log->path, job->base, ".log", FS_WRITE, &job->file);
	if (!op->err && job->is_repair)
		op->err = fs->ops->truncate(fs, job->file, job->size);
}

static void file_job_done(struct io_op *op)
{
	struct file_job *job = container_of(op, struct file_job, op);
	struct log_impl *log = job->log;
	bool is_live = log->pub.state == PART_LOG_OPEN || log->pub.state == PART_LOG_CLOSING;

	log->is_busy = false;
	if (!op->err && is_live && !log_active(log)->file)
		log_active(log)->file = file_cache_add(&core_of(log->pub.storage)->files, log, job->base,
						       job->file);
	else
		fs_close(log_reactor(log)->io->fs, job->file);
	if (is_live) {
		if (!op->err && job->is_repair)
			log->wants_repair = false;
		if (op->err == ERR_TOO_MANY_FILES && !job->is_repair)
			log_take_back(log, op->err);
		else if (op->err)
			storage_dir_failed(log->pub.dir, op->err);
	}
	if (!log->is_zombie)
		log_drive_later(log);
	log_unref(log);
	mem_free(job);
}

static void log_file_job_start(struct log_impl *log, bool is_repair)
{
	struct file_job *job = MEM_NEW(struct file_job);

	*job = (struct file_job){.log = log, .base = log_active(log)->base, .size = log_active(log)->size,
				 .is_repair = is_repair, .file = FS_FILE_NONE};
	log->is_busy = true;
	log_submit_work(log, &job->op, file_job_run, file_job_done);
}

void log_repair_start(struct log_impl *log)
{
	log_file_job_start(log, true);
}

void log_open_file_start(struct log_impl *log)
{
	log_file_job_start(log, false);
}
