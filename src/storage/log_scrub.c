/* SPDX-License-Identifier: Apache-2.0 */
/* See log_scrub.h. Behind damage the next good batch is looked for where the damaged header says it is, or where the
 * offset index knows one, whichever is nearer; it counts only with its checksum. */
#include "log_scrub.h"

#include "batch_scan.h"
#include "log.h"
#include "mem.h"
#include "part_log_internal.h"

/* Input of one piece: some milliseconds of a helper. */
#define SCRUB_STEP_BYTES MIB(1)
/* Places of one piece, and of a log: what is behind is found by the next pass. */
#define SCRUB_FOUND_MAX 16
#define LOG_BAD_MAX 1024

struct scrub_job {
	struct io_op op;
	struct log_impl *log;
	struct log_scrub *scrub;
	struct segment segment; /* a copy */
	uint32_t generation;
	int64_t pos, next_offset;
	struct log_bad found[SCRUB_FOUND_MAX];
	size_t found_n;
};

/* ---- on a helper ---- */

struct scrub_index {
	fs_file file;
	uint32_t at, n;
};

static void scrub_index_open(struct scrub_job *job, struct fs *fs, struct scrub_index *ret)
{
	int64_t size;

	*ret = (struct scrub_index){.file = FS_FILE_NONE};
	if (segment_open_file(fs, job->log->path, job->segment.base, ".index", FS_READ, &ret->file)) {
		ret->file = FS_FILE_NONE;
		return;
	}
	if (!fs->ops->file_size(fs, ret->file, &size))
		ret->n = (uint32_t)MIN((int64_t)job->segment.index_n, size / INDEX_ENTRY_LEN);
}

/* The first place behind pos that the index knows; the end of the segment when it knows none. */
static int64_t scrub_index_behind(struct scrub_job *job, struct fs *fs, struct scrub_index *index, int64_t pos)
{
	struct index_entry entry;

	for (; index->at < index->n; index->at++) {
		if (index_read(fs, index->file, job->segment.base, index->at, &entry))
			break;
		if (entry.pos > pos)
			return MIN(entry.pos, job->segment.size);
	}
	return job->segment.size;
}

/* Where the batch behind the one at pos may begin. */
static int64_t scrub_behind(struct scrub_job *job, struct fs *fs, const struct batch_scan *scan,
			    struct scrub_index *index, int64_t pos)
{
	int64_t behind = scrub_index_behind(job, fs, index, pos);
	uint8_t head[BATCH_HEADER_LEN];
	struct batch_info info;
	size_t got;

	if (fs_pread(fs, scan->file, head, sizeof(head), pos, FS_WAIT, &got) ||
	    batch_parse((struct bytes){head, got}, &info))
		return behind;
	return MIN(behind, pos + (int64_t)info.size);
}

/* The scan stands at a damaged batch: takes it to behind the next good one. */
static void scrub_pass_over(struct scrub_job *job, struct fs *fs, struct batch_scan *scan)
{
	struct log_bad *bad = &job->found[job->found_n++];
	int64_t pos = scan->pos, good_pos;
	struct scrub_index index;
	struct batch_info info;

	*bad = (struct log_bad){job->segment.base, pos, job->segment.size, job->next_offset,
				job->segment.next_offset, false};
	scrub_index_open(job, fs, &index);
	for (;;) {
		pos = scrub_behind(job, fs, scan, &index, pos);
		scan->pos = pos;
		scan->is_bad = false;
		if (!batch_scan_next(scan, &info, &good_pos)) {
			if (scan->err || pos >= job->segment.size)
				break;
			continue;
		}
		if (info.base_offset < job->next_offset)
			continue;
		bad->end_pos = good_pos;
		bad->end_offset = info.base_offset;
		job->next_offset = info.last_offset + 1;
		break;
	}
	fs_close(fs, index.file);
}

