/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Glue of the controller: see controller_io.h for the path of an operation.
 *
 *    CLOSED --start--> OPENING (log) --> LOADING (snapshot, records) --> ELECTING --> LEADING --stop--> CLOSING
 *                          |                  |                             |            |                |
 *                          |                  |                             |            |                +--> CLOSED
 *                          +------------------+-----------------------------+------------+--> FAILED: the node stops
 *
 * The metadata log is part of shard 0's storage. A disk that is full fails the operation and leaves the log as it was;
 * any other error of the log, or a failed write of quorum-state, ends the node: without them it must not decide.
 */
#include "controller_io_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "batch_build.h"
#include "broker.h"
#include "client_quota.h"
#include "lifecycle.h"
#include "log.h"
#include "mem.h"
#include "replay.h"
#include "shard.h"
#include "topic_describe.h"

static const struct sm_state controller_io_states[] = {
	[CIO_CLOSED] = {"closed", SM_TO(CIO_OPENING)},
	[CIO_OPENING] = {"opening", SM_TO(CIO_LOADING) | SM_TO(CIO_CLOSING) | SM_TO(CIO_FAILED)},
	[CIO_LOADING] = {"loading", SM_TO(CIO_ELECTING) | SM_TO(CIO_CLOSING) | SM_TO(CIO_FAILED)},
	[CIO_ELECTING] = {"electing", SM_TO(CIO_LEADING) | SM_TO(CIO_CLOSING) | SM_TO(CIO_FAILED)},
	[CIO_LEADING] = {"leading", SM_TO(CIO_CLOSING) | SM_TO(CIO_FAILED)},
	[CIO_CLOSING] = {"closing", SM_TO(CIO_CLOSED) | SM_TO(CIO_FAILED)},
	[CIO_FAILED] = {"failed", SM_TO(CIO_CLOSED)},
};

static const struct sm_def controller_io_def = {"controller_io", controller_io_states, ARRAY_N(controller_io_states)};

#define CONTROLLER_TICK_NS (500 * NS_PER_MS)

void controller_io_move(struct controller_io *io, int state)
{
	sm_move(&io->state, state, METADATA_LOG_NAME);
}

bool controller_io_is(const struct controller_io *io, enum controller_io_state state)
{
	return io->state.state == (int)state;
}

void controller_io_fail(struct controller_io *io, enum err err, const char *what)
{
	if (controller_io_is(io, CIO_FAILED) || controller_io_is(io, CIO_CLOSED))
		return;
	controller_io_move(io, CIO_FAILED);
	log_error("controller.failed", "code=ML1065 error=%s text=\"%s\"", err_name(err), what);
	broker_fail(io->broker, err, what);
}

/* ---- raft's actions ---- */

static void quorum_saved(struct io_op *op)
{
	struct quorum_save *save = container_of(op, struct quorum_save, op);
	struct controller_io *io = container_of(save, struct controller_io, quorum_save);

	arena_reset(&io->quorum_arena);
	if (op->err) {
		controller_io_fail(io, op->err, "quorum-state cannot be written");
		return;
	}
	raft_persisted(&io->raft);
	controller_io_run_later(io);
}

static void raft_action_persist(struct controller_io *io, const struct raft_action *action)
{
	struct quorum_save *save = &io->quorum_save;

	save->dir = io->broker->dirs[io->broker->metadata_dir].path;
	save->content = quorum_state_encode(action->state, &io->quorum_arena);
	save->op.kind = IO_WORK;
	save->op.work.run = quorum_save_run;
	save->op.done = quorum_saved;
	io_submit(io->reactor->io, &save->op);
}

static void controller_io_appended(struct controller_io *io)
{
	raft_appended(&io->raft, io->log->end);
	if (!io->metrics.commit_began_ns)
		io->metrics.commit_began_ns = io->reactor->now_ns;
}

static void raft_action_append(struct controller_io *io, const struct raft_action *action)
{
	struct scratch batch = {0};
	enum err err = scratch_append(&batch, action->batch.p, action->batch.len);

	CHECK_OP(err, ==, ERR_NONE);
	err = controller_log_append(io, &batch, action->epoch);
	if (err) {
		controller_io_fail(io, err, "the metadata log cannot be written");
		return;
	}
	controller_io_appended(io);
	io->decided_end = io->log->end;
}

