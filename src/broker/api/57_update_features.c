/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UpdateFeatures (key 57), versions 0-2: decided by the controller (controller/update_features.c). Version 0 knows
 * only upgrades: as in Kafka its allowDowngrade is read and has no effect.
 */
#include "api.h"
#include "controller_call.h"
#include "msg/update_features.h"

static enum err update_features_decide(struct controller *controller, struct controller_op *op,
				       struct controller_records *records)
{
	return controller_update_features(controller, op->version, op->request, op->response, records, op->arena);
}

static void update_features_fail(struct request *request UNUSED, void *response, enum err err)
{
	struct update_features_response *out = response;

	msg_init(&update_features_response_type, out);
	out->error_code = err_wire(err);
	out->error_message = str_of(err_text(err));
}

void api_update_features(struct request *request)
{
	controller_call_run(request, sizeof(struct update_features_response), update_features_decide,
			    update_features_fail);
}
