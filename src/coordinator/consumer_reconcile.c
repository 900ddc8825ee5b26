/* SPDX-License-Identifier: Apache-2.0 */
/* See consumer_reconcile.h. KIP-848, "Consumer group assignment reconciliation". */
#include "consumer_reconcile.h"

#include "fault.h"

/* Before the member has said what it owns it may own all of it. */
static bool member_owns_some(const struct reconcile *reconcile, struct part_set revoking)
{
	return !reconcile->knows_owned || part_set_overlaps(revoking, reconcile->owned);
}

/* Of `wanted` what nobody else has, marked with the epoch it is given in. */
static struct part_set member_take_free(const struct reconcile *reconcile, struct part_set wanted,
					struct arena *arena)
{
	struct part_set ret = {ARENA_NEW_N(arena, struct part_id, wanted.n), 0};

	for (int32_t i = 0; i < wanted.n; i++) {
		if (reconcile->is_taken(reconcile->ctx, wanted.v[i]) && !FAULT(group_taken_ignored))
			continue;
		ret.v[ret.n] = wanted.v[i];
		ret.v[ret.n++].epoch = reconcile->target_epoch;
	}
	return ret;
}

static struct member_current member_next(const struct member_current *current, int32_t epoch,
					 const struct reconcile *reconcile, struct arena *arena)
{
	struct part_set kept = part_set_common(current->assigned, reconcile->target, arena);
	struct part_set revoking = part_set_without(current->assigned, reconcile->target, arena);
	struct part_set wanted = part_set_without(reconcile->target, kept, arena);
	struct member_current next = {.epoch = reconcile->target_epoch, .previous_epoch = current->epoch};
	struct part_set got;

	if (revoking.n > 0 && member_owns_some(reconcile, revoking)) {
		next.state = MEMBER_UNREVOKED_PARTITIONS;
		next.epoch = epoch;
		next.assigned = kept;
		next.revoking = revoking;
		return next;
	}
	got = member_take_free(reconcile, wanted, arena);
	next.state = got.n == wanted.n ? MEMBER_STABLE : MEMBER_UNRELEASED_PARTITIONS;
	next.assigned = part_set_joined(kept, got, arena);
	return next;
}

struct member_current member_reconcile(const struct member_current *current, struct reconcile *reconcile,
				       struct arena *arena)
{
	reconcile->must_fence = false;
	switch (current->state) {
	case MEMBER_STABLE:
		if (current->epoch == reconcile->target_epoch)
			return *current;
		return member_next(current, current->epoch, reconcile, arena);
	case MEMBER_UNREVOKED_PARTITIONS:
		if (member_owns_some(reconcile, current->revoking))
			return *current;
		/* It has given back all it was asked for; the target, which moved on meanwhile, is at least two
		 * epochs ahead when there is more to give back. */
		return member_next(current, current->epoch + 1, reconcile, arena);
	case MEMBER_UNRELEASED_PARTITIONS:
		return member_next(current, current->epoch, reconcile, arena);
	case MEMBER_UNKNOWN:
		break;
	}
	if (!reconcile->knows_owned || reconcile->owned.n > 0) {
		reconcile->must_fence = true;
		return *current;
	}
	return member_next(current, reconcile->target_epoch, reconcile, arena);
}
