/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transactions of one shard: the machine on coord_shard that __transaction_state is the log of. One entry per
 * transactional id: which producer has it, in which epoch, which partitions its transaction wrote, how it ends.
 *
 *                            +--------------------------------------------------------+
 *                            v                                                        |
 *    absent --init--> EMPTY --add--> ONGOING --commit--> PREPARE_COMMIT --markers--> COMPLETE_COMMIT
 *                       |              |                                              |  ^
 *                       |              +--abort, timeout, new producer--> PREPARE_ABORT --markers--> COMPLETE_ABORT
 *                       |                                                   ^         |                     |
 *                       +--abort of nothing (version 2)---------------------+---------+---------------------+
 *    EMPTY, COMPLETE_* --init--> EMPTY in the next epoch;  --not used for long--> absent
 *
 * Versions of the protocol (transaction.version): 0 and 1 differ in the record only; in 2 the end of each transaction
 * raises the producer's epoch (KIP-890), so that what is late belongs to no later transaction.
 *
 * 1. State is the latest record of each id (coord_shard.h, 1). Only `last_epoch` is not: it recognises a repeated
 *    InitProducerId, and is forgotten by a restart as in Kafka.
 * 2. The decision is in the log, committed, before any marker is sent, and every marker is written before it is
 *    complete: a decision is never taken back, and after a restart its markers are sent again.
 * 3. Epochs of a producer id rise only. Who comes with an older one is fenced.
 * 4. A repeated request is told what the first was told.
 */
#ifndef COORDINATOR_TXN_H
#define COORDINATOR_TXN_H

#include "coord_record.h"
#include "coord_shard.h"
#include "map.h"
#include "msg/txn_records.h"

enum txn_state {
	TXN_EMPTY = 0,
	TXN_ONGOING = 1,
	TXN_PREPARE_COMMIT = 2,
	TXN_PREPARE_ABORT = 3,
	TXN_COMPLETE_COMMIT = 4,
	TXN_COMPLETE_ABORT = 5,
	TXN_DEAD = 6,
	TXN_PREPARE_EPOCH_FENCE = 7,
};

/* Protocol as the producer speaks it. */
enum txn_version { TXN_VERSION_0 = 0, TXN_VERSION_1 = 1, TXN_VERSION_2 = 2 };

/* The last epoch that a producer id is used in by clients; the one above it ends its last transaction. */
#define TXN_EPOCH_LAST (INT16_MAX - 1)
#define TXN_PARTITIONS_MAX 1000000 /* of one transaction */
#define TXN_OPEN_LONG_MS 300000	   /* a warning from then on, or from half of the timeout on */
#define TXN_IDS_MAX 5000000	   /* of one shard */

struct txn_partition {
	struct str topic;
	int32_t partition;
};

/* Ascending by topic and partition, each once. */
struct txn_partitions {
	struct txn_partition *v;
	int32_t n;
};

struct txn_store;

struct txn {
	struct str id; /* owned */
	struct txn_store *store;
	/* -1: none; previous: whose the id was before the latest record, mostly the same */
	int64_t producer_id, previous_producer_id, next_producer_id;
	int16_t epoch;
	int16_t last_epoch; /* the one before, for a repeated InitProducerId; -1: not known */
	int32_t timeout_ms;
	enum txn_state state;
	enum txn_version version;
	int64_t start_ms, update_ms; /* wall; start -1: none is open */
	struct str client; /* owned: who uses it, "host=/127.0.0.1 client=..."; null: not known since the start */
	int64_t told_ms;             /* the start of the one that the log was told is open for long */
	struct txn_partitions partitions; /* topics owned, in one block with the array */
};

struct txn_settings {
	int32_t max_timeout_ms;
	int64_t id_expiration_ms;
	int32_t abort_check_ms, expiration_check_ms;
	enum txn_version version; /* transaction.version of the cluster: what records look like */
};

