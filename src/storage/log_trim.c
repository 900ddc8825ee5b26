/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking parts of a log away: from its end (truncate: see log_load.h), from its start, all of it. What goes
 * is renamed first and removed after file.delete.delay.ms, so that readers and backups in progress are not
 * disturbed.
 */
#include "part_log_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "checkpoint.h"
#include "fault.h"
#include "log.h"
#include "log_dir.h"
#include "mem.h"
#include "progress.h"
#include "storage_internal.h"

/* Segments that one job renames. In between the log may be closed or cut. */
#define TRIM_SEGMENTS_MAX 64

void part_log_truncate(struct part_log *pub, int64_t offset)
{
	struct log_impl *log = impl_of(pub);

	CHECK(pub->state == PART_LOG_OPEN);
	CHECK_OP(offset, >=, pub->log_start);
	if (offset >= pub->end) {
		log_drive_later(log);
		return;
	}
	log->truncate_to = MIN(log->truncate_to, offset);
	log_drive_later(log);
}

struct trim_job {
	struct io_op op;
	struct log_impl *log;
	bool syncs_first; /* what stays may be lost while what goes is lost already */
	uint32_t names_n;
	VEC(int64_t) bases;
};

/* The log first: its indexes without it are orphans, which the next start removes. A log that comes back without its
 * index of aborted transactions would show what they wrote; one without the others gets new ones. */
static const char *const trim_suffixes[] = {".log", ".index", ".timeindex", ".snapshot", ".txnindex"};

static enum err trim_segment(struct trim_job *job, struct fs *fs, int64_t base)
{
	char from[FS_PATH_MAX], to[FS_PATH_MAX + 16];
	struct fs_stat stat;

	for (size_t k = 0; k < ARRAY_N(trim_suffixes); k++) {
		enum err err;

		if (!segment_path(from, job->log->path, base, trim_suffixes[k]))
			return ERR_TOO_LARGE;
		snprintf(to, sizeof(to), "%s.deleted", from);
		err = ERR_NONE;
		if (k + 1 == ARRAY_N(trim_suffixes) && !fs->ops->stat(fs, from, &stat))
			err = fs->ops->sync_dir(fs, job->log->path);
		if (!err)
			err = fs->ops->rename(fs, from, to);
		if (err && err != ERR_NOT_FOUND)
			return err;
	}
	return ERR_NONE;
}

/* From the oldest on, each durable before the next, which may be the first of a later job: what a crash leaves never
 * has a hole. */
static void trim_job_run(struct io_op *op, struct fs *fs)
{
	struct trim_job *job = container_of(op, struct trim_job, op);

	if (job->syncs_first)
		op->err = fs->ops->sync_dir(fs, job->log->path);
	for (size_t i = 0; !op->err && i < job->bases.n; i++) {
		op->err = trim_segment(job, fs, job->bases.v[i]);
		if (!op->err)
			op->err = fs->ops->sync_dir(fs, job->log->path);
	}
}

static void trim_job_trash(struct trim_job *job)
{
	struct storage *storage = job->log->pub.storage;
	char path[FS_PATH_MAX + 16], from[FS_PATH_MAX];

	for (size_t i = 0; i < job->bases.n; i++) {
		for (size_t k = 0; k < ARRAY_N(trim_suffixes); k++) {
			if (!segment_path(from, job->log->path, job->bases.v[i], trim_suffixes[k]))
				continue;
			snprintf(path, sizeof(path), "%s.deleted", from);
			storage_trash(storage, path, false, job->log->pub.config.file_delete_delay_ms);
		}
	}
}

/* Segments that lie below the start of the log. */
static size_t log_trimmable_n(const struct log_impl *log)
{
	size_t n = 0;

	while (n + 1 < log->segments.list.n && log->segments.list.v[n + 1].base <= log->pub.log_start)
		n++;
	return n;
}

static void log_trim_tell(struct log_impl *log, size_t gone_n)
{
	struct progress *trimming = log->trimming;
	int64_t now_ns = log_reactor(log)->now_ns;
	size_t left_n = log_trimmable_n(log);

	if (!trimming)
		return;
	trimming->done += (int64_t)gone_n;
	trimming->total = trimming->done + (int64_t)left_n;
	if (left_n && progress_is_due(trimming, now_ns))
		log_info("log.trimming",
			 "log=%s done_segments=%" PRId64 " total_segments=%" PRId64 " rate=%.1f eta_s=%.0f",
			 log->pub.name, trimming->done, trimming->total, progress_rate(trimming, now_ns),
			 progress_eta_s(trimming, now_ns));
	if (left_n)
		return;
	if (trimming->said_ns > trimming->began_ns)
		log_info("log.trimmed", "log=%s segments=%" PRId64 " took_s=%.0f", log->pub.name, trimming->done,
			 (double)(now_ns - trimming->began_ns) / 1e9);
	mem_free(log->trimming);
	log->trimming = NULL;
}

