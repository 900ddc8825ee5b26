/* SPDX-License-Identifier: Apache-2.0 */
/* See scrubber.h. The logs of a pass are noted by topic id and number when it begins: they may go in between. */
#include "scrubber.h"

#include <inttypes.h>

#include "broker.h"
#include "log.h"
#include "log_scrub.h"
#include "mem.h"
#include "progress.h"

/* Until a compaction has renamed its files. */
#define SCRUB_LATER_NS (100 * NS_PER_MS)
/* Logs looked at in one turn that have nothing to read. */
#define SCRUB_EACH_TURN 256
/* Damage told one by one in a pass; the rest is in its sum. */
#define SCRUB_LINES_MAX 100

struct scrub_goal {
	struct uuid topic_id;
	int32_t index;
};

struct scrubber {
	struct shard *shard;
	struct timer timer;
	bool is_out; /* a piece is under way */
	bool in_pass;
	VEC(struct scrub_goal) goals; /* of this pass */
	size_t at;
	struct log_scrub scrub; /* of goals[at] */
	struct progress progress; /* in logs */
	int64_t bytes;   /* read in this pass */
	int64_t found_n; /* in it */
	struct scrubber_stats stats;
};

static void scrubber_turn(struct timer *timer);

struct scrubber *scrubber_new(struct shard *shard)
{
	struct scrubber *scrubber = MEM_NEW(struct scrubber);

	scrubber->shard = shard;
	return scrubber;
}

void scrubber_free(struct scrubber *scrubber)
{
	CHECK(!scrubber->is_out);
	log_scrub_deinit(&scrubber->scrub);
	vec_deinit(&scrubber->goals);
	mem_free(scrubber);
}

static int64_t scrubber_interval_ns(const struct scrubber *scrubber)
{
	const struct broker_config *config = &scrubber->shard->broker->config;

	if (config->log_scrub_interval_ms > 0)
		return config->log_scrub_interval_ms * NS_PER_MS;
	return config->log_scrub_interval_hours * INT64_C(3600) * NS_PER_S;
}

static void scrubber_wait(struct scrubber *scrubber, int64_t delay_ns)
{
	if (!scrubber->shard->is_stopping)
		reactor_timer(scrubber->shard->reactor, &scrubber->timer, delay_ns, scrubber_turn);
}

static void scrubber_found(struct log_scrub *scrub, const struct part_log *log, const char *path,
			   const struct log_bad *bad)
{
	struct scrubber *scrubber = container_of(scrub, struct scrubber, scrub);
	const struct scrub_goal *goal = &scrubber->goals.v[scrubber->at];
	const struct partition *partition = shard_partition(scrubber->shard, goal->topic_id, goal->index);

	scrubber->stats.damaged_n++;
	if (scrubber->found_n++ >= SCRUB_LINES_MAX)
		return;
	log_error("scrub.damaged",
		  "code=ML1075 topic=%s partition=%d file=%s position=%" PRId64 " bytes=%" PRId64 " offset=%" PRId64
		  " end_offset=%" PRId64
		  " text=\"no batch there has its checksum: these offsets are not served any more\"",
		  partition ? partition->topic : log->name, goal->index, path, bad->pos, bad->end_pos - bad->pos,
		  bad->offset, bad->end_offset);
}

static void scrubber_unlisted(struct log_scrub *scrub, const struct part_log *log, const char *path, int64_t pos,
			      size_t n)
{
	struct scrubber *scrubber = container_of(scrub, struct scrubber, scrub);
	const struct scrub_goal *goal = &scrubber->goals.v[scrubber->at];
	const struct partition *partition = shard_partition(scrubber->shard, goal->topic_id, goal->index);

	if (scrubber->found_n++ >= SCRUB_LINES_MAX)
		return;
	log_error("scrub.aborted_unlisted",
		  "code=ML1074 topic=%s partition=%d file=%s position=%" PRId64 " markers=%zu text=\"the marker aborts "
		  "a transaction that the .txnindex did not name when the log was opened: its records are served as "
		  "committed. An empty .txnindex in its place is made anew by the next start\"",
		  partition ? partition->topic : log->name, goal->index, path, pos, n);
}

