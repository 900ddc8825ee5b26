/* SPDX-License-Identifier: Apache-2.0 */
/* See cleaner.h. Reactor 0's part is the desk: it counts what runs and keeps those who wait. */
#include "cleaner.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker.h"
#include "checkpointer.h"
#include "log.h"
#include "log_compact.h"
#include "mem.h"
#include "progress.h"

/* Compactions told one by one in a minute; the rest is counted. */
#define SAY_LINES_MAX 20
#define SAY_WINDOW_NS (60 * NS_PER_S)
/* As Kafka: a thread's map is not larger. */
#define MAP_BYTES_MAX ((int64_t)INT32_MAX)

/* How often a running compaction learns what rate is its share. */
#define TICK_NS NS_PER_S

enum cleaner_state { CLEANER_IDLE, CLEANER_ASKED };

struct cleaner {
	struct shard *shard;
	enum cleaner_state state;
	struct timer timer; /* IDLE: looks */
	struct msg msg;     /* to the desk and back */
	struct list link;   /* at the desk */
	struct list runs;
	double need;        /* of the neediest log: the dirty part; above 1 when overdue */
	int64_t hold_ns;    /* nothing is begun before: something failed */
	struct checkpoint_wait wait;
	int64_t window_ns, lines_n, left_out_n;
	struct cleaner_stats stats;
};

/* One compaction that was granted. */
struct cleaner_run {
	struct list link; /* the cleaner's */
	struct cleaner *cleaner;
	struct timer timer; /* tells how far it is */
	struct progress progress; /* as it was told last */
	struct log_compact job;
	struct uuid topic_id;
	char *topic;
	int32_t index;
};

/* One per broker; touched on reactor 0 only, where its shard's cleaner stands for it, but for running_n, which others
 * read. */
struct cleaner_desk {
	int running_n;
	struct list waiting;
};

static void cleaner_look(struct timer *timer);

struct cleaner *cleaner_new(struct shard *shard)
{
	struct cleaner *cleaner = MEM_NEW(struct cleaner);

	cleaner->shard = shard;
	list_init(&cleaner->runs);
	if (shard->index == 0) {
		shard->broker->cleaner_desk = MEM_NEW(struct cleaner_desk);
		list_init(&shard->broker->cleaner_desk->waiting);
	}
	return cleaner;
}

static void cleaner_run_free(struct cleaner_run *run)
{
	timer_stop(&run->cleaner->shard->reactor->timers, &run->timer);
	list_remove(&run->link);
	mem_free(run->topic);
	mem_free(run);
}

void cleaner_free(struct cleaner *cleaner)
{
	list_for_each(node, next, &cleaner->runs)
		cleaner_run_free(list_entry(node, struct cleaner_run, link));
	if (!cleaner)
		return;
	if (cleaner->shard->index == 0)
		mem_free(cleaner->shard->broker->cleaner_desk);
	mem_free(cleaner);
}

/* ---- the desk, on reactor 0 ---- */

static void cleaner_granted(struct reactor *reactor, struct msg *msg);

static void desk_grant(struct broker *broker)
{
	struct cleaner_desk *desk = broker->cleaner_desk;

	while (desk->running_n < broker->shards[0].config->log_cleaner_threads && !list_is_empty(&desk->waiting)) {
		struct cleaner *best = NULL;

		list_for_each(node, next, &desk->waiting) {
			struct cleaner *cleaner = list_entry(node, struct cleaner, link);

			if (!best || cleaner->need > best->need)
				best = cleaner;
		}
		list_remove(&best->link);
		__atomic_fetch_add(&desk->running_n, 1, __ATOMIC_RELAXED);
		best->msg.handle = cleaner_granted;
		reactor_send(broker->shards[0].reactor, best->shard->reactor, &best->msg);
	}
}

static void desk_asked(struct reactor *reactor, struct msg *msg)
{
	struct cleaner *cleaner = container_of(msg, struct cleaner, msg);

	cleaner->link = (struct list){NULL, NULL};
	list_push_back(&reactor->shard->broker->cleaner_desk->waiting, &cleaner->link);
	desk_grant(reactor->shard->broker);
}

struct desk_return {
	struct msg msg;
};