static void trim_job_done(struct io_op *op)
{
	struct trim_job *job = container_of(op, struct trim_job, op);
	struct log_impl *log = job->log;

	log->shared_n--;
	log->is_trimming = false;
	if (!op->err)
		log_names_synced(log, job->names_n);
	trim_job_trash(job);
	if (op->err && log->pub.state != PART_LOG_FAILED) {
		log_warn("log.trim_failed", "log=%s error=%s", log->pub.name, err_name(op->err));
		/* The files are still there under their names: they come back with the next start. */
		storage_dir_failed(log->pub.dir, op->err);
	}
	log_trim_tell(log, job->bases.n);
	vec_deinit(&job->bases);
	if (log->pub.state == PART_LOG_OPEN) {
		if (log->truncate_to == INT64_MAX)
			log_trim(log);
		log_drive_later(log);
	} else if (log->pub.state == PART_LOG_CLOSING) {
		log_drive_later(log);
	}
	log_unref(log);
	mem_free(job);
}

/* Whose marker went with a segment, nobody reads any more. */
static void log_trim_aborted(struct log_impl *log)
{
	struct aborted_txns *aborted = &log->pub.aborted;
	int64_t base = log->segments.list.v[0].base;
	size_t n = 0;

	while (n < aborted->list.n && aborted->list.v[n].last_offset < base)
		n++;
	if (n == 0)
		return;
	aborted->list.n -= n;
	memmove(aborted->list.v, aborted->list.v + n, aborted->list.n * sizeof(aborted->list.v[0]));
}

void log_trim(struct log_impl *log)
{
	struct part_log *pub = &log->pub;
	struct trim_job *job;
	size_t drop = log_trimmable_n(log);

	/* They went with a cut. */
	if (drop == 0 && !log->is_trimming)
		log_trim_tell(log, 0);
	if (drop == 0 || log->is_trimming || log->is_busy || log->compaction)
		return;
	if (drop > TRIM_SEGMENTS_MAX && !log->trimming) {
		log->trimming = MEM_NEW(struct progress);
		progress_begin(log->trimming, (int64_t)drop, log_reactor(log)->now_ns);
	}
	drop = MIN(drop, (size_t)TRIM_SEGMENTS_MAX);
	job = MEM_NEW(struct trim_job);
	job->log = log;
	job->syncs_first = log_names_are_unsynced(log);
	job->names_n = log->names_n;
	for (size_t i = 0; i < drop; i++) {
		struct segment *segment = &log->segments.list.v[i];

		vec_push(&job->bases, segment->base);
		pub->size_bytes -= segment->size;
		log_file_drop(segment->file);
	}
	memmove(&log->segments.list.v[0], &log->segments.list.v[drop],
		(log->segments.list.n - drop) * sizeof(log->segments.list.v[0]));
	log->segments.list.n -= drop;
	log_trim_aborted(log);
	log->dirty_base = MAX(log->dirty_base, log->segments.list.v[0].base);
	log->generation++;
	log_tail_forget_places(log);
	log->is_trimming = true;
	log->shared_n++;
	log_submit_work(log, &job->op, trim_job_run, trim_job_done);
}

void part_log_set_start(struct part_log *pub, int64_t offset)
{
	struct log_impl *log = impl_of(pub);
	size_t at;

	if (offset <= pub->log_start || pub->state != PART_LOG_OPEN)
		return;
	CHECK_OP(offset, <=, pub->appended.offset);
	pub->log_start = offset;
	/* To the beginning of the segment, not to the start: the indexes and what else belongs to the part of it below
	 * the start are not known to be durable. */
	at = log_segment_at(log, MIN(offset, pub->durable.offset));
	pub->recovery_point = MAX(pub->recovery_point, MIN(log->segments.list.v[at].base, pub->durable.offset));
	if (epoch_cache_truncate_start(&pub->epochs, offset))
		log->epochs_changed = true;
	log_trim(log);
}

