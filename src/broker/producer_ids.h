/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producer ids of one shard: handed out one by one from blocks of 1,000 that the controller gives with a ProducerIds
 * record, so that no id is ever given twice, whatever dies.
 */
#ifndef BROKER_PRODUCER_IDS_H
#define BROKER_PRODUCER_IDS_H

#include "err.h"
#include "list.h"

struct shard;
struct producer_ids;

struct producer_id_wait {
	struct list link;
	int64_t producer_id; /* out */
	void (*done)(struct producer_id_wait *wait, enum err err);
};

struct producer_ids *producer_ids_new(struct shard *shard);
void producer_ids_free(struct producer_ids *ids);
/* The next id: done is called at once or when a block has come. */
void producer_ids_next(struct producer_ids *ids, struct producer_id_wait *wait);

/* The next id if one is at hand, else -1, and a block is asked for. */
int64_t producer_ids_at_hand(struct producer_ids *ids);

#endif
