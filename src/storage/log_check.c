/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No read serves what came off the disk without its checksum having been looked at. What this process wrote had it
 * checked when it was produced; what was there when the log was opened, and what has left the page cache since, a
 * helper reads first, a few megabytes at a time, which also brings it into memory. What it finds damaged is kept
 * with the open log, as what a scrub finds is: see log_scrub.h, 2.
 *
 * Where one part has left the page cache, its neighbours have, too, or will: the kernel reads ahead, and what it
 * brought nobody has looked at. So all of that segment from there on counts as not looked at.
 *
 * 1. `checked` are ranges of files whose batches were good or are in `bad`; their ends lie between batches.
 * 2. Places mean something within one generation: a truncation, a trim or a swap empties `checked`.
 */
#include "fault.h"
#include "log.h"
#include "mem.h"
#include "part_log_internal.h"
#include "storage_internal.h"

/* Ranges remembered of a log; one that is forgotten is read again. */
#define LOG_CHECKED_MAX 256
/* Damaged places of a log. */
#define LOG_BAD_MAX 1024
#define CHECK_BYTES_MIN MIB(1)
#define CHECK_BYTES_MAX MIB(4)

void log_check_begin(struct log_impl *log)
{
	const struct segment *active = log_active(log);

	log->own_base = active->base;
	log->own_pos = active->size;
	log->checked.n = 0;
}

static bool log_is_own(const struct log_impl *log, int64_t base, int64_t pos)
{
	return base > log->own_base || (base == log->own_base && pos >= log->own_pos);
}

int64_t log_checked_to(const struct log_impl *log, int64_t base, int64_t pos)
{
	if (log_is_own(log, base, pos) || FAULT(check_skipped))
		return INT64_MAX;
	for (size_t i = 0; i < log->checked.n; i++) {
		const struct log_checked *range = &log->checked.v[i];

		if (range->base == base && pos >= range->pos && pos < range->end_pos)
			return log_is_own(log, base, range->end_pos) ? INT64_MAX : range->end_pos;
	}
	return pos;
}

static bool log_is_checked_before(const struct log_impl *log, int64_t base, int64_t pos)
{
	for (size_t i = 0; i < log->checked.n; i++) {
		if (log->checked.v[i].base == base && log->checked.v[i].end_pos == pos)
			return true;
	}
	return pos == 0;
}

void log_checked_add(struct log_impl *log, struct log_checked add)
{
	size_t i = 0;

	if (add.pos >= add.end_pos)
		return;
	while (i < log->checked.n) {
		const struct log_checked *range = &log->checked.v[i];

		if (range->base != add.base || range->pos > add.end_pos || range->end_pos < add.pos) {
			i++;
			continue;
		}
		add.pos = MIN(add.pos, range->pos);
		add.end_pos = MAX(add.end_pos, range->end_pos);
		log->checked.v[i] = log->checked.v[--log->checked.n];
		i = 0;
	}
	if (log->checked.n == LOG_CHECKED_MAX)
		log->checked.v[log->checked_next++ % LOG_CHECKED_MAX] = add;
	else
		vec_push(&log->checked, add);
}

bool log_is_cold(struct log_impl *log, const struct segment *segment, int64_t pos, size_t len)
{
	struct fs *fs = log_reactor(log)->io->fs;

	return !fs->ops->is_cached(fs, segment->file->file, pos, len);
}

/* Of the active segment, what is surely in memory begins with the batches in the ring. */
static int64_t log_memory_pos(const struct log_impl *log, const struct segment *segment)
{
	const struct log_tail *tail = log->tail;

	if (segment != &log->segments.list.v[log->segments.list.n - 1] || !tail || tail->ring_n == 0)
		return segment->size;
	return tail->ring[(tail->ring_next + LOG_RING_N - tail->ring_n) % LOG_RING_N].pos;
}

void log_check_forget(struct log_impl *log, const struct segment *segment, int64_t pos)
{
	int64_t memory_pos = log_memory_pos(log, segment);
	size_t n = 0;

	if (log_is_own(log, segment->base, pos) && pos < memory_pos) {
		log->own_base = segment->base;
		log->own_pos = memory_pos;
	}
	for (size_t i = 0; i < log->checked.n; i++) {
		struct log_checked range = log->checked.v[i];

		if (range.base == segment->base && range.end_pos > pos)
			range.end_pos = MAX(range.pos, pos);
		if (range.pos < range.end_pos)
			log->checked.v[n++] = range;
	}
	log->checked.n = n;
}

