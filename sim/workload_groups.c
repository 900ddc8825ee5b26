/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumers in three groups, one of the classic protocol, one of the consumer protocol and one that changes between
 * them as its members do, each with all partitions of the first topic: they join, leave, stand still, die, come again
 * under other names, send things twice and hear nothing. Each keeps the clients' own rule: who hears nothing for a
 * session owns nothing any more.
 *
 *      OUT --JoinGroup, SyncGroup | heartbeat of epoch 0--> IN --[heartbeat | commit | fetch]...
 *       ^                                                   |
 *       +---- leaves, dies, is fenced, its session ends ----+
 *
 * Always: no partition has two owners; a fetched offset is not below one that was acknowledged or fetched before the
 * fetch was sent, unless it is a commit whose answer never came; nothing is fetched that nobody committed. In the calm:
 * all members are in, they own all partitions, and each partition gets a commit acknowledged, within the bound of the
 * run. A lossy cut of the power (w->era) starts anew what is known of offsets and owners.
 */
#include <stdio.h>

#include "msg/consumer_group_heartbeat.h"
#include "msg/consumer_protocol.h"
#include "msg/find_coordinator.h"
#include "msg/heartbeat.h"
#include "msg/join_group.h"
#include "msg/leave_group.h"
#include "msg/offset_commit.h"
#include "msg/offset_fetch.h"
#include "msg/sync_group.h"
#include "workload.h"

#define GROUPS_N 3
#define MEMBERS_N 3 /* of each group */
#define PARTS_MAX 4
#define SESSION_MS 3000
#define REBALANCE_MS 8000
#define ID_MAX 128

/* A commit that may or may not be stored: its answer did not come. */
struct group_doubt {
	int member, lives; /* whose */
	int part;
	int64_t value;
};

struct group_part {
	int64_t next;  /* the value of the next commit */
	int64_t acked; /* -1: not known */
	uint32_t era;  /* of `acked` */
	bool calm_ack; /* acknowledged since the calm began */
};

struct sim_group {
	const char *name;
	struct group_part parts[PARTS_MAX];
	VEC(struct group_doubt) doubts;
};

struct group_member {
	struct wl_groups *all;
	struct sim_group *group;
	int index, lives;
	bool is_consumer; /* its protocol, in this life */
	struct sim_conn conn;
	struct sim_call call, twin; /* twin: a request sent twice; its answer is not read */
	struct sim_event next;
	char id[ID_MAX], leader[ID_MAX];
	bool is_in, knows_coordinator, has_joined; /* joined, not synced */
	bool has_lost_answer;
	int32_t epoch; /* or generation */
	uint32_t owns, told; /* bits of partitions */
	int64_t heard_ns; /* when the last request that was answered well was sent */
	uint32_t heard_era;
	int others_n; /* members of the generation, for the leader */
	char others[MEMBERS_N * 4][ID_MAX];
	int part; /* of the commit or fetch that is out */
	int64_t value;
	struct group_part before; /* of the fetch that is out: what was known when it was sent */
	int lives_out; /* whose the commit is that is out */
	bool is_commit_out, is_twin_commit;
	/* A commit that it meant to send when it fell asleep, and sends when it wakes, whatever happened meanwhile. */
	bool is_walking;
	char walk_id[ID_MAX];
	int walk_lives, walk_part;
	int32_t walk_epoch;
	int64_t walk_value;
};

struct wl_groups {
	struct workload *wl;
	struct sim_group groups[GROUPS_N];
	struct group_member members[GROUPS_N * MEMBERS_N];
	int parts_n;
	bool is_started, is_ended;
};

static void member_step(struct group_member *m);

static struct world *member_world(const struct group_member *m)
{
	return m->all->wl->w;
}

