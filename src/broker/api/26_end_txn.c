/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndTxn (key 26), versions 0-5: the decision about a transaction. Answered when it is committed in the coordinator's
 * log; the markers follow by themselves. From version 5 on (version 2 of transactions) the answer says with which
 * producer id and epoch to go on.
 *
 * Same as Kafka: up to version 1 a fenced producer is told INVALID_PRODUCER_EPOCH.
 */
#include "api.h"
#include "broker.h"
#include "msg/end_txn.h"
#include "producer_ids.h"
#include "shard.h"
#include "transaction_markers.h"

struct end_txn {
	struct request *request;
	struct coordinator_call call;
	struct coord_op op;
	struct txn_end end;
	struct producer_id_wait wait;
	struct end_txn_response out;
};

static enum err end_txn_decide(struct coord_op *op, void *ptr, struct coord_records *records)
{
	struct end_txn *end = container_of(op, struct end_txn, op);
	struct coordinator_txn *machine = ptr;

	return txn_end(&machine->store, &end->end, records);
}

/* On the coordinator's reactor. */
static void end_txn_settled(struct coord_op *op, void *ptr, enum err err)
{
	struct end_txn *end = container_of(op, struct end_txn, op);
	struct coordinator_txn *machine = ptr;

	if (!err && end->end.is_decided)
		txn_decision_committed(&machine->store, end->end.id);
}

static void end_txn_reply(struct end_txn *end, enum err err)
{
	if (err == ERR_PRODUCER_FENCED && end->request->version < 2)
		err = ERR_INVALID_PRODUCER_EPOCH;
	end->out.error_code = err_wire(err);
	if (!err && end->request->version >= 5) {
		end->out.producer_id = end->end.next.id;
		end->out.producer_epoch = end->end.next.epoch;
	}
	request_reply(end->request, &end->out);
}

static void end_txn_start(struct end_txn *end);

static void end_txn_has_id(struct producer_id_wait *wait, enum err err)
{
	struct end_txn *end = container_of(wait, struct end_txn, wait);

	if (err) {
		coordinator_call_free(&end->call);
		end_txn_reply(end, ERR_COORDINATOR_LOAD_IN_PROGRESS);
		return;
	}
	end->end.fresh_id = wait->producer_id;
	end_txn_start(end);
}

static void end_txn_decided(struct coordinator_call *call)
{
	struct end_txn *end = container_of(call, struct end_txn, call);

	if (!end->op.err && end->end.needs_id) {
		end->wait.done = end_txn_has_id;
		producer_ids_next(end->request->shard->producer_ids, &end->wait);
		return;
	}
	coordinator_call_free(call);
	end_txn_reply(end, end->op.err);
}

static void end_txn_start(struct end_txn *end)
{
	end->op = (struct coord_op){.decide = end_txn_decide, .settled = end_txn_settled};
	end->call.request = end->request;
	end->call.kind = COORDINATOR_TRANSACTION;
	end->call.group_id = end->end.id;
	end->call.op = &end->op;
	end->call.done = end_txn_decided;
	coordinator_call_start(&end->call);
}

void api_end_txn(struct request *request)
{
	const struct end_txn_request *in = request->body;
	struct end_txn *end = ARENA_NEW(&request->arena, struct end_txn);

	end->request = request;
	msg_init(&end_txn_response_type, &end->out);
	end->end = (struct txn_end){
		.id = in->transactional_id,
		.producer = {in->producer_id, in->producer_epoch},
		.commit = in->committed,
		.version = request->version > 4 ? TXN_VERSION_2 : TXN_VERSION_0,
		.fresh_id = -1,
	};
	if (in->transactional_id.len == 0)
		end_txn_reply(end, ERR_INVALID_REQUEST);
	else
		end_txn_start(end);
}
