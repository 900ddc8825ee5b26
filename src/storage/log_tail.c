/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a log that is being written to: index entries that wait to be written in groups, the places of
 * the newest batches, and rolling to a new segment.
 *
 * Rolling: index entries of the old segment, its last time index entry, its aborted transactions -> epochs ->
 * producer snapshot -> files of the new segment -> directory synced. A crash in between leaves a log that ends
 * with the old segment. A snapshot says that nothing below it has to be replayed, so what a replay would find,
 * epochs and aborted transactions, is written before it; the latter, without which a reader is shown what never
 * was, durably.
 */
#include "part_log_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "fault.h"
#include "log.h"
#include "log_dir.h"
#include "mem.h"
#include "storage_internal.h"

void log_tail_make(struct log_impl *log)
{
	if (!log->tail)
		log->tail = MEM_NEW(struct log_tail);
}

void log_tail_free(struct log_impl *log)
{
	/* A write in the air still uses it; it goes with the log then. */
	if (!log->tail || log->is_writing)
		return;
	vec_deinit(&log->tail->index);
	vec_deinit(&log->tail->times);
	mem_free(log->tail);
	log->tail = NULL;
}

void log_tail_forget_places(struct log_impl *log)
{
	if (log->tail)
		log->tail->ring_n = 0;
	for (int i = 0; i < LOG_HINTS_N; i++)
		log->hints[i].offset = -1;
	log->checked.n = 0;
	mem_free(log->page);
	log->page = NULL;
}

/* Same as Kafka's segment: an entry before a batch when more than index.interval.bytes came since the last
 * one. */
void log_tail_add(struct log_impl *log, const struct batch_info *info, int64_t pos)
{
	struct log_tail *tail = log->tail;
	struct segment *active = log_active(log);

	if (info->max_timestamp > active->max_timestamp_ms) {
		active->max_timestamp_ms = info->max_timestamp;
		active->max_timestamp_offset = info->last_offset;
	}
	if (log->bytes_since_index > log->pub.config.index_interval_bytes) {
		struct index_entry entry = {info->last_offset,
					    FAULT(index_wrong) ? pos + (int64_t)info->size : pos};
		struct time_entry time = {active->max_timestamp_ms, active->max_timestamp_offset};

		vec_push(&tail->index, entry);
		active->index_n++;
		if (time.timestamp_ms > log->last_index_timestamp_ms) {
			vec_push(&tail->times, time);
			active->time_index_n++;
			log->last_index_timestamp_ms = time.timestamp_ms;
		}
		log->bytes_since_index = 0;
	}
	log->bytes_since_index += (int64_t)info->size;
	tail->ring[tail->ring_next] = (struct log_ring_entry){info->base_offset, pos};
	tail->ring_next = (tail->ring_next + 1) % LOG_RING_N;
	tail->ring_n = MIN(tail->ring_n + 1, LOG_RING_N);
}

/* --- index entries on their way to the files --- */

/* The entry that says which timestamp is the greatest of all, where none does yet. */
static void log_tail_add_last_time(struct log_impl *log)
{
	struct segment *active = log_active(log);
	struct time_entry time = {active->max_timestamp_ms, active->max_timestamp_offset};

	if (time.timestamp_ms <= log->last_index_timestamp_ms)
		return;
	log_tail_make(log);
	vec_push(&log->tail->times, time);
	active->time_index_n++;
	log->last_index_timestamp_ms = time.timestamp_ms;
}

static void index_write_take_txns(struct log_impl *log, struct index_write *ret)
{
	const struct aborted_txns *aborted = &log->pub.aborted;
	size_t first;

	CHECK_OP(aborted->list.n, >=, log->txns_n);
	ret->txn_first = log->txns_written;
	ret->txn_n = log->txns_n - log->txns_written;
	if (ret->txn_n == 0)
		return;
	first = aborted->list.n - ret->txn_n;
	ret->txns = mem_alloc((size_t)ret->txn_n * TXN_ENTRY_LEN);
	for (uint32_t i = 0; i < ret->txn_n; i++)
		txn_entry_encode(&aborted->list.v[first + i], ret->txns + (size_t)i * TXN_ENTRY_LEN);
}

void index_write_free(struct index_write *write)
{
	mem_free(write->bytes);
	mem_free(write->txns);
	write->bytes = write->txns = NULL;
}

