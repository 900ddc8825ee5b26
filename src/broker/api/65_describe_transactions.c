/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTransactions (key 65), version 0: transactional ids, each asked where it is coordinated. An id that is not
 * known says TRANSACTIONAL_ID_NOT_FOUND.
 */
#include "api.h"
#include "broker.h"
#include "coordinator_asks.h"
#include "msg/describe_transactions.h"
#include "shard.h"
#include "transaction_markers.h"

struct describe_transaction {
	struct coordinator_ask ask;
	struct describe_transactions_response_transaction_states *out;
};

struct describe_transactions {
	struct coordinator_asks asks;
	struct describe_transactions_response out;
};

static int32_t describe_transaction_topics_n(struct txn_partitions partitions)
{
	int32_t n = 0;

	for (int32_t i = 0; i < partitions.n; i += txn_partitions_topic_n(partitions, i))
		n++;
	return n;
}

/* Partitions of one topic stand together. False: the arena has no room. */
static bool describe_transaction_topics(struct txn_partitions from, struct arena *arena,
					struct describe_transactions_response_transaction_states *out)
{
	int32_t topics_n = describe_transaction_topics_n(from);
	size_t len = (size_t)topics_n * sizeof(*out->topics) + (size_t)from.n * sizeof(int32_t);

	for (int32_t i = 0; i < from.n; i += txn_partitions_topic_n(from, i))
		len += from.v[i].topic.len + 1;
	if (!arena_has_room(arena, len, 1 + 2 * (size_t)topics_n))
		return false;
	out->topics = MSG_NEW_N(arena, describe_transactions_response_transaction_states_topics, topics_n);
	for (int32_t i = 0; i < from.n; i += txn_partitions_topic_n(from, i)) {
		struct describe_transactions_response_transaction_states_topics *topic =
			&out->topics[out->topics_n++];

		topic->topic = arena_str(arena, from.v[i].topic);
		topic->partitions_n = txn_partitions_topic_n(from, i);
		topic->partitions = ARENA_NEW_N(arena, int32_t, topic->partitions_n);
		for (int32_t p = 0; p < topic->partitions_n; p++)
			topic->partitions[p] = from.v[i + p].partition;
	}
	return true;
}

static enum err describe_transaction_decide(struct coord_op *op, void *ptr, struct coord_records *records UNUSED)
{
	struct describe_transaction *one = container_of(op, struct describe_transaction, ask.op);
	const struct coordinator_txn *machine = ptr;
	const struct txn *txn = txn_find(&machine->store, one->ask.call.group_id);
	struct describe_transactions_response_transaction_states *out = one->out;
	struct txn_partitions left;

	if (!txn || txn->state == TXN_DEAD)
		return ERR_TRANSACTIONAL_ID_NOT_FOUND;
	out->transaction_state = str_of(txn_state_name(txn->state));
	out->transaction_timeout_ms = txn->timeout_ms;
	out->transaction_start_time_ms = txn->start_ms;
	out->producer_id = txn->producer_id;
	out->producer_epoch = txn->epoch;
	/* As the original, which takes a partition off the list with its marker. */
	return transaction_markers_left(machine, txn, op->arena, &left) &&
			       describe_transaction_topics(left, op->arena, out) ?
		       ERR_NONE :
		       ERR_INVALID_REQUEST;
}

static void describe_transactions_reply(struct coordinator_asks *asks)
{
	struct describe_transactions *all = container_of(asks, struct describe_transactions, asks);

	for (int32_t i = 0; i < asks->n; i++) {
		const struct describe_transaction *one = coordinator_asks_at(asks, i);

		if (!one->ask.op.err)
			continue;
		msg_init(&describe_transactions_response_transaction_states_type, one->out);
		one->out->transactional_id = one->ask.call.group_id;
		one->out->error_code = err_wire(one->ask.op.err);
	}
	request_reply(asks->request, &all->out);
}

void api_describe_transactions(struct request *request)
{
	const struct describe_transactions_request *in = request->body;
	struct describe_transactions *all = ARENA_NEW(&request->arena, struct describe_transactions);

	if (!coordinator_asks_init(&all->asks, request, sizeof(struct describe_transaction), in->transactional_ids_n,
				   describe_transactions_reply))
		return;
	msg_init(&describe_transactions_response_type, &all->out);
	all->out.transaction_states = MSG_NEW_N(&request->arena, describe_transactions_response_transaction_states,
						in->transactional_ids_n);
	all->out.transaction_states_n = in->transactional_ids_n;
	for (int32_t i = 0; i < in->transactional_ids_n; i++) {
		struct describe_transaction *one = coordinator_asks_at(&all->asks, i);

		one->out = &all->out.transaction_states[i];
		one->out->transactional_id = in->transactional_ids[i];
		one->ask.op.decide = describe_transaction_decide;
		one->ask.call.kind = COORDINATOR_TRANSACTION;
		one->ask.call.group_id = in->transactional_ids[i];
	}
	coordinator_asks_run(&all->asks);
}
