/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A producer as real clients are: batches in order, a few requests in flight, an idempotent one sends again in the
 * same order with the same sequences until it is told, another one sends each batch once.
 *
 *      WAITING (no connection) --> NO_ID (asks for a producer id) --> SENDING <--> BACKING_OFF
 *
 * 1. `queue` holds the batches without an end, oldest first; per partition their sequences follow each other.
 * 2. While backing off nothing is sent; when the last answer is in, all of `queue` goes out again in order.
 * 3. A session (one producer id) ends when the broker says that a sequence cannot follow, which it must not say of
 *    the first open batch of a partition unless a lossy cut took records, or the batch and a later one were stored
 *    before a restart: snapshots of producers hold the newest batch only, as Kafka's do, so the older one, sent again,
 *    is not known to be a repetition; or unless it is the first of all, the disk was full when it came, and a later
 *    one was taken: a producer that is not known may begin anywhere.
 */
#include <stdio.h>

#include "batch_build.h"
#include "msg/init_producer_id.h"
#include "msg/produce.h"
#include "workload.h"

#define PRODUCER_QUEUE_MAX 20
#define PRODUCER_CALLS_MAX 5
#define PRODUCER_CALL_BATCHES_MAX 3

struct wl_batch {
	struct list link;
	int part; /* index in workload.parts */
	uint32_t writer;
	uint32_t first;
	uint32_t n;
	struct scratch bytes;
	bool is_out;
	bool was_sent;
	uint32_t gap_sequence;
	bool is_gap; /* leaves out sequences on purpose: has to be refused */
	int followed_start; /* the node's start in which a later batch of the partition was sent first; 0: none */
	uint32_t era; /* of the partition when it was made */
	bool met_full_disk; /* it was answered with what a full disk is answered with */
};

struct wl_produce_call {
	struct sim_call call;
	struct wl_producer *p;
	struct wl_batch *batches[PRODUCER_CALL_BATCHES_MAX];
	int batches_n;
	int16_t acks;
};

struct wl_producer {
	struct workload *wl;
	int id;
	char name[32];
	bool is_idempotent;
	int16_t acks;
	struct sim_conn conn;
	struct sim_event retry; /* reopens, or ends the back-off */
	struct sim_event tick;  /* makes a batch */
	struct sim_call id_call;
	int64_t producer_id;
	int16_t producer_epoch;
	uint32_t writers[WORKLOAD_PARTS_MAX]; /* plus 1; 0: none in this session */
	uint32_t acked_eras[WORKLOAD_PARTS_MAX]; /* plus 1, of the newest acknowledgement; 0: none in this session */
	struct list queue;
	int queue_n;
	struct wl_produce_call calls[PRODUCER_CALLS_MAX];
	bool is_backing_off;
	bool is_stopped;
	bool is_ended;
	int acked_since_calm;
	struct compress_ctx ctx;
};

static void producer_pump(struct wl_producer *p);

static void batch_drop(struct wl_producer *p, struct wl_batch *batch)
{
	list_remove(&batch->link);
	p->queue_n--;
	scratch_deinit(&batch->bytes);
	mem_free(batch);
}

static bool producer_has_calls(const struct wl_producer *p)
{
	for (int i = 0; i < PRODUCER_CALLS_MAX; i++) {
		if (p->calls[i].batches_n)
			return true;
	}
	return sim_call_is_out(&p->id_call);
}

/* --- sessions --- */

static void session_end(struct wl_producer *p)
{
	p->producer_id = NO_PRODUCER_ID;
	memset(p->writers, 0, sizeof(p->writers));
	memset(p->acked_eras, 0, sizeof(p->acked_eras));
	list_for_each(link, tmp, &p->queue)
		batch_drop(p, list_entry(link, struct wl_batch, link));
}

static void id_done(struct sim_call *call)
{
	struct wl_producer *p = container_of(call, struct wl_producer, id_call);
	const struct init_producer_id_response *response = call->response;
	struct workload *wl = p->wl;

	if (call->err || workload_bad_error(wl, "InitProducerId", response->error_code))
		return;
	if (response->error_code) {
		p->is_backing_off = true;
		producer_pump(p);
		return;
	}
	if (response->producer_id < 0 || response->producer_epoch != 0) {
		world_fail(wl->w, "InitProducerId gives id %lld epoch %d", (long long)response->producer_id,
			   response->producer_epoch);
		return;
	}
	if (map_put_u64(&wl->pids, (uint64_t)response->producer_id, p)) {
		world_fail(wl->w, "producer id %lld was handed out twice", (long long)response->producer_id);
		return;
	}
	p->producer_id = response->producer_id;
	p->producer_epoch = response->producer_epoch;
	producer_pump(p);
}

