/* SPDX-License-Identifier: Apache-2.0 */
/* See consumer_world.h. */
#include "consumer_world.h"

#include "metadata_record.h"
#include "replay.h"

static enum err world_write(struct coord_shard *shard, uint64_t seq, struct coord_origin origin UNUSED,
			    const struct coord_records *records)
{
	struct consumer_world *w = shard->ctx;

	w->seq = seq;
	for (size_t i = 0; i < records->v.n; i++) {
		struct log_entry entry = {arena_bytes(&w->arena, records->v.v[i].key),
					  arena_bytes(&w->arena, records->v.v[i].value)};

		vec_push(&w->log, entry);
	}
	return ERR_NONE;
}

static void world_timer_moved(struct coord_shard *shard UNUSED)
{
}

static const struct coord_log_ops world_log_ops = {world_write, world_timer_moved};

static const struct group_settings world_settings = {
	.initial_rebalance_delay_ms = 0,
	.min_session_timeout_ms = 6000,
	.max_session_timeout_ms = 1800000,
	.max_size = 1000,
	.offset_metadata_max_bytes = 4096,
	.offsets_retention_ms = 604800000,
	.offsets_retention_check_interval_ms = 600000,
	.consumer_session_timeout_ms = 45000,
	.consumer_heartbeat_interval_ms = 5000,
	.consumer_max_size = 1000,
	.consumer_assignment_interval_ms = 1000,
	.consumer_regex_refresh_interval_ms = 600000,
	.consumer_has_uniform = true,
	.consumer_has_range = true,
};

static void world_store_open(struct consumer_world *w)
{
	coord_shard_init(&w->shard, &group_machine_ops, &w->store, &world_log_ops, w, &w->rng);
	coord_shard_time(&w->shard, 1000, 1700000000000);
	group_store_init(&w->store, &w->shard, &world_settings, 1);
	w->store.image = w->image;
	coord_shard_load(&w->shard);
}

void consumer_world_init(struct consumer_world *w, uint64_t seed)
{
	*w = (struct consumer_world){0};
	rng_init(&w->rng, seed);
	w->image = image_new_empty();
	world_store_open(w);
	coord_shard_loaded(&w->shard);
}

void consumer_world_deinit(struct consumer_world *w)
{
	coord_shard_unload(&w->shard, ERR_NOT_COORDINATOR);
	group_store_deinit(&w->store);
	coord_shard_deinit(&w->shard);
	vec_deinit(&w->log);
	image_unref(w->image);
	arena_reset(&w->arena);
}

static void image_add(struct image_edit *edit, enum metadata_record_id type, int16_t version, const void *record)
{
	struct arena arena = {0};
	struct err_text text = {""};
	struct bytes value = metadata_record_encode(type, version, record, &arena);

	assert_int_equal(image_edit_replay(edit, value, &text), ERR_NONE);
	arena_reset(&arena);
}

static void world_topic(struct consumer_world *w, struct image_edit *edit, const char *name, int32_t partitions_n)
{
	struct topic_record topic;
	int32_t replica = 1;

	msg_init(&topic_record_type, &topic);
	topic.name = str_of(name);
	topic.topic_id = (struct uuid){77, (uint64_t)++w->topics_made};
	image_add(edit, METADATA_TOPIC_RECORD, 0, &topic);
	for (int32_t p = 0; p < partitions_n; p++) {
		struct partition_record partition;

		msg_init(&partition_record_type, &partition);
		partition.partition_id = p;
		partition.topic_id = topic.topic_id;
		partition.replicas = partition.isr = &replica;
		partition.replicas_n = partition.isr_n = 1;
		partition.leader = 1;
		partition.leader_epoch = partition.partition_epoch = 0;
		image_add(edit, METADATA_PARTITION_RECORD, 0, &partition);
	}
}

static void world_publish(struct consumer_world *w, struct image_edit *edit)
{
	struct image *next = image_edit_finish(edit, w->image->offset + 1, 1, 0);

	image_unref(w->image);
	w->image = next;
	w->store.image = next;
}

