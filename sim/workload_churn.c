/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic that comes and goes: created, written, read back, deleted, created again under the same name. What was
 * acknowledged stays; a deleted topic's id is unknown afterwards; the next topic begins empty.
 *
 *      ASK (Metadata) --> CREATE --> ASK --> PRODUCE ... --> READ ... --> DELETE --> ASK --> OLD_ID --> CREATE
 *
 * After a lost connection or an error it begins with ASK: Metadata says what came of the last request.
 *
 * 1. `part` is the topic that was last known to be there, or NULL.
 * 2. is_deleting from the sending of DeleteTopics on: from then on the topic may be gone.
 */
#include <stdio.h>

#include "batch_build.h"
#include "msg/delete_topics.h"
#include "msg/metadata.h"
#include "workload_client.h"

#define CHURN_TOPIC "churn"

struct wl_churn {
	struct wl_client client;
	struct workload *wl;
	struct hist_part *part;
	struct uuid old_id; /* of the topic deleted last */
	bool is_deleting;
	bool is_creating; /* a CreateTopics was sent and not answered */
	bool is_resting; /* the last topic stays, for the last reading */
	uint32_t writer;
	uint32_t first, n; /* the batch that is out */
	int batches_left;
	int64_t pos;
	int rounds_n;
	void (*step)(struct wl_churn *c);
};

static void churn_ask(struct wl_churn *c);

static struct wl_churn *churn_of(struct sim_call *call)
{
	return container_of(wl_client_of_call(call), struct wl_churn, client);
}

static void churn_step(struct wl_client *client)
{
	struct wl_churn *c = container_of(client, struct wl_churn, client);

	/* Resting, it goes no further than to a topic that is there and was read. */
	if (!c->is_resting || !c->part || c->is_deleting || c->is_creating)
		c->step(c);
}

static void churn_then(struct wl_churn *c, void (*step)(struct wl_churn *), int64_t most_ms)
{
	c->step = step;
	wl_client_later(&c->client, 1000, most_ms * NS_PER_MS);
}

/* --- delete --- */

static void delete_done(struct sim_call *call)
{
	struct wl_churn *c = churn_of(call);
	const struct delete_topics_response *response = call->response;

	if (call->err)
		return;
	if (response->responses_n != 1) {
		world_fail(c->wl->w, "DeleteTopics of one topic answers %d", response->responses_n);
		return;
	}
	if (!workload_bad_error(c->wl, "DeleteTopics", response->responses[0].error_code))
		churn_then(c, churn_ask, 200);
}

static void churn_delete(struct wl_churn *c)
{
	struct delete_topics_request_topics topic;
	struct delete_topics_request request;
	struct str name = STR(CHURN_TOPIC);

	msg_init(&delete_topics_request_type, &request);
	msg_init(&delete_topics_request_topics_type, &topic);
	topic.name = STR_NULL;
	topic.topic_id = c->part->topic_id;
	if (sim_conn_version(&c->client.conn, API_DELETE_TOPICS) >= 6) {
		request.topics = &topic;
		request.topics_n = 1;
	} else {
		request.topic_names = &name;
		request.topic_names_n = 1;
	}
	request.timeout_ms = 5000;
	c->is_deleting = true;
	c->part->is_gone = true;
	sim_conn_call(&c->client.conn, &c->client.call, API_DELETE_TOPICS, &request, 15000, delete_done);
}

/* --- read --- */

static void churn_read(struct wl_churn *c);

struct churn_reading {
	struct wl_churn *c;
	int64_t high_watermark;
};

static bool churn_record(void *ctx, const struct record *record)
{
	const struct churn_reading *reading = ctx;
	struct wl_churn *c = reading->c;

	if (record->offset < c->pos)
		return true;
	history_read(&c->wl->history, c->client.conn.era, c->part, "churn", record->offset, c->pos, record->value,
		     reading->high_watermark);
	c->pos = record->offset + 1;
	return !c->wl->w->has_failed;
}

