/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining a classic group, as Kafka's coordinator, in the order of its checks.
 *
 * A join that is parked is answered when the phase ends, or its member goes. A member that joins again while its first
 * join is parked (on another connection) takes its place; the first is told to join again.
 */
#include "consumer_host.h"
#include "log.h"
#include "mem.h"

/* Of one member, all protocols together: what a group's record could hold. Of a group: what its leader's answer may
 * hold. */
#define MEMBER_METADATA_MAX MIB(4)
#define CLASSIC_METADATA_MAX MIB(64)
#define MEMBER_ID_SUFFIX_LEN 37 /* what is put behind a client's id */

/* ---- joining ---- */

static bool classic_has_room(const struct group_classic *classic, struct str member_id)
{
	int32_t max = MIN(classic->group->store->settings.max_size, GROUP_MEMBERS_MAX);
	const struct classic_member *member = classic_member_find(classic, member_id);

	switch ((enum classic_state)classic->state.state) {
	case CLASSIC_EMPTY:
	case CLASSIC_DEAD:
		/* Ids that were given out take room too: nobody else would bound them. */
		return classic->pending.n < GROUP_MEMBERS_MAX;
	case CLASSIC_PREPARING:
		return (member && member->join) || classic->awaiting_join_n < max;
	case CLASSIC_COMPLETING:
	case CLASSIC_STABLE:
		return member || (int32_t)classic->members.n < max;
	default:
		UNREACHABLE();
	}
}

static bool classic_supports(const struct group_classic *classic, const struct join_group_request *in)
{
	if (classic->members.n == 0)
		return in->protocol_type.len > 0 && in->protocols_n > 0;
	if (!str_eq(in->protocol_type, classic->protocol_type))
		return false;
	for (int32_t i = 0; i < in->protocols_n; i++) {
		if (classic_all_have(classic, in->protocols[i].name))
			return true;
	}
	return false;
}

static bool classic_member_matches(const struct classic_member *member, const struct join_group_request *in)
{
	if (member->protocols_n != in->protocols_n)
		return false;
	for (int32_t i = 0; i < in->protocols_n; i++) {
		if (!str_eq(member->protocols[i].name, in->protocols[i].name) ||
		    !bytes_eq(member->protocols[i].metadata, in->protocols[i].metadata))
			return false;
	}
	return true;
}

static void classic_member_update(struct classic_member *member, const struct join_group_request *in)
{
	classic_member_set_protocols(member, in->protocols, in->protocols_n);
	member->rebalance_timeout_ms = in->rebalance_timeout_ms;
	member->session_timeout_ms = in->session_timeout_ms;
}

