/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeGroups (key 15), versions 0-6: classic groups, each asked where it is coordinated. A group that is not there
 * is "Dead", from version 6 on with an error and a text.
 */
#include "api.h"
#include "coordinator_io.h"
#include "gather.h"
#include "msg/describe_groups.h"
#include "topic_reply.h"

struct describe_group {
	struct describe_groups *all;
	struct coordinator_call call;
	struct coord_op op;
	struct describe_groups_response_groups *out;
};

struct describe_groups {
	struct request *request;
	struct describe_group *groups;
	struct describe_groups_response out;
	struct gather gather;
	struct coordinator_room room;
};

static enum err describe_group_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct describe_group *group = container_of(op, struct describe_group, op);

	group_describe(machine, group->call.group_id, group->all->request->version, op->arena, group->out);
	return ERR_NONE;
}

static void describe_groups_reply(struct gather *gather)
{
	struct describe_groups *all = container_of(gather, struct describe_groups, gather);
	const struct describe_groups_request *in = all->request->body;

	for (int32_t i = 0; i < all->out.groups_n; i++) {
		struct describe_groups_response_groups *out = &all->out.groups[i];

		out->group_id = in->groups[i];
		if (all->groups[i].op.err)
			out->error_code = err_wire(all->groups[i].op.err);
		else if (in->include_authorized_operations && !out->error_code)
			out->authorized_operations = OPERATIONS_GROUP;
	}
	request_keeps(all->request, all->room.used);
	request_reply(all->request, &all->out);
}

static void describe_group_decided(struct coordinator_call *call)
{
	gather_arrive(&container_of(call, struct describe_group, call)->all->gather);
}

static void describe_groups_release(struct request *request)
{
	struct describe_groups *all = request->op;

	for (int32_t i = 0; i < all->out.groups_n; i++)
		coordinator_call_free(&all->groups[i].call);
	request_released(request);
}

void api_describe_groups(struct request *request)
{
	const struct describe_groups_request *in = request->body;
	struct describe_groups *all = ARENA_NEW(&request->arena, struct describe_groups);
	int32_t n = in->groups_n; /* the last answer may free `in` */

	if (!coordinator_calls_fit(request, n))
		return;
	all->request = request;
	msg_init(&describe_groups_response_type, &all->out);
	all->out.groups = MSG_NEW_N(&request->arena, describe_groups_response_groups, in->groups_n);
	all->out.groups_n = in->groups_n;
	all->groups = ARENA_NEW_N(&request->arena, struct describe_group, in->groups_n);
	request->op = all;
	request->release = describe_groups_release;
	if (in->groups_n == 0) {
		request_reply(request, &all->out);
		return;
	}
	gather_start(&all->gather, n, describe_groups_reply);
	for (int32_t i = 0; i < n; i++) {
		struct describe_group *group = &all->groups[i];

		group->all = all;
		group->out = &all->out.groups[i];
		group->op.decide = describe_group_decide;
		group->call.request = request;
		group->call.room = &all->room;
		group->call.group_id = in->groups[i];
		group->call.op = &group->op;
		group->call.done = describe_group_decided;
		coordinator_call_start(&group->call);
	}
}
