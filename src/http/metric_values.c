/* SPDX-License-Identifier: Apache-2.0 */
/* See metric_values.h. What one node cannot have (replicas that fall behind, reassignments) is counted where it can
 * happen, and so is 0 here for a reason; what is not known is NaN, and not shown. */
#include "metric_values.h"

#include <math.h>

#include "metric_coordinators.h"
#include "raft.h"

/* Kafka's numbers for the state of a broker. */
enum { BROKER_STATE_NOT_RUNNING = 0, BROKER_STATE_STARTING = 1, BROKER_STATE_RECOVERY = 2, BROKER_STATE_RUNNING = 3,
       BROKER_STATE_LEAVING = 6, BROKER_STATE_STOPPING = 7 };

static void metric_sums_add(struct metric_sums *sums, const struct metrics_partition_row *row)
{
	sums->leaderless_n += row->leader < 0;
	sums->imbalanced_n += row->leader >= 0 && !row->leader_is_preferred;
	if (!row->is_ours)
		return;
	sums->ours_n++;
	sums->offline_n += row->is_offline;
	sums->producers_n += row->producers_n;
	if (!row->is_leader)
		return;
	sums->led_n++;
	sums->late_txns_n += row->has_late_txn;
	sums->under_replicated_n += row->isr_n < row->replicas_n;
	sums->under_min_isr_n += row->isr_n < row->min_isr;
	sums->at_min_isr_n += row->isr_n == row->min_isr;
}

void metric_source_init(struct metric_source *source, const struct harvest *harvest,
			const struct http_options *options)
{
	*source = (struct metric_source){.harvest = harvest, .sampler = harvest->sampler, .options = options};
	for (size_t i = 0; i < harvest->partitions.n; i++)
		metric_sums_add(&source->sums, &harvest->partitions.v[i]);
	for (int i = 0; i < harvest->sampler->shards_n; i++)
		source->idle += harvest->sampler->shards[i].idle / harvest->sampler->shards_n;
	source->shows_partitions = harvest->partitions.n <= (size_t)options->partitions_max;
	process_stats_read(&source->process);
}

static double metric_broker_state(const struct metric_source *source)
{
	switch (source->sampler->node.phase) {
	case BROKER_STARTING:
		return source->sampler->node.has_image ? BROKER_STATE_RECOVERY : BROKER_STATE_STARTING;
	case BROKER_RUNNING:
		return source->sampler->node.is_leaving ? BROKER_STATE_LEAVING : BROKER_STATE_RUNNING;
	case BROKER_STOPPING:
		return source->sampler->node.is_leaving ? BROKER_STATE_LEAVING : BROKER_STATE_STOPPING;
	case BROKER_STOPPED:
	case BROKER_FAILED:
	default:
		return BROKER_STATE_NOT_RUNNING;
	}
}

#define SHARDS_SUM(source, field)                                                             \
	({                                                                                    \
		double sum_ = 0;                                                              \
		for (int i_ = 0; i_ < (source)->sampler->shards_n; i_++)                      \
			sum_ += (double)(source)->sampler->shards[i_].now.field;              \
		sum_;                                                                         \
	})

static double metric_of_partitions(const struct metric_source *source, enum metric_id id)
{
	const struct metric_sums *sums = &source->sums;

	switch ((int)id) {
	case METRIC_PARTITION_COUNT:
		return (double)sums->ours_n;
	case METRIC_LEADER_COUNT:
		return (double)sums->led_n;
	case METRIC_UNDER_REPLICATED:
		return (double)sums->under_replicated_n;
	case METRIC_UNDER_MIN_ISR:
		return (double)sums->under_min_isr_n;
	case METRIC_AT_MIN_ISR:
		return (double)sums->at_min_isr_n;
	case METRIC_OFFLINE_REPLICAS:
		return (double)sums->offline_n;
	case METRIC_PRODUCER_IDS:
		return (double)sums->producers_n;
	case METRIC_LATE_TRANSACTIONS:
		return (double)sums->late_txns_n;
	case METRIC_OFFLINE_PARTITIONS:
		return (double)sums->leaderless_n;
	case METRIC_IMBALANCE:
		return (double)sums->imbalanced_n;
	case METRIC_PARTITIONS_LEFT_OUT:
		return source->shows_partitions ? 0 : (double)source->harvest->partitions.n;
	default:
		return NAN;
	}
}