static void member_next(struct sim_event *event)
{
	struct group_member *m = container_of(event, struct group_member, next);

	if (m->all->is_ended || member_world(m)->has_failed)
		return;
	if (m->conn.state == CONN_OFF)
		sim_conn_open(&m->conn);
	else if (m->conn.state == CONN_UP && !sim_call_is_out(&m->call))
		member_step(m);
}

static void member_later(struct group_member *m, int64_t most_ms)
{
	world_after(member_world(m), &m->next, rng_between(&member_world(m)->rng, 1, most_ms) * NS_PER_MS,
		    member_next);
}

/* ---- who owns what ---- */

/* It is another consumer from now on; the broker may still know the old one. */
static void member_reborn(struct group_member *m)
{
	m->lives++;
	m->is_in = m->has_joined = m->has_lost_answer = false;
	m->owns = m->told = 0;
	m->epoch = 0;
	m->id[0] = '\0';
	m->is_consumer = m->index % GROUPS_N == 1 || (m->index % GROUPS_N == 2 && world_chance(member_world(m), 1, 2));
	if (m->is_consumer)
		snprintf(m->id, sizeof(m->id), "m%d-%d", m->index, m->lives);
}

/* The rule that clients keep by themselves. */
static void member_fence_itself(struct group_member *m)
{
	struct world *w = member_world(m);

	if (m->is_in && (w->now_ns - m->heard_ns >= SESSION_MS * NS_PER_MS || m->heard_era != w->era))
		member_reborn(m);
}

static void groups_check_owners(struct group_member *m)
{
	for (int i = 0; i < GROUPS_N * MEMBERS_N; i++)
		member_fence_itself(&m->all->members[i]);
	for (int i = 0; i < GROUPS_N * MEMBERS_N; i++) {
		const struct group_member *other = &m->all->members[i];

		if (other != m && other->group == m->group && (other->owns & m->owns))
			world_fail(member_world(m), "%s: members %s (%d) and %s (%d) both own partitions %x",
				   m->group->name, m->id, m->epoch, other->id, other->epoch,
				   (unsigned)(other->owns & m->owns));
	}
}

static void member_heard(struct group_member *m, const struct sim_call *call)
{
	m->heard_ns = call->sent_ns;
	m->heard_era = m->conn.era;
}

/* Errors that say: you are not who you think you are. */
static bool is_fencing(int16_t code)
{
	return code == ERR_UNKNOWN_MEMBER_ID || code == ERR_FENCED_MEMBER_EPOCH || code == ERR_GROUP_ID_NOT_FOUND ||
	       code == ERR_ILLEGAL_GENERATION || code == ERR_STALE_MEMBER_EPOCH ||
	       code == ERR_INCONSISTENT_GROUP_PROTOCOL || code == ERR_GROUP_MAX_SIZE_REACHED;
}

/* ---- offsets ---- */

static void doubt_add(struct group_member *m)
{
	struct group_doubt doubt = {m->index, m->lives_out, m->part, m->value};

	vec_push(&m->group->doubts, doubt);
}

static bool doubt_has(const struct sim_group *group, int part, int64_t value)
{
	for (size_t i = 0; i < group->doubts.n; i++) {
		if (group->doubts.v[i].part == part && group->doubts.v[i].value == value)
			return true;
	}
	return false;
}

/* Who was acknowledged is the owner: what others sent before and was not stored by now never will be. */
static void doubts_settle(struct group_member *m)
{
	struct sim_group *group = m->group;
	size_t n = 0;

	for (size_t i = 0; i < group->doubts.n; i++) {
		struct group_doubt doubt = group->doubts.v[i];
		bool is_own = doubt.member == m->index && doubt.lives == m->lives_out;

		if (doubt.part != m->part || is_own || doubt.value > m->value)
			group->doubts.v[n++] = doubt;
	}
	group->doubts.n = n;
}

static void part_learn(struct group_member *m, int64_t value)
{
	struct group_part *part = &m->group->parts[m->part];

	if (m->conn.era != member_world(m)->era)
		return;
	if (part->era != m->conn.era || value > part->acked) {
		part->acked = value;
		part->era = m->conn.era;
	}
}

