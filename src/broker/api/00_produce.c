/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produce (key 0), versions 3-13; 0-2 are advertised but refused, because librdkafka turns compression off where
 * version 0 is missing (KAFKA-18659).
 *
 *    SPLIT by owner --> each partition appends as leader --> all stored, replicated, or failed --> reply
 *        |                    ^
 *        +--transactional--> the coordinator knows (produce_enrol.c)
 *
 * The order of a connection's produce requests is fixed as soon as they are handed to the owners: messages between
 * reactors keep their order, and an owner assigns offsets as they come. So the next request may start at once.
 *
 * acks=0: no response at all; after an error the connection ends, so that the client notices.
 * Same as Kafka: one batch a partition; zstd needs version 7; internal topics refuse all clients but the tools'.
 * A transactional batch without a transactional id ends the whole request with an authorisation error; batches of two
 * producers in a transaction end it with INVALID_PRODUCER_ID_MAPPING.
 */
#include "api.h"
#include "batch.h"
#include "broker.h"
#include "client_quota.h"
#include "internal_topics.h"
#include "produce_op.h"
#include "shard.h"

static void produce_release(struct request *request)
{
	struct produce *produce = request->op;

	scatter_free(produce->scatter);
	if (produce->enrol)
		transaction_call_free(produce->enrol);
	request_released(request);
}

static void produce_reply(struct scatter *scatter)
{
	struct produce *produce = scatter->home_op;
	struct request *request = produce->request;

	request->shard->metrics.waiting_produces_n -= produce->in->acks == -1;
	if (produce->in->acks != 0) {
		request_reply(request, &produce->out);
		return;
	}
	for (int32_t i = 0; i < produce->out.responses_n; i++) {
		const struct produce_response_responses *topic = &produce->out.responses[i];

		for (int32_t j = 0; j < topic->partition_responses_n; j++)
			produce->failed |= topic->partition_responses[j].error_code != 0;
	}
	if (produce->failed)
		request_close(request, "a produce with acks=0 failed");
	else
		request_reply_none(request);
}

/* ---- on the owner's reactor ---- */

/* After an error the partition may be gone. */
static void produce_part_count(struct produce_part *part, const struct leader_append *append)
{
	struct shard *shard = part->owner.leg->shard;
	struct metrics_topic *topic = shard_topic_metrics(shard, part->owner.topic_id);

	metrics_produced(shard, topic, append->err, append->append.len ? append->append.len : append->records_len,
			 (uint64_t)MAX(append->append.info.records_n, 0));
	if (append->was_rebuilt)
		metrics_topic_add(&shard->metrics, topic, TOPIC_PRODUCE_CONVERSIONS, 1);
}

static void produce_part_end(struct produce_part *part, enum err err)
{
	part->out->error_code = err_wire(err);
	scatter_part_done(part->owner.leg);
}

static void produce_part_record_errors(struct produce_part *part)
{
	struct leader_append *append = &part->append;

	part->out->record_errors = MSG_NEW_N(&part->owner.leg->arena,
					     produce_response_responses_partition_responses_record_errors,
					     append->record_errors_n);
	part->out->record_errors_n = append->record_errors_n;
	for (int32_t i = 0; i < append->record_errors_n; i++) {
		part->out->record_errors[i].batch_index = append->record_errors[i].index;
		part->out->record_errors[i].batch_index_error_message = append->record_errors[i].text;
	}
}

static void produce_part_appended(struct leader_append *append)
{
	struct produce_part *part = container_of(append, struct produce_part, append);

	part->out->base_offset = append->base_offset;
	part->out->log_append_time_ms = append->append_time_ms;
	part->out->log_start_offset = append->log_start_offset;
	part->out->error_message = append->error_text;
	produce_part_count(part, append);
	if (append->record_errors_n)
		produce_part_record_errors(part);
	produce_part_end(part, append->err);
}

