/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client with a transactional id, as real ones are: one request at a time, sent again until it is answered, an abort
 * where the transaction cannot go on, a new InitProducerId where the producer cannot. And as real ones are at times: it
 * stands still, is restarted, is replaced while it lives on (workload_txn_ghost.c), speaks another version after it.
 *
 *      NO_ID --InitProducerId--> IDLE --begin--> OPEN --[write | offsets]...--> EndTxn --> IDLE
 *        ^                        |               |                               |
 *        +------ a new epoch -----+--- fenced, restarted, replaced ---------------+
 *
 * In version 1 nothing tells a late EndTxn, TxnOffsetCommit or first write from one of the next transaction of the
 * same epoch. So what has no answer is followed by a new epoch, and an echo of these ends before the next
 * transaction begins.
 */
#include <stdio.h>

#include "workload_txn.h"

#define CLIENT_TXNS_MAX 400 /* of all clients, before the calm */
#define LOST_INIT_NS (60 * NS_PER_S) /* so long a request may be on its way */

static void client_step(struct txn_client *c);

static void client_next(struct sim_event *event)
{
	struct txn_client *c = container_of(event, struct txn_client, next);

	if (txns_is_over(c->all))
		return;
	if (c->conn.state == CONN_OFF)
		sim_conn_open(&c->conn);
	else if (c->conn.state == CONN_UP && !sim_call_is_out(&c->call))
		client_step(c);
}

void txn_client_later(struct txn_client *c, int64_t most_ms)
{
	struct world *w = txns_world(c->all);

	world_after(w, &c->next, rng_between(&w->rng, 1, most_ms) * NS_PER_MS, client_next);
}

static bool client_is_calm(const struct txn_client *c)
{
	return c->all->wl->is_calm;
}

/* ---- producers ---- */

/* Each process that has the id speaks a version of its own: clients are upgraded. */
static void client_draw_version(struct txn_client *c)
{
	struct world *w = txns_world(c->all);
	bool is_v2 = world_chance(w, 1, 2);
	int16_t *cap = c->conn.cap;

	c->s.is_v2 = is_v2;
	cap[API_INIT_PRODUCER_ID] = (int16_t)rng_between(&w->rng, is_v2 ? 3 : 0, 5);
	cap[API_PRODUCE] = is_v2 ? 12 : (int16_t)rng_between(&w->rng, 3, 11);
	cap[API_ADD_PARTITIONS_TO_TXN] = (int16_t)rng_between(&w->rng, 0, 3);
	cap[API_ADD_OFFSETS_TO_TXN] = (int16_t)rng_between(&w->rng, 0, 4);
	cap[API_TXN_OFFSET_COMMIT] = is_v2 ? 5 : (int16_t)rng_between(&w->rng, 3, 4);
	cap[API_END_TXN] = is_v2 ? 5 : (int16_t)rng_between(&w->rng, 0, 4);
	cap[API_WRITE_TXN_MARKERS] = 2;
}

/* The transaction is not ours any more, however it ends. */
static void client_let_go(struct txn_client *c)
{
	c->s.txn = CHECK_TXN_NONE;
	c->has_out = c->is_asking_again = false;
	c->has_id = c->keeps_id = false;
	if (c->member)
		txn_member_over(c->member, false);
}

static void client_init(struct txn_client *c)
{
	struct world *w = txns_world(c->all);

	if (!c->keeps_id)
		client_draw_version(c);
	c->out = (struct txn_request){
		.kind = TXN_INIT,
		.id = c->id,
		.producer_id = c->keeps_id ? c->s.producer_id : -1,
		.epoch = (int16_t)(c->keeps_id ? c->s.epoch : -1),
		.txn = CHECK_TXN_NONE,
		.timeout_ms = (int32_t)(client_is_calm(c) ? rng_between(&w->rng, 5000, 9000)
							   : rng_between(&w->rng, 300, 6000)),
	};
	c->has_out = true;
}

static void client_has_producer(struct txn_client *c, const struct txn_answer *answer)
{
	bool is_v2 = c->s.is_v2;

	check_txn_producer(&c->all->check, (uint32_t)c->index, answer->producer_id, answer->epoch);
	for (size_t i = 0; i < c->before.n; i++)
		check_txn_fence(&c->all->check, c->before.v[i]);
	c->before.n = 0;
	c->s = (struct txn_session){.producer_id = answer->producer_id, .epoch = answer->epoch, .is_v2 = is_v2,
				    .txn = CHECK_TXN_NONE};
	c->has_id = true;
	if (c->member)
		txn_member_anew(c->member);
	c->is_calm_epoch = client_is_calm(c) && c->out.timeout_ms >= 5000;
	world_trace(txns_world(c->all), "txn.producer", "id=%s producer=%lld epoch=%d version=%d", c->id,
		    (long long)c->s.producer_id, c->s.epoch, is_v2 ? 2 : 1);
}