static void commit_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct offset_commit_response *response = call->response;
	int16_t code;

	m->is_commit_out = false;
	if (call->err) {
		doubt_add(m);
		return;
	}
	if (response->topics_n != 1 || response->topics[0].partitions_n != 1) {
		world_fail(member_world(m), "OffsetCommit of one partition answers otherwise");
		return;
	}
	code = response->topics[0].partitions[0].error_code;
	if (workload_bad_error(m->all->wl, "OffsetCommit", code))
		return;
	if (code == ERR_NONE) {
		part_learn(m, m->value);
		m->group->parts[m->part].calm_ack |= m->all->wl->is_calm;
		if (m->conn.era == member_world(m)->era)
			doubts_settle(m);
	} else if (is_fencing(code)) {
		member_reborn(m);
	} else if (code != ERR_REBALANCE_IN_PROGRESS && code != ERR_COORDINATOR_LOAD_IN_PROGRESS &&
		   code != ERR_NOT_COORDINATOR) {
		doubt_add(m);
	}
	member_later(m, 300);
}

static void twin_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, twin);

	if (call->err && m->is_twin_commit)
		doubt_add(m);
}

static void member_send(struct group_member *m, int16_t key, const void *body, int64_t timeout_ms,
			void (*done)(struct sim_call *))
{
	sim_conn_call(&m->conn, &m->call, key, body, timeout_ms, done);
	m->is_commit_out = key == API_OFFSET_COMMIT;
	/* Sent again by an impatient client, on the same way. */
	if (m->conn.state == CONN_UP && !m->all->wl->is_calm && key != API_JOIN_GROUP && !sim_call_is_out(&m->twin) &&
	    world_chance(member_world(m), 1, 10)) {
		m->is_twin_commit = m->is_commit_out;
		sim_conn_call(&m->conn, &m->twin, key, body, timeout_ms, twin_done);
	}
}

static int part_of(struct group_member *m, uint32_t set)
{
	int at = (int)rng_below(&member_world(m)->rng, (uint64_t)m->all->parts_n);

	while (!(set >> at & 1))
		at = (at + 1) % m->all->parts_n;
	return at;
}

static void commit_send(struct group_member *m, const char *id, int32_t epoch)
{
	struct offset_commit_request_topics_partitions partition;
	struct offset_commit_request_topics topic;
	struct offset_commit_request request;

	msg_init(&offset_commit_request_type, &request);
	msg_init(&offset_commit_request_topics_type, &topic);
	msg_init(&offset_commit_request_topics_partitions_type, &partition);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(id);
	request.generation_id_or_member_epoch = epoch;
	request.topics = &topic;
	request.topics_n = 1;
	topic.name = str_of(m->all->wl->topics[0].name);
	topic.partitions = &partition;
	topic.partitions_n = 1;
	partition.partition_index = m->part;
	partition.committed_offset = m->value;
	partition.committed_metadata = STR("");
	member_send(m, API_OFFSET_COMMIT, &request, 5000, commit_done);
}

static void member_commit(struct group_member *m)
{
	m->part = part_of(m, m->owns);
	m->value = m->group->parts[m->part].next++;
	m->lives_out = m->lives;
	commit_send(m, m->id, m->epoch);
}

static void member_fall_asleep(struct group_member *m)
{
	if (m->is_in && m->owns && world_chance(member_world(m), 2, 3)) {
		m->is_walking = true;
		memcpy(m->walk_id, m->id, sizeof(m->walk_id));
		m->walk_lives = m->lives;
		m->walk_epoch = m->epoch;
		m->walk_part = part_of(m, m->owns);
		m->walk_value = m->group->parts[m->walk_part].next++;
	}
	member_later(m, 12000);
}