static void raft_action_commit(struct controller_io *io, int64_t offset)
{
	struct metrics_controller *metrics = &io->metrics;
	struct image *image;

	if (metrics->commit_began_ns) {
		hist_add(&metrics->times[CONTROLLER_COMMIT], io->reactor->now_ns - metrics->commit_began_ns);
		metrics->commit_began_ns = offset < io->log->end ? io->reactor->now_ns : 0;
	}
	if (!io->has_controller)
		return;
	controller_committed(&io->controller, offset, &image);
	controller_io_publish(io);
	controller_io_snapshot(io);
}

static void controller_io_raft(struct controller_io *io)
{
	for (;;) {
		struct raft_action action;

		/* A stop may overtake an election: who closes the log neither leads nor writes any more. */
		if (!io->has_raft || controller_io_is(io, CIO_FAILED) || controller_io_is(io, CIO_CLOSING) ||
		    io->quorum_save.op.is_under_way)
			return;
		action = raft_next(&io->raft);
		switch (action.kind) {
		case RAFT_NO_ACTION:
			return;
		case RAFT_PERSIST:
			raft_action_persist(io, &action);
			return; /* resumed by quorum_saved */
		case RAFT_APPEND:
			raft_action_append(io, &action);
			break;
		case RAFT_BECAME_LEADER:
			hist_add(&io->metrics.times[CONTROLLER_ELECTION],
				 io->reactor->now_ns - io->metrics.election_began_ns);
			controller_io_lead(io);
			break;
		case RAFT_COMMIT:
			raft_action_commit(io, action.offset);
			break;
		default:
			UNREACHABLE();
		}
	}
}

/* ---- operations ---- */

static enum err controller_io_batch(struct controller_io *io, const struct controller_records *records,
				    struct scratch *ret)
{
	struct batch_spec spec = BATCH_SPEC_INIT;
	struct batch_builder builder;
	struct bytes batch;
	enum err err = batch_builder_init(&builder, &spec, ret, NULL);

	for (size_t i = 0; !err && i < records->values.n; i++) {
		struct record_fields fields = {.value = records->values.v[i]};

		err = batch_builder_add(&builder, io->reactor->wall_ms, &fields);
	}
	return err ? err : batch_builder_finish(&builder, &batch);
}

/* Logs what an operation decided. */
static enum err controller_io_log(struct controller_io *io, struct controller_op *op,
				  const struct controller_records *records)
{
	struct err_text text = {{0}};
	struct scratch batch = {0};
	enum err err;

	op->first_offset = io->log->end;
	err = controller_io_batch(io, records, &batch);
	if (!err)
		err = controller_log_append(io, &batch, io->raft.epoch);
	scratch_deinit(&batch);
	if (err)
		return err;
	controller_io_appended(io);
	err = controller_logged(&io->controller, records, io->log->end, io->raft.epoch, &text);
	if (err) /* we logged what we cannot replay: a mistake of ours that must not spread */
		log_error("controller.replay", "error=%s text=\"%s\"", err_name(err), text.text);
	CHECK_OP(err, ==, ERR_NONE);
	return ERR_NONE;
}

/* Decides, within what the client may change. */
static void controller_io_decide_within(struct controller_io *io, struct controller_op *op,
					struct controller_records *records)
{
	struct shard *shard = &io->broker->shards[0];
	struct mutation_budget budget;

	if (op->client_id.p && shard->quotas)
		io->controller.mutation = client_quota_mutation_begin(shard, op->user, op->client_id, op->is_strict,
								      &budget);
	op->err = op->decide(&io->controller, op, records);
	if (io->controller.mutation)
		op->throttle_ms = client_quota_mutation_done(shard, op->user, op->client_id, &budget);
	io->controller.mutation = NULL;
}

