/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two topics that the broker makes smaller while they are written, read and asked for times: `trimmed` loses its oldest
 * segments by size, `compacted` what newer records of its keys supersede. One client, one request at a time; its own
 * checker, as what may be missing is another question here than in check_history.
 *
 *      CREATE --> [produce | fetch | time | earliest] ... --rest--> READ everything --> done
 *
 * Some batches are sent without asking for an answer.
 *
 * Always: no answer with an error that only a lost file explains, no start above the high watermark, no start or mark
 * that goes back on one connection, no record at another offset than it was acknowledged at, no gap in `trimmed` above
 * its start, no time query that leads to before its record. At the end: each acknowledged record of `trimmed` above the
 * start is there, and of `compacted` the newest of each key, unless a lossy cut came since.
 */
#include <stdio.h>

#include "batch_build.h"
#include "msg/list_offsets.h"
#include "vec.h"
#include "workload_client.h"

#define KEEP_TOPICS_N 2
#define KEEP_KEYS_N 5
#define KEEP_TIME_MS INT64_C(1000000)
#define KEEP_RECORDS_MAX 3000
/* Instead of a counter. */
#define ASK_LATEST INT64_C(-1)
#define ASK_EARLIEST INT64_C(-2)

struct keep_entry { /* by counter */
	int64_t offset; /* -1: no answer came */
	uint32_t era;
	bool is_acked;
	bool is_seen; /* in the reading at the end */
};

struct keep_topic {
	const char *name;
	bool is_compacted;
	int retention_bytes;
	struct uuid id;
	VEC(struct keep_entry) entries;
	int64_t pos; /* -1: to be asked for */
	uint32_t pos_era;
	int64_t start, hw; /* told on this connection, -1 */
	bool is_read; /* at the end */
	int64_t end;
};

struct wl_keep {
	struct wl_client client;
	struct workload *wl;
	struct keep_topic topics[KEEP_TOPICS_N];
	struct keep_topic *topic; /* of the request that is out */
	struct keep_topic *probe; /* its start and end are asked for, a few times */
	int probes_n, burst_n;
	int64_t asked;            /* counter that a time query is about, or ASK_ */
	uint32_t first, n;        /* the batch that is out */
	bool is_created, is_resting, reads_anew, is_done;
};

static struct wl_keep *keep_of(struct sim_call *call)
{
	return container_of(wl_client_of_call(call), struct wl_keep, client);
}

static void keep_later(struct wl_keep *k, int64_t most_us)
{
	wl_client_later(&k->client, 500 * NS_PER_US, most_us * NS_PER_US);
}

/* Errors that pass by themselves. A file that is not found is none of them. */
static bool keep_has_failed(struct wl_keep *k, const char *what, int16_t code)
{
	return code != ERR_NONE && workload_bad_error(k->wl, what, code);
}

/* ---- what is told of start and end ---- */

static void keep_marks(struct wl_keep *k, struct keep_topic *t, int64_t start, int64_t hw)
{
	struct world *w = k->wl->w;

	/* The mark is not older than the start that was told before. */
	if (hw >= 0 && MAX(start, t->start) > hw)
		world_fail(w, "%s: begins at %lld, above its high watermark %lld", t->name,
			   (long long)MAX(start, t->start), (long long)hw);
	if (start >= 0 && start < t->start)
		world_fail(w, "%s: the start went back from %lld to %lld", t->name, (long long)t->start,
			   (long long)start);
	if (hw >= 0 && hw < t->hw)
		world_fail(w, "%s: the high watermark went back from %lld to %lld", t->name, (long long)t->hw,
			   (long long)hw);
	t->start = MAX(t->start, start);
	t->hw = MAX(t->hw, hw);
}

/* ---- produce ---- */

static void keep_produced(struct sim_call *call)
{
	struct wl_keep *k = keep_of(call);
	const struct produce_response_responses_partition_responses *got;

	if (call->err)
		return;
	got = wl_client_produced(call);
	if (!got)
		return;
	for (uint32_t i = 0; !got->error_code && i < k->n; i++)
		k->topic->entries.v[k->first + i] =
			(struct keep_entry){got->base_offset + i, k->client.conn.era, true, false};
	if (!keep_has_failed(k, "Produce", got->error_code))
		keep_later(k, got->error_code ? 100000 : 8000);
}

