/* SPDX-License-Identifier: Apache-2.0 */
/* What txn.c and txn_ops.c share: the next state of an entry is written as its record, and replay takes it from
 * there. */
#ifndef COORDINATOR_TXN_INTERNAL_H
#define COORDINATOR_TXN_INTERNAL_H

#include "txn.h"

/* `next` is a copy with changes; nothing of it is kept. */
void txn_write(struct txn_store *store, const struct txn *next, struct coord_records *records);
/* The state after aborting on the coordinator's own account: the next epoch fences whoever has this one. */
struct txn txn_fenced(const struct txn *txn);

#endif