static void controller_io_decide(struct controller_io *io, struct controller_op *op)
{
	struct controller_records records = {0};
	int64_t began_ns = metrics_clock(&io->broker->shards[0]);

	hist_add(&io->metrics.times[CONTROLLER_QUEUE], began_ns - op->queued_ns);
	op->first_offset = -1;
	io->controller.now_ms = io->reactor->wall_ms;
	controller_io_decide_within(io, op, &records);
	if (!op->err && records.values.n > 0)
		op->err = controller_io_log(io, op, &records);
	vec_deinit(&records.values);
	io->decided_end = io->log->end;
	op->end_offset = io->decided_end;
	if (op->is_barrier && op->first_offset >= 0 && !op->err)
		io->barrier_offset = op->end_offset;
	hist_add(&io->metrics.times[CONTROLLER_PROCESSING], metrics_clock(&io->broker->shards[0]) - began_ns);
	list_push_back(&io->pending, &op->link);
}

static void controller_io_refuse_queued(struct controller_io *io, enum err err)
{
	while (!list_is_empty(&io->queued)) {
		struct controller_op *op = list_entry(list_pop_front(&io->queued), struct controller_op, link);

		op->err = err;
		controller_io_answer_op(io, op);
	}
}

static void controller_io_run(struct deferred *deferred)
{
	struct controller_io *io = container_of(deferred, struct controller_io, run);

	controller_io_raft(io);
	if (controller_io_is(io, CIO_FAILED) || controller_io_is(io, CIO_CLOSING)) {
		controller_io_refuse_queued(io, ERR_SHUTTING_DOWN);
		if (controller_io_is(io, CIO_CLOSING))
			controller_io_stop(io->broker);
		return;
	}
	while (controller_io_is(io, CIO_LEADING) && !list_is_empty(&io->queued) &&
	       io->applied_offset >= io->barrier_offset)
		controller_io_decide(io, list_entry(list_pop_front(&io->queued), struct controller_op, link));
	controller_io_raft(io);
	controller_io_answer(io);
}

void controller_io_run_later(struct controller_io *io)
{
	reactor_defer(io->reactor, &io->run, controller_io_run);
}

static void controller_op_arrives(struct reactor *reactor, struct msg *msg)
{
	struct controller_op *op = container_of(msg, struct controller_op, msg);
	struct controller_io *io = reactor->shard->broker->controller;

	op->queued_ns = reactor->now_ns;
	list_push_back(&io->queued, &op->link);
	controller_io_run_later(io);
}

void controller_submit(struct broker *broker, struct controller_op *op)
{
	op->link = (struct list){0};
	op->err = ERR_NONE;
	if (op->home->index == 0) {
		op->queued_ns = op->home->now_ns;
		list_push_back(&broker->controller->queued, &op->link);
		controller_io_run_later(broker->controller);
		return;
	}
	op->msg.handle = controller_op_arrives;
	reactor_send(op->home, broker->shards[0].reactor, &op->msg);
}

/* ---- start and stop ---- */

static void controller_io_tick(struct timer *timer)
{
	struct controller_io *io = container_of(timer, struct controller_io, tick);

	if (io->has_raft)
		raft_tick(&io->raft, io->reactor->wall_ms);
	if (io->has_controller && !controller_io_is(io, CIO_CLOSING))
		controller_io_snapshot(io);
	if (io->bootstrap_again && controller_io_is(io, CIO_LEADING)) {
		io->bootstrap_again = false;
		controller_io_bootstrap(io);
	}
	controller_io_check_sessions(io);
	controller_io_run_later(io);
	reactor_timer(io->reactor, &io->tick, CONTROLLER_TICK_NS, controller_io_tick);
}

/* Voters of controller.quorum.voters, for a log whose quorum is static (kraft.version 0). */
static void controller_io_static_voters(const struct broker *broker, struct raft_voters *ret)
{
	const struct voter_list *voters = &broker->config.eff.voters;

	for (size_t i = 0; i < voters->n; i++) {
		struct raft_voter voter = {.id = voters->v[i].id};

		vec_push(&ret->voters, voter);
	}
}