void index_write_take(struct log_impl *log, bool whole, struct index_write *ret)
{
	struct segment *active = log_active(log);
	struct log_tail *tail;
	uint8_t *p;

	if (whole)
		log_tail_add_last_time(log);
	tail = log->tail;
	*ret = (struct index_write){.base = active->base,
				    .n = tail ? (uint32_t)tail->index.n : 0,
				    .time_n = tail ? (uint32_t)tail->times.n : 0};
	ret->first = active->index_n - ret->n;
	ret->time_first = active->time_index_n - ret->time_n;
	if (whole)
		index_write_take_txns(log, ret);
	if (ret->n + ret->time_n == 0)
		return;
	ret->bytes = p = mem_alloc((size_t)ret->n * INDEX_ENTRY_LEN + (size_t)ret->time_n * TIME_ENTRY_LEN);
	for (uint32_t i = 0; i < ret->n; i++, p += INDEX_ENTRY_LEN)
		index_entry_encode(&tail->index.v[i], active->base, p);
	for (uint32_t i = 0; i < ret->time_n; i++, p += TIME_ENTRY_LEN)
		time_entry_encode(&tail->times.v[i], active->base, p);
}

static enum err index_write_one(struct fs *fs, const char *path, int64_t base, const char *suffix,
				const uint8_t *p,
				size_t len, int64_t pos)
{
	fs_file file;
	enum err err;

	if (len == 0)
		return ERR_NONE;
	err = segment_open_file(fs, path, base, suffix, FS_WRITE | FS_CREATE, &file);
	if (err)
		return err;
	err = fs_pwrite_all(fs, file, p, len, pos);
	fs_close(fs, file);
	return err;
}

static enum err index_write_txns(const struct index_write *write, struct fs *fs, const char *path)
{
	fs_file file;
	enum err err;

	if (write->txn_n == 0)
		return ERR_NONE;
	err = segment_open_file(fs, path, write->base, ".txnindex", FS_WRITE | FS_CREATE, &file);
	if (err)
		return err;
	err = fs_pwrite_all(fs, file, write->txns, (size_t)write->txn_n * TXN_ENTRY_LEN,
			    (int64_t)write->txn_first * TXN_ENTRY_LEN);
	if (!err && fs_sync(fs, file))
		err = ERR_IO;
	fs_close(fs, file);
	if (!err && write->txn_first == 0)
		err = fs->ops->sync_dir(fs, path);
	return err;
}

/* The time index first: what it knows of the batches before an index entry is never missing. */
enum err index_write_run(const struct index_write *write, struct fs *fs, const char *path)
{
	size_t len = (size_t)write->n * INDEX_ENTRY_LEN;
	enum err err = index_write_one(fs, path, write->base, ".timeindex",
				       write->bytes ? write->bytes + len : NULL,
				       (size_t)write->time_n * TIME_ENTRY_LEN,
					(int64_t)write->time_first * TIME_ENTRY_LEN);

	if (!err)
		err = index_write_one(fs, path, write->base, ".index", write->bytes, len,
				      (int64_t)write->first * INDEX_ENTRY_LEN);
	return err ? err : index_write_txns(write, fs, path);
}

void index_write_done(struct log_impl *log, const struct index_write *write)
{
	struct log_tail *tail = log->tail;
	struct segment *active = log_active(log);
	uint32_t first, time_first, n, time_n;

	if (active->base != write->base)
		return;
	log->txns_written = MAX(log->txns_written, write->txn_first + write->txn_n);
	if (!tail)
		return;
	/* Another writer may have been there in between: entries are known by their numbers. */
	first = active->index_n - (uint32_t)tail->index.n;
	time_first = active->time_index_n - (uint32_t)tail->times.n;
	n = write->first + write->n > first ? write->first + write->n - first : 0;
	time_n = write->time_first + write->time_n > time_first
		? write->time_first + write->time_n - time_first : 0;
	n = MIN(n, (uint32_t)tail->index.n);
	time_n = MIN(time_n, (uint32_t)tail->times.n);
	if (n)
		memmove(tail->index.v, tail->index.v + n, (tail->index.n - n) * sizeof(tail->index.v[0]));
	tail->index.n -= n;
	if (time_n)
		memmove(tail->times.v, tail->times.v + time_n,
			(tail->times.n - time_n) * sizeof(tail->times.v[0]));
	tail->times.n -= time_n;
}

struct index_job {
	struct io_op op;
	struct log_impl *log;
	struct index_write write;
	uint32_t generation;
};

static void index_job_run(struct io_op *op, struct fs *fs)
{
	struct index_job *job = container_of(op, struct index_job, op);

	op->err = index_write_run(&job->write, fs, job->log->path);
}

