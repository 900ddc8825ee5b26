/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListPartitionReassignments (key 46), version 0: the partitions that are on their way to other brokers, all or those
 * that are named; what is unknown is left out, as in Kafka. Told from this reactor's image.
 */
#include "api.h"
#include "msg/list_partition_reassignments.h"
#include "shard.h"

struct list_moves {
	struct request *request;
	struct list_partition_reassignments_response out;
};

static void list_move(struct list_partition_reassignments_response_topics *topic,
		      const struct partition_image *partition, int32_t index)
{
	struct list_partition_reassignments_response_topics_partitions *out = &topic->partitions[topic->partitions_n++];

	out->partition_index = index;
	out->replicas = (int32_t *)partition->replicas;
	out->replicas_n = partition->replicas_n;
	out->adding_replicas = (int32_t *)partition->adding;
	out->adding_replicas_n = partition->adding_n;
	out->removing_replicas = (int32_t *)partition->removing;
	out->removing_replicas_n = partition->removing_n;
}

static bool partition_moves(const struct partition_image *partition)
{
	return partition && (partition->adding_n > 0 || partition->removing_n > 0);
}

/* `indexes` NULL: all partitions. */
static void list_topic(struct list_moves *list, const struct topic_image *topic, const int32_t *indexes, int32_t n)
{
	struct list_partition_reassignments_response_topics *out = &list->out.topics[list->out.topics_n];

	for (int32_t i = 0; i < n; i++) {
		int32_t index = indexes ? indexes[i] : i;
		const struct partition_image *partition = topic_partition(topic, index);

		if (!partition_moves(partition))
			continue;
		if (!out->partitions)
			out->partitions = MSG_NEW_N(&list->request->arena,
						    list_partition_reassignments_response_topics_partitions, n - i);
		list_move(out, partition, index);
	}
	if (out->partitions_n == 0)
		return;
	out->name = topic->name;
	list->out.topics_n++;
}

void api_list_partition_reassignments(struct request *request)
{
	const struct list_partition_reassignments_request *in = request->body;
	const struct image *image = request->shard->image;
	struct list_moves *list = ARENA_NEW(&request->arena, struct list_moves);
	int32_t max = in->topics_n < 0 ? image->topics_n : in->topics_n;
	const struct topic_image *topic;

	list->request = request;
	msg_init(&list_partition_reassignments_response_type, &list->out);
	list->out.error_message = STR_NULL;
	list->out.topics = MSG_NEW_N(&request->arena, list_partition_reassignments_response_topics, max);
	for (int32_t i = 0; i < in->topics_n; i++) {
		topic = image_topic(image, in->topics[i].name);
		if (topic)
			list_topic(list, topic, in->topics[i].partition_indexes, in->topics[i].partition_indexes_n);
	}
	for (struct str after = STR_NULL; in->topics_n < 0 && (topic = image_topic_next(image, after)) != NULL;
	     after = topic->name)
		list_topic(list, topic, NULL, topic->partitions_n);
	request_reply(request, &list->out);
}