static void producer_ask_id(struct wl_producer *p)
{
	struct init_producer_id_request request;

	msg_init(&init_producer_id_request_type, &request);
	request.transactional_id = STR_NULL;
	request.transaction_timeout_ms = INT32_MAX;
	sim_conn_call(&p->conn, &p->id_call, API_INIT_PRODUCER_ID, &request, 10000, id_done);
}

/* --- batches --- */

/* Produce takes zstd from version 7 on, and Fetch gives it to nobody below version 10. */
static enum codec draw_codec(const struct wl_producer *p)
{
	struct world *w = p->wl->w;
	uint64_t codecs_n = p->wl->old_readers || sim_conn_version(&p->conn, API_PRODUCE) < 7 ? CODEC_ZSTD : CODEC_N;

	return world_chance(w, 1, 8) ? (enum codec)rng_below(&w->rng, codecs_n) : CODEC_NONE;
}

/* The bytes; then it is in the queue. */
static void batch_finish(struct wl_producer *p, struct wl_batch *batch)
{
	struct world *w = p->wl->w;
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder b;
	uint8_t value[HISTORY_VALUE_MAX];
	char key[32];
	struct bytes done;
	int64_t now_ms = (w->wall_base_ns + w->now_ns) / NS_PER_MS;
	enum err err;

	spec.codec = draw_codec(p);
	if (p->is_idempotent) {
		spec.producer_id = p->producer_id;
		spec.producer_epoch = p->producer_epoch;
		spec.base_sequence = (int32_t)(batch->is_gap ? batch->gap_sequence : batch->first);
	}
	err = batch_builder_init(&b, &spec, &batch->bytes, &p->ctx);
	for (uint32_t i = 0; !err && i < batch->n; i++) {
		struct record_header header = {STR("h"), {value, 4}};
		struct record_fields fields = {
			.value = {value, history_value(&p->wl->history, batch->writer, batch->first + i, value)}};

		if ((batch->first + i) % 3)
			fields.key = (struct bytes){(uint8_t *)key, (size_t)snprintf(key, sizeof(key), "k%u", i)};
		if ((batch->first + i) % 5 == 0) {
			fields.headers = &header;
			fields.headers_n = 1;
		}
		err = batch_builder_add(&b, now_ms - (int64_t)rng_below(&w->rng, 50), &fields);
	}
	if (!err)
		err = batch_builder_finish(&b, &done);
	CHECK_OP(err, ==, ERR_NONE);
	batch->era = p->wl->parts[batch->part]->era;
	list_push_back(&p->queue, &batch->link);
	p->queue_n++;
}

static void producer_make_batch(struct wl_producer *p)
{
	struct workload *wl = p->wl;
	struct wl_batch *batch = MEM_NEW(struct wl_batch);

	wl->batches_n++;
	batch->part = (int)rng_below(&wl->w->rng, (uint64_t)wl->parts_n);
	if (!p->writers[batch->part])
		p->writers[batch->part] =
			history_writer(&wl->history, wl->parts[batch->part], p->is_idempotent) + 1;
	batch->writer = p->writers[batch->part] - 1;
	batch->n = (uint32_t)rng_between(&wl->w->rng, 1, wl->w->opt.batch_n);
	batch->first = history_sent(&wl->history, batch->writer, batch->n);
	batch_finish(p, batch);
}

/* A batch that leaves out sequences, of a writer that has no other: it has to be refused. Only where the broker knows
 * the producer for sure, and while nothing else is open. */
static void producer_make_gap(struct wl_producer *p)
{
	struct workload *wl = p->wl;
	int part = (int)rng_below(&wl->w->rng, (uint64_t)wl->parts_n);
	struct wl_batch *batch;

	if (!p->writers[part] || p->acked_eras[part] != wl->parts[part]->era + 1)
		return;
	batch = MEM_NEW(struct wl_batch);
	batch->part = part;
	batch->is_gap = true;
	batch->gap_sequence = (uint32_t)wl->history.writers.v[p->writers[part] - 1]->offsets.n + 1;
	batch->writer = history_writer(&wl->history, wl->parts[part], false);
	batch->n = 1;
	batch->first = history_sent(&wl->history, batch->writer, 1);
	batch_finish(p, batch);
}

/* --- answers --- */

static bool is_first_of_part(struct wl_producer *p, const struct wl_batch *batch)
{
	list_for_each(link, tmp, &p->queue) {
		const struct wl_batch *other = list_entry(link, struct wl_batch, link);

		if (other->part == batch->part)
			return other == batch;
	}
	return false;
}

