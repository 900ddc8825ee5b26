/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetFetch (key 9), versions 1-10: of one group, from version 8 on of many, each asked where it is coordinated. From
 * version 10 on topics are named by id: what is committed for a topic that went away has no id any more and is left
 * out.
 *
 * Same as Kafka: no offset is -1 and no error; an unknown group has no offsets.
 */
#include "api.h"
#include "coordinator_io.h"
#include "gather.h"
#include "group_offsets.h"
#include "msg/offset_fetch.h"
#include "shard.h"

struct offset_fetch_one;

struct offset_fetch {
	struct request *request;
	struct offset_fetch_one *groups;
	int32_t groups_n;
	bool require_stable;
	struct gather gather;
	struct coordinator_room room;
};

/* One group, on its way. */
struct offset_fetch_one {
	struct offset_fetch *fetch;
	struct coordinator_call call;
	struct coord_op op;
	struct offset_fetch_request_groups in; /* topics have names; those without one are left out */
	struct offset_fetch_response_groups unknown;                   /* topics whose id nobody knows */
	struct offset_fetch_response_groups decided;
};

static enum err offset_fetch_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct offset_fetch_one *one = container_of(op, struct offset_fetch_one, op);

	offsets_fetch(machine, &one->in, one->fetch->require_stable, op->arena, &one->decided);
	return ERR_NONE;
}

/* All topics were asked for, by id: those that have none now cannot be named. */
static void offset_fetch_set_ids(const struct image *image, struct offset_fetch_response_groups *group)
{
	int32_t n = 0;

	for (int32_t i = 0; i < group->topics_n; i++) {
		const struct topic_image *topic = image_topic(image, group->topics[i].name);

		if (!topic)
			continue;
		group->topics[n] = group->topics[i];
		group->topics[n++].topic_id = topic->id;
	}
	group->topics_n = n;
}

/* Topics that were not asked of the group, behind those that were. */
static void offset_fetch_add_unknown(struct offset_fetch_one *one)
{
	struct arena *arena = &one->fetch->request->arena;
	int32_t n = one->decided.topics_n + one->unknown.topics_n;
	struct offset_fetch_response_groups_topics *all;

	if (one->unknown.topics_n == 0)
		return;
	all = MSG_NEW_N(arena, offset_fetch_response_groups_topics, n);
	if (one->unknown.topics_n > 0)
		memcpy(all, one->unknown.topics, (size_t)one->unknown.topics_n * sizeof(*all));
	if (one->decided.topics_n > 0)
		memcpy(all + one->unknown.topics_n, one->decided.topics,
		       (size_t)one->decided.topics_n * sizeof(*all));
	one->decided.topics = all;
	one->decided.topics_n = n;
}

static void offset_fetch_finish(struct offset_fetch_one *one)
{
	const struct request *request = one->fetch->request;

	one->decided.group_id = one->in.group_id;
	if (one->op.err) {
		one->decided.topics_n = 0;
		one->decided.error_code = err_wire(one->op.err);
	}
	if (one->decided.error_code)
		return;
	if (request->version >= 10 && one->in.topics_n < 0)
		offset_fetch_set_ids(request->shard->image, &one->decided);
	offset_fetch_add_unknown(one);
}

/* ---- the answer of one group, before version 8 ---- */

static void offset_fetch_old_partition(const struct offset_fetch_response_groups_topics_partitions *in, int16_t error,
				       struct offset_fetch_response_topics_partitions *out)
{
	out->partition_index = in->partition_index;
	out->committed_offset = in->committed_offset;
	out->committed_leader_epoch = in->committed_leader_epoch;
	out->metadata = in->metadata;
	out->error_code = error ? error : in->error_code;
}

