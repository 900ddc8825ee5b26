/* SPDX-License-Identifier: Apache-2.0 */
/* See settings_change.h. */
#include "settings_change.h"

#include "broker.h"
#include "logger_settings.h"
#include "shard.h"

static enum err settings_change_decide(struct controller *controller, struct controller_op *op,
				       struct controller_records *records)
{
	struct settings_change *change = op->ctx;

	return controller_alter_configs(controller, &change->changes, records, op->arena);
}

static void settings_change_done(struct controller_op *op)
{
	struct settings_change *change = op->ctx;

	for (int32_t i = 0; op->err && i < change->changes.n; i++) {
		struct resource_change *resource = &change->changes.v[i];

		if (resource->type == CONFIG_RESOURCE_TYPE_BROKER_LOGGER || (resource->is_done && resource->err))
			continue;
		resource->err = op->err;
		resource->message = str_of(err_text(op->err));
	}
	change->reply(change);
}

/* Levels of loggers change on the broker that is asked, and are forgotten with its process. */
static void settings_change_loggers(struct settings_change *change, struct resource_change *resource)
{
	broker_alter_loggers(resource, change->changes.validate_only, &change->request->arena);
}

void settings_change_run(struct settings_change *change)
{
	struct request *request = change->request;
	bool is_done = true;

	resource_changes_check(&change->changes, request->shard->broker->node_id,
			       rng_u64(&request->shard->reactor->rng), &request->arena);
	for (int32_t i = 0; i < change->changes.n; i++) {
		struct resource_change *resource = &change->changes.v[i];

		if (!resource->is_done && resource->type == CONFIG_RESOURCE_TYPE_BROKER_LOGGER)
			settings_change_loggers(change, resource);
		is_done &= resource->is_done;
	}
	if (is_done) {
		change->reply(change);
		return;
	}
	change->op = (struct controller_op){
		.home = request->shard->reactor,
		.arena = &request->arena,
		.decide = settings_change_decide,
		.done = settings_change_done,
		.ctx = change,
	};
	controller_submit(request->shard->broker, &change->op);
}
