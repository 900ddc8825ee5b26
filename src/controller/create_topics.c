/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateTopics: names, settings and placement are checked topic by topic; those that pass give records, all in one
 * batch. Same as Kafka in the order of the checks and in every text. A request for more partitions than one operation
 * may write is refused as a whole; differs from Kafka in that topics and settings do not count among these.
 */
#include <stdlib.h>

#include "controller_private.h"
#include "msg/create_topics.h"
#include "new_partition.h"
#include "placement.h"
#include "topic_name.h"

/* Partitions are limited as in Kafka, and so settle how many topics there can be; Kafka counts all records, which
 * lets it create 5,000 topics of one partition at once, but not 10,000. */
#define CREATE_RECORDS_MAX (4 * RECORDS_PER_OPERATION_MAX)
/* A name with more dots and underscores is looked for in a table of all names. */
#define COLLISION_FORMS_LOG2_MAX 5

struct create {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	int16_t version;    /* of the request */
	struct map seen;    /* names of the request -> struct create_topics_request_topics */
	struct map unified; /* existing names that could collide, unified -> topic_image */
	bool has_unified, has_plain;
	struct create_topics_response_topics_configs *plain; /* of topics without settings of their own */
	int32_t plain_n;
	struct err_text text;
};

/* What a topic will be made of. */
struct create_plan {
	int32_t partitions_n;
	int32_t replicas_n;
	int32_t *replicas; /* partitions_n x replicas_n, by partition */
};

/* ---- names ---- */

static void create_unify(struct create *create)
{
	const struct topic_image *topic;

	create->has_unified = true;
	for (struct str after = STR_NULL; (topic = image_topic_next(create->controller->latest, after)) != NULL;
	     after = topic->name) {
		if (topic_name_can_collide(topic->name))
			map_put_str(&create->unified, topic_name_unify(topic->name, create->arena), (void *)topic);
	}
}

/* The existing topic whose name falls together with a new one. A name with few dots and underscores has few forms. */
static const struct topic_image *create_find_collision(struct create *create, struct str name)
{
	char form[TOPIC_NAME_LEN_MAX];
	size_t at[COLLISION_FORMS_LOG2_MAX];
	int n = 0;

	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] != '.' && name.p[i] != '_')
			continue;
		if (n == COLLISION_FORMS_LOG2_MAX) {
			if (!create->has_unified)
				create_unify(create);
			return map_get_str(&create->unified, topic_name_unify(name, create->arena));
		}
		at[n++] = i;
	}
	memcpy(form, name.p, name.len);
	for (unsigned bits = 0; bits < 1u << n; bits++) {
		const struct topic_image *topic;

		for (int i = 0; i < n; i++)
			form[at[i]] = bits >> i & 1 ? '.' : '_';
		topic = image_topic(create->controller->latest, (struct str){form, name.len});
		if (topic)
			return topic;
	}
	return NULL;
}

static enum err create_check_name(struct create *create, struct str name)
{
	const struct topic_image *other;
	enum err err = topic_name_check(name, &create->text);

	if (err)
		return err;
	if (image_topic(create->controller->latest, name))
		return err_text_set(&create->text, ERR_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.",
				    STR_ARGS(name));
	if (!topic_name_can_collide(name))
		return ERR_NONE;
	other = create_find_collision(create, name);
	if (other)
		return err_text_set(&create->text, ERR_INVALID_TOPIC_EXCEPTION,
				    "Topic '%.*s' collides with existing topic: %.*s", STR_ARGS(name),
				    STR_ARGS(other->name));
	return ERR_NONE;
}

/* ---- settings ---- */

static struct controller_config *create_configs(struct create *create, const struct create_topics_request_topics *in)
{
	struct controller_config *configs = ARENA_NEW_N(create->arena, struct controller_config, in->configs_n);

	for (int32_t i = 0; i < in->configs_n; i++)
		configs[i] = (struct controller_config){in->configs[i].name, in->configs[i].value};
	return configs;
}