/* It is stored, or may be. The broker did not know the producer while the disk was full, and took it for the first. */
static void batch_passes(struct wl_producer *p, const struct wl_batch *batch)
{
	list_for_each(link, tmp, &p->queue) {
		struct wl_batch *other = list_entry(link, struct wl_batch, link);

		if (other == batch)
			return;
		if (other->part == batch->part && other->first == 0 && other->met_full_disk)
			history_begins_late(&p->wl->history, other->writer);
	}
}

static void batch_acked(struct wl_producer *p, struct wl_batch *batch, int64_t base_offset)
{
	history_acked(&p->wl->history, p->conn.era, batch->writer, batch->first, batch->n, base_offset);
	p->acked_since_calm++;
	p->acked_eras[batch->part] = p->conn.era + 1;
	batch_passes(p, batch);
	batch_drop(p, batch);
}

/* The broker says that the sequence cannot follow. */
static void batch_out_of_order(struct wl_producer *p, struct wl_batch *batch, int16_t code)
{
	struct hist_part *part = p->wl->parts[batch->part];
	bool was_passed = batch->first == 0 && p->wl->history.writers.v[batch->writer]->begins_late;

	if (!is_first_of_part(p, batch)) {
		/* The one before failed; both go again. */
		p->is_backing_off = true;
		return;
	}
	/* The records that this one follows may have gone with a lossy cut at any time in the session. */
	if (part->era == 0 && !was_passed &&
	    (!batch->followed_start || batch->followed_start == world_node(p->wl->w, p->wl->node)->starts_n)) {
		world_fail(p->wl->w, "%s-%d refuses (error %d) the next sequence %u of producer %lld", part->topic,
			   part->index, code, batch->first, (long long)p->producer_id);
		return;
	}
	session_end(p);
}

static void batch_answered(struct wl_producer *p, struct wl_batch *batch, int16_t code, int64_t base_offset)
{
	batch->is_out = false;
	world_trace(p->wl->w, "produce.answered", "client=%s part=%s-%d writer=%u seq=%u..%u error=%d offset=%lld",
		    p->name, p->wl->parts[batch->part]->topic, p->wl->parts[batch->part]->index, batch->writer,
		    batch->first, batch->first + batch->n - 1, code, (long long)base_offset);
	if (batch->is_gap) {
		if (code == ERR_NONE)
			world_fail(p->wl->w, "%s-%d takes sequence %u of producer %lld, which leaves some out",
				   p->wl->parts[batch->part]->topic, p->wl->parts[batch->part]->index,
				   batch->gap_sequence, (long long)p->producer_id);
		else
			(void)workload_bad_error(p->wl, "Produce", code);
		batch_drop(p, batch);
		return;
	}
	if (code == ERR_NONE && base_offset < 0) {
		world_fail(p->wl->w, "Produce without error answers base offset %lld", (long long)base_offset);
	} else if (code == ERR_NONE) {
		batch_acked(p, batch, base_offset);
	} else if (workload_bad_error(p->wl, "Produce", code)) {
		return;
	} else if (!p->is_idempotent) {
		batch_drop(p, batch);
	} else if (code == ERR_DUPLICATE_SEQUENCE_NUMBER) {
		batch_acked(p, batch, -1);
	} else if (code == ERR_OUT_OF_ORDER_SEQUENCE_NUMBER || code == ERR_UNKNOWN_PRODUCER_ID) {
		batch_out_of_order(p, batch, code);
	} else {
		batch->met_full_disk |= code == ERR_KAFKA_STORAGE_ERROR;
		if (code == ERR_REQUEST_TIMED_OUT)
			batch_passes(p, batch);
		p->is_backing_off = true;
	}
}

static bool is_queued(struct wl_producer *p, const struct wl_batch *batch)
{
	list_for_each(link, tmp, &p->queue) {
		if (list_entry(link, struct wl_batch, link) == batch)
			return true;
	}
	return false;
}