static double metric_of_controller(const struct metric_source *source, enum metric_id id)
{
	const struct metrics_node *node = &source->sampler->node;
	const struct quorum_status *quorum = &node->quorum;

	if (node->raft_role < 0)
		return NAN;
	switch ((int)id) {
	case METRIC_ACTIVE_CONTROLLERS:
		return node->controller_leads;
	case METRIC_RAFT_LEADER:
	case METRIC_META_CONTROLLER:
		return quorum->leader_id;
	case METRIC_RAFT_VOTE:
		return node->raft_role == RAFT_LEADER ? quorum->leader_id : -1;
	case METRIC_RAFT_EPOCH:
	case METRIC_RAFT_END_EPOCH:
		return quorum->leader_epoch;
	case METRIC_RAFT_HW:
		return (double)quorum->high_watermark;
	case METRIC_RAFT_END:
		return (double)quorum->log_end_offset;
	case METRIC_COMMITTED_OFFSET:
		return (double)quorum->high_watermark - 1;
	case METRIC_RAFT_VOTERS:
		return 1; /* the only quorum that raft_init takes */
	case METRIC_RAFT_APPEND_RATE:
		return source->sampler->metadata_records.one_minute;
	case METRIC_RAFT_COMMIT_AVG:
		return sampler_hist_mean(&source->sampler->controller[CONTROLLER_COMMIT]) / NS_PER_MS;
	case METRIC_RAFT_COMMIT_MAX:
		return sampler_hist_max(&source->sampler->controller[CONTROLLER_COMMIT]) / NS_PER_MS;
	case METRIC_RAFT_ELECTION_AVG:
		return sampler_hist_mean(&source->sampler->controller[CONTROLLER_ELECTION]) / NS_PER_MS;
	case METRIC_RAFT_ELECTION_MAX:
		return sampler_hist_max(&source->sampler->controller[CONTROLLER_ELECTION]) / NS_PER_MS;
	case METRIC_CONTROLLER_OPERATIONS:
		return (double)source->sampler->controller[CONTROLLER_QUEUE].n;
	case METRIC_CONTROLLERS_NEW:
		return (double)source->sampler->controller[CONTROLLER_ELECTION].n;
	case METRIC_SNAPSHOT_BYTES:
		return (double)node->snapshot_bytes;
	case METRIC_SNAPSHOT_AGE:
		return (double)node->snapshot_age_ns / NS_PER_MS;
	case METRIC_META_IDLE:
	case METRIC_RAFT_IDLE:
	case METRIC_CONTROLLER_EVENT_IDLE:
	case METRIC_CONTROLLER_HANDLER_IDLE:
		return source->sampler->shards[0].idle;
	default:
		return NAN;
	}
}

static double metric_of_image(const struct metric_source *source, enum metric_id id)
{
	const struct metrics_node *node = &source->sampler->node;
	double behind = (double)(node->quorum.high_watermark - node->image_offset);

	if (!node->has_image)
		return NAN;
	switch ((int)id) {
	case METRIC_ACTIVE_BROKERS:
		return node->brokers_n - node->fenced_n;
	case METRIC_K_BROKERS:
		return node->brokers_n;
	case METRIC_FENCED_BROKERS:
		return node->fenced_n;
	case METRIC_LEAVING_BROKERS:
		return node->leaving_n;
	case METRIC_GLOBAL_TOPICS:
		return node->topics_n;
	case METRIC_GLOBAL_PARTITIONS:
		return (double)node->partitions_n;
	case METRIC_APPLIED_OFFSET:
	case METRIC_META_OFFSET:
		return (double)node->image_offset - 1;
	case METRIC_APPLIED_TIMESTAMP:
	case METRIC_META_TIMESTAMP:
		return (double)node->image_timestamp_ms;
	case METRIC_APPLIED_LAG:
	case METRIC_META_LAG:
		return behind > 0 ? (double)(node->quorum.last_caught_up_ms - node->image_timestamp_ms) : 0;
	case METRIC_META_VERSION:
		return node->metadata_version;
	default:
		return NAN;
	}
}

