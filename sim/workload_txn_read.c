/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of what transactions wrote: one of committed records only, which leaves out by itself what the broker lists
 * as aborted, as clients do, and one of everything. Now and then from the beginning.
 */
#include "control.h"
#include "record.h"
#include "workload_txn.h"

#define ABORTED_MAX 1000

/* ---- one partition's answer ---- */

/* Producers whose records are aborted, at the place that was reached in the answer. */
struct aborted_set {
	const struct fetch_response_responses_partitions *got;
	bool is_reached[ABORTED_MAX]; /* of those listed, which stand in the order of their markers */
	int64_t ids[ABORTED_MAX];
	int n;
};

static bool aborted_has(const struct aborted_set *set, int64_t id)
{
	for (int i = 0; i < set->n; i++) {
		if (set->ids[i] == id)
			return true;
	}
	return false;
}

static void aborted_reach(struct aborted_set *set, int64_t offset, struct world *w)
{
	const struct fetch_response_responses_partitions_aborted_transactions *all = set->got->aborted_transactions;

	if (set->got->aborted_transactions_n > ABORTED_MAX) {
		world_fail(w, "transactions: %d are listed as aborted", set->got->aborted_transactions_n);
		return;
	}
	for (int32_t i = 0; i < set->got->aborted_transactions_n; i++) {
		if (set->is_reached[i] || all[i].first_offset > offset)
			continue;
		set->is_reached[i] = true;
		if (!aborted_has(set, all[i].producer_id))
			set->ids[set->n++] = all[i].producer_id;
	}
}

static void aborted_end(struct aborted_set *set, int64_t id)
{
	for (int i = 0; i < set->n; i++) {
		if (set->ids[i] == id)
			set->ids[i--] = set->ids[--set->n];
	}
}

static void cursor_go(struct txn_cursor *cursor, int64_t to)
{
	if (cursor->is_committed && to > cursor->pos)
		check_txn_passed(&cursor->all->check, cursor->part, cursor->pos, to);
	cursor->pos = MAX(cursor->pos, to);
}

static void cursor_record(struct txn_cursor *cursor, const struct record *record,
			  const struct fetch_response_responses_partitions *got)
{
	struct world *w = txns_world(cursor->all);
	int64_t bound = cursor->is_committed ? got->last_stable_offset : got->high_watermark;
	uint32_t number;

	if (record->offset < cursor->pos)
		return;
	if (record->offset >= bound)
		world_fail(w, "transactions, partition %d: a reader gets offset %lld, but %lld bounds it", cursor->part,
			   (long long)record->offset, (long long)bound);
	cursor_go(cursor, record->offset);
	cursor->pos = record->offset + 1;
	number = check_txn_read(&cursor->all->check, cursor->part, record->offset, record->value,
				cursor->is_committed);
	if (!w->has_failed && cursor->record)
		cursor->record(cursor, number, record->offset);
}

static void cursor_control(struct txn_cursor *cursor, const struct batch_info *batch, const struct record *record,
			   struct aborted_set *aborted)
{
	struct control_record control;

	if (control_parse(record, &control) != ERR_NONE) {
		world_fail(txns_world(cursor->all), "transactions, partition %d offset %lld: no marker", cursor->part,
			   (long long)record->offset);
		return;
	}
	if (control.type == CONTROL_ABORT)
		aborted_end(aborted, batch->producer_id);
	/* Where log directories fail, the epochs of coordinators part. */
	for (int i = 0; i < TXN_CLIENTS_N; i++) {
		struct txn_client *c = &cursor->all->clients[i];

		if (c->s.producer_id == batch->producer_id)
			c->coordinator_epoch = MAX(c->coordinator_epoch, control.coordinator_epoch);
	}
}