static void read_done(struct sim_call *call)
{
	struct wl_churn *c = churn_of(call);
	const struct fetch_response_responses_partitions *got;
	struct churn_reading reading = {.c = c};
	int64_t end = 0;

	if (call->err)
		return;
	got = wl_client_fetched(call);
	if (!got) {
		churn_then(c, churn_ask, 100);
		return;
	}
	if (got->error_code) {
		if (!workload_bad_error(c->wl, "Fetch", got->error_code))
			churn_then(c, churn_ask, 200);
		return;
	}
	reading.high_watermark = got->high_watermark;
	if (!wl_records_each(got, churn_record, &reading, &end))
		world_fail(c->wl->w, CHURN_TOPIC ": a damaged batch at %lld", (long long)c->pos);
	if (c->pos < got->high_watermark)
		churn_then(c, churn_read, 5);
	else
		churn_then(c, churn_delete, 100);
}

static void fetch_send(struct wl_churn *c, struct uuid id, void (*done)(struct sim_call *))
{
	struct wl_place place = {STR(CHURN_TOPIC), id, 0};

	wl_client_fetch(&c->client, &place, c->pos, 1 << 20, done);
}

static void churn_read(struct wl_churn *c)
{
	fetch_send(c, c->part->topic_id, read_done);
}

static void old_id_done(struct sim_call *call)
{
	struct wl_churn *c = churn_of(call);
	const struct fetch_response_responses_partitions *got;

	if (call->err)
		return;
	c->old_id = UUID_ZERO;
	got = wl_client_fetched(call);
	if (got && got->error_code == ERR_NONE)
		world_fail(c->wl->w, "Fetch with the id of a deleted topic succeeds");
	churn_then(c, churn_ask, 100);
}

static void churn_old_id(struct wl_churn *c)
{
	c->pos = 0;
	fetch_send(c, c->old_id, old_id_done);
}

/* --- produce --- */

static void churn_produce(struct wl_churn *c);

static void produce_done(struct sim_call *call)
{
	struct wl_churn *c = churn_of(call);
	const struct produce_response_responses_partition_responses *got;

	if (call->err)
		return;
	got = wl_client_produced(call);
	if (!got)
		return;
	if (got->error_code) {
		if (!workload_bad_error(c->wl, "Produce", got->error_code))
			churn_then(c, churn_ask, 200);
		return;
	}
	if (c->first == 0 && got->base_offset != 0)
		world_fail(c->wl->w, "the first record of a new topic gets offset %lld", (long long)got->base_offset);
	history_acked(&c->wl->history, c->client.conn.era, c->writer, c->first, c->n, got->base_offset);
	churn_then(c, --c->batches_left > 0 ? churn_produce : churn_read, 20);
}

static void churn_produce(struct wl_churn *c)
{
	struct world *w = c->wl->w;
	struct wl_place place = {STR(CHURN_TOPIC), c->part->topic_id, 0};
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct scratch bytes = {0};
	struct batch_builder b;
	struct bytes built;
	enum err err = batch_builder_init(&b, &spec, &bytes, NULL);

	c->n = (uint32_t)rng_between(&w->rng, 1, w->opt.batch_n);
	c->first = history_sent(&c->wl->history, c->writer, c->n);
	for (uint32_t i = 0; !err && i < c->n; i++) {
		uint8_t value[HISTORY_VALUE_MAX];
		struct record_fields fields = {
			.value = {value, history_value(&c->wl->history, c->writer, c->first + i, value)}};

		err = batch_builder_add(&b, (w->wall_base_ns + w->now_ns) / NS_PER_MS, &fields);
	}
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
	/* Each batch is sent once, whatever comes of it. */
	wl_client_produce(&c->client, &place, -1, scratch_bytes(&bytes), produce_done);
	scratch_deinit(&bytes);
}

/* --- create, ask --- */

static void create_done(struct sim_call *call)
{
	struct wl_churn *c = churn_of(call);
	const struct create_topics_response *response = call->response;

	if (call->err)
		return;
	if (response->topics_n == 1 && !workload_bad_error(c->wl, "CreateTopics", response->topics[0].error_code))
		churn_then(c, churn_ask, 100);
}

static void churn_create(struct wl_churn *c)
{
	struct wl_new_topic topic = {.name = CHURN_TOPIC};

	c->is_creating = true;
	wl_client_create(&c->client, &topic, 1, create_done);
}