void part_log_retain(struct part_log *pub, int64_t high_watermark, struct log_retained *ret)
{
	struct log_impl *log = impl_of(pub);
	struct retention_verdict verdict;
	struct retention_input in = {
		.segments = log->segments.list.v,
		.segments_n = log->segments.list.n,
		.log_start = pub->log_start,
		.log_end = pub->end,
		.high_watermark = MIN(high_watermark, pub->appended.offset),
		.now_ms = log_reactor(log)->wall_ms,
		.is_deleted = pub->config.is_deleted,
		.retention_ms = pub->config.retention_ms,
		.retention_bytes = pub->config.retention_bytes,
	};

	*ret = (struct log_retained){0};
	/* What goes already would be told again. */
	if (pub->state != PART_LOG_OPEN || log->truncate_to != INT64_MAX || log->roll_at >= 0 || log->is_trimming ||
	    log->trimming)
		return;
	retention_decide(&in, &verdict);
	*ret = (struct log_retained){verdict.segments_n, verdict.bytes, RETENTION_START, verdict.log_start,
				     verdict.is_in_future};
	if (verdict.segments_n == 0)
		return;
	while (!verdict.reasons_n[ret->reason])
		ret->reason++;
	if (verdict.rolls) {
		log->roll_at = verdict.log_start;
		log_drive_later(log);
	} else {
		part_log_set_start(pub, verdict.log_start);
	}
}

struct delete_job {
	struct io_op op;
	struct storage *storage;
	char *dir;
	char *name;
	struct uuid topic_id;
	struct uuid unique;
	int64_t delay_ms;
	void (*renamed)(void *ctx);
	void *ctx;
};

/* The name may have a new owner already, where this log never had a directory. */
static bool delete_job_owns(const struct delete_job *job, struct fs *fs)
{
	char path[FS_PATH_MAX], *p;
	struct uuid found;
	size_t len;
	enum err err;

	if (uuid_is_zero(job->topic_id))
		return true;
	if (snprintf(path, sizeof(path), "%s/%s/partition.metadata", job->dir, job->name) >= FS_PATH_MAX)
		return false;
	err = fs_read_all(fs, path, KIB(64), &p, &len);
	if (err)
		return err != ERR_NOT_FOUND;
	err = partition_metadata_parse((struct bytes){(const uint8_t *)p, len}, &found);
	mem_free(p);
	return err || uuid_eq(found, job->topic_id);
}

/* There is no room for another name. ERR_NOT_FOUND: nothing is left to remove. */
static enum err delete_job_remove(const struct delete_job *job, struct fs *fs)
{
	char path[FS_PATH_MAX];
	enum err err;

	if (snprintf(path, sizeof(path), "%s/%s", job->dir, job->name) >= FS_PATH_MAX)
		return ERR_TOO_LARGE;
	err = fs_remove_tree(fs, path);
	return err ? err : ERR_NOT_FOUND;
}

static void delete_job_run(struct io_op *op, struct fs *fs)
{
	struct delete_job *job = container_of(op, struct delete_job, op);

	if (FAULT(delete_no_id_check) || !delete_job_owns(job, fs))
		op->err = ERR_NOT_FOUND;
	else
		op->err = log_dir_rename_away(fs, job->dir, str_of(job->name), "-delete", job->unique);
	if (op->err == ERR_DISK_FULL)
		op->err = delete_job_remove(job, fs);
}

static void delete_job_done(struct io_op *op)
{
	struct delete_job *job = container_of(op, struct delete_job, op);
	char away[300], path[FS_PATH_MAX];

	core_of(job->storage)->works--;
	if (op->err && op->err != ERR_NOT_FOUND) {
		log_warn("log.delete_failed", "log=%s dir=%s error=%s", job->name, job->dir,
			 err_name(op->err));
	} else if (!op->err &&
		   log_dir_away_name(str_of(job->name), "-delete", job->unique, away, sizeof(away)) &&
		   snprintf(path, sizeof(path), "%s/%s", job->dir, away) < FS_PATH_MAX) {
		storage_trash(job->storage, path, true, job->delay_ms);
	}
	if (job->renamed)
		job->renamed(job->ctx);
	mem_free(job->dir);
	mem_free(job->name);
	mem_free(job);
}

void part_log_delete(struct part_log *pub, void (*renamed)(void *ctx), void *ctx)
{
	struct storage *storage = pub->storage;
	struct delete_job *job = MEM_NEW(struct delete_job);

	CHECK(pub->state == PART_LOG_CLOSED || pub->state == PART_LOG_FAILED);
	job->storage = storage;
	job->dir = mem_strdup_n(pub->dir->path, strlen(pub->dir->path));
	job->name = mem_strdup_n(pub->name, strlen(pub->name));
	job->topic_id = pub->topic_id;
	job->unique = uuid_random(&storage->reactor->rng);
	job->delay_ms = storage->options.file_delete_delay_ms;
	job->renamed = renamed;
	job->ctx = ctx;
	part_log_free(pub);
	core_of(storage)->works++;
	job->op.kind = IO_WORK;
	job->op.work.run = delete_job_run;
	job->op.done = delete_job_done;
	io_submit(storage->reactor->io, &job->op);
}
