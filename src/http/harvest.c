/* SPDX-License-Identifier: Apache-2.0 */
/* See harvest.h. */
#include "harvest.h"

#include "mem.h"

void harvest_init(struct harvest *harvest, struct sampler *sampler, struct broker *broker, struct post_box *box)
{
	*harvest = (struct harvest){.sampler = sampler, .broker = broker, .box = box};
	harvest->queries = mem_calloc((size_t)broker->shards_n, sizeof(*harvest->queries));
	harvest->topic_of_row = mem_calloc(METRICS_CHUNK, sizeof(*harvest->topic_of_row));
	harvest->group_of_row = mem_calloc(METRICS_GROUP_CHUNK, sizeof(*harvest->group_of_row));
	lag_times_init(&harvest->lag_times, broker->node->hash_seed);
	map_init(&harvest->by_name, MAP_STR, broker->node->hash_seed);
	map_init(&harvest->group_by_id, MAP_STR, broker->node->hash_seed);
}

void harvest_release(struct harvest *harvest)
{
	for (int i = 0; harvest->queries && i < harvest->broker->shards_n; i++) {
		metrics_query_free(harvest->queries[i]);
		harvest->queries[i] = NULL;
	}
	vec_deinit(&harvest->topics);
	vec_deinit(&harvest->partitions);
	vec_deinit(&harvest->groups);
	vec_deinit(&harvest->offsets);
	map_deinit(&harvest->by_name);
	map_deinit(&harvest->group_by_id);
	harvest->offsets_n = 0;
	arena_reset(&harvest->names);
}

void harvest_deinit(struct harvest *harvest)
{
	harvest_release(harvest);
	lag_times_deinit(&harvest->lag_times);
	mem_free(harvest->queries);
	mem_free(harvest->topic_of_row);
	mem_free(harvest->group_of_row);
	*harvest = (struct harvest){0};
}

void harvest_start(struct harvest *harvest, int want, int64_t now_ns, void (*done)(struct harvest *harvest))
{
	CHECK(!harvest->is_asking);
	harvest_release(harvest);
	map_init(&harvest->by_name, MAP_STR, harvest->broker->node->hash_seed);
	map_init(&harvest->group_by_id, MAP_STR, harvest->broker->node->hash_seed);
	harvest->is_asking = true;
	harvest->want = want;
	harvest->done = done;
	harvest->began_ns = now_ns;
	harvest->turns_n = 0;
	harvest->out_n = harvest->broker->shards_n;
	for (int i = 0; i < harvest->broker->shards_n; i++) {
		int bits = want | METRICS_WANT_SHARD | (i == 0 ? METRICS_WANT_NODE : 0);

		harvest->queries[i] = metrics_query_new(&harvest->broker->shards[i], bits, harvest->box, harvest);
		metrics_query_send(harvest->queries[i]);
	}
}

/* Every shard names every topic; one that goes on in a second chunk is named twice. */
static int harvest_topic(struct harvest *harvest, const struct metrics_topic_row *row, bool goes_on)
{
	struct str name = {row->name, strlen(row->name)};
	size_t at = (size_t)(uintptr_t)map_get_str(&harvest->by_name, name);
	struct harvest_topic *topic;

	if (at == 0) {
		struct harvest_topic fresh = {.name = arena_str(&harvest->names, name)};

		vec_push(&harvest->topics, fresh);
		at = harvest->topics.n;
		map_put_str(&harvest->by_name, fresh.name, (void *)(uintptr_t)at);
	}
	topic = &harvest->topics.v[at - 1];
	topic->partitions_n = MAX(topic->partitions_n, row->partitions_n);
	if (row->has_counts && !goes_on) {
		topic->has_counts = true;
		for (int i = 0; i < TOPIC_COUNTS_N; i++)
			topic->counts.counts[i] += row->counts.counts[i];
	}
	return (int)at - 1;
}

