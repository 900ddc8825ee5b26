/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the log of transactions that are open for long: who holds them, since when, and what they hold back, which
 * the partitions know.
 */
#ifndef BROKER_TRANSACTION_WATCH_H
#define BROKER_TRANSACTION_WATCH_H

#include "transaction_markers.h"

/* Remembers who uses a transactional id, for the log, where that is not known: after a restart. */
void transaction_client_learn(struct coordinator_txn *machine, struct str id, const struct request *request);
/* InitProducerId was granted to whose request this is: the log hears who has the id now, and who had it before. */
void transaction_owner_changes(struct coordinator_txn *machine, struct str id, const struct request *request);
/* It met an open transaction, which is being aborted: the log hears whose that was, and for whom it ends. */
void transaction_owner_fenced(struct coordinator_txn *machine, struct str id, const struct request *request);
/* For txn_store.open_long. */
void transaction_watch_tell(struct txn_store *store, const struct txn *txn);
/* Is a transaction open in this partition for longer than any may be? As the original counts: longer than the longest
 * timeout and five minutes since its producer wrote. */
bool transaction_is_late(const struct partition *partition);
/* Warns of it, once for each: its coordinator does not know it, or it would have ended it. */
void transaction_late_tell(struct partition *partition);

#endif
