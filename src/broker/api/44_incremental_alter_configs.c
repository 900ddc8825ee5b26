/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IncrementalAlterConfigs (key 44), versions 0-1: sets, deletes, appends to or subtracts from single settings of
 * topics, brokers, groups and client metrics (controller/config_changes.h).
 */
#include "api.h"
#include "msg/incremental_alter_configs.h"
#include "settings_change.h"

static void incremental_alter_configs_reply(struct settings_change *change)
{
	struct incremental_alter_configs_response out;

	msg_init(&incremental_alter_configs_response_type, &out);
	out.responses = MSG_NEW_N(&change->request->arena, incremental_alter_configs_response_responses,
				  change->changes.n);
	out.responses_n = change->changes.n;
	for (int32_t i = 0; i < change->changes.n; i++) {
		const struct resource_change *resource = &change->changes.v[i];

		out.responses[i].error_code = err_wire(resource->err);
		out.responses[i].error_message = resource->message;
		out.responses[i].resource_type = resource->type;
		out.responses[i].resource_name = resource->name;
	}
	request_reply(change->request, &out);
}

void api_incremental_alter_configs(struct request *request)
{
	const struct incremental_alter_configs_request *in = request->body;
	struct settings_change *change = ARENA_NEW(&request->arena, struct settings_change);

	change->request = request;
	change->reply = incremental_alter_configs_reply;
	change->changes.v = ARENA_NEW_N(&request->arena, struct resource_change, in->resources_n);
	change->changes.n = in->resources_n;
	change->changes.replaces = false;
	change->changes.validate_only = in->validate_only;
	for (int32_t i = 0; i < in->resources_n; i++) {
		const struct incremental_alter_configs_request_resources *from = &in->resources[i];
		struct config_change *to = ARENA_NEW_N(&request->arena, struct config_change, from->configs_n);

		change->changes.v[i] = (struct resource_change){
			.type = from->resource_type,
			.name = from->resource_name,
			.changes = to,
			.changes_n = from->configs_n,
		};
		for (int32_t j = 0; j < from->configs_n; j++) {
			to[j].name = from->configs[j].name;
			to[j].op = from->configs[j].config_operation;
			to[j].value = from->configs[j].value;
		}
	}
	settings_change_run(change);
}
