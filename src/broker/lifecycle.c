/* SPDX-License-Identifier: Apache-2.0 */
/* See lifecycle.h. */
#include "lifecycle.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker.h"
#include "checkpointer.h"
#include "controller_io.h"
#include "disk_watch.h"
#include "feature_table.h"
#include "log.h"
#include "mem.h"
#include "msg/broker_heartbeat.h"
#include "msg/broker_registration.h"
#include "placement_dir.h"
#include "sm.h"
#include "stray.h"

enum life { LIFE_WAITING, LIFE_REGISTERING, LIFE_FENCED, LIFE_SERVING, LIFE_LEAVING, LIFE_DRAINING, LIFE_SAVING,
	    LIFE_CLOSING, LIFE_MARKING, LIFE_GONE };

#define LIFE_STOP (SM_TO(LIFE_LEAVING) | SM_TO(LIFE_DRAINING) | SM_TO(LIFE_GONE))

static const struct sm_state life_states[] = {
	[LIFE_WAITING] = {"waiting", SM_TO(LIFE_REGISTERING) | LIFE_STOP},
	[LIFE_REGISTERING] = {"registering", SM_TO(LIFE_FENCED) | LIFE_STOP},
	[LIFE_FENCED] = {"fenced", SM_TO(LIFE_SERVING) | LIFE_STOP},
	[LIFE_SERVING] = {"serving", LIFE_STOP},
	[LIFE_LEAVING] = {"leaving", SM_TO(LIFE_DRAINING) | SM_TO(LIFE_GONE)},
	[LIFE_DRAINING] = {"draining", SM_TO(LIFE_SAVING) | SM_TO(LIFE_GONE)},
	[LIFE_SAVING] = {"saving", SM_TO(LIFE_CLOSING) | SM_TO(LIFE_GONE)},
	[LIFE_CLOSING] = {"closing", SM_TO(LIFE_MARKING) | SM_TO(LIFE_GONE)},
	[LIFE_MARKING] = {"marking", SM_TO(LIFE_GONE)},
	[LIFE_GONE] = {"gone", 0},
};

static const struct sm_def life_def = {"lifecycle", life_states, ARRAY_N(life_states)};

#define STOP_POLL_NS (1 * NS_PER_MS)
#define LEAVE_TIMEOUT_NS (2 * NS_PER_S)
#define DRAIN_NS (NS_PER_S * 3 / 2) /* for requests under way when the broker stops */

/* Stopping one shard: its reactor answers when all is closed. */
struct shard_stop {
	struct msg msg;
	struct timer poll;
	int64_t drain_end_ns;
	struct lifecycle *life;
	struct shard *shard;
};

struct mark_job {
	struct io_op op;
	struct lifecycle *life;
	bool is_clean[BROKER_DIRS_MAX];
};

struct lifecycle {
	struct broker *broker;
	struct reactor *reactor;
	struct sm state;
	struct controller_op op;
	bool op_out;
	bool beat_again; /* as soon as the one under way is answered */
	struct arena arena;
	struct broker_registration_request registration;
	struct broker_registration_response registered;
	struct broker_heartbeat_request heartbeat;
	struct broker_heartbeat_response beaten;
	struct timer beat;
	struct timer leave;
	struct timer untold; /* runs while the controller does not know of a directory that failed */
	int32_t offline_sent_n; /* failed directories in the heartbeat under way */
	struct timer close_poll;
	struct shard_stop *stops;
	int stops_out;
	bool stop_asked;
	struct mark_job mark;
	struct checkpoint_wait forget;
};

static bool life_is(const struct lifecycle *life, enum life state)
{
	return life->state.state == (int)state;
}

static void life_move(struct lifecycle *life, enum life state)
{
	sm_move(&life->state, (int)state, "broker");
}

static void life_phase(struct broker *broker, enum broker_phase phase)
{
	broker->phase = phase;
	if (broker->phase_changed)
		broker->phase_changed(broker);
}

