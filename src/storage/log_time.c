/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding an offset by time, on a helper: segments whose greatest timestamp is too small are passed over, the
 * time index and the offset index say where to begin, headers lead to the batch, its records decide. What was looked at
 * on the way has its checksums looked at once, as what is served (log_check.c): a header that tells a wrong time would
 * hide a record.
 */
#include "batch_scan.h"
#include "fault.h"
#include "legacy.h"
#include "mem.h"
#include "part_log_internal.h"
#include "record.h"

struct time_job {
	struct io_op op;
	struct log_impl *log;
	struct log_time_query *query;
	struct segment_list segments; /* copies */
	int64_t timestamp_ms;         /* INT64_MIN: the greatest */
	uint32_t generation;
	int64_t log_start;
	int64_t bound;
	int64_t offset;
	int64_t found_ms;
	bool is_timeless; /* the batch that has the greatest time is of format 0, which knows none */
	bool is_measuring; /* no record is taken: found_ms becomes the greatest time of them */
	int64_t own_base, own_pos;       /* see struct log_impl */
	VEC(struct log_checked) checked; /* a copy; then what was looked at besides */
	size_t checked_n;                /* of the copy */
	struct epoch_cache epochs;       /* a copy */
	struct segment_check check;      /* where damage was found */
};

/* True when the record is the one that is looked for. */
static bool time_take(struct time_job *job, int64_t offset, int64_t timestamp, int64_t target)
{
	if (timestamp < target || offset < job->log_start || offset >= job->bound)
		return false;
	if (job->is_measuring) {
		job->found_ms = MAX(job->found_ms, timestamp);
		return false;
	}
	job->offset = offset;
	job->found_ms = timestamp;
	return true;
}

/* The same in a message of format 0 or 1, which may be a pack of them. */
static enum err time_search_legacy(struct time_job *job, const struct batch_info *info, int64_t target)
{
	struct compress_ctx ctx = {0};
	struct scratch plain = {0};
	struct legacy_iter it;
	struct legacy_record record;
	enum err err = legacy_iter_init(&it, info, 0, &ctx, &plain);

	while (!err && legacy_iter_next(&it, &record)) {
		if (time_take(job, record.offset, record.timestamp, target))
			break;
	}
	if (!err && job->offset < 0)
		err = it.err;
	scratch_deinit(&plain);
	compress_ctx_deinit(&ctx);
	return err;
}

/* The first record of the batch that is late enough and within the bounds. */
static enum err time_search_batch(struct time_job *job, struct batch_scan *scan, int64_t pos,
				  struct batch_info *info,
				  int64_t target)
{
	struct compress_ctx ctx = {0};
	struct scratch plain = {0};
	struct bytes payload;
	struct record_iter it;
	struct record record;
	uint8_t *p;
	enum err err;

	err = batch_scan_load(scan, pos, info, &p);
	if (err)
		return err;
	if (info->magic < BATCH_MAGIC_NOW) {
		err = time_search_legacy(job, info, target);
		mem_free(p);
		return err;
	}
	err = batch_payload(info, &ctx, &plain, &payload);
	if (!err) {
		record_iter_init(&it, info, payload);
		while (record_iter_next(&it, &record)) {
			if (time_take(job, record.offset, record.timestamp, target))
				break;
		}
		err = job->offset >= 0 ? ERR_NONE : it.err;
	}
	mem_free(p);
	scratch_deinit(&plain);
	compress_ctx_deinit(&ctx);
	return err;
}

/* Offset that everything early is below: from the time index. */
static enum err time_search_start(struct time_job *job, struct fs *fs, const struct segment *segment,
				  int64_t target,
				  int64_t *ret)
{
	struct time_entry entry;
	fs_file file;
	int64_t size;
	uint32_t n = 0;
	enum err err = segment_open_file(fs, job->log->path, segment->base, ".timeindex", FS_READ, &file);

	*ret = MAX(segment->base, job->log_start);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_NONE : err;
	err = fs->ops->file_size(fs, file, &size);
	if (!err)
		err = time_index_count(fs, file, segment->base,
				       (uint32_t)MIN((int64_t)segment->time_index_n, size / TIME_ENTRY_LEN),
					target - 1, &n);
	if (!err && n)
		err = time_index_read(fs, file, segment->base, n - 1, &entry);
	if (!err && n)
		*ret = MAX(*ret, entry.offset + 1);
	fs_close(fs, file);
	return err;
}

/* Whether all from pos on, up to end_pos, was written by this process or looked at. */
static bool time_is_checked(const struct time_job *job, int64_t base, int64_t pos, int64_t end_pos)
{
	if (base > job->own_base || (base == job->own_base && pos >= job->own_pos))
		return true;
	if (base == job->own_base)
		end_pos = MIN(end_pos, job->own_pos);
	for (size_t i = 0; i < job->checked.n; i++) {
		const struct log_checked *range = &job->checked.v[i];

		if (range->base == base && pos >= range->pos && end_pos <= range->end_pos)
			return true;
	}
	return false;
}