static void member_sleepwalk(struct group_member *m)
{
	m->is_walking = false;
	m->part = m->walk_part;
	m->value = m->walk_value;
	m->lives_out = m->walk_lives;
	commit_send(m, m->walk_id, m->walk_epoch);
}

static void fetch_judge(struct group_member *m, int64_t value)
{
	const struct sim_group *group = m->group;
	struct world *w = member_world(m);

	if (value >= group->parts[m->part].next)
		world_fail(w, "%s: offset %lld of partition %d was never committed", group->name, (long long)value,
			   m->part);
	if (m->conn.era == w->era && m->before.era == w->era && value < m->before.acked &&
	    !doubt_has(group, m->part, value))
		world_fail(w, "%s: offset of partition %d went back from %lld to %lld", group->name, m->part,
			   (long long)m->before.acked, (long long)value);
	if (value >= 0)
		part_learn(m, value);
}

static void fetch_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct offset_fetch_response *response = call->response;

	if (call->err)
		return;
	if (response->groups_n != 1) {
		world_fail(member_world(m), "OffsetFetch of one group answers otherwise");
		return;
	}
	if (workload_bad_error(m->all->wl, "OffsetFetch", response->groups[0].error_code))
		return;
	if (response->groups[0].error_code == ERR_NONE && response->groups[0].topics_n == 1 &&
	    response->groups[0].topics[0].partitions_n == 1 &&
	    response->groups[0].topics[0].partitions[0].error_code == ERR_NONE)
		fetch_judge(m, response->groups[0].topics[0].partitions[0].committed_offset);
	member_later(m, 200);
}

static void member_fetch(struct group_member *m)
{
	struct offset_fetch_request_groups_topics topic;
	struct offset_fetch_request_groups group;
	struct offset_fetch_request request;
	int32_t index;

	m->part = part_of(m, UINT32_MAX);
	m->before = m->group->parts[m->part];
	index = m->part;
	msg_init(&offset_fetch_request_type, &request);
	msg_init(&offset_fetch_request_groups_type, &group);
	msg_init(&offset_fetch_request_groups_topics_type, &topic);
	request.groups = &group;
	request.groups_n = 1;
	group.group_id = str_of(m->group->name);
	group.topics = &topic;
	group.topics_n = 1;
	topic.name = str_of(m->all->wl->topics[0].name);
	topic.partition_indexes = &index;
	topic.partition_indexes_n = 1;
	sim_conn_call(&m->conn, &m->call, API_OFFSET_FETCH, &request, 5000, fetch_done);
}

/* ---- the consumer protocol ---- */

static uint32_t set_of(const struct group_member *m, const struct consumer_group_heartbeat_response_assignment *in)
{
	uint32_t set = 0;

	for (int32_t t = 0; t < in->topic_partitions_n; t++) {
		for (int32_t p = 0; p < in->topic_partitions[t].partitions_n; p++) {
			int32_t index = in->topic_partitions[t].partitions[p];

			if (index < 0 || index >= m->all->parts_n)
				world_fail(member_world(m), "%s: partition %d is assigned", m->group->name, index);
			else
				set |= 1u << index;
		}
	}
	return set;
}

static void beat_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct consumer_group_heartbeat_response *response = call->response;

	if (call->err) {
		m->has_lost_answer = true;
		return;
	}
	if (workload_bad_error(m->all->wl, "ConsumerGroupHeartbeat", response->error_code))
		return;
	if (is_fencing(response->error_code)) {
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
		groups_check_owners(m);
	} else {
		m->has_lost_answer = true;
	}
	member_later(m, m->all->wl->is_calm ? 100 : 400);
}