/* ---- transactions ---- */

static void plan_feeder(struct txn_client *c)
{
	struct world *w = txns_world(c->all);
	struct txn_session *s = &c->s;

	s->plan_n = (int)rng_between(&w->rng, 1, TXN_PLAN_MAX);
	for (int i = 0; i < s->plan_n; i++) {
		struct txn_batch *batch = &s->plan[i];

		batch->part = (int)rng_below(&w->rng, TXN_PARTS_N);
		batch->records_n = (int)rng_between(&w->rng, 1, 3);
		for (int k = 0; k < batch->records_n; k++)
			batch->records[k] = check_txn_record(&c->all->check, s->txn, batch->part, CHECK_TXN_NONE);
	}
}

static bool client_may_begin(const struct txn_client *c)
{
	const struct wl_txns *t = c->all;

	if (c->s.needs_epoch || (c->echo.is_on && c->echo.is_blocking))
		return false;
	if (c->member) /* inputs are handled also at rest */
		return true;
	if (t->is_resting)
		return c->is_deserter && !c->has_deserted;
	return client_is_calm(c) ? !c->is_calm_commit : t->txns_n < CLIENT_TXNS_MAX;
}

static void client_begin(struct txn_client *c)
{
	struct world *w = txns_world(c->all);
	struct txn_session *s = &c->s;

	s->enrolled = s->wrote = 0;
	s->plan_n = s->plan_at = 0;
	s->has_enrolled_offsets = s->has_offsets = s->are_offsets_done = false;
	s->is_aborting = s->is_short = s->was_sent = false;
	s->txn = check_txn_begin(&c->all->check);
	if (c->member ? !txn_member_plan(c->member, s) : (plan_feeder(c), false)) {
		s->txn = CHECK_TXN_NONE;
		txn_client_later(c, 50);
		return;
	}
	c->all->txns_n++;
	vec_push(&c->before, s->txn);
	/* It is not going to be committed; it writes something first, or nothing at all. */
	if (!client_is_calm(c) && world_chance(w, 1, 5)) {
		s->plan_n = (int)rng_between(&w->rng, 0, s->plan_n);
		s->has_offsets &= world_chance(w, 1, 2);
		s->is_short = true;
	}
	txn_client_later(c, 10);
}

static bool session_is_through(const struct txn_session *s)
{
	return s->plan_at == s->plan_n && (!s->has_offsets || s->are_offsets_done);
}

static void client_ended(struct txn_client *c, bool is_committed)
{
	c->is_calm_commit |= is_committed && client_is_calm(c);
	c->has_out = false;
	if (c->member)
		txn_member_over(c->member, is_committed);
}

/* ---- answers ---- */

static bool client_asks_again(struct txn_client *c, const struct txn_answer *answer)
{
	if (c->is_asking_again || c->all->is_resting || !world_chance(txns_world(c->all), 1, 5))
		return false;
	c->first_answer = *answer;
	c->is_asking_again = true;
	return true;
}

/* EndTxn has been answered already; this is the answer to it once more. Nothing has begun since. */
static void client_answered_again(struct txn_client *c, const struct txn_answer *answer)
{
	struct world *w = txns_world(c->all);
	enum txn_verdict verdict = txn_verdict_of(answer->code);
	bool is_same = answer->producer_id == c->first_answer.producer_id && answer->epoch == c->first_answer.epoch;

	c->is_asking_again = c->has_out = false;
	if (verdict == TXN_AGAIN)
		return;
	if (verdict == TXN_OK && is_same)
		return;
	/* The id may be forgotten by now; an InitProducerId that was given up may have come. */
	if (answer->code == ERR_INVALID_PRODUCER_ID_MAPPING ||
	    w->now_ns - c->lost_init_ns < LOST_INIT_NS)
		return;
	/* In version 1 a late AddPartitionsToTxn may have begun a transaction, which timed out. */
	if (verdict != TXN_OK && !c->s.is_v2 && answer->code != ERR_INVALID_TXN_STATE)
		return;
	world_fail(w, "EndTxn of %s, transaction %u, sent again, answers error %d, producer %lld epoch %d; before: 0, "
		   "%lld, %d", c->id, c->out.txn, answer->code, (long long)answer->producer_id, answer->epoch,
		   (long long)c->first_answer.producer_id, c->first_answer.epoch);
}

static void client_init_answered(struct txn_client *c, const struct txn_answer *answer)
{
	c->has_out = txn_verdict_of(answer->code) == TXN_AGAIN;
	if (answer->code == ERR_NONE)
		client_has_producer(c, answer);
	else if (!c->has_out)
		c->keeps_id = false;
}