/* Says what the metadata holds that this build keeps without acting on it. */
static void controller_io_say_kept(const struct image *image)
{
	static const struct {
		int16_t type;
		const char *what;
	} kept[] = {{18, "access rules"}, {11, "SCRAM credentials"}, {10, "delegation tokens"}, {14, "client quotas"}};

	for (size_t i = 0; i < ARRAY_N(kept); i++) {
		int32_t n = image_kept_n(image, kept[i].type);

		if (n > 0)
			log_warn("metadata.kept",
				 "code=ML1067 n=%d what=\"%s\" text=\"kept as they are, not acted on yet\"", n,
				 kept[i].what);
	}
}

/* Partitions in a node whose metadata is empty: not to be put aside as unknown, the metadata is what is wrong. */
static bool controller_io_has_partitions(const struct broker *broker, struct err_text *text)
{
	const struct found_partition *found;
	uint32_t it = 0;

	while ((found = map_next(&broker->found.by_name, &it)) != NULL) {
		if (str_eq_c(found->name, METADATA_LOG_NAME))
			continue;
		err_text_set(text, ERR_CORRUPT_FILE,
			     "the metadata log in %s is empty, but %s holds partitions, %.*s for one. Put the "
			     "directory with the metadata of this node back", broker->dirs[broker->metadata_dir].path,
			     broker->dirs[found->dir].path, STR_ARGS(found->name));
		return true;
	}
	return false;
}

static void controller_io_loaded(struct io_op *op)
{
	struct metadata_load *load = container_of(op, struct metadata_load, op);
	struct controller_io *io = container_of(load, struct controller_io, load);
	struct broker *broker = io->broker;
	struct err_text text = {{0}};
	struct raft_init init = {
		.node_id = broker->node_id,
		.directory_id = broker->dirs[broker->metadata_dir].meta.directory_id,
		.kraft_version = load->kraft_version,
		.voters = &load->voters,
		.voters_in_log = load->voters_in_log,
		.persisted = load->has_quorum ? &load->quorum : NULL,
		.log_end_offset = io->log->end,
		.log_last_epoch = load->log_last_epoch,
		.now_ms = io->reactor->wall_ms,
	};

	io->load_running = false;
	if (controller_io_is(io, CIO_CLOSING)) {
		controller_io_run_later(io);
		return;
	}
	if (op->err) {
		controller_io_fail(io, op->err, load->text.text[0] ? load->text.text : err_text(op->err));
		return;
	}
	if (io->log->end == 0 && controller_io_has_partitions(broker, &text)) {
		controller_io_fail(io, ERR_CORRUPT_FILE, text.text);
		return;
	}
	if (!load->has_voters)
		controller_io_static_voters(broker, &load->voters);
	if (raft_init(&io->raft, &init, &text)) {
		controller_io_fail(io, ERR_NOT_SUPPORTED, text.text);
		return;
	}
	io->has_raft = true;
	log_info("metadata.loaded", "topics=%d partitions=%" PRId64 " offset=%" PRId64 " snapshot=%" PRId64,
		 load->image->topics_n, load->image->partitions_n, load->image->offset, load->snapshot_offset);
	controller_io_say_kept(load->image);
	io->metrics.election_began_ns = io->reactor->now_ns;
	controller_io_move(io, CIO_ELECTING);
	controller_io_run_later(io);
}

static void metadata_log_opened(struct part_log *log)
{
	struct controller_io *io = log->ctx;

	if (log->state == PART_LOG_FAILED) {
		controller_io_fail(io, log->failure, "the metadata log cannot be opened");
		return;
	}
	if (log->state != PART_LOG_OPEN || !controller_io_is(io, CIO_OPENING))
		return;
	log->advanced = controller_log_advanced;
	controller_io_move(io, CIO_LOADING);
	io->load_running = true;
	io->load.dir = io->broker->dirs[io->broker->metadata_dir].path;
	io->load.log_end_offset = log->end;
	io->load.cleans = true;
	io->load.op.kind = IO_WORK;
	io->load.op.work.run = metadata_load_run;
	io->load.op.done = controller_io_loaded;
	io_submit(io->reactor->io, &io->load.op);
}

enum err controller_io_open(struct broker *broker, struct err_text *text)
{
	struct controller_io *io = MEM_NEW(struct controller_io);