static void member_beat(struct group_member *m)
{
	struct consumer_group_heartbeat_request_topic_partitions owned;
	struct consumer_group_heartbeat_request request;
	struct str topic = str_of(m->all->wl->topics[0].name);
	int32_t partitions[PARTS_MAX], n = 0;

	/* What was taken away is given back when its work is done. */
	if (m->all->wl->is_calm || world_chance(member_world(m), 2, 3))
		m->owns &= m->told;
	for (int p = 0; p < m->all->parts_n; p++) {
		if (m->owns >> p & 1)
			partitions[n++] = p;
	}
	msg_init(&consumer_group_heartbeat_request_type, &request);
	msg_init(&consumer_group_heartbeat_request_topic_partitions_type, &owned);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(m->id);
	request.member_epoch = m->is_in ? m->epoch : 0;
	request.subscribed_topic_names_n = -1;
	if (!m->is_in || m->has_lost_answer || world_chance(member_world(m), 1, 10)) {
		request.rebalance_timeout_ms = REBALANCE_MS;
		request.subscribed_topic_names = &topic;
		request.subscribed_topic_names_n = 1;
	}
	owned.topic_id = m->all->wl->topics[0].id;
	owned.partitions = partitions;
	owned.partitions_n = n;
	request.topic_partitions = &owned;
	request.topic_partitions_n = n > 0;
	member_send(m, API_CONSUMER_GROUP_HEARTBEAT, &request, 2000, beat_done);
}

/* ---- the classic protocol ---- */

static void classic_lost(struct group_member *m)
{
	m->is_in = m->has_joined = false;
	m->owns = 0;
}

/* What consumers hand in when they join: the first topic. They are eager and own nothing then. */
static struct bytes subscription_make(const struct group_member *m, struct arena *arena)
{
	struct str topic = str_of(m->all->wl->topics[0].name);
	uint8_t *p = arena_alloc(arena, 16 + topic.len);
	struct bytes ret = {p, 16 + topic.len};

	memset(p, 0, ret.len);
	store_be16(p, 1);
	store_be32(p + 2, 1);
	store_be16(p + 6, (uint16_t)topic.len);
	memcpy(p + 8, topic.p, topic.len);
	store_be32(p + 8 + topic.len, UINT32_MAX); /* no user data; then no owned partitions */
	return ret;
}

static struct bytes assignment_make(const struct group_member *m, uint32_t set, struct arena *arena)
{
	struct str topic = str_of(m->all->wl->topics[0].name);
	uint8_t *p = arena_alloc(arena, 16 + topic.len + 4 * PARTS_MAX), *at = p + 12 + topic.len;
	uint32_t n = 0;

	store_be16(p, 1);
	store_be32(p + 2, 1);
	store_be16(p + 6, (uint16_t)topic.len);
	memcpy(p + 8, topic.p, topic.len);
	for (uint32_t i = 0; i < PARTS_MAX; i++) {
		if (!(set >> i & 1))
			continue;
		store_be32(at, i);
		at += 4;
		n++;
	}
	store_be32(p + 8 + topic.len, n);
	store_be32(at, UINT32_MAX);
	return (struct bytes){p, (size_t)(at + 4 - p)};
}

static uint32_t set_of_classic(struct group_member *m, struct bytes in)
{
	struct consumer_protocol_assignment assignment;
	struct arena arena = {0};
	uint32_t set = 0;

	if (in.len < 2)
		return 0;
	if (codec_decode(&consumer_protocol_assignment_type, 1, (struct bytes){in.p + 2, in.len - 2}, &arena,
			 &assignment, NULL, NULL)) {
		world_fail(member_world(m), "%s: an assignment of %zu bytes does not decode", m->group->name, in.len);
		return 0;
	}
	for (int32_t t = 0; t < assignment.assigned_partitions_n; t++) {
		for (int32_t p = 0; p < assignment.assigned_partitions[t].partitions_n; p++) {
			int32_t index = assignment.assigned_partitions[t].partitions[p];

			if (index < 0 || index >= m->all->parts_n)
				world_fail(member_world(m), "%s: partition %d is assigned", m->group->name, index);
			else
				set |= 1u << index;
		}
	}
	arena_reset(&arena);
	return set;
}

