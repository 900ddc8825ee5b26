/* SPDX-License-Identifier: Apache-2.0 */
/* A client that sends one request at a time and waits for the answer; it keeps what was acknowledged. See steps.h. */
#include <stdio.h>
#include <stdlib.h>

#include "batch_build.h"
#include "msg/create_topics.h"
#include "msg/delete_topics.h"
#include "msg/end_txn.h"
#include "msg/find_coordinator.h"
#include "msg/init_producer_id.h"
#include "msg/produce.h"
#include "steps.h"

#define STEPS_TIME_MS INT64_C(1800000) /* ahead of the clock, and so of the transactions' markers */
#define STEPS_CALL_MS 20000
#define STEPS_VALUE_MAX 4096
#define STEPS_CONFIGS_MAX 8

static bool is_off(const struct steps *s)
{
	return world_node(s->w, 1)->state == SIM_NODE_OFF;
}

/* ---- connection ---- */

void steps_disconnect(struct steps *s)
{
	if (s->conn.state != CONN_OFF)
		sim_conn_close(&s->conn);
	world_run_ms(s->w, 1);
}

bool steps_connect(struct steps *s)
{
	for (int i = 0; i < STEPS_TRIES && !is_off(s) && !s->w->has_failed; i++) {
		if (s->conn.state == CONN_UP)
			return true;
		if (s->conn.state == CONN_OFF)
			sim_conn_open(&s->conn);
		world_run_ms(s->w, 10);
	}
	return s->conn.state == CONN_UP;
}

struct steps_call {
	struct sim_call call;
	enum err err;
	bool is_over;
	void (*take)(void *ctx, const void *response);
	void *ctx;
};

static void call_done(struct sim_call *call)
{
	struct steps_call *c = container_of(call, struct steps_call, call);

	c->is_over = true;
	c->err = call->err;
	if (!call->err && c->take)
		c->take(c->ctx, call->response);
}

enum err steps_call(struct steps *s, int16_t api, const void *body, void (*take)(void *ctx, const void *response),
		    void *ctx)
{
	struct steps_call c = {.take = take, .ctx = ctx};

	if (!steps_connect(s))
		return ERR_DISCONNECTED;
	sim_conn_call(&s->conn, &c.call, api, body, STEPS_CALL_MS, call_done);
	while (!c.is_over && !s->w->has_failed) {
		/* Nobody answers any more, and nobody says so. */
		if (is_off(s) && s->conn.state != CONN_OFF)
			sim_conn_close(&s->conn);
		world_step(s->w);
	}
	return c.is_over ? c.err : ERR_DISCONNECTED;
}

/* Errors that pass when asked again a little later: a start that is not over, a directory whose state is not told. */
static bool steps_passes(enum err err)
{
	return err == ERR_NOT_LEADER_OR_FOLLOWER || err == ERR_LEADER_NOT_AVAILABLE ||
	       err == ERR_UNKNOWN_TOPIC_OR_PARTITION || err == ERR_COORDINATOR_LOAD_IN_PROGRESS ||
	       err == ERR_COORDINATOR_NOT_AVAILABLE || err == ERR_NOT_COORDINATOR ||
	       err == ERR_CONCURRENT_TRANSACTIONS || err == ERR_REQUEST_TIMED_OUT;
}

enum err steps_ask(struct steps *s, int16_t api, const void *body, void (*take)(void *ctx, const void *response),
		   void *ctx, const enum err *told)
{
	enum err err = ERR_NONE;

	for (int i = 0; i < STEPS_TRIES; i++) {
		err = steps_call(s, api, body, take, ctx);
		if (err || !steps_passes(*told))
			break;
		world_run_ms(s->w, STEPS_PAUSE_MS);
	}
	return err ? err : *told;
}

/* ---- topics ---- */

struct created {
	enum err err;
	struct uuid id;
};

static void got_created(void *ctx, const void *response)
{
	const struct create_topics_response *got = response;
	struct created *created = ctx;

	*created = (struct created){.err = ERR_UNKNOWN_SERVER_ERROR};
	if (got->topics_n == 1)
		*created = (struct created){(enum err)got->topics[0].error_code, got->topics[0].topic_id};
}

static int32_t split_config(const char *config, char *text, size_t cap,
			    struct create_topics_request_topics_configs *ret)
{
	int32_t n = 0;

