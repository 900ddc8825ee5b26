/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTransactions (key 65), version 0: transactional ids, each asked where it is coordinated. An id that is not
 * known says TRANSACTIONAL_ID_NOT_FOUND.
 */
#include "api.h"
#include "broker.h"
#include "gather.h"
#include "msg/describe_transactions.h"
#include "shard.h"
#include "transaction_markers.h"

struct describe_transaction {
	struct describe_transactions *all;
	struct coordinator_call call;
	struct coord_op op;
	struct describe_transactions_response_transaction_states *out;
};

struct describe_transactions {
	struct request *request;
	struct describe_transaction *v;
	struct describe_transactions_response out;
	struct gather gather;
};

/* Partitions of one topic stand together. */
static void describe_transaction_topics(const struct txn *txn, struct arena *arena,
					struct describe_transactions_response_transaction_states *out)
{
	const struct txn_partitions *from = &txn->partitions;
	struct describe_transactions_response_transaction_states_topics *topic = NULL;

	out->topics = MSG_NEW_N(arena, describe_transactions_response_transaction_states_topics, from->n);
	for (int32_t i = 0; i < from->n; i++) {
		if (!topic || !str_eq(topic->topic, from->v[i].topic)) {
			topic = &out->topics[out->topics_n++];
			topic->topic = arena_str(arena, from->v[i].topic);
			topic->partitions = ARENA_NEW_N(arena, int32_t, from->n - i);
		}
		topic->partitions[topic->partitions_n++] = from->v[i].partition;
	}
}

static enum err describe_transaction_decide(struct coord_op *op, void *ptr, struct coord_records *records UNUSED)
{
	struct describe_transaction *one = container_of(op, struct describe_transaction, op);
	const struct coordinator_txn *machine = ptr;
	const struct txn *txn = txn_find(&machine->store, one->call.group_id);
	struct describe_transactions_response_transaction_states *out = one->out;

	if (!txn || txn->state == TXN_DEAD)
		return ERR_TRANSACTIONAL_ID_NOT_FOUND;
	out->transaction_state = str_of(txn_state_name(txn->state));
	out->transaction_timeout_ms = txn->timeout_ms;
	out->transaction_start_time_ms = txn->start_ms;
	out->producer_id = txn->producer_id;
	out->producer_epoch = txn->epoch;
	describe_transaction_topics(txn, op->arena, out);
	return ERR_NONE;
}

static void describe_transactions_reply(struct gather *gather)
{
	struct describe_transactions *all = container_of(gather, struct describe_transactions, gather);

	for (int32_t i = 0; i < all->out.transaction_states_n; i++) {
		if (!all->v[i].op.err)
			continue;
		msg_init(&describe_transactions_response_transaction_states_type, all->v[i].out);
		all->v[i].out->transactional_id = all->v[i].call.group_id;
		all->v[i].out->error_code = err_wire(all->v[i].op.err);
	}
	request_reply(all->request, &all->out);
}

static void describe_transaction_decided(struct coordinator_call *call)
{
	gather_arrive(&container_of(call, struct describe_transaction, call)->all->gather);
}

static void describe_transactions_release(struct request *request)
{
	struct describe_transactions *all = request->op;

	for (int32_t i = 0; i < all->out.transaction_states_n; i++)
		coordinator_call_free(&all->v[i].call);
	request_released(request);
}

void api_describe_transactions(struct request *request)
{
	const struct describe_transactions_request *in = request->body;
	struct describe_transactions *all = ARENA_NEW(&request->arena, struct describe_transactions);
	int32_t n = in->transactional_ids_n; /* the last answer may free `in` */

	if (!coordinator_calls_fit(request, n))
		return;
	all->request = request;
	msg_init(&describe_transactions_response_type, &all->out);
	all->out.transaction_states = MSG_NEW_N(&request->arena, describe_transactions_response_transaction_states, n);
	all->out.transaction_states_n = n;
	all->v = ARENA_NEW_N(&request->arena, struct describe_transaction, n);
	request->op = all;
	request->release = describe_transactions_release;
	if (n == 0) {
		request_reply(request, &all->out);
		return;
	}
	gather_start(&all->gather, n, describe_transactions_reply);
	for (int32_t i = 0; i < n; i++) {
		struct describe_transaction *one = &all->v[i];

		one->all = all;
		one->out = &all->out.transaction_states[i];
		one->out->transactional_id = in->transactional_ids[i];
		one->op.decide = describe_transaction_decide;
		one->call.request = request;
		one->call.kind = COORDINATOR_TRANSACTION;
		one->call.group_id = in->transactional_ids[i];
		one->call.op = &one->op;
		one->call.done = describe_transaction_decided;
		coordinator_call_start(&one->call);
	}
}
