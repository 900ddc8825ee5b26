/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's beginning: its defaults and its first operation, which brings a fresh log to its features and ends
 * what a crash left half done.
 */
#include <inttypes.h>

#include "broker.h"
#include "controller_settings.h"
#include "lifecycle.h"
#include "log.h"
#include "mem.h"

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

/* ---- brokers that went without a word ---- */

static enum err sessions_decide(struct controller *controller, struct controller_op *op,
				struct controller_records *records)
{
	return controller_tick(controller, records, op->arena);
}

static void sessions_done(struct controller_op *op)
{
	struct sessions_op *sessions = container_of(op, struct sessions_op, op);

	if (op->err && op->err != ERR_SHUTTING_DOWN)
		log_warn("controller.sessions", "error=%s text=\"a broker that is silent could not be fenced\"",
			 err_name(op->err));
	arena_reset(&sessions->arena);
	sessions->is_running = false;
}

/* Only others can be silent: who asks this is alive. */
static bool sessions_has_others(const struct controller_io *io)
{
	const struct broker_image *broker;

	for (int32_t id = -1; (broker = image_broker_next(io->controller.latest, id)) != NULL; id = broker->id) {
		if (broker->id != io->broker->node_id && !broker->fenced)
			return true;
	}
	return false;
}

void controller_io_check_sessions(struct controller_io *io)
{
	struct sessions_op *sessions = &io->sessions;

	if (!controller_io_is(io, CIO_LEADING) || sessions->is_running || !sessions_has_others(io))
		return;
	sessions->is_running = true;
	sessions->op = (struct controller_op){
		.home = io->reactor,
		.arena = &sessions->arena,
		.decide = sessions_decide,
		.done = sessions_done,
	};
	controller_submit(io->broker, &sessions->op);
}

void controller_io_lead(struct controller_io *io)
{
	const struct broker_config *config = &io->broker->config;
	struct controller_defaults defaults = {
		.node_id = io->broker->node_id,
		.kraft_version = io->load.kraft_version,
		.num_partitions = config->num_partitions,
		.default_replication_factor = (int16_t)config->default_replication_factor,
		.broker_session_timeout_ms = config->broker_session_timeout_ms,
		.min_insync_replicas = config->min_insync_replicas,
		.delete_topic_enable = config->delete_topic_enable,
	};

	controller_settings_set(io, &defaults);
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
