/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteAcls (key 31), versions 1-3: there is no authorizer, and every filter gets that answer.
 */
#include "api.h"
#include "msg/delete_acls.h"

void api_delete_acls(struct request *request)
{
	const struct delete_acls_request *in = request->body;
	struct delete_acls_response out;

	msg_init(&delete_acls_response_type, &out);
	out.filter_results = MSG_NEW_N(&request->arena, delete_acls_response_filter_results, in->filters_n);
	out.filter_results_n = in->filters_n;
	for (int32_t i = 0; i < in->filters_n; i++) {
		out.filter_results[i].error_code = ERR_SECURITY_DISABLED;
		out.filter_results[i].error_message = STR("No Authorizer is configured.");
	}
	request_reply(request, &out);
}
