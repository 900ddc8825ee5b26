/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group that handles inputs: each committed input record becomes one output record, in a transaction that also
 * commits how far the group has come. Members of the consumer protocol; a member's transactions are made by the client
 * that it shares its name with.
 *
 *      OUT --heartbeat of epoch 0--> IN --stable offset--> [fetch committed --> transaction]... --> OUT
 *
 * A member that was removed while it stood still does not know. What it commits then has to be refused, or to have been
 * waited for by the one that follows.
 */
#include <stdio.h>

#include "msg/consumer_group_heartbeat.h"
#include "msg/offset_fetch.h"
#include "workload_txn.h"

#define BEAT_NS (500 * NS_PER_MS)

static void member_step(struct txn_member *m);

static void member_next(struct sim_event *event)
{
	struct txn_member *m = container_of(event, struct txn_member, next);

	if (txns_is_over(m->all))
		return;
	if (m->conn.state == CONN_OFF)
		sim_conn_open(&m->conn);
	else if (m->conn.state == CONN_UP && !sim_call_is_out(&m->call))
		member_step(m);
}

static void member_later(struct txn_member *m, int64_t most_ms)
{
	struct world *w = txns_world(m->all);

	world_after(w, &m->next, rng_between(&w->rng, 1, most_ms) * NS_PER_MS, member_next);
}

/* ---- membership ---- */

static void member_forget(struct txn_member *m, int part)
{
	m->cursors[part].pos = -1;
}

/* It owns nothing any more. What its client has begun goes on with the epoch it was begun in. */
static void member_out(struct txn_member *m)
{
	m->is_in = false;
	m->owns = m->told = 0;
	m->epoch = 0;
	m->inputs_n = 0;
	for (int i = 0; i < TXN_TOPIC_PARTS; i++)
		member_forget(m, i);
}

static void member_reborn(struct txn_member *m)
{
	member_out(m);
	snprintf(m->id, sizeof(m->id), "%s-%d", m->client->id, ++m->lives);
}

static void member_assigned(struct txn_member *m, const struct consumer_group_heartbeat_response_assignment *in)
{
	m->told = 0;
	for (int32_t t = 0; t < in->topic_partitions_n; t++) {
		m->topic_id = in->topic_partitions[t].topic_id;
		for (int32_t p = 0; p < in->topic_partitions[t].partitions_n; p++) {
			int32_t index = in->topic_partitions[t].partitions[p];

			if (index < 0 || index >= TXN_TOPIC_PARTS)
				world_fail(txns_world(m->all), "%s: partition %d is assigned", m->all->group, index);
			else
				m->told |= 1u << index;
		}
	}
	for (int i = 0; i < TXN_TOPIC_PARTS; i++) {
		if (m->told & ~m->owns & 1u << i)
			member_forget(m, i);
	}
	m->owns |= m->told;
}

static bool is_member_gone(int16_t code)
{
	return code == ERR_UNKNOWN_MEMBER_ID || code == ERR_FENCED_MEMBER_EPOCH || code == ERR_GROUP_ID_NOT_FOUND ||
	       code == ERR_STALE_MEMBER_EPOCH;
}

static void beat_done(struct sim_call *call)
{
	struct txn_member *m = container_of(call, struct txn_member, call);
	const struct consumer_group_heartbeat_response *response = call->response;

	if (txns_is_over(m->all))
		return;
	m->has_lost_answer = call->err || response->error_code;
	if (call->err || workload_bad_error(m->all->wl, "ConsumerGroupHeartbeat", response->error_code))
		return;
	if (is_member_gone(response->error_code)) {
		/* The transaction that is open is told now and then only. */
		m->client->s.is_aborting |= m->is_working && world_chance(txns_world(m->all), 1, 2) &&
					    !(m->client->has_out && m->client->out.kind == TXN_END);
		member_reborn(m);
	} else if (response->error_code == ERR_NONE) {
		m->beat_ns = txns_world(m->all)->now_ns;
		m->is_in = true;
		m->epoch = response->member_epoch;
		if (m->is_working && strcmp(m->client->s.member, m->id) == 0)
			m->client->s.member_epoch = m->epoch;
		if (response->assignment)
			member_assigned(m, response->assignment);
	}
	member_later(m, 40);
}

