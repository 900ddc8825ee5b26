/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AddPartitionsToTxn (key 24), versions 0-5: from clients one transaction (0-3), from brokers many, which may only ask
 * whether the partitions are enrolled (4-5, KIP-890).
 *
 * Same as Kafka: where one partition does not exist nothing is enrolled, and the others say OPERATION_NOT_ATTEMPTED;
 * up to version 1 a fenced producer is told INVALID_PRODUCER_EPOCH; the broker's form speaks version 2 of transactions.
 *
 * Unlike Kafka: a client that comes before the end of its last transaction is complete waits for that here, as long as
 * a Produce that enrols would, and is told CONCURRENT_TRANSACTIONS only then.
 */
#include "api.h"
#include "broker.h"
#include "gather.h"
#include "msg/add_partitions_to_txn.h"
#include "shard.h"
#include "transaction_call.h"
#include "transaction_watch.h"
#include "transaction_markers.h"

/* One transaction of the request. */
struct add_partitions_one {
	struct add_partitions *all;
	struct coordinator_call call;
	struct coord_op op;
	struct str id;
	struct txn_producer producer;
	bool verify_only;
	struct txn_end_waiter waiter; /* on the coordinator's reactor */
	int64_t give_up_ns;
	struct txn_partitions partitions; /* as asked, in order */
	enum err *errs;                   /* of each */
	struct txn_partitions sorted;
	const struct add_partitions_to_txn_request_add_partitions_to_txn_topic *topics;
	int32_t topics_n;
};

struct add_partitions {
	struct request *request;
	struct add_partitions_one *v;
	int32_t n;
	struct gather gather;
};

static enum err add_partitions_decide(struct coord_op *op, void *ptr, struct coord_records *records)
{
	struct add_partitions_one *one = container_of(op, struct add_partitions_one, op);
	struct coordinator_txn *machine = ptr;

	if (!one->verify_only) {
		bool is_client = one->all->request->version <= 3;
		enum err err = txn_add_partitions(&machine->store, one->id, one->producer, one->sorted,
						  is_client ? TXN_VERSION_0 : TXN_VERSION_2, records);

		if (!err && is_client)
			transaction_client_learn(machine, one->id, one->all->request);
		if (err == ERR_CONCURRENT_TRANSACTIONS && is_client &&
		    transaction_markers_wait(machine, one->id, &one->waiter, op, one->give_up_ns))
			return ERR_WOULD_BLOCK;
		return err;
	}
	for (int32_t i = 0; i < one->partitions.n; i++)
		one->errs[i] = txn_verify_partition(&machine->store, one->id, one->producer,
						    one->partitions.v[i].topic, one->partitions.v[i].partition);
	return ERR_NONE;
}

/* ---- the answer ---- */

static enum err add_partitions_error(const struct add_partitions_one *one, enum err err)
{
	return err == ERR_PRODUCER_FENCED && one->all->request->version < 2 ? ERR_INVALID_PRODUCER_EPOCH : err;
}

static struct add_partitions_to_txn_response_add_partitions_to_txn_topic_result *
add_partitions_results(const struct add_partitions_one *one)
{
	struct arena *arena = &one->all->request->arena;
	struct add_partitions_to_txn_response_add_partitions_to_txn_topic_result *results =
		MSG_NEW_N(arena, add_partitions_to_txn_response_add_partitions_to_txn_topic_result, one->topics_n);
	int32_t at = 0;

	for (int32_t i = 0; i < one->topics_n; i++) {
		int32_t n = one->topics[i].partitions_n;

		results[i].name = one->topics[i].name;
		results[i].results_by_partition_n = n;
		results[i].results_by_partition =
			MSG_NEW_N(arena, add_partitions_to_txn_response_add_partitions_to_txn_partition_result, n);
		for (int32_t j = 0; j < n; j++, at++) {
			enum err err = one->op.err ? one->op.err : one->errs[at];

			results[i].results_by_partition[j].partition_index = one->topics[i].partitions[j];
			results[i].results_by_partition[j].partition_error_code =
				err_wire(add_partitions_error(one, err));
		}
	}
	return results;
}

static void add_partitions_reply(struct gather *gather)
{
	struct add_partitions *all = container_of(gather, struct add_partitions, gather);
	struct request *request = all->request;
	struct add_partitions_to_txn_response out;

	msg_init(&add_partitions_to_txn_response_type, &out);
	if (request->version < 4) {
		out.results_by_topic_v3_and_below = add_partitions_results(&all->v[0]);
		out.results_by_topic_v3_and_below_n = all->v[0].topics_n;
		request_reply(request, &out);
		return;
	}
	for (int32_t i = 0; i < all->n; i++) {
		/* transaction.version 0: of nothing in particular, as Kafka. */
		if (all->v[i].op.err == ERR_UNSUPPORTED_VERSION) {
			out.error_code = err_wire(ERR_UNSUPPORTED_VERSION);
			request_reply(request, &out);
			return;
		}
	}
	out.results_by_transaction =
		MSG_NEW_N(&request->arena, add_partitions_to_txn_response_results_by_transaction, all->n);
	out.results_by_transaction_n = all->n;
	for (int32_t i = 0; i < all->n; i++) {
		out.results_by_transaction[i].transactional_id = all->v[i].id;
		out.results_by_transaction[i].topic_results = add_partitions_results(&all->v[i]);
		out.results_by_transaction[i].topic_results_n = all->v[i].topics_n;
	}
	request_reply(request, &out);
}