static enum err create_check_configs(struct create *create, const struct create_topics_request_topics *in)
{
	const struct controller_defaults *defaults = &create->controller->defaults;

	if (in->configs_n <= 0 || !defaults->check_configs)
		return ERR_NONE;
	return defaults->check_configs(defaults->config_ctx, CONFIG_TYPE_TOPIC, in->name, create_configs(create, in),
				       (size_t)in->configs_n, &create->text);
}

/* ---- placement ---- */

static enum err create_take_assignment(struct create *create, const struct create_topics_request_topics *in,
				       int32_t at, bool *has, struct create_plan *plan)
{
	const struct create_topics_request_topics_assignments *assignment = &in->assignments[at];
	int32_t index = assignment->partition_index, n = assignment->broker_ids_n;
	const struct image *image = create->controller->latest;
	enum err err;

	if (index >= 0 && index < in->assignments_n && has[index])
		return err_text_set(&create->text, ERR_INVALID_REPLICA_ASSIGNMENT,
				    "Found multiple manual partition assignments for partition %d", index);
	err = replicas_check(image, assignment->broker_ids, n, plan->replicas_n, &create->text);
	if (!err)
		err = replicas_check_active(image, assignment->broker_ids, n, index, &create->text);
	if (err)
		return err;
	if (at == 0) {
		plan->replicas_n = n;
		plan->replicas = ARENA_NEW_N(create->arena, int32_t, (int64_t)n * in->assignments_n);
	}
	if (index < 0 || index >= in->assignments_n)
		return ERR_NONE; /* leaves a hole, which is refused below */
	has[index] = true;
	memcpy(plan->replicas + (int64_t)index * n, assignment->broker_ids, (size_t)n * sizeof(int32_t));
	return ERR_NONE;
}

static enum err create_plan_manual(struct create *create, const struct create_topics_request_topics *in,
				   struct create_plan *plan)
{
	bool *has = ARENA_NEW_N(create->arena, bool, in->assignments_n);

	if (in->replication_factor != -1)
		return err_text_set(&create->text, ERR_INVALID_REQUEST, "A manual partition assignment was specified, "
				    "but replication factor was not set to -1.");
	if (in->num_partitions != -1)
		return err_text_set(&create->text, ERR_INVALID_REQUEST, "A manual partition assignment was specified, "
				    "but numPartitions was not set to -1.");
	for (int32_t i = 0; i < in->assignments_n; i++) {
		enum err err = create_take_assignment(create, in, i, has, plan);

		if (err)
			return err;
	}
	for (int32_t i = 0; i < in->assignments_n; i++) {
		if (!has[i])
			return err_text_set(&create->text, ERR_INVALID_REPLICA_ASSIGNMENT,
					    "partitions should be a consecutive 0-based integer sequence");
	}
	plan->partitions_n = in->assignments_n;
	return ERR_NONE;
}

static enum err create_plan_striped(struct create *create, const struct create_topics_request_topics *in,
				    struct create_plan *plan)
{
	const struct controller_defaults *defaults = &create->controller->defaults;
	struct placement *placement;
	struct err_text reason = {{0}};

	if (in->replication_factor < -1 || in->replication_factor == 0)
		return err_text_set(&create->text, ERR_INVALID_REPLICATION_FACTOR,
				    "Replication factor must be larger than 0, or -1 to use the default value.");
	if (in->num_partitions < -1 || in->num_partitions == 0)
		return err_text_set(&create->text, ERR_INVALID_PARTITIONS,
				    "Number of partitions was set to an invalid non-positive value.");
	plan->partitions_n = in->num_partitions == -1 ? defaults->num_partitions : in->num_partitions;
	plan->replicas_n = in->replication_factor == -1 ? defaults->default_replication_factor
							: in->replication_factor;
	if (placement_new(create->controller->latest, plan->replicas_n, create->controller->rng, create->arena,
			  &placement, &reason))
		return err_text_set(&create->text, ERR_INVALID_REPLICATION_FACTOR,
				    "Unable to replicate the partition %d time(s): %s", plan->replicas_n, reason.text);
	plan->replicas = ARENA_NEW_N(create->arena, int32_t, (int64_t)plan->partitions_n * plan->replicas_n);
	for (int32_t i = 0; i < plan->partitions_n; i++)
		placement_next(placement, plan->replicas + (int64_t)i * plan->replicas_n);
	return ERR_NONE;
}

