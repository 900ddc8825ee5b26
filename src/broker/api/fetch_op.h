/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fetch, shared by the files that serve it: 01_fetch.c asks the owners, waits and answers (its states are
 * described there); fetch_wants.c finds out which partitions are wanted, with a session or without; fetch_aborted.c
 * names the aborted transactions of what was read.
 */
#ifndef BROKER_FETCH_OP_H
#define BROKER_FETCH_OP_H

#include "fetch_session.h"
#include "msg/fetch.h"
#include "owner_part.h"
#include "request.h"

enum fetch_state { FETCH_ASKING, FETCH_ARMING, FETCH_WAITING, FETCH_DISARMING, FETCH_REPLY };

struct fetch;

/* One partition of one fetch. */
struct fetch_part {
	struct owner_part owner;
	struct fetch *fetch;
	struct fetch_partition *want;
	bool has_owner; /* else refused at home */
	struct watch news;
	struct log_read read;
	enum err err;
	int64_t high_watermark, last_stable, log_start;
	struct fetch_response_responses_partitions_aborted_transactions *aborted; /* memory of the leg */
	int32_t aborted_n, aborted_cap;
	int32_t leader_epoch;
	int32_t diverging_epoch; /* -1: none */
	int64_t diverging_end;
};

/* One message from an owner while the fetch waits. */
struct fetch_news {
	struct msg msg;
	struct fetch *fetch;
	bool sent;
};

struct fetch {
	struct request *request;
	const struct fetch_request *in;
	struct fetch_session *session;
	int64_t quota_bytes_max; /* what the client's limit lets one answer hold */
	bool is_full; /* sessionless, or the first of a session: all partitions are answered */
	struct list wants; /* sessionless: struct fetch_partition */
	struct fetch_part *parts;
	int32_t parts_n;
	struct scatter *scatter;
	struct fetch_news *news; /* per reactor */
	struct timer timer;
	struct deferred again;
	enum fetch_state state;
	bool is_late;  /* the deadline has passed */
	bool has_news; /* an owner said so while we were arming */
	struct fetch_response out;
};

/* Finds out what is wanted, keeps the session up to date, and begins; or refuses. */
void fetch_choose(struct fetch *fetch);
/* wants: struct fetch_partition, which stay until the answer is built. */
void fetch_begin(struct fetch *fetch, struct list *wants, uint32_t wants_n);

/* On the owner's reactor, once part->read has ended well: fills part->aborted for readers of what is committed. */
void fetch_part_aborted(struct fetch_part *part);

#endif
