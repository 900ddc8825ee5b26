/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first batch of a transaction in a partition comes after the coordinator: it adds the partition to the transaction
 * (version 2) or says that it was added (KIP-890).
 *
 *    ask the owners --none is new here-------------------------------------> produce_append
 *          |                                                                      ^
 *          +--> guards taken --> coordinator asked, once for the request --> those that may
 *
 * Meanwhile the order of the connection is not fixed: the next request waits, so that it finds the transaction open and
 * nothing overtakes. A marker that ends this transaction meanwhile takes the guard away, and the append
 * is refused.
 */
#include "api.h"
#include "batch.h"
#include "broker.h"
#include "produce_op.h"
#include "shard.h"

void produce_part_read_producer(struct produce_part *part)
{
	const uint8_t *p = part->in->records.piece.mem;

	part->producer.id = (int64_t)load_be64(p + BATCH_PRODUCER_ID_AT);
	part->producer.epoch = (int16_t)load_be16(p + BATCH_PRODUCER_EPOCH_AT);
	part->sequence = (int32_t)load_be32(p + BATCH_BASE_SEQUENCE_AT);
}

bool produce_has_two_producers(const struct produce *produce)
{
	struct txn_producer first = TXN_PRODUCER_NONE;

	for (const struct produce_part *part = produce->parts; part; part = part->next) {
		if (part->producer.id < 0)
			continue;
		if (first.id >= 0 && (part->producer.id != first.id || part->producer.epoch != first.epoch))
			return true;
		first = part->producer;
	}
	return false;
}

/* ---- on the owner's reactor ---- */

static void produce_part_asked(struct owner_part *owner, enum err err)
{
	struct produce_part *part = container_of(owner, struct produce_part, owner);
	struct shard *shard = owner->leg->shard;
	const struct txn_guard_ask ask = {
		.producer_id = part->producer.id,
		.epoch = part->producer.epoch,
		.sequence = part->sequence,
		.is_version_2 = part->produce->ask == TRANSACTION_ADD,
		.now_ns = shard->reactor->now_ns,
		.expire_ns = shard->storage.options.producer_expire_ms * NS_PER_MS,
		.rng = &shard->reactor->rng,
	};

	if (err) {
		metrics_produced(shard, NULL, err, 0, 0);
		part->out->error_code = err_wire(err);
		part->is_ended = true;
	} else if (part->producer.id >= 0 &&
		   !producer_state_has_txn(&owner->partition->log->producers, part->producer.id,
					   part->producer.epoch)) {
		part->txn_guard = txn_guard_take(&owner->partition->txn_guards, &ask);
	}
	scatter_part_done(owner->leg);
}

/* ---- at home ---- */

static void produce_enrolled(struct transaction_call *call)
{
	struct produce *produce = call->ctx;

	for (int32_t i = 0; i < call->partitions_n; i++) {
		struct produce_part *part = produce->enrolled_parts[i];

		if (!call->errs[i])
			continue;
		metrics_produced(produce->request->shard, NULL, call->errs[i], 0, 0);
		part->out->error_code = err_wire(call->errs[i]);
		if (call->errs[i] == ERR_INVALID_TXN_STATE)
			part->out->error_message = STR("Partition was not added to the transaction");
		part->is_ended = true;
	}
	produce_append(produce);
}

static void produce_asked(struct scatter *scatter)
{
	struct produce *produce = scatter->home_op;
	struct transaction_call *call;
	struct arena *arena = &produce->request->arena;
	int32_t n = 0, all_n = 0;

	for (struct produce_part *part = produce->parts; part; part = part->next)
		all_n += part->txn_guard != 0;
	if (all_n == 0) {
		produce_append(produce);
		return;
	}
	call = produce->enrol = ARENA_NEW(arena, struct transaction_call);
	produce->enrolled = ARENA_NEW_N(arena, struct txn_partition, all_n);
	produce->enrolled_parts = ARENA_NEW_N(arena, struct produce_part *, all_n);
	for (struct produce_part *part = produce->parts; part; part = part->next) {
		if (part->txn_guard == 0)
			continue;
		call->producer = part->producer;
		produce->enrolled[n] = (struct txn_partition){part->topic, part->in->index};
		produce->enrolled_parts[n++] = part;
	}
	call->home = produce->request->shard;
	call->ask = produce->ask;
	call->transactional_id = produce->in->transactional_id;
	call->partitions = produce->enrolled;
	call->partitions_n = n;
	call->request = produce->request;
	call->ctx = produce;
	call->done = produce_enrolled;
	transaction_enrol(call);
}

void produce_enrol(struct produce *produce)
{
	produce->is_guarded = true;
	for (struct produce_part *part = produce->parts; part; part = part->next) {
		part->owner.ready = produce_part_asked;
		owner_part_add(produce->scatter, &part->owner);
	}
	scatter_run(produce->scatter, owner_parts_run, produce_asked);
}
