/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConsumerGroupHeartbeat (key 68), versions 0-1: decided where the group is coordinated (consumer_heartbeat.h). As in
 * Kafka a cluster whose group.version is 0, or a node that does not offer the protocol, answers UNSUPPORTED_VERSION.
 */
#include "api.h"
#include "conn.h"
#include "consumer_heartbeat.h"
#include "coordinator_io.h"
#include "shard.h"

struct group_heartbeat {
	struct request *request;
	struct coordinator_call call;
	struct coord_op op;
	struct str client_id, client_host;
	struct consumer_group_heartbeat_response out;
};

static enum err group_heartbeat_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct group_heartbeat *heartbeat = container_of(op, struct group_heartbeat, op);
	struct consumer_heartbeat decide = {.store = machine,
					    .request = heartbeat->request->body,
					    .client_id = heartbeat->client_id,
					    .client_host = heartbeat->client_host,
					    .version = heartbeat->request->version,
					    .response = &heartbeat->out};

	return consumer_heartbeat_decide(&decide, records);
}

static void group_heartbeat_decided(struct coordinator_call *call)
{
	struct group_heartbeat *heartbeat = container_of(call, struct group_heartbeat, call);
	struct consumer_group_heartbeat_response *out = &heartbeat->out;

	/* What was decided did not come into the log: nothing of it is told. */
	if (heartbeat->op.err && !out->error_code) {
		msg_init(&consumer_group_heartbeat_response_type, out);
		out->error_code = err_wire(heartbeat->op.err);
	}
	request_reply(heartbeat->request, out);
}

static void group_heartbeat_release(struct request *request)
{
	struct group_heartbeat *heartbeat = request->op;

	coordinator_call_free(&heartbeat->call);
	request_released(request);
}

bool consumer_protocol_is_offered(const struct shard *shard)
{
	const struct str_list *protocols = &shard->config->group_coordinator_rebalance_protocols;

	if (image_feature(shard->image, STR("group.version")) < 1)
		return false;
	for (size_t i = 0; i < protocols->n; i++) {
		if (str_eq_c(protocols->v[i], "consumer"))
			return true;
	}
	return false;
}

void api_consumer_group_heartbeat(struct request *request)
{
	const struct consumer_group_heartbeat_request *in = request->body;
	struct group_heartbeat *heartbeat = ARENA_NEW(&request->arena, struct group_heartbeat);
	char peer[1 + IO_ADDR_TEXT_MAX] = "/";

	msg_init(&consumer_group_heartbeat_response_type, &heartbeat->out);
	if (!consumer_protocol_is_offered(request->shard)) {
		heartbeat->out.error_code = err_wire(ERR_UNSUPPORTED_VERSION);
		request_reply(request, &heartbeat->out);
		return;
	}
	io_addr_format(&request->conn->peer, peer + 1);
	heartbeat->request = request;
	heartbeat->client_id = request->head.client_id.p ? request->head.client_id : STR("");
	heartbeat->client_host = arena_str(&request->arena, str_of(peer));
	heartbeat->op.decide = group_heartbeat_decide;
	heartbeat->op.settled = coordinator_call_tell_state;
	heartbeat->call.request = request;
	heartbeat->call.group_id = in->group_id;
	heartbeat->call.op = &heartbeat->op;
	heartbeat->call.done = group_heartbeat_decided;
	request->op = heartbeat;
	request->release = group_heartbeat_release;
	coordinator_call_start(&heartbeat->call);
}