static void produce_part_ready(struct owner_part *owner, enum err err)
{
	struct produce_part *part = container_of(owner, struct produce_part, owner);
	struct shard *shard = owner->leg->shard;
	struct leader_append *append = &part->append;

	if (err) {
		metrics_produced(shard, NULL, err, 0, 0);
		produce_part_end(part, err);
		return;
	}
	append->partition = owner->partition;
	append->records = (uint8_t *)part->in->records.piece.mem; /* the frame is ours to stamp */
	append->records_len = part->in->records.piece.len;
	append->acks = part->produce->in->acks;
	append->timeout_ms = part->produce->in->timeout_ms;
	append->now_ms = shard->reactor->wall_ms;
	append->reactor = shard->reactor;
	append->compress = shard->compress;
	append->arena = &owner->leg->arena;
	append->is_guarded = part->produce->is_guarded;
	append->txn_guard = part->txn_guard;
	append->done = produce_part_appended;
	leader_append_start(append);
}

/* ---- at home ---- */

/* The attributes of the first batch, 0 when it is no whole batch of the present format: appending tells what it is. */
static uint16_t produce_attributes(const struct piece *records)
{
	int64_t length;

	if (records->len < BATCH_HEADER_LEN || records->mem[BATCH_MAGIC_AT] != 2)
		return 0;
	length = (int32_t)load_be32(records->mem + BATCH_LENGTH_AT);
	if (length < BATCH_HEADER_LEN - BATCH_PREFIX_LEN || length > (int64_t)records->len - BATCH_PREFIX_LEN)
		return 0;
	return load_be16(records->mem + BATCH_ATTRIBUTES_AT);
}

static bool produce_is_transactional(const struct produce_request *in)
{
	for (int32_t i = 0; i < in->topic_data_n; i++) {
		for (int32_t j = 0; j < in->topic_data[i].partition_data_n; j++) {
			const struct piece *records = &in->topic_data[i].partition_data[j].records.piece;

			if (produce_attributes(records) & BATCH_TRANSACTIONAL)
				return true;
		}
	}
	return false;
}

/* What can be refused without asking the owner. */
static enum err produce_check(const struct produce *produce, struct str topic,
			      const struct produce_request_topic_data_partition_data *in)
{
	uint16_t attributes = produce_attributes(&in->records.piece);

	if (produce->is_foreign_transaction)
		return ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	if (produce->in->acks < -1 || produce->in->acks > 1)
		return ERR_INVALID_REQUIRED_ACKS;
	if (in->records.is_null)
		return ERR_INVALID_RECORD;
	if (internal_topic_is(topic) && !str_eq_c(produce->request->head.client_id, "__admin_client"))
		return ERR_INVALID_TOPIC_EXCEPTION;
	if ((attributes & BATCH_CODEC_MASK) == CODEC_ZSTD && produce->request->version < 7)
		return ERR_UNSUPPORTED_COMPRESSION_TYPE;
	return ERR_NONE;
}

static const struct topic_image *produce_topic(const struct produce *produce,
					       const struct produce_request_topic_data *in, enum err *ret_err)
{
	const struct image *image = produce->request->shard->image;
	const struct topic_image *topic;

	if (produce->request->version >= 13) {
		topic = image_topic_by_id(image, in->topic_id);
		*ret_err = ERR_UNKNOWN_TOPIC_ID;
	} else {
		topic = image_topic(image, in->name);
		*ret_err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
	}
	return topic;
}

static void produce_split_topic(struct produce *produce, const struct produce_request_topic_data *in,
				struct produce_response_responses *out)
{
	struct arena *arena = &produce->request->arena;
	struct str name = {0};
	enum err missing;
	const struct topic_image *topic = produce_topic(produce, in, &missing);

