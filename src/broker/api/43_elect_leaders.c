/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ElectLeaders (key 43), versions 0-2: preferred (all that version 0 knows) and unclean elections, decided by the
 * controller (controller/elect_leaders.c).
 */
#include "api.h"
#include "controller_call.h"
#include "msg/elect_leaders.h"

static enum err elect_leaders_decide(struct controller *controller, struct controller_op *op,
				     struct controller_records *records)
{
	return controller_elect_leaders(controller, op->request, op->response, records, op->arena);
}

static void elect_leaders_fail(struct request *request, void *response, enum err err)
{
	const struct elect_leaders_request *in = request->body;
	struct elect_leaders_response *out = response;
	int32_t n = MAX(in->topic_partitions_n, 0);

	msg_init(&elect_leaders_response_type, out);
	if (request->version >= 1)
		out->error_code = err_wire(err);
	out->replica_election_results = MSG_NEW_N(&request->arena, elect_leaders_response_replica_election_results, n);
	out->replica_election_results_n = n;
	for (int32_t i = 0; i < n; i++) {
		struct elect_leaders_response_replica_election_results *topic = &out->replica_election_results[i];
		int32_t partitions_n = in->topic_partitions[i].partitions_n;

		topic->topic = in->topic_partitions[i].topic;
		topic->partition_result = MSG_NEW_N(&request->arena,
						    elect_leaders_response_replica_election_results_partition_result,
						    partitions_n);
		topic->partition_result_n = partitions_n;
		for (int32_t j = 0; j < partitions_n; j++) {
			topic->partition_result[j].partition_id = in->topic_partitions[i].partitions[j];
			topic->partition_result[j].error_code = err_wire(err);
			topic->partition_result[j].error_message = str_of(err_text(err));
		}
	}
}

void api_elect_leaders(struct request *request)
{
	controller_call_run(request, sizeof(struct elect_leaders_response), elect_leaders_decide, elect_leaders_fail);
}