static void member_beat(struct txn_member *m)
{
	struct consumer_group_heartbeat_request_topic_partitions owned;
	struct consumer_group_heartbeat_request request;
	struct str topic = str_of(m->all->topics[0]);
	int32_t partitions[TXN_TOPIC_PARTS], n = 0;

	/* What was taken away is given back between transactions. */
	if (!m->is_working)
		m->owns &= m->told;
	if (!(m->owns >> m->asked & 1))
		m->inputs_n = 0;
	for (int i = 0; i < TXN_TOPIC_PARTS; i++) {
		if (m->owns >> i & 1)
			partitions[n++] = i;
		else
			member_forget(m, i);
	}
	msg_init(&consumer_group_heartbeat_request_type, &request);
	msg_init(&consumer_group_heartbeat_request_topic_partitions_type, &owned);
	request.group_id = str_of(m->all->group);
	request.member_id = str_of(m->id);
	request.member_epoch = m->is_in ? m->epoch : 0;
	request.subscribed_topic_names_n = -1;
	if (!m->is_in || m->has_lost_answer) {
		request.rebalance_timeout_ms = 8000;
		request.subscribed_topic_names = &topic;
		request.subscribed_topic_names_n = 1;
	}
	owned.topic_id = m->topic_id;
	owned.partitions = partitions;
	owned.partitions_n = n;
	request.topic_partitions = &owned;
	request.topic_partitions_n = n > 0;
	sim_conn_call(&m->conn, &m->call, API_CONSUMER_GROUP_HEARTBEAT, &request, 2500, beat_done);
}

/* ---- where to begin ---- */

static void offset_done(struct sim_call *call)
{
	struct txn_member *m = container_of(call, struct txn_member, call);
	const struct offset_fetch_response *response = call->response;
	int16_t code;

	if (call->err || txns_is_over(m->all))
		return;
	if (response->groups_n != 1) {
		world_fail(txns_world(m->all), "OffsetFetch of one group answers otherwise");
		return;
	}
	code = response->groups[0].error_code;
	if (!code && response->groups[0].topics_n == 1 && response->groups[0].topics[0].partitions_n == 1) {
		int64_t offset = response->groups[0].topics[0].partitions[0].committed_offset;

		code = response->groups[0].topics[0].partitions[0].error_code;
		if (!code) {
			check_txn_offset_told(&m->all->check, m->asked, offset, call->sent_ns);
			if ((m->owns >> m->asked & 1) && !m->is_asked_stale)
				m->cursors[m->asked].pos = MAX(offset, 0);
		}
	}
	if (is_member_gone(code))
		member_reborn(m);
	else if (!workload_bad_error(m->all->wl, "OffsetFetch", code))
		member_later(m, code ? 150 : 20);
}

static void member_ask_offset(struct txn_member *m, int part)
{
	struct offset_fetch_request_groups_topics topic;
	struct offset_fetch_request_groups group;
	struct offset_fetch_request request;
	int32_t index = part;

	m->asked = part;
	m->is_asked_stale = false;
	msg_init(&offset_fetch_request_type, &request);
	msg_init(&offset_fetch_request_groups_type, &group);
	msg_init(&offset_fetch_request_groups_topics_type, &topic);
	request.groups = &group;
	request.groups_n = 1;
	request.require_stable = true;
	group.group_id = str_of(m->all->group);
	group.member_id = str_of(m->id);
	group.member_epoch = m->epoch;
	group.topics = &topic;
	group.topics_n = 1;
	topic.name = str_of(m->all->topics[0]);
	topic.partition_indexes = &index;
	topic.partition_indexes_n = 1;
	sim_conn_call(&m->conn, &m->call, API_OFFSET_FETCH, &request, 5000, offset_done);
}

/* ---- inputs ---- */