/* -1: it was told before, as the tables moved between two turns. */
static int harvest_group(struct harvest *harvest, const struct metrics_group_row *row)
{
	struct str id = {row->id, strlen(row->id)};
	size_t at = (size_t)(uintptr_t)map_get_str(&harvest->group_by_id, id);
	struct harvest_group fresh = {.is_classic = row->is_classic, .members_n = row->members_n};

	if (at > 0)
		return row->goes_on ? (int)at - 1 : -1;
	fresh.id = arena_str(&harvest->names, id);
	memcpy(fresh.state, row->state, sizeof(fresh.state));
	vec_push(&harvest->groups, fresh);
	harvest->offsets_n += row->offsets_n;
	map_put_str(&harvest->group_by_id, fresh.id, (void *)(uintptr_t)harvest->groups.n);
	return (int)harvest->groups.n - 1;
}

static void harvest_take_groups(struct harvest *harvest, const struct metrics_query *query)
{
	for (int i = 0; i < query->groups_n; i++)
		harvest->group_of_row[i] = harvest_group(harvest, &query->groups[i]);
	for (int i = 0; i < query->offsets_n; i++) {
		const struct metrics_offset_row *row = &query->offsets[i];
		struct str topic = {row->topic, strlen(row->topic)};
		struct harvest_offset offset = {
			.group = harvest->group_of_row[row->group],
			.partition = row->partition,
			.offset = row->offset,
			.lag = -1,
			.time_ms = -1,
			.topic = (int32_t)(intptr_t)map_get_str(&harvest->by_name, topic) - 1,
		};

		if (offset.group >= 0)
			vec_push(&harvest->offsets, offset);
	}
}

/* Sets each committed offset beside the end of its partition. */
static void harvest_join_lag(struct harvest *harvest)
{
	struct map ends; /* topic and partition -> row */

	if (harvest->offsets.n == 0)
		return;
	map_init(&ends, MAP_U64, harvest->broker->node->hash_seed);
	for (size_t i = 0; i < harvest->partitions.n; i++) {
		struct metrics_partition_row *row = &harvest->partitions.v[i];

		if (row->is_leader && row->is_open)
			map_put_u64(&ends, (uint64_t)(uint32_t)row->topic << 32 | (uint32_t)row->index, row);
	}
	for (size_t i = 0; i < harvest->offsets.n; i++) {
		struct harvest_offset *offset = &harvest->offsets.v[i];
		const struct metrics_partition_row *row =
			map_get_u64(&ends, (uint64_t)(uint32_t)offset->topic << 32 | (uint32_t)offset->partition);

		if (offset->topic < 0 || !row)
			continue;
		offset->row = row;
		offset->lag = MAX(row->high_watermark - offset->offset, INT64_C(0));
	}
	map_deinit(&ends);
}

static void harvest_take(struct harvest *harvest, const struct metrics_query *query)
{
	for (int i = 0; i < query->topics_n; i++)
		harvest->topic_of_row[i] =
			harvest_topic(harvest, &query->topics[i], i == 0 && query->has_more_of_topic);
	for (int i = 0; i < query->partitions_n; i++) {
		struct metrics_partition_row row = query->partitions[i];

		row.topic = harvest->topic_of_row[row.topic];
		vec_push(&harvest->partitions, row);
	}
	harvest_take_groups(harvest, query);
}

static void harvest_finish(struct harvest *harvest, int64_t now_ns)
{
	sampler_begin(harvest->sampler, now_ns);
	for (int i = 0; i < harvest->broker->shards_n; i++)
		sampler_add(harvest->sampler, harvest->queries[i]);
	sampler_end(harvest->sampler);
	for (size_t i = 0; i < harvest->topics.n; i++) {
		struct harvest_topic *topic = &harvest->topics.v[i];

		if (topic->has_counts)
			topic->rate = sampler_topic(harvest->sampler, topic->name, &topic->counts);
	}
	harvest_join_lag(harvest);
	if (harvest->want & METRICS_WANT_GROUPS)
		lag_times_join(&harvest->lag_times, harvest);
	if (harvest->want & METRICS_WANT_TOPICS)
		sampler_topics_end(harvest->sampler);
	harvest->took_ns = now_ns - harvest->began_ns;
	harvest->is_asking = false;
	harvest->done(harvest);
}

void harvest_answer(struct harvest *harvest, struct metrics_query *query, int64_t now_ns)
{
	harvest->turns_n++;
	harvest_take(harvest, query);
	if (!query->is_done) {
		metrics_query_send(query);
		return;
	}
	if (--harvest->out_n == 0)
		harvest_finish(harvest, now_ns);
}
