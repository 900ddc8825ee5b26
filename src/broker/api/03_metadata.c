/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata (key 3), versions 0-13: brokers, topics, leaders, from the shard's image.
 *
 * A topic that is not there is created where client and configuration allow it, and the answer is held until the new
 * leader serves (at most 2 s): differs from Kafka, which answers LEADER_NOT_AVAILABLE first.
 *
 * Same as Kafka: in version 0 an empty list asks for all topics, later only null does; ids may be asked from version 12
 * (10 and 11 have the field but refuse it); the controller id is any live broker, because admin requests may go there;
 * authorised operations are all set where they are asked for.
 */
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "internal_topics.h"
#include "map.h"
#include "mem.h"
#include "msg/create_topics.h"
#include "msg/metadata.h"
#include "shard.h"
#include "topic_reply.h"

#define METADATA_HOLD_MS 2000

struct metadata {
	struct request *request;
	const struct metadata_request *in;
	struct metadata_response out;
	struct creation *creation; /* NULL: none is waited for */
	struct timer hold;
	struct map refused; /* names that the controller called invalid */
};

/* A creation under way, in memory of its own: the controller may take longer than the client is kept waiting. */
struct creation {
	struct controller_op op;
	struct create_topics_request create;
	struct create_topics_response created;
	struct metadata *metadata; /* NULL: has been answered without it */
	struct shard *shard;
	struct arena arena;
};

static void metadata_brokers(struct metadata *metadata)
{
	struct request *request = metadata->request;
	const struct image *image = request->shard->image;
	const struct broker_image *broker;
	int32_t n = 0;

	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id)
		n++;
	metadata->out.brokers = MSG_NEW_N(&request->arena, metadata_response_brokers, n);
	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id) {
		const struct endpoint_image *endpoint = broker_endpoint(request, broker);
		struct metadata_response_brokers *out;

		if (!endpoint)
			continue;
		out = &metadata->out.brokers[metadata->out.brokers_n++];
		out->node_id = broker->id;
		out->host = endpoint->host;
		out->port = endpoint->port;
		out->rack = broker->rack;
	}
}

static void metadata_partition(struct metadata *metadata, const struct partition_image *partition, int32_t index,
			       struct metadata_response_topics_partitions *out)
{
	struct request *request = metadata->request;
	enum err err = partition_leader_error(request, partition);

	/* Versions 0-5 know no LISTENER_NOT_FOUND. */
	if (err == ERR_LISTENER_NOT_FOUND && request->version < 6)
		err = ERR_LEADER_NOT_AVAILABLE;
	out->error_code = err_wire(err);
	out->partition_index = index;
	out->leader_id = err ? LEADER_NONE : partition->leader;
	out->leader_epoch = partition->leader_epoch;
	out->replica_nodes = (int32_t *)partition->replicas;
	out->replica_nodes_n = partition->replicas_n;
	out->isr_nodes = (int32_t *)partition->isr;
	out->isr_nodes_n = partition->isr_n;
	out->offline_replicas = offline_replicas(request->shard->image, partition, &request->arena,
						 &out->offline_replicas_n);
}

static void metadata_topic(struct metadata *metadata, const struct topic_image *topic,
			   struct metadata_response_topics *out)
{
	out->name = topic->name;
	out->topic_id = topic->id;
	out->is_internal = internal_topic_is(topic->name);
	out->partitions = MSG_NEW_N(&metadata->request->arena, metadata_response_topics_partitions,
				    topic->partitions_n);
	for (int32_t i = 0; i < topic->partitions_n; i++) {
		const struct partition_image *partition = topic_partition(topic, i);

		if (partition)
			metadata_partition(metadata, partition, i, &out->partitions[out->partitions_n++]);
	}
	if (metadata->in->include_topic_authorized_operations)
		out->topic_authorized_operations = OPERATIONS_TOPIC;
}

static bool metadata_wants_all(const struct metadata *metadata)
{
	if (metadata->request->version == 0)
		return metadata->in->topics_n <= 0;
	return metadata->in->topics_n < 0;
}

static bool metadata_asks_id(const struct metadata_request_topics *in)
{
	return !uuid_is_zero(in->topic_id);
}