static double metric_of_shards(const struct metric_source *source, enum metric_id id)
{
	switch ((int)id) {
	case METRIC_REQUEST_QUEUE:
		return SHARDS_SUM(source, queued_n);
	case METRIC_SESSIONS:
		return SHARDS_SUM(source, sessions_n);
	case METRIC_SESSION_PARTITIONS:
		return SHARDS_SUM(source, session_partitions_n);
	case METRIC_SESSION_EVICTIONS:
		return SHARDS_SUM(source, sessions_evicted);
	case METRIC_POOL_USED:
		return SHARDS_SUM(source, frames_bytes);
	case METRIC_POOL_AVAILABLE:
		return MAX(SHARDS_SUM(source, frames_max) - SHARDS_SUM(source, frames_bytes), 0.0);
	case METRIC_CLIENT_INSTANCES:
		return SHARDS_SUM(source, pushers_n);
	case METRIC_CLIENT_UNKNOWN:
		return SHARDS_SUM(source, unknown_pushes_n);
	case METRIC_CLIENT_UNKNOWN_RATE: {
		double sum = 0;

		for (int i = 0; i < source->sampler->shards_n; i++)
			sum += source->sampler->shards[i].unknown_pushes_per_s;
		return sum;
	}
	case METRIC_HANDLER_IDLE:
	case METRIC_BROKER_HANDLER_IDLE:
	case METRIC_NETWORK_IDLE:
		return source->idle;
	default:
		return NAN;
	}
}

/* Over all shards; percentages and times are those of the shard where they are greatest. */
static double metric_of_compaction(const struct metric_source *source, enum metric_id id)
{
	double dirty = 0, kept = 0, map = 0, took_s = 0, late_s = 0, since_ms = NAN;

	for (int i = 0; i < source->sampler->shards_n; i++) {
		const struct metrics_shard *shard = &source->sampler->shards[i].now;
		const struct cleaner_stats *stats = &shard->cleaner;

		dirty = MAX(dirty, 100 * stats->dirty_share_max);
		kept = MAX(kept, 100 * stats->kept_share);
		map = MAX(map, 100 * stats->map_use);
		took_s = MAX(took_s, (double)stats->took_ns / NS_PER_S);
		late_s = MAX(late_s, (double)stats->overdue_ms_max / 1000);
		since_ms = fmin(since_ms, (double)(shard->now_ns - MAX(stats->looked_ns, shard->began_ns)) / NS_PER_MS);
	}
	switch ((int)id) {
	case METRIC_CLEANER_DIRTY:
		return floor(dirty);
	case METRIC_CLEANER_SINCE:
		return since_ms;
	case METRIC_CLEANER_KEPT:
		return floor(kept);
	case METRIC_CLEANER_MAP:
		return floor(map);
	case METRIC_CLEANER_TIME:
		return took_s;
	case METRIC_CLEANER_LATE:
		return floor(late_s);
	case METRIC_CLEANER_IO:
		return SHARDS_SUM(source, cleaner.moved_bytes);
	case METRIC_COMPACTIONS:
		return SHARDS_SUM(source, cleaner.done_n);
	case METRIC_COMPACTIONS_FAILED:
		return SHARDS_SUM(source, cleaner.failed_n);
	case METRIC_SCRUB_BYTES:
		return SHARDS_SUM(source, scrubber.read_bytes);
	case METRIC_SCRUB_DAMAGED:
		return SHARDS_SUM(source, scrubber.damaged_n);
	default:
		return NAN;
	}
}

/* NULL: in any state. */
static double metric_classic_groups(const struct metric_source *source, const char *state)
{
	int n = 0;

	for (size_t i = 0; i < source->harvest->groups.n; i++) {
		const struct harvest_group *group = &source->harvest->groups.v[i];

		n += group->is_classic && (!state || strcmp(group->state, state) == 0);
	}
	return n;
}

static double metric_of_groups(const struct metric_source *source, enum metric_id id)
{
	switch ((int)id) {
	case METRIC_GROUPS:
		return metric_classic_groups(source, NULL);
	case METRIC_GROUPS_PREPARING:
		return metric_classic_groups(source, "PreparingRebalance");
	case METRIC_GROUPS_COMPLETING:
		return metric_classic_groups(source, "CompletingRebalance");
	case METRIC_GROUPS_STABLE:
		return metric_classic_groups(source, "Stable");
	case METRIC_GROUPS_DEAD:
		return metric_classic_groups(source, "Dead");
	case METRIC_GROUPS_EMPTY:
		return metric_classic_groups(source, "Empty");
	case METRIC_GROUP_OFFSETS:
		return (double)source->harvest->offsets_n;
	default:
		return NAN;
	}
}

