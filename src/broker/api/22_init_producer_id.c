/* SPDX-License-Identifier: Apache-2.0 */
/*
 * InitProducerId (key 22), versions 0-5. Without a transactional id: a fresh id with epoch 0. With one: the coordinator
 * of the id fences whoever had it before; a fresh producer id comes from our block where the id is new or its epochs
 * are used up, and the operation is run again with it.
 *
 * Same as Kafka: an open transaction is aborted first and the client told CONCURRENT_TRANSACTIONS until that is over;
 * up to version 3 a fenced producer is told INVALID_PRODUCER_EPOCH.
 */
#include "api.h"
#include "broker.h"
#include "msg/init_producer_id.h"
#include "producer_ids.h"
#include "shard.h"
#include "transaction_call.h"
#include "transaction_watch.h"
#include "transaction_markers.h"

struct init_producer_id {
	struct request *request;
	struct init_producer_id_response out;
	struct producer_id_wait wait;
	/* of transactional ids */
	struct coordinator_call call;
	struct coord_op op;
	struct txn_init init;
};

static void init_producer_id_reply(struct init_producer_id *init, enum err err)
{
	init->out.error_code = err_wire(err);
	if (err) {
		init->out.producer_id = -1;
		init->out.producer_epoch = -1;
	}
	request_reply(init->request, &init->out);
}

/* ---- idempotent only ---- */

static void init_producer_id_done(struct producer_id_wait *wait, enum err err)
{
	struct init_producer_id *init = container_of(wait, struct init_producer_id, wait);

	init->out.producer_id = wait->producer_id;
	init->out.producer_epoch = 0;
	/* Kafka tells clients to come back while a block is fetched. */
	init_producer_id_reply(init, err ? ERR_COORDINATOR_LOAD_IN_PROGRESS : ERR_NONE);
}

/* ---- transactional ---- */

static enum err init_txn_decide(struct coord_op *op, void *ptr, struct coord_records *records)
{
	struct init_producer_id *init = container_of(op, struct init_producer_id, op);
	struct coordinator_txn *machine = ptr;

	return txn_init_producer(&machine->store, &init->init, records);
}

/* On the coordinator's reactor. */
static void init_txn_settled(struct coord_op *op, void *ptr, enum err err)
{
	struct init_producer_id *init = container_of(op, struct init_producer_id, op);
	struct coordinator_txn *machine = ptr;

	if (!err && !init->init.is_aborting)
		transaction_owner_changes(machine, init->init.id, init->request);
	if (err || !init->init.is_aborting)
		return;
	transaction_owner_fenced(machine, init->init.id, init->request);
	txn_decision_committed(&machine->store, init->init.id);
}

static void init_txn_start(struct init_producer_id *init);

static void init_txn_has_id(struct producer_id_wait *wait, enum err err)
{
	struct init_producer_id *init = container_of(wait, struct init_producer_id, wait);

	if (err) {
		coordinator_call_free(&init->call);
		init_producer_id_reply(init, ERR_COORDINATOR_LOAD_IN_PROGRESS);
		return;
	}
	init->init.fresh_id = wait->producer_id;
	init_txn_start(init);
}

static void init_txn_decided(struct coordinator_call *call)
{
	struct init_producer_id *init = container_of(call, struct init_producer_id, call);
	enum err err = init->op.err;

	if (!err && init->init.needs_id) {
		init->wait.done = init_txn_has_id;
		producer_ids_next(init->request->shard->producer_ids, &init->wait);
		return;
	}
	coordinator_call_free(call);
	if (!err && init->init.is_aborting)
		err = ERR_CONCURRENT_TRANSACTIONS;
	if (err == ERR_PRODUCER_FENCED && init->request->version < 4)
		err = ERR_INVALID_PRODUCER_EPOCH;
	init->out.producer_id = init->init.producer.id;
	init->out.producer_epoch = init->init.producer.epoch;
	init_producer_id_reply(init, err);
}

static void init_txn_start(struct init_producer_id *init)
{
	init->op = (struct coord_op){.decide = init_txn_decide, .settled = init_txn_settled};
	init->call.request = init->request;
	init->call.kind = COORDINATOR_TRANSACTION;
	init->call.group_id = init->init.id;
	init->call.op = &init->op;
	init->call.done = init_txn_decided;
	coordinator_call_start(&init->call);
}

void api_init_producer_id(struct request *request)
{
	struct init_producer_id *init = ARENA_NEW(&request->arena, struct init_producer_id);
	const struct init_producer_id_request *in = request->body;

	init->request = request;
	msg_init(&init_producer_id_response_type, &init->out);
	if ((in->producer_id == -1) != (in->producer_epoch == -1) ||
	    (in->transactional_id.p && in->transactional_id.len == 0)) {
		init_producer_id_reply(init, ERR_INVALID_REQUEST);
		return;
	}
	if (!in->transactional_id.p) {
		init->wait.done = init_producer_id_done;
		producer_ids_next(request->shard->producer_ids, &init->wait);
		return;
	}
	init->init = (struct txn_init){
		.id = in->transactional_id,
		.timeout_ms = in->transaction_timeout_ms,
		.expected = {in->producer_id, in->producer_epoch},
		.fresh_id = -1,
	};
	init_txn_start(init);
}