/* ---- what is known to be damaged ---- */

bool log_bad_add(struct log_impl *log, const struct log_bad *bad)
{
	for (size_t i = 0; i < log->bad.n; i++) {
		struct log_bad *known = &log->bad.v[i];
		bool has_grown = bad->end_pos > known->end_pos;

		if (known->segment_base != bad->segment_base || known->pos != bad->pos)
			continue;
		/* A read knows of the first offset no more than what it asked for. */
		known->offset = MIN(known->offset, bad->offset);
		known->end_offset = MAX(known->end_offset, bad->end_offset);
		known->end_pos = MAX(known->end_pos, bad->end_pos);
		known->is_told = known->is_told && !has_grown;
		return has_grown;
	}
	if (log->bad.n >= LOG_BAD_MAX)
		return false;
	vec_push(&log->bad, *bad);
	return true;
}

struct log_bad *log_bad_at(struct log_impl *log, int64_t offset)
{
	for (size_t i = 0; i < log->bad.n; i++) {
		if (offset >= log->bad.v[i].offset && offset < log->bad.v[i].end_offset)
			return &log->bad.v[i];
	}
	return NULL;
}

int64_t log_bad_limit(const struct log_impl *log, int64_t segment_base, int64_t pos, int64_t limit)
{
	for (size_t i = 0; i < log->bad.n; i++) {
		const struct log_bad *bad = &log->bad.v[i];

		if (bad->segment_base == segment_base && bad->end_pos > pos)
			limit = MIN(limit, MAX(bad->pos, pos));
	}
	return limit;
}

int64_t log_bad_behind(const struct log_impl *log, int64_t segment_base, int64_t offset)
{
	int64_t behind = 0;

	for (size_t i = 0; i < log->bad.n; i++) {
		const struct log_bad *bad = &log->bad.v[i];

		if (bad->segment_base == segment_base && bad->end_offset <= offset)
			behind = MAX(behind, bad->end_pos);
	}
	return behind;
}

void log_bad_tell(struct log_impl *log, struct log_bad *bad)
{
	char path[FS_PATH_MAX];

	if (bad->is_told || !segment_path(path, log->path, bad->segment_base, ".log"))
		return;
	bad->is_told = true;
	log_error("log.not_served",
		  "code=ML1075 log=%s file=%s position=%lld text=\"the offsets from %lld to %lld are asked for, "
		  "but the file is damaged there: the answer is CORRUPT_MESSAGE\"",
		  log->pub.name, path, (long long)bad->pos, (long long)bad->offset,
		  (long long)(bad->end_offset - 1));
}

struct log_bad *log_bad_at_pos(struct log_impl *log, int64_t segment_base, int64_t pos)
{
	for (size_t i = 0; i < log->bad.n; i++) {
		struct log_bad *bad = &log->bad.v[i];

		if (bad->segment_base == segment_base && pos >= bad->pos && pos < bad->end_pos)
			return bad;
	}
	return NULL;
}

void log_bad_truncate(struct log_impl *log, int64_t offset)
{
	size_t n = 0;

	for (size_t i = 0; i < log->bad.n; i++) {
		if (log->bad.v[i].offset < offset)
			log->bad.v[n++] = log->bad.v[i];
	}
	log->bad.n = n;
}

/* ---- looking, on a helper ---- */

struct check_job {
	struct io_op op;
	struct log_impl *log;
	struct log_read *read; /* NULL: ended in the meantime */
	struct log_file *file; /* pinned */
	struct read_place place;
	bool is_search; /* the way to the offset is damaged at place: it is looked for anew */
	bool is_in_order; /* what lies before was looked at: the next read goes on behind */
	bool asked_helper;
	uint32_t generation;
	int64_t bytes;
	struct segment_check check;
};