struct lifecycle *lifecycle_new(struct broker *broker)
{
	struct lifecycle *life = MEM_NEW(struct lifecycle);

	life->broker = broker;
	life->reactor = broker->shards[0].reactor;
	sm_init(&life->state, &life_def, LIFE_WAITING);
	life->stops = mem_calloc((size_t)broker->shards_n, sizeof(*life->stops));
	return life;
}

void lifecycle_free(struct lifecycle *life)
{
	if (!life)
		return;
	timer_stop(&life->reactor->timers, &life->beat);
	timer_stop(&life->reactor->timers, &life->leave);
	timer_stop(&life->reactor->timers, &life->untold);
	timer_stop(&life->reactor->timers, &life->close_poll);
	arena_reset(&life->arena);
	mem_free(life->stops);
	mem_free(life);
}

void broker_fail(struct broker *broker, enum err err, const char *what)
{
	if (broker->phase == BROKER_FAILED)
		return;
	err_text_set(&broker->failure, err, "%s (%s)", what, err_text(err));
	life_phase(broker, BROKER_FAILED);
	node_stop(broker->node);
}

/* ---- heartbeats ---- */

static void life_beat(struct lifecycle *life);

static void life_beat_fired(struct timer *timer)
{
	life_beat(container_of(timer, struct lifecycle, beat));
}

static void life_serve(struct lifecycle *life);
static void life_drain(struct lifecycle *life);

/* The controller knows of the directories that failed before the heartbeat. */
static void life_told_offline(struct lifecycle *life)
{
	const struct broker *broker = life->broker;
	int32_t n = 0;

	for (int i = 0; i < broker->data_dirs_n; i++)
		n += !broker->dirs[i].is_offline && broker->shards[0].storage.dirs[i].state == LOG_DIR_OFFLINE;
	if (n == life->offline_sent_n)
		timer_stop(&life->reactor->timers, &life->untold);
}

static void life_beaten(struct controller_op *op)
{
	struct lifecycle *life = op->ctx;
	enum err err = op->err ? op->err : (enum err)life->beaten.error_code;

	life->op_out = false;
	if (err && err != ERR_SHUTTING_DOWN)
		log_warn("broker.heartbeat", "error=%s", err_name(err));
	if (!err)
		life_told_offline(life);
	if (life_is(life, LIFE_FENCED) && !err && !life->beaten.is_fenced)
		life_serve(life);
	if (life_is(life, LIFE_LEAVING) && (err || life->beaten.should_shut_down)) {
		life_drain(life);
		return;
	}
	if (life_is(life, LIFE_FENCED) || life_is(life, LIFE_LEAVING))
		reactor_timer(life->reactor, &life->beat, 10 * NS_PER_MS, life_beat_fired);
	else if (life_is(life, LIFE_SERVING))
		reactor_timer(life->reactor, &life->beat,
			      life->beat_again ? 0 : life->broker->config.broker_heartbeat_interval_ms * NS_PER_MS,
			      life_beat_fired);
	life->beat_again = false;
}

static enum err life_heartbeat_decide(struct controller *controller, struct controller_op *op,
				      struct controller_records *records)
{
	return controller_heartbeat(controller, op->request, op->response, records, op->arena);
}

static void life_submit(struct lifecycle *life, const void *request, void *response,
			enum err (*decide)(struct controller *, struct controller_op *, struct controller_records *),
			void (*done)(struct controller_op *))
{
	life->op_out = true;
	life->op = (struct controller_op){
		.home = life->reactor,
		.arena = &life->arena,
		.request = request,
		.response = response,
		.decide = decide,
		.done = done,
		.ctx = life,
	};
	controller_submit(life->broker, &life->op);
}

