/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LeaveGroup (key 13), versions 0-5. Before version 3 one member leaves, and its error is the answer's; from then on
 * many may, and an administrator removes static members by their instance id alone.
 */
#include "api.h"
#include "coordinator_io.h"
#include "group_classic.h"

struct leave_group {
	struct request *request;
	struct coordinator_call call;
	struct classic_leave leave;
	struct leave_group_request in;
};

static void leave_group_decided(struct coordinator_call *call)
{
	struct leave_group *group = container_of(call, struct leave_group, call);
	struct leave_group_response *out = &group->leave.out;

	if (group->leave.op.err) {
		msg_init(&leave_group_response_type, out);
		out->error_code = err_wire(group->leave.op.err);
	}
	if (group->request->version < 3) {
		if (!out->error_code && out->members_n > 0)
			out->error_code = out->members[0].error_code;
		out->members = NULL;
		out->members_n = 0;
	}
	request_reply(group->request, out);
}

static void leave_group_release(struct request *request)
{
	struct leave_group *group = request->op;

	coordinator_call_free(&group->call);
	request_released(request);
}

void api_leave_group(struct request *request)
{
	struct leave_group *group = ARENA_NEW(&request->arena, struct leave_group);

	group->request = request;
	group->in = *(const struct leave_group_request *)request->body;
	if (request->version < 3) {
		group->in.members = MSG_NEW(&request->arena, leave_group_request_members);
		group->in.members_n = 1;
		group->in.members[0].member_id = group->in.member_id;
	}
	group->leave.in = &group->in;
	group->leave.op.decide = classic_leave;
	group->leave.op.settled = coordinator_call_tell_state;
	group->call.request = request;
	group->call.group_id = group->in.group_id;
	group->call.op = &group->leave.op;
	group->call.done = leave_group_decided;
	request->op = group;
	request->release = leave_group_release;
	coordinator_call_start(&group->call);
}
