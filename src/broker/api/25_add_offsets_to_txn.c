/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AddOffsetsToTxn (key 25), versions 0-4: enrols the partition of __consumer_offsets that keeps the group. Same as
 * Kafka: up to version 1 a fenced producer is told INVALID_PRODUCER_EPOCH. Unlike Kafka: it waits for the end of the
 * last transaction as AddPartitionsToTxn does.
 */
#include "api.h"
#include "broker.h"
#include "msg/add_offsets_to_txn.h"
#include "shard.h"
#include "transaction_call.h"
#include "transaction_markers.h"

struct add_offsets {
	struct request *request;
	struct coordinator_call call;
	struct coord_op op;
	struct txn_partition partition;
	struct txn_end_waiter waiter; /* on the coordinator's reactor */
	int64_t give_up_ns;
	struct add_offsets_to_txn_response out;
};

static enum err add_offsets_decide(struct coord_op *op, void *ptr, struct coord_records *records)
{
	struct add_offsets *add = container_of(op, struct add_offsets, op);
	const struct add_offsets_to_txn_request *in = add->request->body;
	struct coordinator_txn *machine = ptr;
	enum err err = txn_add_partitions(&machine->store, in->transactional_id,
					  (struct txn_producer){in->producer_id, in->producer_epoch},
					  (struct txn_partitions){&add->partition, 1}, TXN_VERSION_0, records);

	if (err == ERR_CONCURRENT_TRANSACTIONS &&
	    transaction_markers_wait(machine, in->transactional_id, &add->waiter, op, add->give_up_ns))
		return ERR_WOULD_BLOCK;
	return err;
}

static void add_offsets_reply(struct add_offsets *add, enum err err)
{
	if (err == ERR_PRODUCER_FENCED && add->request->version < 2)
		err = ERR_INVALID_PRODUCER_EPOCH;
	add->out.error_code = err_wire(err);
	request_reply(add->request, &add->out);
}

static void add_offsets_decided(struct coordinator_call *call)
{
	struct add_offsets *add = container_of(call, struct add_offsets, call);

	coordinator_call_free(call);
	add_offsets_reply(add, add->op.err);
}

void api_add_offsets_to_txn(struct request *request)
{
	const struct add_offsets_to_txn_request *in = request->body;
	struct add_offsets *add = ARENA_NEW(&request->arena, struct add_offsets);
	const struct topic_image *topic = image_topic(request->shard->image, STR(OFFSETS_TOPIC));
	int32_t partitions_n = topic && topic->partitions_n > 0 ? topic->partitions_n
								 : request->shard->config->offsets_topic_num_partitions;

	add->request = request;
	msg_init(&add_offsets_to_txn_response_type, &add->out);
	if (in->transactional_id.len == 0) {
		add_offsets_reply(add, ERR_INVALID_REQUEST);
		return;
	}
	add->partition =
		(struct txn_partition){STR(OFFSETS_TOPIC), coordinator_partition_of(in->group_id, partitions_n)};
	add->give_up_ns = transaction_give_up_ns(request->shard);
	add->op.decide = add_offsets_decide;
	add->call.request = request;
	add->call.kind = COORDINATOR_TRANSACTION;
	add->call.group_id = in->transactional_id;
	add->call.op = &add->op;
	add->call.done = add_offsets_decided;
	coordinator_call_start(&add->call);
}
