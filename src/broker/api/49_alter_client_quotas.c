/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterClientQuotas (key 49), versions 0-1: decided by the controller, answered when every shard has the quotas, so
 * that the next request is measured by them.
 */
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "msg/alter_client_quotas.h"
#include "shard.h"

struct alter_client_quotas {
	struct request *request;
	struct controller_op op;
	struct alter_client_quotas_response out;
};

static enum err alter_client_quotas_decide(struct controller *controller, struct controller_op *op,
					   struct controller_records *records)
{
	return controller_alter_client_quotas(controller, op->request, op->response, records, op->arena);
}

/* Nothing was decided: every entity gets the reason. */
static void alter_client_quotas_fail(struct alter_client_quotas *alter, enum err err)
{
	const struct alter_client_quotas_request *in = alter->request->body;
	struct arena *arena = &alter->request->arena;

	msg_init(&alter_client_quotas_response_type, &alter->out);
	alter->out.entries = MSG_NEW_N(arena, alter_client_quotas_response_entries, in->entries_n);
	alter->out.entries_n = in->entries_n;
	for (int32_t i = 0; i < in->entries_n; i++) {
		struct alter_client_quotas_response_entries *out = &alter->out.entries[i];

		out->error_code = err_wire(err);
		out->error_message = err == ERR_POLICY_VIOLATION
					     ? STR("Unable to perform excessively large batch operation.")
					     : str_of(err_text(err));
		out->entity = MSG_NEW_N(arena, alter_client_quotas_response_entries_entity, in->entries[i].entity_n);
		out->entity_n = in->entries[i].entity_n;
		for (int32_t j = 0; j < out->entity_n; j++) {
			out->entity[j].entity_type = in->entries[i].entity[j].entity_type;
			out->entity[j].entity_name = in->entries[i].entity[j].entity_name;
		}
	}
}

static void alter_client_quotas_done(struct controller_op *op)
{
	struct alter_client_quotas *alter = op->ctx;

	if (op->err)
		alter_client_quotas_fail(alter, op->err);
	request_reply(alter->request, &alter->out);
}

void api_alter_client_quotas(struct request *request)
{
	struct alter_client_quotas *alter = ARENA_NEW(&request->arena, struct alter_client_quotas);

	alter->request = request;
	msg_init(&alter_client_quotas_response_type, &alter->out);
	alter->op = (struct controller_op){
		.home = request->shard->reactor,
		.arena = &request->arena,
		.request = request->body,
		.response = &alter->out,
		.version = request->version,
		.decide = alter_client_quotas_decide,
		.done = alter_client_quotas_done,
		.ctx = alter,
	};
	controller_submit(request->shard->broker, &alter->op);
}
