/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions: producers that write several partitions at once, a group whose members handle inputs exactly once, and
 * readers of committed records and of all. See workload_txn.h; what must hold is in check_txn.h.
 *
 *      CREATE the topics --> work --rest--> everything is ended and read --> once more from the beginning --> done
 *        ^                    |
 *        +---- a lossy cut ---+
 *
 * At rest every transaction has to end: those of clients that finish what they began, those of ghosts, that of a client
 * that went away for good, by its timeout. Then the last stable offsets reach the high watermarks, and all inputs are
 * handled.
 */
#include "workload_txn.h"

#include <stdio.h>

#include "fmt.h"
#include "msg/create_topics.h"
#include "msg/find_coordinator.h"

#define TICK_NS (20 * NS_PER_MS)

static void txns_go(struct wl_txns *t)
{
	t->is_created = true;
	world_log(txns_world(t), "workload.txns", "era=%u", t->era);
	sim_conn_close(&t->admin);
	for (int i = 0; i < TXN_CLIENTS_N; i++)
		txn_client_start(&t->clients[i]);
	for (int i = 0; i < TXN_MEMBERS_N; i++)
		txn_member_start(&t->members[i]);
	for (int i = 0; i < TXN_READERS_N; i++)
		txn_reader_start(&t->readers[i]);
}

/* ---- topics ---- */

static void created(struct sim_call *call)
{
	struct wl_txns *t = container_of(call, struct wl_txns, admin_call);
	const struct create_topics_response *response = call->response;
	bool again = false;

	if (call->err || t->era != txns_world(t)->era)
		return;
	for (int32_t i = 0; i < response->topics_n; i++) {
		int16_t code = response->topics[i].error_code;

		again |= workload_bad_error(t->wl, "CreateTopics", code) ||
			 (code != ERR_NONE && code != ERR_TOPIC_ALREADY_EXISTS);
	}
	t->are_topics_created = !again;
}

/* Their first use makes the coordinators' topics. */
static void found(struct sim_call *call)
{
	struct wl_txns *t = container_of(call, struct wl_txns, admin_call);
	const struct find_coordinator_response *response = call->response;

	if (call->err || t->era != txns_world(t)->era ||
	    workload_bad_error(t->wl, "FindCoordinator", response->error_code))
		return;
	t->coordinators_n += response->error_code == ERR_NONE;
	if (t->coordinators_n == 2)
		txns_go(t);
}

static void txns_find(struct wl_txns *t)
{
	struct find_coordinator_request request;

	msg_init(&find_coordinator_request_type, &request);
	request.key_type = (int8_t)(t->coordinators_n == 0);
	request.key = str_of(t->group);
	sim_conn_call(&t->admin, &t->admin_call, API_FIND_COORDINATOR, &request, 8000, found);
}

static void txns_create(struct wl_txns *t)
{
	struct create_topics_request_topics topics[TXN_TOPICS_N];
	struct create_topics_request request;

	msg_init(&create_topics_request_type, &request);
	for (int i = 0; i < TXN_TOPICS_N; i++) {
		msg_init(&create_topics_request_topics_type, &topics[i]);
		topics[i].name = str_of(t->topics[i]);
		topics[i].num_partitions = TXN_TOPIC_PARTS;
		topics[i].replication_factor = 1;
	}
	request.topics = topics;
	request.topics_n = TXN_TOPICS_N;
	request.timeout_ms = 5000;
	sim_conn_call(&t->admin, &t->admin_call, API_CREATE_TOPICS, &request, 8000, created);
}

/* ---- eras ---- */

static void txns_stop(struct wl_txns *t)
{
	if (t->admin.state != CONN_OFF)
		sim_conn_close(&t->admin);
	for (int i = 0; i < TXN_CLIENTS_N; i++)
		txn_client_stop(&t->clients[i]);
	for (int i = 0; i < TXN_MEMBERS_N; i++)
		txn_member_stop(&t->members[i]);
	for (int i = 0; i < TXN_READERS_N; i++)
		txn_reader_stop(&t->readers[i]);
}