static int metric_cordoned_dirs(const struct metric_source *source)
{
	int n = 0;

	for (int dir = 0; dir < source->sampler->node.dirs_n; dir++)
		n += source->sampler->node.dirs[dir].is_cordoned;
	return n;
}

static int metric_offline_dirs(const struct metric_source *source)
{
	int n = 0;

	for (int dir = 0; dir < source->sampler->node.dirs_n; dir++) {
		bool is_offline = false;

		for (int i = 0; i < source->sampler->shards_n; i++)
			is_offline |= source->sampler->shards[i].now.dirs[dir] == LOG_DIR_OFFLINE;
		n += is_offline;
	}
	return n;
}

static double metric_of_process(const struct metric_source *source, enum metric_id id)
{
	const struct process_stats *process = &source->process;

	switch ((int)id) {
	case METRIC_PROCESS_FDS:
		return process->files_n < 0 ? NAN : (double)process->files_n;
	case METRIC_PROCESS_FDS_MAX:
		return process->files_max < 0 ? NAN : (double)process->files_max;
	case METRIC_PROCESS_CPU:
		return process->cpu_s;
	case METRIC_PROCESS_RSS:
		return (double)process->rss_bytes;
	case METRIC_PROCESS_VIRTUAL:
		return process->virtual_bytes < 0 ? NAN : (double)process->virtual_bytes;
	case METRIC_PROCESS_START:
		return process->started_s > 0 ? process->started_s : NAN;
	case METRIC_DISK_READ:
		return process->read_bytes < 0 ? NAN : (double)process->read_bytes;
	case METRIC_DISK_WRITE:
		return process->written_bytes < 0 ? NAN : (double)process->written_bytes;
	default:
		return NAN;
	}
}

double metric_value(const struct metric_source *source, enum metric_id id)
{
	static double (*const by[])(const struct metric_source *, enum metric_id) = {
		metric_of_partitions, metric_of_controller, metric_of_image, metric_of_shards, metric_of_process,
		metric_of_groups, metric_of_compaction, metric_of_coordinators,
	};
	double value = NAN;

	switch ((int)id) {
	case METRIC_BROKER_STATE:
		return metric_broker_state(source);
	case METRIC_OFFLINE_DIRS:
		return metric_offline_dirs(source);
	case METRIC_CORDONED_DIRS:
		return metric_cordoned_dirs(source);
	case METRIC_CONNS_WAITED:
		return (double)source->sampler->node.conns_waited_n;
	case METRIC_CONNS_THROTTLED:
		return (double)source->sampler->node.conns_throttled_n;
	case METRIC_CONNS_REFUSED:
		return (double)source->sampler->node.conns_refused_n;
	case METRIC_UPTIME:
		return (double)source->sampler->node.up_ns / NS_PER_S;
	case METRIC_SCRAPE_TIME:
		return (double)source->harvest->took_ns / NS_PER_S;
	/* A single node has no replica that could fall behind or be moved and talks to no other voter, transactions and
	 * unclean elections do not exist, the node ends with the first error of its metadata. */
	case METRIC_REPLICATION_IN:
	case METRIC_REPLICATION_OUT:
	case METRIC_REASSIGNMENT_IN:
	case METRIC_REASSIGNMENT_OUT:
	case METRIC_FETCH_CONVERSIONS:
	case METRIC_RAFT_FETCH_RATE:
	case METRIC_RAFT_UNKNOWN_VOTERS:
	case METRIC_RAFT_VOTER_CHANGE:
	case METRIC_RAFT_NET_IN:
	case METRIC_RAFT_NET_OUT:
	case METRIC_RAFT_NET_REQUESTS:
	case METRIC_RAFT_NET_RESPONSES:
	case METRIC_CONTROLLER_OPERATIONS_LATE:
	case METRIC_STATIC_VOTERS_IGNORED:
	case METRIC_REASSIGNING:
	case METRIC_ISR_SHRINKS:
	case METRIC_ISR_EXPANDS:
	case METRIC_ISR_FAILED:
	case METRIC_UNCLEAN_ELECTIONS:
	case METRIC_METADATA_ERRORS:
	case METRIC_META_LOAD_ERRORS:
	case METRIC_META_APPLY_ERRORS:
	case METRIC_RAFT_OBSERVERS:
	case METRIC_CLEANER_DEAD:
		return 0;
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_N(by) && isnan(value); i++)
		value = by[i](source, id);
	return value;
}

