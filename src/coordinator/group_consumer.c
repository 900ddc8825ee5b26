/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of consumer groups: members, who owns which partition, deadlines, and what a consumer group is to offsets
 * and administration (struct group_kind). Replay changes it (consumer_records.c); deadlines follow from what is
 * replayed, so that a group that was loaded has them too.
 */
#include "group_consumer.h"

#include "consumer_host.h"
#include "consumer_job.h"

#define MEMBER_BYTES(member) ((int64_t)(sizeof(struct consumer_member) + (member)->id.len))

/* Of a current assignment: the partitions, and their places in the owners' maps. */
#define CURRENT_BYTES(n) ((int64_t)(n) * (int64_t)(sizeof(struct part_id) + 48))

/* ---- finding ---- */

struct group_consumer *group_consumer_find(const struct group_store *store, struct str id, struct group **ret_group)
{
	struct group *group = group_find(store, id);

	if (!group || group->kind != &group_kind_consumer)
		return NULL;
	if (ret_group)
		*ret_group = group;
	return group->consumer;
}

struct consumer_member *consumer_member_find(const struct group_consumer *consumer, struct str id)
{
	return map_get_str(&consumer->members, id);
}

struct consumer_member *consumer_instance_find(const struct group_consumer *consumer, struct str instance_id)
{
	return map_get_str(&consumer->instances, instance_id);
}

struct group_consumer *group_consumer_make(struct group_store *store, struct str id, struct group **ret_group)
{
	struct group *group = group_find(store, id);

	if (!group) {
		group = group_new(store, id);
	} else if (group->kind == &group_kind_consumer) {
		*ret_group = group;
		return group->consumer;
	} else if (group->kind->is_empty(group)) {
		group->kind->free(group);
	} else if (store->shard->is_undoing) {
		/* Who joined since the group was ended here joined what has never been. */
		group->kind->unload(group, ERR_COORDINATOR_NOT_AVAILABLE);
		group->kind->free(group);
	} else {
		return NULL;
	}
	group->kind = &group_kind_consumer;
	group->consumer = MEM_NEW(struct group_consumer);
	group->consumer->group = group;
	map_init(&group->consumer->members, MAP_STR, store->seed);
	map_init(&group->consumer->instances, MAP_STR, store->seed);
	map_init(&group->consumer->regexes, MAP_STR, store->seed);
	map_init(&group->consumer->owners, MAP_UUID, store->seed);
	group->consumer->image_offset = group->consumer->regex_image_offset = -1;
	group->consumer->failures_n = store->shard->failures_n;
	*ret_group = group;
	return group->consumer;
}

struct consumer_member *consumer_member_make(struct group *group, struct str id)
{
	struct consumer_member *member = consumer_member_find(group->consumer, id);

	if (member)
		return member;
	member = MEM_NEW(struct consumer_member);
	member->id = (struct str){mem_strdup_n(id.p, id.len), id.len};
	member->group = group;
	group_store_count(group->store, MEMBER_BYTES(member));
	map_put_str(&group->consumer->members, member->id, member);
	return member;
}

/* ---- deadlines ---- */