/* What the answer says of a topic that is not there. */
static enum err metadata_missing(const struct metadata *metadata, const struct metadata_request_topics *in)
{
	if (metadata_asks_id(in))
		return ERR_UNKNOWN_TOPIC_ID;
	if (!in->name.p)
		return ERR_INVALID_REQUEST;
	if (!topic_name_is_valid(in->name))
		return ERR_INVALID_TOPIC_EXCEPTION;
	return map_get_str(&metadata->refused, in->name) ? ERR_INVALID_TOPIC_EXCEPTION : ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

static const struct topic_image *metadata_find(const struct metadata *metadata,
					       const struct metadata_request_topics *in)
{
	const struct image *image = metadata->request->shard->image;

	return metadata_asks_id(in) ? image_topic_by_id(image, in->topic_id) : image_topic(image, in->name);
}

static void metadata_asked_topics(struct metadata *metadata)
{
	const struct metadata_request *in = metadata->in;

	metadata->out.topics = MSG_NEW_N(&metadata->request->arena, metadata_response_topics, in->topics_n);
	metadata->out.topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct topic_image *topic = metadata_find(metadata, &in->topics[i]);
		struct metadata_response_topics *out = &metadata->out.topics[i];

		if (topic) {
			metadata_topic(metadata, topic, out);
			continue;
		}
		out->name = in->topics[i].name;
		out->topic_id = in->topics[i].topic_id;
		out->is_internal = internal_topic_is(out->name);
		out->error_code = err_wire(metadata_missing(metadata, &in->topics[i]));
	}
}

static void metadata_all_topics(struct metadata *metadata)
{
	const struct image *image = metadata->request->shard->image;
	const struct topic_image *topic;

	metadata->out.topics = MSG_NEW_N(&metadata->request->arena, metadata_response_topics, image->topics_n);
	for (struct str after = STR_NULL; (topic = image_topic_next(image, after)) != NULL; after = topic->name)
		metadata_topic(metadata, topic, &metadata->out.topics[metadata->out.topics_n++]);
}

static void metadata_reply(struct metadata *metadata)
{
	struct request *request = metadata->request;

	metadata_brokers(metadata);
	metadata->out.cluster_id = request->shard->broker->cluster_id;
	metadata->out.controller_id = metadata->out.brokers_n > 0 ? metadata->out.brokers[0].node_id : -1;
	if (metadata->in->include_cluster_authorized_operations)
		metadata->out.cluster_authorized_operations = OPERATIONS_CLUSTER;
	if (metadata_wants_all(metadata))
		metadata_all_topics(metadata);
	else
		metadata_asked_topics(metadata);
	map_deinit(&metadata->refused);
	request_reply(request, &metadata->out);
}

/* ---- creating what is missing ---- */

static enum err metadata_create_decide(struct controller *controller, struct controller_op *op,
				       struct controller_records *records)
{
	return controller_create_topics(controller, op->version, op->request, op->response, records, op->arena);
}

static void creation_free(struct creation *creation)
{
	arena_reset(&creation->arena);
	mem_free(creation);
}

static void metadata_created(struct controller_op *op)
{
	struct creation *creation = op->ctx;
	struct metadata *metadata = creation->metadata;
	struct shard *shard = creation->shard;

	for (int32_t i = 0; metadata && !op->err && i < creation->created.topics_n; i++) {
		struct create_topics_response_topics *created = &creation->created.topics[i];

		if (created->error_code == ERR_INVALID_TOPIC_EXCEPTION)
			map_put_str(&metadata->refused, created->name, created);
	}
	if (metadata) {
		metadata->creation = NULL;
		timer_stop(&shard->reactor->timers, &metadata->hold);
		metadata_reply(metadata);
	}
	creation_free(creation);
	shard->requests_n--;
}

/* Answers as things are; the creation goes on. */
static void metadata_hold_ends(struct metadata *metadata)
{
	if (!metadata->creation)
		return;
	metadata->creation->metadata = NULL;
	metadata->creation = NULL;
	timer_stop(&metadata->request->shard->reactor->timers, &metadata->hold);
	metadata_reply(metadata);
}

static void metadata_hold_timed_out(struct timer *timer)
{
	metadata_hold_ends(container_of(timer, struct metadata, hold));
}

static void metadata_cancel(struct request *request)
{
	metadata_hold_ends(request->op);
}

/* Collects the missing topics into a CreateTopics; NULL when there is nothing to create. */
static struct creation *creation_new(const struct metadata *metadata)
{
	const struct metadata_request *in = metadata->in;
	struct creation *creation = MEM_NEW(struct creation);

