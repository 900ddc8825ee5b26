/* SPDX-License-Identifier: Apache-2.0 */
/* See controller_call.h. */
#include "controller_call.h"

#include "shard.h"

static void controller_call_done(struct controller_op *op)
{
	struct controller_call *call = op->ctx;

	if (op->err)
		call->fail(call->request, call->out, op->err);
	request_throttle(call->request, op->throttle_ms);
	request_reply(call->request, call->out);
}

void controller_call_run(struct request *request, size_t out_size,
			 enum err (*decide)(struct controller *controller, struct controller_op *op,
					    struct controller_records *records),
			 void (*fail)(struct request *request, void *out, enum err err))
{
	struct controller_call *call = ARENA_NEW(&request->arena, struct controller_call);

	call->request = request;
	call->out = arena_alloc(&request->arena, out_size);
	call->fail = fail;
	call->op = (struct controller_op){
		.home = request->shard->reactor,
		.arena = &request->arena,
		.request = request->body,
		.response = call->out,
		.version = request->version,
		.decide = decide,
		.done = controller_call_done,
		.ctx = call,
	};
	if (request->head.api_key == API_CREATE_PARTITIONS) { /* KIP-599 */
		call->op.client_id = request->head.client_id.p ? request->head.client_id : STR("");
		call->op.user = request_user(request);
		call->op.is_strict = request->version >= 3;
	}
	controller_submit(request->shard->broker, &call->op);
}
