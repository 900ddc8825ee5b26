/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteRecords (key 21), versions 0-2: moves the start of a log up, to an offset or (-1) the high watermark. What lies
 * below is out of reach for every reader from that turn on; the answer comes when the new start is in the checkpoint
 * file, so that no crash brings the records back.
 *
 *    ready --> start moved --> waits for the file --written--> answered
 *       \--refused--> answered          \--timeout--> REQUEST_TIMED_OUT (the start stays where it is)
 *
 * Same as Kafka: topics that are only compacted refuse (POLICY_VIOLATION), internal ones too
 * (INVALID_TOPIC_EXCEPTION), those that keep everything do not; an offset below the start is no error and moves
 * nothing.
 * Different: Kafka answers from memory and may have the old start again after a crash. So a timeout, which is for
 * replicas, is not cut shorter than the file may take.
 */
#include "api.h"
#include "broker.h"
#include "checkpointer.h"
#include "internal_topics.h"
#include "msg/delete_records.h"
#include "owner_part.h"
#include "shard.h"

#define TO_HIGH_WATERMARK (-1)
#define TIMEOUT_MS_MIN 5000

struct delete_records {
	struct request *request;
	const struct delete_records_request *in;
	struct delete_records_response out;
	struct scatter *scatter;
};

struct delete_records_part {
	struct owner_part owner;
	struct checkpoint_wait wait;
	struct timer timer;
	int64_t offset;
	int64_t low_watermark;
	int32_t timeout_ms;
	struct delete_records_response_topics_partitions *out;
};

static void delete_records_end(struct delete_records_part *part, enum err err)
{
	struct reactor *reactor = part->owner.leg->shard->reactor;

	timer_stop(&reactor->timers, &part->timer);
	list_remove(&part->wait.link);
	part->out->error_code = err_wire(err);
	part->out->low_watermark = err ? -1 : part->low_watermark;
	scatter_part_done(part->owner.leg);
}

static void delete_records_saved(struct checkpoint_wait *wait, enum err err)
{
	delete_records_end(container_of(wait, struct delete_records_part, wait), err);
}

static void delete_records_timed_out(struct timer *timer)
{
	delete_records_end(container_of(timer, struct delete_records_part, timer), ERR_REQUEST_TIMED_OUT);
}

static enum err delete_records_move(struct delete_records_part *part)
{
	struct partition *partition = part->owner.partition;
	int64_t high_watermark = partition->high_watermark.offset;
	int64_t offset = part->offset == TO_HIGH_WATERMARK ? high_watermark : part->offset;

	if (partition->config.log.is_compacted && !partition->config.log.is_deleted)
		return ERR_POLICY_VIOLATION;
	if (offset < 0 || offset > high_watermark)
		return ERR_OFFSET_OUT_OF_RANGE;
	part_log_set_start(partition->log, offset);
	part->low_watermark = partition->log->log_start;
	return ERR_NONE;
}

static void delete_records_ready(struct owner_part *owner, enum err err)
{
	struct delete_records_part *part = container_of(owner, struct delete_records_part, owner);
	struct shard *shard = owner->leg->shard;

	if (!err)
		err = delete_records_move(part);
	/* Where the records begin at their first segment there is nothing to write down. */
	if (err || part->low_watermark == 0) {
		delete_records_end(part, err);
		return;
	}
	part->wait.dir = owner->partition->log->dir->index;
	part->wait.done = delete_records_saved;
	reactor_timer(shard->reactor, &part->timer, MAX(part->timeout_ms, TIMEOUT_MS_MIN) * NS_PER_MS,
		      delete_records_timed_out);
	checkpointer_save(shard, &part->wait);
}

static void delete_records_topic(struct delete_records *op, const struct delete_records_request_topics *in,
				 struct delete_records_response_topics *out)
{
	struct arena *arena = &op->request->arena;
	const struct topic_image *topic = image_topic(op->request->shard->image, in->name);

	out->name = in->name;
	out->partitions = MSG_NEW_N(arena, delete_records_response_topics_partitions, in->partitions_n);
	out->partitions_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++) {
		const struct delete_records_request_topics_partitions *asked = &in->partitions[i];
		struct delete_records_part *part;

		out->partitions[i].partition_index = asked->partition_index;
		out->partitions[i].low_watermark = -1;
		if (!topic || asked->partition_index < 0 || !topic_partition(topic, asked->partition_index)) {
			out->partitions[i].error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
			continue;
		}
		if (internal_topic_is(in->name)) {
			out->partitions[i].error_code = ERR_INVALID_TOPIC_EXCEPTION;
			continue;
		}
		part = ARENA_NEW(arena, struct delete_records_part);
		part->offset = asked->offset;
		part->timeout_ms = op->in->timeout_ms;
		part->out = &out->partitions[i];
		part->owner.topic_id = topic->id;
		part->owner.index = asked->partition_index;
		part->owner.leader_epoch = -1;
		part->owner.ready = delete_records_ready;
		owner_part_add(op->scatter, &part->owner);
	}
}

static void delete_records_reply(struct scatter *scatter)
{
	struct delete_records *op = scatter->home_op;

	request_reply(op->request, &op->out);
}

void api_delete_records(struct request *request)
{
	struct delete_records *op = ARENA_NEW(&request->arena, struct delete_records);

	op->request = request;
	op->in = request->body;
	op->scatter = scatter_new(request->shard, &request->arena);
	op->scatter->home_op = op;
	msg_init(&delete_records_response_type, &op->out);
	op->out.topics = MSG_NEW_N(&request->arena, delete_records_response_topics, op->in->topics_n);
	op->out.topics_n = op->in->topics_n;
	for (int32_t i = 0; i < op->in->topics_n; i++)
		delete_records_topic(op, &op->in->topics[i], &op->out.topics[i]);
	scatter_run(op->scatter, owner_parts_run, delete_records_reply);
}