static void add_partitions_release(struct request *request)
{
	struct add_partitions *all = request->op;

	for (int32_t i = 0; i < all->n; i++)
		coordinator_call_free(&all->v[i].call);
	request_released(request);
}

static void add_partitions_decided(struct coordinator_call *call)
{
	gather_arrive(&container_of(call, struct add_partitions_one, call)->all->gather);
}

/* ---- the request ---- */

static int32_t add_partitions_count(const struct add_partitions_one *one)
{
	int32_t n = 0;

	for (int32_t i = 0; i < one->topics_n; i++)
		n += one->topics[i].partitions_n;
	return n;
}

/* False: one of them does not exist, so nothing is attempted. */
static bool add_partitions_fill(struct add_partitions_one *one)
{
	struct request *request = one->all->request;
	int32_t n = add_partitions_count(one), missing_n = 0;

	one->partitions.v = ARENA_NEW_N(&request->arena, struct txn_partition, n);
	one->errs = ARENA_NEW_N(&request->arena, enum err, n);
	for (int32_t i = 0; i < one->topics_n; i++) {
		const struct topic_image *topic = image_topic(request->shard->image, one->topics[i].name);

		for (int32_t j = 0; j < one->topics[i].partitions_n; j++) {
			int32_t at = one->partitions.n++, index = one->topics[i].partitions[j];
			bool exists = topic && index >= 0 && topic_partition(topic, index);

			one->partitions.v[at] = (struct txn_partition){one->topics[i].name, index};
			one->errs[at] = exists ? ERR_NONE : ERR_UNKNOWN_TOPIC_OR_PARTITION;
			missing_n += !exists;
		}
	}
	for (int32_t i = 0; missing_n > 0 && i < n; i++)
		one->errs[i] = one->errs[i] ? one->errs[i] : ERR_OPERATION_NOT_ATTEMPTED;
	return missing_n == 0;
}

static void add_partitions_start(struct add_partitions_one *one)
{
	struct request *request = one->all->request;

	one->op.decide = add_partitions_decide;
	if (!add_partitions_fill(one)) {
		gather_arrive(&one->all->gather);
		return;
	}
	if (one->id.len == 0) {
		one->op.err = ERR_INVALID_REQUEST;
		gather_arrive(&one->all->gather);
		return;
	}
	one->sorted.v = ARENA_NEW_N(&request->arena, struct txn_partition, one->partitions.n);
	one->sorted.n = one->partitions.n;
	if (one->sorted.n > 0)
		memcpy(one->sorted.v, one->partitions.v, (size_t)one->sorted.n * sizeof(*one->sorted.v));
	txn_partitions_normalize(&one->sorted);
	one->give_up_ns = transaction_give_up_ns(request->shard);
	one->call.request = request;
	one->call.kind = COORDINATOR_TRANSACTION;
	one->call.group_id = one->id;
	one->call.op = &one->op;
	one->call.done = add_partitions_decided;
	coordinator_call_start(&one->call);
}

static void add_partitions_read(struct add_partitions *all)
{
	const struct add_partitions_to_txn_request *in = all->request->body;

	if (all->request->version < 4) {
		all->v[0].id = in->v3_and_below_transactional_id;
		all->v[0].producer =
			(struct txn_producer){in->v3_and_below_producer_id, in->v3_and_below_producer_epoch};
		all->v[0].topics = in->v3_and_below_topics;
		all->v[0].topics_n = in->v3_and_below_topics_n;
		return;
	}
	for (int32_t i = 0; i < all->n; i++) {
		const struct add_partitions_to_txn_request_transactions *from = &in->transactions[i];

		all->v[i].id = from->transactional_id;
		all->v[i].producer = (struct txn_producer){from->producer_id, from->producer_epoch};
		all->v[i].verify_only = from->verify_only;
		all->v[i].topics = from->topics;
		all->v[i].topics_n = from->topics_n;
	}
}

void api_add_partitions_to_txn(struct request *request)
{
	const struct add_partitions_to_txn_request *in = request->body;
	struct add_partitions *all = ARENA_NEW(&request->arena, struct add_partitions);
	int32_t n = request->version < 4 ? 1 : in->transactions_n; /* the last answer may free the rest */

	all->request = request;
	all->n = n;
	if (!coordinator_calls_fit(request, n))
		return;
	all->v = ARENA_NEW_N(&request->arena, struct add_partitions_one, n);
	for (int32_t i = 0; i < n; i++)
		all->v[i].all = all;
	add_partitions_read(all);
	request->op = all;
	request->release = add_partitions_release;
	if (n == 0) {
		add_partitions_reply(&all->gather);
		return;
	}
	gather_start(&all->gather, n, add_partitions_reply);
	for (int32_t i = 0; i < n; i++)
		add_partitions_start(&all->v[i]);
}