	out->name = in->name;
	out->topic_id = in->topic_id;
	out->partition_responses_n = in->partition_data_n;
	out->partition_responses = MSG_NEW_N(arena, produce_response_responses_partition_responses,
					     in->partition_data_n);
	for (int32_t i = 0; i < in->partition_data_n; i++) {
		const struct produce_request_topic_data_partition_data *partition = &in->partition_data[i];
		struct produce_response_responses_partition_responses *result = &out->partition_responses[i];
		struct produce_part *part;
		enum err err = topic || produce->is_foreign_transaction
				       ? produce_check(produce, topic ? topic->name : in->name, partition)
				       : missing;

		if (!err && (partition->index < 0 || !topic_partition(topic, partition->index)))
			err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
		result->index = partition->index;
		result->error_code = err_wire(err);
		result->base_offset = -1;
		if (err)
			continue;
		part = ARENA_NEW(arena, struct produce_part);
		part->produce = produce;
		part->in = partition;
		part->out = result;
		part->owner.topic_id = topic->id;
		part->owner.index = partition->index;
		part->owner.leader_epoch = -1;
		part->producer = TXN_PRODUCER_NONE;
		if (produce_attributes(&partition->records.piece) & BATCH_TRANSACTIONAL)
			produce_part_read_producer(part);
		if (part->producer.id >= 0 && !name.p)
			name = arena_str(arena, topic->name);
		part->topic = name;
		*produce->parts_end = part;
		produce->parts_end = &part->next;
	}
}

static enum transaction_ask produce_ask(int16_t version)
{
	return version >= 12 ? TRANSACTION_ADD : version == 11 ? TRANSACTION_VERIFY : TRANSACTION_VERIFY_OLD;
}

/* Is there a transactional batch that the coordinator may have to know of? */
static bool produce_needs_coordinator(const struct produce *produce)
{
	if (!produce->in->transactional_id.p)
		return false;
	if (produce->ask != TRANSACTION_ADD && !transaction_is_verified(produce->request->shard))
		return false;
	for (const struct produce_part *part = produce->parts; part; part = part->next) {
		if (part->producer.id >= 0 && !part->is_ended)
			return true;
	}
	return false;
}

static void produce_fail(struct produce *produce, enum err err)
{
	for (struct produce_part *part = produce->parts; part; part = part->next) {
		part->out->error_code = err_wire(err);
		part->is_ended = true;
	}
}

void produce_append(struct produce *produce)
{
	scatter_clear(produce->scatter);
	for (struct produce_part *part = produce->parts; part; part = part->next) {
		if (part->is_ended)
			continue;
		part->owner.ready = produce_part_ready;
		owner_part_add(produce->scatter, &part->owner);
	}
	request_order_fixed(produce->request);
	scatter_run(produce->scatter, owner_parts_run, produce_reply);
}

void api_produce(struct request *request)
{
	struct produce *produce = ARENA_NEW(&request->arena, struct produce);

	produce->request = request;
	produce->in = request->body;
	produce->is_foreign_transaction = !produce->in->transactional_id.p && produce_is_transactional(produce->in);
	msg_init(&produce_response_type, &produce->out);
	produce->scatter = scatter_new(request->shard, &request->arena);
	produce->scatter->home_op = produce;
	produce->parts_end = &produce->parts;
	produce->ask = produce_ask(request->version);
	request->op = produce;
	request->release = produce_release;
	produce->out.responses_n = produce->in->topic_data_n;
	produce->out.responses = MSG_NEW_N(&request->arena, produce_response_responses, produce->in->topic_data_n);
	for (int32_t i = 0; i < produce->in->topic_data_n; i++)
		produce_split_topic(produce, &produce->in->topic_data[i], &produce->out.responses[i]);
	request->shard->metrics.waiting_produces_n += produce->in->acks == -1;
	/* Bytes count when they come: the client waits as long as it was too fast, whatever becomes of them. */
	if (request->shard->quotas)
		request_throttle(request, client_quota_record(request->shard, CLIENT_QUOTA_PRODUCE,
							      request_user(request), request->head.client_id,
							      (double)request->frame.len));
	if (produce_has_two_producers(produce))
		produce_fail(produce, ERR_INVALID_PRODUCER_ID_MAPPING);
	if (produce_needs_coordinator(produce))
		produce_enrol(produce);
	else
		produce_append(produce);
}
