/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateAcls (key 30), versions 1-3: there is no authorizer that would keep a rule, and every rule gets that answer.
 */
#include "api.h"
#include "msg/create_acls.h"

void api_create_acls(struct request *request)
{
	const struct create_acls_request *in = request->body;
	struct create_acls_response out;

	msg_init(&create_acls_response_type, &out);
	out.results = MSG_NEW_N(&request->arena, create_acls_response_results, in->creations_n);
	out.results_n = in->creations_n;
	for (int32_t i = 0; i < in->creations_n; i++) {
		out.results[i].error_code = ERR_SECURITY_DISABLED;
		out.results[i].error_message = STR("No Authorizer is configured.");
	}
	request_reply(request, &out);
}
