/* SPDX-License-Identifier: Apache-2.0 */
/* See telemetry_call.h. */
#include "telemetry_call.h"

#include "broker.h"

static void telemetry_call_returns(struct reactor *reactor, struct msg *msg)
{
	struct telemetry_call *call = container_of(msg, struct telemetry_call, msg);

	call->done(call);
}

static void telemetry_call_arrives(struct reactor *reactor, struct msg *msg)
{
	struct telemetry_call *call = container_of(msg, struct telemetry_call, msg);

	call->owner = reactor->shard->telemetry;
	call->run(call);
	call->msg.handle = telemetry_call_returns;
	reactor_send(reactor, call->request->shard->reactor, &call->msg);
}

/* "name version", as ApiVersions left it. */
static void telemetry_call_software(struct telemetry_call *call, struct str software)
{
	const char *blank = software.len ? memchr(software.p, ' ', software.len) : NULL;

	call->source.software_name = call->source.software_version = STR("unknown");
	if (!blank)
		return;
	call->source.software_name = (struct str){software.p, (size_t)(blank - software.p)};
	call->source.software_version = (struct str){blank + 1, software.len - (size_t)(blank + 1 - software.p)};
}

void telemetry_call_run(struct request *request, struct uuid instance_id, void (*run)(struct telemetry_call *call),
			void (*done)(struct telemetry_call *call))
{
	struct telemetry_call *call = ARENA_NEW(&request->arena, struct telemetry_call);
	struct shard *owner = telemetry_owner(request->shard, instance_id);

	call->request = request;
	call->run = run;
	call->done = done;
	io_addr_format(&request->conn->peer, call->address);
	call->source.instance_id = instance_id;
	call->source.client_id = request->head.client_id.p ? request->head.client_id : STR("");
	call->source.address = str_of(call->address);
	call->source.port = request->conn->peer.port;
	telemetry_call_software(call, arena_str(&request->arena, request->conn->client_software));
	if (owner == request->shard) {
		call->owner = owner->telemetry;
		run(call);
		done(call);
		return;
	}
	call->msg.handle = telemetry_call_arrives;
	reactor_send(request->shard->reactor, owner->reactor, &call->msg);
}