bool metric_partition_is_known(enum metric_id id, const struct metrics_partition_row *row)
{
	switch ((int)id) {
	case METRIC_L_SIZE:
	case METRIC_L_START:
	case METRIC_L_END:
	case METRIC_L_SEGMENTS:
		return row->is_ours && row->is_open;
	case METRIC_K_CURRENT_OFFSET:
	case METRIC_KLE_LATEST:
	case METRIC_K_OLDEST_OFFSET:
		return row->is_leader && row->is_open;
	case METRIC_P_UNDER_REPLICATED:
	case METRIC_P_ISR:
	case METRIC_P_REPLICAS:
	case METRIC_P_UNDER_MIN_ISR:
	case METRIC_P_AT_MIN_ISR:
		return row->is_ours;
	case METRIC_P_LSO_LAG:
		return row->is_ours && row->is_open;
	default:
		return true;
	}
}

double metric_partition_value(enum metric_id id, const struct metrics_partition_row *row)
{
	switch ((int)id) {
	case METRIC_P_UNDER_REPLICATED:
		return row->is_leader && row->isr_n < row->replicas_n;
	case METRIC_K_UNDER_REPLICATED:
		return row->isr_n < row->replicas_n;
	case METRIC_P_ISR:
		return row->is_leader ? row->isr_n : 0;
	case METRIC_K_ISR:
		return row->isr_n;
	case METRIC_P_REPLICAS:
		return row->is_leader ? row->replicas_n : 0;
	case METRIC_K_REPLICAS:
		return row->replicas_n;
	case METRIC_P_UNDER_MIN_ISR:
		return row->is_leader && row->isr_n < row->min_isr;
	case METRIC_P_AT_MIN_ISR:
		return row->is_leader && row->isr_n == row->min_isr;
	case METRIC_P_LSO_LAG:
		return (double)MAX(row->high_watermark - row->last_stable, INT64_C(0));
	case METRIC_L_SIZE:
		return (double)row->size_bytes;
	case METRIC_L_START:
	case METRIC_K_OLDEST_OFFSET:
		return (double)row->log_start;
	case METRIC_L_END:
		return (double)row->log_end;
	case METRIC_L_SEGMENTS:
		return row->segments_n;
	case METRIC_K_CURRENT_OFFSET:
	case METRIC_KLE_LATEST:
		return (double)row->high_watermark;
	case METRIC_K_LEADER:
		return row->leader;
	case METRIC_K_PREFERRED:
		return row->leader_is_preferred;
	default:
		return NAN;
	}
}

int metric_topic_count(enum metric_id id)
{
	static const struct {
		enum metric_id id;
		enum metrics_topic_count count;
	} counts[] = {
		{METRIC_MESSAGES_IN, TOPIC_MESSAGES_IN},
		{METRIC_BYTES_IN, TOPIC_BYTES_IN},
		{METRIC_BYTES_OUT, TOPIC_BYTES_OUT},
		{METRIC_BYTES_REJECTED, TOPIC_BYTES_REJECTED},
		{METRIC_PRODUCE_REQUESTS, TOPIC_PRODUCE_REQUESTS},
		{METRIC_FETCH_REQUESTS, TOPIC_FETCH_REQUESTS},
		{METRIC_FAILED_PRODUCE, TOPIC_FAILED_PRODUCE},
		{METRIC_FAILED_FETCH, TOPIC_FAILED_FETCH},
		{METRIC_PRODUCE_CONVERSIONS, TOPIC_PRODUCE_CONVERSIONS},
		{METRIC_INVALID_MAGIC, TOPIC_INVALID_MAGIC},
		{METRIC_INVALID_CRC, TOPIC_INVALID_CRC},
		{METRIC_INVALID_OFFSET, TOPIC_INVALID_OFFSET},
		{METRIC_NO_KEY_COMPACTED, TOPIC_NO_KEY_COMPACTED},
	};

	for (size_t i = 0; i < ARRAY_N(counts); i++) {
		if (counts[i].id == id)
			return (int)counts[i].count;
	}
	return -1;
}