static void cursor_batch(struct txn_cursor *cursor, const struct batch_info *batch,
			 const struct fetch_response_responses_partitions *got, struct aborted_set *aborted)
{
	struct world *w = txns_world(cursor->all);
	struct scratch plain = {0};
	struct record_iter it;
	struct record record;
	struct bytes payload;

	if (batch_payload(batch, &cursor->all->ctx, &plain, &payload) != ERR_NONE) {
		world_fail(w, "transactions, partition %d offset %lld: a batch that cannot be read", cursor->part,
			   (long long)batch->base_offset);
		return;
	}
	aborted_reach(aborted, batch->last_offset, w);
	world_trace(w, "txn.batch", "part=%d from=%lld to=%lld producer=%lld epoch=%d control=%d aborted=%d",
		    cursor->part, (long long)batch->base_offset, (long long)batch->last_offset,
		    (long long)batch->producer_id, batch->producer_epoch, batch_is_control(batch),
		    aborted_has(aborted, batch->producer_id));
	record_iter_init(&it, batch, payload);
	while (!w->has_failed && record_iter_next(&it, &record)) {
		if (batch_is_control(batch))
			cursor_control(cursor, batch, &record, aborted);
		else if (!cursor->is_committed || !batch_is_transactional(batch) ||
			 !aborted_has(aborted, batch->producer_id))
			cursor_record(cursor, &record, got);
	}
	cursor_go(cursor, batch->last_offset + 1);
	scratch_deinit(&plain);
}

void txn_cursor_take(struct txn_cursor *cursor, const struct fetch_response_responses_partitions *got,
		     const struct sim_call *call)
{
	struct wl_txns *t = cursor->all;
	struct world *w = txns_world(t);
	struct bytes in = {got->records.piece.mem, got->records.is_null ? 0 : got->records.piece.len};
	struct batch_iter it = batch_iter_of(in, BATCH_CHECK_CRC);
	struct aborted_set aborted = {.got = got};
	struct batch_info batch;

	if (got->error_code == ERR_OFFSET_OUT_OF_RANGE)
		world_fail(w, "transactions, partition %d: position %lld is out of range", cursor->part,
			   (long long)cursor->pos);
	if (got->error_code) {
		(void)workload_bad_error(t->wl, "Fetch", got->error_code);
		return;
	}
	world_trace(w, "txn.fetched", "part=%d committed=%d pos=%lld stable=%lld hw=%lld len=%zu aborted=%d",
		    cursor->part, cursor->is_committed, (long long)cursor->pos, (long long)got->last_stable_offset,
		    (long long)got->high_watermark, in.len, got->aborted_transactions_n);
	check_txn_marks(&t->check, cursor->part, got->last_stable_offset, got->high_watermark, call->sent_ns);
	cursor->stable = got->last_stable_offset;
	cursor->high_watermark = got->high_watermark;
	while (!w->has_failed && batch_iter_next(&it, &batch))
		cursor_batch(cursor, &batch, got, &aborted);
	if (it.err)
		world_fail(w, "transactions, partition %d: a damaged batch at %lld", cursor->part,
			   (long long)cursor->pos);
}

/* ---- readers ---- */

static void reader_step(struct txn_reader *r);

static void reader_next(struct sim_event *event)
{
	struct txn_reader *r = container_of(event, struct txn_reader, next);

	if (txns_is_over(r->all))
		return;
	if (r->conn.state == CONN_OFF)
		sim_conn_open(&r->conn);
	else if (r->conn.state == CONN_UP && !sim_call_is_out(&r->call))
		reader_step(r);
}

static void reader_later(struct txn_reader *r, int64_t most_ms)
{
	struct world *w = txns_world(r->all);

	world_after(w, &r->next, rng_between(&w->rng, 1, most_ms) * NS_PER_MS, reader_next);
}

static bool reader_is_at_end(const struct txn_reader *r)
{
	for (int i = 0; i < TXN_PARTS_N; i++) {
		const struct txn_cursor *cursor = &r->cursors[i];

		if (cursor->pos < cursor->high_watermark || cursor->stable != cursor->high_watermark)
			return false;
	}
	return true;
}

