/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreatePartitions: more partitions for topics that exist, placed by the controller or by the client, with as many
 * replicas as partition 0 has. Same as Kafka in the order of the checks and in every text. Differs where a request
 * would write more than one operation may: Kafka fails with error -1 and steps down, here every topic gets error 44.
 */
#include "controller_private.h"
#include "msg/create_partitions.h"
#include "new_partition.h"
#include "placement.h"

struct grow {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	struct err_text text;
};

/* Names that stand in the request twice or more. */
struct grow_name {
	struct str name;
	int32_t n;
	bool is_answered;
};

static enum err grow_check_count(struct grow *grow, const struct topic_image *topic,
				 const struct create_partitions_request_topics *in)
{
	if (in->count == topic->partitions_n)
		return err_text_set(&grow->text, ERR_INVALID_PARTITIONS, "Topic already has %d partition(s).",
				    topic->partitions_n);
	if (in->count < topic->partitions_n)
		return err_text_set(&grow->text, ERR_INVALID_PARTITIONS, "The topic %.*s currently has %d "
				    "partition(s); %d would not be an increase.", STR_ARGS(in->name),
				    topic->partitions_n, in->count);
	if (in->assignments_n >= 0 && in->assignments_n != in->count - topic->partitions_n)
		return err_text_set(&grow->text, ERR_INVALID_REPLICA_ASSIGNMENT, "Attempted to add %d additional "
				    "partition(s), but only %d assignment(s) were specified.",
				    in->count - topic->partitions_n, in->assignments_n);
	return ERR_NONE;
}

static enum err grow_by_hand(struct grow *grow, const struct topic_image *topic, int32_t replicas_n,
			     const struct create_partitions_request_topics *in)
{
	const struct image *image = grow->controller->latest;

	for (int32_t i = 0; i < in->assignments_n; i++) {
		const int32_t *ids = in->assignments[i].broker_ids;
		int32_t n = in->assignments[i].broker_ids_n;
		enum err err = replicas_check(image, ids, n, replicas_n, &grow->text);

		if (!err)
			err = replicas_check_active(image, ids, n, topic->partitions_n + i, &grow->text);
		if (err)
			return err;
	}
	for (int32_t i = 0; i < in->assignments_n; i++)
		controller_add_partition(grow->controller, grow->records, grow->arena, topic->id,
					 topic->partitions_n + i, in->assignments[i].broker_ids,
					 in->assignments[i].broker_ids_n);
	return ERR_NONE;
}

static enum err grow_striped(struct grow *grow, const struct topic_image *topic, int32_t replicas_n, int32_t more)
{
	struct placement *placement;
	enum err err = placement_new(grow->controller->latest, replicas_n, grow->controller->rng, grow->arena,
				     &placement, &grow->text);

	if (err)
		return err;
	for (int32_t i = 0; i < more; i++) {
		int32_t *replicas = ARENA_NEW_N(grow->arena, int32_t, replicas_n);

		placement_next(placement, replicas);
		controller_add_partition(grow->controller, grow->records, grow->arena, topic->id,
					 topic->partitions_n + i, replicas, replicas_n);
	}
	return ERR_NONE;
}

static enum err grow_topic(struct grow *grow, const struct create_partitions_request_topics *in)
{
	const struct topic_image *topic = image_topic(grow->controller->latest, in->name);
	const struct partition_image *first = topic ? topic_partition(topic, 0) : NULL;
	int32_t replicas_n = first ? first->replicas_n : 1;
	enum err err;

	if (!topic)
		return ERR_UNKNOWN_TOPIC_OR_PARTITION;
	err = grow_check_count(grow, topic, in);
	if (!err)
		err = controller_charge(grow->controller, in->count - topic->partitions_n);
	if (err)
		return err;
	if (in->assignments_n >= 0)
		return grow_by_hand(grow, topic, replicas_n, in);
	return grow_striped(grow, topic, replicas_n, in->count - topic->partitions_n);
}

static bool grow_is_excessive(const struct grow *grow, const struct create_partitions_request *request)
{
	int64_t n = 0;

	for (int32_t i = 0; i < request->topics_n; i++) {
		const struct topic_image *topic = image_topic(grow->controller->latest, request->topics[i].name);

		if (topic && request->topics[i].count > topic->partitions_n)
			n += request->topics[i].count - topic->partitions_n;
	}
	return n > RECORDS_PER_OPERATION_MAX;
}

static void grow_answer(struct grow *grow, struct create_partitions_response_results *out, struct str name,
			enum err err)
{
	out->name = name;
	out->error_code = err_wire(err);
	if (err && err != ERR_UNKNOWN_TOPIC_OR_PARTITION && err != ERR_THROTTLING_QUOTA_EXCEEDED)
		out->error_message = controller_text(grow->arena, &grow->text);
}

static void grow_all(struct grow *grow, const struct create_partitions_request *request, struct map *names,
		     struct create_partitions_response *response)
{
	for (int32_t i = 0; i < request->topics_n; i++) {
		struct grow_name *name = map_get_str(names, request->topics[i].name);

		if (name->n < 2 || name->is_answered)
			continue;
		name->is_answered = true;
		err_text_set(&grow->text, ERR_NONE, "Duplicate topic name.");
		grow_answer(grow, &response->results[response->results_n++], name->name, ERR_INVALID_REQUEST);
	}
	for (int32_t i = 0; i < request->topics_n; i++) {
		const struct create_partitions_request_topics *in = &request->topics[i];
		struct grow_name *name = map_get_str(names, in->name);

		if (name->n < 2)
			grow_answer(grow, &response->results[response->results_n++], in->name, grow_topic(grow, in));
	}
}

enum err controller_create_partitions(struct controller *controller, const struct create_partitions_request *request,
				      struct create_partitions_response *response, struct controller_records *records,
				      struct arena *arena)
{
	struct grow grow = {.controller = controller, .records = records, .arena = arena};
	struct map names;

	msg_init(&create_partitions_response_type, response);
	response->results = MSG_NEW_N(arena, create_partitions_response_results, request->topics_n);
	records->atomic = true;
	if (grow_is_excessive(&grow, request)) {
		err_text_set(&grow.text, ERR_NONE, "Excessively large number of partitions per request.");
		for (int32_t i = 0; i < request->topics_n; i++)
			grow_answer(&grow, &response->results[response->results_n++], request->topics[i].name,
				    ERR_POLICY_VIOLATION);
		return ERR_NONE;
	}
	map_init(&names, MAP_STR, rng_u64(controller->rng));
	for (int32_t i = 0; i < request->topics_n; i++) {
		struct grow_name *name = map_get_str(&names, request->topics[i].name);

		if (!name) {
			name = ARENA_NEW(arena, struct grow_name);
			name->name = request->topics[i].name;
			map_put_str(&names, name->name, name);
		}
		name->n++;
	}
	grow_all(&grow, request, &names, response);
	map_deinit(&names);
	if (request->validate_only)
		records->values.n = 0;
	return ERR_NONE;
}
