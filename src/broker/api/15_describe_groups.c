/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeGroups (key 15), versions 0-6: classic groups, each asked where it is coordinated. A group that is not there
 * is "Dead", from version 6 on with an error and a text.
 */
#include "api.h"
#include "coordinator_asks.h"
#include "msg/describe_groups.h"
#include "topic_reply.h"

struct describe_group {
	struct coordinator_ask ask;
	struct describe_groups_response_groups *out;
};

struct describe_groups {
	struct coordinator_asks asks;
	struct describe_groups_response out;
};

static enum err describe_group_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct describe_group *group = container_of(op, struct describe_group, ask.op);

	group_describe(machine, group->ask.call.group_id, group->ask.call.request->version, op->arena, group->out);
	return ERR_NONE;
}

static void describe_groups_reply(struct coordinator_asks *asks)
{
	struct describe_groups *all = container_of(asks, struct describe_groups, asks);
	const struct describe_groups_request *in = asks->request->body;

	for (int32_t i = 0; i < asks->n; i++) {
		const struct describe_group *group = coordinator_asks_at(asks, i);

		group->out->group_id = in->groups[i];
		if (group->ask.op.err)
			group->out->error_code = err_wire(group->ask.op.err);
		else if (in->include_authorized_operations && !group->out->error_code)
			group->out->authorized_operations = OPERATIONS_GROUP;
	}
	request_reply(asks->request, &all->out);
}

void api_describe_groups(struct request *request)
{
	const struct describe_groups_request *in = request->body;
	struct describe_groups *all = ARENA_NEW(&request->arena, struct describe_groups);

	if (!coordinator_asks_init(&all->asks, request, sizeof(struct describe_group), in->groups_n,
				   describe_groups_reply))
		return;
	msg_init(&describe_groups_response_type, &all->out);
	all->out.groups = MSG_NEW_N(&request->arena, describe_groups_response_groups, in->groups_n);
	all->out.groups_n = in->groups_n;
	for (int32_t i = 0; i < in->groups_n; i++) {
		struct describe_group *group = coordinator_asks_at(&all->asks, i);

		group->out = &all->out.groups[i];
		group->ask.op.decide = describe_group_decide;
		group->ask.call.group_id = in->groups[i];
	}
	coordinator_asks_run(&all->asks);
}