/* The directories that take no new partitions. */
static void life_fill_cordoned(struct lifecycle *life)
{
	struct broker *broker = life->broker;
	struct uuid *ids = ARENA_NEW_N(&life->arena, struct uuid, broker->data_dirs_n);
	int32_t n = 0;

	for (int i = 0; i < broker->data_dirs_n; i++) {
		if (!broker->dirs[i].is_offline && placement_dir_is_cordoned(&broker->shards[0], i))
			ids[n++] = broker->dirs[i].meta.directory_id;
	}
	life->heartbeat.cordoned_log_dirs = ids;
	life->heartbeat.cordoned_log_dirs_n = n;
}

/* Those that failed since the start; what was out of order at the start is not registered at all. */
static void life_fill_offline(struct lifecycle *life)
{
	struct broker *broker = life->broker;
	struct uuid *ids = ARENA_NEW_N(&life->arena, struct uuid, broker->data_dirs_n);
	int32_t n = 0;

	for (int i = 0; i < broker->data_dirs_n; i++) {
		if (!broker->dirs[i].is_offline && broker->shards[0].storage.dirs[i].state == LOG_DIR_OFFLINE)
			ids[n++] = broker->dirs[i].meta.directory_id;
	}
	life->heartbeat.offline_log_dirs = ids;
	life->heartbeat.offline_log_dirs_n = n;
}

static void life_beat_soon(struct lifecycle *life)
{
	if (!life_is(life, LIFE_SERVING))
		return;
	life->beat_again = life->op_out;
	if (!life->op_out)
		reactor_timer(life->reactor, &life->beat, 0, life_beat_fired);
}

void lifecycle_settings_changed(struct broker *broker)
{
	life_beat_soon(broker->lifecycle);
}

static void life_untold(struct timer *timer)
{
	struct lifecycle *life = container_of(timer, struct lifecycle, untold);

	broker_fail(life->broker, ERR_REQUEST_TIMED_OUT,
		    "ML1054 A directory failed and the controller could not be told within log.dir.failure.timeout.ms");
}

void lifecycle_dir_failed(struct broker *broker, int dir)
{
	struct lifecycle *life = broker->lifecycle;
	const struct storage_dir *dirs = broker->shards[0].storage.dirs;
	char text[FS_PATH_MAX + 160];
	int left_n = 0;

	for (int i = 0; i < broker->data_dirs_n; i++)
		left_n += dirs[i].state != LOG_DIR_OFFLINE;
	if (dir == broker->metadata_dir || left_n == 0) {
		snprintf(text, sizeof(text), "ML1053 %s failed, and it %s: the node stops. Put the disk in order and "
			 "start again", broker->dirs[dir].path,
			 dir == broker->metadata_dir ? "holds the cluster's metadata" : "was the last of log.dirs");
		broker_fail(broker, ERR_DIR_OFFLINE, text);
		return;
	}
	if (life->stop_asked)
		return;
	if (!timer_is_on(&life->untold))
		reactor_timer(life->reactor, &life->untold, broker->config.log_dir_failure_timeout_ms * NS_PER_MS,
			      life_untold);
	life_beat_soon(life);
}

static void life_beat(struct lifecycle *life)
{
	const struct image *image = life->broker->shards[0].image;

	if (life->op_out)
		return;
	arena_reset(&life->arena);
	msg_init(&broker_heartbeat_request_type, &life->heartbeat);
	msg_init(&broker_heartbeat_response_type, &life->beaten);
	life->heartbeat.broker_id = life->broker->node_id;
	life->heartbeat.broker_epoch = life->broker->broker_epoch;
	life->heartbeat.current_metadata_offset = image ? image->offset - 1 : -1;
	life->heartbeat.want_fence = false;
	life->heartbeat.want_shut_down = life_is(life, LIFE_LEAVING);
	life_fill_cordoned(life);
	life_fill_offline(life);
	life->offline_sent_n = life->heartbeat.offline_log_dirs_n;
	life_submit(life, &life->heartbeat, &life->beaten, life_heartbeat_decide, life_beaten);
}

/* ---- registration ---- */

