/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's beginning: its defaults, what it asks of the settings, and its first operation, which brings a
 * fresh log to its features and ends what a crash left half done.
 */
#include <inttypes.h>

#include "broker.h"
#include "controller_io_internal.h"
#include "lifecycle.h"
#include "log.h"
#include "mem.h"
#include "topic_describe.h"

static enum err controller_io_check_configs(void *ctx, const struct controller_config *configs, size_t n,
					    struct err_text *text)
{
	struct controller_io *io = ctx;
	struct config_entry *entries = mem_calloc(n + 1, sizeof(*entries));
	struct topic_config base;
	enum err err;

	for (size_t i = 0; i < n; i++)
		entries[i] = (struct config_entry){configs[i].name, configs[i].value};
	topic_settings_base(io->broker, io->controller.latest, &base);
	err = topic_config_check(&base, (struct config_layer){entries, n}, text);
	mem_free(entries);
	return err;
}

static void controller_io_effective_configs(void *ctx, const struct controller_config *configs, size_t n,
					    struct arena *arena, struct create_topics_response_topics_configs **ret,
					    int32_t *ret_n)
{
	struct controller_io *io = ctx;
	struct config_entry *entries = ARENA_NEW_N(arena, struct config_entry, n);

	for (size_t i = 0; i < n; i++)
		entries[i] = (struct config_entry){configs[i].name, configs[i].value};
	topic_describe_new(io->broker, io->controller.latest, (struct config_layer){entries, n}, arena, ret, ret_n);
}

static enum err bootstrap_decide(struct controller *controller, struct controller_op *op,
				 struct controller_records *records)
{
	struct bootstrap_op *bootstrap = container_of(op, struct bootstrap_op, op);

	return controller_bootstrap(controller, &bootstrap->records, records, op->arena);
}

void controller_bootstrap_deinit(struct bootstrap_op *bootstrap)
{
	arena_reset(&bootstrap->arena);
	vec_deinit(&bootstrap->records.values);
}

static void bootstrap_done(struct controller_op *op)
{
	struct controller_io *io = op->ctx;

	if (op->err && op->err != ERR_SHUTTING_DOWN) {
		log_warn("controller.bootstrap", "error=%s text=\"the features could not be written; tried again\"",
			 err_name(op->err));
		io->bootstrap_again = true;
	}
	controller_bootstrap_deinit(&io->bootstrap);
}

/* Brings a fresh log to its features, ends what a crash left half done. */
void controller_io_bootstrap(struct controller_io *io)
{
	struct bootstrap_op *bootstrap = &io->bootstrap;

	for (size_t i = 0; i < io->load.bootstrap.n; i++)
		vec_push(&bootstrap->records.values, io->load.bootstrap.v[i]);
	bootstrap->op.home = io->reactor;
	bootstrap->op.arena = &bootstrap->arena;
	bootstrap->op.decide = bootstrap_decide;
	bootstrap->op.done = bootstrap_done;
	bootstrap->op.ctx = io;
	list_push_front(&io->queued, &bootstrap->op.link);
}

void controller_io_lead(struct controller_io *io)
{
	const struct broker_config *config = &io->broker->config;
	struct controller_defaults defaults = {
		.num_partitions = config->num_partitions,
		.default_replication_factor = (int16_t)config->default_replication_factor,
		.broker_session_timeout_ms = config->broker_session_timeout_ms,
		.min_insync_replicas = config->min_insync_replicas,
		.delete_topic_enable = config->delete_topic_enable,
		.check_configs = controller_io_check_configs,
		.effective_configs = controller_io_effective_configs,
		.config_ctx = io,
	};

	log_info("controller.leader", "epoch=%d offset=%" PRId64, io->raft.epoch, io->log->end);
	controller_init(&io->controller, &defaults, &io->reactor->rng, image_ref(io->load.image));
	io->has_controller = true;
	io->decided_end = io->log->end;
	io->snapshot_last_offset = MAX(io->load.snapshot_offset, 0);
	io->snapshot_last_ns = io->reactor->now_ns;
	controller_io_move(io, CIO_LEADING);
	controller_io_bootstrap(io);
	lifecycle_controller_leads(io->broker);
	controller_io_run_later(io);
}