/* Removes a member that its coordinator gave up, as its own leaving would. */
static void member_fence(struct consumer_member *member, const char *why)
{
	struct group *group = member->group;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	struct group_store *store = group->store;
	struct str id = arena_str(&arena, group->id);
	struct consumer_change change = {.store = store, .group_id = group->id, .consumer = group->consumer,
					 .gone = member};

	group_log(group, "group.fenced", "member=%.*s epoch=%d why=\"%s\"", STR_ARGS(member->id),
		  member->current.epoch, why);
	consumer_change_leave(&change, &records);
	coord_shard_write(store->shard, &records, true, NULL, NULL);
	group_consumer_tell_state(store, id);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

static void consumer_assign_due(struct coord_timer *timer, void *machine)
{
	struct group_consumer *consumer = container_of(timer, struct group_consumer, assign);
	struct group_store *store = machine;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	struct str id = arena_str(&arena, consumer->group->id);
	struct consumer_change change = {.store = store, .group_id = id, .consumer = consumer};
	struct part_set nobody;

	if (consumer_is_large(consumer)) {
		consumer_job_soon(consumer, 0);
		return;
	}
	if (consumer->epoch > consumer->target_epoch && store->image &&
	    consumer_change_assign(&change, store->image, consumer->epoch, &records, &arena, &nobody) == ERR_NONE)
		coord_shard_write(store->shard, &records, true, NULL, NULL);
	group_consumer_tell_state(store, id);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

void consumer_assign_later(struct group *group, int64_t delay_ms)
{
	if (!coord_timer_is_on(&group->consumer->assign))
		coord_timer_start(group->store->shard, &group->consumer->assign, delay_ms, consumer_assign_due);
}

static void member_session_ended(struct coord_timer *timer, void *machine UNUSED)
{
	member_fence(container_of(timer, struct consumer_member, session), "its session expired");
}

static void member_rebalance_ended(struct coord_timer *timer, void *machine UNUSED)
{
	member_fence(container_of(timer, struct consumer_member, rebalance),
		     "it did not give its partitions back in time");
}

static bool member_has_deadlines(const struct consumer_member *member)
{
	return member->group->store->shard->state == COORD_ACTIVE && member->meta != NULL;
}

void consumer_member_heard(struct consumer_member *member)
{
	struct group *group = member->group;
	const struct consumer_group_member_metadata_value *meta = member->meta ? &member->meta->value : NULL;
	int32_t session_ms = meta && meta->classic_member_metadata ?
				     meta->classic_member_metadata->session_timeout_ms :
				     consumer_session_timeout_ms(group->store, group->id);

	coord_timer_start(group->store->shard, &member->session, session_ms, member_session_ended);
}

static void member_rejoin_ended(struct coord_timer *timer, void *machine UNUSED)
{
	member_fence(container_of(timer, struct consumer_member, rejoin), "it did not join again in time");
}

void consumer_member_await_join(struct consumer_member *member)
{
	coord_timer_start(member->group->store->shard, &member->rejoin,
			  MAX(member->meta->value.rebalance_timeout_ms, 0), member_rejoin_ended);
}

static void member_sync_ended(struct coord_timer *timer, void *machine UNUSED)
{
	member_fence(container_of(timer, struct consumer_member, sync), "it did not ask for its assignment in time");
}

void consumer_member_await_sync(struct consumer_member *member)
{
	coord_timer_start(member->group->store->shard, &member->sync, MAX(member->meta->value.rebalance_timeout_ms, 0),
			  member_sync_ended);
}

/* A member that has to give back has its rebalance timeout for it, counted from when it was told first. */
static void member_follow_current(struct consumer_member *member, bool was_revoking)
{
	struct coord_shard *shard = member->group->store->shard;
	bool is_revoking = member->has_current && member->current.state == MEMBER_UNREVOKED_PARTITIONS;

	if (!member_has_deadlines(member) || !is_revoking)
		coord_timer_stop(shard, &member->rebalance);
	else if (!was_revoking || !coord_timer_is_on(&member->rebalance))
		coord_timer_start(shard, &member->rebalance, MAX(member->meta->value.rebalance_timeout_ms, 0),
				  member_rebalance_ended);
}

/* ---- records of a member ---- */

struct bytes consumer_meta_encode(const struct consumer_group_member_metadata_value *value, struct arena *arena)
{
	return coord_value_encode(MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_MEMBER_METADATA, 0, value, arena);
}

struct consumer_meta *consumer_meta_new(const struct consumer_group_member_metadata_value *value)
{
	struct consumer_meta *meta = MEM_NEW(struct consumer_meta);
	enum err err;

	arena_init(&meta->arena, meta->block, sizeof(meta->block));
	meta->encoded = consumer_meta_encode(value, &meta->arena);
	err = coord_value_decode(msg_record_find(MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_MEMBER_METADATA),
				 meta->encoded, &meta->arena, &meta->value, NULL);
	CHECK_OP(err, ==, ERR_NONE);
	return meta;
}

static void meta_free(struct consumer_meta *meta)
{
	if (!meta)
		return;
	arena_reset(&meta->arena);
	mem_free(meta);
}

static int64_t meta_bytes(const struct consumer_meta *meta)
{
	return meta ? (int64_t)(sizeof(*meta) + meta->arena.used) : 0;
}

static int meta_is_guest(const struct consumer_meta *meta)
{
	return meta && meta->value.classic_member_metadata;
}

static int32_t meta_names_n(const struct consumer_meta *meta)
{
	return meta ? meta->value.subscribed_topic_names_n : 0;
}

static int meta_has_regex(const struct consumer_meta *meta)
{
	return meta && meta->value.subscribed_topic_regex.len > 0;
}

void consumer_member_set_meta(struct consumer_member *member, struct consumer_meta *take_meta)
{
	struct group_consumer *consumer = member->group->consumer;
	struct consumer_meta *old = member->meta;
	bool is_new = old == NULL;

	if (old && old->value.instance_id.p && consumer_instance_find(consumer, old->value.instance_id) == member)
		map_remove_str(&consumer->instances, old->value.instance_id);
	consumer->members_n += (take_meta != NULL) - (old != NULL);
	consumer->guests_n += meta_is_guest(take_meta) - meta_is_guest(old);
	consumer->names_n += meta_names_n(take_meta) - meta_names_n(old);
	consumer->regex_members_n += meta_has_regex(take_meta) - meta_has_regex(old);
	if (meta_has_regex(take_meta) && !map_get_str(&consumer->regexes, take_meta->value.subscribed_topic_regex))
		consumer->owes_regexes = true;
	member->meta_seq = ++member->group->store->meta_seq;
	member->meta = take_meta;
	group_store_count(member->group->store, meta_bytes(take_meta) - meta_bytes(old));
	meta_free(old);
	if (take_meta && take_meta->value.instance_id.p)
		map_put_str(&consumer->instances, take_meta->value.instance_id, member);
	if (!take_meta) {
		coord_timer_stop(member->group->store->shard, &member->session);
		coord_timer_stop(member->group->store->shard, &member->rebalance);
		coord_timer_stop(member->group->store->shard, &member->rejoin);
		coord_timer_stop(member->group->store->shard, &member->sync);
	} else if (is_new && member_has_deadlines(member)) {
		consumer_member_heard(member);
	}
	if (member->group->store->shard->state == COORD_ACTIVE)
		consumer_downgrade_soon(member->group);
}

static struct part_set set_copy(struct part_set set)
{
	struct part_set ret = {set.n ? mem_alloc((size_t)set.n * sizeof(*set.v)) : NULL, set.n};

	if (set.n)
		memcpy(ret.v, set.v, (size_t)set.n * sizeof(*set.v));
	return ret;
}

void consumer_member_set_current(struct consumer_member *member, const struct member_current *current)
{
	struct member_current old = member->current;
	bool was_revoking = member->has_current && old.state == MEMBER_UNREVOKED_PARTITIONS;

	consumer_disown(member, old.assigned);
	consumer_disown(member, old.revoking);
	group_store_count(member->group->store,
			  CURRENT_BYTES(current ? current->assigned.n + current->revoking.n : 0) -
				  CURRENT_BYTES(old.assigned.n + old.revoking.n));
	member->has_current = current != NULL;
	member->current = (struct member_current){0};
	if (current) {
		member->current = *current;
		member->current.assigned = set_copy(current->assigned);
		member->current.revoking = set_copy(current->revoking);
	}
	mem_free(old.assigned.v);
	mem_free(old.revoking.v);
	consumer_own(member, member->current.assigned);
	consumer_own(member, member->current.revoking);
	member_follow_current(member, was_revoking);
}

void consumer_member_set_target(struct consumer_member *member, const struct part_set *target)
{
	group_store_count(member->group->store,
			  ((target ? target->n : 0) - member->target.n) * (int64_t)sizeof(struct part_id));
	member->group->consumer->targets_n += (target ? target->n : 0) - member->target.n;
	mem_free(member->target.v);
	member->has_target = target != NULL;
	member->target = target ? set_copy(*target) : (struct part_set){0};
}

static void member_free(struct consumer_member *member)
{
	consumer_member_set_current(member, NULL);
	consumer_member_set_target(member, NULL);
	consumer_member_set_meta(member, NULL);
	group_store_count(member->group->store, -MEMBER_BYTES(member));
	mem_free((void *)(uintptr_t)member->id.p);
	mem_free(member);
}

void consumer_member_tidy(struct consumer_member *member)
{
	struct group *group = member->group;

	if (member->meta || member->has_current || member->has_target)
		return;
	map_remove_str(&group->consumer->members, member->id);
	member_free(member);
	group_consumer_tidy(group);
}

void group_consumer_tidy(struct group *group)
{
	struct group_consumer *consumer = group->consumer;

	if (consumer->has_epoch || consumer->has_target || consumer->has_partition_metadata || consumer->members.n ||
	    consumer->regexes.n)
		return;
	if (group->offsets_n == 0) {
		group_free(group);
		return;
	}
	/* Offsets need a group, and one without members is a classic one. */
	group->kind->free(group);
	classic_attach(group);
}

/* ---- what a consumer group is to others ---- */

static struct str consumer_protocol_type(const struct group *group UNUSED)
{
	return STR("consumer");
}

static bool consumer_is_empty(const struct group *group)
{
	return group->consumer->members_n == 0;
}

static enum err consumer_check_member(const struct group *group, struct str member_id, int32_t epoch)
{
	struct consumer_member *member = consumer_member_find(group->consumer, member_id);

	if (!member || !member->meta)
		return ERR_UNKNOWN_MEMBER_ID;
	return epoch == member->current.epoch ? ERR_NONE : ERR_STALE_MEMBER_EPOCH;
}

static enum err consumer_check_commit(struct group *group, struct str member_id, struct str instance_id,
				      int32_t epoch, int16_t version, bool is_transactional)
{
	const struct consumer_member *member;
	enum err err;

	/* Tools and simple consumers commit for a group that nobody is in. */
	if (epoch < 0 && group->consumer->members_n == 0)
		return ERR_NONE;
	/* Producers that know the name of the group only, as all did once. */
	if (is_transactional && epoch == -1 && member_id.len == 0 && !instance_id.p)
		return ERR_NONE;
	member = consumer_member_find(group->consumer, member_id);
	if (member && meta_is_guest(member->meta))
		return epoch <= member->current.epoch ? ERR_NONE : ERR_ILLEGAL_GENERATION;
	if (!is_transactional && version < 9 && member)
		return ERR_UNSUPPORTED_VERSION;
	err = consumer_check_member(group, member_id, epoch);
	/* On its way the member's epoch rose: what it was given before is still its own (KIP-1251). */
	if (err == ERR_STALE_MEMBER_EPOCH && epoch < consumer_member_find(group->consumer, member_id)->current.epoch)
		return ERR_NONE;
	return err;
}

static int part_epoch(struct part_set set, struct uuid topic_id, int32_t partition)
{
	for (int32_t i = 0; i < set.n; i++) {
		if (set.v[i].partition == partition && uuid_eq(set.v[i].topic_id, topic_id))
			return MAX(set.v[i].epoch, 0);
	}
	return INT32_MAX;
}

static enum err consumer_check_commit_partition(const struct group *group, struct str member_id, int32_t epoch,
						struct uuid topic_id, int32_t partition)
{
	const struct consumer_member *member = consumer_member_find(group->consumer, member_id);

	if (!member || epoch >= member->current.epoch)
		return ERR_NONE;
	if (epoch >= part_epoch(member->current.assigned, topic_id, partition) ||
	    epoch >= part_epoch(member->current.revoking, topic_id, partition))
		return ERR_NONE;
	return meta_is_guest(member->meta) ? ERR_ILLEGAL_GENERATION : ERR_STALE_MEMBER_EPOCH;
}

static enum err consumer_check_fetch(struct group *group, struct str member_id, int32_t epoch)
{
	if (!member_id.p && epoch < 0)
		return ERR_NONE;
	return consumer_check_member(group, member_id, epoch);
}

static enum err consumer_check_delete(const struct group *group)
{
	return group->consumer->members_n ? ERR_NON_EMPTY_GROUP : ERR_NONE;
}

static enum err consumer_check_offset_delete(const struct group *group UNUSED)
{
	return ERR_NONE;
}

static bool names_have(const struct str *names, int32_t n, struct str name)
{
	int32_t lo = 0, hi = n;

	while (lo < hi) {
		int32_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(names[mid], name);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool consumer_is_subscribed(const struct group *group, struct str topic)
{
	struct consumer_member *member;
	struct consumer_regex *regex;

	for (uint32_t it = 0; (regex = map_next(&group->consumer->regexes, &it)) != NULL;) {
		if (names_have(regex->value.topics, regex->value.topics_n, topic))
			return true;
	}
	for (uint32_t it = 0; (member = map_next(&group->consumer->members, &it)) != NULL;) {
		if (member->meta && names_have(member->meta->value.subscribed_topic_names,
					       member->meta->value.subscribed_topic_names_n, topic))
			return true;
	}
	return false;
}

static bool consumer_expiry_base(const struct group *group UNUSED, int64_t commit_ms, int64_t *ret_base_ms)
{
	*ret_base_ms = commit_ms;
	return true;
}

static void consumer_tombstones(const struct group *group, struct coord_records *records)
{
	struct consumer_group_target_assignment_metadata_key target = {group->id};
	struct consumer_group_partition_metadata_key partitions = {group->id};
	struct consumer_group_metadata_key epoch = {group->id};
	struct consumer_member *member;
	struct consumer_regex *regex;

	for (uint32_t it = 0; (member = map_next(&group->consumer->members, &it)) != NULL;)
		consumer_write_member_end(records, group->id, member->id);
	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, 0, &target,
			     NULL);
	for (uint32_t it = 0; (regex = map_next(&group->consumer->regexes, &it)) != NULL;)
		consumer_write_regex(records, group->id, regex->source, NULL);
	if (group->consumer->has_partition_metadata)
		coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_PARTITION_METADATA, 0, &partitions,
				     NULL);
	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_CONSUMER_GROUP_METADATA, 0, &epoch, NULL);
}

static void consumer_find_owed(struct group_consumer *consumer)
{
	const struct consumer_member *member;

	consumer->owes_regexes = false;
	for (uint32_t it = 0; (member = map_next(&consumer->members, &it)) != NULL;)
		consumer->owes_regexes |= meta_has_regex(member->meta) &&
					  !map_get_str(&consumer->regexes, member->meta->value.subscribed_topic_regex);
}

void group_consumer_notice_failures(struct group_consumer *consumer)
{
	uint64_t failures_n = consumer->group->store->shard->failures_n;

	if (consumer->failures_n == failures_n)
		return;
	consumer->failures_n = failures_n;
	consumer->image_offset = consumer->regex_image_offset = -1;
	consumer_find_owed(consumer);
}

bool group_consumer_regexes_are_due(const struct group_consumer *consumer)
{
	const struct group_store *store = consumer->group->store;
	int64_t since_ms = store->shard->now_ms - consumer->regexes_resolved_ms;

	if (!consumer->regexes_resolved_ms)
		return consumer->regex_image_offset != store->image->offset;
	return since_ms >= CONSUMER_REGEX_PAUSE_MS &&
	       (consumer->regex_image_offset != store->image->offset ||
		since_ms > store->settings.consumer_regex_refresh_interval_ms);
}

static void consumer_loaded(struct group *group)
{
	struct consumer_member *member;

	for (uint32_t it = 0; (member = map_next(&group->consumer->members, &it)) != NULL;) {
		if (!member->meta)
			continue;
		consumer_member_heard(member);
		member_follow_current(member, false);
	}
	consumer_find_owed(group->consumer);
	consumer_downgrade_soon(group);
}

static void consumer_unload(struct group *group UNUSED, enum err err UNUSED)
{
	/* Nothing of a consumer group is ever parked. */
}

static void consumer_free(struct group *group)
{
	struct group_consumer *consumer = group->consumer;
	struct consumer_member *member;
	struct consumer_regex *regex;

	coord_timer_stop(group->store->shard, &consumer->assign);
	consumer_job_abandon(consumer);
	for (uint32_t it = 0; (member = map_next(&consumer->members, &it)) != NULL;)
		member_free(member);
	for (uint32_t it = 0; (regex = map_next(&consumer->regexes, &it)) != NULL;) {
		group_store_count(group->store, -consumer_regex_bytes(regex));
		consumer_regex_free(regex);
	}
	map_deinit(&consumer->members);
	map_deinit(&consumer->instances);
	map_deinit(&consumer->regexes);
	consumer_owners_deinit(consumer);
	coord_timer_stop(group->store->shard, &consumer->downgrade);
	mem_free(consumer);
	group->consumer = NULL;
	group->kind = NULL;
}

const struct group_kind group_kind_consumer = {
	.type = "consumer",
	.state = group_consumer_state,
	.protocol_type = consumer_protocol_type,
	.is_empty = consumer_is_empty,
	.check_commit = consumer_check_commit,
	.check_commit_partition = consumer_check_commit_partition,
	.check_fetch = consumer_check_fetch,
	.check_delete = consumer_check_delete,
	.check_offset_delete = consumer_check_offset_delete,
	.is_subscribed = consumer_is_subscribed,
	.expiry_base = consumer_expiry_base,
	.tombstones = consumer_tombstones,
	.loaded = consumer_loaded,
	.unload = consumer_unload,
	.free = consumer_free,
};
