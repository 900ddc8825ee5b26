/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits and fetches of the members of groups, in the forms that clients of all ages use: one partition or all that
 * are owned, by name or by topic id, one group or the list of groups, named topics or all there are.
 */
#include <stdio.h>

#include "msg/offset_commit.h"
#include "msg/offset_fetch.h"
#include "workload_groups.h"

/* One of the partitions of a set that is not empty. */
static int part_of(struct group_member *m, uint32_t set)
{
	int at = (int)rng_below(&member_world(m)->rng, (uint64_t)m->all->parts_n);

	while (!(set >> at & 1))
		at = (at + 1) % m->all->parts_n;
	return at;
}

static uint32_t all_parts(const struct group_member *m)
{
	return (1u << m->all->parts_n) - 1;
}

/* ---- commits ---- */

/* One partition mostly, at times all of them. */
static void commit_make(struct group_member *m, struct member_commit *commit)
{
	uint32_t owns = m->owns & MAIN_BITS;

	*commit = (struct member_commit){.author = {m->index, m->lives}, .epoch = m->epoch};
	if (m->kind == MEMBER_ALONE)
		commit->epoch = -1;
	else if (m->kind == MEMBER_COOPERATIVE)
		commit->epoch = m->owned_epoch;
	if (m->kind != MEMBER_ALONE)
		memcpy(commit->id, m->id, sizeof(commit->id));
	memcpy(commit->instance, m->instance, sizeof(commit->instance));
	commit->set = world_chance(member_world(m), 1, 4) ? owns : 1u << part_of(m, owns);
	for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++) {
		if (commit->set >> p & 1)
			commit->values[p] = check_group_value(m->group, p);
	}
}

static void commit_unknown(struct group_member *m, const struct member_commit *commit, int part)
{
	check_group_unknown(m->group, commit->author, part, commit->values[part]);
}

/* What became of one partition of the commit. True: the member is not who it thought. */
static bool commit_judge(struct group_member *m, const struct sim_call *call, int part, int16_t code)
{
	const struct member_commit *commit = &m->commit;

	if (workload_bad_error(m->all->wl, "OffsetCommit", code))
		return false;
	if (code == ERR_NONE) {
		check_group_acked(m->group, m->conn.era, call->sent_ns, commit->author, part, commit->values[part],
				  &commit->before[part]);
		m->group->parts[part].calm_ack |= m->all->wl->is_calm;
		return false;
	}
	if (member_is_fenced_by(code) || code == ERR_REBALANCE_IN_PROGRESS ||
	    code == ERR_COORDINATOR_LOAD_IN_PROGRESS || code == ERR_NOT_COORDINATOR)
		check_group_refused(m->group, part);
	else
		commit_unknown(m, commit, part);
	return member_is_fenced_by(code);
}

static void commit_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct offset_commit_response *response = call->response;
	int32_t n = __builtin_popcount(m->commit.set);
	bool is_fenced = false;

	m->is_commit_out = false;
	if (call->err) {
		for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++) {
			if (m->commit.set >> p & 1)
				commit_unknown(m, &m->commit, p);
		}
		return;
	}
	if (response->topics_n != 1 || response->topics[0].partitions_n != n) {
		world_fail(member_world(m), "OffsetCommit of %d partitions answers otherwise", n);
		return;
	}
	for (int32_t i = 0; i < n; i++) {
		int32_t part = response->topics[0].partitions[i].partition_index;

		if (part < 0 || part >= m->all->parts_n || !(m->commit.set >> part & 1)) {
			world_fail(member_world(m), "OffsetCommit answers partition %d, which was not asked for", part);
			return;
		}
		is_fenced |= commit_judge(m, call, part, response->topics[0].partitions[i].error_code);
	}
	if (is_fenced && m->commit.author.lives == m->lives)
		member_reborn(m);
	member_later(m, 300);
}

/* Whether it was stored nobody knows, as its answer is not read. */
static void twin_done(struct sim_call *call UNUSED)
{
}

static void commit_send(struct group_member *m, const struct member_commit *commit)
{
	struct offset_commit_request_topics_partitions partitions[CHECK_GROUP_PARTS_MAX];
	struct offset_commit_request_topics topic;
	struct offset_commit_request request;
	int16_t version = sim_conn_version(&m->conn, API_OFFSET_COMMIT);

	m->commit = *commit;
	msg_init(&offset_commit_request_type, &request);
	msg_init(&offset_commit_request_topics_type, &topic);
	request.group_id = str_of(m->group->name);
	request.member_id = str_of(commit->id);
	request.generation_id_or_member_epoch = commit->epoch;
	if (commit->instance[0] && version >= 7)
		request.group_instance_id = str_of(commit->instance);
	request.topics = &topic;
	request.topics_n = 1;
	topic.name = str_of(m->all->wl->topics[0].name);
	topic.topic_id = m->all->wl->topics[0].id;
	topic.partitions = partitions;
	for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++) {
		struct offset_commit_request_topics_partitions *partition = &partitions[topic.partitions_n];

		if (!(commit->set >> p & 1))
			continue;
		msg_init(&offset_commit_request_topics_partitions_type, partition);
		partition->partition_index = p;
		partition->committed_offset = commit->values[p];
		partition->committed_metadata = STR("");
		topic.partitions_n++;
		m->commit.before[p] = m->group->parts[p].known;
		check_group_commit_sent(m->group, p);
	}
	m->is_commit_out = true;
	sim_conn_call(&m->conn, &m->call, API_OFFSET_COMMIT, &request, 5000, commit_done);
	if (!member_send_again(m, API_OFFSET_COMMIT, &request, 5000, twin_done))
		return;
	for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++) {
		if (!(commit->set >> p & 1))
			continue;
		check_group_commit_sent(m->group, p);
		commit_unknown(m, &m->commit, p);
	}
}