static void client_end_taken(struct txn_client *c, const struct txn_answer *answer)
{
	bool is_committed = c->out.commit;

	for (int i = 0; i < TXN_TOPIC_PARTS && is_committed && c->s.are_offsets_done; i++) {
		if (c->s.offsets[i] >= 0)
			check_txn_offset_told(&c->all->check, i, c->s.offsets[i], -1);
	}
	if (c->s.is_v2)
		check_txn_producer(&c->all->check, (uint32_t)c->index, answer->producer_id, answer->epoch);
	txn_session_taken(c, &c->s, &c->out, answer);
	client_ended(c, is_committed);
	c->has_out = client_asks_again(c, answer);
}

/* The group goes on without it while its transaction is open: who follows has to wait for how that ends. */
static void client_may_be_left(struct txn_client *c)
{
	struct world *w = txns_world(c->all);

	if (c->out.kind != TXN_COMMIT_OFFSETS || client_is_calm(c) || !world_chance(w, 1, 6))
		return;
	txn_member_leave(c->member);
	c->pause_ns = w->now_ns + rng_between(&w->rng, 100, 4000) * NS_PER_MS;
}

static void client_answered(struct txn_client *c, const struct txn_answer *answer)
{
	enum txn_verdict verdict = txn_verdict_of(answer->code);

	if (c->is_asking_again) {
		client_answered_again(c, answer);
		return;
	}
	if (c->out.kind == TXN_INIT) {
		client_init_answered(c, answer);
		return;
	}
	switch (verdict) {
	case TXN_OK:
		if (c->out.kind == TXN_END) {
			client_end_taken(c, answer);
		} else {
			txn_session_taken(c, &c->s, &c->out, answer);
			c->has_out = false;
			client_may_be_left(c);
		}
		break;
	case TXN_AGAIN:
		break;
	case TXN_ABORT:
		/* Some of it may be written, or come late. */
		c->s.needs_epoch |= !c->s.is_v2;
		c->s.is_aborting = true;
		c->has_out = false;
		if (c->out.kind == TXN_END)
			client_let_go(c);
		break;
	case TXN_FATAL:
	default:
		client_let_go(c);
	}
}

static void client_done(struct sim_call *call)
{
	struct txn_client *c = container_of(call, struct txn_client, call);
	struct txn_answer answer;

	if (txns_is_over(c->all))
		return;
	if (call->err) {
		c->s.needs_epoch |= !c->s.is_v2 && c->out.kind != TXN_INIT;
		if (c->out.kind == TXN_INIT)
			c->lost_init_ns = txns_world(c->all)->now_ns;
		if (c->is_asking_again)
			c->is_asking_again = c->has_out = false;
		return; /* client_down comes */
	}
	txn_answer_read(&c->out, call, txns_world(c->all), &answer);
	txn_judge(c, &c->out, c->was_fenced, &answer);
	if (txns_world(c->all)->has_failed)
		return;
	client_answered(c, &answer);
	txn_client_later(c, txn_verdict_of(answer.code) == TXN_AGAIN ? 150 : 20);
}

/* ---- what it does ---- */

static void client_send(struct txn_client *c)
{
	c->was_fenced = txn_note_sent(c, &c->out);
	txn_request_send(&c->out, &c->conn, &c->call, client_done);
	txn_echo_maybe(c, &c->out);
}

/* A marker of the transaction that has just ended, again, in the time of the next ones. Its word is true. */
static void client_echo_marker(struct txn_client *c)
{
	struct txn_request r = c->out;

	if (!c->s.is_v2 || r.kind != TXN_END || c->s.txn != CHECK_TXN_NONE || !c->s.wrote || r.epoch == INT16_MAX - 1)
		return;
	r.kind = TXN_MARKER;
	r.epoch++;
	r.parts = c->s.wrote;
	r.coordinator_epoch = c->coordinator_epoch;
	txn_echo_maybe(c, &r);
}

/* What happens to processes. True: that was all for now. */
static bool client_misbehaves(struct txn_client *c)
{
	struct world *w = txns_world(c->all);

	if (client_is_calm(c) || !world_chance(w, 1, 25))
		return false;
	switch (rng_below(&w->rng, 6)) {
	case 0: /* stands still: longer than its timeout, perhaps */
		txn_client_later(c, world_chance(w, 1, 3) ? 9000 : 600);
		return true;
	case 1: /* its connection breaks */
		sim_conn_close(&c->conn);
		txn_client_later(c, 300);
		return true;
	case 2: /* is replaced, and lives on */
		if (c->s.txn == CHECK_TXN_NONE || c->ghost.is_on || c->is_asking_again || !c->has_id)
			return false;
		txn_ghost_begin(c);
		client_let_go(c);
		return false;
	case 3: /* is restarted */
		client_let_go(c);
		txn_client_later(c, 1000);
		return true;
	case 4: /* changes its mind */
		if (c->s.txn == CHECK_TXN_NONE || (c->has_out && c->out.kind == TXN_END))
			return false;
		c->s.needs_epoch |= !c->s.is_v2 && c->has_out;
		c->s.is_aborting = true;
		c->has_out = false;
		return false;
	default:
		c->s.needs_epoch |= c->has_id && c->s.txn == CHECK_TXN_NONE && !c->has_out;
		return false;
	}
}

