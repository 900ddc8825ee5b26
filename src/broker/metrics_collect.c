/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics_collect.h. The walk goes by the image, in name order, so that it can stop anywhere and go on later. */
#include "metrics_collect.h"

#include <stdio.h>

#include "client_quota.h"
#include "controller_io_internal.h"
#include "coordinator_io.h"
#include "fetch_session.h"
#include "group_classic.h"
#include "group_consumer.h"
#include "group_offsets.h"
#include "log.h"
#include "mem.h"
#include "placement_dir.h"
#include "telemetry.h"
#include "transaction_watch.h"

struct metrics_query *metrics_query_new(struct shard *shard, int want, struct post_box *answer, void *ctx)
{
	struct metrics_query *query = MEM_NEW(struct metrics_query);

	query->shard = shard;
	query->want = want;
	query->answer = answer;
	query->ctx = ctx;
	query->at_partition = -1;
	return query;
}

void metrics_query_free(struct metrics_query *query)
{
	if (!query)
		return;
	for (int i = 0; i <= API_KEY_MAX; i++)
		mem_free(query->apis[i]);
	telemetry_rows_free(query->clients);
	mem_free(query);
}

/* ---- the node ---- */

static void metrics_count_brokers(const struct image *image, struct metrics_node *ret)
{
	const struct broker_image *broker = NULL;

	ret->brokers_n = ret->fenced_n = ret->leaving_n = 0;
	while ((broker = image_broker_next(image, broker ? broker->id : -1)) != NULL) {
		ret->brokers_n++;
		ret->fenced_n += broker->fenced;
		ret->leaving_n += broker->in_controlled_shutdown && !broker->fenced;
	}
}

static void metrics_fill_image(struct shard *shard, struct metrics_node *ret)
{
	const struct image *image = shard->image;
	const struct broker_image *own;
	struct str feature = STR_NULL;
	int16_t level;

	if (!image)
		return;
	own = image_broker(image, shard->broker->node_id);
	ret->has_image = true;
	ret->is_fenced = !own || own->fenced;
	ret->is_leaving = own && own->in_controlled_shutdown;
	ret->topics_n = image->topics_n;
	ret->partitions_n = image->partitions_n;
	ret->image_offset = image->offset;
	ret->image_timestamp_ms = image->timestamp_ms;
	ret->metadata_version = image_feature(image, STR("metadata.version"));
	metrics_count_brokers(image, ret);
	ret->features_n = 0;
	while (ret->features_n < (int)ARRAY_N(ret->features) && image_feature_next(image, feature, &feature, &level)) {
		snprintf(ret->features[ret->features_n].name, sizeof(ret->features[0].name), "%.*s", STR_ARGS(feature));
		ret->features[ret->features_n++].level = level;
	}
}

static void metrics_fill_node(struct shard *shard, struct metrics_node *ret)
{
	const struct broker *broker = shard->broker;
	const struct controller_io *io = broker->controller;

	ret->phase = broker->phase;
	ret->up_ns = shard->reactor->now_ns - broker->started_ns;
	ret->wall_ms = shard->reactor->wall_ms;
	ret->broker_epoch = broker->broker_epoch;
	ret->node_id = broker->node_id;
	snprintf(ret->cluster_id, sizeof(ret->cluster_id), "%.*s", STR_ARGS(broker->cluster_id));
	metrics_fill_image(shard, ret);
	ret->raft_role = -1;
	if (io && io->has_raft && io->log) {
		controller_io_quorum(broker, &ret->quorum);
		ret->controller_leads = controller_io_is(io, CIO_LEADING);
		ret->raft_role = io->raft.role.state;
		ret->epoch_start_offset = io->raft.epoch_start_offset;
		memcpy(ret->controller, io->metrics.times, sizeof(ret->controller));
		ret->snapshot_bytes = io->snapshot_written_bytes;
		ret->snapshot_age_ns = shard->reactor->now_ns - io->snapshot_last_ns;
	}
	ret->listeners_n = broker->acceptors.acceptors_n;
	for (int i = 0; i < ret->listeners_n && !ret->address[0]; i++) {
		const struct acceptor *acceptor = &broker->acceptors.acceptors[i];

		if (acceptor->kind == API_BROKER)
			snprintf(ret->address, sizeof(ret->address), "%.*s:%u", STR_ARGS(acceptor->advertised_host),
				 acceptor->advertised_port);
	}
	for (int i = 0; i < ret->listeners_n; i++) {
		const struct acceptor *acceptor = &broker->acceptors.acceptors[i];

		snprintf(ret->listeners[i].name, sizeof(ret->listeners[i].name), "%.*s", STR_ARGS(acceptor->name));
		ret->listeners[i].delays = acceptor->delays;
		ret->listeners[i].ip_delays = acceptor->ip_delays;
	}
	ret->dirs_n = broker->dirs_n;
	for (int i = 0; i < broker->dirs_n; i++)
		snprintf(ret->dirs[i].path, sizeof(ret->dirs[i].path), "%s", broker->dirs[i].path);
	for (int i = 0; i < broker->dirs_n; i++)
		ret->dirs[i].is_cordoned = i < broker->data_dirs_n && placement_dir_is_cordoned(shard, i);
	ret->conns_waited_n = broker->acceptors.limits.waited_n;
	ret->conns_throttled_n = broker->acceptors.limits.throttled_n;
	ret->conns_refused_n = broker->acceptors.limits.refused_n;
}

