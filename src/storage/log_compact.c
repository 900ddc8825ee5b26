/* SPDX-License-Identifier: Apache-2.0 */
/* See log_compact.h. */
#include "log_compact.h"

#include <inttypes.h>
#include <stdio.h>

#include "fault.h"
#include "log.h"
#include "mem.h"
#include "part_log_internal.h"
#include "storage_internal.h"

/* Input of one piece of work: some ten milliseconds of a helper. */
#define COMPACT_STEP_BYTES MIB(4)

struct log_compact_run {
	struct io_op op;
	struct log_impl *log;
	struct log_compact *job;
	struct compact compact;
	struct timer pause;
	int64_t step_bytes;
	bool is_out;        /* at a helper */
	bool swap_is_begun;
	bool is_cancelled;
	bool is_abandoned;  /* what was written is removed, or being removed */
	enum err err;
};

/* ---- what may be compacted ---- */

/* The segment that a bound points into is left alone: the bound names a place in its file. */
static int64_t log_round_end_max(struct part_log *pub, const struct log_pos *high_watermark)
{
	int64_t end = FAULT(compact_past_recovery) ? INT64_MAX : MIN(pub->recovery_point, pub->recovery_written);

	end = MIN(end, high_watermark->offset);
	end = MIN(end, high_watermark->segment_base);
	end = MIN(end, pub->appended.segment_base);
	end = MIN(end, pub->durable.segment_base);
	return MIN(end, producer_state_first_unstable(&pub->producers));
}

void part_log_cleanable(struct part_log *pub, int64_t cleaner_offset, const struct log_pos *high_watermark,
			struct log_cleanable *ret)
{
	struct log_impl *log = impl_of(pub);
	const struct log_config *config = &pub->config;
	int64_t now_ms = log_reactor(log)->wall_ms, limit = log_round_end_max(pub, high_watermark);
	int64_t oldest_ms = INT64_MAX, first = MAX(cleaner_offset, pub->log_start);

	/* Of a log that was cut, or that is another one. */
	if (first > pub->end)
		first = pub->log_start;
	*ret = (struct log_cleanable){.first_dirty = first, .round_end = first};
	for (size_t i = 0; i + 1 < log->segments.list.n; i++) {
		const struct segment *segment = &log->segments.list.v[i];

		if (segment->next_offset > limit)
			break;
		if (segment->next_offset <= first) {
			ret->clean_bytes += segment->size;
			continue;
		}
		if (config->min_compaction_lag_ms > 0 &&
		    segment_newest_ms(segment) > now_ms - config->min_compaction_lag_ms)
			break;
		/* Kafka counts the segment that holds the first dirty offset as dirty. */
		ret->dirty_bytes += segment->size;
		ret->round_end = segment->next_offset;
		if (segment->first_timestamp_ms > 0)
			oldest_ms = MIN(oldest_ms, segment->first_timestamp_ms);
		else if (segment->max_timestamp_ms > 0)
			oldest_ms = MIN(oldest_ms, segment->max_timestamp_ms);
	}
	ret->is_overdue = config->max_compaction_lag_ms < now_ms &&
			  oldest_ms < now_ms - MAX(config->max_compaction_lag_ms, INT64_C(0));
	if (ret->is_overdue)
		ret->overdue_ms = now_ms - MAX(config->max_compaction_lag_ms, INT64_C(0)) - oldest_ms;
}

/* ---- the end ---- */

static void compact_run_work(struct log_compact_run *run, void (*work)(struct io_op *, struct fs *));
static void compact_run_next(struct log_compact_run *run);

static void compact_run_end(struct log_compact_run *run)
{
	struct log_impl *log = run->log;
	struct log_compact *job = run->job;

	log->compaction = NULL;
	job->run = NULL;
	job->err = run->err ? run->err : run->is_cancelled ? ERR_LOG_CLOSED : ERR_NONE;
	job->text = run->compact.text;
	job->compacted_to = run->compact.compacted_to;
	job->records_in = run->compact.filter.records_in;
	job->records_out = run->compact.filter.records_out;
	job->map_use = run->compact.map.n_max ? (double)run->compact.map.n / (double)run->compact.map.n_max : 0;
	timer_stop(&log_reactor(log)->timers, &run->pause);
	compact_deinit(&run->compact, log_reactor(log)->io->fs);
	mem_free(run);
	job->done(job);
	/* What waited for it: removal of segments, closing, cutting. */
	if (!log->is_zombie)
		log_drive_later(log);
	log_unref(log);
}

static void compact_run_abandon(struct io_op *op, struct fs *fs)
{
	struct log_compact_run *run = container_of(op, struct log_compact_run, op);

	compact_abandon(&run->compact, fs);
	op->err = ERR_NONE;
}