	broker->controller = io;
	io->broker = broker;
	io->reactor = broker->shards[0].reactor;
	sm_init(&io->state, &controller_io_def, CIO_CLOSED);
	list_init(&io->queued);
	list_init(&io->pending);
	io->updates = mem_calloc((size_t)broker->shards_n, sizeof(*io->updates));
	/* Until the log has been read every shard has an image of nothing. */
	io->published = image_new_empty();
	for (int i = 0; i < broker->shards_n; i++)
		broker->shards[i].image = io->published;
	return ERR_NONE;
}

void controller_io_start(struct broker *broker)
{
	struct controller_io *io = broker->controller;
	const struct broker_config *config = &broker->config;
	struct log_config log_config = {
		.segment_bytes = config->metadata_log_segment_bytes,
		.segment_ms = config->metadata_log_segment_ms,
		.index_interval_bytes = 4096,
		.index_bytes = 10 << 20,
		.flush_messages = INT64_MAX,
		.flush_ms = INT64_MAX,
		.file_delete_delay_ms = config->log_segment_delete_delay_ms,
		.is_synced = true,
		.is_strict = true,
	};
	struct storage *storage = &broker->shards[0].storage;

	io->log = part_log_new(storage, &storage->dirs[broker->metadata_dir], STR(METADATA_LOG_NAME),
			       UUID_METADATA_TOPIC, &log_config);
	io->log->ctx = io;
	io->log->advanced = metadata_log_opened;
	controller_io_move(io, CIO_OPENING);
	part_log_open(io->log, broker->metadata_recovery_point, -1);
	reactor_timer(io->reactor, &io->tick, CONTROLLER_TICK_NS, controller_io_tick);
}

/* Called again whenever something it waits for has ended. */
void controller_io_stop(struct broker *broker)
{
	struct controller_io *io = broker->controller;

	if (!controller_io_is(io, CIO_CLOSING) && !controller_io_is(io, CIO_FAILED))
		controller_io_move(io, CIO_CLOSING);
	if (io->load_running || io->snapshot_running || io->quorum_save.op.is_under_way)
		return;
	if (io->log && io->log->state == PART_LOG_OPEN)
		part_log_close(io->log);
}

bool controller_io_is_closed(const struct broker *broker)
{
	const struct controller_io *io = broker->controller;

	if (!io || !io->log)
		return true;
	return (io->log->state == PART_LOG_CLOSED || io->log->state == PART_LOG_FAILED) && !io->load_running &&
	       !io->snapshot_running && !io->quorum_save.op.is_under_way && io->updates_out == 0;
}

void controller_io_close(struct broker *broker)
{
	struct controller_io *io = broker->controller;

	if (!io)
		return;
	timer_stop(&io->reactor->timers, &io->tick);
	if (io->log)
		part_log_free(io->log);
	if (io->published)
		image_unref(io->published);
	if (io->replaced)
		image_unref(io->replaced);
	if (io->has_controller)
		controller_deinit(&io->controller);
	if (io->has_raft)
		raft_deinit(&io->raft);
	metadata_load_deinit(&io->load);
	arena_reset(&io->quorum_arena);
	controller_bootstrap_deinit(&io->bootstrap);
	arena_reset(&io->sessions.arena);
	mem_free(io->updates);
	mem_free(io);
	broker->controller = NULL;
}

int64_t controller_io_recovery_point(const struct broker *broker)
{
	const struct part_log *log = broker->controller->log;

	return log && log->state == PART_LOG_OPEN ? log->recovery_point : broker->metadata_recovery_point;
}

int64_t controller_io_log_end(const struct broker *broker)
{
	return broker->controller->log->end;
}

int16_t controller_io_kraft_version(const struct broker *broker)
{
	return broker->controller->load.kraft_version;
}

void controller_io_quorum(const struct broker *broker, struct quorum_status *ret)
{
	const struct controller_io *io = broker->controller;

	*ret = (struct quorum_status){
		.leader_id = io->raft.leader_id,
		.leader_epoch = io->raft.epoch,
		.high_watermark = io->raft.high_watermark,
		.log_end_offset = io->log->end,
		.directory_id = broker->dirs[broker->metadata_dir].meta.directory_id,
		.last_caught_up_ms = io->reactor->wall_ms,
	};
}
