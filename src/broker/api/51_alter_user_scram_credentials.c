/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterUserScramCredentials (key 51), version 0: decided by the controller (controller/scram_credentials.c).
 */
#include "api.h"
#include "controller_call.h"
#include "msg/alter_user_scram_credentials.h"

static enum err alter_user_scram_credentials_decide(struct controller *controller, struct controller_op *op,
						    struct controller_records *records)
{
	return controller_alter_scram(controller, op->request, op->response, records, op->arena);
}

static void alter_user_scram_credentials_fail(struct request *request, void *response, enum err err)
{
	const struct alter_user_scram_credentials_request *in = request->body;
	struct alter_user_scram_credentials_response *out = response;

	msg_init(&alter_user_scram_credentials_response_type, out);
	out->results = MSG_NEW_N(&request->arena, alter_user_scram_credentials_response_results,
				 (int64_t)in->deletions_n + in->upsertions_n);
	for (int32_t i = 0; i < in->deletions_n; i++)
		out->results[out->results_n++].user = in->deletions[i].name;
	for (int32_t i = 0; i < in->upsertions_n; i++)
		out->results[out->results_n++].user = in->upsertions[i].name;
	for (int32_t i = 0; i < out->results_n; i++) {
		out->results[i].error_code = err_wire(err);
		out->results[i].error_message = str_of(err_text(err));
	}
}

void api_alter_user_scram_credentials(struct request *request)
{
	controller_call_run(request, sizeof(struct alter_user_scram_credentials_response),
			    alter_user_scram_credentials_decide, alter_user_scram_credentials_fail);
}
