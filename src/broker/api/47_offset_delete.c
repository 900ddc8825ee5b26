/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetDelete (key 47), version 0: offsets of topics that nobody in the group reads. Unknown topics and partitions are
 * answered one by one, before the group is asked.
 */
#include "api.h"
#include "coordinator_io.h"
#include "group_offsets.h"
#include "msg/offset_delete.h"
#include "shard.h"

struct offset_delete {
	struct request *request;
	struct coordinator_call call;
	struct coord_op op;
	struct offset_delete_request valid;
	struct offset_delete_response out;
	struct offset_delete_response decided;
};

static enum err offset_delete_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct offset_delete *delete = container_of(op, struct offset_delete, op);

	if (delete->valid.group_id.len == 0)
		return ERR_INVALID_GROUP_ID;
	return offsets_delete(machine, &delete->valid, &delete->decided, records);
}

/* Decided topics go behind those that are not there. */
static void offset_delete_decided(struct coordinator_call *call)
{
	struct offset_delete *delete = container_of(call, struct offset_delete, call);
	struct offset_delete_response *out = &delete->out;

	if (delete->op.err) {
		out->error_code = err_wire(delete->op.err);
		out->topics_n = 0;
	}
	for (int32_t i = 0; !delete->op.err && i < delete->decided.topics_n; i++)
		out->topics[out->topics_n++] = delete->decided.topics[i];
	request_reply(delete->request, out);
}

static void offset_delete_release(struct request *request)
{
	struct offset_delete *delete = request->op;

	coordinator_call_free(&delete->call);
	request_released(request);
}

static void offset_delete_topic(struct offset_delete *delete, const struct offset_delete_request_topics *in)
{
	struct arena *arena = &delete->request->arena;
	const struct topic_image *topic = image_topic(delete->request->shard->image, in->name);
	struct offset_delete_request_topics *valid = &delete->valid.topics[delete->valid.topics_n];
	struct offset_delete_response_topics *missing = &delete->out.topics[delete->out.topics_n];

	valid->name = in->name;
	valid->partitions = MSG_NEW_N(arena, offset_delete_request_topics_partitions, in->partitions_n);
	valid->partitions_n = 0;
	missing->name = in->name;
	missing->partitions = MSG_NEW_N(arena, offset_delete_response_topics_partitions, in->partitions_n);
	missing->partitions_n = 0;
	for (int32_t i = 0; i < in->partitions_n; i++) {
		int32_t index = in->partitions[i].partition_index;

		if (topic && index >= 0 && topic_partition(topic, index)) {
			valid->partitions[valid->partitions_n++].partition_index = index;
			continue;
		}
		missing->partitions[missing->partitions_n].partition_index = index;
		missing->partitions[missing->partitions_n++].error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
	}
	delete->valid.topics_n += valid->partitions_n > 0;
	delete->out.topics_n += missing->partitions_n > 0;
}

void api_offset_delete(struct request *request)
{
	const struct offset_delete_request *in = request->body;
	struct offset_delete *delete = ARENA_NEW(&request->arena, struct offset_delete);

	delete->request = request;
	msg_init(&offset_delete_response_type, &delete->out);
	msg_init(&offset_delete_response_type, &delete->decided);
	delete->valid = *in;
	delete->valid.topics = MSG_NEW_N(&request->arena, offset_delete_request_topics, in->topics_n + 1);
	delete->valid.topics_n = 0;
	/* A topic may be there in part: then it is answered twice. */
	delete->out.topics = MSG_NEW_N(&request->arena, offset_delete_response_topics, (int64_t)in->topics_n * 2 + 1);
	for (int32_t i = 0; i < in->topics_n; i++)
		offset_delete_topic(delete, &in->topics[i]);
	delete->op.decide = offset_delete_decide;
	delete->call.request = request;
	delete->call.group_id = in->group_id;
	delete->call.op = &delete->op;
	delete->call.done = offset_delete_decided;
	request->op = delete;
	request->release = offset_delete_release;
	coordinator_call_start(&delete->call);
}