static enum err life_register_decide(struct controller *controller, struct controller_op *op,
				     struct controller_records *records)
{
	struct lifecycle *life = op->ctx;

	return controller_register_broker(controller, op->request, op->response, records, op->arena,
					  controller_io_log_end(life->broker));
}

static void life_registered(struct controller_op *op)
{
	struct lifecycle *life = op->ctx;
	enum err err = op->err ? op->err : (enum err)life->registered.error_code;

	life->op_out = false;
	if (life->stop_asked) {
		life_drain(life);
		return;
	}
	if (err) {
		broker_fail(life->broker, err, "the controller refused the registration of this broker");
		return;
	}
	life->broker->broker_epoch = life->registered.broker_epoch;
	log_info("broker.registered", "id=%d epoch=%" PRId64, life->broker->node_id, life->broker->broker_epoch);
	life_move(life, LIFE_FENCED);
	life_beat(life);
}

static void life_fill_listeners(struct lifecycle *life, struct broker_registration_request *request)
{
	const struct acceptor_set *set = &life->broker->acceptors;

	request->listeners = MSG_NEW_N(&life->arena, broker_registration_request_listeners, set->acceptors_n);
	for (int i = 0; i < set->acceptors_n; i++) {
		const struct acceptor *acceptor = &set->acceptors[i];

		if (acceptor->kind != API_BROKER)
			continue;
		if (request->listeners_n > 0 &&
		    str_eq(request->listeners[request->listeners_n - 1].name, acceptor->name))
			continue; /* a second address of the same listener */
		request->listeners[request->listeners_n].name = acceptor->name;
		request->listeners[request->listeners_n].host = acceptor->advertised_host;
		request->listeners[request->listeners_n].port = acceptor->advertised_port;
		request->listeners[request->listeners_n].security_protocol = 0;
		request->listeners_n++;
	}
}

static void life_fill_features(struct lifecycle *life, struct broker_registration_request *request)
{
	request->features = MSG_NEW_N(&life->arena, broker_registration_request_features, feature_defs_n);
	for (int i = 0; i < feature_defs_n; i++) {
		struct broker_registration_request_features *feature = &request->features[request->features_n++];

		feature->name = feature_defs[i].name;
		feature->min_supported_version = feature_defs[i].level_min;
		feature->max_supported_version = feature_defs[i].level_max;
	}
}

static void life_register(struct lifecycle *life)
{
	struct broker *broker = life->broker;
	struct broker_registration_request *request = &life->registration;

	life_move(life, LIFE_REGISTERING);
	arena_reset(&life->arena);
	msg_init(&broker_registration_request_type, request);
	msg_init(&broker_registration_response_type, &life->registered);
	request->broker_id = broker->node_id;
	request->cluster_id = broker->cluster_id;
	request->incarnation_id = broker->incarnation;
	request->rack = broker->config.broker_rack;
	request->previous_broker_epoch = broker->dirs[broker->metadata_dir].clean_broker_epoch;
	life_fill_listeners(life, request);
	life_fill_features(life, request);
	request->log_dirs = ARENA_NEW_N(&life->arena, struct uuid, broker->dirs_n);
	for (int i = 0; i < broker->dirs_n; i++) {
		if (i < broker->data_dirs_n && broker->shards[0].storage.dirs[i].state != LOG_DIR_OFFLINE)
			request->log_dirs[request->log_dirs_n++] = broker->dirs[i].meta.directory_id;
		/* Clean only if every directory says so of the same epoch. */
		if (!broker->dirs[i].is_offline &&
		    broker->dirs[i].clean_broker_epoch != request->previous_broker_epoch)
			request->previous_broker_epoch = -1;
	}
	life_submit(life, request, &life->registered, life_register_decide, life_registered);
}

void lifecycle_controller_leads(struct broker *broker)
{
	if (life_is(broker->lifecycle, LIFE_WAITING))
		life_register(broker->lifecycle);
}