/* Metadata names the topic with an id. */
static void churn_found(struct wl_churn *c, struct uuid id, bool is_served)
{
	bool is_same = c->part && uuid_eq(c->part->topic_id, id);

	if (!is_same && c->part && !c->is_deleting) {
		world_fail(c->wl->w, "topic %s changed its id", CHURN_TOPIC);
		return;
	}
	if (is_same && c->is_deleting) {
		churn_then(c, churn_delete, 200);
		return;
	}
	if (!is_same) {
		c->part = history_part(&c->wl->history, CHURN_TOPIC, id, 0);
		c->writer = history_writer(&c->wl->history, c->part, false);
		c->is_deleting = c->is_creating = false;
		c->batches_left = (int)rng_between(&c->wl->w->rng, 1, 6);
		c->pos = 0;
		c->rounds_n++;
	}
	if (!is_served)
		churn_then(c, churn_ask, 100);
	else
		churn_then(c, c->batches_left > 0 ? churn_produce : churn_read, 20);
}

static void churn_missing(struct wl_churn *c)
{
	if (c->part && !c->is_deleting) {
		world_fail(c->wl->w, "topic %s, which was there, is unknown", CHURN_TOPIC);
		return;
	}
	if (c->part)
		c->old_id = c->part->topic_id;
	c->part = NULL;
	c->is_deleting = false;
	if (!uuid_is_zero(c->old_id) && sim_conn_version(&c->client.conn, API_FETCH) >= 13 &&
	    world_chance(c->wl->w, 1, 2))
		churn_then(c, churn_old_id, 20);
	else
		churn_then(c, churn_create, 200);
}

static void ask_done(struct sim_call *call)
{
	struct wl_churn *c = churn_of(call);
	const struct metadata_response *response = call->response;
	const struct metadata_response_topics *topic;

	if (call->err)
		return;
	if (response->topics_n != 1) {
		world_fail(c->wl->w, "Metadata of one topic answers %d", response->topics_n);
		return;
	}
	topic = &response->topics[0];
	if (topic->error_code == ERR_UNKNOWN_TOPIC_OR_PARTITION)
		churn_missing(c);
	else if (topic->error_code)
		churn_then(c, churn_ask, 200);
	else
		churn_found(c, topic->topic_id,
			    topic->partitions_n == 1 && !topic->partitions[0].error_code &&
				    topic->partitions[0].leader_id >= 0);
}

static void churn_ask(struct wl_churn *c)
{
	struct metadata_request_topics topic;
	struct metadata_request request;

	msg_init(&metadata_request_type, &request);
	msg_init(&metadata_request_topics_type, &topic);
	topic.name = STR(CHURN_TOPIC);
	request.topics = &topic;
	request.topics_n = 1;
	request.allow_auto_topic_creation = false;
	sim_conn_call(&c->client.conn, &c->client.call, API_METADATA, &request, 15000, ask_done);
}

/* --- life --- */

static void churn_up(struct sim_conn *conn)
{
	struct wl_churn *c = conn->owner;

	if (sim_conn_version(conn, API_DELETE_TOPICS) < 0)
		return; /* a body that cannot delete */
	churn_then(c, churn_ask, 20);
}

static void churn_down(struct sim_conn *conn)
{
	churn_then(conn->owner, churn_ask, 300);
}

struct wl_churn *wl_churn_new(struct workload *wl)
{
	struct wl_churn *c = MEM_NEW(struct wl_churn);

	c->wl = wl;
	c->step = churn_ask;
	wl_client_init(&c->client, wl, "churn", churn_step);
	c->client.conn.cap[API_METADATA] = 13;
	c->client.conn.owner = c;
	c->client.conn.up = churn_up;
	c->client.conn.down = churn_down;
	return c;
}

void wl_churn_free(struct wl_churn *c)
{
	if (!c)
		return;
	wl_client_deinit(&c->client);
	mem_free(c);
}

void wl_churn_start(struct wl_churn *c)
{
	wl_client_open(&c->client);
}

void wl_churn_rest(struct wl_churn *c)
{
	c->is_resting = true;
}

void wl_churn_end(struct wl_churn *c)
{
	wl_client_end(&c->client);
}

bool wl_churn_is_resting(const struct wl_churn *c)
{
	return !sim_call_is_out(&c->client.call) && c->part && !c->is_deleting && !c->is_creating;
}

struct hist_part *wl_churn_part(const struct wl_churn *c)
{
	return c->part;
}