static void call_answered(struct wl_produce_call *pc)
{
	struct wl_producer *p = pc->p;
	struct workload *wl = p->wl;
	const struct produce_response *response = pc->call.response;
	int answers_n = 0;

	for (int32_t t = 0; t < response->responses_n; t++) {
		const struct produce_response_responses *topic = &response->responses[t];

		for (int32_t i = 0; i < topic->partition_responses_n && !wl->w->has_failed; i++) {
			const struct produce_response_responses_partition_responses *part =
				&topic->partition_responses[i];
			const struct hist_part *hp = workload_find_part(
				wl, pc->call.version < 13 ? topic->name : STR_NULL, topic->topic_id, part->index);

			answers_n++;
			for (int k = 0; k < pc->batches_n; k++) {
				struct wl_batch *batch = pc->batches[k];

				/* A session that ended took its batches along. */
				if (batch && is_queued(p, batch) && hp == wl->parts[batch->part]) {
					pc->batches[k] = NULL;
					batch_answered(p, batch, part->error_code, part->base_offset);
					if (part->error_code == ERR_REQUEST_TIMED_OUT && wl->is_calm &&
					    pc->call.sent_ns >= wl->calm_since_ns)
						world_fail(wl->w, "Produce times out in calm");
					break;
				}
			}
		}
	}
	if (answers_n != pc->batches_n)
		world_fail(wl->w, "Produce of %d partitions answers %d", pc->batches_n, answers_n);
}

static void produce_done(struct sim_call *call)
{
	struct wl_produce_call *pc = container_of(call, struct wl_produce_call, call);
	struct wl_producer *p = pc->p;

	if (!call->err)
		call_answered(pc);
	for (int i = 0; call->err && i < pc->batches_n; i++) {
		struct wl_batch *batch = pc->batches[i];

		if (!is_queued(p, batch))
			continue;
		batch->is_out = false;
		batch_passes(p, batch);
		if (!p->is_idempotent || batch->is_gap)
			batch_drop(p, batch);
	}
	pc->batches_n = 0;
	producer_pump(p);
}

/* --- sending --- */

/* The batches before this one that are open are not the newest of their partition any more. */
static void batch_follows(struct wl_producer *p, const struct wl_batch *batch)
{
	list_for_each(link, tmp, &p->queue) {
		struct wl_batch *other = list_entry(link, struct wl_batch, link);

		if (other == batch)
			return;
		if (other->part == batch->part && !other->followed_start)
			other->followed_start = world_node(p->wl->w, p->wl->node)->starts_n;
	}
}

/* One request with the first batches that are not out, no partition twice. */
static void producer_send(struct wl_producer *p, struct wl_produce_call *pc)
{
	struct workload *wl = p->wl;
	struct produce_request_topic_data topics[PRODUCER_CALL_BATCHES_MAX];
	struct produce_request_topic_data_partition_data parts[PRODUCER_CALL_BATCHES_MAX];
	struct produce_request request;
	int most = 1 + (int)rng_below(&wl->w->rng, PRODUCER_CALL_BATCHES_MAX);
	int n = 0;

	list_for_each(link, tmp, &p->queue) {
		struct wl_batch *batch = list_entry(link, struct wl_batch, link);
		bool is_twice = false;

		if (batch->is_out)
			continue;
		for (int i = 0; i < n; i++)
			is_twice |= pc->batches[i]->part == batch->part;
		if (n == most || is_twice)
			break;
		pc->batches[n++] = batch;
	}
	if (!n)
		return;
	msg_init(&produce_request_type, &request);
	request.transactional_id = STR_NULL;
	request.acks = pc->acks = p->acks;
	request.timeout_ms = wl->is_calm ? 15000 : (int32_t)rng_between(&wl->w->rng, 100, 5000);
	request.topic_data = topics;
	request.topic_data_n = n;
	for (int i = 0; i < n; i++) {
		const struct hist_part *part = wl->parts[pc->batches[i]->part];

		msg_init(&produce_request_topic_data_type, &topics[i]);
		msg_init(&produce_request_topic_data_partition_data_type, &parts[i]);
		topics[i].name = str_of(part->topic);
		topics[i].topic_id = part->topic_id;
		topics[i].partition_data = &parts[i];
		topics[i].partition_data_n = 1;
		parts[i].index = part->index;
		parts[i].records = records_mem(scratch_bytes(&pc->batches[i]->bytes));
		pc->batches[i]->is_out = true;
		batch_follows(p, pc->batches[i]);
		pc->batches[i]->was_sent = true;
	}
	pc->batches_n = n;
	sim_conn_call(&p->conn, &pc->call, API_PRODUCE, &request, 20000, p->acks ? produce_done : NULL);
	if (p->acks)
		return;
	for (int i = 0; i < n; i++)
		batch_drop(p, pc->batches[i]);
	p->acked_since_calm++;
	pc->batches_n = 0;
}

static void producer_retry(struct sim_event *event)
{
	struct wl_producer *p = container_of(event, struct wl_producer, retry);

	p->is_backing_off = false;
	if (p->is_ended)
		return;
	if (p->conn.state == CONN_OFF)
		sim_conn_open(&p->conn);
	else
		producer_pump(p);
}

