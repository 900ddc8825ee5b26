/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a classic group (see group_classic.h): its record, and what all kinds of group answer. */
#include "group_classic.h"

#include "fault.h"

#include "log.h"
#include "mem.h"
#include "msg/describe_groups.h"

static const struct sm_state classic_states[] = {
	[CLASSIC_EMPTY] = {"Empty", SM_TO(CLASSIC_PREPARING) | SM_TO(CLASSIC_DEAD) | SM_TO(CLASSIC_STABLE)},
	[CLASSIC_PREPARING] = {"PreparingRebalance",
			       SM_TO(CLASSIC_COMPLETING) | SM_TO(CLASSIC_EMPTY) | SM_TO(CLASSIC_DEAD)},
	[CLASSIC_COMPLETING] = {"CompletingRebalance",
				SM_TO(CLASSIC_STABLE) | SM_TO(CLASSIC_PREPARING) | SM_TO(CLASSIC_DEAD)},
	[CLASSIC_STABLE] = {"Stable", SM_TO(CLASSIC_PREPARING) | SM_TO(CLASSIC_DEAD)},
	[CLASSIC_DEAD] = {"Dead", 0},
};

static const struct sm_def classic_def = {"group", classic_states, ARRAY_N(classic_states)};

#define GROUP_VALUE_VERSION 3

bool classic_is(const struct group_classic *classic, enum classic_state state)
{
	return classic->state.state == (int)state;
}

void classic_move(struct group_classic *classic, enum classic_state state, const char *why)
{
	const char *from = sm_name(&classic->state);

	classic->before = classic->state.state;
	sm_move(&classic->state, (int)state, classic->group->id.p);
	classic->state_ms = classic->group->store->shard->wall_ms;
	group_log(classic->group, "group.state", "from=%s to=%s generation=%d members=%u why=\"%s\"", from,
		  sm_name(&classic->state), classic->generation, classic->members.n, why);
}

void classic_str_set(struct str *owned, struct str value)
{
	char *copy = value.p ? mem_strdup_n(value.p, value.len) : NULL;

	mem_free((char *)owned->p);
	*owned = (struct str){copy, value.len};
}

/* ---- life ---- */

void classic_attach(struct group *group)
{
	struct group_classic *classic = MEM_NEW(struct group_classic);
	uint64_t seed = group->store->seed;

	CHECK(!group->kind);
	classic->group = group;
	classic->state_ms = group->store->shard->wall_ms;
	classic->before = CLASSIC_DEAD;
	sm_init(&classic->state, &classic_def, CLASSIC_EMPTY);
	map_init(&classic->members, MAP_STR, seed);
	map_init(&classic->statics, MAP_STR, seed);
	map_init(&classic->protocol_counts, MAP_STR, seed);
	map_init(&classic->pending, MAP_STR, seed);
	map_init(&classic->topics, MAP_STR, seed);
	group->kind = &group_kind_classic;
	group->classic = classic;
}

static void classic_unload(struct group *group, enum err err)
{
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&group->classic->members, &it)) != NULL;) {
		classic_join_fail(member, err, true);
		classic_sync_fail(member, err);
	}
}

static void classic_free(struct group *group)
{
	struct group_classic *classic = group->classic;
	struct coord_shard *shard = group->store->shard;
	struct classic_member *member;
	struct classic_pending *pending;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;)
		classic_member_free(member);
	for (uint32_t it = 0; (pending = map_next(&classic->pending, &it)) != NULL;)
		classic_pending_remove(classic, pending->id);
	coord_timer_stop(shard, &classic->join_timer);
	coord_timer_stop(shard, &classic->sync_timer);
	classic_topics_clear(classic);
	map_deinit(&classic->topics);
	map_deinit(&classic->members);
	map_deinit(&classic->statics);
	CHECK(classic->protocol_counts.n == 0);
	map_deinit(&classic->protocol_counts);
	map_deinit(&classic->pending);
	mem_free((char *)classic->protocol_type.p);
	mem_free((char *)classic->protocol.p);
	mem_free((char *)classic->leader.p);
	mem_free(classic);
	group->classic = NULL;
	group->kind = NULL;
}