/* Calls that were closed are told so soon; by then nothing of the old era may be looked at. */
static void txns_begin_anew(struct wl_txns *t)
{
	t->era = txns_world(t)->era;
	t->is_created = t->are_topics_created = false;
	t->coordinators_n = 0;
	for (int i = 0; i < TXN_CLIENTS_N; i++)
		t->clients[i].coordinator_epoch = 0;
	t->quiet_ns = -1;
	check_txn_deinit(&t->check);
	check_txn_init(&t->check, txns_world(t));
	snprintf(t->names[0], sizeof(t->names[0]), "txn-in-%u", t->era);
	snprintf(t->names[1], sizeof(t->names[1]), "txn-out-%u", t->era);
	snprintf(t->group, sizeof(t->group), "txn-group-%u", t->era);
}

static bool txns_are_closed(const struct wl_txns *t)
{
	bool yes = list_is_empty(&t->admin.calls);

	for (int i = 0; i < TXN_CLIENTS_N; i++) {
		const struct txn_client *c = &t->clients[i];

		yes = yes && list_is_empty(&c->conn.calls) && list_is_empty(&c->echo.conn.calls) &&
		      list_is_empty(&c->ghost.conn.calls);
	}
	for (int i = 0; i < TXN_MEMBERS_N; i++)
		yes = yes && list_is_empty(&t->members[i].conn.calls);
	for (int i = 0; i < TXN_READERS_N; i++)
		yes = yes && list_is_empty(&t->readers[i].conn.calls);
	return yes;
}

/* ---- rest ---- */

static bool txns_are_idle(const struct wl_txns *t)
{
	bool yes = t->is_created;

	for (int i = 0; i < TXN_CLIENTS_N; i++)
		yes = yes && txn_client_is_idle(&t->clients[i]);
	return yes && check_txn_unhandled(&t->check, TXN_TOPIC_PARTS) == 0;
}

static bool txns_are_read(const struct wl_txns *t, bool is_last)
{
	bool yes = true;

	for (int i = 0; i < TXN_READERS_N; i++)
		yes = yes && t->readers[i].end_ns >= t->quiet_ns && t->readers[i].is_last == is_last;
	return yes;
}

static void txns_rest(struct wl_txns *t)
{
	if (!txns_are_idle(t)) {
		t->quiet_ns = -1;
		return;
	}
	if (t->quiet_ns < 0)
		t->quiet_ns = txns_world(t)->now_ns;
	if (txns_are_read(t, false)) {
		for (int i = 0; i < TXN_READERS_N; i++)
			txn_reader_again(&t->readers[i]);
		t->quiet_ns = txns_world(t)->now_ns;
	} else if (txns_are_read(t, true)) {
		check_txn_finish(&t->check, TXN_TOPIC_PARTS);
		t->is_done = true;
		world_log(txns_world(t), "workload.txns_done", "txns=%lld commits=%lld aborts=%lld",
			  (long long)t->txns_n, (long long)t->check.commits_n, (long long)t->check.aborts_n);
	}
}

static void txns_tick(struct sim_event *event)
{
	struct wl_txns *t = container_of(event, struct wl_txns, tick);
	struct world *w = txns_world(t);

	if (t->is_ended || t->is_done || w->has_failed)
		return;
	world_after(w, &t->tick, TICK_NS, txns_tick);
	if (t->era != w->era) {
		txns_stop(t);
		if (txns_are_closed(t))
			txns_begin_anew(t);
	} else if (t->is_created) {
		if (t->is_resting)
			txns_rest(t);
	} else if (t->admin.state == CONN_OFF) {
		sim_conn_open(&t->admin);
	} else if (t->admin.state == CONN_UP && !sim_call_is_out(&t->admin_call)) {
		if (t->are_topics_created)
			txns_find(t);
		else
			txns_create(t);
	}
}

/* ---- life ---- */

struct wl_txns *wl_txns_new(struct workload *wl)
{
	struct wl_txns *t = MEM_NEW(struct wl_txns);

