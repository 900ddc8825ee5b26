/* SPDX-License-Identifier: Apache-2.0 */
/* See txn_guard.h. */
#include "txn_guard.h"

#include "mem.h"

/* Beyond it those that nobody used go, the oldest first: producer ids come from clients. */
#define GUARDS_MAX 65536u
#define GUARDS_LOOK 1024u

static struct txn_guard *txn_guard_find(const struct txn_guards *guards, int64_t producer_id)
{
	if (guards->first.number && guards->first.producer_id == producer_id)
		return (struct txn_guard *)(uintptr_t)&guards->first;
	return guards->is_made ? map_get_u64(&guards->by_producer, (uint64_t)producer_id) : NULL;
}

void txn_guard_drop(struct txn_guards *guards, int64_t producer_id)
{
	if (guards->first.number && guards->first.producer_id == producer_id)
		guards->first.number = 0;
	if (!guards->is_made)
		return;
	mem_free(map_remove_u64(&guards->by_producer, (uint64_t)producer_id));
	if (guards->by_producer.n)
		return;
	map_deinit(&guards->by_producer);
	guards->is_made = false;
}

void txn_guard_end(struct txn_guards *guards, int64_t producer_id, int16_t epoch, int16_t version)
{
	const struct txn_guard *guard = txn_guard_find(guards, producer_id);

	/* The marker's epoch is the one that follows the transaction it ends. Who asked in an older epoch and shares
	 * the guard is refused for that: the partition has seen the newer one. */
	if (guard && version >= 2 && guard->is_version_2 && epoch <= guard->epoch)
		return;
	txn_guard_drop(guards, producer_id);
}

void txn_guards_deinit(struct txn_guards *guards)
{
	struct txn_guard *guard;

	guards->first.number = 0;
	if (!guards->is_made)
		return;
	for (uint32_t it = 0; (guard = map_next(&guards->by_producer, &it)) != NULL;)
		mem_free(guard);
	map_deinit(&guards->by_producer);
	guards->is_made = false;
}

/* They stand in the order in which they were made. */
static void txn_guards_expire(struct txn_guards *guards, const struct txn_guard_ask *ask)
{
	struct txn_guard *guard;

	for (uint32_t it = 0; (guard = map_next(&guards->by_producer, &it)) != NULL;) {
		if (guards->by_producer.n < GUARDS_MAX && ask->now_ns - guard->asked_ns < ask->expire_ns)
			return;
		mem_free(map_remove_u64(&guards->by_producer, (uint64_t)guard->producer_id));
	}
}

static struct txn_guard *txn_guard_add(struct txn_guards *guards, const struct txn_guard_ask *ask)
{
	struct txn_guard made = {ask->producer_id, ++guards->last, ask->now_ns, ask->sequence, ask->epoch,
				 ask->is_version_2};
	struct txn_guard *guard;

	if (!guards->first.number) {
		guards->first = made;
		return &guards->first;
	}
	guard = MEM_NEW(struct txn_guard);
	if (!guards->is_made)
		map_init(&guards->by_producer, MAP_U64, rng_u64(ask->rng));
	guards->is_made = true;
	if (guards->by_producer.n >= GUARDS_LOOK)
		txn_guards_expire(guards, ask);
	*guard = made;
	map_put_u64(&guards->by_producer, (uint64_t)ask->producer_id, guard);
	return guard;
}

uint64_t txn_guard_take(struct txn_guards *guards, const struct txn_guard_ask *ask)
{
	struct txn_guard *guard = txn_guard_find(guards, ask->producer_id);

	if (!guard)
		return txn_guard_add(guards, ask)->number;
	if (ask->epoch > guard->epoch || (ask->epoch == guard->epoch && ask->sequence < guard->lowest_sequence))
		guard->lowest_sequence = ask->sequence;
	if (ask->epoch >= guard->epoch) {
		guard->epoch = ask->epoch;
		guard->is_version_2 = ask->is_version_2;
	}
	return guard->number;
}

enum err txn_guard_check(const struct txn_guards *guards, int64_t producer_id, uint64_t guard, int32_t sequence,
			 bool has_batches)
{
	const struct txn_guard *now = txn_guard_find(guards, producer_id);

	if (!now || now->number != guard)
		return ERR_INVALID_TXN_STATE;
	if (now->is_version_2 && sequence != 0 && !has_batches)
		return ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
	return sequence > now->lowest_sequence ? ERR_OUT_OF_ORDER_SEQUENCE_NUMBER : ERR_NONE;
}