	msg_init(&create_topics_request_type, &creation->create);
	msg_init(&create_topics_response_type, &creation->created);
	creation->create.timeout_ms = METADATA_HOLD_MS;
	creation->create.topics = MSG_NEW_N(&creation->arena, create_topics_request_topics, in->topics_n);
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct metadata_request_topics *topic = &in->topics[i];
		struct create_topics_request_topics *create;

		if (metadata_asks_id(topic) || metadata_find(metadata, topic) || !topic_name_is_valid(topic->name) ||
		    internal_topic_is(topic->name))
			continue;
		create = &creation->create.topics[creation->create.topics_n++];
		create->name = arena_str(&creation->arena, topic->name);
		create->num_partitions = -1;
		create->replication_factor = -1;
	}
	if (creation->create.topics_n > 0)
		return creation;
	creation_free(creation);
	return NULL;
}

/* Has the controller create what is missing; false when there is nothing to create. */
static bool metadata_create(struct metadata *metadata)
{
	struct request *request = metadata->request;
	struct shard *shard = request->shard;
	struct creation *creation;

	if (!shard->broker->config.auto_create_topics_enable || metadata_wants_all(metadata) ||
	    (request->version >= 4 && !metadata->in->allow_auto_topic_creation))
		return false;
	creation = creation_new(metadata);
	if (!creation)
		return false;
	creation->metadata = metadata;
	creation->shard = shard;
	creation->op = (struct controller_op){
		.home = shard->reactor,
		.arena = &creation->arena,
		.request = &creation->create,
		.response = &creation->created,
		.version = 7,
		.decide = metadata_create_decide,
		.done = metadata_created,
		.ctx = creation,
	};
	metadata->creation = creation;
	request->op = metadata;
	request->cancel = metadata_cancel;
	shard->requests_n++; /* the stop waits for it */
	reactor_timer(shard->reactor, &metadata->hold, METADATA_HOLD_MS * NS_PER_MS, metadata_hold_timed_out);
	controller_submit(shard->broker, &creation->op);
	return true;
}

static bool metadata_is_refused(struct metadata *metadata)
{
	const struct metadata_request *in = metadata->in;
	bool refused = false;

	if (metadata->request->version < 10 || metadata->request->version >= 12)
		return false;
	for (int32_t i = 0; i < in->topics_n; i++)
		refused |= metadata_asks_id(&in->topics[i]) || !in->topics[i].name.p;
	return refused;
}

static void metadata_refuse(struct metadata *metadata)
{
	const struct metadata_request *in = metadata->in;

	metadata->out.topics = MSG_NEW_N(&metadata->request->arena, metadata_response_topics, in->topics_n);
	metadata->out.topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		metadata->out.topics[i].name = in->topics[i].name.p ? in->topics[i].name : STR("");
		metadata->out.topics[i].topic_id = in->topics[i].topic_id;
		metadata->out.topics[i].error_code = ERR_INVALID_REQUEST;
	}
	request_reply(metadata->request, &metadata->out);
}

/* Who asks for a topic twice is told once, as Kafka does: else a small request could ask for an answer without end. */
static void metadata_drop_repeated(struct metadata_request *in, uint64_t seed)
{
	struct map names, ids;
	int32_t n = 0;

	map_init(&names, MAP_STR, seed);
	map_init(&ids, MAP_UUID, seed);
	for (int32_t i = 0; i < in->topics_n; i++) {
		struct metadata_request_topics *topic = &in->topics[i];
		struct str name = topic->name.p ? topic->name : STR("");
		void *known = metadata_asks_id(topic) ? map_get_uuid(&ids, topic->topic_id) : map_get_str(&names, name);

		if (known)
			continue;
		if (metadata_asks_id(topic))
			map_put_uuid(&ids, topic->topic_id, topic);
		else
			map_put_str(&names, name, topic);
		in->topics[n++] = *topic;
	}
	if (in->topics_n > 0)
		in->topics_n = n;
	map_deinit(&names);
	map_deinit(&ids);
}

void api_metadata(struct request *request)
{
	struct metadata *metadata = ARENA_NEW(&request->arena, struct metadata);

	metadata->request = request;
	metadata->in = request->body;
	msg_init(&metadata_response_type, &metadata->out);
	map_init(&metadata->refused, MAP_STR, request->shard->reactor->node->hash_seed);
	metadata_drop_repeated(request->body, request->shard->reactor->node->hash_seed);
	if (metadata_is_refused(metadata))
		metadata_refuse(metadata);
	else if (!metadata_create(metadata))
		metadata_reply(metadata);
}
