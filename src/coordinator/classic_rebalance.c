/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join phase of a classic group (see group_classic.h for the states):
 *
 *    first join --> initial delay, longer while others come --+
 *    join, leave, loss --> until all known members joined  --+--> generation + 1, everybody is told
 *                          or the longest rebalance timeout
 */
#include "group_classic.h"
#include "log.h"
#include "mem.h"

/* ---- answers ---- */

void classic_join_error(struct classic_join *join, struct str member_id, enum err err)
{
	msg_init(&join_group_response_type, &join->out);
	join->out.error_code = err_wire(err);
	join->out.member_id = arena_str(join->op.arena, member_id);
	join->out.protocol_name = STR_NULL;
	join->out.leader = STR("");
}

void classic_join_fill(struct classic_join *join, const struct group_classic *classic, struct str member_id,
			      bool members)
{
	struct arena *arena = join->op.arena;
	const struct classic_member *member;

	msg_init(&join_group_response_type, &join->out);
	join->out.generation_id = classic->generation;
	join->out.protocol_type = arena_str(arena, classic->protocol_type);
	join->out.protocol_name = arena_str(arena, classic->protocol);
	join->out.leader = classic->leader.p ? arena_str(arena, classic->leader) : STR("");
	join->out.member_id = arena_str(arena, member_id);
	if (!members)
		return;
	join->out.members = MSG_NEW_N(arena, join_group_response_members, classic->members.n);
	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		struct join_group_response_members *out = &join->out.members[join->out.members_n++];
		const struct classic_protocol *protocol = classic_member_protocol(member, classic->protocol);

		out->member_id = arena_str(arena, member->id);
		out->group_instance_id = arena_str(arena, member->instance_id);
		if (protocol)
			out->metadata = arena_bytes(arena, protocol->metadata);
	}
}

void classic_join_park(struct classic_member *member, struct classic_join *join)
{
	struct classic_join *before = member->join;
	struct group_classic *classic = member->group->classic;
	bool is_member = classic_member_find(classic, member->id) == member;

	member->join = join;
	join->member = member;
	if (before) {
		before->member = NULL;
		classic_join_error(before, member->id, ERR_REBALANCE_IN_PROGRESS);
		coord_op_end(&before->op, ERR_NONE);
	} else if (is_member) {
		classic->awaiting_join_n++;
	}
}

struct classic_join *classic_join_take(struct classic_member *member)
{
	struct classic_join *join = member->join;

	if (join) {
		member->group->classic->awaiting_join_n--;
		join->member = NULL;
	}
	member->join = NULL;
	return join;
}

/* Stands for a join that nobody waits for any more. */
struct join_left {
	struct classic_join join;
	struct arena arena;
};

static void join_left_done(struct coord_op *op)
{
	struct join_left *left = container_of(op, struct join_left, join.op);

	arena_reset(&left->arena);
	mem_free(left);
}

void classic_join_leave(struct classic_join *join)
{
	struct classic_member *member = join->member;
	struct join_left *left;

	if (!member)
		return;
	left = MEM_NEW(struct join_left);
	left->join = (struct classic_join){.version = join->version, .member = member};
	left->join.op.arena = &left->arena;
	left->join.op.origin = COORD_ORIGIN_NONE;
	left->join.op.done = join_left_done;
	member->join = &left->join;
	join->member = NULL;
	classic_join_error(join, member->id, ERR_REBALANCE_IN_PROGRESS);
	coord_op_end(&join->op, ERR_NONE);
}

void classic_join_fail(struct classic_member *member, enum err err, bool keeps_id)
{
	struct classic_join *join = classic_join_take(member);

	if (!join)
		return;
	classic_join_error(join, keeps_id ? member->id : STR(""), err);
	coord_op_end(&join->op, ERR_NONE);
}

/* ---- the join phase ---- */

static void classic_complete(struct group_classic *classic);

static void classic_join_time_up(struct coord_timer *timer, void *machine)
{
	classic_complete(container_of(timer, struct group_classic, join_timer));
}

static void classic_delay_over(struct coord_timer *timer, void *machine)
{
	struct group_classic *classic = container_of(timer, struct group_classic, join_timer);
	struct group_store *store = machine;
	int64_t delay_ms;

	if (!classic->has_new || classic->remaining_ms == 0) {
		classic_complete(classic);
		return;
	}
	classic->has_new = false;
	delay_ms = MIN((int64_t)store->settings.initial_rebalance_delay_ms, classic->remaining_ms);
	classic->remaining_ms = MAX(classic->remaining_ms - classic->delay_ms, INT64_C(0));
	classic->delay_ms = delay_ms;
	coord_timer_start(store->shard, timer, delay_ms, classic_delay_over);
}

/* A leader that did not join again hands over to somebody who did. False: nobody did. */
static bool classic_elect(struct group_classic *classic)
{
	const struct classic_member *leader, *member;

	if (!classic->leader.p)
		return false;
	leader = classic_member_find(classic, classic->leader);
	if (leader->join)
		return true;
	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		if (member->join) {
			classic_str_set(&classic->leader, member->id);
			return true;
		}
	}
	return false;
}

