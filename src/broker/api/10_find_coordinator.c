/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FindCoordinator (key 10), versions 0-6. There are no coordinators yet: every key is refused with an error that
 * clients do not retry. It is advertised all the same, because librdkafka turns lz4 off where it is missing.
 */
#include "api.h"
#include "msg/find_coordinator.h"

enum { GROUP = 0, TRANSACTION = 1, SHARE = 2 };

/* Share coordinators came with version 6. */
static bool find_coordinator_knows(int16_t version, int8_t type)
{
	return type == GROUP || type == TRANSACTION || (type == SHARE && version >= 6);
}

void api_find_coordinator(struct request *request)
{
	const struct find_coordinator_request *in = request->body;
	bool is_known = find_coordinator_knows(request->version, in->key_type);
	const struct str message = is_known ? STR("This broker has no group or transaction coordinator yet.")
					    : STR("There is no such kind of coordinator.");
	const enum err err = is_known ? ERR_UNSUPPORTED_VERSION : ERR_INVALID_REQUEST;
	struct find_coordinator_response out;

	msg_init(&find_coordinator_response_type, &out);
	if (request->version < 4) {
		out.error_code = err_wire(err);
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
		out.coordinators[i].error_code = err_wire(err);
		out.coordinators[i].error_message = message;
	}
	request_reply(request, &out);
}
