/* SPDX-License-Identifier: Apache-2.0 */
/* See log_scrub.h. */
#include "log_scrub.h"

#include "fault.h"
#include "mem.h"
#include "part_log_internal.h"

/* Input of one piece: some milliseconds of a helper. */
#define SCRUB_STEP_BYTES MIB(1)

/* Of a transaction that was aborted. */
struct scrub_marker {
	int64_t producer_id;
	int64_t offset;
	int64_t pos;
};

struct scrub_job {
	struct io_op op;
	struct log_impl *log;
	struct log_scrub *scrub;
	struct segment_check check;
	struct producer_state *producers; /* the walk's */
	VEC(struct scrub_marker) markers;
	uint32_t generation;
};

static void scrub_job_see(struct segment_check *check, const struct batch_info *batch, int64_t pos)
{
	struct scrub_job *job = container_of(check, struct scrub_job, check);
	struct aborted_txn txn;

	if (segment_check_aborts(job->producers, batch, &txn)) {
		struct scrub_marker marker = {txn.producer_id, txn.last_offset, pos};

		vec_push(&job->markers, marker);
	}
}

static void scrub_job_run(struct io_op *op, struct fs *fs)
{
	struct scrub_job *job = container_of(op, struct scrub_job, op);
	fs_file file;

	op->err = segment_open_file(fs, job->log->path, job->check.segment.base, ".log", FS_READ, &file);
	if (op->err)
		return;
	op->err = segment_check_run(&job->check, fs, file, SCRUB_STEP_BYTES);
	fs_close(fs, file);
	/* The end of a transaction may be what is damaged. */
	if (op->err || job->check.found_n)
		producer_state_truncate_all(job->producers);
	else
		producer_state_expire(job->producers, INT64_MAX);
}

static void scrub_job_take(struct scrub_job *job)
{
	struct log_impl *log = job->log;
	char path[FS_PATH_MAX];

	for (size_t i = 0; i < job->check.found_n && !FAULT(scrub_no_crc); i++) {
		const struct log_bad *bad = &job->check.found[i];

		if (log_bad_add(log, bad) && segment_path(path, log->path, bad->segment_base, ".log"))
			job->scrub->found(job->scrub, &log->pub, path, bad);
	}
}

/* Whether it turned out to be of another place after it was seen. */
static bool scrub_is_found(const struct scrub_job *job, int64_t pos)
{
	for (size_t i = 0; i < job->check.found_n; i++) {
		if (pos >= job->check.found[i].pos && pos < job->check.found[i].end_pos)
			return true;
	}
	return false;
}

/* Those below the start may be forgotten. */
static void scrub_job_take_markers(struct scrub_job *job)
{
	const struct part_log *pub = &job->log->pub;
	char path[FS_PATH_MAX];
	int64_t first_pos = -1;
	size_t n = 0;

	for (size_t i = 0; i < job->markers.n; i++) {
		const struct scrub_marker *marker = &job->markers.v[i];

		if (marker->offset < pub->log_start || scrub_is_found(job, marker->pos) ||
		    aborted_txns_have(&pub->aborted, marker->producer_id, marker->offset))
			continue;
		first_pos = n++ ? first_pos : marker->pos;
	}
	if (n && segment_path(path, job->log->path, job->check.segment.base, ".log"))
		job->scrub->unlisted(job->scrub, pub, path, first_pos, n);
}

static void scrub_job_done(struct io_op *op)
{
	struct scrub_job *job = container_of(op, struct scrub_job, op);
	struct log_impl *log = job->log;
	struct log_scrub *scrub = job->scrub;

	log->shared_n--;
	scrub->err = op->err;
	scrub->bytes = job->check.pos - scrub->pos;
	if (log->is_zombie || log->pub.state != PART_LOG_OPEN) {
		scrub->err = ERR_LOG_CLOSED;
	} else if (job->generation != log->generation || log->is_swapping) {
		scrub->err = ERR_NONE;
		scrub->pos = 0;
	} else {
		scrub_job_take(job);
		scrub_job_take_markers(job);
		scrub->pos = job->check.pos;
		scrub->next_offset = job->check.next_offset;
		if (op->err || job->check.pos >= job->check.segment.size) {
			scrub->offset = job->check.segment.next_offset;
			scrub->pos = 0;
		}
	}
	if (!log->is_zombie)
		log_drive_later(log);
	log_unref(log);
	segment_check_deinit(&job->check);
	vec_deinit(&job->markers);
	mem_free(job);
	scrub->done(scrub);
}

void log_scrub_deinit(struct log_scrub *scrub)
{
	if (scrub->open_txns)
		producer_state_deinit(scrub->open_txns);
	mem_free(scrub->open_txns);
	scrub->open_txns = NULL;
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
	job->check = (struct segment_check){.dir = log->path, .segment = log->segments.list.v[at]};
	job->check.segment.file = NULL;
	job->check.see = scrub_job_see;
	segment_check_set_epochs(&job->check, &pub->epochs);
	job->generation = log->generation;
	if (!scrub->open_txns) {
		scrub->open_txns = MEM_NEW(struct producer_state);
		producer_state_init(scrub->open_txns, 1);
	}
	if (scrub->generation != log->generation)
		producer_state_truncate_all(scrub->open_txns);
	job->producers = scrub->open_txns;
	if (scrub->generation != log->generation || scrub->pos == 0 || scrub->offset != job->check.segment.base) {
		scrub->pos = 0;
		scrub->next_offset = job->check.segment.base;
	}
	scrub->offset = job->check.segment.base;
	scrub->generation = log->generation;
	job->check.pos = scrub->pos;
	job->check.next_offset = scrub->next_offset;
	log->shared_n++;
	log_submit_work(log, &job->op, scrub_job_run, scrub_job_done);
	return LOG_SCRUB_RUNS;
}