/* "client-1-" and a random id in the form of RFC 4122. */
static struct str classic_make_id(struct group_store *store, struct str prefix, struct arena *arena)
{
	uint64_t hi = (rng_u64(store->shard->rng) & ~UINT64_C(0xf000)) | 0x4000;
	uint64_t lo = (rng_u64(store->shard->rng) & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;

	return arena_printf(arena, "%.*s-%08x-%04x-%04x-%04x-%012llx", STR_ARGS(prefix), (unsigned)(hi >> 32),
			    (unsigned)(hi >> 16 & 0xffff), (unsigned)(hi & 0xffff), (unsigned)(lo >> 48),
			    (unsigned long long)(lo & UINT64_C(0xffffffffffff)));
}

static void classic_join_add(struct group_classic *classic, struct classic_join *join, struct str member_id)
{
	const struct join_group_request *in = join->in;
	struct classic_member *member = classic_member_new(classic->group, member_id, in->group_instance_id);

	classic_str_set(&member->client_id, join->client_id);
	classic_str_set(&member->client_host, join->client_host);
	classic_member_update(member, in);
	member->is_new = true;
	member->join = join;
	join->member = member;
	if (classic->members.n == 0)
		classic_str_set(&classic->protocol_type, in->protocol_type);
	if (classic_is(classic, CLASSIC_PREPARING) && classic->before == CLASSIC_EMPTY)
		classic->has_new = true;
	classic_pending_remove(classic, member_id);
	classic_member_add(classic, member);
	classic_member_alive(member);
	group_log(classic->group, "group.joined",
		  "member=%.*s%s%.*s protocol=classic client=\"%.*s\" host=%.*s members=%u",
		  STR_ARGS(member_id), in->group_instance_id.p ? " instance=" : "", STR_ARGS(in->group_instance_id),
		  STR_ARGS(member->client_id), STR_ARGS(member->client_host), classic->members.n);
	classic_prepare_or_complete(classic, "a member joined");
}

static void classic_join_again(struct group_classic *classic, struct classic_member *member, struct classic_join *join,
			       const char *why)
{
	classic_member_update(member, join->in);
	classic_join_park(member, join);
	classic_prepare_or_complete(classic, why);
}

static void classic_pending_expired(struct coord_timer *timer, void *machine)
{
	struct classic_pending *pending = container_of(timer, struct classic_pending, timer);
	struct group_classic *classic = pending->group->classic;

	classic_pending_remove(classic, pending->id);
	classic_complete_if_all(classic);
}

static void classic_pending_add(struct group_classic *classic, struct str id, int32_t session_timeout_ms)
{
	struct classic_pending *pending = MEM_NEW(struct classic_pending);

	pending->group = classic->group;
	classic_str_set(&pending->id, id);
	group_store_count(classic->group->store, (int64_t)(sizeof(*pending) + id.len));
	map_put_str(&classic->pending, pending->id, pending);
	coord_timer_start(classic->group->store->shard, &pending->timer, session_timeout_ms, classic_pending_expired);
}

/* ---- static members (KIP-345) ---- */

/* What it takes to answer, or to undo, the exchange of one static member's id for another. */
struct static_swap {
	struct str group_id, instance_id, old_id, new_id; /* owned */
	struct str old_leader; /* owned */
	int16_t version;
};

static void static_swap_free(struct static_swap *swap)
{
	mem_free((char *)swap->group_id.p);
	mem_free((char *)swap->instance_id.p);
	mem_free((char *)swap->old_id.p);
	mem_free((char *)swap->new_id.p);
	mem_free((char *)swap->old_leader.p);
	mem_free(swap);
}

/* Who spoke under the old id is fenced at once. The member keeps its assignment. */
static void classic_rename(struct group_classic *classic, struct classic_member *member, struct str new_id)
{
	bool is_leader = str_eq(classic->leader, member->id);

	classic_join_fail(member, ERR_FENCED_INSTANCE_ID, true);
	classic_sync_fail(member, ERR_FENCED_INSTANCE_ID);
	map_remove_str(&classic->members, member->id);
	classic_str_set(&member->id, new_id);
	map_put_str(&classic->members, member->id, member);
	if (is_leader)
		classic_str_set(&classic->leader, member->id);
}

static void static_swap_settled(void *machine, void *ctx, enum err err)
{
	struct group_store *store = machine;
	struct static_swap *swap = ctx;
	struct group *group = store ? group_find(store, swap->group_id) : NULL;
	struct classic_member *member = NULL;
	struct classic_join *join = NULL;

	if (group && group->kind == &group_kind_classic)
		member = classic_member_find(group->classic, swap->new_id);
	if (!member || !member->join || !classic_is(group->classic, CLASSIC_STABLE)) {
		static_swap_free(swap); /* things went on meanwhile; who answers the join is settled there */
		return;
	}
	if (err) {
		classic_join_fail(member, err, false);
		classic_rename(group->classic, member, swap->old_id);
		classic_member_alive(member);
		static_swap_free(swap);
		return;
	}
	join = classic_join_take(member);
	if (swap->version >= 9) {
		bool is_leader = str_eq(group->classic->leader, member->id);

		classic_join_fill(join, group->classic, member->id, is_leader);
		join->out.skip_assignment = is_leader;
	} else {
		/* An old client that finds itself the leader would assign: it is shown the old id as the leader's. */
		classic_join_fill(join, group->classic, member->id, false);
		join->out.leader = arena_str(join->op.arena, swap->old_leader);
	}
	coord_op_end(&join->op, ERR_NONE);
	static_swap_free(swap);
}

static void classic_swap_stable(struct group_classic *classic, struct classic_member *member,
				struct classic_join *join, struct str old_id, struct str old_leader)
{
	struct static_swap *swap = MEM_NEW(struct static_swap);

