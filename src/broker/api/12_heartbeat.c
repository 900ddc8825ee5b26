/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heartbeat (key 12), versions 0-4. As in Kafka a coordinator that is still loading answers that all is well: the
 * member has nothing to do but to go on.
 */
#include "api.h"
#include "coordinator_io.h"
#include "group_classic.h"

struct heartbeat {
	struct request *request;
	struct coordinator_call call;
	struct classic_heartbeat beat;
};

static void heartbeat_decided(struct coordinator_call *call)
{
	struct heartbeat *heartbeat = container_of(call, struct heartbeat, call);
	enum err err = heartbeat->beat.op.err;

	if (err) {
		msg_init(&heartbeat_response_type, &heartbeat->beat.out);
		heartbeat->beat.out.error_code = err_wire(err == ERR_COORDINATOR_LOAD_IN_PROGRESS ? ERR_NONE : err);
	}
	coordinator_call_free(call);
	request_reply(heartbeat->request, &heartbeat->beat.out);
}

void api_heartbeat(struct request *request)
{
	const struct heartbeat_request *in = request->body;
	struct heartbeat *heartbeat = ARENA_NEW(&request->arena, struct heartbeat);

	heartbeat->request = request;
	heartbeat->beat.in = in;
	heartbeat->beat.op.decide = classic_heartbeat;
	heartbeat->call.request = request;
	heartbeat->call.group_id = in->group_id;
	heartbeat->call.op = &heartbeat->beat.op;
	heartbeat->call.done = heartbeat_decided;
	coordinator_call_start(&heartbeat->call);
}