static void input_came(struct txn_cursor *cursor, uint32_t record, int64_t offset)
{
	struct txn_member *m = cursor->ctx;

	if (m->inputs_n == TXN_RECORDS_MAX)
		return;
	m->inputs[m->inputs_n++] = record;
	m->offsets[cursor->part] = offset + 1;
}

static void inputs_done(struct sim_call *call)
{
	struct txn_member *m = container_of(call, struct txn_member, call);
	const struct fetch_response *response = call->response;
	struct txn_cursor *cursor = &m->cursors[m->asked];

	if (call->err || txns_is_over(m->all))
		return;
	member_later(m, 100);
	if (response->responses_n != 1 || response->responses[0].partitions_n != 1 || cursor->pos < 0)
		return;
	txn_cursor_take(cursor, &response->responses[0].partitions[0], call);
	/* What did not fit comes again. */
	if (m->inputs_n == TXN_RECORDS_MAX)
		cursor->pos = m->offsets[m->asked];
	if (m->inputs_n)
		txn_client_later(m->client, 20);
}

static void member_fetch(struct txn_member *m, int part)
{
	struct fetch_request_topics topic;
	struct fetch_request_topics_partitions partition;
	struct fetch_request request;

	m->asked = part;
	m->inputs_n = 0;
	for (int i = 0; i < TXN_TOPIC_PARTS; i++)
		m->offsets[i] = -1;
	msg_init(&fetch_request_type, &request);
	msg_init(&fetch_request_topics_type, &topic);
	msg_init(&fetch_request_topics_partitions_type, &partition);
	request.max_wait_ms = 50;
	request.min_bytes = 1;
	request.isolation_level = 1;
	request.session_epoch = -1;
	request.topics = &topic;
	request.topics_n = 1;
	topic.topic = str_of(m->all->topics[0]);
	topic.partitions = &partition;
	topic.partitions_n = 1;
	partition.partition = part;
	partition.fetch_offset = m->cursors[part].pos;
	partition.partition_max_bytes = (int32_t)rng_between(&txns_world(m->all)->rng, 100, 1000);
	sim_conn_call(&m->conn, &m->call, API_FETCH, &request, 15000, inputs_done);
}

static void leave_done(struct sim_call *call)
{
	struct txn_member *m = container_of(call, struct txn_member, call);

	if (!call->err && !txns_is_over(m->all))
		member_later(m, 1500);
}

static void member_send_leave(struct txn_member *m)
{
	struct consumer_group_heartbeat_request request;

	msg_init(&consumer_group_heartbeat_request_type, &request);
	request.group_id = str_of(m->all->group);
	request.member_id = str_of(m->id);
	request.member_epoch = -1;
	request.subscribed_topic_names_n = request.topic_partitions_n = -1;
	sim_conn_call(&m->conn, &m->call, API_CONSUMER_GROUP_HEARTBEAT, &request, 2500, leave_done);
	m->wants_to_leave = false;
	member_reborn(m);
}

void txn_member_leave(struct txn_member *m)
{
	m->wants_to_leave = true;
	if (!sim_call_is_out(&m->call))
		member_later(m, 5);
}

bool txn_member_plan(struct txn_member *m, struct txn_session *s)
{
	struct world *w = txns_world(m->all);
	int parts[2], first_n;

	if (!m->is_in || !m->inputs_n || m->is_working || sim_call_is_out(&m->call))
		return false;
	parts[0] = txn_part(1, (int)rng_below(&w->rng, TXN_TOPIC_PARTS));
	parts[1] = txn_part(1, (int)rng_below(&w->rng, TXN_TOPIC_PARTS));
	first_n = (int)rng_between(&w->rng, 1, m->inputs_n);
	for (int i = 0; i < m->inputs_n; i++) {
		int at = i >= first_n;

		if (i == 0 || i == first_n)
			s->plan[s->plan_n++] = (struct txn_batch){.part = parts[at]};
		s->plan[at].records[s->plan[at].records_n++] =
			check_txn_record(&m->all->check, s->txn, parts[at], m->inputs[i]);
	}
	s->has_offsets = true;
	memcpy(s->offsets, m->offsets, sizeof(s->offsets));
	memcpy(s->member, m->id, sizeof(s->member));
	s->member_epoch = m->epoch;
	m->is_working = true;
	m->inputs_n = 0;
	return true;
}

