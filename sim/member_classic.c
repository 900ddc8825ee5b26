/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of the classic protocol: join, sync, heartbeat, leave, and the assignment that their leader makes. Eager ones
 * own nothing when they join. Cooperative ones keep what they have, say so, and lose what the next assignment does not
 * give them; then they join again, and only then does the leader give it to somebody else.
 */
#include <stdio.h>

#include "msg/consumer_protocol.h"
#include "msg/heartbeat.h"
#include "msg/join_group.h"
#include "msg/leave_group.h"
#include "msg/sync_group.h"
#include "workload_groups.h"

static void id_copy(char to[ID_MAX], struct str from)
{
	snprintf(to, ID_MAX, "%.*s", STR_ARGS(from));
}

static void twin_done(struct sim_call *call UNUSED)
{
}

/* It has to join; what it has it may keep only when it is cooperative. */
static void classic_lost(struct group_member *m)
{
	m->is_in = m->has_joined = false;
	if (m->kind == MEMBER_EAGER)
		m->owns = 0;
}

/* ---- what they say to each other ---- */

static struct bytes protocol_encode(const struct msg_type *type, const void *object, struct arena *arena)
{
	struct codec_out out = {.arena = arena, .head_len = 2};
	enum err err = codec_encode_copied(type, 3, object, &out);

	CHECK_OP(err, ==, ERR_NONE);
	store_be16(out.head, 3);
	return (struct bytes){out.head, out.len};
}

static int32_t parts_of(uint32_t set, int32_t parts[CHECK_GROUP_PARTS_MAX])
{
	int32_t n = 0;

	for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++) {
		if (set >> p & 1)
			parts[n++] = p;
	}
	return n;
}

static struct bytes subscription_make(const struct group_member *m, struct arena *arena)
{
	struct consumer_protocol_subscription_owned_partitions owned;
	struct consumer_protocol_subscription subscription;
	struct str topic = str_of(m->all->wl->topics[0].name);
	int32_t parts[CHECK_GROUP_PARTS_MAX];

	msg_init(&consumer_protocol_subscription_type, &subscription);
	msg_init(&consumer_protocol_subscription_owned_partitions_type, &owned);
	subscription.topics = &topic;
	subscription.topics_n = 1;
	owned.topic = topic;
	owned.partitions = parts;
	owned.partitions_n = parts_of(m->owns, parts);
	subscription.owned_partitions = &owned;
	subscription.owned_partitions_n = owned.partitions_n > 0;
	subscription.generation_id = owned.partitions_n > 0 ? m->owned_epoch : -1;
	return protocol_encode(&consumer_protocol_subscription_type, &subscription, arena);
}

static struct bytes assignment_make(const struct group_member *m, uint32_t set, struct arena *arena)
{
	struct consumer_protocol_assignment_assigned_partitions topic;
	struct consumer_protocol_assignment assignment;
	int32_t parts[CHECK_GROUP_PARTS_MAX];

	msg_init(&consumer_protocol_assignment_type, &assignment);
	msg_init(&consumer_protocol_assignment_assigned_partitions_type, &topic);
	topic.topic = str_of(m->all->wl->topics[0].name);
	topic.partitions = parts;
	topic.partitions_n = parts_of(set, parts);
	assignment.assigned_partitions = &topic;
	assignment.assigned_partitions_n = topic.partitions_n > 0;
	return protocol_encode(&consumer_protocol_assignment_type, &assignment, arena);
}

static bool protocol_decode(struct group_member *m, const struct msg_type *type, struct bytes in, void *ret,
			    struct arena *arena)
{
	int16_t version = in.len < 2 ? 0 : (int16_t)load_be16(in.p);

	if (in.len < 2)
		return false;
	if (codec_decode(type, version, (struct bytes){in.p + 2, in.len - 2}, arena, ret, NULL, NULL)) {
		world_fail(member_world(m), "%s: %zu bytes of another member's do not decode", m->group->name, in.len);
		return false;
	}
	return true;
}