static void classic_drop_absent(struct group_classic *classic)
{
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		if (member->join || member->instance_id.p)
			continue;
		group_log(classic->group, "group.member_lost", "member=%.*s why=\"it did not join again in time\"",
			  STR_ARGS(member->id));
		classic_member_remove(classic, member);
	}
}

static void classic_owes_nothing(struct group_classic *classic)
{
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;)
		member->owes_sync = false;
	classic->owing_sync_n = 0;
	coord_timer_stop(classic->group->store->shard, &classic->sync_timer);
}

static void classic_sync_time_up(struct coord_timer *timer, void *machine)
{
	struct group_classic *classic = container_of(timer, struct group_classic, sync_timer);
	struct classic_member *member;

	if (classic->owing_sync_n == 0)
		return;
	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		if (!member->owes_sync)
			continue;
		group_log(classic->group, "group.member_lost", "member=%.*s why=\"it did not sync in time\"",
			  STR_ARGS(member->id));
		classic_join_fail(member, ERR_UNKNOWN_MEMBER_ID, false);
		classic_sync_fail(member, ERR_UNKNOWN_MEMBER_ID);
		classic_member_remove(classic, member);
	}
	classic_prepare(classic, "members did not sync in time");
}

static void classic_emptied(struct group_classic *classic)
{
	classic_str_set(&classic->protocol, STR_NULL);
	classic_topics_update(classic);
	classic_move(classic, CLASSIC_EMPTY, "nobody is left");
	classic_write(classic, NULL, NULL);
}

static void classic_tell_all(struct group_classic *classic)
{
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		struct classic_join *join = classic_join_take(member);

		member->is_new = false;
		member->owes_sync = true;
		classic->owing_sync_n++;
		classic_member_alive(member);
		if (!join)
			continue; /* a static member that is away */
		classic_join_fill(join, classic, member->id, str_eq(member->id, classic->leader));
		coord_op_end(&join->op, ERR_NONE);
	}
}

static void classic_complete(struct group_classic *classic)
{
	struct coord_shard *shard = classic->group->store->shard;
	int32_t timeout_ms = classic_rebalance_timeout(classic);

	coord_timer_stop(shard, &classic->join_timer);
	classic_drop_absent(classic);
	if (classic->members.n > 0 && !classic_elect(classic)) {
		/* Static members only, and all away: their sessions decide. */
		coord_timer_start(shard, &classic->join_timer, timeout_ms, classic_join_time_up);
		return;
	}
	classic->generation = classic->generation == INT32_MAX ? 1 : classic->generation + 1;
	classic_owes_nothing(classic);
	if (classic->members.n == 0) {
		classic_emptied(classic);
		return;
	}
	classic_str_set(&classic->protocol, classic_protocol_choose(classic));
	classic_topics_update(classic);
	classic_move(classic, CLASSIC_COMPLETING, "all members have joined");
	classic_tell_all(classic);
	coord_timer_start(shard, &classic->sync_timer, classic_rebalance_timeout(classic), classic_sync_time_up);
}

static bool classic_all_joined(const struct group_classic *classic)
{
	return classic->pending.n == 0 && classic->awaiting_join_n == (int32_t)classic->members.n;
}

void classic_complete_if_all(struct group_classic *classic)
{
	/* The first generation takes the whole delay. */
	if (classic_is(classic, CLASSIC_PREPARING) && classic->before != CLASSIC_EMPTY && classic_all_joined(classic))
		classic_complete(classic);
}

void classic_prepare(struct group_classic *classic, const char *why)
{
	struct group_store *store = classic->group->store;
	bool is_first = classic_is(classic, CLASSIC_EMPTY);
	struct classic_member *member;

	/* Their assignments are void. */
	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;)
		classic_sync_fail(member, ERR_REBALANCE_IN_PROGRESS);
	classic_owes_nothing(classic);
	classic_move(classic, CLASSIC_PREPARING, why);
	if (is_first) {
		classic->delay_ms = store->settings.initial_rebalance_delay_ms;
		classic->remaining_ms = MAX(classic_rebalance_timeout(classic) - classic->delay_ms, INT64_C(0));
		classic->has_new = false;
		coord_timer_start(store->shard, &classic->join_timer, classic->delay_ms, classic_delay_over);
		return;
	}
	coord_timer_start(store->shard, &classic->join_timer, classic_rebalance_timeout(classic), classic_join_time_up);
	if (classic_all_joined(classic))
		classic_complete(classic);
}

void classic_prepare_or_complete(struct group_classic *classic, const char *why)
{
	if (classic_is(classic, CLASSIC_PREPARING))
		classic_complete_if_all(classic);
	else
		classic_prepare(classic, why);
}

void classic_member_gone(struct group_classic *classic, struct classic_member *member, const char *why)
{
	classic_join_fail(member, ERR_UNKNOWN_MEMBER_ID, false);
	classic_sync_fail(member, ERR_UNKNOWN_MEMBER_ID);
	classic_member_remove(classic, member);
	if (!classic_is(classic, CLASSIC_EMPTY))
		classic_prepare_or_complete(classic, why);
}