static void keep_batch(struct wl_keep *k, struct keep_topic *t, struct scratch *out)
{
	struct world *w = k->wl->w;
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct bytes built;
	enum err err = batch_builder_init(&b, &spec, out, NULL);

	k->n = (uint32_t)rng_between(&w->rng, 1, 4);
	k->first = (uint32_t)t->entries.n;
	for (uint32_t i = 0; !err && i < k->n; i++) {
		uint8_t value[300] = {0};
		uint8_t key = (uint8_t)((k->first + i) % KEEP_KEYS_N);
		struct record_fields fields = {.key = {&key, 1},
					       .value = {value, (size_t)rng_between(&w->rng, 8, sizeof(value))}};

		store_be64(value, k->first + i);
		vec_push(&t->entries, ((struct keep_entry){-1, k->client.conn.era, false, false}));
		err = batch_builder_add(&b, KEEP_TIME_MS + k->first + i, &fields);
	}
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
}

static void keep_produce(struct wl_keep *k, struct keep_topic *t)
{
	struct wl_place place = {str_of(t->name), t->id, 0};
	struct scratch bytes = {0};
	int16_t acks;

	keep_batch(k, t, &bytes);
	/* Without an answer the next request comes before the batch is stored. */
	acks = k->burst_n > 0 || world_chance(k->wl->w, 1, 8) ? 0 : -1;
	/* Each batch is sent once, whatever comes of it. */
	wl_client_produce(&k->client, &place, acks, scratch_bytes(&bytes), keep_produced);
	if (!acks) {
		k->burst_n = k->burst_n > 0 ? k->burst_n - 1 : (int)rng_below(&k->wl->w->rng, 12);
		k->probe = t;
		k->probes_n = 6;
		keep_later(k, k->burst_n ? 600 : 50000);
	}
	scratch_deinit(&bytes);
}

/* ---- fetch ---- */

static bool keep_record(void *ctx, const struct record *record)
{
	struct wl_keep *k = ctx;
	struct keep_topic *t = k->topic;
	struct world *w = k->wl->w;
	struct keep_entry *entry;
	uint64_t counter;

	if (record->offset < t->pos)
		return true;
	if (!t->is_compacted && record->offset != t->pos && t->pos_era == k->client.conn.era)
		world_fail(w, "%s: offset %lld after %lld", t->name, (long long)record->offset, (long long)t->pos);
	counter = record->value.len >= 8 ? load_be64(record->value.p) : UINT64_MAX;
	if (counter >= t->entries.n || record->key.len != 1 || record->key.p[0] != counter % KEEP_KEYS_N) {
		world_fail(w, "%s offset %lld: a record that was never sent", t->name, (long long)record->offset);
		return false;
	}
	entry = &t->entries.v[counter];
	if (entry->is_acked && entry->era == k->client.conn.era && entry->offset != record->offset)
		world_fail(w, "%s: record %llu is at %lld, and was acknowledged at %lld", t->name,
			   (unsigned long long)counter, (long long)record->offset, (long long)entry->offset);
	entry->is_seen = true;
	t->pos = record->offset + 1;
	t->pos_era = k->client.conn.era;
	return !w->has_failed;
}

static void keep_out_of_range(struct wl_keep *k, struct keep_topic *t)
{
	if (t->is_compacted && t->pos_era == k->client.conn.era)
		world_fail(k->wl->w, "%s: position %lld is out of range", t->name, (long long)t->pos);
	t->pos = -1;
	keep_later(k, 5000);
}

static void keep_fetched(struct sim_call *call)
{
	struct wl_keep *k = keep_of(call);
	const struct fetch_response_responses_partitions *got;

	if (call->err)
		return;
	got = wl_client_fetched(call);
	if (!got) {
		keep_later(k, 100000);
		return;
	}
	if (got->error_code == ERR_OFFSET_OUT_OF_RANGE) {
		keep_out_of_range(k, k->topic);
	} else if (got->error_code) {
		if (!keep_has_failed(k, "Fetch", got->error_code))
			keep_later(k, 100000);
	} else {
		keep_marks(k, k->topic, call->version >= 5 ? got->log_start_offset : -1, got->high_watermark);
		if (!wl_records_each(got, keep_record, k, &k->topic->pos))
			world_fail(k->wl->w, "%s: a damaged batch at %lld", k->topic->name, (long long)k->topic->pos);
		keep_later(k, 5000);
	}
}

static void keep_fetch(struct wl_keep *k, struct keep_topic *t)
{
	struct wl_place place = {str_of(t->name), t->id, 0};

	wl_client_fetch(&k->client, &place, t->pos, (int32_t)rng_between(&k->wl->w->rng, 1, 4000), keep_fetched);
}

/* ---- offsets ---- */

