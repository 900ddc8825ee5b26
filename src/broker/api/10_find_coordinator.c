/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FindCoordinator (key 10), versions 0-6: the leader of the partition of __consumer_offsets that the group's id, or of
 * __transaction_state that the transactional id falls on. The topic is created on first use, and the answer held
 * until its leaders are there (at most 5 s): differs from Kafka, which answers COORDINATOR_NOT_AVAILABLE first.
 *
 * There is no coordinator of share groups yet: such keys are refused with an error that clients do
 * not retry.
 */
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "coordinator_io.h"
#include "log.h"
#include "mem.h"
#include "msg/create_topics.h"
#include "msg/find_coordinator.h"
#include "shard.h"
#include "topic_reply.h"

enum { GROUP = 0, TRANSACTION = 1, SHARE = 2 };

#define FIND_HOLD_MS 5000

struct creation;

struct find_coordinator {
	struct request *request;
	struct creation *creation; /* NULL: none is waited for */
	struct timer hold;
};

/* The creation of the topic, in memory of its own: it may take longer than the client is kept waiting. */
struct creation {
	struct controller_op op;
	struct create_topics_request create;
	struct create_topics_response created;
	struct find_coordinator *find; /* NULL: has been answered without it */
	struct shard *shard;
	int8_t type;
	struct arena arena;
};

static void find_coordinator_error(struct find_coordinator_response_coordinators *out, enum err err, struct str message)
{
	out->node_id = -1;
	out->host = STR("");
	out->port = -1;
	out->error_code = err_wire(err);
	out->error_message = message;
}

static struct str find_coordinator_topic(int8_t type)
{
	return type == TRANSACTION ? STR(TRANSACTIONS_TOPIC) : STR(OFFSETS_TOPIC);
}

static void find_coordinator_leader(const struct request *request, int8_t type, struct str key,
				    struct find_coordinator_response_coordinators *out)
{
	const struct image *image = request->shard->image;
	const struct topic_image *topic = image_topic(image, find_coordinator_topic(type));
	const struct partition_image *partition = NULL;
	const struct endpoint_image *endpoint = NULL;

	if (topic && topic->partitions_n > 0)
		partition = topic_partition(topic, coordinator_partition_of(key, topic->partitions_n));
	if (partition)
		endpoint = broker_endpoint(request, image_broker(image, partition->leader));
	if (!endpoint) {
		find_coordinator_error(out, ERR_COORDINATOR_NOT_AVAILABLE,
				       request->version >= 4 ? STR("")
							     : str_of(err_text(ERR_COORDINATOR_NOT_AVAILABLE)));
		return;
	}
	out->node_id = partition->leader;
	out->host = endpoint->host;
	out->port = endpoint->port;
	/* Kafka's words, which changed with the form of the answer. */
	out->error_message = request->version >= 4 ? STR("") : STR("NONE");
}

static void find_coordinator_key(const struct request *request, int8_t type, struct str key,
				   struct find_coordinator_response_coordinators *out)
{
	out->key = key;
	if (type == GROUP || (type == TRANSACTION && request->version >= 1))
		find_coordinator_leader(request, type, key, out);
	else if (type == SHARE && request->version >= 6)
		find_coordinator_error(out, ERR_UNSUPPORTED_VERSION,
				       STR("This broker has no share coordinator yet."));
	else
		find_coordinator_error(out, ERR_INVALID_REQUEST, STR("There is no such kind of coordinator."));
}

static void find_coordinator_reply(struct find_coordinator *find)
{
	struct request *request = find->request;
	const struct find_coordinator_request *in = request->body;
	struct find_coordinator_response out;

	msg_init(&find_coordinator_response_type, &out);
	if (request->version < 4) {
		struct find_coordinator_response_coordinators one;

		msg_init(&find_coordinator_response_coordinators_type, &one);
		find_coordinator_key(request, in->key_type, in->key, &one);
		out.error_code = one.error_code;
		if (request->version >= 1)
			out.error_message = one.error_message;
		out.node_id = one.node_id;
		out.host = one.host;
		out.port = one.port;
		request_reply(request, &out);
		return;
	}
	out.coordinators = MSG_NEW_N(&request->arena, find_coordinator_response_coordinators, in->coordinator_keys_n);
	out.coordinators_n = in->coordinator_keys_n;
	for (int32_t i = 0; i < in->coordinator_keys_n; i++)
		find_coordinator_key(request, in->key_type, in->coordinator_keys[i], &out.coordinators[i]);
	request_reply(request, &out);
}

/* ---- creating the topic ---- */

static enum err find_coordinator_decide(struct controller *controller, struct controller_op *op,
					struct controller_records *records)
{
	return controller_create_topics(controller, op->version, op->request, op->response, records, op->arena);
}

/* Answers as things are; the creation goes on. */
static void find_coordinator_hold_ends(struct find_coordinator *find)
{
	if (!find->creation)
		return;
	find->creation->find = NULL;
	find->creation = NULL;
	timer_stop(&find->request->shard->reactor->timers, &find->hold);
	find_coordinator_reply(find);
}

static void find_coordinator_timed_out(struct timer *timer)
{
	find_coordinator_hold_ends(container_of(timer, struct find_coordinator, hold));
}

