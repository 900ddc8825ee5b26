/* SPDX-License-Identifier: Apache-2.0 */
/* A group of the new protocol as it is now: its state, also for the log, and ConsumerGroupDescribe. */
#include "consumer_heartbeat.h"

/* False: the arena has no room. */
static bool describe_assignment(const struct group_store *store, struct part_set set, struct arena *arena,
				struct consumer_group_describe_response_assignment *ret)
{
	if (!arena_has_room(arena, (size_t)set.n * sizeof(*ret->topic_partitions), 1))
		return false;
	ret->topic_partitions = MSG_NEW_N(arena, consumer_group_describe_response_topic_partitions, set.n);
	for (int32_t i = 0; i < set.n; i += part_set_topic_n(set, i)) {
		const struct topic_image *topic = image_topic_by_id(store->image, set.v[i].topic_id);
		struct consumer_group_describe_response_topic_partitions *out;

		/* A topic that is gone has no name to tell. */
		if (!topic)
			continue;
		if (!arena_has_room(arena, topic->name.len + 1 + (size_t)part_set_topic_n(set, i) * sizeof(int32_t), 2))
			return false;
		out = &ret->topic_partitions[ret->topic_partitions_n++];
		out->topic_id = topic->id;
		out->topic_name = arena_str(arena, topic->name);
		out->partitions_n = part_set_topic_n(set, i);
		out->partitions = ARENA_NEW_N(arena, int32_t, out->partitions_n);
		for (int32_t p = 0; p < out->partitions_n; p++)
			out->partitions[p] = set.v[i + p].partition;
	}
	return true;
}

static bool describe_member_has_room(const struct consumer_member *member, const struct arena *arena)
{
	const struct consumer_group_member_metadata_value *meta = &member->meta->value;
	size_t names_n = (size_t)meta->subscribed_topic_names_n;
	size_t len = member->id.len + meta->instance_id.len + meta->rack_id.len + meta->client_id.len +
		     meta->client_host.len + meta->subscribed_topic_regex.len + 6 + names_n * sizeof(struct str);

	for (size_t i = 0; i < names_n; i++)
		len += meta->subscribed_topic_names[i].len + 1;
	return arena_has_room(arena, len, 7 + names_n);
}

static bool describe_member(const struct group_store *store, const struct consumer_member *member,
			    struct arena *arena, struct consumer_group_describe_response_groups_members *ret)
{
	const struct consumer_group_member_metadata_value *meta = &member->meta->value;

	if (!describe_member_has_room(member, arena))
		return false;
	ret->member_id = arena_str(arena, member->id);
	ret->instance_id = arena_str(arena, meta->instance_id);
	ret->rack_id = arena_str(arena, meta->rack_id);
	ret->member_epoch = member->current.epoch;
	ret->client_id = arena_str(arena, meta->client_id);
	ret->client_host = arena_str(arena, meta->client_host);
	ret->subscribed_topic_names_n = meta->subscribed_topic_names_n;
	ret->subscribed_topic_names = ARENA_NEW_N(arena, struct str, meta->subscribed_topic_names_n);
	for (int32_t i = 0; i < meta->subscribed_topic_names_n; i++)
		ret->subscribed_topic_names[i] = arena_str(arena, meta->subscribed_topic_names[i]);
	ret->subscribed_topic_regex = arena_str(arena, meta->subscribed_topic_regex);
	ret->member_type = meta->classic_member_metadata ? 0 : 1;
	return describe_assignment(store, member->current.assigned, arena, &ret->assignment) &&
	       describe_assignment(store, member->target, arena, &ret->target_assignment);
}

static void describe_refuse(struct str group_id, struct consumer_group_describe_response_groups *ret)
{
	msg_init(&consumer_group_describe_response_groups_type, ret);
	ret->group_id = group_id;
	ret->error_code = err_wire(ERR_INVALID_REQUEST);
	ret->error_message = STR("The answer to the request would be too large.");
}

void consumer_describe(struct group_store *store, struct str group_id, struct arena *arena,
		       struct consumer_group_describe_response_groups *ret)
{
	struct group *group = group_find(store, group_id);
	struct consumer_change change = {.store = store, .group_id = group_id};
	struct consumer_member *member;

	ret->group_id = group_id;
	if (group_id.len == 0) {
		ret->error_code = err_wire(ERR_INVALID_GROUP_ID);
		return;
	}
	if (!group || group->kind != &group_kind_consumer) {
		ret->error_code = err_wire(ERR_GROUP_ID_NOT_FOUND);
		ret->error_message = arena_printf(arena, group ? "Group %.*s is not a consumer group." :
								 "Group %.*s not found.",
						  STR_ARGS(group_id));
		return;
	}
	if (!arena_has_room(arena, group->consumer->members_n * sizeof(*ret->members), 1)) {
		describe_refuse(group_id, ret);
		return;
	}
	change.consumer = group->consumer;
	ret->group_state = str_of(group_consumer_state(group));
	ret->group_epoch = group->consumer->epoch;
	ret->assignment_epoch = group->consumer->target_epoch;
	ret->assignor_name = consumer_change_assignor(&change);
	ret->members = MSG_NEW_N(arena, consumer_group_describe_response_groups_members, group->consumer->members_n);
	for (uint32_t it = 0; (member = map_next(&group->consumer->members, &it)) != NULL;) {
		if (member->meta && !describe_member(store, member, arena, &ret->members[ret->members_n++])) {
			describe_refuse(group_id, ret);
			return;
		}
	}
}

const char *group_consumer_state(const struct group *group)
{
	const struct group_consumer *consumer = group->consumer;
	struct consumer_member *member;

	if (consumer->members_n == 0)
		return "Empty";
	if (consumer->epoch > consumer->target_epoch)
		return "Assigning";
	for (uint32_t it = 0; (member = map_next(&consumer->members, &it)) != NULL;) {
		if (member->meta && (member->current.state != MEMBER_STABLE ||
				     member->current.epoch != consumer->target_epoch))
			return "Reconciling";
	}
	return "Stable";
}

void group_consumer_tell_state(struct group_store *store, struct str id)
{
	struct group *group = NULL;
	struct group_consumer *consumer = group_consumer_find(store, id, &group);
	const char *state = consumer ? group_consumer_state(group) : NULL;

	if (!state || (consumer->told_state && strcmp(state, consumer->told_state) == 0))
		return;
	group_log(group, "group.state", "from=%s to=%s epoch=%d target_epoch=%d members=%d",
		  consumer->told_state ? consumer->told_state : "Empty", state, consumer->epoch, consumer->target_epoch,
		  consumer->members_n);
	consumer->told_state = state;
}
