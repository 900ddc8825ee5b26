/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FindCoordinator (key 10), versions 0-6. There are no coordinators yet: every key is refused with an error that clients
 * do not retry. It is advertised all the same, because librdkafka turns lz4 off where it is missing.
 */
#include "api.h"
#include "msg/find_coordinator.h"

void api_find_coordinator(struct request *request)
{
	const struct str message = STR("This broker has no group or transaction coordinator yet.");
	const struct find_coordinator_request *in = request->body;
	struct find_coordinator_response out;

	msg_init(&find_coordinator_response_type, &out);
	if (request->version < 4) {
		out.error_code = ERR_UNSUPPORTED_VERSION;
		out.node_id = -1;
		out.port = -1;
		out.host = STR("");
		if (request->version >= 1)
			out.error_message = message;
		request_reply(request, &out);
		return;
	}
	out.coordinators = MSG_NEW_N(&request->arena, find_coordinator_response_coordinators, in->coordinator_keys_n);
	out.coordinators_n = in->coordinator_keys_n;
	for (int32_t i = 0; i < in->coordinator_keys_n; i++) {
		out.coordinators[i].key = in->coordinator_keys[i];
		out.coordinators[i].node_id = -1;
		out.coordinators[i].host = STR("");
		out.coordinators[i].port = -1;
		out.coordinators[i].error_code = ERR_UNSUPPORTED_VERSION;
		out.coordinators[i].error_message = message;
	}
	request_reply(request, &out);
}