static void classic_loaded(struct group *group)
{
	struct group_classic *classic = group->classic;
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;)
		classic_member_alive(member);
	if (classic->members.n > (uint32_t)group->store->settings.max_size)
		classic_prepare(classic, "the group is larger than group.max.size");
}

/* ---- the record ---- */

void classic_record(const struct group_classic *classic, struct coord_records *records)
{
	struct group_metadata_key key = {classic->group->id};
	struct group_metadata_value value;
	const struct classic_member *member;

	msg_init(&group_metadata_value_type, &value);
	value.protocol_type = classic->protocol_type.p ? classic->protocol_type : STR("");
	value.generation = classic->generation;
	value.protocol = classic->protocol;
	value.leader = classic->leader;
	value.current_state_timestamp = classic->state_ms;
	value.members = MSG_NEW_N(records->arena, group_metadata_value_member_metadata, classic->members.n);
	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		struct group_metadata_value_member_metadata *out = &value.members[value.members_n++];
		const struct classic_protocol *protocol = classic_member_protocol(member, classic->protocol);

		out->member_id = member->id;
		out->group_instance_id = member->instance_id;
		out->client_id = member->client_id;
		out->client_host = member->client_host;
		out->rebalance_timeout = member->rebalance_timeout_ms;
		out->session_timeout = member->session_timeout_ms;
		out->subscription = protocol ? protocol->metadata : (struct bytes){(const uint8_t *)"", 0};
		out->assignment = member->assignment.p ? member->assignment : (struct bytes){(const uint8_t *)"", 0};
	}
	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_GROUP_METADATA, GROUP_VALUE_VERSION, &key, &value);
}

void classic_write(struct group_classic *classic, coord_settled_fn *settled, void *ctx)
{
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};

	classic_record(classic, &records);
	classic->is_logged = true;
	coord_shard_write(classic->group->store->shard, &records, false, settled, ctx);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

/* Members have to show that they live from here on. */
static void classic_watch(struct group_classic *classic)
{
	struct classic_member *member;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;)
		classic_member_alive(member);
}

static void classic_replay_member(struct group_classic *classic, const struct group_metadata_value *value,
				  const struct group_metadata_value_member_metadata *in)
{
	struct join_group_request_protocols protocol = {.name = value->protocol, .metadata = in->subscription};
	struct classic_member *member;

	if (classic_member_find(classic, in->member_id) ||
	    (in->group_instance_id.p && map_get_str(&classic->statics, in->group_instance_id)))
		return; /* a record that names a member twice: nobody writes that */
	member = classic_member_new(classic->group, in->member_id, in->group_instance_id);
	classic_str_set(&member->client_id, in->client_id);
	classic_str_set(&member->client_host, in->client_host);
	member->session_timeout_ms = in->session_timeout;
	member->rebalance_timeout_ms = in->rebalance_timeout == -1 ? in->session_timeout : in->rebalance_timeout;
	if (value->protocol.p)
		classic_member_set_protocols(member, &protocol, 1);
	classic_member_set_assignment(member, in->assignment);
	classic_member_add(classic, member);
}

static void classic_replay_value(struct group_classic *classic, const struct group_metadata_value *value)
{
	classic->is_logged = true;
	classic->generation = value->generation;
	classic_str_set(&classic->protocol_type, value->protocol_type.len ? value->protocol_type : STR_NULL);
	classic_str_set(&classic->protocol, value->protocol);
	classic_str_set(&classic->leader, value->leader);
	for (int32_t i = 0; i < value->members_n; i++)
		classic_replay_member(classic, value, &value->members[i]);
	if (classic->leader.p && !classic_member_find(classic, classic->leader)) {
		uint32_t it = 0;
		const struct classic_member *first = map_next(&classic->members, &it);

		classic_str_set(&classic->leader, first ? first->id : STR_NULL);
	}
	if (classic->members.n > 0)
		sm_move(&classic->state, CLASSIC_STABLE, classic->group->id.p);
	classic->state_ms = value->current_state_timestamp;
	classic_topics_update(classic);
	if (classic->group->store->shard->state == COORD_ACTIVE)
		classic_watch(classic);
}

