/* SPDX-License-Identifier: Apache-2.0 */
/* ConsumerGroupDescribe (key 69), versions 0-1: groups of the new protocol, each asked where it is coordinated. */
#include "api.h"
#include "consumer_heartbeat.h"
#include "coordinator_io.h"
#include "gather.h"
#include "shard.h"
#include "topic_reply.h"

struct describe_consumer_group {
	struct describe_consumer_groups *all;
	struct coordinator_call call;
	struct coord_op op;
	struct consumer_group_describe_response_groups *out;
};

struct describe_consumer_groups {
	struct request *request;
	struct describe_consumer_group *groups;
	struct consumer_group_describe_response out;
	struct gather gather;
	struct coordinator_room room;
};

static enum err describe_consumer_decide(struct coord_op *op, void *machine,
					 struct coord_records *records UNUSED)
{
	struct describe_consumer_group *group = container_of(op, struct describe_consumer_group, op);

	consumer_describe(machine, group->call.group_id, op->arena, group->out);
	return ERR_NONE;
}

static void describe_consumer_reply(struct gather *gather)
{
	struct describe_consumer_groups *all = container_of(gather, struct describe_consumer_groups, gather);
	const struct consumer_group_describe_request *in = all->request->body;

	for (int32_t i = 0; i < all->out.groups_n; i++) {
		struct consumer_group_describe_response_groups *out = &all->out.groups[i];

		out->group_id = in->group_ids[i];
		if (all->groups[i].op.err)
			out->error_code = err_wire(all->groups[i].op.err);
		else if (in->include_authorized_operations && !out->error_code)
			out->authorized_operations = OPERATIONS_GROUP;
	}
	request_keeps(all->request, all->room.used);
	request_reply(all->request, &all->out);
}

static void describe_consumer_decided(struct coordinator_call *call)
{
	gather_arrive(&container_of(call, struct describe_consumer_group, call)->all->gather);
}

static void describe_consumer_release(struct request *request)
{
	struct describe_consumer_groups *all = request->op;

	for (int32_t i = 0; i < all->out.groups_n; i++)
		coordinator_call_free(&all->groups[i].call);
	request_released(request);
}

static void describe_consumer_refuse(struct describe_consumer_groups *all)
{
	const struct consumer_group_describe_request *in = all->request->body;

	for (int32_t i = 0; i < in->group_ids_n; i++) {
		all->out.groups[i].group_id = in->group_ids[i];
		all->out.groups[i].error_code = err_wire(ERR_UNSUPPORTED_VERSION);
	}
	all->request->release = NULL;
	request_reply(all->request, &all->out);
}

void api_consumer_group_describe(struct request *request)
{
	const struct consumer_group_describe_request *in = request->body;
	struct describe_consumer_groups *all = ARENA_NEW(&request->arena, struct describe_consumer_groups);
	int32_t n = in->group_ids_n; /* the last answer may free `in` */

	if (!coordinator_calls_fit(request, n))
		return;
	all->request = request;
	msg_init(&consumer_group_describe_response_type, &all->out);
	all->out.groups = MSG_NEW_N(&request->arena, consumer_group_describe_response_groups, n);
	all->out.groups_n = n;
	all->groups = ARENA_NEW_N(&request->arena, struct describe_consumer_group, n);
	request->op = all;
	request->release = describe_consumer_release;
	if (n == 0 || !consumer_protocol_is_offered(request->shard)) {
		describe_consumer_refuse(all);
		return;
	}
	gather_start(&all->gather, n, describe_consumer_reply);
	for (int32_t i = 0; i < n; i++) {
		struct describe_consumer_group *group = &all->groups[i];

		group->all = all;
		group->out = &all->out.groups[i];
		group->op.decide = describe_consumer_decide;
		group->call.request = request;
		group->call.room = &all->room;
		group->call.group_id = in->group_ids[i];
		group->call.op = &group->op;
		group->call.done = describe_consumer_decided;
		coordinator_call_start(&group->call);
	}
}
