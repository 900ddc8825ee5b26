/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JoinGroup (key 11), versions 0-9: parked at the group's coordinator until the join phase ends. In version 0 the
 * session timeout is the rebalance timeout too.
 */
#include "api.h"
#include "conn.h"
#include "coordinator_io.h"
#include "group_classic.h"

struct join_group {
	struct request *request;
	struct coordinator_call call;
	struct classic_join join;
};

static void join_group_decided(struct coordinator_call *call)
{
	struct join_group *group = container_of(call, struct join_group, call);
	struct join_group_response *out = &group->join.out;

	if (group->join.op.err) {
		msg_init(&join_group_response_type, out);
		out->error_code = err_wire(group->join.op.err);
		out->member_id = group->join.in->member_id;
		out->leader = STR("");
	}
	/* Null only from version 7 on. */
	if (!out->protocol_name.p && group->request->version < 7)
		out->protocol_name = STR("");
	request_reply(group->request, out);
}

static void join_group_leave(struct coordinator_call *call)
{
	classic_join_leave(&container_of(call, struct join_group, call)->join);
}

static void join_group_cancel(struct request *request)
{
	coordinator_call_leave(&((struct join_group *)request->op)->call);
}

static void join_group_release(struct request *request)
{
	struct join_group *group = request->op;

	coordinator_call_free(&group->call);
	request_released(request);
}

void api_join_group(struct request *request)
{
	struct join_group_request *in = request->body;
	struct join_group *group = ARENA_NEW(&request->arena, struct join_group);
	char peer[1 + IO_ADDR_TEXT_MAX] = "/";

	if (request->version == 0)
		in->rebalance_timeout_ms = in->session_timeout_ms;
	io_addr_format(&request->conn->peer, peer + 1);
	group->request = request;
	group->join.in = in;
	group->join.version = request->version;
	group->join.client_id = request->head.client_id.p ? request->head.client_id : STR("");
	group->join.client_host = arena_str(&request->arena, str_of(peer));
	group->join.op.decide = classic_join;
	group->join.op.settled = coordinator_call_tell_state;
	group->call.request = request;
	group->call.group_id = in->group_id;
	group->call.op = &group->join.op;
	group->call.done = join_group_decided;
	request->op = group;
	request->release = join_group_release;
	request->cancel = join_group_cancel;
	group->call.leave = join_group_leave;
	coordinator_call_start(&group->call);
}