static void sync_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct sync_group_response *response = call->response;

	m->has_joined = false;
	if (call->err)
		return;
	if (workload_bad_error(m->all->wl, "SyncGroup", response->error_code))
		return;
	if (response->error_code == ERR_NONE) {
		member_heard(m, call);
		m->is_in = true;
		m->owns = set_of_classic(m, response->assignment);
		groups_check_owners(m);
	} else if (is_fencing(response->error_code)) {
		member_reborn(m);
	}
	member_later(m, 100);
}

static void member_sync(struct group_member *m)
{
	struct sync_group_request_assignments assignments[MEMBERS_N * 4];
	uint8_t sets[MEMBERS_N * 4] = {0};
	struct sync_group_request request;
	struct arena arena = {0};

	msg_init(&sync_group_request_type, &request);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(m->id);
	request.generation_id = m->epoch;
	request.protocol_type = STR("consumer");
	request.protocol_name = STR("sim");
	if (strcmp(m->leader, m->id) == 0) {
		for (int p = 0; p < m->all->parts_n; p++)
			sets[(p + m->epoch) % m->others_n] |= (uint8_t)(1u << p);
		for (int i = 0; i < m->others_n; i++) {
			msg_init(&sync_group_request_assignments_type, &assignments[i]);
			assignments[i].member_id = str_of(m->others[i]);
			assignments[i].assignment = assignment_make(m, sets[i], &arena);
		}
		request.assignments = assignments;
		request.assignments_n = m->others_n;
	}
	member_send(m, API_SYNC_GROUP, &request, REBALANCE_MS + 2000, sync_done);
	arena_reset(&arena);
}

static void id_copy(char to[ID_MAX], struct str from)
{
	snprintf(to, ID_MAX, "%.*s", STR_ARGS(from));
}

static void join_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct join_group_response *response = call->response;

	if (call->err)
		return;
	if (workload_bad_error(m->all->wl, "JoinGroup", response->error_code))
		return;
	if (response->error_code == ERR_MEMBER_ID_REQUIRED) {
		id_copy(m->id, response->member_id);
	} else if (response->error_code == ERR_NONE) {
		id_copy(m->id, response->member_id);
		id_copy(m->leader, response->leader);
		m->epoch = response->generation_id;
		m->has_joined = true;
		m->others_n = MIN(response->members_n, MEMBERS_N * 4);
		for (int i = 0; i < m->others_n; i++)
			id_copy(m->others[i], response->members[i].member_id);
		if (strcmp(m->leader, m->id) == 0 && m->others_n == 0)
			m->has_joined = false; /* it leads a generation that goes on: it asks anew */
	} else if (is_fencing(response->error_code)) {
		member_reborn(m);
	}
	member_later(m, m->all->wl->is_calm ? 20 : 200);
}

static void member_join(struct group_member *m)
{
	struct join_group_request_protocols protocol;
	struct join_group_request request;
	struct arena arena = {0};

	classic_lost(m); /* eager: everything is given back before */
	msg_init(&join_group_request_type, &request);
	msg_init(&join_group_request_protocols_type, &protocol);
	request.group_id = str_of(m->group->name);
	request.session_timeout_ms = SESSION_MS;
	request.rebalance_timeout_ms = REBALANCE_MS;
	request.member_id = str_of(m->id);
	request.protocol_type = STR("consumer");
	request.protocols = &protocol;
	request.protocols_n = 1;
	protocol.name = STR("sim");
	protocol.metadata = subscription_make(m, &arena);
	member_send(m, API_JOIN_GROUP, &request, REBALANCE_MS + 4000, join_done);
	arena_reset(&arena);
}

