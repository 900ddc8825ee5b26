/* SPDX-License-Identifier: Apache-2.0 */
/* See group_rig.h. */
#include "group_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "log.h"
#include "mem.h"

/* ---- the log ---- */

static enum err rig_write(struct coord_shard *shard, uint64_t seq, struct coord_origin origin,
			  const struct coord_records *records)
{
	struct rig *rig = shard->ctx;
	struct rig_write write = {.seq = seq, .from = rig->records.n, .to = rig->records.n + records->v.n};

	if (rig->refuse) {
		rig->has_failed = true;
		return rig->refuse;
	}
	for (size_t i = 0; i < records->v.n; i++) {
		struct coord_record copy = {arena_bytes(&rig->arena, records->v.v[i].key),
					    arena_bytes(&rig->arena, records->v.v[i].value)};

		vec_push(&rig->records, copy);
	}
	vec_push(&rig->open, write);
	return ERR_NONE;
}

static void rig_timer_moved(struct coord_shard *shard)
{
}

static const struct coord_log_ops rig_log = {.write = rig_write, .timer_moved = rig_timer_moved};

static const struct group_settings rig_settings = {
	.initial_rebalance_delay_ms = 3000,
	.min_session_timeout_ms = 6000,
	.max_session_timeout_ms = 1800000,
	.max_size = 1000,
	.offset_metadata_max_bytes = 4096,
	.offsets_retention_ms = 86400000,
	.offsets_retention_check_interval_ms = 600000,
};

static void rig_quiet(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
}

static struct log_sink rig_sink = {.level = LOG_ERROR, .write = rig_quiet};

static void rig_time(struct rig *rig)
{
	coord_shard_time(&rig->shard, rig->now_ms, 1700000000000 + rig->now_ms);
}

void rig_init(struct rig *rig)
{
	*rig = (struct rig){.auto_commit = true};
	rng_init(&rig->rng, 7);
	log_sink_set(&rig_sink);
	coord_shard_init(&rig->shard, &group_machine_ops, &rig->store, &rig_log, rig, &rig->rng);
	group_store_init(&rig->store, &rig->shard, &rig_settings, 1);
	rig_time(rig);
	coord_shard_load(&rig->shard);
	coord_shard_loaded(&rig->shard);
}

void rig_deinit(struct rig *rig)
{
	coord_shard_unload(&rig->shard, ERR_NOT_COORDINATOR);
	assert_int_equal(rig->answers_n, rig->asked_n);
	group_store_deinit(&rig->store);
	coord_shard_deinit(&rig->shard);
	vec_deinit(&rig->records);
	vec_deinit(&rig->open);
	arena_reset(&rig->arena);
}

void rig_commit(struct rig *rig)
{
	while (rig->open.n > 0) {
		uint64_t last = rig->open.v[rig->open.n - 1].seq;

		rig->open.n = 0;
		rig->log_n = rig->records.n;
		coord_shard_committed(&rig->shard, last);
	}
}

void rig_fail(struct rig *rig, enum err err)
{
	uint64_t first;

	if (rig->open.n == 0)
		return;
	first = rig->open.v[0].seq;
	rig->open.n = 0;
	rig->records.n = rig->log_n;
	rig->has_failed = true;
	coord_shard_failed(&rig->shard, first, err);
}

static void rig_step(struct rig *rig)
{
	if (rig->auto_commit)
		rig_commit(rig);
}

void rig_wait(struct rig *rig, int64_t ms)
{
	int64_t end = rig->now_ms + ms;

	while (coord_shard_next_ms(&rig->shard) <= end) {
		rig->now_ms = MAX(rig->now_ms, coord_shard_next_ms(&rig->shard));
		rig_time(rig);
		coord_shard_tick(&rig->shard, 1);
		rig_step(rig);
	}
	rig->now_ms = end;
	rig_time(rig);
}

/* ---- checks ---- */