static void other_read(struct group_member *m, struct bytes metadata, struct member_other *ret)
{
	struct consumer_protocol_subscription subscription;
	struct arena arena = {0};

	if (protocol_decode(m, &consumer_protocol_subscription_type, metadata, &subscription, &arena)) {
		ret->generation = subscription.generation_id;
		for (int32_t t = 0; t < subscription.owned_partitions_n; t++) {
			const struct consumer_protocol_subscription_owned_partitions *owned =
				&subscription.owned_partitions[t];

			for (int32_t p = 0; p < owned->partitions_n; p++)
				ret->claims |= member_bit(m, owned->topic, UUID_ZERO, owned->partitions[p]);
		}
	}
	arena_reset(&arena);
}

static uint32_t assignment_read(struct group_member *m, struct bytes in)
{
	struct consumer_protocol_assignment assignment;
	struct arena arena = {0};
	uint32_t set = 0;

	if (protocol_decode(m, &consumer_protocol_assignment_type, in, &assignment, &arena)) {
		for (int32_t t = 0; t < assignment.assigned_partitions_n; t++) {
			const struct consumer_protocol_assignment_assigned_partitions *topic =
				&assignment.assigned_partitions[t];

			for (int32_t p = 0; p < topic->partitions_n; p++)
				set |= member_bit(m, topic->topic, UUID_ZERO, topic->partitions[p]);
		}
	}
	arena_reset(&arena);
	return set;
}

/* ---- sync ---- */

/* Who says with the newest generation that it has the partition; -1: nobody. */
static int claimant_of(const struct group_member *m, int part)
{
	int best = -1;

	for (int i = 0; i < m->others_n; i++) {
		if ((m->others[i].claims >> part & 1) &&
		    (best < 0 || m->others[i].generation > m->others[best].generation))
			best = i;
	}
	return best;
}

static void leader_assign(const struct group_member *m, uint32_t sets[MEMBERS_N * 4])
{
	for (int p = 0; p < m->all->parts_n; p++) {
		int claimant = m->kind == MEMBER_COOPERATIVE ? claimant_of(m, p) : -1;
		int wanted = (p + m->epoch) % m->others_n;

		/* It changes hands in two steps: this time its owner only loses it. */
		if (claimant >= 0 && (m->all->wl->is_calm || world_chance(member_world(m), 1, 2)))
			wanted = claimant;
		if (claimant < 0 || claimant == wanted)
			sets[wanted] |= 1u << p;
	}
}

static void sync_own(struct group_member *m, uint32_t set)
{
	bool has_lost = (m->claimed & ~set) != 0;

	m->is_in = true;
	m->owns = set;
	m->owned_epoch = m->epoch;
	member_check_owners(m);
	/* What it gave up can be given to others in the next generation. */
	if (m->kind == MEMBER_COOPERATIVE && has_lost && m->is_in) {
		m->owes_join = true;
		classic_lost(m);
	}
}

static void sync_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct sync_group_response *response = call->response;

	if (!member_is_for_it(m, call))
		return;
	m->has_joined = false;
	if (call->err)
		return;
	if (workload_bad_error(m->all->wl, "SyncGroup", response->error_code))
		return;
	if (response->error_code == ERR_NONE) {
		member_heard(m, call);
		sync_own(m, assignment_read(m, response->assignment));
	} else if (member_is_fenced_by(response->error_code)) {
		member_reborn(m);
	}
	member_later(m, 100);
}

void member_sync(struct group_member *m)
{
	struct sync_group_request_assignments assignments[MEMBERS_N * 4];
	uint32_t sets[MEMBERS_N * 4] = {0};
	struct sync_group_request request;
	struct arena arena = {0};

	msg_init(&sync_group_request_type, &request);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(m->id);
	request.generation_id = m->epoch;
	if (m->instance[0])
		request.group_instance_id = str_of(m->instance);
	request.protocol_type = STR("consumer");
	request.protocol_name = m->kind == MEMBER_EAGER ? STR("sim") : STR("sim-cooperative");
	if (strcmp(m->leader, m->id) == 0) {
		leader_assign(m, sets);
		for (int i = 0; i < m->others_n; i++) {
			msg_init(&sync_group_request_assignments_type, &assignments[i]);
			assignments[i].member_id = str_of(m->others[i].id);
			assignments[i].assignment = assignment_make(m, sets[i], &arena);
		}
		request.assignments = assignments;
		request.assignments_n = m->others_n;
	}
	member_send(m, API_SYNC_GROUP, &request, REBALANCE_MS + 2000, sync_done);
	arena_reset(&arena);
}