static enum err classic_replay(struct group_store *store, struct coord_origin origin, const void *k, const void *v,
			       struct err_text *text)
{
	const struct group_metadata_key *key = k;
	const struct group_metadata_value *value = v;
	struct group *group = group_find(store, key->group);

	/* A deletion of the group that was there before a group of another kind. */
	if (group && !value && group->kind != &group_kind_classic)
		return ERR_NONE;
	if (group && !value && group->offsets_n == 0) {
		group_free(group);
		return ERR_NONE;
	}
	if (!group && !value)
		return ERR_NONE;
	if (group) {
		group->kind->unload(group, ERR_UNKNOWN_MEMBER_ID);
		group->kind->free(group);
	} else {
		group = group_new(store, key->group);
	}
	classic_attach(group);
	if (value)
		classic_replay_value(group->classic, value);
	return ERR_NONE;
}

static bool classic_current(struct group_store *store, struct coord_origin origin, const void *k, struct arena *arena,
			    void *v, int16_t *ret_version)
{
	const struct group_metadata_key *key = k;
	struct group_metadata_value *value = v;
	const struct group *group = group_find(store, key->group);
	struct coord_records records = {.arena = arena};
	struct bytes encoded;
	enum err err;

	if (!group || group->kind != &group_kind_classic || !group->classic->is_logged)
		return false;
	classic_record(group->classic, &records);
	encoded = records.v.v[0].value;
	vec_deinit(&records.v);
	err = coord_value_decode(msg_record_find(MSG_FAMILY_GROUP, GROUP_GROUP_METADATA), encoded, arena, value, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	*ret_version = GROUP_VALUE_VERSION;
	return true;
}

const struct group_record_ops classic_record_ops = {classic_replay, classic_current};

/* ---- what all kinds answer ---- */

static const char *classic_state_name(const struct group *group)
{
	return sm_name(&group->classic->state);
}

static struct str classic_protocol_type(const struct group *group)
{
	return group->classic->protocol_type.p ? group->classic->protocol_type : STR("");
}

static bool classic_is_empty(const struct group *group)
{
	return classic_is(group->classic, CLASSIC_EMPTY);
}

static enum err classic_check_commit(struct group *group, struct str member_id, struct str instance_id,
				     int32_t generation, int16_t version, bool is_transactional)
{
	struct group_classic *classic = group->classic;
	struct classic_member *member;
	enum err err;

	if (generation < 0 && classic_is(classic, CLASSIC_EMPTY))
		return ERR_NONE; /* nobody manages this group */
	if (generation < 0 && member_id.len == 0 && !instance_id.p)
		return is_transactional ? ERR_NONE : ERR_UNKNOWN_MEMBER_ID;
	err = classic_member_check(classic, member_id, instance_id);
	if (err == ERR_FENCED_INSTANCE_ID && FAULT(static_unfenced))
		return ERR_NONE;
	if (err)
		return err;
	if (generation != classic->generation)
		return ERR_ILLEGAL_GENERATION;
	/* The member knows of the generation, so it must sync first. */
	if (!is_transactional && classic_is(classic, CLASSIC_COMPLETING))
		return ERR_REBALANCE_IN_PROGRESS;
	member = classic_member_find(classic, member_id);
	if (!is_transactional)
		classic_member_alive(member);
	return ERR_NONE;
}

static enum err classic_check_fetch(struct group *group, struct str member_id, int32_t member_epoch)
{
	return ERR_NONE;
}

static enum err classic_check_delete(const struct group *group)
{
	return classic_is_empty(group) ? ERR_NONE : ERR_NON_EMPTY_GROUP;
}

static enum err classic_check_offset_delete(const struct group *group)
{
	if (classic_is_empty(group) || str_eq(group->classic->protocol_type, PROTOCOL_TYPE_CONSUMER))
		return ERR_NONE;
	return ERR_NON_EMPTY_GROUP;
}

static bool classic_is_subscribed(const struct group *group, struct str topic)
{
	return group->classic->has_topics && map_get_str(&group->classic->topics, topic);
}

static bool classic_expiry_base(const struct group *group, int64_t commit_ms, int64_t *ret_base_ms)
{
	const struct group_classic *classic = group->classic;

	*ret_base_ms = commit_ms;
	if (!classic->protocol_type.p)
		return true;
	if (classic_is(classic, CLASSIC_EMPTY)) {
		if (classic->state_ms >= 0)
			*ret_base_ms = classic->state_ms;
		return true;
	}
	return classic->has_topics && classic_is(classic, CLASSIC_STABLE);
}

static void classic_tombstones(const struct group *group, struct coord_records *records)
{
	struct group_metadata_key key = {group->id};

	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_GROUP_METADATA, 0, &key, NULL);
}