static void keep_found(struct wl_keep *k, struct keep_topic *t, int64_t offset)
{
	struct world *w = k->wl->w;
	const struct keep_entry *entry;

	if (k->asked == ASK_LATEST) {
		keep_marks(k, t, -1, offset);
		return;
	}
	if (k->asked == ASK_EARLIEST) {
		keep_marks(k, t, offset, -1);
		if (t->pos < 0) {
			t->pos = offset;
			t->pos_era = k->client.conn.era;
		}
		return;
	}
	entry = &t->entries.v[k->asked];
	if (!entry->is_acked || entry->era != k->client.conn.era)
		return;
	if (offset < 0 && (t->is_compacted || t->retention_bytes > 0))
		world_fail(w, "%s: the time of record %lld at %lld finds nothing", t->name, (long long)k->asked,
			   (long long)entry->offset);
	else if (offset >= 0 && (offset < entry->offset || offset < t->start))
		world_fail(w, "%s: the time of record %lld at %lld leads to %lld, the log begins at %lld", t->name,
			   (long long)k->asked, (long long)entry->offset, (long long)offset, (long long)t->start);
}

static void keep_answered(struct sim_call *call)
{
	struct wl_keep *k = keep_of(call);
	const struct list_offsets_response *response = call->response;
	const struct list_offsets_response_topics_partitions *got;

	if (call->err)
		return;
	if (response->topics_n != 1 || response->topics[0].partitions_n != 1) {
		world_fail(k->wl->w, "ListOffsets of one partition answers %d topics", response->topics_n);
		return;
	}
	got = &response->topics[0].partitions[0];
	if (keep_has_failed(k, "ListOffsets", got->error_code))
		return;
	if (!got->error_code)
		keep_found(k, k->topic, got->offset);
	keep_later(k, got->error_code ? 100000 : 5000);
}

/* The place of a record's time, or a sentinel, which is the protocol's too. */
static void keep_ask(struct wl_keep *k, struct keep_topic *t, int64_t counter)
{
	struct list_offsets_request_topics topic;
	struct list_offsets_request_topics_partitions part;
	struct list_offsets_request request;

	k->asked = counter;
	msg_init(&list_offsets_request_type, &request);
	msg_init(&list_offsets_request_topics_type, &topic);
	msg_init(&list_offsets_request_topics_partitions_type, &part);
	request.replica_id = -1;
	request.topics = &topic;
	request.topics_n = 1;
	topic.name = str_of(t->name);
	topic.partitions = &part;
	topic.partitions_n = 1;
	part.timestamp = counter < 0 ? counter : KEEP_TIME_MS + counter;
	sim_conn_call(&k->client.conn, &k->client.call, API_LIST_OFFSETS, &request, 15000, keep_answered);
}

/* ---- create ---- */

static void keep_created(struct sim_call *call)
{
	struct wl_keep *k = keep_of(call);
	const struct create_topics_response *response = call->response;
	bool again = false;

	if (call->err)
		return;
	for (int32_t i = 0; i < response->topics_n; i++) {
		int16_t code = response->topics[i].error_code;

		if (keep_has_failed(k, "CreateTopics", code))
			return;
		again |= code != ERR_NONE && code != ERR_TOPIC_ALREADY_EXISTS;
	}
	k->is_created = !again;
	keep_later(k, 100000);
}

static void keep_create(struct wl_keep *k)
{
	char bytes[16];
	const char *configs[KEEP_TOPICS_N][5][2] = {
		{{"internal.segment.bytes", "1200"},
		 {"cleanup.policy", "delete"},
		 {"min.cleanable.dirty.ratio", "0.01"},
		 {"retention.ms", "-1"},
		 {"retention.bytes", bytes}},
		{{"internal.segment.bytes", "1200"},
		 {"cleanup.policy", "compact"},
		 {"min.cleanable.dirty.ratio", "0.01"},
		 {"retention.ms", "-1"},
		 {"retention.bytes", bytes}},
	};
	struct wl_new_topic topics[KEEP_TOPICS_N];

	snprintf(bytes, sizeof(bytes), "%d", k->topics[0].retention_bytes);
	for (int i = 0; i < KEEP_TOPICS_N; i++)
		topics[i] = (struct wl_new_topic){k->topics[i].name, configs[i], 5};
	wl_client_create(&k->client, topics, KEEP_TOPICS_N, keep_created);
}

/* ---- the reading at the end ---- */

static void keep_judge(struct wl_keep *k, const struct keep_topic *t)
{
	bool has_newer[KEEP_KEYS_N] = {false};

	for (size_t i = t->entries.n; i-- > 0 && !k->wl->w->has_failed;) {
		const struct keep_entry *entry = &t->entries.v[i];
		bool *newer = &has_newer[i % KEEP_KEYS_N];
		bool is_asked = entry->is_acked && entry->era == k->wl->w->era &&
				(t->is_compacted ? !*newer : entry->offset >= t->start);

		if (is_asked && !entry->is_seen)
			world_fail(k->wl->w, "%s: record %zu, acknowledged at %lld, is gone; the log begins at %lld",
				   t->name,
				   i, (long long)entry->offset, (long long)t->start);
		*newer = *newer || entry->is_seen;
	}
}

