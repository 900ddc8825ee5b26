/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers come, live and go.
 *
 *    (unknown) --register--> FENCED --heartbeat, caught up--> UNFENCED --want_shut_down, leads--> LEAVING
 *                              ^  ^                              |  |                                 |
 *                              |  +-- session ends, want_fence --+  +--want_shut_down, leads nothing--+
 *                              +------------------- SHUT DOWN <---------------------------------------+
 *
 * The state is in the image (fenced, in_controlled_shutdown); sessions are this controller's own. A new incarnation of
 * a broker takes its partitions' leaders away and unfencing elects them again: so each restart raises leader epochs.
 */
#include "controller_private.h"
#include "feature_table.h"
#include "mem.h"
#include "msg/broker_heartbeat.h"
#include "msg/broker_registration.h"
#include "msg/unregister_broker.h"

#define METADATA_VERSION_CORDONED 30 /* 4.3-IV0 */
#define FENCED_NO_CHANGE 0
#define FENCED_NOW 1
#define UNFENCED_NOW (-1)

/* ---- sessions ---- */

static struct broker_session *session_find(const struct controller *controller, int32_t id)
{
	return map_get_u64(&controller->priv->sessions, (uint32_t)id);
}

static struct broker_session *session_touch(struct controller *controller, int32_t id, int64_t epoch)
{
	struct broker_session *session = session_find(controller, id);

	if (!session) {
		session = MEM_NEW(struct broker_session);
		session->id = id;
		map_put_u64(&controller->priv->sessions, (uint32_t)id, session);
	}
	if (session->epoch != epoch) {
		session->epoch = epoch;
		session->register_offset = epoch; /* at least; known exactly from the registration */
	}
	session->heard_ms = controller->now_ms;
	return session;
}

static bool session_is_valid(const struct controller *controller, const struct broker_image *broker)
{
	const struct broker_session *session = session_find(controller, broker->id);

	return session && session->epoch == broker->epoch && !broker->fenced &&
	       controller->now_ms - session->heard_ms < controller->defaults.broker_session_timeout_ms;
}

/* ---- registration ---- */

static bool uuid_is_reserved(struct uuid id)
{
	return id.hi == 0 && id.lo < 100;
}

static bool register_dirs_are_good(const struct controller *controller, const struct broker_registration_request *in)
{
	const struct broker_image *broker;

	if (in->log_dirs_n <= 0)
		return false;
	for (int32_t i = 0; i < in->log_dirs_n; i++) {
		if (uuid_is_reserved(in->log_dirs[i]))
			return false;
		for (int32_t j = 0; j < i; j++) {
			if (uuid_eq(in->log_dirs[i], in->log_dirs[j]))
				return false;
		}
	}
	for (int32_t id = -1; (broker = image_broker_next(controller->latest, id)) != NULL; id = broker->id) {
		for (int32_t i = 0; broker->id != in->broker_id && i < broker->log_dirs_n; i++) {
			for (int32_t j = 0; j < in->log_dirs_n; j++) {
				if (uuid_eq(broker->log_dirs[i], in->log_dirs[j]))
					return false;
			}
		}
	}
	return true;
}

/* What this build does not honour it does not ask of brokers either. */
static bool register_features_are_good(const struct controller *controller,
				       const struct broker_registration_request *in)
{
	struct str name, after = STR_NULL;
	int16_t level;
	bool has_metadata_version = false;

	for (int32_t i = 0; i < in->features_n; i++)
		has_metadata_version |= str_eq_c(in->features[i].name, METADATA_VERSION);
	if (!has_metadata_version)
		return false;
	for (; image_feature_next(controller->latest, after, &name, &level); after = name) {
		const struct feature_def *def = feature_find(name);

		if (!def || !def->is_honoured)
			continue;
		for (int32_t i = 0; i < in->features_n; i++) {
			if (str_eq(in->features[i].name, name) && (level < in->features[i].min_supported_version ||
								   level > in->features[i].max_supported_version))
				return false;
		}
	}
	return true;
}

