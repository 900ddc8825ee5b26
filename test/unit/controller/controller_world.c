/* SPDX-License-Identifier: Apache-2.0 */
/* See controller_world.h. */
#include "controller_world.h"

#include "feature_table.h"
#include "format.h"

void world_init(struct world *w, int16_t metadata_version)
{
	struct controller_defaults defaults = {
		.num_partitions = 3,
		.default_replication_factor = 1,
		.broker_session_timeout_ms = 9000,
		.min_insync_replicas = 1,
		.delete_topic_enable = true,
	};
	struct format_records format = {0};
	struct controller_records bootstrap = {0};

	*w = (struct world){0};
	rng_init(&w->rng, 1);
	controller_init(&w->controller, &defaults, &w->rng, image_new_empty());
	w->controller.now_ms = 1000000;
	w->end = 1; /* the leader change */
	format_bootstrap_records(metadata_version, &w->arena, &format);
	for (size_t i = 0; i < format.values.n; i++)
		vec_push(&bootstrap.values, format.values.v[i]);
	world_begin(w);
	assert_int_equal(controller_bootstrap(&w->controller, &bootstrap, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	vec_deinit(&format.values);
	vec_deinit(&bootstrap.values);
}

void world_deinit(struct world *w)
{
	controller_deinit(&w->controller);
	vec_deinit(&w->records.values);
	arena_reset(&w->arena);
}

void world_begin(struct world *w)
{
	w->records.values.n = 0;
	w->records.atomic = false;
}

void world_log(struct world *w)
{
	struct err_text text = {""};

	w->first = w->end;
	if (w->records.values.n == 0)
		return;
	w->end += (int64_t)w->records.values.n;
	if (controller_logged(&w->controller, &w->records, w->end, 1, &text) != ERR_NONE)
		fail_msg("%s", text.text);
}

void world_commit(struct world *w)
{
	struct image *image;

	controller_committed(&w->controller, w->end, &image);
	assert_ptr_equal(image, w->controller.committed);
}

void world_done(struct world *w)
{
	world_log(w);
	world_commit(w);
}

const void *world_record(struct world *w, size_t at, enum metadata_record_id type, int16_t version)
{
	struct metadata_record frame;
	struct err_text text = {""};
	void *message;

	assert_true(at < w->records.values.n);
	assert_int_equal(metadata_record_parse(w->records.values.v[at], &frame, &text), ERR_NONE);
	assert_int_equal(frame.type, type);
	assert_int_equal(frame.version, version);
	message = msg_new_n(&w->arena, frame.schema, 1);
	assert_int_equal(codec_decode(frame.schema, frame.version, frame.message, &w->arena, message, NULL, &text),
			 ERR_NONE);
	return message;
}

int16_t world_register(struct world *w, int32_t id, struct uuid incarnation, int64_t previous_epoch,
		       struct broker_registration_response *ret)
{
	struct broker_registration_request in;
	struct broker_registration_response out;
	struct uuid dir = {100, (uint64_t)id + 1000};

	msg_init(&broker_registration_request_type, &in);
	in.broker_id = id;
	in.incarnation_id = incarnation;
	in.previous_broker_epoch = previous_epoch;
	in.log_dirs = &dir;
	in.log_dirs_n = 1;
	in.features = MSG_NEW_N(&w->arena, broker_registration_request_features, 2);
	in.features_n = 2;
	in.features[1].name = STR("eligible.leader.replicas.version");
	in.features[1].max_supported_version = 1;
	in.features[0].name = STR("metadata.version");
	in.features[0].min_supported_version = METADATA_VERSION_MIN;
	in.features[0].max_supported_version = METADATA_VERSION_MAX;
	world_begin(w);
	assert_int_equal(controller_register_broker(&w->controller, &in, &out, &w->records, &w->arena, w->end),
			 ERR_NONE);
	world_done(w);
	if (ret)
		*ret = out;
	return out.error_code;
}

struct broker_heartbeat_response world_heartbeat(struct world *w, int32_t id, bool want_shut_down)
{
	const struct broker_image *broker = image_broker(w->controller.latest, id);
	struct broker_heartbeat_request in;
	struct broker_heartbeat_response out;

	msg_init(&broker_heartbeat_request_type, &in);
	in.broker_id = id;
	in.broker_epoch = broker ? broker->epoch : -1;
	in.current_metadata_offset = w->end - 1;
	in.want_shut_down = want_shut_down;
	world_begin(w);
	assert_int_equal(controller_heartbeat(&w->controller, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	return out;
}

void world_add_broker(struct world *w, int32_t id)
{
	assert_int_equal(world_register(w, id, (struct uuid){9, (uint64_t)id}, -1, NULL), 0);
	assert_false(world_heartbeat(w, id, false).is_fenced);
}

struct create_topics_response_topics world_create(struct world *w, const char *name, int32_t partitions,
						  int16_t replicas)
{
	struct create_topics_request in;
	struct create_topics_response out;
	struct create_topics_request_topics topic;

	msg_init(&create_topics_request_type, &in);
	msg_init(&create_topics_request_topics_type, &topic);
	topic.name = str_of(name);
	topic.num_partitions = partitions;
	topic.replication_factor = replicas;
	in.topics = &topic;
	in.topics_n = 1;
	world_begin(w);
	assert_int_equal(controller_create_topics(&w->controller, 7, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	assert_int_equal(out.topics_n, 1);
	return out.topics[0];
}
