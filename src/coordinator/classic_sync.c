/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members of a classic group do between two join phases: take their assignment, show that they live, leave. The
 * leader's sync is logged before anybody is told (invariant 6 of group_classic.h).
 */
#include "group_classic.h"

#include "consumer_host.h"
#include "log.h"
#include "mem.h"

/* ---- sync ---- */

static void classic_sync_fill(struct classic_sync *sync, const struct group_classic *classic,
			      const struct classic_member *member)
{
	struct arena *arena = sync->op.arena;

	msg_init(&sync_group_response_type, &sync->out);
	sync->out.protocol_type = arena_str(arena, classic->protocol_type);
	sync->out.protocol_name = arena_str(arena, classic->protocol);
	if (member->assignment.p)
		sync->out.assignment = arena_bytes(arena, member->assignment);
}

static void classic_sync_error(struct classic_sync *sync, enum err err)
{
	msg_init(&sync_group_response_type, &sync->out);
	sync->out.error_code = err_wire(err);
}

void classic_sync_fail(struct classic_member *member, enum err err)
{
	struct classic_sync *sync = member->sync;

	if (!sync)
		return;
	member->sync = NULL;
	sync->member = NULL;
	classic_sync_error(sync, err);
	coord_op_end(&sync->op, ERR_NONE);
}

void classic_sync_leave(struct classic_sync *sync)
{
	struct classic_member *member = sync->member;

	if (!member)
		return;
	classic_sync_fail(member, ERR_REBALANCE_IN_PROGRESS);
	classic_member_alive(member);
}

/* The leader's assignment on its way to the log. */
struct classic_assignment {
	struct str group_id; /* owned */
	int32_t generation;
};

static void classic_assigned(struct group_classic *classic)
{
	struct classic_member *member;

	classic_move(classic, CLASSIC_STABLE, "the leader's assignment is logged");
	coord_shard_count(classic->group->store->shard, COORD_CLASSIC_REBALANCES, 1);
	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		struct classic_sync *sync = member->sync;

		if (!sync)
			continue;
		member->sync = NULL;
		sync->member = NULL;
		classic_sync_fill(sync, classic, member);
		classic_member_alive(member);
		coord_op_end(&sync->op, ERR_NONE);
	}
}

/* It is void for everybody, who must join again. */
static void classic_assignment_failed(struct group_classic *classic, enum err err)
{
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		classic_member_set_assignment(member, (struct bytes){(const uint8_t *)"", 0});
		classic_sync_fail(member, err);
	}
	classic_prepare_or_complete(classic, "the assignment could not be logged");
}

static void classic_assignment_settled(void *machine, void *ctx, enum err err)
{
	struct classic_assignment *assignment = ctx;
	struct group *group = machine ? group_find(machine, assignment->group_id) : NULL;

	/* Another generation may have begun meanwhile; then nobody waits for this one. */
	if (group && group->kind == &group_kind_classic && classic_is(group->classic, CLASSIC_COMPLETING) &&
	    group->classic->generation == assignment->generation) {
		if (err)
			classic_assignment_failed(group->classic, err);
		else
			classic_assigned(group->classic);
	}
	mem_free((char *)assignment->group_id.p);
	mem_free(assignment);
}

/* Who was left out has nothing. */
static void classic_assign(struct group_classic *classic, const struct sync_group_request *in)
{
	struct classic_assignment *assignment = MEM_NEW(struct classic_assignment);
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;)
		classic_member_set_assignment(member, (struct bytes){(const uint8_t *)"", 0});
	for (int32_t i = 0; i < in->assignments_n; i++) {
		member = classic_member_find(classic, in->assignments[i].member_id);
		if (member)
			classic_member_set_assignment(member, in->assignments[i].assignment);
	}
	classic_str_set(&assignment->group_id, classic->group->id);
	assignment->generation = classic->generation;
	classic_write(classic, classic_assignment_settled, assignment);
}

static bool classic_differs(struct str asked, struct str is)
{
	return asked.p && is.p && !str_eq(asked, is);
}

static enum err classic_sync_check(const struct group *group, const struct sync_group_request *in)
{
	const struct group_classic *classic;
	enum err err;

	if (in->group_id.len == 0)
		return ERR_INVALID_GROUP_ID;
	if (!group || group->kind != &group_kind_classic)
		return ERR_UNKNOWN_MEMBER_ID;
	classic = group->classic;
	err = classic_member_check(classic, in->member_id, in->group_instance_id);
	if (err)
		return err;
	if (in->generation_id != classic->generation)
		return ERR_ILLEGAL_GENERATION;
	if (classic_differs(in->protocol_type, classic->protocol_type) ||
	    classic_differs(in->protocol_name, classic->protocol))
		return ERR_INCONSISTENT_GROUP_PROTOCOL;
	return classic_is(classic, CLASSIC_PREPARING) ? ERR_REBALANCE_IN_PROGRESS : ERR_NONE;
}

static void classic_synced(struct group_classic *classic, struct classic_member *member)
{
	if (!member->owes_sync)
		return;
	member->owes_sync = false;
	if (--classic->owing_sync_n == 0)
		coord_timer_stop(classic->group->store->shard, &classic->sync_timer);
}