static void fetch_done(struct sim_call *call)
{
	struct txn_reader *r = container_of(call, struct txn_reader, call);
	const struct fetch_response *response = call->response;
	int answers_n = 0;

	if (call->err || txns_is_over(r->all))
		return;
	for (int32_t i = 0; i < response->responses_n; i++) {
		const struct fetch_response_responses *topic = &response->responses[i];
		int at = str_eq_c(topic->topic, r->all->topics[1]);

		for (int32_t p = 0; p < topic->partitions_n && !txns_world(r->all)->has_failed; p++) {
			int32_t index = topic->partitions[p].partition_index;

			if (index < 0 || index >= TXN_TOPIC_PARTS)
				world_fail(txns_world(r->all), "Fetch answers for partition %d", index);
			else
				txn_cursor_take(&r->cursors[txn_part(at, index)], &topic->partitions[p], call);
			answers_n += !topic->partitions[p].error_code;
		}
	}
	r->end_ns = !r->begins_anew && answers_n == TXN_PARTS_N && reader_is_at_end(r) ? call->sent_ns : -1;
	reader_later(r, answers_n == TXN_PARTS_N ? 60 : 200);
}

static void reader_step(struct txn_reader *r)
{
	struct world *w = txns_world(r->all);
	struct fetch_request_topics topics[TXN_TOPICS_N];
	struct fetch_request_topics_partitions parts[TXN_TOPICS_N][TXN_TOPIC_PARTS];
	struct fetch_request request;

	r->begins_anew |= !r->all->is_resting && world_chance(w, 1, 60);
	for (int i = 0; r->begins_anew && i < TXN_PARTS_N; i++)
		r->cursors[i].pos = 0;
	r->begins_anew = false;
	msg_init(&fetch_request_type, &request);
	request.max_wait_ms = (int32_t)rng_between(&w->rng, 0, 100);
	request.min_bytes = 1;
	request.isolation_level = r->cursors[0].is_committed;
	request.session_epoch = -1;
	request.topics = topics;
	request.topics_n = TXN_TOPICS_N;
	for (int i = 0; i < TXN_TOPICS_N; i++) {
		msg_init(&fetch_request_topics_type, &topics[i]);
		topics[i].topic = str_of(r->all->topics[i]);
		topics[i].partitions = parts[i];
		topics[i].partitions_n = TXN_TOPIC_PARTS;
		for (int32_t p = 0; p < TXN_TOPIC_PARTS; p++) {
			msg_init(&fetch_request_topics_partitions_type, &parts[i][p]);
			parts[i][p].partition = p;
			parts[i][p].fetch_offset = r->cursors[txn_part(i, p)].pos;
			parts[i][p].partition_max_bytes = (int32_t)rng_between(&w->rng, 100, 60000);
		}
	}
	sim_conn_call(&r->conn, &r->call, API_FETCH, &request, 15000, fetch_done);
}

static void reader_up(struct sim_conn *conn)
{
	reader_later(conn->owner, 10);
}

static void reader_down(struct sim_conn *conn)
{
	struct txn_reader *r = conn->owner;

	if (!txns_is_over(r->all))
		reader_later(r, 300);
}

void txn_reader_init(struct txn_reader *r, struct wl_txns *t, int index)
{
	*r = (struct txn_reader){.all = t, .name = index ? "txn-all" : "txn-committed"};
	sim_conn_init(&r->conn, txns_world(t), t->wl->node, r->name);
	r->conn.cap[API_FETCH] = (int16_t)MIN(r->conn.cap[API_FETCH], 12); /* by name */
	r->conn.owner = r;
	r->conn.up = reader_up;
	r->conn.down = reader_down;
	for (int i = 0; i < TXN_PARTS_N; i++)
		r->cursors[i] = (struct txn_cursor){.all = t, .part = i, .is_committed = index == 0};
}

void txn_reader_deinit(struct txn_reader *r)
{
	world_off(txns_world(r->all), &r->next);
	sim_conn_deinit(&r->conn);
}

void txn_reader_start(struct txn_reader *r)
{
	for (int i = 0; i < TXN_PARTS_N; i++)
		r->cursors[i].pos = r->cursors[i].stable = r->cursors[i].high_watermark = 0;
	r->end_ns = -1;
	r->is_last = r->begins_anew = false;
	reader_later(r, 50);
}

void txn_reader_stop(struct txn_reader *r)
{
	world_off(txns_world(r->all), &r->next);
	if (r->conn.state != CONN_OFF)
		sim_conn_close(&r->conn);
}

void txn_reader_again(struct txn_reader *r)
{
	r->begins_anew = true; /* an answer that is on its way comes first */
	r->end_ns = -1;
	r->is_last = true;
}
