/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The aborted transactions that an answer to a fetch of committed records names: those that reach into the range that
 * was read, from the offset that was asked for to the end of the last batch, give or take an index entry. Those behind
 * it come with the answers that return their records, so a log full of aborts makes no answer large.
 */
#include "fetch_op.h"
#include "part_log.h"
#include "txn_index.h"

/* Writes at most `max` into ret, and returns how many there are. */
static int32_t aborted_collect(const struct aborted_txns *all, int64_t offset, int64_t end,
			       struct fetch_response_responses_partitions_aborted_transactions *ret, int32_t max)
{
	int32_t n = 0;

	for (size_t i = aborted_txns_at(all, offset); i < all->list.n; i++) {
		const struct aborted_txn *txn = &all->list.v[i];

		if (txn->first_offset < end) {
			if (n < max) {
				ret[n].producer_id = txn->producer_id;
				ret[n].first_offset = txn->first_offset;
			}
			n++;
		}
		/* All that ended later began there or behind. */
		if (txn->last_stable_offset >= end)
			break;
	}
	return n;
}

void fetch_part_aborted(struct fetch_part *part)
{
	const struct aborted_txns *all = &part->read.log->aborted;
	int64_t offset = part->want->fetch_offset, end = part->read.end_offset;

	if (part->read.piece.len == 0)
		return;
	part->aborted_n = aborted_collect(all, offset, end, part->aborted, part->aborted_cap);
	if (part->aborted_n <= part->aborted_cap)
		return;
	/* A round before it had fewer, or this is the first. */
	part->aborted_cap = part->aborted_n;
	part->aborted = MSG_NEW_N(&part->owner.leg->arena, fetch_response_responses_partitions_aborted_transactions,
				  part->aborted_cap);
	aborted_collect(all, offset, end, part->aborted, part->aborted_cap);
}