/* Version 1 has no error of its own: it stands at each partition that was asked for. */
static void offset_fetch_old_error(struct offset_fetch *fetch, int16_t error, struct offset_fetch_response *out)
{
	const struct offset_fetch_request_groups *in = &fetch->groups[0].in;
	struct arena *arena = &fetch->request->arena;

	out->topics = MSG_NEW_N(arena, offset_fetch_response_topics, MAX(in->topics_n, 0));
	out->topics_n = MAX(in->topics_n, 0);
	for (int32_t i = 0; i < out->topics_n; i++) {
		const struct offset_fetch_request_groups_topics *topic = &in->topics[i];

		out->topics[i].name = topic->name;
		out->topics[i].partitions = MSG_NEW_N(arena, offset_fetch_response_topics_partitions,
						      topic->partition_indexes_n);
		out->topics[i].partitions_n = topic->partition_indexes_n;
		for (int32_t j = 0; j < topic->partition_indexes_n; j++) {
			out->topics[i].partitions[j].partition_index = topic->partition_indexes[j];
			out->topics[i].partitions[j].committed_offset = -1;
			out->topics[i].partitions[j].metadata = STR("");
			out->topics[i].partitions[j].error_code = error;
		}
	}
}

static void offset_fetch_old(struct offset_fetch *fetch, struct offset_fetch_response *out)
{
	const struct offset_fetch_response_groups *group = &fetch->groups[0].decided;
	struct arena *arena = &fetch->request->arena;

	if (group->error_code && fetch->request->version < 2) {
		offset_fetch_old_error(fetch, group->error_code, out);
		return;
	}
	if (fetch->request->version >= 2)
		out->error_code = group->error_code;
	out->topics = MSG_NEW_N(arena, offset_fetch_response_topics, group->topics_n);
	out->topics_n = group->topics_n;
	for (int32_t i = 0; i < group->topics_n; i++) {
		const struct offset_fetch_response_groups_topics *topic = &group->topics[i];

		out->topics[i].name = topic->name;
		out->topics[i].partitions = MSG_NEW_N(arena, offset_fetch_response_topics_partitions,
						      topic->partitions_n);
		out->topics[i].partitions_n = topic->partitions_n;
		for (int32_t j = 0; j < topic->partitions_n; j++)
			offset_fetch_old_partition(&topic->partitions[j], 0, &out->topics[i].partitions[j]);
	}
}

static void offset_fetch_reply(struct gather *gather)
{
	struct offset_fetch *fetch = container_of(gather, struct offset_fetch, gather);
	struct request *request = fetch->request;
	struct offset_fetch_response out;

	msg_init(&offset_fetch_response_type, &out);
	for (int32_t i = 0; i < fetch->groups_n; i++)
		offset_fetch_finish(&fetch->groups[i]);
	if (request->version < 8) {
		offset_fetch_old(fetch, &out);
	} else {
		out.groups = MSG_NEW_N(&request->arena, offset_fetch_response_groups, fetch->groups_n);
		out.groups_n = fetch->groups_n;
		for (int32_t i = 0; i < fetch->groups_n; i++)
			out.groups[i] = fetch->groups[i].decided;
	}
	request_keeps(request, fetch->room.used);
	request_reply(request, &out);
}

static void offset_fetch_release(struct request *request)
{
	struct offset_fetch *fetch = request->op;

	for (int32_t i = 0; fetch && i < fetch->groups_n; i++)
		coordinator_call_free(&fetch->groups[i].call);
	request_released(request);
}

static void offset_fetch_decided(struct coordinator_call *call)
{
	gather_arrive(&container_of(call, struct offset_fetch_one, call)->fetch->gather);
}

/* ---- the request ---- */

