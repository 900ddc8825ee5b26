/* SPDX-License-Identifier: Apache-2.0 */
/* See compact_txn.h. */
#include "compact_txn.h"

#include "control.h"
#include "mem.h"

struct compact_txn {
	int64_t producer_id;
	bool is_aborted;
	bool is_seen; /* a batch of it was met */
	struct aborted_txn txn;
};

void compact_txns_init(struct compact_txns *txns, const struct aborted_txns *all, uint64_t seed)
{
	*txns = (struct compact_txns){.all = all};
	map_init(&txns->ongoing, MAP_U64, seed);
}

static void compact_txns_forget(struct compact_txns *txns, int64_t producer_id)
{
	mem_free(map_remove_u64(&txns->ongoing, (uint64_t)producer_id));
}

void compact_txns_deinit(struct compact_txns *txns)
{
	struct compact_txn *txn;

	for (uint32_t it = 0; (txn = map_next(&txns->ongoing, &it)) != NULL;)
		mem_free(txn);
	map_deinit(&txns->ongoing);
	vec_deinit(&txns->kept.list);
}

void compact_txns_skip(struct compact_txns *txns, int64_t offset)
{
	while (txns->next < txns->all->list.n && txns->all->list.v[txns->next].last_offset < offset)
		txns->next++;
}

static struct compact_txn *compact_txns_begin(struct compact_txns *txns, int64_t producer_id)
{
	struct compact_txn *txn = MEM_NEW(struct compact_txn);

	txn->producer_id = producer_id;
	map_put_u64(&txns->ongoing, (uint64_t)producer_id, txn);
	return txn;
}

/* Aborted transactions that have begun at or below the offset. */
static void compact_txns_reach(struct compact_txns *txns, int64_t offset)
{
	while (txns->next < txns->all->list.n && txns->all->list.v[txns->next].first_offset <= offset) {
		const struct aborted_txn *aborted = &txns->all->list.v[txns->next++];
		struct compact_txn *txn = map_get_u64(&txns->ongoing, (uint64_t)aborted->producer_id);

		if (txn && txn->is_aborted)
			continue;
		if (txn)
			compact_txns_forget(txns, aborted->producer_id);
		txn = compact_txns_begin(txns, aborted->producer_id);
		txn->is_aborted = true;
		txn->txn = *aborted;
	}
}

static bool compact_txns_marker(struct compact_txns *txns, const struct batch_info *batch, struct bytes key)
{
	struct compact_txn *txn = map_get_u64(&txns->ongoing, (uint64_t)batch->producer_id);
	bool is_needed;
	int type;

	/* Emptied before: nothing of it is left. */
	if (!key.p)
		return true;
	type = key.len >= 4 ? (int16_t)load_be16(key.p + 2) : CONTROL_UNKNOWN;
	if (type != CONTROL_ABORT && type != CONTROL_COMMIT)
		return false;
	is_needed = txn && txn->is_seen && txn->is_aborted == (type == CONTROL_ABORT);
	if (is_needed && type == CONTROL_ABORT)
		vec_push(&txns->kept.list, txn->txn);
	if (txn && txn->is_aborted == (type == CONTROL_ABORT))
		compact_txns_forget(txns, batch->producer_id);
	return !is_needed;
}

bool compact_txns_see(struct compact_txns *txns, const struct batch_info *batch, struct bytes first_key)
{
	struct compact_txn *txn;

	compact_txns_reach(txns, batch->last_offset);
	if (batch_is_control(batch))
		return compact_txns_marker(txns, batch, first_key);
	if (!batch_is_transactional(batch))
		return false;
	txn = map_get_u64(&txns->ongoing, (uint64_t)batch->producer_id);
	if (!txn)
		txn = compact_txns_begin(txns, batch->producer_id);
	txn->is_seen = true;
	return txn->is_aborted;
}
