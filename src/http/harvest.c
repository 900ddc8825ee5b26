/* SPDX-License-Identifier: Apache-2.0 */
/* See harvest.h. */
#include "harvest.h"

#include "mem.h"

void harvest_init(struct harvest *harvest, struct sampler *sampler, struct broker *broker, struct post_box *box)
{
	*harvest = (struct harvest){.sampler = sampler, .broker = broker, .box = box};
	harvest->queries = mem_calloc((size_t)broker->shards_n, sizeof(*harvest->queries));
	harvest->topic_of_row = mem_calloc(METRICS_CHUNK, sizeof(*harvest->topic_of_row));
	map_init(&harvest->by_name, MAP_STR, broker->node->hash_seed);
}

static void harvest_clear(struct harvest *harvest)
{
	for (int i = 0; harvest->queries && i < harvest->broker->shards_n; i++) {
		metrics_query_free(harvest->queries[i]);
		harvest->queries[i] = NULL;
	}
	vec_deinit(&harvest->topics);
	vec_deinit(&harvest->partitions);
	map_deinit(&harvest->by_name);
	arena_reset(&harvest->names);
}

void harvest_deinit(struct harvest *harvest)
{
	harvest_clear(harvest);
	mem_free(harvest->queries);
	mem_free(harvest->topic_of_row);
	*harvest = (struct harvest){0};
}

void harvest_start(struct harvest *harvest, int want, int64_t now_ns, void (*done)(struct harvest *harvest))
{
	CHECK(!harvest->is_asking);
	harvest_clear(harvest);
	map_init(&harvest->by_name, MAP_STR, harvest->broker->node->hash_seed);
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
