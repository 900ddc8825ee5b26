/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterPartitionReassignments (key 45), versions 0-1: decided by the controller (controller/reassign.c).
 */
#include "api.h"
#include "controller_call.h"
#include "msg/alter_partition_reassignments.h"

static enum err alter_partition_reassignments_decide(struct controller *controller, struct controller_op *op,
						     struct controller_records *records)
{
	return controller_alter_reassignments(controller, op->request, op->response, records, op->arena);
}

static void alter_partition_reassignments_fail(struct request *request UNUSED, void *response, enum err err)
{
	struct alter_partition_reassignments_response *out = response;

	msg_init(&alter_partition_reassignments_response_type, out);
	out->error_code = err_wire(err);
	out->error_message = str_of(err_text(err));
}

void api_alter_partition_reassignments(struct request *request)
{
	controller_call_run(request, sizeof(struct alter_partition_reassignments_response),
			    alter_partition_reassignments_decide, alter_partition_reassignments_fail);
}