/* ---- the shard ---- */

static void metrics_fill_quota(void *ctx, const struct client_quota_stat *stat)
{
	struct metrics_query *query = ctx;
	struct metrics_quota *row;

	if (query->quotas_n == METRICS_QUOTAS_MAX)
		return;
	row = &query->quotas[query->quotas_n++];
	*row = (struct metrics_quota){
		.kind = (int)stat->kind,
		.rate = stat->rate,
		.throttled_n = stat->throttled_n,
		.throttled_ms = stat->throttled_ms,
	};
	snprintf(row->user, sizeof(row->user), "%.*s", STR_ARGS(stat->user));
	snprintf(row->client_id, sizeof(row->client_id), "%.*s", STR_ARGS(stat->client_id));
}

static void metrics_fill_shard(struct metrics_query *query)
{
	struct shard *shard = query->shard;
	struct metrics *metrics = &shard->metrics;
	struct metrics_shard *ret = &query->of_shard;

	ret->now_ns = shard->reactor->now_ns;
	ret->slept_ns = shard->reactor->io->slept_ns;
	ret->began_ns = shard->broker->started_ns;
	ret->turns = shard->reactor->turns;
	ret->conns_n = shard->conns_n;
	ret->requests_n = shard->requests_n;
	ret->queued_n = metrics->queued_n;
	ret->running_n = metrics->running_n;
	ret->waiting_fetches_n = metrics->waiting_fetches_n;
	ret->waiting_produces_n = metrics->waiting_produces_n;
	ret->expired_fetches = metrics->expired_fetches;
	ret->sessions_evicted = metrics->sessions_evicted;
	ret->requests_total = metrics->requests_n;
	fetch_sessions_count(shard->sessions, &ret->sessions_n, &ret->session_partitions_n);
	ret->frames_bytes = shard->budget.frames + shard->request_bufs.bytes;
	ret->frames_max = shard->budget.frames_max;
	ret->work_bytes = shard->budget.work;
	ret->work_max = shard->budget.work_max;
	ret->opening_n = shard->opening_n;
	ret->partitions_n = 0;
	for (int i = 0; i < shard->broker->dirs_n; i++)
		ret->partitions_n += shard->dir_partitions_n[i];
	ret->unopened_n = shard->unopened_n;
	ret->all_topics = metrics->all_topics;
	ret->flush_ns = shard->storage.flush_ns;
	for (int i = 0; i < shard->storage.dirs_n; i++)
		ret->dirs[i] = shard->storage.dirs[i].state;
	if (metrics->listeners)
		memcpy(ret->listeners, metrics->listeners, sizeof(ret->listeners));
	if (metrics->software)
		memcpy(ret->software, metrics->software, sizeof(ret->software));
	telemetry_count(shard->telemetry, &ret->pushers_n, &ret->unknown_pushes_n);
	if (shard->cleaner)
		cleaner_stats_read(shard->cleaner, &ret->cleaner);
	if (shard->scrubber)
		scrubber_stats_read(shard->scrubber, &ret->scrubber);
	coordinator_stats_read(shard, &ret->coordinators);
	query->quotas_n = 0;
	if (shard->quotas)
		client_quotas_each(shard, metrics_fill_quota, query);
	for (int i = 0; i <= API_KEY_MAX; i++) {
		if (!metrics->apis[i])
			continue;
		if (!query->apis[i])
			query->apis[i] = mem_alloc(sizeof(*query->apis[i]));
		*query->apis[i] = *metrics->apis[i];
		metrics->apis[i]->slowest.total_ns = 0;
	}
}

