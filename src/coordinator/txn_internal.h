/* SPDX-License-Identifier: Apache-2.0 */
/* What txn.c and txn_ops.c share: the next state of an entry is written as its record, and replay takes it from
 * there. */
#ifndef COORDINATOR_TXN_INTERNAL_H
#define COORDINATOR_TXN_INTERNAL_H

#include "txn.h"

/* `next` is a copy with changes; nothing of it is kept. */
void txn_write(struct txn_store *store, const struct txn *next, struct coord_records *records);
/* Version 2: the epoch ends with its transaction. Where there is none above it that clients may use, they go on with
 * the producer id `fresh_id`. */
void txn_epoch_end(struct txn *next, int64_t fresh_id);
bool txn_epoch_is_exhausted(int16_t epoch);
/* The state after aborting on the coordinator's own account: the next epoch fences whoever has this one. */
bool txn_fenced_needs_id(const struct txn *txn);
struct txn txn_fenced(const struct txn *txn, int64_t fresh_id);

#endif
