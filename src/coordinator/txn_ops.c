/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests do to a transactional id: begin, enrol partitions, end. Each looks at the newest state, ahead of the
 * commit, and writes the next one; Kafka's checks in Kafka's order. Sources: KIP-98, KIP-360, KIP-588, KIP-890.
 */
#include "fault.h"
#include "txn_internal.h"

/* Records of transaction.version 0 have no room for what the later protocol has to remember. */
static bool txn_version_is_known(const struct txn_store *store, enum txn_version version)
{
	return version == TXN_VERSION_0 || store->settings.version > TXN_VERSION_0;
}

static bool producer_is_given(struct txn_producer producer)
{
	return producer.id >= 0;
}

/* ---- InitProducerId ---- */

static struct txn init_next(struct txn_store *store, const struct txn_init *init, const struct txn *txn)
{
	struct txn next = {.id = init->id, .store = store, .producer_id = -1, .previous_producer_id = -1, .epoch = -1};

	if (txn)
		next = *txn;
	next.next_producer_id = -1;
	next.last_epoch = -1;
	next.timeout_ms = init->timeout_ms;
	next.state = TXN_EMPTY;
	next.start_ms = -1;
	next.update_ms = store->shard->wall_ms;
	next.partitions = (struct txn_partitions){0};
	return next;
}

static void init_done(struct txn_store *store, struct txn_init *init, const struct txn *next,
		      struct coord_records *records)
{
	init->producer = (struct txn_producer){next->producer_id, next->epoch};
	txn_write(store, next, records);
}

/* With a producer id that nobody has had. */
static enum err init_fresh(struct txn_store *store, struct txn_init *init, const struct txn *txn,
			   struct coord_records *records)
{
	struct txn next = init_next(store, init, txn);

	if (init->fresh_id < 0) {
		init->needs_id = true;
		return ERR_NONE;
	}
	next.producer_id = init->fresh_id;
	next.epoch = sim_first_epoch();
	if (txn && producer_is_given(init->expected))
		next.last_epoch = txn->epoch;
	init_done(store, init, &next, records);
	return ERR_NONE;
}

/* In the next epoch of its producer id, or, repeated, in the one that was given out already. */
static enum err init_next_epoch(struct txn_store *store, struct txn_init *init, const struct txn *txn,
				struct coord_records *records)
{
	struct txn next = init_next(store, init, txn);

	if (!producer_is_given(init->expected)) {
		next.epoch = (int16_t)(txn->epoch + 1);
	} else if (init->expected.epoch == txn->epoch) {
		next.epoch = (int16_t)(txn->epoch + 1);
		next.last_epoch = txn->epoch;
	} else if (txn->last_epoch >= 0 && init->expected.epoch == txn->last_epoch) {
		next.epoch = txn->epoch;
		next.last_epoch = txn->last_epoch;
	} else {
		return ERR_PRODUCER_FENCED;
	}
	init_done(store, init, &next, records);
	return ERR_NONE;
}

static bool init_expects_rightly(const struct txn_init *init, const struct txn *txn)
{
	return !producer_is_given(init->expected) || init->expected.id == txn->producer_id ||
	       (init->expected.id == txn->previous_producer_id && txn_epoch_is_exhausted(init->expected.epoch));
}

enum err txn_init_producer(struct txn_store *store, struct txn_init *init, struct coord_records *records)
{
	const struct txn *txn = txn_find(store, init->id);

	init->needs_id = init->is_aborting = false;
	if (init->timeout_ms <= 0 || init->timeout_ms > store->settings.max_timeout_ms)
		return ERR_INVALID_TRANSACTION_TIMEOUT;
	if (!txn)
		return store->txns.n >= TXN_IDS_MAX ? ERR_POLICY_VIOLATION : init_fresh(store, init, NULL, records);
	if (!init_expects_rightly(init, txn))
		return ERR_PRODUCER_FENCED;
	switch (txn->state) {
	case TXN_PREPARE_COMMIT:
	case TXN_PREPARE_ABORT:
	case TXN_PREPARE_EPOCH_FENCE:
	case TXN_DEAD:
		return ERR_CONCURRENT_TRANSACTIONS;
	case TXN_ONGOING: {
		/* Whoever has it is fenced; its epoch is told to nobody. The client asks again when that is over. */
		struct txn next = txn_fenced(txn, init->fresh_id);

		init->needs_id = txn_fenced_needs_id(txn) && init->fresh_id < 0;
		if (init->needs_id)
			return ERR_NONE;
		init->is_aborting = true;
		txn_write(store, &next, records);
		return ERR_NONE;
	}
	case TXN_EMPTY:
	case TXN_COMPLETE_COMMIT:
	case TXN_COMPLETE_ABORT:
		if (txn_epoch_is_exhausted(txn->epoch) &&
		    (!producer_is_given(init->expected) || init->expected.epoch == txn->epoch))
			return init_fresh(store, init, txn, records);
		return init_next_epoch(store, init, txn, records);
	default:
		UNREACHABLE();
	}
}