static void desk_returned(struct reactor *reactor, struct msg *msg)
{
	mem_free(container_of(msg, struct desk_return, msg));
	__atomic_fetch_sub(&reactor->shard->broker->cleaner_desk->running_n, 1, __ATOMIC_RELAXED);
	desk_grant(reactor->shard->broker);
}

static void cleaner_give_back(struct cleaner *cleaner)
{
	struct desk_return *back = MEM_NEW(struct desk_return);

	back->msg.handle = desk_returned;
	reactor_send(cleaner->shard->reactor, cleaner->shard->broker->shards[0].reactor, &back->msg);
}

/* ---- choosing ---- */

static bool cleaner_may(const struct partition *partition)
{
	return partition->is_open && partition->state != PARTITION_STOPPED && partition->config.log.is_compacted &&
	       partition->log->state == PART_LOG_OPEN && !partition->is_uncleanable && !partition->move &&
	       !part_log_is_compacting(partition->log);
}

/* How much a log needs it: 0 not at all, above 1 when it is late. */
static double cleaner_need(const struct partition *partition, struct cleaner_stats *stats, struct log_cleanable *ret)
{
	double ratio;

	part_log_cleanable(partition->log, partition->cleaner_offset, &partition->high_watermark, ret);
	if (ret->dirty_bytes == 0)
		return 0;
	ratio = (double)ret->dirty_bytes / (double)(ret->dirty_bytes + ret->clean_bytes);
	stats->dirty_share_max = MAX(stats->dirty_share_max, ratio);
	stats->overdue_ms_max = MAX(stats->overdue_ms_max, ret->overdue_ms);
	if (ret->is_overdue)
		return 1 + ratio;
	return ratio > partition->config.log.min_dirty_ratio ? ratio : 0;
}

static struct partition *cleaner_choose(struct cleaner *cleaner, double *ret_need, struct log_cleanable *ret)
{
	struct shard *shard = cleaner->shard;
	struct partition *best = NULL;

	*ret_need = 0;
	cleaner->stats.looked_ns = shard->reactor->now_ns;
	cleaner->stats.dirty_share_max = 0;
	cleaner->stats.overdue_ms_max = 0;
	list_for_each(node, next, &shard->opened) {
		struct partition *partition = list_entry(node, struct partition, link);
		struct log_cleanable range;
		double need;

		if (!cleaner_may(partition))
			continue;
		need = cleaner_need(partition, &cleaner->stats, &range);
		if (need <= *ret_need)
			continue;
		best = partition;
		*ret_need = need;
		*ret = range;
	}
	return best;
}

/* ---- telling ---- */

static bool cleaner_may_say(struct cleaner *cleaner)
{
	int64_t now_ns = cleaner->shard->reactor->now_ns;

	if (now_ns - cleaner->window_ns > SAY_WINDOW_NS) {
		if (cleaner->left_out_n)
			log_info("compaction.more", "done=%" PRId64 " text=\"not told one by one\"",
				 cleaner->left_out_n);
		cleaner->window_ns = now_ns;
		cleaner->lines_n = cleaner->left_out_n = 0;
	}
	if (cleaner->lines_n++ < SAY_LINES_MAX)
		return true;
	cleaner->left_out_n++;
	return false;
}

static double cleaner_took_s(const struct cleaner_run *run)
{
	int64_t took_ns = run->cleaner->shard->reactor->now_ns - run->job.started_ns;

	return (double)MAX(took_ns, NS_PER_MS) / 1e9;
}

/* log.cleaner.io.max.bytes.per.second is for all that run, on whatever shard. */
static double cleaner_rate(const struct cleaner *cleaner)
{
	int running_n = __atomic_load_n(&cleaner->shard->broker->cleaner_desk->running_n, __ATOMIC_RELAXED);

	return cleaner->shard->config->log_cleaner_io_max_bytes_per_second / MAX(running_n, 1);
}

static void cleaner_say_progress(const struct cleaner_run *run)
{
	const struct progress *progress = &run->progress;
	int64_t now_ns = run->cleaner->shard->reactor->now_ns;

	log_info("compaction.progress",
		 "log=%s-%d done=%" PRId64 " total=%" PRId64 " percent=%d bytes_per_s=%.0f eta_s=%.0f", run->topic,
		 run->index, progress->done, progress->total,
		 (int)(progress->total ? progress->done * 100 / progress->total : 100), progress_rate(progress, now_ns),
		 progress_eta_s(progress, now_ns));
}

