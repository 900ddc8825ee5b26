/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the work with transactions share: clients with transactional ids (workload_txn_client.c), the group
 * that handles inputs (workload_txn_chain.c), readers (workload_txn_read.c), and what holds them together.
 *
 * Everything here belongs to one era. After a lossy cut nothing more is asked of what was before: the tick begins anew
 * with other topics, ids and a new history. Until it does, events and answers are let go (txns_is_over).
 */
#ifndef SIM_WORKLOAD_TXN_H
#define SIM_WORKLOAD_TXN_H

#include "compress.h"
#include "msg/fetch.h"
#include "txn_request.h"
#include "workload.h"

#define TXN_FEEDERS_N 2 /* they write inputs, and outputs of nothing */
#define TXN_MEMBERS_N 2 /* they handle inputs */
#define TXN_CLIENTS_N (TXN_FEEDERS_N + TXN_MEMBERS_N)
#define TXN_READERS_N 2
#define TXN_PLAN_MAX 4

/* A producer in the middle of its work; a copy of it is another process that thinks the same of itself. */
struct txn_session {
	int64_t producer_id;
	int16_t epoch;
	bool is_v2; /* speaks version 2 of transactions */
	int32_t sequences[TXN_PARTS_N];
	uint32_t txn; /* CHECK_TXN_NONE: none is open */
	uint32_t enrolled, wrote; /* partitions */
	bool has_enrolled_offsets;
	struct txn_batch plan[TXN_PLAN_MAX]; /* what the transaction writes */
	int plan_n, plan_at;
	bool has_offsets, are_offsets_done;
	int64_t offsets[TXN_TOPIC_PARTS];
	char member[64];
	int32_t member_epoch;
	bool is_aborting;
	bool is_short; /* of its plan a part is left out: it aborts in the end */
	bool was_sent;	  /* something: the transaction has to be ended */
	bool needs_epoch; /* version 1: what may still be on its way would fall into the next transaction */
};

/* A request again, late, by another connection. */
struct txn_echo {
	struct txn_client *c;
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event next;
	struct txn_request request;
	bool was_fenced; /* when it was sent */
	bool is_on, is_blocking; /* blocking: version 1 could not tell it from a request of the next transaction */
};

/* The process that had the transactional id before, and does not know that it is over. */
struct txn_ghost {
	struct txn_client *c;
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event next;
	struct txn_session s;
	struct txn_request out;
	bool was_fenced; /* when `out` was sent; a write: for the first time */
	bool is_on, has_out;
	int steps_left;
};

struct txn_client {
	struct wl_txns *all;
	struct txn_member *member; /* or NULL: a feeder */
	int index;
	char id[24];
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event next;
	struct txn_session s;
	bool has_id, keeps_id;
	struct txn_request out;
	bool has_out, was_fenced; /* fenced when it was sent */
	VEC(uint32_t) before; /* transactions of the producers before the next InitProducerId */
	int64_t lost_init_ns; /* an InitProducerId was given up, which may still come and fence us */
	/* The same end once more: it has to be answered as it was. */
	bool is_asking_again;
	struct txn_answer first_answer;
	int64_t pause_ns;     /* it does nothing before */
	bool is_calm_commit; /* committed since the calm */
	bool is_calm_epoch;  /* it has a producer of the calm, whose timeout is long */
	bool is_deserter;    /* at rest: its last transaction is left to its timeout */
	bool has_deserted;
	int32_t coordinator_epoch; /* the highest seen in a marker of its producer */
	struct txn_echo echo;
	struct txn_ghost ghost;
};

/* A reader's place in one partition. */
struct txn_cursor {
	struct wl_txns *all;
	int part;
	bool is_committed;
	int64_t pos;
	int64_t stable, high_watermark; /* of the last answer */
	void (*record)(struct txn_cursor *cursor, uint32_t record, int64_t offset); /* or NULL */
	void *ctx;
};

/* A member of the group, which shares the work with the client of the same name. */
struct txn_member {
	struct wl_txns *all;
	struct txn_client *client;
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event next;
	char id[64];
	int lives;
	int32_t epoch;
	bool is_in, has_lost_answer, wants_to_leave;
	uint32_t owns, told;
	struct uuid topic_id;
	struct txn_cursor cursors[TXN_TOPIC_PARTS]; /* pos -1: the group's offset is to be asked for */
	bool is_asked_stale;
	int asked; /* partition of the OffsetFetch or Fetch that is out */
	int64_t beat_ns;
	/* Fetched, to be handled. */
	uint32_t inputs[TXN_RECORDS_MAX];
	int64_t offsets[TXN_TOPIC_PARTS]; /* behind them; -1 */
	int inputs_n;
	bool is_working; /* its client's transaction is about them */
};