/* A group's record may tell of a state that is yet to come, or is over; that of an empty group is the state. */
static bool rig_is_settled(const struct rig *rig, const struct group_store *store, struct bytes key)
{
	struct group_metadata_key decoded;
	struct coord_key parsed;
	struct arena arena = {0};
	const struct group *group;
	bool is = true;

	assert_int_equal(coord_key_parse(MSG_FAMILY_GROUP, key, &parsed), ERR_NONE);
	if (parsed.row->number != GROUP_GROUP_METADATA)
		return true;
	assert_int_equal(coord_key_decode(&parsed, &arena, &decoded, NULL), ERR_NONE);
	group = group_find(store, decoded.group);
	if (group && store == &rig->store)
		is = !rig->has_failed && classic_is(group->classic, CLASSIC_EMPTY);
	arena_reset(&arena);
	return is;
}

static void rig_check_log(struct rig *rig, struct group_store *store)
{
	struct arena arena = {0};

	for (size_t i = 0; i < rig->log_n; i++) {
		const struct coord_record *record = &rig->records.v[i];
		bool is_latest = true;
		struct bytes current;

		for (size_t j = i + 1; is_latest && j < rig->log_n; j++)
			is_latest = !bytes_eq(rig->records.v[j].key, record->key);
		if (!is_latest || !rig_is_settled(rig, store, record->key))
			continue;
		current = group_machine_ops.current(store, COORD_ORIGIN_NONE, record->key, &arena);
		assert_int_equal(current.p == NULL, record->value.p == NULL);
		assert_true(bytes_eq(current, record->value));
	}
	arena_reset(&arena);
}

static void rig_check_reload(struct rig *rig)
{
	struct coord_shard shard;
	struct group_store store;

	coord_shard_init(&shard, &group_machine_ops, &store, &rig_log, rig, &rig->rng);
	group_store_init(&store, &shard, &rig_settings, 2);
	coord_shard_time(&shard, rig->now_ms, rig->shard.wall_ms);
	coord_shard_load(&shard);
	for (size_t i = 0; i < rig->log_n; i++)
		assert_int_equal(coord_shard_replay(&shard, COORD_ORIGIN_NONE, rig->records.v[i].key,
						    rig->records.v[i].value), ERR_NONE);
	rig_check_log(rig, &store);
	assert_int_equal(store.offsets_n, rig->store.offsets_n);
	coord_shard_unload(&shard, ERR_NOT_COORDINATOR);
	group_store_deinit(&store);
	coord_shard_deinit(&shard);
}

void rig_check(struct rig *rig)
{
	struct group *group;

	coord_shard_check_invariants(&rig->shard);
	for (uint32_t it = 0; (group = map_next(&rig->store.groups, &it)) != NULL;)
		classic_check_invariants(group);
	if (rig->open.n > 0)
		return;
	rig_check_log(rig, &rig->store);
	rig_check_reload(rig);
}

/* ---- members ---- */

void member_init(struct rig_member *member, struct rig *rig, const char *group)
{
	*member = (struct rig_member){
		.rig = rig, .group = group, .generation = -1, .session_ms = 10000, .rebalance_ms = 60000,
		.topic = "t", .protocol = "range", .version = 9,
	};
}

void member_deinit(struct rig_member *member)
{
	arena_reset(&member->arena);
}

static struct bytes member_subscription(struct rig_member *member)
{
	size_t len = strlen(member->topic);
	uint8_t *p = arena_alloc(&member->arena, 12 + len);

	store_be16(p, 0);
	store_be32(p + 2, 1);
	store_be16(p + 6, (uint16_t)len);
	memcpy(p + 8, member->topic, len);
	store_be32(p + 8 + len, UINT32_MAX);
	return (struct bytes){p, 12 + len};
}

static void member_joined(struct coord_op *op)
{
	struct rig_member *member = op->ctx;
	const struct join_group_response *out = &member->join.out;

	member->rig->answers_n++;
	assert_true(member->joining);
	member->joining = false;
	member->join_err = op->err ? op->err : (enum err)out->error_code;
	if (op->err)
		return;
	if (out->member_id.len > 0)
		snprintf(member->id, sizeof(member->id), "%.*s", STR_ARGS(out->member_id));
	if (member->join_err)
		return;
	member->generation = out->generation_id;
	member->is_leader = str_eq_c(out->leader, member->id);
	member->members_n = out->members_n;
}

