/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a log and what it does next, see part_log.h. */
#include "part_log_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"
#include "log_compact.h"
#include "log_dir.h"
#include "mem.h"
#include "storage_internal.h"

static const char *log_state_name(enum part_log_state state)
{
	static const char *const names[] = {"closed", "opening", "open", "closing", "failed"};

	return names[state];
}

static void log_move(struct log_impl *log, enum part_log_state state)
{
	static const uint8_t allowed[] = {
		[PART_LOG_CLOSED] = 1 << PART_LOG_OPENING,
		[PART_LOG_OPENING] = 1 << PART_LOG_OPEN | 1 << PART_LOG_FAILED | 1 << PART_LOG_CLOSED,
		[PART_LOG_OPEN] = 1 << PART_LOG_CLOSING | 1 << PART_LOG_FAILED,
		[PART_LOG_CLOSING] = 1 << PART_LOG_CLOSED | 1 << PART_LOG_FAILED,
		[PART_LOG_FAILED] = 0,
	};

	CHECK(allowed[log->pub.state] & (1 << state));
	core_of(log->pub.storage)->closing_n += (state == PART_LOG_CLOSING) - (log->pub.state == PART_LOG_CLOSING);
	log_debug("log.move", "log=%s from=%s to=%s", log->pub.name, log_state_name(log->pub.state),
		  log_state_name(state));
	log->pub.state = state;
}

struct part_log *part_log_new(struct storage *storage, struct storage_dir *dir, struct str name,
			      struct uuid topic_id,
			      const struct log_config *config)
{
	struct log_impl *log = MEM_NEW(struct log_impl);
	size_t dir_len = strlen(dir->path);

	log->pub.storage = storage;
	log->pub.dir = dir;
	log->pub.name = mem_strdup_n(name.p, name.len);
	log->pub.topic_id = topic_id;
	log->pub.config = *config;
	log->pub.state = PART_LOG_CLOSED;
	log->pub.max_timestamp_ms = log->pub.max_timestamp_offset = -1;
	producer_state_init(&log->pub.producers, rng_u64(&storage->reactor->rng));
	log->path = mem_alloc(dir_len + 1 + name.len + 1);
	memcpy(log->path, dir->path, dir_len);
	log->path[dir_len] = '/';
	memcpy(log->path + dir_len + 1, name.p, name.len);
	log->path[dir_len + 1 + name.len] = '\0';
	list_init(&log->queue);
	list_init(&log->writing);
	list_init(&log->reads);
	list_init(&log->queries);
	list_init(&log->parked_reads);
	list_init(&log->parked_queries);
	log->truncate_to = INT64_MAX;
	log->roll_at = -1;
	log->sync_to = -1;
	log->snapshot_offset = -1;
	for (int i = 0; i < LOG_HINTS_N; i++)
		log->hints[i].offset = -1;
	list_push_back(&storage->logs, &log->pub.link);
	return &log->pub;
}

static void log_release(struct log_impl *log)
{
	CHECK(list_is_empty(&log->queue));
	CHECK(list_is_empty(&log->writing));
	log_tail_free(log);
	mem_free(log->pub.name);
	mem_free(log->path);
	mem_free(log);
}

void log_ref(struct log_impl *log)
{
	log->refs++;
	core_of(log->pub.storage)->works++;
}

void log_unref(struct log_impl *log)
{
	CHECK_OP(log->refs, >, 0);
	core_of(log->pub.storage)->works--;
	if (--log->refs == 0 && log->is_zombie)
		log_release(log);
}

/* Lets go of everything that stands for the files. */
static void log_drop_contents(struct log_impl *log)
{
	for (size_t i = 0; i < log->segments.list.n; i++)
		log_file_drop(log->segments.list.v[i].file);
	vec_deinit(&log->segments.list);
	vec_deinit(&log->bad);
	vec_deinit(&log->checked);
	log_tail_free(log);
	mem_free(log->page);
	log->page = NULL;
	mem_free(log->trimming);
	log->trimming = NULL;
	storage_log_clean(log);
}

void part_log_inherit(struct part_log *log, struct part_log *before)
{
	struct producer_state none = log->producers;

	CHECK(log->state == PART_LOG_CLOSED && before->state == PART_LOG_CLOSED);
	log->producers = before->producers;
	before->producers = none;
}

