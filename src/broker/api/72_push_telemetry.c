/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PushTelemetry (key 72), version 0: metrics of a client (KIP-714), checked in the original's order. They are kept for
 * the metrics page. Differs: what does not unpack or is no OpenTelemetry message is told to the client
 * (INVALID_RECORD); in Kafka that is up to the plug-in.
 */
#include "api.h"
#include "broker.h"
#include "msg/push_telemetry.h"
#include "telemetry_call.h"

static void push_telemetry_answer(struct request *request, enum err err)
{
	struct push_telemetry_response *out = MSG_NEW(&request->arena, push_telemetry_response);

	out->error_code = err_wire(err);
	request_reply(request, out);
}

static void push_telemetry_run(struct telemetry_call *call)
{
	call->err = telemetry_push(call->owner, &call->source, call->request->body);
}

static void push_telemetry_done(struct telemetry_call *call)
{
	push_telemetry_answer(call->request, call->err);
}

/* Ids that mean something else everywhere. */
static bool push_telemetry_id_is_reserved(struct uuid id)
{
	return uuid_eq(id, UUID_ZERO) || uuid_eq(id, UUID_METADATA_TOPIC);
}

void api_push_telemetry(struct request *request)
{
	const struct push_telemetry_request *in = request->body;

	if (push_telemetry_id_is_reserved(in->client_instance_id))
		push_telemetry_answer(request, ERR_INVALID_REQUEST);
	else
		telemetry_call_run(request, in->client_instance_id, push_telemetry_run, push_telemetry_done);
}