struct txn_reader {
	struct wl_txns *all;
	const char *name;
	struct sim_conn conn;
	struct sim_call call;
	struct sim_event next;
	struct txn_cursor cursors[TXN_PARTS_N];
	int64_t end_ns; /* when the request was sent that brought it to the end of everything; -1: not there */
	bool is_last, begins_anew; /* everything once more */
};

struct wl_txns {
	struct workload *wl;
	uint32_t era;
	struct check_txn check;
	char names[TXN_TOPICS_N][24];
	const char *topics[TXN_TOPICS_N];
	char group[24];
	struct sim_conn admin;
	struct sim_call admin_call;
	struct sim_event tick;
	struct txn_client clients[TXN_CLIENTS_N];
	struct txn_member members[TXN_MEMBERS_N];
	struct txn_reader readers[TXN_READERS_N];
	struct compress_ctx ctx;
	int64_t txns_n;
	int64_t quiet_ns; /* since when nobody does anything; -1 */
	int coordinators_n; /* found: of transactions, of the group */
	bool are_topics_created, is_started, is_created, is_resting, is_done, is_ended;
};

static inline struct world *txns_world(const struct wl_txns *t)
{
	return t->wl->w;
}

/* What comes now is about things that are gone. */
static inline bool txns_is_over(const struct wl_txns *t)
{
	return t->is_ended || t->wl->w->has_failed || t->era != t->wl->w->era || !t->is_created;
}

/* What an error code means to a client of transactions. */
enum txn_verdict { TXN_OK, TXN_AGAIN, TXN_ABORT, TXN_FATAL };
enum txn_verdict txn_verdict_of(int16_t code);

/* workload_txn_client.c */
void txn_client_init(struct txn_client *c, struct wl_txns *t, int index, struct txn_member *member);
void txn_client_deinit(struct txn_client *c);
void txn_client_start(struct txn_client *c);
/* Lets go of everything; may be started again. */
void txn_client_stop(struct txn_client *c);
bool txn_client_is_idle(const struct txn_client *c);
void txn_client_later(struct txn_client *c, int64_t most_ms);

/* workload_txn_ghost.c: echoes and ghosts */
void txn_session_next(struct txn_client *c, struct txn_session *s, struct txn_request *r);
/* What an answer without error did to the session. */
void txn_session_taken(struct txn_client *c, struct txn_session *s, const struct txn_request *r,
		       const struct txn_answer *answer);
/* What any answer says to the history. */
void txn_judge(struct txn_client *c, const struct txn_request *r, bool was_fenced, const struct txn_answer *answer);
/* The request is being sent. Returns whether its transaction is fenced by now. */
bool txn_note_sent(struct txn_client *c, const struct txn_request *r);
void txn_echo_init(struct txn_client *c);
void txn_echo_maybe(struct txn_client *c, const struct txn_request *r);
void txn_ghost_begin(struct txn_client *c);
void txn_ghost_init(struct txn_client *c);

/* workload_txn_chain.c */
void txn_member_init(struct txn_member *m, struct wl_txns *t, int index);
void txn_member_deinit(struct txn_member *m);
void txn_member_start(struct txn_member *m);
/* Pauses end. */
void txn_member_wake(struct txn_member *m);
void txn_member_stop(struct txn_member *m);
/* The session's plan from what was fetched; false: there is nothing to do. */
bool txn_member_plan(struct txn_member *m, struct txn_session *s);
/* It leaves the group though its client's transaction is open, and committed offsets in it. */
void txn_member_leave(struct txn_member *m);
/* Its client has a new producer: what was known before may be out of date, as the one before may have committed. */
void txn_member_anew(struct txn_member *m);
/* The transaction is over. */
void txn_member_over(struct txn_member *m, bool is_committed);

/* workload_txn_read.c */
void txn_cursor_take(struct txn_cursor *cursor, const struct fetch_response_responses_partitions *got,
		     const struct sim_call *call);
void txn_reader_init(struct txn_reader *r, struct wl_txns *t, int index);
void txn_reader_deinit(struct txn_reader *r);
void txn_reader_start(struct txn_reader *r);
void txn_reader_stop(struct txn_reader *r);
/* From the beginning, for the last time. */
void txn_reader_again(struct txn_reader *r);

#endif