	t->wl = wl;
	check_txn_init(&t->check, wl->w);
	txns_begin_anew(t);
	for (int i = 0; i < TXN_TOPICS_N; i++)
		t->topics[i] = t->names[i];
	sim_conn_init(&t->admin, wl->w, wl->node, "txn-admin");
	t->admin.cap[API_FIND_COORDINATOR] = 3;
	for (int i = 0; i < TXN_CLIENTS_N; i++)
		txn_client_init(&t->clients[i], t, i, i < TXN_FEEDERS_N ? NULL : &t->members[i - TXN_FEEDERS_N]);
	/* A clock that jumps back may have begun a transaction whose timeout lies half an hour ahead. */
	t->clients[0].is_deserter = !wl->w->opt.f_clock;
	for (int i = 0; i < TXN_MEMBERS_N; i++)
		txn_member_init(&t->members[i], t, i);
	for (int i = 0; i < TXN_READERS_N; i++)
		txn_reader_init(&t->readers[i], t, i);
	return t;
}

void wl_txns_free(struct wl_txns *t)
{
	if (!t)
		return;
	world_off(t->wl->w, &t->tick);
	sim_conn_deinit(&t->admin);
	for (int i = 0; i < TXN_CLIENTS_N; i++)
		txn_client_deinit(&t->clients[i]);
	for (int i = 0; i < TXN_MEMBERS_N; i++)
		txn_member_deinit(&t->members[i]);
	for (int i = 0; i < TXN_READERS_N; i++)
		txn_reader_deinit(&t->readers[i]);
	check_txn_deinit(&t->check);
	compress_ctx_deinit(&t->ctx);
	mem_free(t);
}

void wl_txns_start(struct wl_txns *t)
{
	t->is_started = true;
	world_after(t->wl->w, &t->tick, TICK_NS, txns_tick);
}

void wl_txns_calm(struct wl_txns *t)
{
	for (int i = 0; t->is_created && !txns_is_over(t) && i < TXN_CLIENTS_N; i++)
		txn_client_later(&t->clients[i], 100);
	for (int i = 0; t->is_created && !txns_is_over(t) && i < TXN_MEMBERS_N; i++)
		txn_member_wake(&t->members[i]);
}

bool wl_txns_has_progressed(const struct wl_txns *t)
{
	bool yes = t->is_created && !txns_is_over(t);

	for (int i = 0; i < TXN_FEEDERS_N; i++)
		yes = yes && t->clients[i].is_calm_commit;
	return yes;
}

void wl_txns_rest(struct wl_txns *t)
{
	t->is_resting = true;
}

bool wl_txns_is_done(const struct wl_txns *t)
{
	return t->is_done;
}

void wl_txns_describe(const struct wl_txns *t, struct fmt *f)
{
	if (t->is_done || (!t->is_resting && wl_txns_has_progressed(t)))
		return;
	fmt_add(f, "transactions:%s", t->is_created ? "" : " no topics");
	for (int i = 0; i < TXN_CLIENTS_N; i++) {
		const struct txn_client *c = &t->clients[i];

		if (t->is_resting ? !txn_client_is_idle(c) : i < TXN_FEEDERS_N && !c->is_calm_commit)
			fmt_add(f, " %s%s%s%s%s", c->id, c->s.txn != CHECK_TXN_NONE ? " open" : "",
				c->has_out ? " asks" : "", c->echo.is_on ? " echo" : "",
				c->ghost.is_on ? " ghost" : "");
	}
	for (int i = 0; i < TXN_PARTS_N && t->is_resting; i++) {
		const struct txn_cursor *cursor = &t->readers[0].cursors[i];

		if (cursor->stable != cursor->high_watermark || cursor->pos < cursor->high_watermark)
			fmt_add(f, " part %d at %lld stable %lld of %lld", i, (long long)cursor->pos,
				(long long)cursor->stable, (long long)cursor->high_watermark);
	}
	for (int i = 0; i < TXN_MEMBERS_N; i++) {
		const struct txn_member *m = &t->members[i];

		fmt_add(f, " member %s%s%s owns %x told %x inputs %d at %lld %lld", m->id, m->is_in ? " in" : "",
			m->is_working ? " works" : "", (unsigned)m->owns, (unsigned)m->told, m->inputs_n,
			(long long)m->cursors[0].pos, (long long)m->cursors[1].pos);
	}
	fmt_add(f, " unhandled %lld; ", (long long)check_txn_unhandled(&t->check, TXN_TOPIC_PARTS));
}

void wl_txns_end(struct wl_txns *t)
{
	t->is_ended = true;
	world_off(t->wl->w, &t->tick);
	txns_stop(t);
}