void member_join_once(struct rig_member *member)
{
	struct rig *rig = member->rig;

	assert_false(member->joining);
	member->joining = true;
	msg_init(&join_group_request_type, &member->join_in);
	msg_init(&join_group_request_protocols_type, &member->join_protocol);
	member->join_protocol.name = str_of(member->protocol);
	member->join_protocol.metadata = member_subscription(member);
	member->join_in.group_id = str_of(member->group);
	member->join_in.member_id = arena_str(&member->arena, str_of(member->id));
	member->join_in.group_instance_id = str_of(member->instance);
	member->join_in.session_timeout_ms = member->session_ms;
	member->join_in.rebalance_timeout_ms = member->rebalance_ms;
	member->join_in.protocol_type = STR("consumer");
	member->join_in.protocols = &member->join_protocol;
	member->join_in.protocols_n = 1;
	member->join = (struct classic_join){
		.op = {.arena = &member->arena, .origin = COORD_ORIGIN_NONE, .decide = classic_join,
		       .done = member_joined, .ctx = member},
		.in = &member->join_in, .client_id = STR("c"), .client_host = STR("/h"), .version = member->version,
	};
	rig->asked_n++;
	coord_shard_submit(&rig->shard, &member->join.op);
}

void member_join(struct rig_member *member)
{
	member_join_once(member);
	rig_step(member->rig);
	if (!member->joining && member->join_err == ERR_MEMBER_ID_REQUIRED) {
		member_join_once(member);
		rig_step(member->rig);
	}
}

static void member_synced(struct coord_op *op)
{
	struct rig_member *member = op->ctx;

	member->rig->answers_n++;
	assert_true(member->syncing);
	member->syncing = false;
	member->sync_err = op->err ? op->err : (enum err)member->sync.out.error_code;
	if (!member->sync_err)
		snprintf(member->assignment, sizeof(member->assignment), "%.*s",
			 STR_ARGS(bytes_str(member->sync.out.assignment)));
}

void member_sync(struct rig_member *member, struct rig_member **others, int others_n)
{
	struct rig *rig = member->rig;
	struct sync_group_request *in = &member->sync_in;

	assert_false(member->syncing);
	member->syncing = true;
	msg_init(&sync_group_request_type, in);
	in->group_id = str_of(member->group);
	in->generation_id = member->generation;
	in->member_id = arena_str(&member->arena, str_of(member->id));
	in->group_instance_id = str_of(member->instance);
	in->assignments = MSG_NEW_N(&member->arena, sync_group_request_assignments, others_n + 1);
	in->assignments_n = member->is_leader ? others_n + 1 : 0;
	for (int i = 0; i <= others_n; i++) {
		const struct rig_member *to = i < others_n ? others[i] : member;

		in->assignments[i].member_id = arena_str(&member->arena, str_of(to->id));
		in->assignments[i].assignment = str_bytes(arena_printf(&member->arena, "of %s", to->id));
	}
	member->sync = (struct classic_sync){
		.op = {.arena = &member->arena, .origin = COORD_ORIGIN_NONE, .decide = classic_sync,
		       .done = member_synced, .ctx = member},
		.in = in,
	};
	rig->asked_n++;
	coord_shard_submit(&rig->shard, &member->sync.op);
	rig_step(rig);
}

static void rig_answered(struct coord_op *op)
{
	struct rig *rig = op->ctx;

	rig->answers_n++;
}

/* Operations that are over when they return, or after a commit. */
static void rig_submit(struct rig *rig, struct coord_op *op)
{
	int before = rig->answers_n;

	op->origin = COORD_ORIGIN_NONE;
	op->done = rig_answered;
	op->ctx = rig;
	rig->asked_n++;
	coord_shard_submit(&rig->shard, op);
	rig_commit(rig);
	assert_true(rig->answers_n > before);
}