const struct group_kind group_kind_classic = {
	.type = "classic",
	.state = classic_state_name,
	.protocol_type = classic_protocol_type,
	.is_empty = classic_is_empty,
	.check_commit = classic_check_commit,
	.check_fetch = classic_check_fetch,
	.check_delete = classic_check_delete,
	.check_offset_delete = classic_check_offset_delete,
	.is_subscribed = classic_is_subscribed,
	.expiry_base = classic_expiry_base,
	.tombstones = classic_tombstones,
	.loaded = classic_loaded,
	.unload = classic_unload,
	.free = classic_free,
};

static bool classic_describe_has_room(const struct classic_member *member, size_t metadata_len,
				      const struct arena *arena)
{
	return arena_has_room(arena, member->id.len + member->instance_id.len + member->client_id.len +
				      member->client_host.len + member->assignment.len + metadata_len + 4, 6);
}

bool classic_describe(const struct group *group, struct arena *arena, struct describe_groups_response_groups *ret)
{
	const struct group_classic *classic = group->classic;
	bool is_stable = classic_is(classic, CLASSIC_STABLE);
	const struct classic_member *member;

	if (!arena_has_room(arena, classic->members.n * sizeof(*ret->members) + classic->protocol_type.len +
				    classic->protocol.len + 2, 3))
		return false;
	ret->group_state = str_of(sm_name(&classic->state));
	ret->protocol_type = arena_str(arena, classic_protocol_type(group));
	ret->protocol_data = is_stable && classic->protocol.p ? arena_str(arena, classic->protocol) : STR("");
	ret->members = MSG_NEW_N(arena, describe_groups_response_groups_members, classic->members.n);
	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		struct describe_groups_response_groups_members *out = &ret->members[ret->members_n++];
		const struct classic_protocol *protocol = classic_member_protocol(member, classic->protocol);

		if (!classic_describe_has_room(member, protocol ? protocol->metadata.len : 0, arena))
			return false;
		out->member_id = arena_str(arena, member->id);
		out->group_instance_id = arena_str(arena, member->instance_id);
		out->client_id = arena_str(arena, member->client_id);
		out->client_host = arena_str(arena, member->client_host);
		if (member->assignment.p)
			out->member_assignment = arena_bytes(arena, member->assignment);
		if (is_stable && protocol)
			out->member_metadata = arena_bytes(arena, protocol->metadata);
	}
	return true;
}

void classic_check_invariants(const struct group *group)
{
	const struct group_classic *classic = group->classic;
	const struct classic_member *member;
	int32_t joins_n = 0, owing_n = 0;
	uint32_t statics_n = 0;

	for (uint32_t it = 0; (member = map_next(&classic->members, &it)) != NULL;) {
		joins_n += member->join != NULL;
		owing_n += member->owes_sync;
		statics_n += member->instance_id.p != NULL;
		CHECK(member->is_counted);
		for (int32_t i = 0; i < member->protocols_n; i++)
			CHECK(map_get_str(&classic->protocol_counts, member->protocols[i].name));
	}
	CHECK_OP(joins_n, ==, classic->awaiting_join_n);
	CHECK_OP(owing_n, ==, classic->owing_sync_n);
	CHECK_OP(statics_n, ==, classic->statics.n);
	CHECK(!classic->leader.p || classic_member_find(classic, classic->leader));
	if (classic_is(classic, CLASSIC_EMPTY))
		CHECK(classic->members.n == 0);
	if (classic_is(classic, CLASSIC_PREPARING))
		CHECK(coord_timer_is_on(&classic->join_timer));
}