static void classic_beat_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct heartbeat_response *response = call->response;

	if (call->err)
		return;
	if (workload_bad_error(m->all->wl, "Heartbeat", response->error_code))
		return;
	if (response->error_code == ERR_NONE)
		member_heard(m, call);
	else if (response->error_code == ERR_REBALANCE_IN_PROGRESS)
		classic_lost(m);
	else if (is_fencing(response->error_code))
		member_reborn(m);
	member_later(m, 400);
}

static void classic_beat(struct group_member *m)
{
	struct heartbeat_request request;

	msg_init(&heartbeat_request_type, &request);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(m->id);
	request.generation_id = m->epoch;
	member_send(m, API_HEARTBEAT, &request, 2000, classic_beat_done);
}

/* ---- coming and going ---- */

static void leave_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);

	if (!call->err)
		member_later(m, 1000);
}

static void member_leave(struct group_member *m)
{
	struct consumer_group_heartbeat_request beat;
	struct leave_group_request_members member;
	struct leave_group_request leave;
	bool is_consumer = m->is_consumer;
	char id[ID_MAX];

	memcpy(id, m->id, sizeof(id));
	member_reborn(m);
	if (is_consumer) {
		msg_init(&consumer_group_heartbeat_request_type, &beat);
		beat.group_id = str_of(m->group->name);
		beat.member_id = str_of(id);
		beat.member_epoch = -1;
		beat.subscribed_topic_names_n = beat.topic_partitions_n = -1;
		sim_conn_call(&m->conn, &m->call, API_CONSUMER_GROUP_HEARTBEAT, &beat, 2000, leave_done);
		return;
	}
	msg_init(&leave_group_request_type, &leave);
	msg_init(&leave_group_request_members_type, &member);
	leave.group_id = str_of(m->group->name);
	leave.members = &member;
	leave.members_n = 1;
	member.member_id = str_of(id);
	sim_conn_call(&m->conn, &m->call, API_LEAVE_GROUP, &leave, 2000, leave_done);
}

static void coordinator_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct find_coordinator_response *response = call->response;

	if (call->err || workload_bad_error(m->all->wl, "FindCoordinator", response->error_code))
		return;
	m->knows_coordinator = response->error_code == ERR_NONE;
	member_later(m, 300);
}

static void member_find(struct group_member *m)
{
	struct find_coordinator_request request;

	msg_init(&find_coordinator_request_type, &request);
	request.key = str_of(m->group->name);
	sim_conn_call(&m->conn, &m->call, API_FIND_COORDINATOR, &request, 5000, coordinator_done);
}

/* What a member does that is not well. True: that was all for now. */
static bool member_misbehaves(struct group_member *m)
{
	struct world *w = member_world(m);

	if (m->all->wl->is_calm || !world_chance(w, 1, 12))
		return false;
	switch (rng_below(&w->rng, 4)) {
	case 0: /* stands still, its connection too */
		member_fall_asleep(m);
		return true;
	case 1: /* dies */
		sim_conn_close(&m->conn);
		member_reborn(m);
		member_later(m, 3000);
		return true;
	case 2: /* its connection breaks, with what is on it */
		sim_conn_close(&m->conn);
		member_later(m, 200);
		return true;
	default:
		if (!m->is_in)
			return false;
		member_leave(m);
		return true;
	}
}

static void member_step(struct group_member *m)
{
	bool beats = world_chance(member_world(m), 1, 2);

	member_fence_itself(m);
	if (!m->knows_coordinator)
		member_find(m);
	else if (sim_call_is_out(&m->twin)) /* it is about what was sent before */
		member_later(m, 50);
	else if (m->is_walking)
		member_sleepwalk(m);
	else if (member_misbehaves(m))
		return;
	else if (m->is_in && m->owns && !beats)
		member_commit(m);
	else if (world_chance(member_world(m), 1, 6))
		member_fetch(m);
	else if (m->is_consumer)
		member_beat(m);
	else if (m->is_in)
		classic_beat(m);
	else if (m->has_joined)
		member_sync(m);
	else
		member_join(m);
}

/* ---- life ---- */