static void cleaner_tick(struct timer *timer)
{
	struct cleaner_run *run = container_of(timer, struct cleaner_run, timer);
	struct reactor *reactor = run->cleaner->shard->reactor;

	run->job.bytes_per_s = cleaner_rate(run->cleaner);
	run->progress.done = run->job.bytes_done;
	run->progress.total = run->job.bytes_total;
	if (progress_is_due(&run->progress, reactor->now_ns))
		cleaner_say_progress(run);
	reactor_timer(reactor, &run->timer, TICK_NS, cleaner_tick);
}

static void cleaner_say_end(struct cleaner_run *run)
{
	const struct log_compact *job = &run->job;
	double took_s = cleaner_took_s(run);

	if (job->err == ERR_CORRUPT_FILE)
		log_error("compaction.bad_batch",
			  "code=ML1072 log=%s-%d text=\"%s. This partition is not compacted any more until the node "
			  "is started again; the others are\"",
			  run->topic, run->index, job->text.text);
	else if (job->err && job->err != ERR_LOG_CLOSED)
		log_warn("compaction.failed", "code=ML1073 log=%s-%d error=%s text=\"%s. It is tried again\"",
			 run->topic, run->index, err_name(job->err), job->text.text);
	else if (!job->err && cleaner_may_say(run->cleaner))
		log_info("compaction.done",
			 "log=%s-%d segments=%" PRId64 " segments_now=%" PRId64 " bytes=%" PRId64 " bytes_now=%" PRId64
			 " records=%" PRId64 " records_now=%" PRId64 " seconds=%.2f bytes_per_s=%.0f clean_to=%" PRId64,
			 run->topic, run->index, job->segments_in, job->segments_out, job->bytes_in, job->bytes_out,
			 job->records_in, job->records_out, took_s, (double)job->bytes_done / took_s,
			 job->compacted_to);
}

static void cleaner_count_end(const struct cleaner_run *run)
{
	const struct log_compact *job = &run->job;
	struct cleaner_stats *stats = &run->cleaner->stats;

	stats->moved_bytes += (uint64_t)(job->bytes_done + job->bytes_out);
	if (job->err) {
		stats->failed_n += job->err != ERR_LOG_CLOSED;
		return;
	}
	stats->done_n++;
	stats->took_ns = run->cleaner->shard->reactor->now_ns - job->started_ns;
	stats->kept_share = job->bytes_in ? (double)job->bytes_out / (double)job->bytes_in : 0;
	stats->map_use = job->map_use;
}

void cleaner_stats_read(const struct cleaner *cleaner, struct cleaner_stats *ret)
{
	*ret = cleaner->stats;
	list_for_each(node, next, (struct list *)&cleaner->runs)
		ret->moved_bytes += (uint64_t)list_entry(node, struct cleaner_run, link)->job.bytes_done;
}

/* ---- doing ---- */

static void cleaner_wait(struct cleaner *cleaner, int64_t delay_ns)
{
	cleaner->state = CLEANER_IDLE;
	if (!cleaner->shard->is_stopping)
		reactor_timer(cleaner->shard->reactor, &cleaner->timer, delay_ns, cleaner_look);
}

static int64_t cleaner_backoff_ns(const struct cleaner *cleaner)
{
	return MAX(cleaner->shard->config->log_cleaner_backoff_ms, INT64_C(1)) * NS_PER_MS;
}

/* The file of the cleaner's offsets is only a way to do less next time. */
static void cleaner_saved(struct checkpoint_wait *wait, enum err err)
{
}