/* ---- partitions ---- */

static enum err add_check(const struct txn *txn, struct txn_producer producer)
{
	if (!txn || txn->producer_id != producer.id)
		return ERR_INVALID_PRODUCER_ID_MAPPING;
	if (txn->epoch != producer.epoch && !FAULT(txn_epoch_unchecked))
		return ERR_PRODUCER_FENCED;
	if (txn_is_decided(txn))
		return ERR_CONCURRENT_TRANSACTIONS;
	return ERR_NONE;
}

static bool txn_has_all(const struct txn *txn, struct txn_partitions partitions)
{
	for (int32_t i = 0; i < partitions.n; i++) {
		if (!txn_has_partition(txn, partitions.v[i].topic, partitions.v[i].partition))
			return false;
	}
	return true;
}

enum err txn_add_partitions(struct txn_store *store, struct str id, struct txn_producer producer,
			    struct txn_partitions partitions, enum txn_version version, struct coord_records *records)
{
	const struct txn *txn = txn_find(store, id);
	enum err err = add_check(txn, producer);
	struct txn next;

	if (err)
		return err;
	if (txn->state == TXN_ONGOING && txn_has_all(txn, partitions))
		return ERR_NONE;
	if (!txn_version_is_known(store, version))
		return ERR_UNSUPPORTED_VERSION;
	if ((int64_t)txn->partitions.n + partitions.n > TXN_PARTITIONS_MAX)
		return ERR_POLICY_VIOLATION;
	next = *txn;
	next.partitions.v = ARENA_NEW_N(records->arena, struct txn_partition, txn->partitions.n + partitions.n);
	next.partitions.n = 0;
	/* What an ended transaction wrote is no part of the new one. */
	for (int32_t i = 0; txn->state == TXN_ONGOING && i < txn->partitions.n; i++)
		next.partitions.v[next.partitions.n++] = txn->partitions.v[i];
	for (int32_t i = 0; i < partitions.n; i++)
		next.partitions.v[next.partitions.n++] = partitions.v[i];
	txn_partitions_normalize(&next.partitions);
	next.version = version;
	next.update_ms = store->shard->wall_ms;
	if (txn->state != TXN_ONGOING)
		next.start_ms = store->shard->wall_ms;
	next.state = TXN_ONGOING;
	txn_write(store, &next, records);
	return ERR_NONE;
}

enum err txn_verify_partition(const struct txn_store *store, struct str id, struct txn_producer producer,
			      struct str topic, int32_t partition)
{
	const struct txn *txn = txn_find(store, id);
	enum err err = add_check(txn, producer);

	if (err)
		return err;
	return txn->state == TXN_ONGOING && txn_has_partition(txn, topic, partition) ? ERR_NONE :
											ERR_TRANSACTION_ABORTABLE;
}

/* ---- EndTxn ---- */

/* The decision; version 2 ends the epoch with it. */
static enum err end_decide(struct txn_store *store, struct txn_end *end, const struct txn *txn,
			   struct coord_records *records)
{
	struct txn next = *txn;

	if (!txn_version_is_known(store, end->version))
		return ERR_UNSUPPORTED_VERSION;
	next.version = end->version;
	next.next_producer_id = -1;
	if (end->version >= TXN_VERSION_2) {
		if (txn->epoch == INT16_MAX && end->commit)
			return ERR_UNKNOWN_SERVER_ERROR;
		if (txn_epoch_is_exhausted(txn->epoch) && end->fresh_id < 0) {
			end->needs_id = true;
			return ERR_NONE;
		}
		txn_epoch_end(&next, end->fresh_id);
	}
	next.state = end->commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT;
	next.update_ms = store->shard->wall_ms;
	if (txn->state != TXN_ONGOING) {
		next.start_ms = store->shard->wall_ms;
		next.partitions = (struct txn_partitions){0};
	}
	end->is_decided = true;
	end->next = next.next_producer_id >= 0 ? (struct txn_producer){next.next_producer_id, 0} :
						 (struct txn_producer){next.producer_id, next.epoch};
	txn_write(store, &next, records);
	return ERR_NONE;
}

