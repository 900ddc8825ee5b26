/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeAcls (key 29), versions 1-3: there is no authorizer, and that is the answer.
 */
#include "api.h"
#include "msg/describe_acls.h"

void api_describe_acls(struct request *request)
{
	struct describe_acls_response out;

	msg_init(&describe_acls_response_type, &out);
	out.error_code = ERR_SECURITY_DISABLED;
	out.error_message = STR("No Authorizer is configured on the broker");
	request_reply(request, &out);
}