/* From version 10 on: names for ids. What has no name is answered as unknown, and not asked for. */
static void offset_fetch_resolve(struct offset_fetch_one *one)
{
	struct request *request = one->fetch->request;
	const struct offset_fetch_request_groups_topics *in = one->in.topics;
	int32_t n = 0, in_n = one->in.topics_n;

	if (request->version < 10 || in_n < 0)
		return;
	one->in.topics = MSG_NEW_N(&request->arena, offset_fetch_request_groups_topics, in_n);
	one->unknown.topics = MSG_NEW_N(&request->arena, offset_fetch_response_groups_topics, in_n);
	for (int32_t i = 0; i < in_n; i++) {
		const struct topic_image *topic = image_topic_by_id(request->shard->image, in[i].topic_id);
		struct offset_fetch_response_groups_topics *unknown;

		if (topic) {
			one->in.topics[n] = in[i];
			one->in.topics[n++].name = arena_str(&request->arena, topic->name);
			continue;
		}
		unknown = &one->unknown.topics[one->unknown.topics_n++];
		unknown->topic_id = in[i].topic_id;
		unknown->partitions_n = in[i].partition_indexes_n;
		unknown->partitions = MSG_NEW_N(&request->arena, offset_fetch_response_groups_topics_partitions,
						in[i].partition_indexes_n);
		for (int32_t j = 0; j < in[i].partition_indexes_n; j++) {
			unknown->partitions[j].partition_index = in[i].partition_indexes[j];
			unknown->partitions[j].committed_offset = -1;
			unknown->partitions[j].metadata = STR("");
			unknown->partitions[j].error_code = err_wire(ERR_UNKNOWN_TOPIC_ID);
		}
	}
	one->in.topics_n = n;
}

/* The one group of the versions before 8, in the form of those after. */
static void offset_fetch_from_old(struct arena *arena, const struct offset_fetch_request *in,
				  struct offset_fetch_request_groups *ret)
{
	msg_init(&offset_fetch_request_groups_type, ret);
	ret->group_id = in->group_id;
	ret->topics_n = in->topics_n;
	ret->topics = MSG_NEW_N(arena, offset_fetch_request_groups_topics, in->topics_n);
	for (int32_t i = 0; i < in->topics_n; i++) {
		ret->topics[i].name = in->topics[i].name;
		ret->topics[i].partition_indexes = in->topics[i].partition_indexes;
		ret->topics[i].partition_indexes_n = in->topics[i].partition_indexes_n;
	}
}

static void offset_fetch_start(struct offset_fetch *fetch, struct offset_fetch_one *one)
{
	one->fetch = fetch;
	msg_init(&offset_fetch_response_groups_type, &one->decided);
	msg_init(&offset_fetch_response_groups_type, &one->unknown);
	offset_fetch_resolve(one);
	one->op.decide = offset_fetch_decide;
	one->call.request = fetch->request;
	one->call.room = &fetch->room;
	one->call.group_id = one->in.group_id;
	one->call.op = &one->op;
	one->call.done = offset_fetch_decided;
}

void api_offset_fetch(struct request *request)
{
	const struct offset_fetch_request *in = request->body;
	struct offset_fetch *fetch = ARENA_NEW(&request->arena, struct offset_fetch);
	int32_t n;

	if (!coordinator_calls_fit(request, in->groups_n))
		return;
	fetch->request = request;
	fetch->require_stable = in->require_stable;
	fetch->groups_n = request->version < 8 ? 1 : in->groups_n;
	fetch->groups = ARENA_NEW_N(&request->arena, struct offset_fetch_one, fetch->groups_n);
	if (request->version < 8) {
		offset_fetch_from_old(&request->arena, in, &fetch->groups[0].in);
	} else {
		for (int32_t i = 0; i < in->groups_n; i++)
			fetch->groups[i].in = in->groups[i];
	}
	request->op = fetch;
	request->release = offset_fetch_release;
	if (fetch->groups_n == 0) {
		offset_fetch_reply(&fetch->gather);
		return;
	}
	gather_start(&fetch->gather, fetch->groups_n, offset_fetch_reply);
	for (int32_t i = 0; i < fetch->groups_n; i++)
		offset_fetch_start(fetch, &fetch->groups[i]);
	n = fetch->groups_n; /* the last answer may free it */
	for (int32_t i = 0; i < n; i++)
		coordinator_call_start(&fetch->groups[i].call);
}