/* A sync that was parked under the same member, on another connection, is told to come again. */
static void classic_sync_park(struct classic_member *member, struct classic_sync *sync)
{
	classic_sync_fail(member, ERR_REBALANCE_IN_PROGRESS);
	member->sync = sync;
	sync->member = member;
}

enum err classic_sync(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct classic_sync *sync = container_of(op, struct classic_sync, op);
	struct group *group = group_find(machine, sync->in->group_id);
	enum err err = classic_sync_check(group, sync->in);
	struct group_classic *classic;
	struct classic_member *member;

	if (group && group->kind == &group_kind_consumer && sync->in->group_id.len) {
		consumer_host_sync(group, sync);
		return ERR_NONE;
	}
	if (err) {
		classic_sync_error(sync, err);
		return ERR_NONE;
	}
	classic = group->classic;
	member = classic_member_find(classic, sync->in->member_id);
	classic_synced(classic, member);
	if (classic_is(classic, CLASSIC_STABLE)) {
		classic_sync_fill(sync, classic, member);
		classic_member_alive(member);
		return ERR_NONE;
	}
	classic_sync_park(member, sync);
	if (str_eq(member->id, classic->leader))
		classic_assign(classic, sync->in);
	return ERR_WOULD_BLOCK;
}

/* ---- heartbeat ---- */

static enum err classic_heartbeat_decide(struct group_store *store, const struct heartbeat_request *in)
{
	struct group *group = group_find(store, in->group_id);
	struct group_classic *classic;
	enum err err;

	if (in->group_id.len == 0)
		return ERR_INVALID_GROUP_ID;
	if (group && group->kind == &group_kind_consumer)
		return consumer_host_heartbeat(group, in);
	if (!group || group->kind != &group_kind_classic)
		return ERR_UNKNOWN_MEMBER_ID;
	classic = group->classic;
	err = classic_member_check(classic, in->member_id, in->group_instance_id);
	if (err)
		return err;
	if (in->generation_id != classic->generation)
		return ERR_ILLEGAL_GENERATION;
	classic_member_alive(classic_member_find(classic, in->member_id));
	return classic_is(classic, CLASSIC_PREPARING) ? ERR_REBALANCE_IN_PROGRESS : ERR_NONE;
}

enum err classic_heartbeat(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct classic_heartbeat *heartbeat = container_of(op, struct classic_heartbeat, op);

	msg_init(&heartbeat_response_type, &heartbeat->out);
	heartbeat->out.error_code = err_wire(classic_heartbeat_decide(machine, heartbeat->in));
	return ERR_NONE;
}

/* ---- leave ---- */

static void classic_leave_member(struct group_classic *classic, struct classic_member *member, struct str reason)
{
	group_log(classic->group, "group.member_left", "member=%.*s reason=\"%.*s\"", STR_ARGS(member->id),
		  STR_ARGS(reason));
	classic_join_fail(member, ERR_UNKNOWN_MEMBER_ID, false);
	classic_sync_fail(member, ERR_UNKNOWN_MEMBER_ID);
	classic_member_remove(classic, member);
}

static enum err classic_leave_one(struct group_classic *classic, const struct leave_group_request_members *in)
{
	struct classic_member *member;
	enum err err;

	/* An administrator removes static members without knowing their ids. */
	if (in->member_id.len == 0) {
		member = in->group_instance_id.p ? map_get_str(&classic->statics, in->group_instance_id) : NULL;
		if (!member)
			return ERR_UNKNOWN_MEMBER_ID;
		classic_leave_member(classic, member, in->reason);
		return ERR_NONE;
	}
	if (map_get_str(&classic->pending, in->member_id)) {
		classic_pending_remove(classic, in->member_id);
		return ERR_NONE;
	}
	err = classic_member_check(classic, in->member_id, in->group_instance_id);
	if (err)
		return err;
	classic_leave_member(classic, classic_member_find(classic, in->member_id), in->reason);
	return ERR_NONE;
}

enum err classic_leave(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct classic_leave *leave = container_of(op, struct classic_leave, op);
	const struct leave_group_request *in = leave->in;
	struct group *group = group_find(machine, in->group_id);
	struct group_classic *classic = group && group->kind == &group_kind_classic ? group->classic : NULL;
	bool has_left = false;

	msg_init(&leave_group_response_type, &leave->out);
	if (in->group_id.len == 0) {
		leave->out.error_code = err_wire(ERR_INVALID_GROUP_ID);
		return ERR_NONE;
	}
	leave->out.members = MSG_NEW_N(op->arena, leave_group_response_members, in->members_n);
	leave->out.members_n = in->members_n;
	for (int32_t i = 0; i < in->members_n; i++) {
		leave->out.members[i].member_id = in->members[i].member_id;
		leave->out.members[i].group_instance_id = in->members[i].group_instance_id;
	}
	if (group && group->kind == &group_kind_consumer) {
		consumer_leave(group, in, &leave->out, records);
		return ERR_NONE;
	}
	for (int32_t i = 0; i < in->members_n; i++) {
		enum err err = classic ? classic_leave_one(classic, &in->members[i]) : ERR_UNKNOWN_MEMBER_ID;

		leave->out.members[i].error_code = err_wire(err);
		has_left |= !err;
	}
	if (has_left && !classic_is(classic, CLASSIC_EMPTY))
		classic_prepare_or_complete(classic, "members left");
	return ERR_NONE;
}
