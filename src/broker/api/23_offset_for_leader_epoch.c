/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetForLeaderEpoch (key 23), versions 2-4 (KIP-101, KIP-320): where the largest epoch up to the asked one ends, so
 * that a consumer sees whether what it read still exists. -1/-1 when no such epoch is known.
 */
#include "api.h"
#include "broker.h"
#include "msg/offset_for_leader_epoch.h"
#include "owner_part.h"
#include "shard.h"

struct leader_epochs {
	struct request *request;
	struct offset_for_leader_epoch_response out;
};

struct leader_epoch_part {
	struct owner_part owner;
	int32_t epoch;
	struct offset_for_leader_epoch_response_topics_partitions *out;
};

static void leader_epoch_ready(struct owner_part *owner, enum err err)
{
	struct leader_epoch_part *part = container_of(owner, struct leader_epoch_part, owner);

	part->out->error_code = err_wire(err);
	if (!err) {
		const struct part_log *log = owner->partition->log;

		/* The epoch in which we lead has begun, also before its first record. */
		if (part->epoch == owner->partition->leader_epoch) {
			part->out->leader_epoch = part->epoch;
			part->out->end_offset = log->end;
		} else {
			epoch_cache_end(&log->epochs, part->epoch, log->end, &part->out->leader_epoch,
					&part->out->end_offset);
		}
	}
	scatter_part_done(owner->leg);
}

static void leader_epochs_topic(struct leader_epochs *epochs, struct scatter *scatter,
				const struct offset_for_leader_epoch_request_topics *in,
				struct offset_for_leader_epoch_response_topics *out)
{
	struct arena *arena = &epochs->request->arena;
	const struct topic_image *topic = image_topic(epochs->request->shard->image, in->topic);

	out->topic = in->topic;
	out->partitions = MSG_NEW_N(arena, offset_for_leader_epoch_response_topics_partitions, in->partitions_n);
	out->partitions_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++) {
		const struct offset_for_leader_epoch_request_topics_partitions *asked = &in->partitions[i];
		struct leader_epoch_part *part;

		out->partitions[i].partition = asked->partition;
		if (!topic || asked->partition < 0 || !topic_partition(topic, asked->partition)) {
			out->partitions[i].error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
			continue;
		}
		part = ARENA_NEW(arena, struct leader_epoch_part);
		part->epoch = asked->leader_epoch;
		part->out = &out->partitions[i];
		part->owner.topic_id = topic->id;
		part->owner.index = asked->partition;
		part->owner.leader_epoch = asked->current_leader_epoch;
		part->owner.ready = leader_epoch_ready;
		owner_part_add(scatter, &part->owner);
	}
}

static void leader_epochs_reply(struct scatter *scatter)
{
	struct leader_epochs *epochs = scatter->home_op;

	request_reply(epochs->request, &epochs->out);
}

void api_offset_for_leader_epoch(struct request *request)
{
	struct leader_epochs *epochs = ARENA_NEW(&request->arena, struct leader_epochs);
	const struct offset_for_leader_epoch_request *in = request->body;
	struct scatter *scatter = scatter_new(request->shard, &request->arena);

	epochs->request = request;
	scatter->home_op = epochs;
	msg_init(&offset_for_leader_epoch_response_type, &epochs->out);
	epochs->out.topics = MSG_NEW_N(&request->arena, offset_for_leader_epoch_response_topics, in->topics_n);
	epochs->out.topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++)
		leader_epochs_topic(epochs, scatter, &in->topics[i], &epochs->out.topics[i]);
	scatter_run(scatter, owner_parts_run, leader_epochs_reply);
}
