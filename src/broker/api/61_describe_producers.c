/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeProducers (key 61), version 0 (KIP-664): the producers that the leader of a partition remembers, and
 * where the transaction began that each has open there. How kafka-transactions.sh finds one that hangs.
 */
#include <stdlib.h>

#include "api.h"
#include "broker.h"
#include "msg/describe_producers.h"
#include "owner_part.h"
#include "shard.h"

/* What one request may name, and what one reactor adds to its answer: a partition may be named again and again. */
#define PARTITIONS_MAX 200000
#define ANSWER_PART_MAX MIB(64)

struct describe_producers {
	struct request *request;
	struct scatter *scatter;
	struct describe_producers_response out;
};

struct describe_producers_part {
	struct owner_part owner;
	struct describe_producers_response_topics_partitions *out;
};

static void describe_producer_fill(const struct producer_entry *entry,
				   struct describe_producers_response_topics_partitions_active_producers *out)
{
	out->producer_id = entry->producer_id;
	out->producer_epoch = entry->epoch;
	out->last_sequence = entry->batches_n ? entry->batches[entry->batches_n - 1].last_seq : NO_SEQUENCE;
	out->last_timestamp = entry->last_timestamp_ms;
	out->coordinator_epoch = entry->coordinator_epoch;
	out->current_txn_start_offset = entry->txn_first_offset;
}

/* By producer id. */
static int describe_producers_cmp(const void *a_ptr, const void *b_ptr)
{
	const struct describe_producers_response_topics_partitions_active_producers *a = a_ptr, *b = b_ptr;

	return (a->producer_id > b->producer_id) - (a->producer_id < b->producer_id);
}

static void describe_producers_ready(struct owner_part *owner, enum err err)
{
	struct describe_producers_part *part = container_of(owner, struct describe_producers_part, owner);
	const struct producer_state *producers;
	const struct producer_entry *entry;
	size_t len;

	if (!err) {
		producers = &owner->partition->log->producers;
		len = producers->by_id.n * sizeof(*part->out->active_producers);
		if (owner->leg->arena.used + len > ANSWER_PART_MAX)
			err = ERR_INVALID_REQUEST;
	}
	part->out->error_code = err_wire(err);
	if (!err) {
		part->out->active_producers =
			MSG_NEW_N(&owner->leg->arena, describe_producers_response_topics_partitions_active_producers,
				  producers->by_id.n);
		for (uint32_t it = 0; (entry = producer_table_next(&producers->by_id, &it)) != NULL;)
			describe_producer_fill(entry, &part->out->active_producers[part->out->active_producers_n++]);
		if (part->out->active_producers_n > 1)
			qsort(part->out->active_producers, (size_t)part->out->active_producers_n,
			      sizeof(*part->out->active_producers), describe_producers_cmp);
	}
	scatter_part_done(owner->leg);
}

static void describe_producers_topic(struct describe_producers *describe,
				     const struct describe_producers_request_topics *in,
				     struct describe_producers_response_topics *out)
{
	struct arena *arena = &describe->request->arena;
	const struct topic_image *topic = image_topic(describe->request->shard->image, in->name);

	out->name = in->name;
	out->partitions_n = in->partition_indexes_n;
	out->partitions = MSG_NEW_N(arena, describe_producers_response_topics_partitions, in->partition_indexes_n);
	for (int32_t i = 0; i < in->partition_indexes_n; i++) {
		int32_t index = in->partition_indexes[i];
		struct describe_producers_part *part;

		out->partitions[i].partition_index = index;
		if (!topic || index < 0 || !topic_partition(topic, index)) {
			out->partitions[i].error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
			continue;
		}
		part = ARENA_NEW(arena, struct describe_producers_part);
		part->out = &out->partitions[i];
		part->owner.topic_id = topic->id;
		part->owner.index = index;
		part->owner.leader_epoch = -1;
		part->owner.ready = describe_producers_ready;
		owner_part_add(describe->scatter, &part->owner);
	}
}

static void describe_producers_release(struct request *request)
{
	struct describe_producers *describe = request->op;

	scatter_free(describe->scatter);
	request_released(request);
}

static void describe_producers_reply(struct scatter *scatter)
{
	struct describe_producers *describe = scatter->home_op;

	request_reply(describe->request, &describe->out);
}

void api_describe_producers(struct request *request)
{
	struct describe_producers *describe = ARENA_NEW(&request->arena, struct describe_producers);
	const struct describe_producers_request *in = request->body;
	int64_t partitions_n = 0;

	for (int32_t i = 0; i < in->topics_n; i++)
		partitions_n += in->topics[i].partition_indexes_n;
	if (partitions_n > PARTITIONS_MAX) {
		request_close(request, "it names more partitions than one request may");
		return;
	}
	describe->request = request;
	describe->scatter = scatter_new(request->shard, &request->arena);
	describe->scatter->home_op = describe;
	request->op = describe;
	request->release = describe_producers_release;
	msg_init(&describe_producers_response_type, &describe->out);
	describe->out.topics = MSG_NEW_N(&request->arena, describe_producers_response_topics, in->topics_n);
	describe->out.topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++)
		describe_producers_topic(describe, &in->topics[i], &describe->out.topics[i]);
	scatter_run(describe->scatter, owner_parts_run, describe_producers_reply);
}