void member_commit(struct group_member *m)
{
	struct member_commit commit;

	commit_make(m, &commit);
	commit_send(m, &commit);
}

void member_plan_walk(struct group_member *m, int64_t most_ms)
{
	struct world *w = member_world(m);

	if (!(m->owns & MAIN_BITS) || m->is_walking || !world_chance(w, 2, 3))
		return;
	m->is_walking = true;
	m->walk_ns = w->now_ns + (most_ms ? rng_between(&w->rng, 1, most_ms) * NS_PER_MS : 0);
	commit_make(m, &m->walk);
}

void member_sleepwalk(struct group_member *m)
{
	m->is_walking = false;
	commit_send(m, &m->walk);
}

/* ---- fetches ---- */

static void fetch_told(struct group_member *m, struct str name, struct uuid id, int32_t part, int16_t code,
		       int64_t value)
{
	if (code != ERR_NONE)
		return;
	if (m->conn.era == member_world(m)->era && name.len == 0 && uuid_is_zero(id)) {
		world_fail(member_world(m), "OffsetFetch tells of a topic without a name");
		return;
	}
	if (part < 0 || part >= m->all->parts_n) {
		world_fail(member_world(m), "OffsetFetch tells of partition %d", part);
		return;
	}
	m->fetched &= ~(1u << part);
	check_group_fetched(m->group, m->conn.era, part, value, &m->before[part]);
}

static void fetch_done(struct sim_call *call)
{
	struct group_member *m = container_of(call, struct group_member, call);
	const struct offset_fetch_response *response = call->response;
	int16_t code;

	if (call->err)
		return;
	if (call->version >= 8 && response->groups_n != 1) {
		world_fail(member_world(m), "OffsetFetch of one group answers otherwise");
		return;
	}
	code = call->version >= 8 ? response->groups[0].error_code : response->error_code;
	if (workload_bad_error(m->all->wl, "OffsetFetch", code))
		return;
	for (int32_t t = 0; call->version >= 8 && t < response->groups[0].topics_n; t++) {
		const struct offset_fetch_response_groups_topics *topic = &response->groups[0].topics[t];

		for (int32_t i = 0; i < topic->partitions_n; i++)
			fetch_told(m, topic->name, topic->topic_id, topic->partitions[i].partition_index,
				   topic->partitions[i].error_code, topic->partitions[i].committed_offset);
	}
	for (int32_t t = 0; call->version < 8 && t < response->topics_n; t++) {
		for (int32_t i = 0; i < response->topics[t].partitions_n; i++)
			fetch_told(m, response->topics[t].name, UUID_ZERO,
				   response->topics[t].partitions[i].partition_index,
				   response->topics[t].partitions[i].error_code,
				   response->topics[t].partitions[i].committed_offset);
	}
	/* Asked for all, what is not told is not there. */
	for (int p = 0; code == ERR_NONE && m->fetched == all_parts(m) && p < m->all->parts_n; p++)
		check_group_fetched(m->group, m->conn.era, p, -1, &m->before[p]);
	member_later(m, 200);
}

void member_fetch(struct group_member *m)
{
	bool is_all = world_chance(member_world(m), 1, 4);
	int16_t version = sim_conn_version(&m->conn, API_OFFSET_FETCH);
	int32_t index = part_of(m, all_parts(m));
	struct str name = str_of(m->all->wl->topics[0].name);
	struct offset_fetch_request_topics old = {.name = name, .partition_indexes = &index, .partition_indexes_n = 1};
	struct offset_fetch_request_groups_topics topic;
	struct offset_fetch_request_groups group;
	struct offset_fetch_request request;

	m->fetched = is_all ? all_parts(m) : 1u << index;
	for (int p = 0; p < CHECK_GROUP_PARTS_MAX; p++)
		m->before[p] = m->group->parts[p].known;
	msg_init(&offset_fetch_request_type, &request);
	msg_init(&offset_fetch_request_groups_type, &group);
	msg_init(&offset_fetch_request_groups_topics_type, &topic);
	topic.name = name;
	topic.topic_id = m->all->wl->topics[0].id;
	topic.partition_indexes = &index;
	topic.partition_indexes_n = 1;
	group.group_id = str_of(m->group->name);
	group.topics = &topic;
	group.topics_n = is_all ? -1 : 1;
	if (version >= 8) {
		request.groups = &group;
		request.groups_n = 1;
	} else {
		request.group_id = str_of(m->group->name);
		request.topics = &old;
		request.topics_n = is_all ? -1 : 1;
	}
	request.require_stable = version >= 7 && world_chance(member_world(m), 1, 2);
	sim_conn_call(&m->conn, &m->call, API_OFFSET_FETCH, &request, 5000, fetch_done);
}