/* Looks at what the search passed over. Nothing from pos on holds an offset below start; is_wanted: but the first batch
 * may begin before. */
static enum err time_check(struct time_job *job, struct fs *fs, const struct segment *segment, fs_file file,
			   int64_t start, bool is_wanted, int64_t pos, int64_t end_pos)
{
	struct log_checked range = {segment->base, pos, end_pos};
	enum err err;

	if (pos >= end_pos || time_is_checked(job, segment->base, pos, end_pos))
		return ERR_NONE;
	job->check = (struct segment_check){.dir = job->log->path, .segment = *segment, .pos = pos,
					    .next_offset = start, .is_wanted = is_wanted};
	segment_check_set_epochs(&job->check, &job->epochs);
	err = segment_check_run(&job->check, fs, file, end_pos - pos);
	segment_check_deinit(&job->check);
	if (!err && job->check.found_n)
		return ERR_CORRUPT_MESSAGE;
	range.end_pos = job->check.pos;
	if (!err)
		vec_push(&job->checked, range);
	return err;
}

/* What the batch adds to the greatest time: its header tells, but where its first records lie below the start. */
static enum err time_measure(struct time_job *job, struct batch_scan *scan, int64_t pos, struct batch_info *info)
{
	enum err err;

	if (info->base_offset >= job->log_start) {
		job->found_ms = MAX(job->found_ms, info->max_timestamp);
		return ERR_NONE;
	}
	job->is_measuring = true;
	err = time_search_batch(job, scan, pos, info, 0);
	job->is_measuring = false;
	return err;
}

/* With `greatest` mostly the headers are read: job->found_ms becomes the greatest timestamp in bounds. */
static enum err time_search_segment(struct time_job *job, struct fs *fs, const struct segment *segment,
				    int64_t target,
				    bool greatest)
{
	struct batch_scan scan;
	struct segment_hit hit;
	int64_t start = MAX(segment->base, job->log_start), begin;
	fs_file file;
	enum err err = greatest ? ERR_NONE : time_search_start(job, fs, segment, target, &start);

	if (err)
		return err;
	err = segment_open_file(fs, job->log->path, segment->base, ".log", FS_READ, &file);
	if (err)
		return err;
	err = segment_find(fs, job->log->path, segment, file, start, segment->size, &hit);
	if (err == ERR_CORRUPT_FILE) {
		enum err checked = time_check(job, fs, segment, file, hit.info.base_offset, false, hit.pos,
					      hit.pos + 1);

		err = checked ? checked : err;
	}
	if (err) {
		fs_close(fs, file);
		return err == ERR_NOT_FOUND ? ERR_NONE : err;
	}
	begin = hit.pos;
	batch_scan_init(&scan, fs, file, hit.pos, segment->size, false);
	while (!err && job->offset < 0 && !job->is_timeless && batch_scan_next(&scan, &hit.info, &hit.pos)) {
		if (hit.info.base_offset >= job->bound)
			break;
		if (greatest && hit.info.records_n == 0)
			continue; /* emptied by a compaction: the time is of a record that is gone */
		if (greatest)
			err = time_measure(job, &scan, hit.pos, &hit.info);
		else if (job->timestamp_ms == INT64_MIN && hit.info.magic == 0 && target < 0)
			job->is_timeless = true;
		else if (hit.info.max_timestamp >= target)
			err = time_search_batch(job, &scan, hit.pos, &hit.info, target);
	}
	if (scan.err) {
		err = scan.err;
	} else if (!greatest || scan.is_bad || err) {
		enum err checked = time_check(job, fs, segment, file, start, true, begin,
					       scan.pos + (scan.is_bad ? 1 : 0));

		err = checked ? checked : err ? err : scan.is_bad ? ERR_CORRUPT_FILE : ERR_NONE;
	}
	batch_scan_deinit(&scan);
	fs_close(fs, file);
	return err;
}

static enum err time_search(struct time_job *job, struct fs *fs, int64_t target)
{
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && job->offset < 0 && !job->is_timeless && i < job->segments.list.n; i++) {
		if (job->segments.list.v[i].max_timestamp_ms >= target)
			err = time_search_segment(job, fs, &job->segments.list.v[i], target, false);
	}
	return err;
}

/* Of records that all have no time, -1, the first one, as Kafka; but none when that is of format 0. */
static enum err time_search_greatest(struct time_job *job, struct fs *fs)
{
	int64_t greatest = -1;
	enum err err = ERR_NONE;

	for (size_t i = 0; i < job->segments.list.n; i++)
		greatest = MAX(greatest, job->segments.list.v[i].max_timestamp_ms);
	err = time_search(job, fs, greatest);
	if (err || job->offset >= 0 || job->is_timeless)
		return err;
	/* The record that has it is out of bounds: the headers tell the greatest one within. */
	job->found_ms = -1;
	for (size_t i = 0; !err && i < job->segments.list.n; i++)
		err = time_search_segment(job, fs, &job->segments.list.v[i], 0, true);
	greatest = job->found_ms;
	return err ? err : time_search(job, fs, greatest);
}