static void cleaner_done(struct log_compact *job)
{
	struct cleaner_run *run = container_of(job, struct cleaner_run, job);
	struct cleaner *cleaner = run->cleaner;
	struct shard *shard = cleaner->shard;
	struct partition *partition = shard_partition(shard, run->topic_id, run->index);

	cleaner_count_end(run);
	cleaner_say_end(run);
	if (partition && job->err == ERR_CORRUPT_FILE)
		partition->is_uncleanable = true;
	if (partition && !job->err) {
		partition->cleaner_offset = job->compacted_to;
		if (!list_is_linked(&cleaner->wait.link)) {
			cleaner->wait.dir = partition->log->dir->index;
			cleaner->wait.done = cleaner_saved;
			checkpointer_save(shard, &cleaner->wait);
		}
	}
	if (job->err)
		cleaner->hold_ns = shard->reactor->now_ns + cleaner_backoff_ns(cleaner);
	cleaner_run_free(run);
	cleaner_give_back(cleaner);
	if (cleaner->state == CLEANER_IDLE)
		cleaner_wait(cleaner, 0);
}

static void cleaner_begin(struct cleaner *cleaner, struct partition *partition, const struct log_cleanable *range)
{
	const struct broker_config *config = cleaner->shard->config;
	struct reactor *reactor = cleaner->shard->reactor;
	struct cleaner_run *run = MEM_NEW(struct cleaner_run);

	run->cleaner = cleaner;
	list_push_back(&cleaner->runs, &run->link);
	run->topic_id = partition->topic_id;
	run->index = partition->index;
	run->topic = mem_strdup_n(partition->topic, strlen(partition->topic));
	run->job = (struct log_compact){
		.range = *range,
		.map_bytes_max = MIN(config->log_cleaner_dedupe_buffer_size / MAX(config->log_cleaner_threads, 1),
				     MAP_BYTES_MAX),
		.map_load_factor = config->log_cleaner_io_buffer_load_factor,
		.bytes_per_s = cleaner_rate(cleaner),
		.done = cleaner_done,
	};
	log_debug("compaction.begin", "log=%s-%d dirty=%" PRId64 " clean=%" PRId64 " from=%" PRId64 " to=%" PRId64,
		  run->topic, run->index, range->dirty_bytes, range->clean_bytes, range->first_dirty,
		  range->round_end);
	progress_begin(&run->progress, 0, reactor->now_ns);
	reactor_timer(reactor, &run->timer, TICK_NS, cleaner_tick);
	part_log_compact(partition->log, &run->job);
}

static bool cleaner_is_on(const struct cleaner *cleaner)
{
	const struct broker_config *config = cleaner->shard->config;

	return config->log_cleaner_enable && config->log_cleaner_threads > 0 &&
	       cleaner->shard->reactor->now_ns >= cleaner->hold_ns;
}

static void cleaner_granted(struct reactor *reactor, struct msg *msg)
{
	struct cleaner *cleaner = container_of(msg, struct cleaner, msg);
	struct log_cleanable range;
	struct partition *partition = NULL;
	double need;

	if (!cleaner->shard->is_stopping && cleaner_is_on(cleaner))
		partition = cleaner_choose(cleaner, &need, &range);
	if (partition) {
		cleaner_begin(cleaner, partition, &range);
		cleaner_wait(cleaner, 0); /* another one may need it too */
		return;
	}
	cleaner_give_back(cleaner);
	cleaner_wait(cleaner, cleaner_backoff_ns(cleaner));
}

static void cleaner_look(struct timer *timer)
{
	struct cleaner *cleaner = container_of(timer, struct cleaner, timer);
	struct shard *shard = cleaner->shard;
	struct log_cleanable range;

	if (shard->is_stopping)
		return;
	if (!cleaner_is_on(cleaner) || !cleaner_choose(cleaner, &cleaner->need, &range)) {
		cleaner_wait(cleaner, cleaner_backoff_ns(cleaner));
		return;
	}
	cleaner->state = CLEANER_ASKED;
	cleaner->msg.handle = desk_asked;
	reactor_send(shard->reactor, shard->broker->shards[0].reactor, &cleaner->msg);
}

void cleaner_start(struct cleaner *cleaner)
{
	if (cleaner->state == CLEANER_IDLE && list_is_empty(&cleaner->runs) && !timer_is_on(&cleaner->timer))
		cleaner_wait(cleaner, cleaner_backoff_ns(cleaner));
}

void cleaner_stop(struct cleaner *cleaner)
{
	timer_stop(&cleaner->shard->reactor->timers, &cleaner->timer);
}