/* ---- pieces ---- */

static void compact_run_step(struct io_op *op, struct fs *fs)
{
	struct log_compact_run *run = container_of(op, struct log_compact_run, op);

	op->err = compact_step(&run->compact, fs, COMPACT_STEP_BYTES, &run->step_bytes);
}

static void compact_run_swap(struct io_op *op, struct fs *fs)
{
	struct log_compact_run *run = container_of(op, struct log_compact_run, op);

	run->step_bytes = 0;
	op->err = compact_swap(&run->compact, fs, &run->swap_is_begun);
}

/* The old segments' files bear .deleted now. */
static void compact_run_trash(struct log_compact_run *run, int64_t base)
{
	static const char *const suffixes[] = {".index", ".timeindex", ".txnindex", ".snapshot", ".log"};
	struct part_log *pub = &run->log->pub;
	char from[FS_PATH_MAX], path[FS_PATH_MAX + 16];

	for (size_t k = 0; k < ARRAY_N(suffixes); k++) {
		if (!segment_path(from, run->log->path, base, suffixes[k]))
			continue;
		snprintf(path, sizeof(path), "%s.deleted", from);
		storage_trash(pub->storage, path, false, pub->config.file_delete_delay_ms);
	}
}

/* A transaction whose marker is gone must not be told any more: readers would wait for the marker. */
static void compact_run_replace_aborted(struct log_compact_run *run)
{
	const struct compact *c = &run->compact;
	struct aborted_txns *all = &run->log->pub.aborted, now = {0};
	size_t i = 0;

	for (; i < all->list.n && all->list.v[i].last_offset < c->made.base; i++)
		vec_push(&now.list, all->list.v[i]);
	for (size_t k = 0; k < c->made_aborted.list.n; k++)
		vec_push(&now.list, c->made_aborted.list.v[k]);
	for (; i < all->list.n; i++) {
		if (all->list.v[i].last_offset >= c->made.next_offset)
			vec_push(&now.list, all->list.v[i]);
	}
	vec_deinit(&all->list);
	*all = now;
}

/* In memory what the swap did on disk. */
static void compact_run_replace(struct log_compact_run *run)
{
	struct compact *c = &run->compact;
	struct log_impl *log = run->log;
	size_t n = c->group_end - c->group, at = log_segment_at(log, c->made.base);
	struct segment *v = log->segments.list.v;

	CHECK_OP(v[at].base, ==, c->made.base);
	CHECK_OP(at + n, <, log->segments.list.n);
	for (size_t i = at; i < at + n; i++) {
		CHECK_OP(v[i].base, ==, c->segments.list.v[c->group + i - at].base);
		log->pub.size_bytes -= v[i].size;
		log_file_drop(v[i].file);
		compact_run_trash(run, v[i].base);
	}
	v[at] = c->made;
	memmove(&v[at + 1], &v[at + n], (log->segments.list.n - at - n) * sizeof(*v));
	log->segments.list.n -= n - 1;
	log->pub.size_bytes += c->made.size;
	run->job->segments_in += (int64_t)n;
	run->job->segments_out++;
}

static void compact_run_swapped(struct log_compact_run *run, enum err err)
{
	struct log_impl *log = run->log;
	bool is_live = log->pub.state == PART_LOG_OPEN || log->pub.state == PART_LOG_CLOSING;

	log->is_swapping = false;
	if (!is_live)
		return;
	if (!err) {
		compact_run_replace(run);
		compact_run_replace_aborted(run);
		compact_swapped(&run->compact);
	}
	log->generation++;
	log_tail_forget_places(log);
	/* Neither old nor new: only a start can tell. */
	if (err && run->swap_is_begun)
		storage_dir_failed(log->pub.dir, ERR_IO);
	log_reads_unpark(log);
}

static void compact_run_progress(struct log_compact_run *run)
{
	struct log_compact *job = run->job;

	job->bytes_done = run->compact.bytes_done;
	job->bytes_total = run->compact.bytes_total;
	job->bytes_in = run->compact.bytes_in;
	job->bytes_out = run->compact.bytes_out;
}

static void compact_run_done(struct io_op *op)
{
	struct log_compact_run *run = container_of(op, struct log_compact_run, op);
	struct log_impl *log = run->log;

	log->shared_n--;
	if (run->is_abandoned) {
		compact_run_end(run);
		return;
	}
	/* Still out: a swap that broke fails the directory, which cancels this run from below; what comes next is
	 * decided once, at the end. */
	if (log->is_swapping)
		compact_run_swapped(run, op->err);
	compact_run_progress(run);
	if (op->err && !run->err)
		run->err = op->err;
	if (op->err && !run->compact.text.text[0])
		err_text_set(&run->compact.text, op->err, "%s: %s", log->path, err_text(op->err));
	run->is_out = false;
	compact_run_next(run);
}