static void scrubber_done(struct log_scrub *scrub)
{
	struct scrubber *scrubber = container_of(scrub, struct scrubber, scrub);
	const struct broker *broker = scrubber->shard->broker;
	const struct scrub_goal *goal = &scrubber->goals.v[scrubber->at];
	const struct partition *partition = shard_partition(scrubber->shard, goal->topic_id, goal->index);
	int64_t now_ns = scrubber->shard->reactor->now_ns;
	double rate = (double)broker->config.log_scrub_max_bytes_per_second / broker->shards_n;

	scrubber->is_out = false;
	scrubber->stats.read_bytes += (uint64_t)scrub->bytes;
	if (scrub->err && scrub->err != ERR_LOG_CLOSED && scrub->err != ERR_NOT_FOUND)
		log_warn("scrub.unreadable",
			 "code=ML1075 topic=%s partition=%d error=%s text=\"a segment cannot be read\"",
			 partition ? partition->topic : "?", goal->index, err_name(scrub->err));
	scrubber->progress.done = (int64_t)scrubber->at;
	scrubber->bytes += scrub->bytes;
	if (progress_is_due(&scrubber->progress, now_ns))
		log_info("scrub.progress",
			 "done_logs=%" PRId64 " total_logs=%" PRId64 " bytes=%" PRId64 " damaged=%" PRId64
			 " eta_s=%.0f",
			 scrubber->progress.done, scrubber->progress.total, scrubber->bytes, scrubber->found_n,
			 progress_eta_s(&scrubber->progress, now_ns));
	scrubber_wait(scrubber, (int64_t)((double)scrub->bytes / rate * 1e9));
}

static struct log_scrub scrubber_log_scrub(void)
{
	return (struct log_scrub){.found = scrubber_found, .unlisted = scrubber_unlisted, .done = scrubber_done};
}

static void scrubber_begin(struct scrubber *scrubber)
{
	scrubber->in_pass = true;
	scrubber->at = 0;
	scrubber->goals.n = 0;
	scrubber->found_n = 0;
	scrubber->bytes = 0;
	log_scrub_deinit(&scrubber->scrub);
	scrubber->scrub = scrubber_log_scrub();
	list_for_each(node, next, &scrubber->shard->opened) {
		const struct partition *partition = list_entry(node, struct partition, link);
		struct scrub_goal goal = {partition->topic_id, partition->index};

		vec_push(&scrubber->goals, goal);
	}
	progress_begin(&scrubber->progress, (int64_t)scrubber->goals.n, scrubber->shard->reactor->now_ns);
}

static void scrubber_end(struct scrubber *scrubber)
{
	scrubber->in_pass = false;
	log_info("scrub.done", "logs=%zu bytes=%" PRId64 " damaged=%" PRId64, scrubber->goals.n,
		 scrubber->bytes, scrubber->found_n);
	vec_deinit(&scrubber->goals);
	scrubber_wait(scrubber, scrubber_interval_ns(scrubber));
}

static enum log_scrub_step scrubber_step(struct scrubber *scrubber)
{
	const struct scrub_goal *goal = &scrubber->goals.v[scrubber->at];
	struct partition *partition = shard_partition(scrubber->shard, goal->topic_id, goal->index);

	if (!partition || !partition->is_open || partition->state == PARTITION_STOPPED)
		return LOG_SCRUB_OVER;
	return part_log_scrub(partition->log, &scrubber->scrub);
}

static void scrubber_turn(struct timer *timer)
{
	struct scrubber *scrubber = container_of(timer, struct scrubber, timer);

	if (scrubber->shard->is_stopping)
		return;
	if (!scrubber->in_pass)
		scrubber_begin(scrubber);
	for (int n = 0; scrubber->at < scrubber->goals.n; n++) {
		enum log_scrub_step step;

		if (n == SCRUB_EACH_TURN) {
			scrubber_wait(scrubber, 0);
			return;
		}
		step = scrubber_step(scrubber);
		if (step == LOG_SCRUB_RUNS) {
			scrubber->is_out = true;
			return;
		}
		if (step == LOG_SCRUB_LATER) {
			scrubber_wait(scrubber, SCRUB_LATER_NS);
			return;
		}
		scrubber->at++;
		log_scrub_deinit(&scrubber->scrub);
		scrubber->scrub = scrubber_log_scrub();
	}
	scrubber_end(scrubber);
}

void scrubber_start(struct scrubber *scrubber)
{
	if (scrubber_interval_ns(scrubber) > 0 && !scrubber->is_out && !timer_is_on(&scrubber->timer))
		scrubber_wait(scrubber, scrubber_interval_ns(scrubber));
}

void scrubber_stop(struct scrubber *scrubber)
{
	timer_stop(&scrubber->shard->reactor->timers, &scrubber->timer);
}

void scrubber_stats_read(const struct scrubber *scrubber, struct scrubber_stats *ret)
{
	*ret = scrubber->stats;
}