static void time_job_run(struct io_op *op, struct fs *fs)
{
	struct time_job *job = container_of(op, struct time_job, op);

	op->err = job->timestamp_ms == INT64_MIN ? time_search_greatest(job, fs)
						  : time_search(job, fs, job->timestamp_ms);
}

static void time_query_end(struct log_impl *log, struct log_time_query *query, enum err err, int64_t offset,
			   int64_t found_ms)
{
	query->err = err == ERR_CORRUPT_FILE ? ERR_CORRUPT_MESSAGE : err;
	query->offset = err ? -1 : offset;
	query->found_timestamp_ms = err || offset < 0 ? -1 : found_ms;
	query->leader_epoch = query->offset < 0 ? -1 : epoch_cache_of(&log->pub.epochs, offset);
	query->done(query);
}

/* What the helper has looked at. */
static void time_job_take(struct time_job *job)
{
	struct log_impl *log = job->log;

	for (size_t i = 0; i < job->check.found_n && job->op.err == ERR_CORRUPT_MESSAGE; i++) {
		struct log_bad *bad;

		log_bad_add(log, &job->check.found[i]);
		bad = log_bad_at_pos(log, job->check.found[i].segment_base, job->check.found[i].pos);
		if (bad)
			log_bad_tell(log, bad);
	}
	for (size_t i = job->checked_n; i < job->checked.n; i++)
		log_checked_add(log, job->checked.v[i]);
}

static void time_job_done(struct io_op *op)
{
	struct time_job *job = container_of(op, struct time_job, op);
	struct log_impl *log = job->log;

	/* Otherwise log_queries_fail has ended the query. */
	if (!log->is_zombie && log->pub.state != PART_LOG_FAILED) {
		list_remove(&job->query->link);
		/* Files that went away, a record below a start that has moved: the answer is about a log that is no
		 * more. */
		if (log->pub.state == PART_LOG_OPEN && !FAULT(time_query_stale) &&
		    (job->generation != log->generation || (job->offset >= 0 && job->offset < log->pub.log_start))) {
			part_log_find_time(&log->pub, job->query);
		} else {
			if (job->generation == log->generation)
				time_job_take(job);
			time_query_end(log, job->query, op->err, job->offset, job->found_ms);
		}
		if (!log->is_zombie)
			log_drive_later(log);
	}
	vec_deinit(&job->segments.list);
	vec_deinit(&job->checked);
	epoch_cache_deinit(&job->epochs);
	log_unref(log);
	mem_free(job);
}

/* Ends a query that needs no helper, in a later stage of the turn. */
static void time_job_run_nothing(struct io_op *op, struct fs *fs)
{
	op->err = ERR_NONE;
}

void part_log_find_time(struct part_log *pub, struct log_time_query *query)
{
	struct log_impl *log = impl_of(pub);
	struct time_job *job;

	query->log = pub;
	query->link = (struct list){NULL, NULL};
	if (pub->state != PART_LOG_OPEN) {
		time_query_end(log, query, pub->state == PART_LOG_FAILED ? pub->failure : ERR_LOG_CLOSED, -1,
			       -1);
		return;
	}
	if (log->is_swapping) {
		list_push_back(&log->parked_queries, &query->link);
		return;
	}
	job = MEM_NEW(struct time_job);
	job->log = log;
	job->query = query;
	job->timestamp_ms = query->timestamp_ms;
	job->generation = log->generation;
	job->log_start = pub->log_start;
	job->bound = MIN(query->bound.offset, pub->appended.offset);
	job->offset = job->found_ms = -1;
	for (size_t i = log_segment_at(log, pub->log_start); i < log->segments.list.n; i++) {
		if (log->segments.list.v[i].base >= job->bound)
			break;
		vec_push(&job->segments.list, log->segments.list.v[i]);
	}
	job->own_base = log->own_base;
	job->own_pos = log->own_pos;
	for (size_t i = 0; i < log->checked.n; i++)
		vec_push(&job->checked, log->checked.v[i]);
	job->checked_n = job->checked.n;
	for (size_t i = 0; i < pub->epochs.entries.n; i++)
		vec_push(&job->epochs.entries, pub->epochs.entries.v[i]);
	list_push_back(&log->queries, &query->link);
	log_submit_work(log, &job->op, job->segments.list.n ? time_job_run : time_job_run_nothing,
			time_job_done);
}

void log_queries_fail(struct log_impl *log, enum err err)
{
	struct list *node;

	list_splice(&log->queries, &log->parked_queries);
	while ((node = list_pop_front(&log->queries)) != NULL)
		time_query_end(log, list_entry(node, struct log_time_query, link), err, -1, -1);
}