/* ---- join ---- */

static void join_succeeded(struct group_member *m, const struct join_group_response *response)
{
	id_copy(m->id, response->member_id);
	id_copy(m->leader, response->leader);
	m->epoch = response->generation_id;
	m->has_joined = true;
	m->owes_join = false;
	m->others_n = MIN(response->members_n, MEMBERS_N * 4);
	for (int i = 0; i < m->others_n; i++) {
		m->others[i] = (struct member_other){.generation = -1};
		id_copy(m->others[i].id, response->members[i].member_id);
		other_read(m, response->members[i].metadata, &m->others[i]);
	}
	if (strcmp(m->leader, m->id) != 0)
		return;
	if (response->skip_assignment)
		m->leader[0] = '\0'; /* a static leader that is back: the assignment is there */
	else if (m->others_n == 0)
		m->has_joined = false; /* it leads a generation that goes on: it asks anew */
}

static void join_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct join_group_response *response = call->response;

	if (!member_is_for_it(m, call) || call->err)
		return;
	if (workload_bad_error(m->all->wl, "JoinGroup", response->error_code))
		return;
	if (response->error_code == ERR_MEMBER_ID_REQUIRED)
		id_copy(m->id, response->member_id);
	else if (response->error_code == ERR_NONE)
		join_succeeded(m, response);
	else if (member_is_fenced_by(response->error_code))
		member_reborn(m);
	member_later(m, m->all->wl->is_calm ? 20 : 200);
}

void member_join(struct group_member *m)
{
	struct join_group_request_protocols protocol;
	struct join_group_request request;
	struct arena arena = {0};

	classic_lost(m);
	m->claimed = m->owns;
	msg_init(&join_group_request_type, &request);
	msg_init(&join_group_request_protocols_type, &protocol);
	request.group_id = str_of(m->group->name);
	request.session_timeout_ms = SESSION_MS;
	request.rebalance_timeout_ms = REBALANCE_MS;
	request.member_id = str_of(m->id);
	if (m->instance[0])
		request.group_instance_id = str_of(m->instance);
	request.protocol_type = STR("consumer");
	request.protocols = &protocol;
	request.protocols_n = 1;
	protocol.name = m->kind == MEMBER_EAGER ? STR("sim") : STR("sim-cooperative");
	protocol.metadata = subscription_make(m, &arena);
	member_send(m, API_JOIN_GROUP, &request, REBALANCE_MS + 4000, join_done);
	arena_reset(&arena);
}

/* ---- heartbeat and leave ---- */

static void classic_beat_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct heartbeat_response *response = call->response;

	if (!member_is_for_it(m, call) || call->err)
		return;
	if (workload_bad_error(m->all->wl, "Heartbeat", response->error_code))
		return;
	if (response->error_code == ERR_NONE)
		member_heard(m, call);
	else if (response->error_code == ERR_REBALANCE_IN_PROGRESS)
		classic_lost(m);
	else if (member_is_fenced_by(response->error_code))
		member_reborn(m);
	member_later(m, 400);
}

void member_beat_classic(struct group_member *m)
{
	struct heartbeat_request request;

	msg_init(&heartbeat_request_type, &request);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(m->id);
	request.generation_id = m->epoch;
	if (m->instance[0])
		request.group_instance_id = str_of(m->instance);
	member_send(m, API_HEARTBEAT, &request, 2000, classic_beat_done);
	member_send_again(m, API_HEARTBEAT, &request, 2000, twin_done);
}

void member_leave_classic(struct group_member *m, const char *id, const char *instance, void (*done)(struct sim_call *))
{
	struct leave_group_request_members member;
	struct leave_group_request leave;

	msg_init(&leave_group_request_type, &leave);
	msg_init(&leave_group_request_members_type, &member);
	leave.group_id = str_of(m->group->name);
	leave.members = &member;
	leave.members_n = 1;
	member.member_id = str_of(id);
	if (instance[0])
		member.group_instance_id = str_of(instance);
	sim_conn_call(&m->conn, &m->call, API_LEAVE_GROUP, &leave, 2000, done);
	member_send_again(m, API_LEAVE_GROUP, &leave, 2000, twin_done);
}
