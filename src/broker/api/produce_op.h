/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of Produce share: 00_produce.c (the request, appending) and produce_enrol.c (the first batches of
 * transactions).
 */
#ifndef BROKER_API_PRODUCE_OP_H
#define BROKER_API_PRODUCE_OP_H

#include "msg/produce.h"
#include "owner_part.h"
#include "transaction_call.h"

struct produce;

struct produce_part {
	struct owner_part owner;
	struct produce *produce;
	struct produce_part *next; /* in the request's order */
	struct leader_append append;
	const struct produce_request_topic_data_partition_data *in;
	struct produce_response_responses_partition_responses *out;
	struct str topic; /* memory of the request */
	/* Of a transactional batch; producer id -1: it is none. */
	struct txn_producer producer;
	int32_t sequence;
	uint64_t txn_guard; /* 0: the transaction is open here already */
	bool is_ended;      /* `out` says all */
};

struct produce {
	struct request *request;
	const struct produce_request *in;
	struct produce_response out;
	struct scatter *scatter;
	struct produce_part *parts, **parts_end;
	struct transaction_call *enrol; /* NULL: nothing had to be asked */
	struct txn_partition *enrolled; /* what `enrol` asks for, with its parts */
	struct produce_part **enrolled_parts;
	enum transaction_ask ask;
	bool is_guarded;
	bool is_foreign_transaction; /* transactional, but in nobody's name */
	bool failed;
};

/* Appends to all partitions that have not ended yet. */
void produce_append(struct produce *produce);

/* produce_enrol.c */
/* Asks the partitions which of them see the first batch of a transaction, and the coordinator about these; goes on with
 * produce_append. */
void produce_enrol(struct produce *produce);
/* Do the transactional batches have more than one producer? */
bool produce_has_two_producers(const struct produce *produce);
/* Producer and sequence of a transactional batch, from its header. */
void produce_part_read_producer(struct produce_part *part);

#endif