	snprintf(text, cap, "%s", config ? config : "");
	for (char *save, *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(p, '=');

		CHECK(eq);
		CHECK_OP(n, <, STEPS_CONFIGS_MAX);
		*eq = 0;
		msg_init(&create_topics_request_topics_configs_type, &ret[n]);
		ret[n].name = str_of(p);
		ret[n++].value = str_of(eq + 1);
	}
	return n;
}

static enum err create_once(struct steps *s, const char *topic, int32_t partitions, const char *config,
			    struct created *ret)
{
	struct create_topics_request_topics_configs configs[STEPS_CONFIGS_MAX];
	struct create_topics_request_topics asked;
	struct create_topics_request request;
	enum err err;
	char text[512];

	msg_init(&create_topics_request_type, &request);
	msg_init(&create_topics_request_topics_type, &asked);
	asked.name = str_of(topic);
	asked.num_partitions = partitions;
	asked.replication_factor = 1;
	asked.configs = configs;
	asked.configs_n = split_config(config, text, sizeof(text), configs);
	request.topics = &asked;
	request.topics_n = 1;
	request.timeout_ms = 5000;
	err = steps_call(s, API_CREATE_TOPICS, &request, got_created, ret);
	return err ? err : ret->err;
}

struct steps_part *steps_create(struct steps *s, const char *topic, int32_t partitions, const char *config)
{
	struct steps_part *first = &s->parts[s->parts_n];
	struct created created = {0};
	enum err err;

	CHECK_OP(s->parts_n + partitions, <=, STEPS_PARTS_MAX);
	for (int32_t i = 0; i < partitions; i++) {
		struct steps_part *part = &s->parts[s->parts_n++];

		*part = (struct steps_part){.index = i, .is = STEPS_TOPIC_ASKED, .producer_id = -1,
					    .is_compacted = config && strstr(config, "compact")};
		snprintf(part->topic, sizeof(part->topic), "%s", topic);
	}
	err = create_once(s, topic, partitions, config, &created);
	for (int i = 0; i < 20 && err == ERR_TOPIC_ALREADY_EXISTS; i++) {
		world_run_ms(s->w, STEPS_PAUSE_MS);
		err = create_once(s, topic, partitions, config, &created);
	}
	for (int32_t i = 0; !err && i < partitions; i++) {
		first[i].is = STEPS_TOPIC_THERE;
		first[i].id = created.id;
	}
	return first;
}

static void deleted(void *ctx, const void *response)
{
	const struct delete_topics_response *got = response;

	*(enum err *)ctx = got->responses_n == 1 ? (enum err)got->responses[0].error_code : ERR_UNKNOWN_SERVER_ERROR;
}

void steps_delete_topic(struct steps *s, const char *topic)
{
	struct delete_topics_request_topics asked;
	struct delete_topics_request request;
	struct str name = str_of(topic);
	enum err err = ERR_NONE, call_err;

	msg_init(&delete_topics_request_type, &request);
	msg_init(&delete_topics_request_topics_type, &asked);
	asked.name = name;
	request.topics = &asked;
	request.topics_n = 1;
	request.topic_names = &name;
	request.topic_names_n = 1;
	request.timeout_ms = 5000;
	for (int i = 0; i < s->parts_n; i++)
		if (strcmp(s->parts[i].topic, topic) == 0 && s->parts[i].is != STEPS_TOPIC_GONE)
			s->parts[i].is = STEPS_TOPIC_LEAVING;
	call_err = steps_call(s, API_DELETE_TOPICS, &request, deleted, &err);
	for (int i = 0; !call_err && !err && i < s->parts_n; i++)
		if (strcmp(s->parts[i].topic, topic) == 0)
			s->parts[i].is = STEPS_TOPIC_GONE;
}

/* ---- records ---- */

int64_t steps_time_ms(const struct steps *s, int64_t number)
{
	return s->w->wall_base_ns / NS_PER_MS + STEPS_TIME_MS + number;
}

struct id_answer {
	enum err err;
	int64_t producer_id;
	int16_t epoch;
};

static void got_id(void *ctx, const void *response)
{
	const struct init_producer_id_response *got = response;

	*(struct id_answer *)ctx = (struct id_answer){(enum err)got->error_code, got->producer_id, got->producer_epoch};
}

