/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LeaveGroup for a group of the consumer protocol: an administrator removes members by id or by instance id, whatever
 * protocol they speak. All of them go in one step of the group's epoch.
 */
#include "group_consumer.h"
#include "group_classic.h"

static enum err leave_find(const struct group_consumer *consumer, const struct leave_group_request_members *in,
			   struct consumer_member **ret)
{
	struct consumer_member *member = in->group_instance_id.p ?
						 consumer_instance_find(consumer, in->group_instance_id) :
						 consumer_member_find(consumer, in->member_id);

	if (!member || !member->meta)
		return ERR_UNKNOWN_MEMBER_ID;
	/* An administrator knows the instance and not the member that it is now. */
	if (in->member_id.len && !str_eq(member->id, in->member_id))
		return ERR_FENCED_INSTANCE_ID;
	*ret = member;
	return ERR_NONE;
}

static bool leave_is_known(const struct consumer_member *const *leavers, int32_t n,
			   const struct consumer_member *member)
{
	for (int32_t i = 0; i < n; i++) {
		if (leavers[i] == member)
			return true;
	}
	return false;
}

void consumer_leave(struct group *group, const struct leave_group_request *in, struct leave_group_response *out,
		    struct coord_records *records)
{
	const struct consumer_member **leavers =
		ARENA_NEW_N(records->arena, const struct consumer_member *, in->members_n);
	struct consumer_change change = {.store = group->store, .group_id = group->id, .consumer = group->consumer};
	int32_t n = 0;

	for (int32_t i = 0; i < in->members_n; i++) {
		struct consumer_member *member;
		enum err err = leave_find(group->consumer, &in->members[i], &member);

		out->members[i].error_code = err_wire(err);
		if (err || leave_is_known(leavers, n, member))
			continue;
		leavers[n++] = member;
		group_log(group, "group.left", "member=%.*s reason=\"%.*s\"", STR_ARGS(member->id),
			  STR_ARGS(in->members[i].reason));
	}
	if (n == 0)
		return;
	change.gone = leavers[0];
	change.also_gone = leavers + 1;
	change.also_gone_n = n - 1;
	consumer_change_leave(&change, records);
}