static enum err register_check(const struct controller *controller, const struct broker_registration_request *in)
{
	const struct broker_image *before = image_broker(controller->latest, in->broker_id);

	if (in->broker_id < 0)
		return ERR_INVALID_REQUEST;
	if (before && session_is_valid(controller, before) && !uuid_eq(before->incarnation, in->incarnation_id))
		return ERR_DUPLICATE_BROKER_REGISTRATION;
	if (in->is_migrating_zk_broker)
		return ERR_BROKER_ID_NOT_REGISTERED;
	if (partition_version(controller_metadata_version(controller)) >= 1 && !register_dirs_are_good(controller, in))
		return ERR_INVALID_REGISTRATION;
	if (!register_features_are_good(controller, in))
		return ERR_UNSUPPORTED_VERSION;
	return ERR_NONE;
}

static void register_fill(const struct broker_registration_request *in, int16_t version, struct arena *arena,
			  struct register_broker_record *ret)
{
	msg_init(&register_broker_record_type, ret);
	ret->broker_id = in->broker_id;
	ret->incarnation_id = in->incarnation_id;
	ret->rack = in->rack;
	ret->end_points = MSG_NEW_N(arena, register_broker_record_end_points, in->listeners_n);
	ret->end_points_n = MAX(in->listeners_n, 0);
	for (int32_t i = 0; i < in->listeners_n; i++) {
		ret->end_points[i].name = in->listeners[i].name;
		ret->end_points[i].host = in->listeners[i].host;
		ret->end_points[i].port = in->listeners[i].port;
		ret->end_points[i].security_protocol = in->listeners[i].security_protocol;
	}
	ret->features = MSG_NEW_N(arena, register_broker_record_features, in->features_n);
	ret->features_n = MAX(in->features_n, 0);
	for (int32_t i = 0; i < in->features_n; i++) {
		ret->features[i].name = in->features[i].name;
		ret->features[i].min_supported_version = in->features[i].min_supported_version;
		ret->features[i].max_supported_version = in->features[i].max_supported_version;
	}
	if (version >= 3) {
		ret->log_dirs = in->log_dirs;
		ret->log_dirs_n = in->log_dirs_n;
	}
}

enum err controller_register_broker(struct controller *controller, const struct broker_registration_request *request,
				    struct broker_registration_response *response, struct controller_records *records,
				    struct arena *arena, int64_t log_end_offset)
{
	const struct broker_image *before = image_broker(controller->latest, request->broker_id);
	int16_t version = register_broker_version(controller_metadata_version(controller));
	struct register_broker_record record;
	enum err err = register_check(controller, request);

	msg_init(&broker_registration_response_type, response);
	response->error_code = err_wire(err);
	if (err)
		return ERR_NONE;
	register_fill(request, version, arena, &record);
	record.broker_epoch = log_end_offset;
	if (before && uuid_eq(before->incarnation, request->incarnation_id)) {
		record.broker_epoch = before->epoch;
		record.fenced = before->fenced;
		record.in_controlled_shutdown = before->in_controlled_shutdown;
	} else if (before && controller_has_elr(controller) && request->previous_broker_epoch != before->epoch) {
		controller_change_partitions(controller, BROKER_NONE, BROKER_NONE, request->broker_id, records, arena);
	} else {
		controller_change_partitions(controller, request->broker_id, BROKER_NONE, BROKER_NONE, records, arena);
	}
	session_touch(controller, request->broker_id, record.broker_epoch)->register_offset =
		log_end_offset + (int64_t)records->values.n;
	controller_add(records, arena, METADATA_REGISTER_BROKER_RECORD, version, &record);
	records->atomic = true;
	response->broker_epoch = record.broker_epoch;
	return ERR_NONE;
}

/* ---- heartbeats ---- */

static void broker_change(const struct broker_image *broker, int8_t fenced, struct controller_records *records,
			  struct arena *arena)
{
	struct broker_registration_change_record record;