static void find_coordinator_cancel(struct request *request)
{
	find_coordinator_hold_ends(request->op);
}

static void find_coordinator_created(struct controller_op *op)
{
	struct creation *creation = op->ctx;
	struct shard *shard = creation->shard;

	/* Somebody else may have created it just before: then all is well. */
	if (op->err || (creation->created.topics_n > 0 && creation->created.topics[0].error_code &&
			creation->created.topics[0].error_code != ERR_TOPIC_ALREADY_EXISTS)) {
		struct str why = op->err ? str_of(err_text(op->err)) : creation->created.topics[0].error_message;

		log_warn("coordinator.create", "topic=" OFFSETS_TOPIC " text=\"%.*s\"", STR_ARGS(why));
	}
	if (creation->find)
		find_coordinator_hold_ends(creation->find);
	arena_reset(&creation->arena);
	mem_free(creation);
	shard->requests_n--;
}

static int32_t brokers_alive_n(const struct image *image)
{
	const struct broker_image *broker;
	int32_t n = 0;

	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id)
		n += !broker->fenced;
	return n;
}

struct creation_config {
	const char *name;
	struct str value;
};

static void creation_configs(struct creation *creation, struct create_topics_request_topics *topic,
			     const struct creation_config *configs, int32_t n)
{
	topic->configs = MSG_NEW_N(&creation->arena, create_topics_request_topics_configs, n);
	topic->configs_n = n;
	for (int32_t i = 0; i < n; i++) {
		topic->configs[i].name = str_of(configs[i].name);
		topic->configs[i].value = configs[i].value;
	}
}

static void creation_offsets(struct creation *creation, struct create_topics_request_topics *topic)
{
	const struct broker_config *config = creation->shard->config;
	const struct creation_config configs[] = {
		{"compression.type", STR("producer")},
		{"cleanup.policy", STR("compact")},
		{"segment.bytes", arena_printf(&creation->arena, "%d", config->offsets_topic_segment_bytes)},
	};

	topic->num_partitions = config->offsets_topic_num_partitions;
	topic->replication_factor =
		internal_topic_copies(&config->eff.offsets_topic, brokers_alive_n(creation->shard->image));
	creation_configs(creation, topic, configs, ARRAY_N(configs));
}

static void creation_transactions(struct creation *creation, struct create_topics_request_topics *topic)
{
	const struct broker_config *config = creation->shard->config;
	const struct creation_config configs[] = {
		{"compression.type", STR("uncompressed")},
		{"cleanup.policy", STR("compact")},
		{"min.insync.replicas",
		 arena_printf(&creation->arena, "%d", config->eff.transaction_topic.min_isr)},
		{"segment.bytes", arena_printf(&creation->arena, "%d", config->transaction_state_log_segment_bytes)},
		{"unclean.leader.election.enable", STR("false")},
	};

	topic->num_partitions = config->transaction_state_log_num_partitions;
	topic->replication_factor =
		internal_topic_copies(&config->eff.transaction_topic, brokers_alive_n(creation->shard->image));
	creation_configs(creation, topic, configs, ARRAY_N(configs));
}

static void creation_fill(struct creation *creation)
{
	struct create_topics_request_topics *topic;

	msg_init(&create_topics_request_type, &creation->create);
	msg_init(&create_topics_response_type, &creation->created);
	topic = MSG_NEW(&creation->arena, create_topics_request_topics);
	topic->name = find_coordinator_topic(creation->type);
	if (creation->type == TRANSACTION)
		creation_transactions(creation, topic);
	else
		creation_offsets(creation, topic);
	creation->create.timeout_ms = FIND_HOLD_MS;
	creation->create.topics = topic;
	creation->create.topics_n = 1;
}

static void find_coordinator_create(struct find_coordinator *find)
{
	struct request *request = find->request;
	struct shard *shard = request->shard;
	struct creation *creation = MEM_NEW(struct creation);

	creation->shard = shard;
	creation->find = find;
	creation->type = ((const struct find_coordinator_request *)request->body)->key_type;
	creation_fill(creation);
	creation->op = (struct controller_op){
		.home = shard->reactor,
		.arena = &creation->arena,
		.request = &creation->create,
		.response = &creation->created,
		.version = 7,
		.decide = find_coordinator_decide,
		.done = find_coordinator_created,
		.ctx = creation,
	};
	find->creation = creation;
	request->op = find;
	request->cancel = find_coordinator_cancel;
	shard->requests_n++; /* the stop waits for it */
	reactor_timer(shard->reactor, &find->hold, FIND_HOLD_MS * NS_PER_MS, find_coordinator_timed_out);
	controller_submit(shard->broker, &creation->op);
}

void api_find_coordinator(struct request *request)
{
	const struct find_coordinator_request *in = request->body;
	struct find_coordinator *find = ARENA_NEW(&request->arena, struct find_coordinator);
	bool asks_any = request->version < 4 || in->coordinator_keys_n > 0;
	bool is_ours = in->key_type == GROUP || (in->key_type == TRANSACTION && request->version >= 1);

	find->request = request;
	if (is_ours && asks_any && !image_topic(request->shard->image, find_coordinator_topic(in->key_type)))
		find_coordinator_create(find);
	else
		find_coordinator_reply(find);
}