/* No transaction is open, nothing is out. */
static void client_idle(struct txn_client *c)
{
	if (c->s.needs_epoch || (client_is_calm(c) && !c->is_calm_epoch)) {
		c->keeps_id = c->s.needs_epoch && world_chance(txns_world(c->all), 1, 2);
		c->has_id = false;
		txn_client_later(c, 20);
	} else if (client_may_begin(c)) {
		client_begin(c);
	} else {
		txn_client_later(c, 200);
	}
}

static void client_step(struct txn_client *c)
{
	if (client_misbehaves(c))
		return;
	if (txns_world(c->all)->now_ns < c->pause_ns && !client_is_calm(c)) {
		txn_client_later(c, 200);
	} else if (c->has_out) {
		client_send(c);
	} else if (!c->has_id) {
		client_init(c);
		client_send(c);
	} else if (c->s.txn == CHECK_TXN_NONE) {
		client_echo_marker(c);
		client_idle(c);
	} else if (c->s.is_aborting && !c->s.was_sent) {
		c->s.txn = CHECK_TXN_NONE;
		client_ended(c, false);
		txn_client_later(c, 50);
	} else if (c->all->is_resting && c->is_deserter && c->s.wrote && c->s.plan_at > 0) {
		c->has_deserted = true; /* and is not heard of again */
		c->s.txn = CHECK_TXN_NONE;
	} else {
		c->s.is_aborting |= c->s.is_short && session_is_through(&c->s);
		txn_session_next(c, &c->s, &c->out);
		c->has_out = true;
		client_send(c);
	}
}

/* ---- life ---- */

static void client_up(struct sim_conn *conn)
{
	txn_client_later(conn->owner, 20);
}

static void client_down(struct sim_conn *conn)
{
	struct txn_client *c = conn->owner;

	if (!txns_is_over(c->all))
		txn_client_later(c, 300);
}

void txn_client_init(struct txn_client *c, struct wl_txns *t, int index, struct txn_member *member)
{
	*c = (struct txn_client){.all = t, .index = index, .member = member};
	sim_conn_init(&c->conn, txns_world(t), t->wl->node, c->id);
	c->conn.owner = c;
	c->conn.up = client_up;
	c->conn.down = client_down;
	txn_echo_init(c);
	txn_ghost_init(c);
}

void txn_client_deinit(struct txn_client *c)
{
	struct world *w = txns_world(c->all);

	world_off(w, &c->next);
	world_off(w, &c->echo.next);
	world_off(w, &c->ghost.next);
	sim_conn_deinit(&c->conn);
	sim_conn_deinit(&c->echo.conn);
	sim_conn_deinit(&c->ghost.conn);
	vec_deinit(&c->before);
}

void txn_client_start(struct txn_client *c)
{
	snprintf(c->id, sizeof(c->id), "txn-%d-%u", c->index, c->all->era);
	c->s = (struct txn_session){.producer_id = -1, .txn = CHECK_TXN_NONE};
	c->has_id = c->keeps_id = c->has_out = c->is_asking_again = false;
	c->lost_init_ns = -LOST_INIT_NS;
	c->is_calm_commit = c->is_calm_epoch = false;
	c->before.n = 0;
	txn_client_later(c, 100);
}

void txn_client_stop(struct txn_client *c)
{
	struct world *w = txns_world(c->all);

	world_off(w, &c->next);
	world_off(w, &c->echo.next);
	world_off(w, &c->ghost.next);
	c->echo.is_on = c->ghost.is_on = false;
	if (c->conn.state != CONN_OFF)
		sim_conn_close(&c->conn);
	if (c->echo.conn.state != CONN_OFF)
		sim_conn_close(&c->echo.conn);
	if (c->ghost.conn.state != CONN_OFF)
		sim_conn_close(&c->ghost.conn);
}

bool txn_client_is_idle(const struct txn_client *c)
{
	return c->s.txn == CHECK_TXN_NONE && !c->has_out && !c->echo.is_on && !c->ghost.is_on && c->has_id &&
	       (!c->is_deserter || c->has_deserted);
}