	classic_str_set(&swap->group_id, classic->group->id);
	classic_str_set(&swap->instance_id, member->instance_id);
	classic_str_set(&swap->old_id, old_id);
	classic_str_set(&swap->new_id, member->id);
	classic_str_set(&swap->old_leader, old_leader);
	swap->version = join->version;
	group_log(classic->group, "group.static_member", "instance=%.*s member=%.*s replaced=%.*s",
		  STR_ARGS(member->instance_id), STR_ARGS(member->id), STR_ARGS(old_id));
	classic_write(classic, static_swap_settled, swap);
}

static void classic_join_static(struct group_classic *classic, struct classic_member *member,
				struct classic_join *join, struct str new_id)
{
	struct arena *arena = join->op.arena;
	struct str old_id = arena_str(arena, member->id);
	struct str old_leader = arena_str(arena, classic->leader);
	struct str chosen;

	classic_rename(classic, member, new_id);
	classic_member_update(member, join->in);
	classic_str_set(&member->client_id, join->client_id);
	classic_str_set(&member->client_host, join->client_host);
	classic_join_park(member, join);
	classic_member_alive(member);
	switch ((enum classic_state)classic->state.state) {
	case CLASSIC_STABLE:
		chosen = classic_protocol_choose(classic);
		if (str_eq(chosen, classic->protocol))
			classic_swap_stable(classic, member, join, old_id, old_leader);
		else
			classic_prepare(classic, "a static member changed the choice of protocol");
		return;
	case CLASSIC_COMPLETING:
		/* The leader may be assigning to the old id. */
		classic_prepare(classic, "a static member came back before the assignment");
		return;
	case CLASSIC_PREPARING:
		classic_complete_if_all(classic);
		return;
	case CLASSIC_EMPTY:
	case CLASSIC_DEAD:
	default:
		UNREACHABLE();
	}
}

/* ---- the request ---- */

/* True: parked (or answered through the group). False: `out` is the answer. */
static bool classic_join_new(struct group_classic *classic, struct classic_join *join)
{
	const struct join_group_request *in = join->in;
	struct group_store *store = classic->group->store;
	struct str prefix = in->group_instance_id.p ? in->group_instance_id : join->client_id;
	struct str id = classic_make_id(store, prefix, join->op.arena);
	struct classic_member *known;

	if (!classic_supports(classic, in)) {
		classic_join_error(join, STR(""), ERR_INCONSISTENT_GROUP_PROTOCOL);
		return false;
	}
	if (in->group_instance_id.p) {
		known = map_get_str(&classic->statics, in->group_instance_id);
		if (known)
			classic_join_static(classic, known, join, id);
		else
			classic_join_add(classic, join, id);
		return true;
	}
	if (join->version >= 4) {
		classic_pending_add(classic, id, in->session_timeout_ms);
		classic_join_error(join, id, ERR_MEMBER_ID_REQUIRED);
		return false;
	}
	classic_join_add(classic, join, id);
	return true;
}

static bool classic_join_known(struct group_classic *classic, struct classic_join *join)
{
	const struct join_group_request *in = join->in;
	struct classic_member *member;
	bool is_leader;
	enum err err;

	if (!classic_supports(classic, in)) {
		classic_join_error(join, in->member_id, ERR_INCONSISTENT_GROUP_PROTOCOL);
		return false;
	}
	if (map_get_str(&classic->pending, in->member_id) && !in->group_instance_id.p) {
		classic_join_add(classic, join, in->member_id);
		return true;
	}
	err = classic_member_check(classic, in->member_id, in->group_instance_id);
	if (!err && classic_is(classic, CLASSIC_EMPTY))
		err = ERR_UNKNOWN_MEMBER_ID;
	if (err) {
		classic_join_error(join, in->member_id, err);
		return false;
	}
	member = classic_member_find(classic, in->member_id);
	is_leader = str_eq(classic->leader, member->id);
	if (classic_is(classic, CLASSIC_PREPARING)) {
		classic_join_again(classic, member, join, "");
		return true;
	}
	if (!classic_member_matches(member, in)) {
		classic_join_again(classic, member, join, "a member's metadata changed");
		return true;
	}
	/* The leader may see new partitions, which nobody's metadata show. */
	if (classic_is(classic, CLASSIC_STABLE) && is_leader) {
		classic_join_again(classic, member, join, "the leader asked for it");
		return true;
	}
	/* It may have missed the answer. */
	classic_join_fill(join, classic, member->id, classic_is(classic, CLASSIC_COMPLETING) && is_leader);
	return false;
}

/* What a member keeps of a request. */
static size_t classic_join_len(const struct classic_join *join)
{
	const struct join_group_request *in = join->in;
	size_t len = sizeof(struct classic_member) + in->member_id.len + in->group_instance_id.len +
		     join->client_id.len + join->client_host.len;

	for (int32_t i = 0; i < in->protocols_n; i++)
		len += sizeof(struct classic_protocol) + in->protocols[i].name.len + in->protocols[i].metadata.len;
	return len;
}

static enum err classic_join_check(const struct group_store *store, const struct classic_join *join)
{
	const struct join_group_request *in = join->in;
	struct str prefix = in->group_instance_id.p ? in->group_instance_id : join->client_id;
	size_t metadata_len = classic_join_len(join);