/* ---- records ---- */

static void create_add_records(struct create *create, const struct create_topics_request_topics *in, struct uuid id,
			       const struct create_plan *plan)
{
	struct topic_record topic;
	struct config_record config;

	msg_init(&topic_record_type, &topic);
	topic.name = in->name;
	topic.topic_id = id;
	controller_add(create->records, create->arena, METADATA_TOPIC_RECORD, 0, &topic);
	msg_init(&config_record_type, &config);
	for (int32_t i = 0; i < in->configs_n; i++) {
		config.resource_type = CONFIG_TYPE_TOPIC;
		config.resource_name = in->name;
		config.name = in->configs[i].name;
		config.value = in->configs[i].value;
		controller_add(create->records, create->arena, METADATA_CONFIG_RECORD, 0, &config);
	}
	for (int32_t i = 0; i < plan->partitions_n; i++)
		controller_add_partition(create->controller, create->records, create->arena, id, i,
					 plan->replicas + (int64_t)i * plan->replicas_n, plan->replicas_n);
}

/* ---- one topic ---- */

static int create_config_cmp(const void *a, const void *b)
{
	const struct create_topics_response_topics_configs *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

/* Topics without settings of their own have the same ones, which are told once for all of them. */
static void create_answer_configs(struct create *create, const struct create_topics_request_topics *in,
				  struct create_topics_response_topics *out)
{
	const struct controller_defaults *defaults = &create->controller->defaults;
	bool is_plain = in->configs_n <= 0;

	out->configs_n = 0;
	if (create->version < 5 || !defaults->effective_configs)
		return;
	if (is_plain && create->has_plain) {
		out->configs = create->plain;
		out->configs_n = create->plain_n;
		return;
	}
	defaults->effective_configs(defaults->config_ctx, create_configs(create, in), (size_t)MAX(in->configs_n, 0),
				    create->arena, &out->configs, &out->configs_n);
	if (out->configs_n > 1)
		qsort(out->configs, (size_t)out->configs_n, sizeof(*out->configs), create_config_cmp);
	if (!is_plain)
		return;
	create->has_plain = true;
	create->plain = out->configs;
	create->plain_n = out->configs_n;
}

static enum err create_topic(struct create *create, const struct create_topics_request_topics *in,
			     struct create_topics_response_topics *out)
{
	struct create_plan plan = {0};
	enum err err = create_check_name(create, in->name);

	if (!err)
		err = create_check_configs(create, in);
	if (err)
		return err;
	err = in->assignments_n > 0 ? create_plan_manual(create, in, &plan) : create_plan_striped(create, in, &plan);
	if (!err)
		err = controller_charge(create->controller, plan.partitions_n);
	if (err)
		return err;
	out->topic_id = uuid_random(create->controller->rng);
	out->num_partitions = plan.partitions_n;
	out->replication_factor = (int16_t)plan.replicas_n;
	create_answer_configs(create, in, out);
	create_add_records(create, in, out->topic_id, &plan);
	return ERR_NONE;
}

static void create_refuse(struct create *create, struct create_topics_response_topics *out, struct str name,
			  enum err err)
{
	msg_init(&create_topics_response_topics_type, out);
	out->name = name;
	out->error_code = err_wire(err);
	/* As in the original, the code says it all. */
	out->error_message = err == ERR_THROTTLING_QUOTA_EXCEEDED ? STR_NULL
								  : controller_text(create->arena, &create->text);
}

/* ---- the request ---- */

static bool create_is_excessive(const struct create *create, const struct create_topics_request *request)
{
	int64_t n = 0;

	for (int32_t i = 0; i < request->topics_n; i++) {
		const struct create_topics_request_topics *in = &request->topics[i];

		if (in->assignments_n > 0)
			n += in->assignments_n;
		else
			n += in->num_partitions == -1 ? create->controller->defaults.num_partitions
						      : MAX(in->num_partitions, 0);
	}
	return n > RECORDS_PER_OPERATION_MAX;
}

static void create_refuse_all(struct create *create, const struct create_topics_request *request,
			      struct create_topics_response *response)
{
	create->records->values.n = 0;
	for (int32_t i = 0; i < request->topics_n; i++)
		create_refuse(create, &response->topics[i], request->topics[i].name, ERR_POLICY_VIOLATION);
	response->topics_n = request->topics_n;
}

/* Names that stand in the request more than once get one answer, at the end. */
static void create_find_duplicates(struct create *create, const struct create_topics_request *request,
				   bool *is_duplicate)
{
	for (int32_t i = 0; i < request->topics_n; i++) {
		struct create_topics_request_topics *before = map_get_str(&create->seen, request->topics[i].name);

		if (!before)
			map_put_str(&create->seen, request->topics[i].name, &request->topics[i]);
		else
			is_duplicate[before - request->topics] = true;
	}
}

static void create_all(struct create *create, const struct create_topics_request *request,
		       struct create_topics_response *response)
{
	bool *is_duplicate = ARENA_NEW_N(create->arena, bool, request->topics_n);
	struct create_topics_response_topics *out = response->topics;

	create_find_duplicates(create, request, is_duplicate);
	for (int32_t i = 0; i < request->topics_n; i++) {
		const struct create_topics_request_topics *in = &request->topics[i];
		const struct create_topics_request_topics *first = map_get_str(&create->seen, in->name);
		enum err err;

		if (is_duplicate[first - request->topics] || str_eq_c(in->name, "__cluster_metadata"))
			continue;
		msg_init(&create_topics_response_topics_type, out);
		out->name = in->name;
		out->error_message = STR_NULL;
		err = create_topic(create, in, out);
		if (err)
			create_refuse(create, out, in->name, err);
		out++;
	}
	for (int32_t i = 0; i < request->topics_n; i++) {
		const struct create_topics_request_topics *in = &request->topics[i];
		bool is_first = map_get_str(&create->seen, in->name) == in;

		if (is_first && is_duplicate[i]) {
			err_text_set(&create->text, ERR_NONE, "Duplicate topic name.");
			create_refuse(create, out++, in->name, ERR_INVALID_REQUEST);
		} else if (is_first && str_eq_c(in->name, "__cluster_metadata")) {
			err_text_set(&create->text, ERR_NONE,
				     "Creation of internal topic __cluster_metadata is prohibited.");
			create_refuse(create, out++, in->name, ERR_INVALID_REQUEST);
		}
	}
	response->topics_n = (int32_t)(out - response->topics);
}

enum err controller_create_topics(struct controller *controller, int16_t version,
				  const struct create_topics_request *request, struct create_topics_response *response,
				  struct controller_records *records, struct arena *arena)
{
	struct create create = {
		.controller = controller,
		.records = records,
		.arena = arena,
		.version = version,
	};

	msg_init(&create_topics_response_type, response);
	response->topics = MSG_NEW_N(arena, create_topics_response_topics, request->topics_n);
	map_init(&create.seen, MAP_STR, rng_u64(controller->rng));
	map_init(&create.unified, MAP_STR, rng_u64(controller->rng));
	records->atomic = true;
	if (create_is_excessive(&create, request)) {
		err_text_set(&create.text, ERR_NONE, "Excessively large number of partitions per request.");
		create_refuse_all(&create, request, response);
	} else {
		create_all(&create, request, response);
	}
	if (records->values.n > CREATE_RECORDS_MAX) {
		err_text_set(&create.text, ERR_NONE, "Unable to perform excessively large batch operation.");
		create_refuse_all(&create, request, response);
	}
	if (request->validate_only)
		records->values.n = 0;
	map_deinit(&create.seen);
	map_deinit(&create.unified);
	return ERR_NONE;
}