static enum err get_id(struct steps *s, const char *transactional_id, struct id_answer *ret)
{
	struct init_producer_id_request request;

	msg_init(&init_producer_id_request_type, &request);
	request.transactional_id = transactional_id ? str_of(transactional_id) : STR_NULL;
	request.transaction_timeout_ms = 60000;
	return steps_ask(s, API_INIT_PRODUCER_ID, &request, got_id, ret, &ret->err);
}

struct produced {
	enum err err;
	int64_t base_offset;
	int64_t log_start;
};

static void got_produced(void *ctx, const void *response)
{
	const struct produce_response *got = response;
	struct produced *produced = ctx;

	*produced = (struct produced){.err = ERR_UNKNOWN_SERVER_ERROR};
	if (got->responses_n == 1 && got->responses[0].partition_responses_n == 1) {
		produced->err = (enum err)got->responses[0].partition_responses[0].error_code;
		produced->base_offset = got->responses[0].partition_responses[0].base_offset;
		produced->log_start = got->responses[0].partition_responses[0].log_start_offset;
	}
}

struct batch_of {
	const struct steps_part *part;
	uint32_t first, n;
	int64_t producer_id;
	int16_t epoch;
	int32_t sequence;
	bool is_txn;
	int len;
};

/* Values: the number in the partition, and so many bytes that depend on it. */
static void build(const struct steps *s, const struct batch_of *of, struct scratch *out)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	struct bytes built;
	enum err err;

	spec.producer_id = of->producer_id;
	spec.producer_epoch = of->epoch;
	spec.base_sequence = of->sequence;
	spec.attributes = of->is_txn ? BATCH_TRANSACTIONAL : 0;
	err = batch_builder_init(&b, &spec, out, NULL);
	for (uint32_t i = 0; !err && i < of->n; i++) {
		uint8_t value[STEPS_VALUE_MAX];
		uint32_t number = of->first + i;
		uint8_t key = of->part->records.v[number].key;
		struct record_fields fields = {.key = {&key, 1}, .value = {value, (size_t)of->len}};

		memset(value, (int)(number * 7 + 1) & 0xff, (size_t)of->len);
		store_be32(value, number);
		err = batch_builder_add(&b, steps_time_ms(s, number), &fields);
	}
	if (!err)
		err = batch_builder_finish(&b, &built);
	CHECK_OP(err, ==, ERR_NONE);
}

static enum err send_batch(struct steps *s, const struct batch_of *of, const char *transactional_id,
			   struct produced *ret)
{
	struct produce_request_topic_data_partition_data p;
	struct produce_request_topic_data topic;
	struct produce_request request;
	struct scratch bytes = {0};
	enum err err;

	build(s, of, &bytes);
	msg_init(&produce_request_type, &request);
	msg_init(&produce_request_topic_data_type, &topic);
	msg_init(&produce_request_topic_data_partition_data_type, &p);
	request.transactional_id = transactional_id ? str_of(transactional_id) : STR_NULL;
	request.acks = -1;
	request.timeout_ms = 5000;
	request.topic_data = &topic;
	request.topic_data_n = 1;
	topic.name = str_of(of->part->topic);
	topic.partition_data = &p;
	topic.partition_data_n = 1;
	p.index = of->part->index;
	p.records = records_mem(scratch_bytes(&bytes));
	*ret = (struct produced){0};
	err = steps_ask(s, API_PRODUCE, &request, got_produced, ret, &ret->err);
	scratch_deinit(&bytes);
	return err;
}

static void keep_acked(struct steps *s, struct steps_part *part, const struct produced *produced)
{
	part->is_batch_acked = true;
	part->batch_offset = produced->base_offset;
	for (uint32_t i = 0; i < part->batch_n; i++)
		part->records.v[part->batch_first + i].offset = produced->base_offset + i;
	if (produced->log_start > part->start_most)
		world_fail(s->w, "%s-%d: Produce says that the log begins at %lld, nobody asked for more than %lld",
			   part->topic, part->index, (long long)produced->log_start, (long long)part->start_most);
}

static void add_records(struct steps_part *part, uint32_t n)
{
	part->batch_first = (uint32_t)part->records.n;
	part->batch_n = n;
	part->is_batch_acked = false;
	part->is_batch_of_txn = false;
	for (uint32_t i = 0; i < n; i++)
		vec_push(&part->records, ((struct steps_record){
			.offset = -1, .key = (uint8_t)(part->records.n % STEPS_KEYS_N)}));
}