	msg_init(&broker_registration_change_record_type, &record);
	record.broker_id = broker->id;
	record.broker_epoch = broker->epoch;
	record.fenced = fenced;
	if (fenced == FENCED_NO_CHANGE)
		record.in_controlled_shutdown = 1;
	controller_add(records, arena, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, fenced == FENCED_NO_CHANGE, &record);
}

static void broker_fence(struct controller *controller, const struct broker_image *broker,
			 struct controller_records *records, struct arena *arena)
{
	controller_change_partitions(controller, broker->id, BROKER_NONE, BROKER_NONE, records, arena);
	broker_change(broker, FENCED_NOW, records, arena);
}

static void broker_unfence(struct controller *controller, const struct broker_image *broker,
			   struct controller_records *records, struct arena *arena)
{
	broker_change(broker, UNFENCED_NOW, records, arena);
	controller_change_partitions(controller, BROKER_NONE, broker->id, BROKER_NONE, records, arena);
}

static void broker_leave(struct controller *controller, const struct broker_image *broker,
			 struct controller_records *records, struct arena *arena)
{
	broker_change(broker, FENCED_NO_CHANGE, records, arena);
	controller_change_partitions(controller, broker->id, BROKER_NONE, BROKER_NONE, records, arena);
}

static bool broker_leads(const struct controller *controller, int32_t id)
{
	const struct topic_image *topic;

	for (struct str after = STR_NULL; (topic = image_topic_next(controller->latest, after)) != NULL;
	     after = topic->name) {
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			const struct partition_image *partition = topic_partition(topic, i);

			if (partition && partition->leader == id)
				return true;
		}
	}
	return false;
}

/* Every other broker that serves clients knows that this one leads nothing any more: one node has no others; their
 * metadata offsets will be asked here. */
static bool broker_may_stop(const struct controller *controller, const struct broker_image *broker)
{
	return !broker_leads(controller, broker->id);
}

struct heartbeat {
	struct controller *controller;
	const struct broker_image *broker;
	const struct broker_heartbeat_request *in;
	struct broker_heartbeat_response *out;
	struct controller_records *records;
	struct arena *arena;
};

/* Which of its directories take no new partitions (KIP-1066); a broker tells them with every heartbeat. */
static void heartbeat_cordon(struct heartbeat *beat)
{
	const struct broker_image *broker = beat->broker;
	size_t n = (size_t)MAX(beat->in->cordoned_log_dirs_n, 0);
	struct broker_registration_change_record record;

	if (beat->in->cordoned_log_dirs_n < 0 ||
	    controller_metadata_version(beat->controller) < METADATA_VERSION_CORDONED)
		return;
	if ((size_t)broker->cordoned_n == n &&
	    (n == 0 || memcmp(broker->cordoned, beat->in->cordoned_log_dirs, n * sizeof(struct uuid)) == 0))
		return;
	msg_init(&broker_registration_change_record_type, &record);
	record.broker_id = broker->id;
	record.broker_epoch = broker->epoch;
	record.cordoned_log_dirs = beat->in->cordoned_log_dirs;
	record.cordoned_log_dirs_n = (int32_t)n;
	controller_add(beat->records, beat->arena, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, 3, &record);
}

static void heartbeat_stop(struct heartbeat *beat)
{
	beat->out->is_fenced = true;
	beat->out->should_shut_down = true;
	if (!beat->broker->fenced)
		broker_fence(beat->controller, beat->broker, beat->records, beat->arena);
}

static void heartbeat_of_fenced(struct heartbeat *beat)
{
	if (beat->in->want_shut_down) {
		heartbeat_stop(beat);
	} else if (!beat->in->want_fence && beat->out->is_caught_up) {
		broker_unfence(beat->controller, beat->broker, beat->records, beat->arena);
		beat->out->is_fenced = false;
	}
}

