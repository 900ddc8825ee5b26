/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WriteTxnMarkers (key 27), versions 1-2: what the coordinator of a transaction, on another broker, or a person with
 * kafka-transactions.sh, has decided, written into the partitions that this broker leads.
 *
 * Same as Kafka: partitions that are not here say UNKNOWN_TOPIC_OR_PARTITION, each by itself; a marker of version 1
 * belongs to the first protocols.
 */
#include "api.h"
#include "broker.h"
#include "coordinator_io.h"
#include "leader_marker.h"
#include "msg/write_txn_markers.h"
#include "owner_part.h"
#include "shard.h"

struct write_markers {
	struct request *request;
	struct write_txn_markers_response out;
	struct scatter *scatter;
};

struct write_markers_part {
	struct owner_part owner;
	struct leader_marker marker;
	const struct write_txn_markers_request_markers *in;
	struct write_txn_markers_response_markers_topics_partitions *out;
};

static void write_markers_done(struct leader_marker *marker)
{
	struct write_markers_part *part = container_of(marker, struct write_markers_part, marker);

	part->out->error_code = err_wire(marker->err);
	scatter_part_done(part->owner.leg);
}

static void write_markers_ready(struct owner_part *owner, enum err err)
{
	struct write_markers_part *part = container_of(owner, struct write_markers_part, owner);
	struct shard *shard = owner->leg->shard;

	if (err) {
		part->out->error_code = err_wire(err);
		scatter_part_done(owner->leg);
		return;
	}
	part->marker = (struct leader_marker){
		.partition = owner->partition,
		.producer_id = part->in->producer_id,
		.producer_epoch = part->in->producer_epoch,
		.commit = part->in->transaction_result,
		.coordinator_epoch = part->in->coordinator_epoch,
		.version = part->in->transaction_version,
		.reactor = shard->reactor,
		.now_ms = shard->reactor->wall_ms,
		.done = write_markers_done,
	};
	coordinator_io_marker(shard, &part->marker);
}

static void write_markers_topic(struct write_markers *op, const struct write_txn_markers_request_markers *marker,
				const struct write_txn_markers_request_markers_topics *in,
				struct write_txn_markers_response_markers_topics *out)
{
	struct arena *arena = &op->request->arena;
	const struct topic_image *topic = image_topic(op->request->shard->image, in->name);

	out->name = in->name;
	out->partitions = MSG_NEW_N(arena, write_txn_markers_response_markers_topics_partitions,
				    in->partition_indexes_n);
	out->partitions_n = in->partition_indexes_n;
	for (int32_t i = 0; i < in->partition_indexes_n; i++) {
		int32_t index = in->partition_indexes[i];
		struct write_markers_part *part;

		out->partitions[i].partition_index = index;
		if (!topic || index < 0 || !topic_partition(topic, index)) {
			out->partitions[i].error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
			continue;
		}
		part = ARENA_NEW(arena, struct write_markers_part);
		part->in = marker;
		part->out = &out->partitions[i];
		part->owner.topic_id = topic->id;
		part->owner.index = index;
		part->owner.leader_epoch = -1;
		part->owner.ready = write_markers_ready;
		owner_part_add(op->scatter, &part->owner);
	}
}

static void write_markers_reply(struct scatter *scatter)
{
	struct write_markers *op = scatter->home_op;

	request_reply(op->request, &op->out);
}

void api_write_txn_markers(struct request *request)
{
	const struct write_txn_markers_request *in = request->body;
	struct write_markers *op = ARENA_NEW(&request->arena, struct write_markers);

	op->request = request;
	op->scatter = scatter_new(request->shard, &request->arena);
	op->scatter->home_op = op;
	msg_init(&write_txn_markers_response_type, &op->out);
	op->out.markers = MSG_NEW_N(&request->arena, write_txn_markers_response_markers, in->markers_n);
	op->out.markers_n = in->markers_n;
	for (int32_t i = 0; i < in->markers_n; i++) {
		const struct write_txn_markers_request_markers *marker = &in->markers[i];
		struct write_txn_markers_response_markers *out = &op->out.markers[i];

		out->producer_id = marker->producer_id;
		out->topics = MSG_NEW_N(&request->arena, write_txn_markers_response_markers_topics, marker->topics_n);
		out->topics_n = marker->topics_n;
		for (int32_t t = 0; t < marker->topics_n; t++)
			write_markers_topic(op, marker, &marker->topics[t], &out->topics[t]);
	}
	scatter_run(op->scatter, owner_parts_run, write_markers_reply);
}