static void compact_run_work(struct log_compact_run *run, void (*work)(struct io_op *, struct fs *))
{
	run->is_out = true;
	run->log->shared_n++;
	run->op.kind = IO_WORK;
	run->op.work.run = work;
	run->op.done = compact_run_done;
	io_submit(log_reactor(run->log)->io, &run->op);
}

static void compact_run_go(struct log_compact_run *run)
{
	struct log_impl *log = run->log;

	if (run->compact.phase == COMPACT_SWAP) {
		log->is_swapping = true;
		log->generation++;
		log_tail_forget_places(log);
		compact_run_work(run, compact_run_swap);
	} else {
		compact_run_work(run, compact_run_step);
	}
}

static void compact_run_resumes(struct timer *timer)
{
	compact_run_go(container_of(timer, struct log_compact_run, pause));
}

/* After a piece: the next one, after a pause that keeps the rate; or the end. */
static void compact_run_next(struct log_compact_run *run)
{
	struct log_impl *log = run->log;
	double rate = run->job->bytes_per_s;
	double pause_s = rate > 0 ? (double)run->step_bytes / rate : 0;

	if (run->compact.phase == COMPACT_DONE && !run->err) {
		compact_run_end(run);
	} else if (run->err || run->is_cancelled || log->pub.state == PART_LOG_FAILED) {
		run->is_cancelled = true;
		run->is_abandoned = true;
		compact_run_work(run, compact_run_abandon);
	} else if (pause_s * 1e9 >= (double)NS_PER_MS) {
		reactor_timer(log_reactor(log), &run->pause, (int64_t)(MIN(pause_s, 3600.0) * 1e9),
			      compact_run_resumes);
	} else {
		compact_run_go(run);
	}
}

/* ---- the beginning ---- */

static void compact_run_take(struct log_compact_run *run)
{
	struct log_impl *log = run->log;
	const struct producer_entry *entry;

	for (size_t i = 0; i < log->segments.list.n; i++) {
		struct segment segment = log->segments.list.v[i];

		segment.file = NULL;
		if (segment.next_offset <= run->job->range.round_end && i + 1 < log->segments.list.n)
			vec_push(&run->compact.segments.list, segment);
	}
	/* From memory: what ended in the active segment stands in no file yet. */
	for (size_t i = 0; i < log->pub.aborted.list.n; i++) {
		if (log->pub.aborted.list.v[i].first_offset < run->job->range.round_end)
			vec_push(&run->compact.aborted.list, log->pub.aborted.list.v[i]);
	}
	for (uint32_t it = 0; (entry = producer_table_next(&log->pub.producers.by_id, &it)) != NULL;) {
		struct compact_producer producer = {
			.producer_id = entry->producer_id,
			.last_offset = entry->batches_n ? entry->batches[entry->batches_n - 1].last_offset : -1,
			.epoch = entry->epoch,
		};

		vec_push(&run->compact.producers, producer);
	}
}

void part_log_compact(struct part_log *pub, struct log_compact *job)
{
	struct log_impl *log = impl_of(pub);
	struct log_compact_run *run = MEM_NEW(struct log_compact_run);
	struct compact_options options = {
		.first_dirty = job->range.first_dirty,
		.round_end = job->range.round_end,
		.now_ms = log_reactor(log)->wall_ms,
		.delete_retention_ms = pub->config.delete_retention_ms,
		.segment_bytes = pub->config.segment_bytes,
		.index_bytes = pub->config.index_bytes,
		.index_interval_bytes = pub->config.index_interval_bytes,
		.map_bytes_max = (size_t)MAX(job->map_bytes_max, INT64_C(0)),
		.map_load_factor = job->map_load_factor,
		.seed = rng_u64(&log_reactor(log)->rng),
	};

	CHECK(pub->state == PART_LOG_OPEN);
	CHECK(!log->compaction);
	run->log = log;
	run->job = job;
	job->run = run;
	job->started_ns = log_reactor(log)->now_ns;
	log->compaction = run;
	log_ref(log);
	compact_init(&run->compact, log->path, &options);
	compact_run_take(run);
	compact_run_go(run);
}

void part_log_compact_cancel(struct part_log *pub)
{
	struct log_compact_run *run = impl_of(pub)->compaction;

	if (!run || run->is_cancelled)
		return;
	run->is_cancelled = true;
	if (run->is_out)
		return;
	timer_stop(&log_reactor(run->log)->timers, &run->pause);
	compact_run_next(run);
}

bool part_log_is_compacting(const struct part_log *pub)
{
	return impl_of((struct part_log *)pub)->compaction != NULL;
}