static void keep_read_all(struct wl_keep *k)
{
	for (int i = 0; i < KEEP_TOPICS_N; i++) {
		struct keep_topic *t = &k->topics[i];

		k->topic = t;
		if (t->is_read)
			continue;
		if (t->pos < 0)
			keep_ask(k, t, ASK_EARLIEST);
		else if (t->hw < 0 || t->pos < t->hw)
			keep_fetch(k, t);
		else
			t->is_read = true;
		if (!t->is_read)
			return;
	}
	for (int i = 0; i < KEEP_TOPICS_N; i++)
		keep_judge(k, &k->topics[i]);
	k->is_done = true;
}

static void keep_read_again(struct wl_keep *k)
{
	for (int i = 0; i < KEEP_TOPICS_N; i++) {
		struct keep_topic *t = &k->topics[i];

		t->pos = t->hw = -1;
		t->is_read = false;
		k->reads_anew = false;
		for (size_t n = 0; n < t->entries.n; n++)
			t->entries.v[n].is_seen = false;
	}
}

/* ---- life ---- */

static void keep_step(struct wl_client *client)
{
	struct wl_keep *k = container_of(client, struct wl_keep, client);
	struct rng *rng = &k->wl->w->rng;
	struct keep_topic *t = &k->topics[rng_below(rng, KEEP_TOPICS_N)];
	uint64_t what = rng_below(rng, 10);

	if (k->is_done)
		return;
	k->topic = t;
	if (k->is_resting && k->reads_anew)
		keep_read_again(k);
	if (!k->is_created)
		keep_create(k);
	else if (k->is_resting)
		keep_read_all(k);
	else if (k->burst_n > 0 && k->probe->entries.n < KEEP_RECORDS_MAX)
		keep_produce(k, k->topic = k->probe);
	else if (k->probes_n > 0 && k->probes_n-- > 0)
		keep_ask(k, k->topic = k->probe, k->probes_n % 2 ? ASK_EARLIEST : ASK_LATEST);
	else if (what < 5 && t->entries.n < KEEP_RECORDS_MAX)
		keep_produce(k, t);
	else if (what < 7 && t->entries.n)
		keep_ask(k, t, (int64_t)rng_below(rng, t->entries.n));
	else if (t->pos < 0 || what == 7)
		keep_ask(k, t, world_chance(k->wl->w, 1, 2) && t->pos >= 0 ? ASK_LATEST : ASK_EARLIEST);
	else
		keep_fetch(k, t);
}

static void keep_up(struct sim_conn *conn)
{
	struct wl_keep *k = conn->owner;

	for (int i = 0; i < KEEP_TOPICS_N; i++)
		k->topics[i].start = k->topics[i].hw = -1;
	k->reads_anew = true;
	keep_later(k, 5000);
}

static void keep_down(struct sim_conn *conn)
{
	struct wl_keep *k = conn->owner;

	if (!k->is_done)
		keep_later(k, 300000);
}

struct wl_keep *wl_keep_new(struct workload *wl)
{
	struct wl_keep *k = MEM_NEW(struct wl_keep);

	k->wl = wl;
	k->topics[0] = (struct keep_topic){.name = "trimmed", .pos = -1, .start = -1, .hw = -1};
	k->topics[0].retention_bytes = world_chance(wl->w, 1, 3) ? 0 : 3000;
	k->topics[1] = (struct keep_topic){.name = "compacted", .is_compacted = true, .pos = -1, .start = -1, .hw = -1};
	wl_client_init(&k->client, wl, "keep", keep_step);
	/* By name. */
	if (k->client.conn.cap[API_FETCH] > 12)
		k->client.conn.cap[API_FETCH] = 12;
	if (k->client.conn.cap[API_PRODUCE] > 12)
		k->client.conn.cap[API_PRODUCE] = 12;
	k->client.conn.owner = k;
	k->client.conn.up = keep_up;
	k->client.conn.down = keep_down;
	return k;
}

void wl_keep_free(struct wl_keep *k)
{
	if (!k)
		return;
	wl_client_deinit(&k->client);
	for (int i = 0; i < KEEP_TOPICS_N; i++)
		vec_deinit(&k->topics[i].entries);
	mem_free(k);
}

void wl_keep_start(struct wl_keep *k)
{
	wl_client_open(&k->client);
}

void wl_keep_rest(struct wl_keep *k)
{
	k->is_resting = true;
	k->reads_anew = true; /* an answer that is on its way comes first */
}

bool wl_keep_is_done(const struct wl_keep *k)
{
	return k->is_done;
}

void wl_keep_end(struct wl_keep *k)
{
	wl_client_end(&k->client);
}