static void index_job_done(struct io_op *op)
{
	struct index_job *job = container_of(op, struct index_job, op);
	struct log_impl *log = job->log;

	log->index_is_running = false;
	if (log->pub.state == PART_LOG_OPEN || log->pub.state == PART_LOG_CLOSING) {
		if (!op->err)
			index_write_done(log, &job->write);
		else
			storage_dir_failed(log->pub.dir, op->err);
		/* After a full disk the entries stay in memory and go with the next group. */
		if (!op->err && !log->is_zombie)
			log_drive(log);
	}
	index_write_free(&job->write);
	log_unref(log);
	mem_free(job);
}

void log_index_start(struct log_impl *log)
{
	struct index_job *job = MEM_NEW(struct index_job);

	job->log = log;
	index_write_take(log, false, &job->write);
	log->index_is_running = true;
	log_submit_work(log, &job->op, index_job_run, index_job_done);
}

/* --- small files --- */

enum err log_write_snapshot(struct fs *fs, const char *path, int64_t offset, struct bytes bytes, bool sync)
{
	fs_file file;
	enum err err = segment_open_file(fs, path, offset, ".snapshot", FS_WRITE | FS_CREATE | FS_TRUNCATE,
					 &file);

	if (err)
		return err;
	err = fs_pwrite_all(fs, file, bytes.p, bytes.len, 0);
	if (!err && sync)
		err = fs_sync(fs, file);
	fs_close(fs, file);
	return err;
}

static bool log_epochs_path(char ret[FS_PATH_MAX], const char *path)
{
	int len = snprintf(ret, FS_PATH_MAX, "%s/leader-epoch-checkpoint", path);

	return len > 0 && len < FS_PATH_MAX;
}

enum err log_write_epochs(struct fs *fs, const char *path, struct bytes bytes)
{
	char name[FS_PATH_MAX];

	return log_epochs_path(name, path) ? fs_write_atomic(fs, name, bytes) : ERR_TOO_LARGE;
}

bool log_wants_epochs(const struct log_impl *log)
{
	const struct epoch_cache *epochs = &log->pub.epochs;

	if (log->epochs_changed)
		return true;
	return log->epoch_is_new && epochs->entries.n &&
	       epochs->entries.v[epochs->entries.n - 1].start_offset < log->pub.end;
}

struct bytes log_take_epochs(struct log_impl *log)
{
	log->epochs_changed = log->epoch_is_new = false;
	return epoch_cache_encode(&log->pub.epochs);
}

enum err log_write_epochs_tmp(struct fs *fs, const char *path, struct bytes bytes)
{
	char name[FS_PATH_MAX];

	return log_epochs_path(name, path) ? fs_write_tmp(fs, name, bytes) : ERR_TOO_LARGE;
}

enum err log_rename_epochs_tmp(struct fs *fs, const char *path)
{
	char name[FS_PATH_MAX];

	return log_epochs_path(name, path) ? fs_rename_tmp(fs, name) : ERR_TOO_LARGE;
}

/* --- roll --- */

struct roll_job {
	struct io_op op;
	struct log_impl *log;
	struct index_write index; /* of the old segment */
	struct bytes snapshot, epochs;
	int64_t base;
	int64_t reserve; /* bytes; 0: none */
	bool syncs;      /* nothing is appended that would wait for it */
	fs_file file;
};

static enum err roll_create(struct roll_job *job, struct fs *fs)
{
	static const char *const suffixes[] = {".index", ".timeindex"};
	const char *path = job->log->path;
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && i < ARRAY_N(suffixes); i++) {
		fs_file file;

		err = segment_open_file(fs, path, job->base, suffixes[i], FS_WRITE | FS_CREATE | FS_TRUNCATE,
					&file);
		if (!err)
			fs_close(fs, file);
	}
	/* .log last: without it the indexes are orphans, which the next start removes. */
	if (!err)
		err = segment_open_file(fs, path, job->base, ".log", FS_WRITE | FS_CREATE | FS_TRUNCATE,
					&job->file);
	if (!err && job->reserve) {
		err = fs->ops->reserve(fs, job->file, job->reserve);
		err = err == ERR_NOT_SUPPORTED ? ERR_NONE : err;
	}
	return err || !job->syncs ? err : fs->ops->sync_dir(fs, path);
}