enum err member_heartbeat(struct rig_member *member)
{
	struct heartbeat_request in;
	struct classic_heartbeat beat = {.in = &in};

	msg_init(&heartbeat_request_type, &in);
	in.group_id = str_of(member->group);
	in.generation_id = member->generation;
	in.member_id = str_of(member->id);
	in.group_instance_id = str_of(member->instance);
	beat.op.arena = &member->arena;
	beat.op.decide = classic_heartbeat;
	rig_submit(member->rig, &beat.op);
	return beat.op.err ? beat.op.err : (enum err)beat.out.error_code;
}

enum err member_leave(struct rig_member *member)
{
	struct leave_group_request_members one;
	struct leave_group_request in;
	struct classic_leave leave = {.in = &in};

	msg_init(&leave_group_request_type, &in);
	msg_init(&leave_group_request_members_type, &one);
	one.member_id = str_of(member->id);
	one.group_instance_id = str_of(member->instance);
	in.group_id = str_of(member->group);
	in.members = &one;
	in.members_n = 1;
	leave.op.arena = &member->arena;
	leave.op.decide = classic_leave;
	rig_submit(member->rig, &leave.op);
	return leave.op.err ? leave.op.err : (enum err)leave.out.members[0].error_code;
}

/* ---- offsets ---- */

static enum err rig_commit_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct rig_commit_op *commit = container_of(op, struct rig_commit_op, op);

	return offsets_commit(machine, &commit->in, 9, &commit->out, records);
}

static void rig_commit_done(struct coord_op *op)
{
	struct rig_commit_op *commit = container_of(op, struct rig_commit_op, op);

	assert_false(commit->is_over);
	commit->is_over = true;
	commit->rig->answers_n++;
	arena_reset(&commit->arena);
}

void rig_commit_offset(struct rig *rig, struct rig_commit_op *commit, const char *group,
		       const struct rig_member *member, const char *topic, int32_t partition, int64_t offset)
{
	*commit = (struct rig_commit_op){.rig = rig};
	msg_init(&offset_commit_request_type, &commit->in);
	msg_init(&offset_commit_request_topics_type, &commit->topic);
	msg_init(&offset_commit_request_topics_partitions_type, &commit->partition);
	msg_init(&offset_commit_response_type, &commit->out);
	commit->in.group_id = str_of(group);
	commit->in.generation_id_or_member_epoch = member ? member->generation : -1;
	commit->in.member_id = member ? str_of(member->id) : STR("");
	commit->in.group_instance_id = member ? str_of(member->instance) : STR_NULL;
	commit->in.topics = &commit->topic;
	commit->in.topics_n = 1;
	commit->topic.name = str_of(topic);
	commit->topic.partitions = &commit->partition;
	commit->topic.partitions_n = 1;
	commit->partition.partition_index = partition;
	commit->partition.committed_offset = offset;
	commit->partition.committed_metadata = STR("m");
	commit->op.arena = &commit->arena;
	commit->op.origin = COORD_ORIGIN_NONE;
	commit->op.decide = rig_commit_decide;
	commit->op.done = rig_commit_done;
	rig->asked_n++;
	coord_shard_submit(&rig->shard, &commit->op);
}

enum err rig_offset(struct rig *rig, const char *group, const char *topic, int32_t partition, int64_t offset)
{
	struct rig_commit_op commit;

	rig_commit_offset(rig, &commit, group, NULL, topic, partition, offset);
	rig_commit(rig);
	assert_true(commit.is_over);
	return commit.op.err;
}

int64_t rig_offset_of(const struct rig *rig, const char *group, const char *topic, int32_t partition)
{
	const struct group *found = group_find(&rig->store, str_of(group));
	const struct committed_offset *offset = found ? offsets_find(found, str_of(topic), partition) : NULL;

	return offset ? offset->offset : -1;
}

const char *rig_state(const struct rig *rig, const char *group)
{
	const struct group *found = group_find(&rig->store, str_of(group));

	return found ? found->kind->state(found) : "absent";
}