void consumer_world_topic(struct consumer_world *w, const char *name, int32_t partitions_n)
{
	struct image_edit *edit = image_edit_begin(w->image);

	world_topic(w, edit, name, partitions_n);
	world_publish(w, edit);
}

void consumer_world_topics(struct consumer_world *w, const char *prefix, int topics_n)
{
	struct image_edit *edit = image_edit_begin(w->image);
	char name[64];

	for (int i = 0; i < topics_n; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		world_topic(w, edit, name, 1);
	}
	world_publish(w, edit);
}

/* ---- heartbeats ---- */

struct beat_op {
	struct coord_op op;
	struct consumer_heartbeat beat;
	bool is_done;
};

static enum err beat_decide(struct coord_op *op, void *machine UNUSED, struct coord_records *records)
{
	return consumer_heartbeat_decide(&container_of(op, struct beat_op, op)->beat, records);
}

static void beat_done(struct coord_op *op)
{
	container_of(op, struct beat_op, op)->is_done = true;
}

static void request_topics(struct consumer_group_heartbeat_request *request, const char *topics, struct arena *arena)
{
	struct str rest = str_of(topics);

	request->subscribed_topic_names = ARENA_NEW_N(arena, struct str, 20);
	request->subscribed_topic_names_n = 0;
	while (rest.len) {
		const char *comma = memchr(rest.p, ',', rest.len);
		size_t len = comma ? (size_t)(comma - rest.p) : rest.len;

		request->subscribed_topic_names[request->subscribed_topic_names_n++] = (struct str){rest.p, len};
		rest.p += len + (comma != NULL);
		rest.len -= len + (comma != NULL);
	}
}

static void request_owned(struct consumer_group_heartbeat_request *request, struct part_set owned, struct arena *arena)
{
	request->topic_partitions = MSG_NEW_N(arena, consumer_group_heartbeat_request_topic_partitions, owned.n + 1);
	request->topic_partitions_n = 0;
	for (int32_t i = 0; i < owned.n; i++) {
		struct consumer_group_heartbeat_request_topic_partitions *topic =
			&request->topic_partitions[request->topic_partitions_n++];

		topic->topic_id = owned.v[i].topic_id;
		topic->partitions = &owned.v[i].partition;
		topic->partitions_n = 1;
	}
}

struct consumer_group_heartbeat_response *consumer_world_beat(struct consumer_world *w, struct beat_spec spec,
							      bool commit)
{
	struct consumer_group_heartbeat_request *request = MSG_NEW(&w->arena, consumer_group_heartbeat_request);
	struct beat_op *op = ARENA_NEW(&w->arena, struct beat_op);
	bool joins = spec.epoch == 0;

	request->group_id = str_of(spec.group ? spec.group : "g");
	request->member_id = str_of(spec.member ? spec.member : "");
	request->member_epoch = spec.epoch;
	request->instance_id = str_of(spec.instance);
	request->server_assignor = str_of(spec.assignor);
	request->subscribed_topic_regex = str_of(spec.regex);
	request->rebalance_timeout_ms = spec.rebalance_timeout_ms ? spec.rebalance_timeout_ms : joins ? 60000 : -1;
	request->subscribed_topic_names_n = -1;
	request->topic_partitions_n = -1;
	if (spec.topics)
		request_topics(request, spec.topics, &w->arena);
	if (spec.tells_owned || joins)
		request_owned(request, joins ? (struct part_set){0} : spec.owned, &w->arena);
	*op = (struct beat_op){.op = {.arena = &w->arena, .origin = COORD_ORIGIN_NONE, .decide = beat_decide,
				      .done = beat_done}};
	op->beat = (struct consumer_heartbeat){.store = &w->store, .request = request, .client_id = STR("client"),
					       .client_host = STR("/127.0.0.1"), .version = 1,
					       .response = MSG_NEW(&w->arena, consumer_group_heartbeat_response)};
	coord_shard_submit(&w->shard, &op->op);
	coord_shard_check_invariants(&w->shard);
	if (commit) {
		consumer_world_commit(w);
		assert_true(op->is_done);
	}
	return op->beat.response;
}

