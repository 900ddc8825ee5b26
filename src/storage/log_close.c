/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of closing a log: index entries, epochs, the producer snapshot, and their syncs. */
#include "log.h"
#include "log_dir.h"
#include "mem.h"
#include "part_log_internal.h"

struct close_job {
	struct io_op op;
	struct log_impl *log;
	struct index_write index;
	struct bytes snapshot, epochs;
	int64_t snapshot_offset, snapshot_remove;
	bool syncs_names;
	VEC(int64_t) bases; /* segments whose indexes have to be synced */
};

enum err log_sync_small(struct fs *fs, const char *path, const int64_t *bases, size_t bases_n)
{
	static const char *const suffixes[] = {".index", ".timeindex", ".snapshot"};
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && i < bases_n * ARRAY_N(suffixes); i++) {
		fs_file file;

		err = segment_open_file(fs, path, bases[i / ARRAY_N(suffixes)], suffixes[i % ARRAY_N(suffixes)],
					FS_WRITE, &file);
		if (err == ERR_NOT_FOUND) {
			err = ERR_NONE;
		} else if (!err) {
			err = fs_sync(fs, file) ? ERR_IO : ERR_NONE;
			fs_close(fs, file);
		}
	}
	return err;
}

static void close_job_run(struct io_op *op, struct fs *fs)
{
	struct close_job *job = container_of(op, struct close_job, op);
	const char *path = job->log->path;
	char name[FS_PATH_MAX];
	enum err err = index_write_run(&job->index, fs, path);

	if (!err)
		err = log_sync_small(fs, path, job->bases.v, job->bases.n);
	if (!err && job->epochs.p)
		err = log_write_epochs(fs, path, job->epochs);
	if (!err && job->snapshot.p)
		err = log_write_snapshot(fs, path, job->snapshot_offset, job->snapshot, true);
	if (!err && (job->snapshot.p || job->syncs_names))
		err = fs->ops->sync_dir(fs, path);
	if (!err && job->snapshot_remove >= 0 && segment_path(name, path, job->snapshot_remove, ".snapshot"))
		err = fs->ops->unlink(fs, name);
	op->err = err == ERR_NOT_FOUND ? ERR_NONE : err;
	/* As a checkpoint: a full disk is not told from a failed sync. */
	if (op->err)
		log_dir_note_lost_sync(job->log->pub.dir->path, fs);
}

static bool close_job_is_empty(const struct close_job *job)
{
	return !job->index.bytes && !job->index.txn_n && !job->snapshot.p && !job->epochs.p &&
	       job->snapshot_remove < 0 && job->bases.n == 0 && !job->syncs_names;
}

static void close_job_free(struct close_job *job)
{
	index_write_free(&job->index);
	mem_free((void *)(uintptr_t)job->snapshot.p);
	mem_free((void *)(uintptr_t)job->epochs.p);
	vec_deinit(&job->bases);
	mem_free(job);
}

static void close_job_done(struct io_op *op)
{
	struct close_job *job = container_of(op, struct close_job, op);
	struct log_impl *log = job->log;

	log->is_busy = false;
	if (log->pub.state == PART_LOG_CLOSING && op->err) {
		storage_dir_failed(log->pub.dir, op->err);
		/* Not closed in order: whoever opens it next has to look, be it this process when there is room
		 * again. */
		if (op->err == ERR_DISK_FULL && !log->pub.config.is_synced) {
			log->pub.failure = op->err;
			log->is_unsettled = true;
			log_closed(log);
		} else {
			log_fail(log, op->err);
		}
	} else if (log->pub.state == PART_LOG_CLOSING) {
		log->pub.recovery_point = log->pub.end;
		log_closed(log);
	}
	log_unref(log);
	close_job_free(job);
}

static bool log_has_base(const struct log_impl *log, int64_t offset)
{
	return log->segments.list.n && log->segments.list.v[log_segment_at(log, offset)].base == offset;
}

/* Where the log was rolled right at the recovery point, the indexes of the segment before it were written since. */
size_t log_first_unsynced(const struct log_impl *log)
{
	return log_segment_at(log, log->pub.recovery_point - 1);
}

static void log_close_at_once(struct log_impl *log)
{
	log_ref(log);
	log_closed(log);
	log_unref(log);
}

void part_log_discard(struct part_log *pub)
{
	impl_of(pub)->is_discarded = true;
	part_log_close(pub);
}

/* The log is written and synced: what remains are the small files, of one that is opened again. */
void log_close_start(struct log_impl *log)
{
	struct close_job *job;

	if (log->is_discarded) {
		log_close_at_once(log);
		return;
	}
	job = MEM_NEW(struct close_job);
	job->log = log;
	index_write_take(log, true, &job->index);
	job->snapshot_offset = log->pub.end;
	job->snapshot_remove = -1;
	job->syncs_names = log_names_are_unsynced(log);
	if (log->snapshot_offset != log->pub.end && log->pub.end > log->pub.log_start) {
		job->snapshot = producer_state_encode(&log->pub.producers);
		if (log->snapshot_offset >= 0 && !log_has_base(log, log->snapshot_offset))
			job->snapshot_remove = log->snapshot_offset;
	}
	if (log_wants_epochs(log))
		job->epochs = log_take_epochs(log);
	for (size_t i = log_first_unsynced(log); i < log->segments.list.n; i++)
		vec_push(&job->bases, log->segments.list.v[i].base);
	if (log->pub.recovery_point == log->pub.end && !job->index.bytes)
		job->bases.n = 0;
	if (close_job_is_empty(job)) {
		close_job_free(job);
		log_close_at_once(log);
		return;
	}
	log->is_busy = true;
	log_submit_work(log, &job->op, close_job_run, close_job_done);
}
