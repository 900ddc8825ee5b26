/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group and the member that a heartbeat is of: found, to be made, to take the place of another one, or refused; and
 * a classic group that becomes one of the consumer protocol for it.
 */
#include "consumer_beat.h"
#include "consumer_host.h"

static enum err beat_refuse_memory(const struct beat *beat)
{
	return err_text_set(beat->text, ERR_GROUP_MAX_SIZE_REACHED,
			    "Groups have taken all the memory that they may have.");
}

static enum err beat_refuse_size(const struct beat *beat)
{
	return err_text_set(beat->text, ERR_GROUP_MAX_SIZE_REACHED,
			    "The consumer group has reached its maximum capacity of %d members.",
			    beat->store->settings.consumer_max_size);
}

static enum err beat_refuse_instance(const struct beat *beat, struct str owner)
{
	return err_text_set(beat->text, ERR_UNRELEASED_INSTANCE_ID,
			    "Static member %.*s with instance id %.*s cannot join the group because the instance id "
			    "is owned by %.*s member.",
			    STR_ARGS(beat->member_id), STR_ARGS(beat->request->instance_id), STR_ARGS(owner));
}

/* A heartbeat that would be refused after all must not make the group another one: its classic members would all have
 * to join again, and their sessions begin anew, as often as it is sent. */
static enum err beat_check_upgrade(const struct beat *beat, const struct group *group)
{
	const struct consumer_group_heartbeat_request *request = beat->request;
	const struct group_classic *classic = group->classic;
	const struct classic_member *member =
		request->instance_id.p ? map_get_str(&classic->statics, request->instance_id) : NULL;
	struct err_text reason = {""};
	struct pattern *pattern;

	if (!group_store_has_room(beat->store, 0))
		return beat_refuse_memory(beat);
	if ((int32_t)classic->members.n >= beat->store->settings.consumer_max_size)
		return beat_refuse_size(beat);
	if (member && !str_eq(member->id, beat->member_id))
		return beat_refuse_instance(beat, member->id);
	if (!request->subscribed_topic_regex.len)
		return ERR_NONE;
	if (pattern_new(request->subscribed_topic_regex, PATTERN_RE2, &pattern, &reason))
		return err_text_set(beat->text, ERR_INVALID_REGULAR_EXPRESSION,
				    "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
				    STR_ARGS(request->subscribed_topic_regex), reason.text);
	pattern_free(pattern);
	return ERR_NONE;
}

static enum err beat_upgrade(struct beat *beat, struct group *group)
{
	enum err err;

	if (!consumer_upgrade_is_allowed(group, beat->text))
		return ERR_GROUP_ID_NOT_FOUND;
	err = beat_check_upgrade(beat, group);
	if (err)
		return err;
	return consumer_upgrade(group, beat->text) ? ERR_NONE : ERR_GROUP_ID_NOT_FOUND;
}

enum err beat_find_group(struct beat *beat, bool make)
{
	struct str id = beat->request->group_id;
	const struct group_settings *settings = &beat->store->settings;
	struct group *group = group_find(beat->store, id);

	if (!group && !make)
		return err_text_set(beat->text, ERR_GROUP_ID_NOT_FOUND,
				    beat->request->member_epoch >= 0 ? "Consumer group %.*s not found." :
								       "Group %.*s not found.",
				    STR_ARGS(id));
	if (group && group->kind == &group_kind_classic && make && !group->kind->is_empty(group)) {
		enum err err = beat_upgrade(beat, group);

		if (err)
			return err;
	}
	group = group_find(beat->store, id);
	if (group && group->kind != &group_kind_consumer) {
		if (!make || !group->kind->is_empty(group))
			return err_text_set(beat->text, ERR_GROUP_ID_NOT_FOUND, "Group %.*s is not a consumer group.",
					    STR_ARGS(id));
		/* An empty group of another kind ends; its offsets stay. */
		group->kind->tombstones(group, beat->records);
		return ERR_NONE;
	}
	if (make && !group_store_has_room(beat->store, 0) &&
	    (!group || !consumer_member_find(group->consumer, beat->request->member_id)))
		return beat_refuse_memory(beat);
	if (!group)
		return ERR_NONE;
	beat->group = group;
	beat->consumer = group->consumer;
	if (make && beat->consumer->members_n >= MIN(settings->consumer_max_size, GROUP_MEMBERS_MAX) &&
	    !consumer_member_find(beat->consumer, beat->request->member_id))
		return beat_refuse_size(beat);
	return ERR_NONE;
}