	if (in->group_id.len == 0)
		return ERR_INVALID_GROUP_ID;
	if (in->session_timeout_ms < store->settings.min_session_timeout_ms ||
	    in->session_timeout_ms > store->settings.max_session_timeout_ms)
		return ERR_INVALID_SESSION_TIMEOUT;
	if (in->protocols_n > MEMBER_PROTOCOLS_MAX || metadata_len > MEMBER_METADATA_MAX ||
	    prefix.len + MEMBER_ID_SUFFIX_LEN > INT16_MAX)
		return ERR_INVALID_REQUEST;
	if (!group_store_has_room(store, (int64_t)metadata_len))
		return ERR_GROUP_MAX_SIZE_REACHED;
	return ERR_NONE;
}

enum err classic_join(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct classic_join *join = container_of(op, struct classic_join, op);
	struct group_store *store = machine;
	bool is_unknown = join->in->member_id.len == 0;
	struct group *group;
	enum err err = classic_join_check(store, join);
	bool is_parked;

	group = group_find(store, join->in->group_id);
	if (!err && !group && !is_unknown)
		err = ERR_UNKNOWN_MEMBER_ID;
	if (!err && !group && store->groups.n >= GROUPS_MAX)
		err = ERR_GROUP_MAX_SIZE_REACHED;
	if (!err && group && group->kind == &group_kind_consumer) {
		if (!group->kind->is_empty(group))
			return consumer_host_join(group, join, records);
		consumer_end_empty(group);
		group = group_find(store, join->in->group_id);
	}
	if (!err && group && group->kind != &group_kind_classic)
		err = ERR_INCONSISTENT_GROUP_PROTOCOL;
	if (!err && group && group->classic->metadata_len + classic_join_len(join) > CLASSIC_METADATA_MAX)
		err = ERR_GROUP_MAX_SIZE_REACHED;
	if (err) {
		classic_join_error(join, join->in->member_id, err);
		return ERR_NONE;
	}
	if (!group) {
		group = group_find_or_make_classic(store, join->in->group_id);
		classic_write(group->classic, NULL, NULL);
	}
	if (!classic_has_room(group->classic, join->in->member_id)) {
		classic_pending_remove(group->classic, join->in->member_id);
		classic_join_error(join, STR(""), ERR_GROUP_MAX_SIZE_REACHED);
		return ERR_NONE;
	}
	is_parked = is_unknown ? classic_join_new(group->classic, join) : classic_join_known(group->classic, join);
	return is_parked ? ERR_WOULD_BLOCK : ERR_NONE;
}
