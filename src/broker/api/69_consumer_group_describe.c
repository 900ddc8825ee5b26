/* SPDX-License-Identifier: Apache-2.0 */
/* ConsumerGroupDescribe (key 69), versions 0-1: groups of the new protocol, each asked where it is coordinated. */
#include "api.h"
#include "consumer_heartbeat.h"
#include "coordinator_asks.h"
#include "shard.h"
#include "topic_reply.h"

struct describe_consumer_group {
	struct coordinator_ask ask;
	struct consumer_group_describe_response_groups *out;
};

struct describe_consumer_groups {
	struct coordinator_asks asks;
	struct consumer_group_describe_response out;
};

static enum err describe_consumer_decide(struct coord_op *op, void *machine,
					 struct coord_records *records UNUSED)
{
	struct describe_consumer_group *group = container_of(op, struct describe_consumer_group, ask.op);

	consumer_describe(machine, group->ask.call.group_id, op->arena, group->out);
	return ERR_NONE;
}

static void describe_consumer_reply(struct coordinator_asks *asks)
{
	struct describe_consumer_groups *all = container_of(asks, struct describe_consumer_groups, asks);
	const struct consumer_group_describe_request *in = asks->request->body;

	for (int32_t i = 0; i < asks->n; i++) {
		const struct describe_consumer_group *group = coordinator_asks_at(asks, i);

		group->out->group_id = in->group_ids[i];
		if (group->ask.op.err)
			group->out->error_code = err_wire(group->ask.op.err);
		else if (in->include_authorized_operations && !group->out->error_code)
			group->out->authorized_operations = OPERATIONS_GROUP;
	}
	request_reply(asks->request, &all->out);
}

void api_consumer_group_describe(struct request *request)
{
	const struct consumer_group_describe_request *in = request->body;
	struct describe_consumer_groups *all = ARENA_NEW(&request->arena, struct describe_consumer_groups);
	bool is_offered = consumer_protocol_is_offered(request->shard);

	if (!coordinator_asks_init(&all->asks, request, sizeof(struct describe_consumer_group), in->group_ids_n,
				   describe_consumer_reply))
		return;
	msg_init(&consumer_group_describe_response_type, &all->out);
	all->out.groups = MSG_NEW_N(&request->arena, consumer_group_describe_response_groups, in->group_ids_n);
	all->out.groups_n = in->group_ids_n;
	for (int32_t i = 0; i < in->group_ids_n; i++) {
		struct describe_consumer_group *group = coordinator_asks_at(&all->asks, i);

		group->out = &all->out.groups[i];
		group->ask.op.decide = describe_consumer_decide;
		group->ask.op.err = is_offered ? ERR_NONE : ERR_UNSUPPORTED_VERSION;
		group->ask.call.group_id = in->group_ids[i];
	}
	if (is_offered)
		coordinator_asks_run(&all->asks);
	else
		describe_consumer_reply(&all->asks);
}
