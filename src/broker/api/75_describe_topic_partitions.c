/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTopicPartitions (key 75), version 0 (KIP-966): topics in name order, in pages of at most
 * max.request.partition.size.limit partitions, with a cursor to go on from.
 */
#include <stdlib.h>

#include "api.h"
#include "broker.h"
#include "internal_topics.h"
#include "msg/describe_topic_partitions.h"
#include "shard.h"
#include "topic_reply.h"

struct describe_partitions {
	struct request *request;
	const struct describe_topic_partitions_request *in;
	struct describe_topic_partitions_response out;
	int32_t left; /* partitions that still fit */
};

static int describe_partitions_cmp(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted names without repetitions: n > 0. */
static int32_t describe_partitions_unique(struct str *names, int32_t n)
{
	int32_t kept = 1;

	for (int32_t i = 1; i < n; i++) {
		if (!str_eq(names[i], names[kept - 1]))
			names[kept++] = names[i];
	}
	return kept;
}

/* The asked names (all when none are asked) from the cursor on, sorted. */
static struct str *describe_partitions_names(const struct describe_partitions *d, int32_t *ret_n)
{
	const struct image *image = d->request->shard->image;
	struct str from = d->in->cursor ? d->in->cursor->topic_name : STR("");
	int32_t max = d->in->topics_n > 0 ? d->in->topics_n : image->topics_n;
	struct str *names = ARENA_NEW_N(&d->request->arena, struct str, max);
	const struct topic_image *topic;
	int32_t n = 0;

	for (int32_t i = 0; i < d->in->topics_n; i++) {
		if (str_cmp(d->in->topics[i].name, from) >= 0)
			names[n++] = d->in->topics[i].name;
	}
	if (n > 0) {
		qsort(names, (size_t)n, sizeof(*names), describe_partitions_cmp);
		n = describe_partitions_unique(names, n);
	}
	for (struct str after = STR_NULL;
	     d->in->topics_n <= 0 && (topic = image_topic_next(image, after)) != NULL; after = topic->name) {
		if (str_cmp(topic->name, from) >= 0)
			names[n++] = topic->name;
	}
	*ret_n = n;
	return names;
}

static void describe_partition(struct describe_partitions *d, const struct partition_image *partition, int32_t index,
			       struct describe_topic_partitions_response_topics_partitions *out)
{
	enum err err = partition_leader_error(d->request, partition);

	out->error_code = err_wire(err);
	out->partition_index = index;
	out->leader_id = err ? LEADER_NONE : partition->leader;
	out->leader_epoch = partition->leader_epoch;
	out->replica_nodes = (int32_t *)partition->replicas;
	out->replica_nodes_n = partition->replicas_n;
	out->isr_nodes = (int32_t *)partition->isr;
	out->isr_nodes_n = partition->isr_n;
	out->eligible_leader_replicas = (int32_t *)partition->elr;
	out->eligible_leader_replicas_n = partition->elr_n;
	out->last_known_elr = (int32_t *)partition->last_known_elr;
	out->last_known_elr_n = partition->last_known_elr_n;
	out->offline_replicas = offline_replicas(d->request->shard->image, partition, &d->request->arena,
						 &out->offline_replicas_n);
}

/* Where the next page begins. */
static void describe_partitions_stop(struct describe_partitions *d, struct str topic, int32_t partition)
{
	d->out.next_cursor = MSG_NEW(&d->request->arena, describe_topic_partitions_response_next_cursor);
	d->out.next_cursor->topic_name = topic;
	d->out.next_cursor->partition_index = partition;
}

/* False when the page is full. */
static bool describe_partitions_topic(struct describe_partitions *d, struct str name,
				      struct describe_topic_partitions_response_topics *out)
{
	const struct topic_image *topic = image_topic(d->request->shard->image, name);
	int32_t first = 0;

	out->name = name;
	out->is_internal = internal_topic_is(name);
	out->topic_authorized_operations = OPERATIONS_TOPIC;
	if (!topic) {
		out->error_code = topic_name_is_valid(name) ? ERR_UNKNOWN_TOPIC_OR_PARTITION
							    : ERR_INVALID_TOPIC_EXCEPTION;
		return true;
	}
	if (d->in->cursor && str_eq(d->in->cursor->topic_name, name))
		first = MIN(MAX(d->in->cursor->partition_index, 0), topic->partitions_n);
	out->topic_id = topic->id;
	out->partitions = MSG_NEW_N(&d->request->arena, describe_topic_partitions_response_topics_partitions,
				    MIN(d->left, topic->partitions_n - first));
	for (int32_t i = first; i < topic->partitions_n; i++) {
		const struct partition_image *partition = topic_partition(topic, i);

		if (!partition)
			continue;
		if (d->left == 0) {
			describe_partitions_stop(d, name, i);
			return false;
		}
		describe_partition(d, partition, i, &out->partitions[out->partitions_n++]);
		d->left--;
	}
	return true;
}

/* A cursor has to stand on one of the topics that are asked for, and within it. */
static bool describe_partitions_may(const struct describe_topic_partitions_request *in)
{
	if (!in->cursor)
		return true;
	if (in->cursor->partition_index < 0)
		return false;
	for (int32_t i = 0; i < in->topics_n; i++) {
		if (str_eq(in->topics[i].name, in->cursor->topic_name))
			return true;
	}
	return in->topics_n <= 0;
}

static void describe_partitions_refuse(struct describe_partitions *d)
{
	int32_t n = MAX(d->in->topics_n, 0);

	d->out.topics = MSG_NEW_N(&d->request->arena, describe_topic_partitions_response_topics, n);
	d->out.topics_n = n;
	for (int32_t i = 0; i < n; i++) {
		d->out.topics[i].name = d->in->topics[i].name;
		d->out.topics[i].error_code = err_wire(ERR_INVALID_REQUEST);
	}
	request_reply(d->request, &d->out);
}

void api_describe_topic_partitions(struct request *request)
{
	struct describe_partitions *d = ARENA_NEW(&request->arena, struct describe_partitions);
	struct str *names;
	int32_t n;

	d->request = request;
	d->in = request->body;
	msg_init(&describe_topic_partitions_response_type, &d->out);
	if (!describe_partitions_may(d->in)) {
		describe_partitions_refuse(d);
		return;
	}
	d->left = MIN(MAX(d->in->response_partition_limit, 1),
		      request->shard->broker->config.max_request_partition_size_limit);
	names = describe_partitions_names(d, &n);
	d->out.topics = MSG_NEW_N(&request->arena, describe_topic_partitions_response_topics, n);
	for (int32_t i = 0; i < n; i++) {
		if (i > 0 && d->left == 0) {
			describe_partitions_stop(d, names[i], 0);
			break;
		}
		if (!describe_partitions_topic(d, names[i], &d->out.topics[d->out.topics_n++]))
			break;
	}
	request_reply(request, &d->out);
}
