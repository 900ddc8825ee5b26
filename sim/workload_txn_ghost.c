/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's next request, what answers mean to it and to the history; and who sends requests at the wrong time:
 * echoes (a request once more, late, by another connection) and ghosts (a process that was replaced and goes on
 * all the same).
 *
 * A session writes its plan, then its offsets, then ends. In version 1 it enrols before.
 */
#include "workload_txn.h"

enum txn_verdict txn_verdict_of(int16_t code)
{
	switch (code) {
	case ERR_NONE:
		return TXN_OK;
	case ERR_UNKNOWN_TOPIC_OR_PARTITION:
	case ERR_LEADER_NOT_AVAILABLE:
	case ERR_NOT_LEADER_OR_FOLLOWER:
	case ERR_REQUEST_TIMED_OUT:
	case ERR_NETWORK_EXCEPTION:
	case ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case ERR_COORDINATOR_NOT_AVAILABLE:
	case ERR_NOT_COORDINATOR:
	case ERR_NOT_ENOUGH_REPLICAS:
	case ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
	case ERR_CONCURRENT_TRANSACTIONS:
	case ERR_KAFKA_STORAGE_ERROR:
	case ERR_UNSTABLE_OFFSET_COMMIT:
		return TXN_AGAIN;
	case ERR_TRANSACTION_ABORTABLE:
	case ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
	case ERR_UNKNOWN_PRODUCER_ID:
	case ERR_ILLEGAL_GENERATION:
	case ERR_UNKNOWN_MEMBER_ID:
	case ERR_REBALANCE_IN_PROGRESS:
	case ERR_FENCED_MEMBER_EPOCH:
	case ERR_STALE_MEMBER_EPOCH:
	case ERR_GROUP_ID_NOT_FOUND:
		return TXN_ABORT;
	default:
		return TXN_FATAL;
	}
}

/* ---- a session's next request ---- */

static void request_init(struct txn_client *c, const struct txn_session *s, enum txn_kind kind, struct txn_request *r)
{
	struct world *w = txns_world(c->all);

	*r = (struct txn_request){
		.kind = kind,
		.id = c->id,
		.topics = c->all->topics,
		.group = c->all->group,
		.producer_id = s->producer_id,
		.epoch = s->epoch,
		.txn = s->txn,
		.made_ms = (w->wall_base_ns + w->now_ns) / NS_PER_MS,
	};
}

static void next_produce(struct txn_session *s, struct txn_request *r)
{
	while (r->batches_n < TXN_BATCHES_MAX && s->plan_at + r->batches_n < s->plan_n) {
		const struct txn_batch *batch = &s->plan[s->plan_at + r->batches_n];

		if (r->batches_n && r->batches[0].part == batch->part)
			break;
		r->batches[r->batches_n] = *batch;
		r->batches[r->batches_n++].sequence = s->sequences[batch->part];
		s->wrote |= 1u << batch->part;
	}
}

void txn_session_next(struct txn_client *c, struct txn_session *s, struct txn_request *r)
{
	uint32_t parts = 0;

	for (int i = s->plan_at; i < s->plan_n; i++)
		parts |= 1u << s->plan[i].part;
	if (!s->is_aborting && s->plan_at < s->plan_n && !s->is_v2 && (s->enrolled & parts) != parts) {
		request_init(c, s, TXN_ADD, r);
		r->parts = parts;
	} else if (!s->is_aborting && s->plan_at < s->plan_n) {
		request_init(c, s, TXN_PRODUCE, r);
		next_produce(s, r);
	} else if (!s->is_aborting && s->has_offsets && !s->are_offsets_done && !s->is_v2 && !s->has_enrolled_offsets) {
		request_init(c, s, TXN_ADD_OFFSETS, r);
	} else if (!s->is_aborting && s->has_offsets && !s->are_offsets_done) {
		request_init(c, s, TXN_COMMIT_OFFSETS, r);
		memcpy(r->offsets, s->offsets, sizeof(r->offsets));
		memcpy(r->member, s->member, sizeof(r->member));
		r->member_epoch = s->member_epoch;
	} else {
		request_init(c, s, TXN_END, r);
		r->commit = !s->is_aborting;
	}
	s->was_sent = true;
}

void txn_session_taken(struct txn_client *c, struct txn_session *s, const struct txn_request *r,
		       const struct txn_answer *answer)
{
	switch (r->kind) {
	case TXN_ADD:
		s->enrolled |= r->parts;
		break;
	case TXN_PRODUCE:
		s->plan_at += r->batches_n;
		for (int i = 0; i < r->batches_n; i++)
			s->sequences[r->batches[i].part] += r->batches[i].records_n;
		break;
	case TXN_ADD_OFFSETS:
		s->has_enrolled_offsets = true;
		break;
	case TXN_COMMIT_OFFSETS:
		s->are_offsets_done = true;
		break;
	case TXN_END:
		s->txn = CHECK_TXN_NONE;
		if (!s->is_v2)
			break;
		if (answer->producer_id == s->producer_id ? answer->epoch != s->epoch + 1
							  : answer->epoch != 0 || s->epoch < INT16_MAX - 1)
			world_fail(txns_world(c->all),
				   "EndTxn of producer %lld epoch %d goes on as producer %lld epoch %d",
				   (long long)s->producer_id, s->epoch, (long long)answer->producer_id, answer->epoch);
		s->producer_id = answer->producer_id;
		s->epoch = answer->epoch;
		memset(s->sequences, 0, sizeof(s->sequences));
		break;
	case TXN_INIT:
	case TXN_MARKER:
	default:
		UNREACHABLE();
	}
}

