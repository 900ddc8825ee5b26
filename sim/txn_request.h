/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of a transaction as a value: it can be sent, sent again, and sent again much later by another connection,
 * always with the same bytes. The versions are those of the connection that sends it.
 */
#ifndef SIM_TXN_REQUEST_H
#define SIM_TXN_REQUEST_H

#include "check_txn.h"
#include "sim_client.h"

#define TXN_TOPICS_N 2	    /* inputs, outputs */
#define TXN_TOPIC_PARTS 2   /* of each */
#define TXN_PARTS_N (TXN_TOPICS_N * TXN_TOPIC_PARTS)
#define TXN_BATCHES_MAX 2   /* of a request */
#define TXN_RECORDS_MAX 8   /* of a batch */

enum txn_kind {
	TXN_INIT,	    /* InitProducerId */
	TXN_ADD,	    /* AddPartitionsToTxn */
	TXN_PRODUCE,
	TXN_ADD_OFFSETS,    /* AddOffsetsToTxn */
	TXN_COMMIT_OFFSETS, /* TxnOffsetCommit */
	TXN_END,
	TXN_MARKER,	    /* WriteTxnMarkers: the coordinator's word of an end, again */
};

struct txn_batch {
	int part;
	int32_t sequence;
	int records_n;
	uint32_t records[TXN_RECORDS_MAX];
};

struct txn_request {
	enum txn_kind kind;
	const char *id;	       /* transactional */
	const char *const *topics; /* TXN_TOPICS_N names */
	const char *group;
	int64_t producer_id;   /* TXN_INIT: as whom it believes to be, or -1 */
	int16_t epoch;
	uint32_t txn;	       /* in the history */
	bool commit;	       /* TXN_END, TXN_MARKER */
	int32_t timeout_ms;    /* TXN_INIT */
	uint32_t parts;	       /* TXN_ADD, TXN_MARKER: bits */
	int batches_n;
	struct txn_batch batches[TXN_BATCHES_MAX];
	char member[64];
	int32_t member_epoch;
	int64_t offsets[TXN_TOPIC_PARTS]; /* of inputs; -1: not this one */
	int32_t coordinator_epoch;
	int64_t made_ms; /* wall; timestamp of records */
};

struct txn_answer {
	int16_t code; /* the first that is not 0 */
	int16_t codes[TXN_BATCHES_MAX];
	int64_t base_offsets[TXN_BATCHES_MAX];
	int64_t producer_id; /* TXN_INIT; TXN_END from version 5 on, else -1 */
	int16_t epoch;
};

void txn_request_send(const struct txn_request *r, struct sim_conn *conn, struct sim_call *call,
		      void (*done)(struct sim_call *));
/* Of a call without a transport error. What does not match the request is a failure of the world. */
void txn_answer_read(const struct txn_request *r, const struct sim_call *call, struct world *w,
		     struct txn_answer *ret);
const char *txn_kind_name(enum txn_kind kind);
static inline int txn_part(int topic, int index)
{
	return topic * TXN_TOPIC_PARTS + index;
}

#endif