enum err beat_read_owned(struct beat *beat)
{
	const struct consumer_group_heartbeat_request *request = beat->request;
	int64_t n = 0;

	beat->knows_owned = request->topic_partitions_n >= 0;
	for (int32_t i = 0; i < request->topic_partitions_n; i++)
		n += request->topic_partitions[i].partitions_n;
	beat->owned.v = arena_try_alloc_n(beat->arena, (size_t)n + 1, sizeof(*beat->owned.v));
	if (!beat->owned.v)
		return ERR_NO_MEMORY;
	for (int32_t i = 0; i < request->topic_partitions_n; i++) {
		for (int32_t p = 0; p < request->topic_partitions[i].partitions_n; p++)
			beat->owned.v[beat->owned.n++] =
				(struct part_id){request->topic_partitions[i].topic_id,
						 request->topic_partitions[i].partitions[p], -1};
	}
	part_set_normalize(&beat->owned);
	return ERR_NONE;
}

/* The epoch before is good too while the member owns no more than it may: the answer that told the next was lost. */
static enum err beat_check_member_epoch(struct beat *beat, const struct consumer_member *member)
{
	int32_t said = beat->request->member_epoch, known = member->current.epoch;

	if (said == known)
		return ERR_NONE;
	if (said < known && said == member->current.previous_epoch && beat->knows_owned &&
	    part_set_is_within(beat->owned, member->current.assigned))
		return ERR_NONE;
	return err_text_set(beat->text, ERR_FENCED_MEMBER_EPOCH,
			    "The consumer group member has a %s member epoch (%d) than the one known by the group "
			    "coordinator (%d). The member must abandon all its partitions and rejoin.",
			    said > known ? "greater" : "smaller", said, known);
}

static enum err beat_find_dynamic(struct beat *beat, bool make)
{
	struct consumer_member *member =
		beat->consumer ? consumer_member_find(beat->consumer, beat->member_id) : NULL;

	if (member && !member->meta)
		member = NULL;
	if (!member && !make)
		return err_text_set(beat->text, ERR_UNKNOWN_MEMBER_ID,
				    "Member %.*s is not a member of group %.*s.", STR_ARGS(beat->member_id),
				    STR_ARGS(beat->request->group_id));
	beat->member = member;
	/* A member that joins again under its id begins with nothing, whatever its epoch was. */
	return member && !make ? beat_check_member_epoch(beat, member) : ERR_NONE;
}

static enum err beat_find_static(struct beat *beat, bool make)
{
	struct str instance_id = beat->request->instance_id;
	struct consumer_member *member = beat->consumer ? consumer_instance_find(beat->consumer, instance_id) : NULL;

	if (!member && !make)
		return err_text_set(beat->text, ERR_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.",
				    STR_ARGS(instance_id));
	if (!member)
		return ERR_NONE;
	if (!make) {
		beat->member = member;
		if (!str_eq(member->id, beat->member_id))
			return err_text_set(beat->text, ERR_FENCED_INSTANCE_ID,
					    "Static member %.*s with instance id %.*s was fenced by member %.*s.",
					    STR_ARGS(beat->member_id), STR_ARGS(instance_id), STR_ARGS(member->id));
		return beat_check_member_epoch(beat, member);
	}
	/* A classic client does not say that it goes; the next one takes its place. */
	if (member->current.epoch != CONSUMER_EPOCH_LEAVE_STATIC && !str_eq(member->id, beat->member_id) &&
	    !(beat->hosted && member->meta->value.classic_member_metadata))
		return beat_refuse_instance(beat, member->id);
	if (str_eq(member->id, beat->member_id))
		beat->member = member;
	else
		beat->replaced = member;
	return ERR_NONE;
}

enum err beat_find_member(struct beat *beat, bool make)
{
	return beat->request->instance_id.p ? beat_find_static(beat, make) : beat_find_dynamic(beat, make);
}
