/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetCommit (key 8), versions 2-10: what is about topics is checked here, in the image; the rest goes to the group's
 * coordinator. From version 10 on topics are named by id.
 *
 * Same as Kafka: unknown topics and partitions are answered one by one and stand first in the answer; an error of the
 * group is everybody's; a topic that appears twice is answered once.
 */
#include "api.h"
#include "coordinator_io.h"
#include "group_offsets.h"
#include "msg/offset_commit.h"
#include "node.h"
#include "shard.h"

struct offset_commit {
	struct request *request;
	struct coordinator_call call;
	struct coord_op op;
	struct offset_commit_request valid; /* what exists */
	struct offset_commit_response out;  /* of what does not */
	struct offset_commit_response decided;
	struct map topics; /* of `out`, by name or id */
};

static struct offset_commit_response_topics *offset_commit_answer_topic(struct offset_commit *commit, struct str name,
									struct uuid id)
{
	bool by_id = commit->request->version >= 10;
	struct offset_commit_response_topics *topic =
		by_id ? map_get_uuid(&commit->topics, id) : map_get_str(&commit->topics, name);

	if (topic)
		return topic;
	topic = &commit->out.topics[commit->out.topics_n++];
	topic->name = name;
	if (by_id)
		topic->topic_id = id;
	if (by_id)
		map_put_uuid(&commit->topics, id, topic);
	else
		map_put_str(&commit->topics, name, topic);
	return topic;
}

/* Memory for partitions goes up in powers of two: a topic may be named again and again. */
static int32_t offset_commit_cap(int32_t n)
{
	int32_t cap = 1;

	while (cap < n)
		cap *= 2;
	return n > 0 ? cap : 0;
}

static void offset_commit_answer(struct offset_commit *commit, struct str name, struct uuid id,
				 const struct offset_commit_response_topics_partitions *partitions, int32_t n)
{
	struct offset_commit_response_topics *topic = offset_commit_answer_topic(commit, name, id);
	int32_t before_n = topic->partitions_n;
	int32_t cap = offset_commit_cap(before_n + n);

	if (cap > offset_commit_cap(before_n)) {
		struct offset_commit_response_topics_partitions *grown =
			MSG_NEW_N(&commit->request->arena, offset_commit_response_topics_partitions, cap);

		if (before_n > 0)
			memcpy(grown, topic->partitions, (size_t)before_n * sizeof(*grown));
		topic->partitions = grown;
	}
	if (n > 0)
		memcpy(topic->partitions + before_n, partitions, (size_t)n * sizeof(*partitions));
	topic->partitions_n += n;
}

static void offset_commit_refuse(struct offset_commit *commit, const struct offset_commit_request_topics *in,
				 const struct offset_commit_request_topics_partitions *partitions, int32_t n,
				 enum err err)
{
	struct offset_commit_response_topics_partitions *refused =
		MSG_NEW_N(&commit->request->arena, offset_commit_response_topics_partitions, n);

	for (int32_t i = 0; i < n; i++) {
		refused[i].partition_index = partitions[i].partition_index;
		refused[i].error_code = err_wire(err);
	}
	if (n > 0)
		offset_commit_answer(commit, in->name, in->topic_id, refused, n);
}

/* Sorts the partitions of one topic into what exists and what does not. */
static void offset_commit_topic(struct offset_commit *commit, const struct offset_commit_request_topics *in)
{
	struct request *request = commit->request;
	const struct image *image = request->shard->image;
	const struct topic_image *topic = request->version >= 10 ? image_topic_by_id(image, in->topic_id)
								  : image_topic(image, in->name);
	struct offset_commit_request_topics *valid = &commit->valid.topics[commit->valid.topics_n];
	struct offset_commit_request_topics_partitions *missing;
	int32_t missing_n = 0;

	if (!topic) {
		offset_commit_refuse(commit, in, in->partitions, in->partitions_n,
				     request->version >= 10 ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION);
		return;
	}
	missing = MSG_NEW_N(&request->arena, offset_commit_request_topics_partitions, in->partitions_n);
	valid->name = arena_str(&request->arena, topic->name);
	valid->topic_id = topic->id; /* the record tells it in any version */
	valid->partitions = MSG_NEW_N(&request->arena, offset_commit_request_topics_partitions, in->partitions_n);
	for (int32_t i = 0; i < in->partitions_n; i++) {
		int32_t index = in->partitions[i].partition_index;

		if (index >= 0 && topic_partition(topic, index))
			valid->partitions[valid->partitions_n++] = in->partitions[i];
		else
			missing[missing_n++] = in->partitions[i];
	}
	offset_commit_refuse(commit, in, missing, missing_n, ERR_UNKNOWN_TOPIC_OR_PARTITION);
	commit->valid.topics_n += valid->partitions_n > 0;
}

static enum err offset_commit_decide(struct coord_op *op, void *machine, struct coord_records *records)
{
	struct offset_commit *commit = container_of(op, struct offset_commit, op);

	return offsets_commit(machine, &commit->valid, commit->request->version, &commit->decided, records);
}

static enum err offset_commit_error(enum err err)
{
	return err == ERR_MESSAGE_TOO_LARGE ? ERR_INVALID_COMMIT_OFFSET_SIZE : err;
}

static void offset_commit_reply(struct offset_commit *commit)
{
	map_deinit(&commit->topics);
	request_reply(commit->request, &commit->out);
}

static void offset_commit_decided(struct coordinator_call *call)
{
	struct offset_commit *commit = container_of(call, struct offset_commit, call);
	enum err err = offset_commit_error(commit->op.err);

	for (int32_t i = 0; i < commit->valid.topics_n; i++) {
		const struct offset_commit_request_topics *in = &commit->valid.topics[i];

		if (err)
			offset_commit_refuse(commit, in, in->partitions, in->partitions_n, err);
		else
			offset_commit_answer(commit, in->name, in->topic_id, commit->decided.topics[i].partitions,
					     commit->decided.topics[i].partitions_n);
	}
	coordinator_call_free(call);
	offset_commit_reply(commit);
}

void api_offset_commit(struct request *request)
{
	const struct offset_commit_request *in = request->body;
	struct offset_commit *commit = ARENA_NEW(&request->arena, struct offset_commit);

	commit->request = request;
	msg_init(&offset_commit_response_type, &commit->out);
	msg_init(&offset_commit_response_type, &commit->decided);
	map_init(&commit->topics, request->version >= 10 ? MAP_UUID : MAP_STR,
		 request->shard->reactor->node->hash_seed);
	commit->out.topics = MSG_NEW_N(&request->arena, offset_commit_response_topics, in->topics_n);
	commit->valid = *in;
	commit->valid.topics = MSG_NEW_N(&request->arena, offset_commit_request_topics, in->topics_n);
	commit->valid.topics_n = 0;
	for (int32_t i = 0; i < in->topics_n; i++)
		offset_commit_topic(commit, &in->topics[i]);
	if (commit->valid.topics_n == 0) {
		offset_commit_reply(commit);
		return;
	}
	commit->op.decide = offset_commit_decide;
	commit->call.request = request;
	commit->call.group_id = in->group_id;
	commit->call.op = &commit->op;
	commit->call.done = offset_commit_decided;
	coordinator_call_start(&commit->call);
}