struct txn_store {
	struct coord_shard *shard;
	struct map txns; /* id -> struct txn */
	struct txn_settings settings;
	/* Writes the end of the transaction to all its partitions, over and over until it is there, then calls
	 * txn_markers_written. May be called again for the same end. `txn` is valid for the call. */
	void (*send_markers)(struct txn_store *store, const struct txn *txn);
	/* Tells the log of a transaction that is open for long, once for each. */
	void (*open_long)(struct txn_store *store, const struct txn *txn);
	void *ctx;
	struct coord_timer abort_timer, expiry_timer;
	/* A producer id never used, for who is aborted where its epochs end; -1: none is at hand, ask again later. */
	int64_t (*fresh_id)(struct txn_store *store);
	int16_t unsaid_last_epoch; /* of the record that is replayed next; -1 otherwise */
	int64_t unsaid_previous_id;
	struct arena scratch; /* of one call */
	uint8_t scratch_block[1024];
	uint64_t seed;
};

void txn_store_init(struct txn_store *store, struct coord_shard *shard, const struct txn_settings *settings,
		    uint64_t seed);
void txn_store_deinit(struct txn_store *store);
/* For coord_shard_init; the machine is a struct txn_store. */
extern const struct coord_machine_ops txn_machine_ops;

struct txn *txn_find(const struct txn_store *store, struct str id);
void txn_client_set(struct txn *txn, struct str client);
const char *txn_state_name(enum txn_state state); /* "PrepareCommit", as ListTransactions calls it */
bool txn_is_decided(const struct txn *txn);	  /* its markers are on their way */
bool txn_has_partition(const struct txn *txn, struct str topic, int32_t partition);
/* The epoch of the markers of a decided transaction. */
int16_t txn_marker_epoch(const struct txn *txn);
void txn_partitions_normalize(struct txn_partitions *partitions);
/* How many partitions from v[from] on share its topic; for walking them topic by topic. */
int32_t txn_partitions_topic_n(struct txn_partitions partitions, int32_t from);

/* ---- txn_ops.c: what requests decide ---- */

struct txn_producer {
	int64_t id; /* -1: none */
	int16_t epoch;
};

#define TXN_PRODUCER_NONE ((struct txn_producer){-1, -1})

/* InitProducerId. `expected` is what the producer believes to be, or none. fresh_id is a producer id never used, or -1:
 * then needs_id may ask that the operation is run again with one. is_aborting: the transaction that was open is being
 * aborted first; send its markers when the records are committed (txn_decision_committed), and answer
 * CONCURRENT_TRANSACTIONS, so that the client asks again. */
struct txn_init {
	struct str id;
	int32_t timeout_ms;
	struct txn_producer expected;
	int64_t fresh_id;
	/* out */
	bool needs_id;
	bool is_aborting;
	struct txn_producer producer;
};
enum err txn_init_producer(struct txn_store *store, struct txn_init *init, struct coord_records *records) MUST_USE;

/* AddPartitionsToTxn, and what Produce and TxnOffsetCommit of version 2 imply. */
enum err txn_add_partitions(struct txn_store *store, struct str id, struct txn_producer producer,
			    struct txn_partitions partitions, enum txn_version version,
			    struct coord_records *records) MUST_USE;
/* Verification before the first write (KIP-890 part 1): ERR_NONE where the partition is in the open transaction. */
enum err txn_verify_partition(const struct txn_store *store, struct str id, struct txn_producer producer,
			      struct str topic, int32_t partition) MUST_USE;

/* EndTxn. Where it is new, the markers go out when the decision is committed. */
struct txn_end {
	struct str id;
	struct txn_producer producer;
	bool commit;
	enum txn_version version;
	int64_t fresh_id; /* as in txn_init */
	/* out */
	bool needs_id;
	bool is_decided;	    /* new: call txn_end_committed when the records are committed */
	struct txn_producer next;   /* with what the producer goes on (version 2) */
};
enum err txn_end(struct txn_store *store, struct txn_end *end, struct coord_records *records) MUST_USE;
/* The decision about `id` has been committed: sends its markers. For coord_op.settled. */
void txn_decision_committed(struct txn_store *store, struct str id);

/* All markers of this end are written: COMPLETE_*. A no-op when it was complete already. */
enum err txn_markers_written(struct txn_store *store, struct str id, struct txn_producer producer,
			     struct coord_records *records) MUST_USE;

#endif
