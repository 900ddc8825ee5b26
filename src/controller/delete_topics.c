/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteTopics: by name or, from version 6, by id (KIP-516). A topic that is named twice, by whatever means, is not
 * deleted. Differs from Kafka, which shuffles the answers to hide what a client may not see: they come in the order of
 * the request here, since there is nothing to hide.
 */
#include "controller_private.h"
#include "msg/delete_topics.h"

struct delete {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	struct map names; /* name -> counter */
	struct map ids;   /* uuid -> counter */
	struct delete_topics_response_responses *out;
};

struct delete_count {
	int32_t n;
	bool is_answered;
};

static void delete_answer(struct delete *delete, struct str name, struct uuid id, enum err err, const char *text)
{
	struct delete_topics_response_responses *out = delete->out++;

	out->name = name;
	out->topic_id = id;
	out->error_code = err_wire(err);
	out->error_message = text ? str_of(text) : STR_NULL;
}

/* How often a topic is named by name, by id. */
static struct delete_count *delete_count_name(struct delete *delete, struct str name)
{
	struct delete_count *count = map_get_str(&delete->names, name);

	if (!count) {
		count = ARENA_NEW(delete->arena, struct delete_count);
		map_put_str(&delete->names, name, count);
	}
	return count;
}

static struct delete_count *delete_count_id(struct delete *delete, struct uuid id)
{
	struct delete_count *count = map_get_uuid(&delete->ids, id);

	if (!count) {
		count = ARENA_NEW(delete->arena, struct delete_count);
		map_put_uuid(&delete->ids, id, count);
	}
	return count;
}

static void delete_topic(struct delete *delete, const struct topic_image *topic)
{
	struct remove_topic_record record;
	enum err err = controller_charge(delete->controller, topic->partitions_n);

	if (err) {
		delete_answer(delete, arena_str(delete->arena, topic->name), topic->id, err, NULL);
		return;
	}
	msg_init(&remove_topic_record_type, &record);
	record.topic_id = topic->id;
	controller_add(delete->records, delete->arena, METADATA_REMOVE_TOPIC_RECORD, 0, &record);
	delete_answer(delete, arena_str(delete->arena, topic->name), topic->id, ERR_NONE, NULL);
}

/* True when this is the one answer that a name or id gets; *err says whether it is good. */
static bool delete_is_once(struct delete_count *count, bool *is_duplicate)
{
	*is_duplicate = count->n > 1;
	if (count->is_answered)
		return false;
	count->is_answered = true;
	return true;
}

static void delete_by_name(struct delete *delete, struct str name)
{
	const struct topic_image *topic = image_topic(delete->controller->latest, name);
	struct delete_count *by_id;
	bool is_duplicate;

	if (!delete_is_once(delete_count_name(delete, name), &is_duplicate))
		return;
	by_id = topic ? map_get_uuid(&delete->ids, topic->id) : NULL;
	if (is_duplicate)
		delete_answer(delete, name, UUID_ZERO, ERR_INVALID_REQUEST, "Duplicate topic name.");
	else if (!topic)
		delete_answer(delete, name, UUID_ZERO, ERR_UNKNOWN_TOPIC_OR_PARTITION,
			      "This server does not host this topic-partition.");
	else if (by_id)
		delete_answer(delete, name, topic->id, ERR_INVALID_REQUEST,
			      "The provided topic name maps to an ID that was already supplied.");
	else
		delete_topic(delete, topic);
}

static void delete_by_id(struct delete *delete, struct uuid id)
{
	const struct topic_image *topic = image_topic_by_id(delete->controller->latest, id);
	bool is_duplicate;

	if (!delete_is_once(delete_count_id(delete, id), &is_duplicate))
		return;
	if (is_duplicate)
		delete_answer(delete, STR_NULL, id, ERR_INVALID_REQUEST, "Duplicate topic id.");
	else if (!topic)
		delete_answer(delete, STR_NULL, id, ERR_UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
	else if (!map_get_str(&delete->names, topic->name))
		delete_topic(delete, topic);
	/* else its name, which stands in the request too, has the answer */
}

static void delete_all(struct delete *delete, const struct delete_topics_request *request)
{
	for (int32_t i = 0; i < request->topic_names_n; i++)
		delete_count_name(delete, request->topic_names[i])->n++;
	for (int32_t i = 0; i < request->topics_n; i++) {
		if (request->topics[i].name.p && uuid_is_zero(request->topics[i].topic_id))
			delete_count_name(delete, request->topics[i].name)->n++;
		else if (!request->topics[i].name.p && !uuid_is_zero(request->topics[i].topic_id))
			delete_count_id(delete, request->topics[i].topic_id)->n++;
	}
	for (int32_t i = 0; i < request->topic_names_n; i++)
		delete_by_name(delete, request->topic_names[i]);
	for (int32_t i = 0; i < request->topics_n; i++) {
		const struct delete_topics_request_topics *in = &request->topics[i];

		if (in->name.p && !uuid_is_zero(in->topic_id))
			delete_answer(delete, in->name, in->topic_id, ERR_INVALID_REQUEST,
				      "You may not specify both topic name and topic id.");
		else if (in->name.p)
			delete_by_name(delete, in->name);
		else if (!uuid_is_zero(in->topic_id))
			delete_by_id(delete, in->topic_id);
		else
			delete_answer(delete, STR_NULL, UUID_ZERO, ERR_INVALID_REQUEST,
				      "Neither topic name nor id were specified.");
	}
}

static void delete_refuse(struct delete *delete, const struct delete_topics_request *request, enum err err,
			  const char *text)
{
	for (int32_t i = 0; i < request->topic_names_n; i++)
		delete_answer(delete, request->topic_names[i], UUID_ZERO, err, text);
	for (int32_t i = 0; i < request->topics_n; i++)
		delete_answer(delete, request->topics[i].name, request->topics[i].topic_id, err, text);
}

enum err controller_delete_topics(struct controller *controller, int16_t version,
				  const struct delete_topics_request *request, struct delete_topics_response *response,
				  struct controller_records *records, struct arena *arena)
{
	int64_t max = (int64_t)MAX(request->topic_names_n, 0) + MAX(request->topics_n, 0);
	struct delete delete = {.controller = controller, .records = records, .arena = arena};

	msg_init(&delete_topics_response_type, response);
	response->responses = MSG_NEW_N(arena, delete_topics_response_responses, max);
	delete.out = response->responses;
	records->atomic = true;
	map_init(&delete.names, MAP_STR, rng_u64(controller->rng));
	map_init(&delete.ids, MAP_UUID, rng_u64(controller->rng));
	if (!controller->defaults.delete_topic_enable)
		delete_refuse(&delete, request, version < 3 ? ERR_INVALID_REQUEST : ERR_TOPIC_DELETION_DISABLED,
			      "Topic deletion is disabled.");
	else if (max > RECORDS_PER_OPERATION_MAX)
		delete_refuse(&delete, request, ERR_POLICY_VIOLATION,
			      "Unable to perform excessively large batch operation.");
	else
		delete_all(&delete, request);
	response->responses_n = (int32_t)(delete.out - response->responses);
	map_deinit(&delete.names);
	map_deinit(&delete.ids);
	return ERR_NONE;
}