static void life_forgotten(struct checkpoint_wait *wait, enum err err UNUSED)
{
	struct lifecycle *life = container_of(wait, struct lifecycle, forget);

	if (!life_is(life, LIFE_SERVING))
		return;
	acceptor_accept_all(life->broker, API_BROKER);
	life_phase(life->broker, BROKER_RUNNING);
	checkpointer_start(life->broker->checkpointer);
	disk_watch_start(life->broker->disks);
	broker_open_logs_in_background(life->broker);
}

/* What the checkpoint files say of partitions that are gone must not be taken for that of new ones of their names. */
static void life_strays_gone(void *ctx, bool has_renamed)
{
	struct lifecycle *life = ctx;

	life->forget.dir = life->broker->metadata_dir;
	life->forget.done = life_forgotten;
	if (life_is(life, LIFE_SERVING) && (has_renamed || life->broker->found.has_stale))
		checkpointer_save(&life->broker->shards[0], &life->forget);
	else
		life_forgotten(&life->forget, ERR_NONE);
}

static void life_serve(struct lifecycle *life)
{
	life_move(life, LIFE_SERVING);
	stray_rename_all(life->broker, life_strays_gone, life);
}

/* ---- stopping ---- */

static void life_finished(struct lifecycle *life)
{
	life_move(life, LIFE_GONE);
	if (life->broker->phase != BROKER_FAILED)
		life_phase(life->broker, BROKER_STOPPED);
	node_stop(life->broker->node);
}

static void life_mark_run(struct io_op *op, struct fs *fs)
{
	struct mark_job *job = container_of(op, struct mark_job, op);
	struct broker *broker = job->life->broker;

	op->err = ERR_NONE;
	for (int i = 0; i < broker->dirs_n && !op->err; i++) {
		if (job->is_clean[i])
			op->err = log_dir_mark_clean(&broker->dirs[i], fs, broker->broker_epoch);
	}
}

static void life_marked(struct io_op *op)
{
	struct mark_job *job = container_of(op, struct mark_job, op);

	if (op->err)
		log_warn("broker.stop",
			 "error=%s text=\"no clean mark could be written; the next start checks the logs\"",
			 err_name(op->err));
	life_finished(job->life);
}

static void life_mark(struct lifecycle *life)
{
	life_move(life, LIFE_MARKING);
	for (int i = 0; i < life->broker->dirs_n; i++) {
		life->mark.is_clean[i] = checkpointer_is_saved(life->broker->checkpointer, i) &&
					 broker_logs_are_clean(life->broker, i);
		if (!life->mark.is_clean[i])
			log_warn("broker.stop",
				 "dir=%s text=\"not every log was closed in order: the next start checks them\"",
				 life->broker->dirs[i].path);
	}
	life->mark.life = life;
	life->mark.op.kind = IO_WORK;
	life->mark.op.work.run = life_mark_run;
	life->mark.op.done = life_marked;
	io_submit(life->reactor->io, &life->mark.op);
}

static void life_close_poll(struct timer *timer)
{
	struct lifecycle *life = container_of(timer, struct lifecycle, close_poll);

	controller_io_stop(life->broker);
	if (controller_io_is_closed(life->broker) && stray_is_idle(life->broker) &&
	    disk_watch_is_idle(life->broker->disks))
		life_mark(life);
	else
		reactor_timer(life->reactor, &life->close_poll, STOP_POLL_NS, life_close_poll);
}

static void life_saved(void *ctx)
{
	struct lifecycle *life = ctx;

	if (!life_is(life, LIFE_SAVING))
		return;
	life_move(life, LIFE_CLOSING);
	reactor_timer(life->reactor, &life->close_poll, 0, life_close_poll);
}

static void shard_stop_returns(struct reactor *reactor, struct msg *msg)
{
	struct lifecycle *life = container_of(msg, struct shard_stop, msg)->life;

	if (--life->stops_out > 0)
		return;
	life_move(life, LIFE_SAVING);
	checkpointer_finish(life->broker->checkpointer, life_saved, life);
}

