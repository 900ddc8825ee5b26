/* SPDX-License-Identifier: Apache-2.0 */
/* See transaction_call.h. */
#include "transaction_call.h"

#include "broker.h"
#include "shard.h"
#include "transaction_watch.h"

enum txn_version transaction_version(const struct shard *shard)
{
	int16_t level = shard->image ? image_feature(shard->image, STR("transaction.version")) : 0;

	return level >= TXN_VERSION_2 ? TXN_VERSION_2 : level == 1 ? TXN_VERSION_1 : TXN_VERSION_0;
}

int64_t transaction_give_up_ns(const struct shard *shard)
{
	return shard->reactor->now_ns + shard->config->add_partitions_to_txn_retry_backoff_max_ms * NS_PER_MS;
}

bool transaction_is_verified(const struct shard *shard)
{
	return shard->config->transaction_partition_verification_enable;
}

/* What Kafka's answer to a write says where the coordinator said `err`. */
static enum err transaction_write_error(enum transaction_ask ask, enum err err)
{
	switch ((int)err) {
	case ERR_PRODUCER_FENCED:
		return ERR_INVALID_PRODUCER_EPOCH;
	case ERR_TRANSACTION_ABORTABLE:
		return ask == TRANSACTION_VERIFY_OLD ? ERR_INVALID_TXN_STATE : err;
	case ERR_CONCURRENT_TRANSACTIONS:
		return ask == TRANSACTION_ADD ? err : ERR_NOT_ENOUGH_REPLICAS;
	case ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case ERR_COORDINATOR_NOT_AVAILABLE:
	case ERR_NOT_COORDINATOR:
	case ERR_NETWORK_EXCEPTION:
		return ERR_NOT_ENOUGH_REPLICAS;
	default:
		return err;
	}
}

static enum err transaction_decide(struct coord_op *op, void *ptr, struct coord_records *records)
{
	struct transaction_call *call = container_of(op, struct transaction_call, op);
	struct coordinator_txn *machine = ptr;

	if (call->ask == TRANSACTION_ADD) {
		enum err err = txn_add_partitions(&machine->store, call->transactional_id, call->producer,
						  call->sorted, TXN_VERSION_2, records);

		if (!err)
			transaction_client_learn(machine, call->transactional_id, call->request);
		/* The end of the transaction before is on its way: over in a moment. */
		if (err == ERR_CONCURRENT_TRANSACTIONS &&
		    transaction_markers_wait(machine, call->transactional_id, &call->waiter, op, call->give_up_ns))
			return ERR_WOULD_BLOCK;
		return err;
	}
	for (int32_t i = 0; i < call->partitions_n; i++)
		call->errs[i] = txn_verify_partition(&machine->store, call->transactional_id, call->producer,
						     call->partitions[i].topic, call->partitions[i].partition);
	return ERR_NONE;
}

static void transaction_finish(struct transaction_call *call, enum err err)
{
	struct transaction_stats *stats = &call->home->metrics.transaction_asks;

	for (int32_t i = 0; i < call->partitions_n; i++) {
		call->errs[i] = transaction_write_error(call->ask, err ? err : call->errs[i]);
		stats->failures_n += call->errs[i] != ERR_NONE;
	}
	hist_add(&stats->ask_ns, metrics_now(call->home) - call->began_ns);
	call->done(call);
}

static void transaction_send(struct transaction_call *call);

static void transaction_retry_due(struct timer *timer)
{
	transaction_send(container_of(timer, struct transaction_call, retry));
}

static void transaction_decided(struct coordinator_call *ccall)
{
	struct transaction_call *call = container_of(ccall, struct transaction_call, call);
	struct reactor *reactor = call->home->reactor;
	int64_t pause_ns = call->home->config->add_partitions_to_txn_retry_backoff_ms * NS_PER_MS;

	/* Decided, but not committed: nobody has begun to end it. */
	if (call->ask == TRANSACTION_ADD && call->op.err == ERR_CONCURRENT_TRANSACTIONS &&
	    reactor->now_ns + pause_ns <= call->give_up_ns && !call->home->is_stopping)
		reactor_timer(reactor, &call->retry, pause_ns, transaction_retry_due);
	else
		transaction_finish(call, call->op.err);
}

static void transaction_send(struct transaction_call *call)
{
	call->op = (struct coord_op){.decide = transaction_decide};
	call->call.home = call->home;
	call->call.kind = COORDINATOR_TRANSACTION;
	call->call.group_id = call->transactional_id;
	call->call.op = &call->op;
	call->call.done = transaction_decided;
	coordinator_call_start(&call->call);
}

void transaction_enrol(struct transaction_call *call)
{
	struct arena *arena = &call->call.arena;

	call->retry = (struct timer){0};
	call->call = (struct coordinator_call){0};
	arena_init(arena, call->call.block, sizeof(call->call.block));
	call->began_ns = metrics_now(call->home);
	call->give_up_ns = transaction_give_up_ns(call->home);
	call->errs = ARENA_NEW_N(arena, enum err, call->partitions_n);
	call->sorted = (struct txn_partitions){NULL, call->partitions_n};
	if (call->transactional_id.len == 0) {
		transaction_finish(call, ERR_INVALID_REQUEST);
		return;
	}
	call->sorted.v = ARENA_NEW_N(arena, struct txn_partition, call->partitions_n);
	memcpy(call->sorted.v, call->partitions, (size_t)call->partitions_n * sizeof(*call->partitions));
	txn_partitions_normalize(&call->sorted);
	transaction_send(call);
}

void transaction_call_free(struct transaction_call *call)
{
	coordinator_call_free(&call->call);
	call->sorted.v = NULL;
	call->errs = NULL;
}
