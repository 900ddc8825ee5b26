/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UnregisterBroker (key 64), version 0: decided by the controller (controller/brokers.c).
 */
#include "api.h"
#include "controller_call.h"
#include "msg/unregister_broker.h"

static enum err unregister_broker_decide(struct controller *controller, struct controller_op *op,
					 struct controller_records *records)
{
	return controller_unregister_broker(controller, op->request, op->response, records, op->arena);
}

static void unregister_broker_fail(struct request *request UNUSED, void *response, enum err err)
{
	struct unregister_broker_response *out = response;

	msg_init(&unregister_broker_response_type, out);
	out->error_code = err_wire(err);
	out->error_message = str_of(err_text(err));
}

void api_unregister_broker(struct request *request)
{
	controller_call_run(request, sizeof(struct unregister_broker_response), unregister_broker_decide,
			    unregister_broker_fail);
}
