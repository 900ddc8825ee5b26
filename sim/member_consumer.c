/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of the consumer protocol: heartbeats that ask, tell what they own and hear what they may own; subscriptions
 * by name, or by an expression that topics which come and go match too.
 */
#include <stdio.h>

#include "msg/consumer_group_heartbeat.h"
#include "workload_groups.h"

static uint32_t set_of(struct group_member *m, const struct consumer_group_heartbeat_response_assignment *in)
{
	uint32_t set = 0;

	for (int32_t t = 0; t < in->topic_partitions_n; t++) {
		for (int32_t p = 0; p < in->topic_partitions[t].partitions_n; p++)
			set |= member_bit(m, STR_NULL, in->topic_partitions[t].topic_id,
					  in->topic_partitions[t].partitions[p]);
	}
	return set;
}

static void beat_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct consumer_group_heartbeat_response *response = call->response;

	if (!member_is_for_it(m, call))
		return;
	if (call->err) {
		m->has_lost_answer = true;
		return;
	}
	if (response->error_code)
		world_log(member_world(m), "member.refused", "id=%s error=%d text=\"%.*s\"", m->id,
			  response->error_code, STR_ARGS(response->error_message));
	if (workload_bad_error(m->all->wl, "ConsumerGroupHeartbeat", response->error_code))
		return;
	if (member_is_fenced_by(response->error_code)) {
		member_reborn(m);
	} else if (response->error_code == ERR_NONE) {
		member_heard(m, call);
		m->is_in = true;
		m->has_lost_answer = false;
		m->epoch = response->member_epoch;
		if (response->assignment) {
			m->told = set_of(m, response->assignment);
			m->owns |= m->told;
		}
		member_check_owners(m);
	} else {
		m->has_lost_answer = true;
	}
	member_later(m, m->all->wl->is_calm ? 100 : 400);
}

static void twin_done(struct sim_call *call UNUSED)
{
}

/* What it owns, by topics. */
static int32_t owned_make(const struct group_member *m, int32_t partitions[CHECK_GROUP_PARTS_MAX + 1],
			  struct consumer_group_heartbeat_request_topic_partitions owned[EXTRAS_MAX + 1])
{
	int32_t *zero = &partitions[CHECK_GROUP_PARTS_MAX]; /* topics that come and go have one partition */
	int32_t n = 0, topics_n = 0;

	*zero = 0;
	for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++) {
		if (m->owns >> p & 1)
			partitions[n++] = p;
	}
	for (int i = -1; i < m->all->extras_n; i++) {
		struct consumer_group_heartbeat_request_topic_partitions *topic = &owned[topics_n];

		if (i < 0 ? n == 0 : !(m->owns >> (CHECK_GROUP_PARTS_MAX + i) & 1))
			continue;
		msg_init(&consumer_group_heartbeat_request_topic_partitions_type, topic);
		topic->topic_id = i < 0 ? m->all->wl->topics[0].id : m->all->extras[i];
		topic->partitions = i < 0 ? partitions : zero;
		topic->partitions_n = i < 0 ? n : 1;
		topics_n++;
	}
	return topics_n;
}

static void beat_subscribe(const struct group_member *m, struct consumer_group_heartbeat_request *request,
			   struct str *topic)
{
	request->rebalance_timeout_ms = REBALANCE_MS;
	if (m->has_regex) {
		request->subscribed_topic_regex = STR("topic0|extra-[a-z]");
		return;
	}
	request->subscribed_topic_names = topic;
	request->subscribed_topic_names_n = 1;
	/* A static member inherits what the one before it asked for, but for what it says itself. */
	if (m->instance[0])
		request->subscribed_topic_regex = STR("");
}

void member_beat(struct group_member *m)
{
	struct consumer_group_heartbeat_request_topic_partitions owned[EXTRAS_MAX + 1];
	struct consumer_group_heartbeat_request request;
	struct str topic = str_of(m->all->wl->topics[0].name);
	int32_t partitions[CHECK_GROUP_PARTS_MAX + 1];
	bool tells = !m->is_in || m->has_lost_answer || world_chance(member_world(m), 1, 10);

	/* What was taken away is given back when its work is done. */
	if (m->all->wl->is_calm || world_chance(member_world(m), 2, 3))
		m->owns &= m->told;
	msg_init(&consumer_group_heartbeat_request_type, &request);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(m->id);
	request.member_epoch = m->is_in ? m->epoch : 0;
	request.subscribed_topic_names_n = -1;
	if (m->instance[0])
		request.instance_id = str_of(m->instance);
	if (tells)
		beat_subscribe(m, &request, &topic);
	request.topic_partitions = owned;
	request.topic_partitions_n = owned_make(m, partitions, owned);
	member_send(m, API_CONSUMER_GROUP_HEARTBEAT, &request, 2000, beat_done);
	/* Late, on another way: it must not tell what the member owned once. */
	request.topic_partitions_n = -1;
	if (m->is_in)
		member_send_again(m, API_CONSUMER_GROUP_HEARTBEAT, &request, 2000, twin_done);
}

void member_leave_consumer(struct group_member *m, const char *id, const char *instance, bool is_for_a_while,
		    void (*done)(struct sim_call *))
{
	struct consumer_group_heartbeat_request beat;

	msg_init(&consumer_group_heartbeat_request_type, &beat);
	beat.group_id = str_of(m->group->name);
	beat.member_id = str_of(id);
	beat.member_epoch = is_for_a_while ? -2 : -1;
	if (instance[0])
		beat.instance_id = str_of(instance);
	beat.subscribed_topic_names_n = beat.topic_partitions_n = -1;
	sim_conn_call(&m->conn, &m->call, API_CONSUMER_GROUP_HEARTBEAT, &beat, 2000, done);
	member_send_again(m, API_CONSUMER_GROUP_HEARTBEAT, &beat, 2000, twin_done);
}