void consumer_world_commit(struct consumer_world *w)
{
	w->committed_n = w->log.n;
	coord_shard_committed(&w->shard, w->seq);
}

void consumer_world_fail(struct consumer_world *w)
{
	w->log.n = w->committed_n;
	coord_shard_failed(&w->shard, w->shard.seq_done + 1, ERR_KAFKA_STORAGE_ERROR);
}

void consumer_world_pass(struct consumer_world *w, int64_t ms)
{
	int64_t end_ms = w->shard.now_ms + ms;

	while (coord_shard_next_ms(&w->shard) <= end_ms) {
		int64_t step_ms = MAX(coord_shard_next_ms(&w->shard) - w->shard.now_ms, 0);

		coord_shard_time(&w->shard, w->shard.now_ms + step_ms, w->shard.wall_ms + step_ms);
		coord_shard_tick(&w->shard, 1000);
		consumer_world_commit(w);
	}
	coord_shard_time(&w->shard, end_ms, w->shard.wall_ms + end_ms - w->shard.now_ms);
}

struct part_set response_set(const struct consumer_group_heartbeat_response *response, struct arena *arena)
{
	struct part_set set = {ARENA_NEW_N(arena, struct part_id, 1000), 0};

	for (int32_t i = 0; response->assignment && i < response->assignment->topic_partitions_n; i++) {
		for (int32_t p = 0; p < response->assignment->topic_partitions[i].partitions_n; p++)
			set.v[set.n++] = (struct part_id){response->assignment->topic_partitions[i].topic_id,
							  response->assignment->topic_partitions[i].partitions[p], -1};
	}
	part_set_normalize(&set);
	return set;
}

/* ---- what the log says ---- */

static bool is_latest(const struct consumer_world *w, size_t at)
{
	for (size_t i = at + 1; i < w->log.n; i++) {
		if (bytes_eq(w->log.v[i].key, w->log.v[at].key))
			return false;
	}
	return true;
}

static void check_store(struct consumer_world *w, struct group_store *store)
{
	for (size_t i = 0; i < w->log.n; i++) {
		struct arena arena = {0};
		struct bytes held;

		if (!is_latest(w, i))
			continue;
		held = group_machine_ops.current(store, COORD_ORIGIN_NONE, w->log.v[i].key, &arena);
		assert_int_equal(held.p == NULL, w->log.v[i].value.p == NULL);
		assert_true(held.p == NULL || bytes_eq(held, w->log.v[i].value));
		arena_reset(&arena);
	}
}

void consumer_world_check(struct consumer_world *w)
{
	struct consumer_world loaded = {.image = w->image};
	const struct group *group;

	check_store(w, &w->store);
	rng_init(&loaded.rng, 1);
	world_store_open(&loaded);
	for (size_t i = 0; i < w->log.n; i++) {
		if (is_latest(w, i))
			assert_int_equal(coord_shard_replay(&loaded.shard, COORD_ORIGIN_NONE, w->log.v[i].key,
							    w->log.v[i].value), ERR_NONE);
	}
	coord_shard_loaded(&loaded.shard);
	check_store(w, &loaded.store);
	for (uint32_t it = 0; (group = map_next(&w->store.groups, &it)) != NULL;) {
		const struct group *other = group_find(&loaded.store, group->id);

		assert_non_null(other);
		assert_string_equal(group->kind->state(group), other->kind->state(other));
	}
	assert_int_equal(loaded.store.groups.n, w->store.groups.n);
	coord_shard_unload(&loaded.shard, ERR_NOT_COORDINATOR);
	group_store_deinit(&loaded.store);
	coord_shard_deinit(&loaded.shard);
}

const char *consumer_world_state(struct consumer_world *w, const char *group)
{
	const struct group *found = group_find(&w->store, str_of(group));

	return found ? found->kind->state(found) : "absent";
}