/* ---- what the history is told ---- */

bool txn_note_sent(struct txn_client *c, const struct txn_request *r)
{
	if (r->kind == TXN_INIT || r->kind == TXN_MARKER)
		return false;
	if (r->kind == TXN_END)
		check_txn_end_sent(&c->all->check, r->txn, r->commit);
	for (int i = 0; r->kind == TXN_COMMIT_OFFSETS && i < TXN_TOPIC_PARTS; i++) {
		if (r->offsets[i] >= 0)
			check_txn_offset(&c->all->check, r->txn, i, r->offsets[i]);
	}
	return check_txn_is_fenced(&c->all->check, r->txn);
}

static void judge_produce(struct txn_client *c, const struct txn_request *r, bool was_fenced,
			  const struct txn_answer *answer)
{
	struct check_txn *check = &c->all->check;

	for (int i = 0; i < r->batches_n; i++) {
		const struct txn_batch *batch = &r->batches[i];

		if (workload_bad_error(c->all->wl, "Produce", answer->codes[i]) || answer->codes[i] != ERR_NONE)
			continue;
		/* What was written before it was fenced may be recognised as a repetition. */
		if (was_fenced && check->records.v[batch->records[0]].offset < 0)
			check_txn_zombie(check, r->txn, "a write");
		for (int k = 0; k < batch->records_n; k++)
			check_txn_acked(check, batch->records[k], answer->base_offsets[i] + k);
	}
}

void txn_judge(struct txn_client *c, const struct txn_request *r, bool was_fenced, const struct txn_answer *answer)
{
	struct check_txn *check = &c->all->check;
	enum txn_verdict verdict = txn_verdict_of(answer->code);

	if (r->kind == TXN_PRODUCE) {
		judge_produce(c, r, was_fenced, answer);
		return;
	}
	if (workload_bad_error(c->all->wl, txn_kind_name(r->kind), answer->code) || r->kind == TXN_INIT ||
	    r->kind == TXN_MARKER)
		return;
	if (verdict == TXN_OK && was_fenced)
		check_txn_zombie(check, r->txn, txn_kind_name(r->kind));
	if (r->kind == TXN_END && verdict == TXN_OK)
		check_txn_end_acked(check, r->txn, r->commit);
	else if (r->kind == TXN_END && verdict != TXN_AGAIN)
		check_txn_end_refused(check, r->txn, r->commit);
}

/* ---- echoes ---- */

static void echo_over(struct txn_echo *e)
{
	e->is_on = e->is_blocking = false;
	if (e->conn.state != CONN_OFF)
		sim_conn_close(&e->conn);
}

static void echo_done(struct sim_call *call)
{
	struct txn_echo *e = container_of(call, struct txn_echo, call);
	struct txn_answer answer;

	if (txns_is_over(e->c->all))
		return;
	if (call->err) {
		e->c->s.needs_epoch |= e->is_blocking;
	} else {
		txn_answer_read(&e->request, call, txns_world(e->c->all), &answer);
		txn_judge(e->c, &e->request, e->was_fenced, &answer);
	}
	echo_over(e);
}

static void echo_next(struct sim_event *event)
{
	struct txn_echo *e = container_of(event, struct txn_echo, next);

	if (txns_is_over(e->c->all))
		return;
	if (e->conn.state == CONN_OFF) {
		sim_conn_open(&e->conn);
	} else if (e->conn.state == CONN_UP && !sim_call_is_out(&e->call)) {
		e->was_fenced = txn_note_sent(e->c, &e->request);
		txn_request_send(&e->request, &e->conn, &e->call, echo_done);
	}
}

static void echo_up(struct sim_conn *conn)
{
	struct txn_echo *e = conn->owner;

	world_after(conn->w, &e->next, rng_between(&conn->w->rng, 0, 20) * NS_PER_MS, echo_next);
}

/* Nothing of it was sent, or its answer is lost, which echo_done has seen. */
static void echo_down(struct sim_conn *conn)
{
	struct txn_echo *e = conn->owner;

	if (!txns_is_over(e->c->all) && e->is_on)
		echo_over(e);
}

void txn_echo_init(struct txn_client *c)
{
	struct txn_echo *e = &c->echo;

	*e = (struct txn_echo){.c = c};
	sim_conn_init(&e->conn, txns_world(c->all), c->all->wl->node, "txn-echo");
	e->conn.owner = e;
	e->conn.up = echo_up;
	e->conn.down = echo_down;
}