static void heartbeat_of_unfenced(struct heartbeat *beat)
{
	beat->out->is_fenced = false;
	if (beat->in->want_fence && !beat->in->want_shut_down) {
		broker_fence(beat->controller, beat->broker, beat->records, beat->arena);
		beat->out->is_fenced = true;
	} else if (beat->in->want_shut_down) {
		if (!beat->in->want_fence && broker_leads(beat->controller, beat->broker->id))
			broker_leave(beat->controller, beat->broker, beat->records, beat->arena);
		else
			heartbeat_stop(beat);
	}
}

enum err controller_heartbeat(struct controller *controller, const struct broker_heartbeat_request *request,
			      struct broker_heartbeat_response *response, struct controller_records *records,
			      struct arena *arena)
{
	struct heartbeat beat = {controller, image_broker(controller->latest, request->broker_id), request, response,
				 records, arena};
	struct broker_session *session;
	enum err err = controller_check_epoch(controller, request->broker_id, request->broker_epoch);

	msg_init(&broker_heartbeat_response_type, response);
	response->error_code = err_wire(err);
	if (err)
		return ERR_NONE;
	session = session_touch(controller, request->broker_id, request->broker_epoch);
	response->is_caught_up = request->current_metadata_offset >= session->register_offset;
	if (beat.broker->in_controlled_shutdown && !beat.broker->fenced) {
		response->is_fenced = false;
		if (broker_may_stop(controller, beat.broker))
			heartbeat_stop(&beat);
	} else if (beat.broker->fenced) {
		heartbeat_of_fenced(&beat);
	} else {
		heartbeat_of_unfenced(&beat);
	}
	heartbeat_cordon(&beat);
	controller_directories_offline(controller, beat.broker, request->offline_log_dirs,
				       request->offline_log_dirs_n, records, arena);
	return ERR_NONE;
}

/* ---- time ---- */

/* The clock was set, or this process stood still: nobody could be heard meanwhile, so sessions begin anew. */
static bool tick_is_jump(const struct controller *controller)
{
	int64_t passed = controller->now_ms - controller->priv->tick_ms;

	return controller->priv->tick_ms == 0 || passed < 0 ||
	       passed > controller->defaults.broker_session_timeout_ms / 2;
}

enum err controller_tick(struct controller *controller, struct controller_records *records, struct arena *arena)
{
	const struct broker_image *broker;
	bool is_jump = tick_is_jump(controller);

	controller->priv->tick_ms = controller->now_ms;
	for (int32_t id = -1; (broker = image_broker_next(controller->latest, id)) != NULL; id = broker->id) {
		const struct broker_session *session = session_find(controller, broker->id);

		if (broker->fenced)
			continue;
		if (is_jump || !session || session->epoch != broker->epoch) {
			session_touch(controller, broker->id, broker->epoch);
			continue;
		}
		if (!session_is_valid(controller, broker)) {
			broker_fence(controller, broker, records, arena);
			return ERR_NONE;
		}
	}
	return ERR_NONE;
}

/* ---- leaving for good ---- */

enum err controller_unregister_broker(struct controller *controller, const struct unregister_broker_request *request,
				      struct unregister_broker_response *response, struct controller_records *records,
				      struct arena *arena)
{
	const struct broker_image *broker = image_broker(controller->latest, request->broker_id);
	struct unregister_broker_record record;

	msg_init(&unregister_broker_response_type, response);
	response->error_message = STR("");
	if (!broker) {
		response->error_code = ERR_BROKER_ID_NOT_REGISTERED;
		response->error_message = arena_printf(arena, "Broker ID %d is not currently registered",
						       request->broker_id);
		return ERR_NONE;
	}
	records->atomic = true;
	controller_change_partitions(controller, broker->id, BROKER_NONE, BROKER_NONE, records, arena);
	msg_init(&unregister_broker_record_type, &record);
	record.broker_id = broker->id;
	record.broker_epoch = broker->epoch;
	controller_add(records, arena, METADATA_UNREGISTER_BROKER_RECORD, 0, &record);
	return ERR_NONE;
}