static void roll_job_run(struct io_op *op, struct fs *fs)
{
	struct roll_job *job = container_of(op, struct roll_job, op);
	const char *path = job->log->path;
	enum err err = index_write_run(&job->index, fs, path);

	if (!err && job->epochs.p)
		err = log_write_epochs(fs, path, job->epochs);
	/* Not synced: the recovery point is below until a checkpoint has synced it. */
	if (!err && job->snapshot.p)
		err = log_write_snapshot(fs, path, job->base, job->snapshot, false);
	if (!err)
		err = roll_create(job, fs);
	if (err && err != ERR_DISK_FULL)
		log_dir_note_lost_sync(job->log->pub.dir->path, fs);
	op->err = err;
}

void log_begin_active(struct log_impl *log)
{
	struct reactor *reactor = log_reactor(log);
	int64_t jitter_ms = MIN(log->pub.config.segment_jitter_ms, log->pub.config.segment_ms);

	log->active_created_ms = reactor->wall_ms;
	log->active_jitter_ms = jitter_ms > 0 ? (int64_t)rng_below(&reactor->rng, (uint64_t)jitter_ms) : 0;
}

static void log_rolled(struct log_impl *log, struct roll_job *job)
{
	struct segment segment = SEGMENT_INIT(job->base);
	struct segment *old = log_active(log);

	old->next_offset = job->base;
	if (log->tail) {
		log->tail->index.n = 0;
		log->tail->times.n = 0;
		log->tail->ring_n = 0;
	}
	if (!job->syncs)
		log->names_n++;
	segment.file = file_cache_add(&core_of(log->pub.storage)->files, log, job->base, job->file);
	job->file = FS_FILE_NONE;
	vec_push(&log->segments.list, segment);
	log->bytes_since_index = 0;
	log->txns_n = log->txns_written = 0;
	log->last_index_timestamp_ms = -1;
	if (job->snapshot.p)
		log->snapshot_offset = job->base;
	log_begin_active(log);
	log_active(log)->mtime_ms = log_reactor(log)->wall_ms;
	/* One place, the newer name: readers of the new segment need no other file. */
	log->pub.appended = (struct log_pos){job->base, job->base, 0};
	if (log->pub.durable.offset == job->base)
		log->pub.durable = log->pub.appended;
	log_debug("log.rolled", "log=%s base=%" PRId64, log->pub.name, job->base);
}

static void roll_job_done(struct io_op *op)
{
	struct roll_job *job = container_of(op, struct roll_job, op);
	struct log_impl *log = job->log;
	bool is_live = log->pub.state == PART_LOG_OPEN || log->pub.state == PART_LOG_CLOSING;

	log->is_busy = false;
	if (is_live && !op->err) {
		log_rolled(log, job);
		if (log->roll_at == job->base)
			part_log_set_start(&log->pub, job->base);
		log->roll_at = -1;
	} else if (is_live) {
		log->epochs_changed = log->epochs_changed || job->epochs.p;
		log_warn("log.roll_failed", "log=%s dir=%s error=%s", log->pub.name, log->pub.dir->path,
			 err_name(op->err));
		if (op->err != ERR_TOO_MANY_FILES)
			storage_dir_failed(log->pub.dir, op->err);
		if (log->pub.state != PART_LOG_FAILED)
			log_take_back(log, op->err);
	}
	fs_close(log_reactor(log)->io->fs, job->file);
	index_write_free(&job->index);
	mem_free((void *)(uintptr_t)job->snapshot.p);
	mem_free((void *)(uintptr_t)job->epochs.p);
	if (!log->is_zombie)
		log_drive(log);
	log_unref(log);
	mem_free(job);
}

/* The new segment begins with the first append that waits, if any does. What it waits for is held up, so the sync of
 * the new names is left to the next commit or checkpoint: without it the log ends where the old segment does. */
void log_roll_start(struct log_impl *log)
{
	struct roll_job *job = MEM_NEW(struct roll_job);

	job->log = log;
	job->base = log->pub.appended.offset;
	job->file = FS_FILE_NONE;
	job->reserve = log->pub.config.preallocate ? log->pub.config.segment_bytes : 0;
	job->syncs = list_is_empty(&log->queue);
	index_write_take(log, true, &job->index);
	/* A checkpoint under way writes the same files; and no snapshot without the epochs below it. */
	if (!log->in_checkpoint)
		job->snapshot = log_encode_producers(log);
	if (!log->in_checkpoint && log_wants_epochs(log))
		job->epochs = log_take_epochs(log);
	log->is_busy = true;
	log_submit_work(log, &job->op, roll_job_run, roll_job_done);
}