static void check_job_run(struct io_op *op, struct fs *fs)
{
	struct check_job *job = container_of(op, struct check_job, op);

	int64_t pos = job->check.pos, size = job->check.segment.size, ahead;

	fs->ops->advise(fs, job->file->file, pos, MIN(job->bytes, size - pos), FS_ADVICE_WANTED);
	op->err = segment_check_run(&job->check, fs, job->file->file, job->bytes);
	ahead = MIN(job->bytes, size - job->check.pos);
	if (!op->err && job->is_in_order && ahead > 0)
		fs->ops->advise(fs, job->file->file, job->check.pos, ahead, FS_ADVICE_WANTED);
}

/* False: there is more damage than is remembered, and nothing behind it counts as checked. */
static bool check_job_take(struct check_job *job)
{
	struct log_impl *log = job->log;
	struct log_checked range = {job->check.segment.base, job->place.pos, job->check.pos};

	for (size_t i = 0; i < job->check.found_n; i++) {
		const struct log_bad *bad = &job->check.found[i];

		if (log_bad_add(log, bad) || log_bad_at_pos(log, bad->segment_base, bad->pos))
			continue;
		range.end_pos = bad->pos;
		log_checked_add(log, range);
		return false;
	}
	log_checked_add(log, range);
	return true;
}

/* True when the read has ended. */
static bool check_job_resume(struct check_job *job)
{
	struct log_impl *log = job->log;
	struct log_read *read = job->read;

	if (job->generation != log->generation || read->offset < log->pub.log_start)
		return part_log_read(&log->pub, read);
	if (job->op.err) {
		log_error("log.read_failed", "log=%s dir=%s offset=%lld error=%s", log->pub.name, log->pub.dir->path,
			  (long long)read->offset, err_name(job->op.err));
		read->err = job->op.err;
		return true;
	}
	if (!check_job_take(job) && log_checked_to(log, job->check.segment.base, job->place.pos) == job->place.pos) {
		read->err = ERR_CORRUPT_MESSAGE;
		return true;
	}
	if (job->is_search && job->check.found_n > 0)
		return part_log_read(&log->pub, read);
	if (job->is_search) {
		read->err = ERR_CORRUPT_FILE;
		return true;
	}
	job->place.at = log_segment_at(log, job->check.segment.base);
	job->place.is_checked = true;
	return log_read_at_place(log, read, job->place, job->asked_helper);
}

static void check_job_done(struct io_op *op)
{
	struct check_job *job = container_of(op, struct check_job, op);
	struct log_impl *log = job->log;
	bool is_live = !log->is_zombie && log->pub.state != PART_LOG_FAILED;

	/* Else log_reads_fail has ended the read. */
	if (is_live) {
		list_remove(&job->read->link);
		if (check_job_resume(job))
			job->read->done(job->read);
	}
	log_file_unpin(job->file);
	if (!log->is_zombie)
		log_drive_later(log);
	log_unref(log);
	segment_check_deinit(&job->check);
	mem_free(job);
}

static void check_submit(struct log_impl *log, struct log_read *read, struct read_place place, struct check_job *job)
{
	const struct segment *segment = &log->segments.list.v[place.at];

	job->log = log;
	job->read = read;
	job->place = place;
	job->generation = log->generation;
	job->file = log_file_pin(segment->file);
	job->check.dir = log->path;
	job->check.segment = *segment;
	job->check.segment.file = NULL;
	segment_check_set_epochs(&job->check, &log->pub.epochs);
	job->check.pos = place.pos;
	job->bytes = MIN(MAX(read->max_bytes, CHECK_BYTES_MIN), CHECK_BYTES_MAX);
	job->is_in_order = log_is_checked_before(log, segment->base, place.pos);
	read->link = (struct list){NULL, NULL};
	list_push_back(&log->reads, &read->link);
	log_submit_work(log, &job->op, check_job_run, check_job_done);
}

void log_check_submit(struct log_impl *log, struct log_read *read, struct read_place place, bool asked_helper)
{
	struct check_job *job = MEM_NEW(struct check_job);

	job->asked_helper = asked_helper;
	job->check.next_offset = MAX(read->offset, log->segments.list.v[place.at].base);
	job->check.is_wanted = true;
	check_submit(log, read, place, job);
}

void log_check_search(struct log_impl *log, struct log_read *read, struct read_place place, int64_t next_offset)
{
	struct check_job *job = MEM_NEW(struct check_job);

	job->is_search = true;
	job->check.next_offset = next_offset;
	check_submit(log, read, place, job);
}