static void producer_pump(struct wl_producer *p)
{
	struct world *w = p->wl->w;

	if (p->conn.state != CONN_UP || w->has_failed || p->is_ended)
		return;
	if (p->is_backing_off) {
		if (!producer_has_calls(p) && !sim_event_is_on(&p->retry))
			world_after(w, &p->retry, rng_between(&w->rng, 20, 300) * NS_PER_MS, producer_retry);
		return;
	}
	if (p->is_idempotent && p->producer_id < 0) {
		if (!producer_has_calls(p))
			producer_ask_id(p);
		return;
	}
	for (int i = 0; i < (int)MIN(w->opt.in_flight, (int64_t)PRODUCER_CALLS_MAX) && p->conn.state == CONN_UP; i++) {
		if (!p->calls[i].batches_n)
			producer_send(p, &p->calls[i]);
	}
}

static void producer_tick(struct sim_event *event)
{
	struct wl_producer *p = container_of(event, struct wl_producer, tick);
	struct world *w = p->wl->w;
	bool can_make = p->conn.state == CONN_UP && !p->is_backing_off && p->queue_n < PRODUCER_QUEUE_MAX &&
			(!p->is_idempotent || p->producer_id >= 0) &&
			(p->wl->is_calm ? p->acked_since_calm < 50 : p->wl->batches_n < w->opt.batches_max);

	if (p->is_stopped)
		return;
	/* Now and then a new session, when nothing is open. */
	if (can_make && p->is_idempotent && !p->queue_n && world_chance(w, 1, 50))
		session_end(p);
	else if (can_make && p->is_idempotent && !p->queue_n && world_chance(w, 1, 20))
		producer_make_gap(p);
	else if (can_make)
		producer_make_batch(p);
	producer_pump(p);
	world_after(w, &p->tick, 100000 + world_draw_us(w, w->opt.gap_us), producer_tick);
}

static void producer_up(struct sim_conn *conn)
{
	struct wl_producer *p = conn->owner;

	if (sim_conn_version(conn, API_PRODUCE) < 0 || sim_conn_version(conn, API_INIT_PRODUCER_ID) < 0) {
		world_fail(p->wl->w, "Produce or InitProducerId is not offered");
		return;
	}
	p->is_backing_off = false;
	producer_pump(p);
}

static void producer_down(struct sim_conn *conn)
{
	struct wl_producer *p = conn->owner;

	if (!p->is_ended)
		world_after(p->wl->w, &p->retry, rng_between(&p->wl->w->rng, 10, 300) * NS_PER_MS, producer_retry);
}

/* --- life --- */

struct wl_producer *wl_producer_new(struct workload *wl, int id)
{
	struct wl_producer *p = MEM_NEW(struct wl_producer);
	struct world *w = wl->w;

	p->wl = wl;
	p->id = id;
	snprintf(p->name, sizeof(p->name), "producer%d", id);
	p->is_idempotent = world_chance(w, w->opt.idem_pct, 100);
	p->acks = p->is_idempotent || world_chance(w, 1, 2) ? -1 : 1;
	if (!p->is_idempotent && world_chance(w, w->opt.acks0_pct, 100))
		p->acks = 0;
	sim_conn_init(&p->conn, w, wl->node, p->name);
	p->conn.owner = p;
	p->conn.up = producer_up;
	p->conn.down = producer_down;
	p->producer_id = NO_PRODUCER_ID;
	list_init(&p->queue);
	for (int i = 0; i < PRODUCER_CALLS_MAX; i++)
		p->calls[i].p = p;
	return p;
}

void wl_producer_free(struct wl_producer *p)
{
	world_off(p->wl->w, &p->retry);
	world_off(p->wl->w, &p->tick);
	sim_conn_deinit(&p->conn);
	session_end(p);
	compress_ctx_deinit(&p->ctx);
	mem_free(p);
}

void wl_producer_start(struct wl_producer *p)
{
	sim_conn_open(&p->conn);
	world_after(p->wl->w, &p->tick, world_draw_us(p->wl->w, p->wl->w->opt.gap_us), producer_tick);
}

void wl_producer_stop(struct wl_producer *p)
{
	p->is_stopped = true;
}

void wl_producer_end(struct wl_producer *p)
{
	p->is_stopped = true;
	p->is_ended = true;
	if (p->conn.state != CONN_OFF)
		sim_conn_close(&p->conn);
}

void wl_producer_calm(struct wl_producer *p)
{
	p->acked_since_calm = 0;
}

bool wl_producer_has_progressed(const struct wl_producer *p)
{
	return p->acked_since_calm >= 5;
}

bool wl_producer_is_drained(const struct wl_producer *p)
{
	return p->queue_n == 0 && !producer_has_calls(p);
}