static enum err end_version_1(struct txn_store *store, struct txn_end *end, const struct txn *txn,
			      struct coord_records *records)
{
	if (txn->producer_id != end->producer.id)
		return ERR_INVALID_PRODUCER_ID_MAPPING;
	if (txn->epoch != end->producer.epoch && !FAULT(txn_epoch_unchecked))
		return ERR_PRODUCER_FENCED;
	switch (txn->state) {
	case TXN_ONGOING:
		return end_decide(store, end, txn, records);
	case TXN_COMPLETE_COMMIT:
		return end->commit ? ERR_NONE : ERR_INVALID_TXN_STATE;
	case TXN_COMPLETE_ABORT:
		return end->commit ? ERR_INVALID_TXN_STATE : ERR_NONE;
	case TXN_PREPARE_COMMIT:
		return end->commit ? ERR_CONCURRENT_TRANSACTIONS : ERR_INVALID_TXN_STATE;
	case TXN_PREPARE_ABORT:
		return end->commit ? ERR_INVALID_TXN_STATE : ERR_CONCURRENT_TRANSACTIONS;
	case TXN_EMPTY:
	case TXN_DEAD:
	case TXN_PREPARE_EPOCH_FENCE:
		return ERR_INVALID_TXN_STATE;
	default:
		UNREACHABLE();
	}
}

/* In version 2 the same epoch means the next end, and the one before means this one again. */
static bool end_is_repeated(const struct txn_end *end, const struct txn *txn)
{
	if (FAULT(end_retry_fenced))
		return false;
	/* An end of the first protocols raises no epoch: whoever has the one before was fenced, and must not be told
	 * the end of his successor's transaction, and his epoch. Below version 2, where nobody asks so, as Kafka. */
	if (txn->version < TXN_VERSION_2 && txn->store->settings.version >= TXN_VERSION_2)
		return false;
	if (txn->producer_id == end->producer.id)
		return txn->epoch == end->producer.epoch + 1;
	return txn->previous_producer_id == end->producer.id && end->producer.epoch == TXN_EPOCH_LAST &&
	       txn->epoch == 0;
}

static enum err end_version_2(struct txn_store *store, struct txn_end *end, const struct txn *txn,
			      struct coord_records *records)
{
	bool is_repeated = end_is_repeated(end, txn);
	bool is_current = txn->producer_id == end->producer.id && txn->epoch == end->producer.epoch;

	if (txn->producer_id != end->producer.id && !is_repeated)
		return ERR_INVALID_PRODUCER_ID_MAPPING;
	if (!(is_current && !txn_is_decided(txn)) &&
	    !(is_repeated && (txn_is_decided(txn) || txn->state == TXN_COMPLETE_COMMIT ||
			      txn->state == TXN_COMPLETE_ABORT)))
		return ERR_PRODUCER_FENCED;
	switch (txn->state) {
	case TXN_ONGOING:
		return end_decide(store, end, txn, records);
	case TXN_EMPTY:
		/* To abort what was never begun raises the epoch all the same: late writes of it find no home. */
		return end->commit ? ERR_INVALID_TXN_STATE : end_decide(store, end, txn, records);
	case TXN_COMPLETE_COMMIT:
	case TXN_COMPLETE_ABORT:
		if (is_repeated && end->commit == (txn->state == TXN_COMPLETE_COMMIT)) {
			end->next = (struct txn_producer){txn->producer_id, txn->epoch};
			return ERR_NONE;
		}
		return is_repeated || end->commit ? ERR_INVALID_TXN_STATE : end_decide(store, end, txn, records);
	case TXN_PREPARE_COMMIT:
		return end->commit ? ERR_CONCURRENT_TRANSACTIONS : ERR_INVALID_TXN_STATE;
	case TXN_PREPARE_ABORT:
		return end->commit ? ERR_INVALID_TXN_STATE : ERR_CONCURRENT_TRANSACTIONS;
	case TXN_DEAD:
	case TXN_PREPARE_EPOCH_FENCE:
		return ERR_INVALID_TXN_STATE;
	default:
		UNREACHABLE();
	}
}

enum err txn_end(struct txn_store *store, struct txn_end *end, struct coord_records *records)
{
	const struct txn *txn = txn_find(store, end->id);

	end->needs_id = end->is_decided = false;
	end->next = end->producer;
	if (!txn)
		return ERR_INVALID_PRODUCER_ID_MAPPING;
	return end->version >= TXN_VERSION_2 ? end_version_2(store, end, txn, records) :
					       end_version_1(store, end, txn, records);
}

void txn_decision_committed(struct txn_store *store, struct str id)
{
	const struct txn *txn = txn_find(store, id);

	if (txn && txn_is_decided(txn))
		store->send_markers(store, txn);
}

enum err txn_markers_written(struct txn_store *store, struct str id, struct txn_producer producer,
			     struct coord_records *records)
{
	const struct txn *txn = txn_find(store, id);
	struct txn next;

	if (!txn || !txn_is_decided(txn) || txn->producer_id != producer.id || txn->epoch != producer.epoch)
		return ERR_NONE;
	next = *txn;
	next.state = txn->state == TXN_PREPARE_COMMIT ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT;
	next.partitions = (struct txn_partitions){0};
	next.update_ms = store->shard->wall_ms;
	if (txn->next_producer_id >= 0) {
		next.producer_id = txn->next_producer_id;
		next.next_producer_id = -1;
		next.epoch = 0;
	}
	txn_write(store, &next, records);
	return ERR_NONE;
}