void part_log_free(struct part_log *pub)
{
	struct log_impl *log = impl_of(pub);

	if (!pub)
		return;
	CHECK(pub->state == PART_LOG_CLOSED || pub->state == PART_LOG_FAILED);
	log_ref(log);
	part_log_compact_cancel(pub);
	log_reads_fail(log, ERR_LOG_CLOSED);
	log_queries_fail(log, ERR_LOG_CLOSED);
	log_drop_contents(log);
	list_remove(&log->drive_link);
	list_remove(&pub->link);
	core_of(pub->storage)->frees++;
	epoch_cache_deinit(&pub->epochs);
	producer_state_deinit(&pub->producers);
	vec_deinit(&pub->aborted.list);
	pub->advanced = NULL;
	log->is_zombie = true;
	log_unref(log);
}

void log_tell(struct log_impl *log)
{
	if (log->pub.advanced)
		log->pub.advanced(&log->pub);
}

void log_submit_work(struct log_impl *log, struct io_op *op, void (*run)(struct io_op *, struct fs *),
		     void (*done)(struct io_op *))
{
	log_ref(log);
	op->kind = IO_WORK;
	op->work.run = run;
	op->done = done;
	io_submit(log_reactor(log)->io, op);
}

size_t log_segment_at(const struct log_impl *log, int64_t offset)
{
	size_t low = 0, high = log->segments.list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (log->segments.list.v[mid].base <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? low - 1 : 0;
}

void log_forget_file(struct log_impl *log, int64_t base)
{
	size_t at = log_segment_at(log, base);

	CHECK_OP(log->segments.list.v[at].base, ==, base);
	log->segments.list.v[at].file = NULL;
}

/* The state is what the log says up to `appended`: appends that wait are taken back and put on again. */
struct bytes log_encode_producers(struct log_impl *log)
{
	struct list *const lists[] = {&log->queue, &log->writing};
	struct bytes bytes;

	for (size_t i = 0; i < ARRAY_N(lists); i++) {
		for (struct list *n = lists[i]->prev; n != lists[i]; n = n->prev)
			producer_state_undo(&log->pub.producers,
					    &list_entry(n, struct log_append, link)->undo);
	}
	bytes = producer_state_encode(&log->pub.producers);
	for (size_t i = ARRAY_N(lists); i-- > 0;) {
		for (struct list *n = lists[i]->next; n != lists[i]; n = n->next) {
			struct log_append *append = list_entry(n, struct log_append, link);

			producer_state_append(&log->pub.producers, &append->info, &append->undo);
		}
	}
	return bytes;
}

/* --- open --- */

struct open_job {
	struct io_op op;
	struct log_impl *log;
	struct log_load load;
	bool is_offline; /* its directory: nothing is touched */
};

static void open_job_run(struct io_op *op, struct fs *fs)
{
	struct open_job *job = container_of(op, struct open_job, op);

	op->err = job->is_offline ? ERR_DIR_OFFLINE : log_load_run(&job->load, fs);
}

/* Takes over what was found. */
static void log_take_load(struct log_impl *log, struct log_load *load)
{
	struct part_log *pub = &log->pub;
	struct segment *active;

	log->segments = load->segments;
	load->segments = (struct segment_list){0};
	epoch_cache_deinit(&pub->epochs);
	pub->epochs = load->epochs;
	load->epochs = (struct epoch_cache){0};
	producer_state_recall(&load->producers, &pub->producers);
	producer_state_deinit(&pub->producers);
	pub->producers = load->producers;
	vec_deinit(&pub->aborted.list);
	pub->aborted = load->aborted;
	load->aborted = (struct aborted_txns){0};
	producer_state_init(&load->producers, 0);
	active = log_active(log);
	pub->log_start = load->log_start;
	pub->recovery_point = load->recovery_point;
	pub->recovery_written = MIN(pub->recovery_written, load->recovery_point);
	pub->end = load->end;
	pub->appended = (struct log_pos){load->end, active->base, active->size};
	pub->size_bytes = 0;
	pub->max_timestamp_ms = pub->max_timestamp_offset = -1;
	for (size_t i = 0; i < log->segments.list.n; i++) {
		const struct segment *segment = &log->segments.list.v[i];

		pub->size_bytes += segment->size;
		if (segment->max_timestamp_ms > pub->max_timestamp_ms) {
			pub->max_timestamp_ms = segment->max_timestamp_ms;
			pub->max_timestamp_offset = segment->max_timestamp_offset;
		}
	}
	log->bytes_since_index = load->bytes_since_index;
	log->txns_n = 0;
	while (log->txns_n < pub->aborted.list.n &&
	       pub->aborted.list.v[pub->aborted.list.n - 1 - log->txns_n].last_offset >= active->base)
		log->txns_n++;
	log->txns_written = log->txns_n;
	log->last_index_timestamp_ms = load->last_time_ms;
	log_begin_active(log);
	log->snapshot_offset = load->snapshot_offset;
	log->epochs_changed = load->epochs_changed;
	log->epoch_is_new = false;
	active->file = file_cache_add(&core_of(pub->storage)->files, log, active->base, load->active);
	load->active = FS_FILE_NONE;
}

/* What of the log is known to be durable. Even if the machine lost its power: another start in the same boot may have
 * followed, whose appends were never synced, nor the names of segments that no recovery point has passed. */
static void log_set_durable(struct log_impl *log, const struct log_load *load)
{
	struct part_log *pub = &log->pub;

	if (pub->dir->stop != LOG_DIR_CLEAN && pub->appended.segment_base >= load->recovery_point)
		log->names_n++;
	if (pub->dir->stop != LOG_DIR_CLEAN && load->recovery_point < load->end) {
		pub->durable = (struct log_pos){load->recovery_point, load->recovery_base,
						load->recovery_pos};
		log->dirty_base = load->recovery_base;
		storage_log_dirty(log, pub->appended.file_pos);
		return;
	}
	pub->durable = pub->appended;
	log->dirty_base = pub->appended.segment_base;
}

void log_opened(struct log_impl *log)
{
	log_check_begin(log);
	log_move(log, PART_LOG_OPEN);
	log_tell(log);
}

static void open_job_done(struct io_op *op)
{
	struct open_job *job = container_of(op, struct open_job, op);
	struct log_impl *log = job->log;
	enum err err = op->err;

	log->is_busy = false;
	if (err && log->pub.state != PART_LOG_FAILED) {
		log_event(err == ERR_DIR_OFFLINE ? LOG_DEBUG : LOG_ERROR, "log.open_failed",
			  "log=%s dir=%s error=%s %s", log->pub.name, log->pub.dir->path, err_name(err),
			  job->load.text.text);
	} else if (log->pub.state != PART_LOG_FAILED) {
		if (job->load.is_changed)
			log_debug("log.recovered", "log=%s end=%" PRId64 " segments=%zu", log->pub.name,
				 job->load.end,
				 job->load.segments.list.n);
		log_take_load(log, &job->load);
		log_set_durable(log, &job->load);
	}
	log_load_deinit(&job->load, log_reactor(log)->io->fs);
	if (log->pub.state != PART_LOG_FAILED && err == ERR_DISK_FULL && !log->pub.config.is_synced) {
		log_move(log, PART_LOG_CLOSED);
		log->pub.failure = err;
		storage_dir_failed(log->pub.dir, err);
		log_tell(log);
	} else if (log->pub.state != PART_LOG_FAILED && err) {
		log_fail(log, err);
		if (err == ERR_IO)
			storage_dir_failed(log->pub.dir, err);
	} else if (log->pub.state == PART_LOG_OPENING) {
		/* In synced mode nothing is shown that a power cut could take away again. */
		if (log->pub.storage->options.durability == STORAGE_SYNCED &&
		    log->pub.durable.offset < log->pub.appended.offset) {
			log->sync_to = log->pub.appended.offset;
			storage_commit_later(log->pub.dir);
		} else {
			log_opened(log);
		}
	}
	log_unref(log);
	mem_free(job);
}

void part_log_open(struct part_log *pub, int64_t recovery_point, int64_t log_start)
{
	struct log_impl *log = impl_of(pub);
	struct open_job *job = MEM_NEW(struct open_job);

	log_move(log, PART_LOG_OPENING);
	pub->failure = ERR_NONE;
	pub->recovery_written = MAX(recovery_point, INT64_C(0));
	job->log = log;
	job->is_offline = pub->dir->state == LOG_DIR_OFFLINE;
	job->load = (struct log_load){
		.dir_path = pub->dir->path,
		.name = pub->name,
		.path = log->path,
		.topic_id = pub->topic_id,
		.unique = uuid_random(&log_reactor(log)->rng),
		.index_interval_bytes = pub->config.index_interval_bytes,
		.stop = log->is_unsettled && pub->dir->stop == LOG_DIR_CLEAN ? LOG_DIR_KILLED : pub->dir->stop,
		.truncate_to = INT64_MAX,
		.is_strict = pub->config.is_strict,
		.rewrites_tail = pub->config.is_synced || pub->storage->options.durability == STORAGE_SYNCED ||
				 pub->dir->rewrites_tail,
		.has_lost_syncs = pub->dir->rewrites_tail,
		.snapshot_keep = -1,
		.recovery_point = recovery_point,
		.log_start = log_start,
		.active = FS_FILE_NONE,
	};
	producer_state_init(&job->load.producers, rng_u64(&log_reactor(log)->rng));
	log->is_busy = true;
	log_submit_work(log, &job->op, open_job_run, open_job_done);
}

/* --- truncate: opening again with a shorter end --- */

static void truncate_job_done(struct io_op *op)
{
	struct open_job *job = container_of(op, struct open_job, op);
	struct log_impl *log = job->log;

	log->is_busy = false;
	if (log->pub.state == PART_LOG_OPEN || log->pub.state == PART_LOG_CLOSING) {
		if (op->err) {
			storage_dir_failed(log->pub.dir, op->err);
			/* Even if the disk is just full: what is there now only a start can tell. */
			log_fail(log, op->err);
		} else {
			log_drop_contents(log);
			log_take_load(log, &job->load);
			/* It was synced before it was cut, and the cut was. */
			log->pub.durable = log->pub.appended;
			log->dirty_base = log->pub.appended.segment_base;
			log->sync_to = -1;
			log->pub.producers.map_end_offset = log->pub.end;
			log_tell(log);
		}
	}
	log_load_deinit(&job->load, log_reactor(log)->io->fs);
	if (!log->is_zombie)
		log_drive(log);
	log_unref(log);
	mem_free(job);
}

static void truncate_job_run(struct io_op *op, struct fs *fs)
{
	struct open_job *job = container_of(op, struct open_job, op);

	op->err = log_load_run(&job->load, fs);
	if (!op->err) {
		op->err = fs_sync(fs, job->load.active);
		if (op->err)
			log_dir_note_lost_sync(job->load.dir_path, fs);
	}
}

void log_truncate_start(struct log_impl *log)
{
	struct part_log *pub = &log->pub;
	struct open_job *job = MEM_NEW(struct open_job);

	job->log = log;
	job->load = (struct log_load){
		.dir_path = pub->dir->path, .name = pub->name, .path = log->path,
		.index_interval_bytes = pub->config.index_interval_bytes,
		.stop = LOG_DIR_CLEAN,
		.truncate_to = log->truncate_to,
		.snapshot_keep = -1,
		.recovery_point = pub->recovery_point,
		.log_start = pub->log_start,
		.active = FS_FILE_NONE,
	};
	producer_state_init(&job->load.producers, rng_u64(&log_reactor(log)->rng));
	log_bad_truncate(log, log->truncate_to);
	log->truncate_to = INT64_MAX;
	log->generation++;
	log_tail_forget_places(log);
	log->is_busy = true;
	log_submit_work(log, &job->op, truncate_job_run, truncate_job_done);
}

void part_log_close(struct part_log *pub)
{
	struct log_impl *log = impl_of(pub);

	log_move(log, PART_LOG_CLOSING);
	log->wants_close = true;
	log_drive_later(log);
}

void log_closed(struct log_impl *log)
{
	log->wants_close = false;
	log_drop_contents(log);
	log_move(log, PART_LOG_CLOSED);
	log_tell(log);
}

/* --- what next --- */

/* When more logs are closing than this, one checkpoint syncs for all. */
#define CLOSE_EACH_MAX 4

static void log_drive_close(struct log_impl *log)
{
	struct storage_core *core = core_of(log->pub.storage);

	if (log->compaction) {
		part_log_compact_cancel(&log->pub);
		return;
	}
	if (log->shared_n > 0 || log->index_is_running || !list_is_empty(&log->reads) ||
	    !list_is_empty(&log->queries))
		return;
	if (!log->is_discarded && log->pub.recovery_point < log->pub.end && core->closing_n > CLOSE_EACH_MAX &&
	    log->pub.dir->state == LOG_DIR_ONLINE) {
		/* Every closing log is driven at its end. */
		if (core->checkpoints_running || storage_checkpoint(log->pub.storage, NULL))
			return;
	}
	if (!log->is_discarded && log->pub.durable.offset < log->pub.appended.offset) {
		if (log->sync_to < log->pub.appended.offset) {
			log->sync_to = log->pub.appended.offset;
			storage_commit_later(log->pub.dir);
		}
		return;
	}
	log_close_start(log);
}

/* The queue's next step: a new segment, a descriptor, or the write. */
static void log_drive_queue(struct log_impl *log)
{
	struct log_append *head = list_entry(log->queue.next, struct log_append, link);

	if (log_needs_roll(log, head, log_active(log)->size))
		log_roll_start(log);
	else if (!log_active(log)->file)
		log_open_file_start(log);
	else
		log_write_start(log);
}

void log_drive(struct log_impl *log)
{
	if (log->pub.state != PART_LOG_OPEN && log->pub.state != PART_LOG_CLOSING)
		return;
	if (log->is_busy || log->is_writing)
		return;
	if (log->wants_repair) {
		log_repair_start(log);
		return;
	}
	if (!list_is_empty(&log->queue)) {
		log_drive_queue(log);
		return;
	}
	if (log->truncate_to != INT64_MAX && log->compaction) {
		part_log_compact_cancel(&log->pub);
		return;
	}
	if (log->truncate_to != INT64_MAX) {
		if (log->shared_n == 0 && !log->index_is_running && !list_is_linked(&log->dirty_link))
			log_truncate_start(log);
		else if (log->shared_n == 0 && !log->index_is_running &&
			 log->sync_to < log->pub.appended.offset)
			part_log_sync(&log->pub);
		return;
	}
	if (log->wants_close) {
		log_drive_close(log);
		return;
	}
	if (log->roll_at == log->pub.appended.offset && log_active(log)->size > 0) {
		log_roll_start(log);
		return;
	}
	log->roll_at = -1;
	if (log->tail && log->tail->index.n >= LOG_INDEX_GROUP && !log->index_is_running)
		log_index_start(log);
	log_trim(log);
}

void log_drive_later(struct log_impl *log)
{
	struct storage_core *core = core_of(log->pub.storage);

	if (list_is_linked(&log->drive_link))
		return;
	list_push_back(&core->driven, &log->drive_link);
	reactor_flush_later(log_reactor(log), &core->hook);
}

void log_fail(struct log_impl *log, enum err err)
{
	if (log->pub.state == PART_LOG_FAILED || log->pub.state == PART_LOG_CLOSED)
		return;
	log_ref(log);
	log_move(log, PART_LOG_FAILED);
	log->pub.failure = err;
	storage_log_clean(log);
	/* What a write in the air holds ends when it comes back. */
	if (!log->is_writing)
		log_take_back(log, err);
	part_log_compact_cancel(&log->pub);
	log_reads_fail(log, err);
	log_queries_fail(log, err);
	log_tell(log);
	log_unref(log);
}

void part_log_start_epoch(struct part_log *pub, int32_t epoch)
{
	struct log_impl *log = impl_of(pub);

	/* The one before may have got records and not be in the file either. */
	log->epochs_changed = log_wants_epochs(log);
	/* None is above the leader's: the header that said so, the last before the process died, was damaged. */
	if (epoch_cache_truncate_above(&pub->epochs, epoch)) {
		log_warn("log.epoch_damaged", "code=ML1075 log=%s dir=%s leader_epoch=%" PRId32, pub->name,
			 pub->dir->path, epoch);
		log->epochs_changed = true;
	}
	if (epoch_cache_assign(&pub->epochs, epoch, pub->end))
		log->epoch_is_new = true;
}

void part_log_set_config(struct part_log *pub, const struct log_config *config)
{
	pub->config = *config;
}

int32_t part_log_segments_n(const struct part_log *log)
{
	const struct log_impl *impl = container_of(log, const struct log_impl, pub);

	return log->state == PART_LOG_OPEN ? (int32_t)impl->segments.list.n : 0;
}