static void member_up(struct sim_conn *conn)
{
	struct group_member *m = conn->owner;

	if (sim_conn_version(conn, API_CONSUMER_GROUP_HEARTBEAT) < 0)
		return; /* a body without groups */
	m->knows_coordinator = false;
	m->has_joined = false;
	member_later(m, 20);
}

static void member_down(struct sim_conn *conn)
{
	struct group_member *m = conn->owner;

	m->has_lost_answer = true;
	if (!m->all->is_ended)
		member_later(m, 300);
}

struct wl_groups *wl_groups_new(struct workload *wl)
{
	static const char *const names[GROUPS_N] = {"classic", "consumer", "both"};
	struct wl_groups *g = MEM_NEW(struct wl_groups);

	g->wl = wl;
	g->parts_n = MIN(wl->topics[0].parts_n, PARTS_MAX);
	for (int i = 0; i < GROUPS_N; i++) {
		g->groups[i].name = names[i];
		for (int p = 0; p < PARTS_MAX; p++)
			g->groups[i].parts[p].acked = -1;
	}
	for (int i = 0; i < GROUPS_N * MEMBERS_N; i++) {
		struct group_member *m = &g->members[i];

		m->all = g;
		m->group = &g->groups[i % GROUPS_N];
		m->index = i;
		sim_conn_init(&m->conn, wl->w, wl->node, "group");
		m->conn.cap[API_FIND_COORDINATOR] = 3;
		m->conn.cap[API_OFFSET_COMMIT] = m->conn.cap[API_OFFSET_FETCH] = 9;
		m->conn.cap[API_JOIN_GROUP] = 9;
		m->conn.cap[API_SYNC_GROUP] = m->conn.cap[API_LEAVE_GROUP] = 5;
		m->conn.cap[API_HEARTBEAT] = 4;
		m->conn.cap[API_CONSUMER_GROUP_HEARTBEAT] = 1;
		m->conn.owner = m;
		m->conn.up = member_up;
		m->conn.down = member_down;
		member_reborn(m);
	}
	return g;
}

void wl_groups_free(struct wl_groups *g)
{
	if (!g)
		return;
	for (int i = 0; i < GROUPS_N * MEMBERS_N; i++) {
		world_off(g->wl->w, &g->members[i].next);
		sim_conn_deinit(&g->members[i].conn);
	}
	for (int i = 0; i < GROUPS_N; i++)
		vec_deinit(&g->groups[i].doubts);
	mem_free(g);
}

void wl_groups_start(struct wl_groups *g)
{
	g->is_started = true;
	for (int i = 0; i < GROUPS_N * MEMBERS_N; i++)
		sim_conn_open(&g->members[i].conn);
}

/* Pauses end; members wake up. */
void wl_groups_calm(struct wl_groups *g)
{
	for (int i = 0; g->is_started && i < GROUPS_N * MEMBERS_N; i++)
		member_later(&g->members[i], 100);
}

bool wl_groups_has_progressed(const struct wl_groups *g)
{
	uint32_t owned[GROUPS_N] = {0};

	for (int i = 0; i < GROUPS_N * MEMBERS_N; i++) {
		if (!g->members[i].is_in)
			return false;
		owned[i % GROUPS_N] |= g->members[i].owns;
	}
	for (int i = 0; i < GROUPS_N; i++) {
		if (owned[i] != (1u << g->parts_n) - 1)
			return false;
		for (int p = 0; p < g->parts_n; p++) {
			if (!g->groups[i].parts[p].calm_ack)
				return false;
		}
	}
	return true;
}

void wl_groups_end(struct wl_groups *g)
{
	g->is_ended = true;
	for (int i = 0; i < GROUPS_N * MEMBERS_N; i++) {
		world_off(g->wl->w, &g->members[i].next);
		if (g->members[i].conn.state != CONN_OFF)
			sim_conn_close(&g->members[i].conn);
	}
}