/* ---- topics and partitions ---- */

static void metrics_fill_log(struct partition *partition, struct metrics_partition_row *row)
{
	const struct part_log *log = partition->log;

	row->is_ours = true;
	row->is_leader = partition->state == PARTITION_LEADER;
	row->is_offline = partition->state == PARTITION_OFFLINE;
	row->is_uncleanable = partition->is_uncleanable;
	row->dir = log->dir ? (int16_t)log->dir->index : -1;
	row->is_open = log->state == PART_LOG_OPEN;
	row->min_isr = (int16_t)MIN(partition->config.min_insync_replicas, INT16_MAX);
	if (!row->is_open)
		return;
	row->segments_n = part_log_segments_n(log);
	row->producers_n = log->producers.by_id.n;
	row->size_bytes = log->size_bytes;
	row->log_start = log->log_start;
	row->log_end = log->end;
	row->high_watermark = partition->high_watermark.offset;
	row->last_stable = leader_last_stable(partition);
	row->has_late_txn = row->is_leader && transaction_is_late(partition);
}

static void metrics_fill_partition(struct metrics_query *query, const struct topic_image *topic,
				   const struct partition_image *image, int32_t index)
{
	struct partition *partition = shard_partition(query->shard, topic->id, index);
	struct metrics_partition_row *row = &query->partitions[query->partitions_n++];

	*row = (struct metrics_partition_row){
		.topic = query->topics_n - 1,
		.index = index,
		.leader = image->leader,
		.leader_epoch = image->leader_epoch,
		.replicas_n = (int16_t)image->replicas_n,
		.isr_n = (int16_t)image->isr_n,
		.min_isr = 1,
		.dir = -1,
		.leader_is_preferred = image->replicas_n > 0 && image->replicas[0] == image->leader,
	};
	if (partition)
		metrics_fill_log(partition, row);
}

static void metrics_fill_topic(struct metrics_query *query, const struct topic_image *topic)
{
	const struct metrics_topic *counts = shard_topic_metrics(query->shard, topic->id);
	struct metrics_topic_row *row = &query->topics[query->topics_n++];
	size_t len = MIN(topic->name.len, (size_t)METRICS_TOPIC_NAME_MAX);

	memcpy(row->name, topic->name.p, len);
	row->name[len] = 0;
	row->partitions_n = topic->partitions_n;
	row->has_counts = counts != NULL;
	if (counts)
		row->counts = *counts;
}

/* The partitions of a topic from at_partition on. False when the chunk is full before its end. */
static bool metrics_walk_partitions(struct metrics_query *query, const struct topic_image *topic, int *left)
{
	int shards_n = query->shard->broker->shards_n;

	for (int32_t i = query->at_partition; i < topic->partitions_n; i++) {
		const struct partition_image *image;

		if (*left == 0) {
			query->at_partition = i;
			return false;
		}
		(*left)--;
		image = topic_partition(topic, i);
		if (image && shard_of_partition(shards_n, topic->id, i) == query->shard->index)
			metrics_fill_partition(query, topic, image, i);
	}
	query->at_partition = -1;
	return true;
}

static void metrics_walk(struct metrics_query *query)
{
	const struct image *image = query->shard->image;
	const struct topic_image *topic;
	int left = METRICS_CHUNK;

	query->is_done = true;
	query->has_more_of_topic = false;
	while (image && left > 0) {
		struct str at = {query->at_topic, strlen(query->at_topic)};

		topic = query->at_partition >= 0 ? image_topic(image, at) : NULL;
		if (!topic) {
			topic = image_topic_next(image, at.len ? at : STR_NULL);
			query->at_partition = 0;
		}
		if (!topic)
			return;
		left--;
		query->has_more_of_topic |= query->at_partition > 0 && query->topics_n == 0;
		metrics_fill_topic(query, topic);
		memcpy(query->at_topic, query->topics[query->topics_n - 1].name, sizeof(query->at_topic));
		if (!(query->want & METRICS_WANT_PARTITIONS))
			query->at_partition = -1;
		else if (!metrics_walk_partitions(query, topic, &left))
			break;
	}
	query->is_done = !image;
}

/* ---- groups ---- */