enum err steps_produce(struct steps *s, struct steps_part *part, uint32_t n, int len)
{
	struct produced produced;
	struct batch_of of;
	struct id_answer id;
	enum err err;

	/* What was not answered comes first. */
	if (part->batch_n && !part->is_batch_acked && !part->is_batch_of_txn) {
		err = steps_produce_again(s, part);
		if (err)
			return err;
	}
	if (part->producer_id < 0) {
		err = get_id(s, NULL, &id);
		if (err)
			return err;
		part->producer_id = id.producer_id;
		part->sequence_next = 0;
	}
	add_records(part, n);
	of = (struct batch_of){part, part->batch_first, n, part->producer_id, 0, part->sequence_next, false, len};
	part->sequence_next += (int32_t)n;
	err = send_batch(s, &of, NULL, &produced);
	if (!err)
		keep_acked(s, part, &produced);
	return err;
}

enum err steps_produce_again(struct steps *s, struct steps_part *part)
{
	struct batch_of of = {part, part->batch_first, part->batch_n, part->producer_id, 0,
			      part->sequence_next - (int32_t)part->batch_n, false, 40};
	struct produced produced;
	enum err err;

	err = send_batch(s, &of, NULL, &produced);
	if (err)
		return err;
	if (part->is_batch_acked && produced.base_offset != part->batch_offset)
		world_fail(s->w, "%s-%d: a batch that was stored at %lld is at %lld when sent again", part->topic,
			   part->index, (long long)part->batch_offset, (long long)produced.base_offset);
	keep_acked(s, part, &produced);
	return ERR_NONE;
}

/* ---- transactions ---- */

#define STEPS_TXN "steps"

/* Somebody has to ask for the coordinator, or its topic is never made. */
static void find_coordinator(struct steps *s)
{
	struct find_coordinator_request request;
	struct str key = STR(STEPS_TXN);

	msg_init(&find_coordinator_request_type, &request);
	request.key_type = 1;
	request.coordinator_keys = &key;
	request.coordinator_keys_n = 1;
	(void)steps_call(s, API_FIND_COORDINATOR, &request, NULL, NULL);
}

void steps_txn_begin(struct steps *s)
{
	struct id_answer id;
	enum err err;

	find_coordinator(s);
	err = get_id(s, STEPS_TXN, &id);
	s->txn_producer_id = err ? -1 : id.producer_id;
	s->txn_epoch = err ? -1 : id.epoch;
}

enum err steps_produce_txn(struct steps *s, struct steps_part *part, uint32_t n)
{
	struct produced produced;
	struct batch_of of;
	enum err err;

	if (s->txn_producer_id < 0)
		return ERR_INVALID_PRODUCER_EPOCH;
	add_records(part, n);
	part->is_batch_of_txn = true;
	for (uint32_t i = 0; i < n; i++)
		part->records.v[part->batch_first + i].txn = STEPS_UNDECIDED;
	of = (struct batch_of){part, part->batch_first, n, s->txn_producer_id, s->txn_epoch, 0, true, 40};
	err = send_batch(s, &of, STEPS_TXN, &produced);
	if (!err)
		keep_acked(s, part, &produced);
	return err;
}

static void got_end(void *ctx, const void *response)
{
	*(enum err *)ctx = (enum err)((const struct end_txn_response *)response)->error_code;
}

void steps_txn_end(struct steps *s, struct steps_part *part, uint32_t first, bool commit)
{
	struct end_txn_request request;
	enum err got = ERR_NONE, err;

	if (s->txn_producer_id < 0)
		return;
	msg_init(&end_txn_request_type, &request);
	request.transactional_id = STR(STEPS_TXN);
	request.producer_id = s->txn_producer_id;
	request.producer_epoch = s->txn_epoch;
	request.committed = commit;
	err = steps_call(s, API_END_TXN, &request, got_end, &got);
	for (size_t i = first; i < part->records.n; i++) {
		if (!commit)
			part->records.v[i].txn = STEPS_ABORTED;
		else if (!err && !got)
			part->records.v[i].txn = STEPS_PLAIN;
	}
	s->txn_producer_id = -1;
}
