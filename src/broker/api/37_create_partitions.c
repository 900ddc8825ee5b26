/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreatePartitions (key 37), versions 0-3: decided by the controller (controller/create_partitions.c), answered when
 * every shard has the partitions. Producers go on meanwhile: partitions that exist are not touched.
 */
#include "api.h"
#include "controller_call.h"
#include "msg/create_partitions.h"

static enum err create_partitions_decide(struct controller *controller, struct controller_op *op,
					 struct controller_records *records)
{
	return controller_create_partitions(controller, op->request, op->response, records, op->arena);
}

static void create_partitions_fail(struct request *request, void *response, enum err err)
{
	const struct create_partitions_request *in = request->body;
	struct create_partitions_response *out = response;

	msg_init(&create_partitions_response_type, out);
	out->results = MSG_NEW_N(&request->arena, create_partitions_response_results, in->topics_n);
	out->results_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		out->results[i].name = in->topics[i].name;
		out->results[i].error_code = err_wire(err);
		out->results[i].error_message = str_of(err_text(err));
	}
}

void api_create_partitions(struct request *request)
{
	controller_call_run(request, sizeof(struct create_partitions_response), create_partitions_decide,
			    create_partitions_fail);
}
