/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SyncGroup (key 14), versions 0-5: parked at the group's coordinator until the leader's assignment is logged. From
 * version 5 on the member must say which protocol it believes in.
 */
#include "api.h"
#include "coordinator_io.h"
#include "group_classic.h"

struct sync_group {
	struct request *request;
	struct coordinator_call call;
	struct classic_sync sync;
};

static void sync_group_decided(struct coordinator_call *call)
{
	struct sync_group *group = container_of(call, struct sync_group, call);

	if (group->sync.op.err) {
		msg_init(&sync_group_response_type, &group->sync.out);
		group->sync.out.error_code = err_wire(group->sync.op.err);
	}
	request_reply(group->request, &group->sync.out);
}

static void sync_group_leave(struct coordinator_call *call)
{
	classic_sync_leave(&container_of(call, struct sync_group, call)->sync);
}

static void sync_group_cancel(struct request *request)
{
	coordinator_call_leave(&((struct sync_group *)request->op)->call);
}

static void sync_group_release(struct request *request)
{
	struct sync_group *group = request->op;

	coordinator_call_free(&group->call);
	request_released(request);
}

void api_sync_group(struct request *request)
{
	const struct sync_group_request *in = request->body;
	struct sync_group *group = ARENA_NEW(&request->arena, struct sync_group);

	if (request->version >= 5 && (!in->protocol_type.p || !in->protocol_name.p)) {
		msg_init(&sync_group_response_type, &group->sync.out);
		group->sync.out.error_code = err_wire(ERR_INCONSISTENT_GROUP_PROTOCOL);
		request_reply(request, &group->sync.out);
		return;
	}
	group->request = request;
	group->sync.in = in;
	group->sync.op.decide = classic_sync;
	group->call.request = request;
	group->call.group_id = in->group_id;
	group->call.op = &group->sync.op;
	group->call.done = sync_group_decided;
	request->op = group;
	request->release = sync_group_release;
	request->cancel = sync_group_cancel;
	group->call.leave = sync_group_leave;
	coordinator_call_start(&group->call);
}