void txn_member_over(struct txn_member *m, bool is_committed)
{
	if (!m->is_working)
		return;
	m->is_working = false;
	for (int i = 0; i < TXN_TOPIC_PARTS; i++) {
		if (!is_committed)
			member_forget(m, i);
	}
	if (!txns_is_over(m->all) && !sim_call_is_out(&m->call))
		member_later(m, 20);
}

void txn_member_anew(struct txn_member *m)
{
	m->inputs_n = 0;
	m->is_asked_stale = true;
	for (int i = 0; i < TXN_TOPIC_PARTS; i++)
		member_forget(m, i);
}

/* ---- life ---- */

static bool member_misbehaves(struct txn_member *m)
{
	struct world *w = txns_world(m->all);

	if (m->all->wl->is_calm || !world_chance(w, 1, 60))
		return false;
	switch (rng_below(&w->rng, 3)) {
	case 0: /* stands still: longer than its session, perhaps */
		member_later(m, 9000);
		return true;
	case 1:
		sim_conn_close(&m->conn);
		member_later(m, 300);
		return true;
	default: /* comes again as another one */
		if (m->is_working)
			return false;
		member_reborn(m);
		return false;
	}
}

static void member_step(struct txn_member *m)
{
	struct world *w = txns_world(m->all);
	int part = (int)rng_below(&w->rng, TXN_TOPIC_PARTS);

	if (member_misbehaves(m))
		return;
	if (m->wants_to_leave && m->is_in) {
		member_send_leave(m);
		return;
	}
	if (!(m->owns >> part & 1))
		part = (part + 1) % TXN_TOPIC_PARTS;
	if (!m->is_in || w->now_ns - m->beat_ns >= BEAT_NS)
		member_beat(m);
	else if (m->is_working || !((m->told & m->owns) >> part & 1) || m->inputs_n)
		member_later(m, 100);
	else if (m->cursors[part].pos < 0)
		member_ask_offset(m, part);
	else
		member_fetch(m, part);
}

static void member_up(struct sim_conn *conn)
{
	member_later(conn->owner, 20);
}

static void member_down(struct sim_conn *conn)
{
	struct txn_member *m = conn->owner;

	m->has_lost_answer = true;
	if (!txns_is_over(m->all))
		member_later(m, 300);
}

void txn_member_init(struct txn_member *m, struct wl_txns *t, int index)
{
	*m = (struct txn_member){.all = t, .client = &t->clients[TXN_FEEDERS_N + index]};
	sim_conn_init(&m->conn, txns_world(t), t->wl->node, "txn-member");
	m->conn.cap[API_FETCH] = (int16_t)MIN(m->conn.cap[API_FETCH], 12); /* by name, as the next */
	m->conn.cap[API_OFFSET_FETCH] = (int16_t)rng_between(&txns_world(t)->rng, 8, 9);
	m->conn.cap[API_CONSUMER_GROUP_HEARTBEAT] = 1;
	m->conn.owner = m;
	m->conn.up = member_up;
	m->conn.down = member_down;
	for (int i = 0; i < TXN_TOPIC_PARTS; i++)
		m->cursors[i] = (struct txn_cursor){.all = t, .part = i, .is_committed = true, .record = input_came,
						    .ctx = m};
}

void txn_member_deinit(struct txn_member *m)
{
	world_off(txns_world(m->all), &m->next);
	sim_conn_deinit(&m->conn);
}

void txn_member_start(struct txn_member *m)
{
	m->is_working = m->wants_to_leave = false;
	member_reborn(m);
	member_later(m, 100);
}

void txn_member_wake(struct txn_member *m)
{
	member_later(m, 100);
}

void txn_member_stop(struct txn_member *m)
{
	world_off(txns_world(m->all), &m->next);
	if (m->conn.state != CONN_OFF)
		sim_conn_close(&m->conn);
}