static void scrub_job_run(struct io_op *op, struct fs *fs)
{
	struct scrub_job *job = container_of(op, struct scrub_job, op);
	int64_t begin = job->pos, pos;
	struct batch_scan scan;
	struct batch_info info;
	fs_file file;

	op->err = segment_open_file(fs, job->log->path, job->segment.base, ".log", FS_READ, &file);
	if (op->err)
		return;
	batch_scan_init(&scan, fs, file, begin, job->segment.size, true);
	while (scan.pos - begin < SCRUB_STEP_BYTES && !scan.err && job->found_n < SCRUB_FOUND_MAX) {
		if (batch_scan_next(&scan, &info, &pos))
			job->next_offset = info.last_offset + 1;
		else if (scan.is_bad)
			scrub_pass_over(job, fs, &scan);
		else
			break;
	}
	op->err = scan.err;
	job->pos = scan.pos;
	batch_scan_deinit(&scan);
	fs_close(fs, file);
}

/* ---- on the reactor ---- */

static void scrub_job_take(struct scrub_job *job)
{
	struct log_impl *log = job->log;
	char path[FS_PATH_MAX];

	for (size_t i = 0; i < job->found_n; i++) {
		const struct log_bad *bad = &job->found[i];
		bool is_known = log->bad.n >= LOG_BAD_MAX;

		for (size_t k = 0; !is_known && k < log->bad.n; k++)
			is_known = log->bad.v[k].segment_base == bad->segment_base && log->bad.v[k].pos == bad->pos;
		if (is_known || !segment_path(path, log->path, bad->segment_base, ".log"))
			continue;
		vec_push(&log->bad, *bad);
		job->scrub->found(job->scrub, &log->pub, path, bad);
	}
}

static void scrub_job_done(struct io_op *op)
{
	struct scrub_job *job = container_of(op, struct scrub_job, op);
	struct log_impl *log = job->log;
	struct log_scrub *scrub = job->scrub;

	log->shared_n--;
	scrub->err = op->err;
	scrub->bytes = job->pos - scrub->pos;
	if (log->is_zombie || log->pub.state != PART_LOG_OPEN) {
		scrub->err = ERR_LOG_CLOSED;
	} else if (job->generation != log->generation || log->is_swapping) {
		scrub->err = ERR_NONE;
		scrub->pos = 0;
	} else {
		scrub_job_take(job);
		scrub->pos = job->pos;
		scrub->next_offset = job->next_offset;
		if (op->err || job->pos >= job->segment.size) {
			scrub->offset = job->segment.next_offset;
			scrub->pos = 0;
		}
	}
	if (!log->is_zombie)
		log_drive_later(log);
	log_unref(log);
	mem_free(job);
	scrub->done(scrub);
}

enum log_scrub_step part_log_scrub(struct part_log *pub, struct log_scrub *scrub)
{
	struct log_impl *log = impl_of(pub);
	struct scrub_job *job;
	size_t at;

	if (pub->state != PART_LOG_OPEN)
		return LOG_SCRUB_OVER;
	if (log->is_swapping || log->is_busy || log->truncate_to != INT64_MAX)
		return LOG_SCRUB_LATER;
	at = log_segment_at(log, scrub->offset);
	if (at + 1 >= log->segments.list.n || log->segments.list.v[at].next_offset > pub->recovery_point)
		return LOG_SCRUB_OVER;
	job = MEM_NEW(struct scrub_job);
	job->log = log;
	job->scrub = scrub;
	job->segment = log->segments.list.v[at];
	job->segment.file = NULL;
	job->generation = log->generation;
	if (scrub->generation != log->generation || scrub->pos == 0 || scrub->offset != job->segment.base) {
		scrub->pos = 0;
		scrub->next_offset = job->segment.base;
	}
	scrub->offset = job->segment.base;
	scrub->generation = log->generation;
	job->pos = scrub->pos;
	job->next_offset = scrub->next_offset;
	log->shared_n++;
	log_submit_work(log, &job->op, scrub_job_run, scrub_job_done);
	return LOG_SCRUB_RUNS;
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
	log_error("scrub.not_served",
		  "code=ML1075 log=%s file=%s position=%lld text=\"the offsets from %lld to %lld are asked for, "
		  "but the file is damaged there: the answer is CORRUPT_MESSAGE\"",
		  log->pub.name, path, (long long)bad->pos, (long long)bad->offset,
		  (long long)(bad->end_offset - 1));
}