/* One walk over all groups, of which it skips what was told before. */
struct metrics_group_walk {
	struct metrics_query *query;
	int64_t seen_n;
	int left;
	bool is_full;
};

static void metrics_fill_group(struct metrics_query *query, const struct group *group)
{
	struct metrics_group_row *row = &query->groups[query->groups_n++];

	*row = (struct metrics_group_row){
		.is_classic = group->classic != NULL,
		.goes_on = query->at_offset > 0,
		.members_n = group->classic    ? (int32_t)group->classic->members.n
			     : group->consumer ? (int32_t)group->consumer->members.n
					       : 0,
		.offsets_n = group->offsets_n,
	};
	snprintf(row->id, sizeof(row->id), "%.*s", STR_ARGS(group->id));
	snprintf(row->state, sizeof(row->state), "%s", group->kind ? group->kind->state(group) : "Empty");
}

/* The offsets of one group from at_offset on. False when the chunk is full before the last. */
static bool metrics_fill_offsets(struct metrics_group_walk *walk, const struct group *group)
{
	struct metrics_query *query = walk->query;
	const struct offset_topic *topic;
	int64_t number = 0;

	for (uint32_t it = 0; (topic = map_next(&group->offsets, &it)) != NULL;) {
		for (int32_t i = 0; i < topic->entries_n; i++) {
			struct metrics_offset_row *row;

			if (number++ < query->at_offset)
				continue;
			if (walk->left == 0) {
				query->at_offset = number - 1;
				return false;
			}
			walk->left--;
			row = &query->offsets[query->offsets_n++];
			row->group = query->groups_n - 1;
			row->partition = topic->entries[i].partition;
			row->offset = topic->entries[i].offset;
			snprintf(row->topic, sizeof(row->topic), "%.*s", STR_ARGS(topic->name));
		}
	}
	query->at_offset = 0;
	return true;
}

static void metrics_walk_group(void *ctx, const struct group *group)
{
	struct metrics_group_walk *walk = ctx;
	struct metrics_query *query = walk->query;
	int64_t number = walk->seen_n++;

	if (walk->is_full || number < query->at_group)
		return;
	if (walk->left == 0) {
		walk->is_full = true;
		query->at_group = number;
		return;
	}
	walk->left--;
	metrics_fill_group(query, group);
	if (!metrics_fill_offsets(walk, group)) {
		walk->is_full = true;
		query->at_group = number;
	}
}

static void metrics_walk_groups(struct metrics_query *query)
{
	struct metrics_group_walk walk = {.query = query, .left = METRICS_GROUP_CHUNK};

	query->is_done = true;
	if (!query->shard->coordinators)
		return;
	/* Groups of a coordinator that loads are not there yet. */
	if (coordinator_io_each(query->shard, metrics_walk_group, &walk))
		log_trace("metrics.groups", "a coordinator of shard %d is loading", query->shard->index);
	query->is_done = !walk.is_full;
}

void metrics_query_fill(struct metrics_query *query)
{
	query->topics_n = query->partitions_n = query->groups_n = query->offsets_n = 0;
	query->is_done = true;
	if (query->want & METRICS_WANT_NODE)
		metrics_fill_node(query->shard, &query->node);
	if (query->want & METRICS_WANT_SHARD) {
		metrics_fill_shard(query);
		telemetry_rows_free(query->clients);
		query->clients = telemetry_copy(query->shard->telemetry, METRICS_CLIENT_ROWS_MAX);
	}
	/* The whole is told once, what lies in chunks goes on. */
	query->want &= ~(METRICS_WANT_NODE | METRICS_WANT_SHARD);
	if (query->want & (METRICS_WANT_TOPICS | METRICS_WANT_PARTITIONS)) {
		metrics_walk(query);
		if (!query->is_done)
			return;
		query->want &= ~(METRICS_WANT_TOPICS | METRICS_WANT_PARTITIONS);
		query->is_done = query->want == 0;
		return;
	}
	if (query->want & METRICS_WANT_GROUPS)
		metrics_walk_groups(query);
}

static void metrics_query_arrives(struct reactor *reactor, struct msg *msg)
{
	struct metrics_query *query = container_of(msg, struct metrics_query, msg);

	metrics_query_fill(query);
	post_answer(query->answer, &query->msg);
}

void metrics_query_send(struct metrics_query *query)
{
	query->msg.handle = metrics_query_arrives;
	post_to_reactor(query->shard->reactor, &query->msg);
}