static void shard_stop_poll(struct timer *timer)
{
	struct shard_stop *stop = container_of(timer, struct shard_stop, poll);
	struct reactor *reactor = stop->shard->reactor;

	if (!shard_is_closed(stop->shard)) {
		reactor_timer(reactor, &stop->poll, STOP_POLL_NS, shard_stop_poll);
		return;
	}
	storage_stop(&stop->shard->storage);
	stop->msg.handle = shard_stop_returns;
	reactor_send(reactor, stop->life->reactor, &stop->msg);
}

static void shard_stop_arrives(struct reactor *reactor, struct msg *msg)
{
	struct shard_stop *stop = container_of(msg, struct shard_stop, msg);

	shard_stop(stop->shard);
	reactor_timer(reactor, &stop->poll, 0, shard_stop_poll);
}

static void life_send_stops(struct lifecycle *life, void (*handle)(struct reactor *, struct msg *))
{
	life->stops_out = life->broker->shards_n;
	for (int i = 0; i < life->broker->shards_n; i++) {
		struct shard_stop *stop = &life->stops[i];

		stop->life = life;
		stop->shard = &life->broker->shards[i];
		stop->msg.handle = handle;
		reactor_send(life->reactor, stop->shard->reactor, &stop->msg);
	}
}

static void shard_drain_returns(struct reactor *reactor, struct msg *msg)
{
	struct lifecycle *life = container_of(msg, struct shard_stop, msg)->life;

	/* A request may have parts on every shard: none closes its logs before all have answered. */
	if (--life->stops_out == 0)
		life_send_stops(life, shard_stop_arrives);
}

static void shard_drain_poll(struct timer *timer)
{
	struct shard_stop *stop = container_of(timer, struct shard_stop, poll);
	struct reactor *reactor = stop->shard->reactor;

	if (!shard_is_drained(stop->shard) && reactor->now_ns < stop->drain_end_ns) {
		reactor_timer(reactor, &stop->poll, STOP_POLL_NS, shard_drain_poll);
		return;
	}
	stop->msg.handle = shard_drain_returns;
	reactor_send(reactor, stop->life->reactor, &stop->msg);
}

static void shard_drain_arrives(struct reactor *reactor, struct msg *msg)
{
	struct shard_stop *stop = container_of(msg, struct shard_stop, msg);

	stop->drain_end_ns = reactor->now_ns + DRAIN_NS;
	shard_drain(stop->shard);
	reactor_timer(reactor, &stop->poll, 0, shard_drain_poll);
}

static void life_drain(struct lifecycle *life)
{
	if (life_is(life, LIFE_DRAINING))
		return;
	timer_stop(&life->reactor->timers, &life->leave);
	timer_stop(&life->reactor->timers, &life->untold);
	timer_stop(&life->reactor->timers, &life->beat);
	life_move(life, LIFE_DRAINING);
	life_send_stops(life, shard_drain_arrives);
}

static void life_leave_timed_out(struct timer *timer)
{
	struct lifecycle *life = container_of(timer, struct lifecycle, leave);

	log_warn("broker.stop", "text=\"the controller did not let this broker go in time\"");
	life_drain(life);
}

void lifecycle_stop(struct broker *broker)
{
	struct lifecycle *life = broker->lifecycle;

	if (life->stop_asked)
		return;
	life->stop_asked = true;
	life_phase(broker, BROKER_STOPPING);
	acceptor_close_all(broker);
	if (life_is(life, LIFE_WAITING)) {
		life_drain(life);
	} else if (life_is(life, LIFE_FENCED) || life_is(life, LIFE_SERVING)) {
		life_move(life, LIFE_LEAVING);
		timer_stop(&life->reactor->timers, &life->beat);
		reactor_timer(life->reactor, &life->leave, LEAVE_TIMEOUT_NS, life_leave_timed_out);
		life_beat(life);
	} /* REGISTERING: life_registered goes on */
}