/* Version 1 has nothing that tells these from requests of the next transaction. */
static bool is_blind(const struct txn_client *c, const struct txn_request *r)
{
	return !c->s.is_v2 && (r->kind == TXN_END || r->kind == TXN_COMMIT_OFFSETS);
}

void txn_echo_maybe(struct txn_client *c, const struct txn_request *r)
{
	struct world *w = txns_world(c->all);
	struct txn_echo *e = &c->echo;

	if (e->is_on || c->all->is_resting || r->kind == TXN_INIT || e->conn.state != CONN_OFF ||
	    !world_chance(w, 1, 5))
		return;
	e->request = *r;
	e->is_on = true;
	e->is_blocking = is_blind(c, r);
	memcpy(e->conn.cap, c->conn.cap, sizeof(e->conn.cap));
	world_after(w, &e->next, rng_between(&w->rng, 0, world_chance(w, 1, 2) ? 50 : 3000) * NS_PER_MS, echo_next);
}

/* ---- ghosts ---- */

static void ghost_over(struct txn_ghost *g)
{
	g->is_on = false;
	if (g->conn.state != CONN_OFF)
		sim_conn_close(&g->conn);
}

static void ghost_next(struct sim_event *event);

static void ghost_later(struct txn_ghost *g)
{
	struct world *w = txns_world(g->c->all);

	world_after(w, &g->next, rng_between(&w->rng, 0, g->c->all->is_resting ? 50 : 1500) * NS_PER_MS, ghost_next);
}

/* It does not take no for an answer. */
static void ghost_refused(struct txn_ghost *g)
{
	g->steps_left--;
	g->has_out = false;
	/* It may end without having written everything; but inputs are handled whole. */
	if (!g->s.has_offsets && world_chance(txns_world(g->c->all), 1, 2))
		g->s.plan_at = g->s.plan_n;
}

static void ghost_done(struct sim_call *call)
{
	struct txn_ghost *g = container_of(call, struct txn_ghost, call);
	struct txn_answer answer;

	if (txns_is_over(g->c->all))
		return;
	if (call->err) {
		g->steps_left--; /* the same again; ghost_down comes */
		return;
	}
	txn_answer_read(&g->out, call, txns_world(g->c->all), &answer);
	txn_judge(g->c, &g->out, g->was_fenced, &answer);
	switch (txn_verdict_of(answer.code)) {
	case TXN_OK:
		g->has_out = false;
		if (g->out.kind == TXN_END)
			g->steps_left = 0;
		else
			txn_session_taken(g->c, &g->s, &g->out, &answer);
		break;
	case TXN_AGAIN:
		g->steps_left--;
		break;
	case TXN_ABORT:
	case TXN_FATAL:
	default:
		ghost_refused(g);
	}
	ghost_later(g);
}

static void ghost_next(struct sim_event *event)
{
	struct txn_ghost *g = container_of(event, struct txn_ghost, next);

	if (txns_is_over(g->c->all))
		return;
	if (g->steps_left <= 0) {
		if (!sim_call_is_out(&g->call))
			ghost_over(g);
	} else if (g->conn.state == CONN_OFF) {
		sim_conn_open(&g->conn);
	} else if (g->conn.state == CONN_UP && !sim_call_is_out(&g->call)) {
		bool is_fenced;

		if (!g->has_out) {
			txn_session_next(g->c, &g->s, &g->out);
			g->has_out = true;
			g->was_fenced = check_txn_is_fenced(&g->c->all->check, g->s.txn);
		}
		is_fenced = txn_note_sent(g->c, &g->out);
		/* A write that was sent before may have been taken before. */
		if (g->out.kind != TXN_PRODUCE)
			g->was_fenced = is_fenced;
		txn_request_send(&g->out, &g->conn, &g->call, ghost_done);
	}
}

static void ghost_up(struct sim_conn *conn)
{
	ghost_later(conn->owner);
}

static void ghost_down(struct sim_conn *conn)
{
	struct txn_ghost *g = conn->owner;

	if (!txns_is_over(g->c->all) && g->is_on)
		ghost_later(g);
}

void txn_ghost_init(struct txn_client *c)
{
	struct txn_ghost *g = &c->ghost;

	*g = (struct txn_ghost){.c = c};
	sim_conn_init(&g->conn, txns_world(c->all), c->all->wl->node, "txn-ghost");
	g->conn.owner = g;
	g->conn.up = ghost_up;
	g->conn.down = ghost_down;
}

void txn_ghost_begin(struct txn_client *c)
{
	struct txn_ghost *g = &c->ghost;

	g->s = c->s;
	g->s.is_aborting |= c->member && c->s.is_short;
	g->out = c->out;
	g->has_out = c->has_out && c->out.kind != TXN_INIT;
	g->was_fenced = false;
	g->is_on = true;
	g->steps_left = (int)rng_between(&txns_world(c->all)->rng, 2, 8);
	memcpy(g->conn.cap, c->conn.cap, sizeof(g->conn.cap));
	ghost_later(g);
}
