/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients of transactions sent, were told and saw, and what must follow. Each record has a number, which is its
 * value; of each the transaction is known, the partition, and of which input it is the output.
 *
 *      UNDECIDED --commit acknowledged, or a record of it read as committed--> COMMITTED
 *          |
 *          +--abort acknowledged; never asked to commit and fenced; each commit refused--> ABORTED
 *
 * Found as soon as seen: a record read as committed whose transaction is ABORTED, or was not asked to commit yet;
 * an end that is acknowledged the other way round; a record at two offsets, two records at one, one acknowledged
 * elsewhere than it is; an input whose output is read as committed twice; a record that one committed reader got
 * and another passed; a last stable offset, a high watermark or a committed offset that goes back; a committed
 * offset of a transaction that cannot have committed; an epoch of a producer id that falls; a request that is
 * taken of somebody who was fenced before it was sent. Found by check_txn_finish, after everything was read to its
 * end: a committed transaction of which an acknowledged record cannot be read, an undecided one of which only a
 * part can, an input that nobody handled.
 *
 * All of it speaks of one era: after a lossy cut the workload begins with other topics and ids, and with a new history.
 */
#ifndef CHECK_TXN_H
#define CHECK_TXN_H

#include "sim_world.h"
#include "vec.h"

#define CHECK_TXN_PARTS_MAX 8
#define CHECK_TXN_NONE UINT32_MAX
#define CHECK_TXN_VALUE_LEN 24

enum check_txn_end { CHECK_TXN_UNDECIDED, CHECK_TXN_COMMITTED, CHECK_TXN_ABORTED };

struct check_txn_one {
	enum check_txn_end end;
	bool is_commit_asked;
	bool is_fenced;
	int commits_open; /* asked to commit, and not refused */
	int records_n;    /* sent */
};

struct check_txn_record {
	uint32_t txn;
	int part;
	uint32_t source;     /* the record that this is the output of, or NONE */
	uint32_t handled_by; /* an output read as committed, or NONE */
	int64_t offset;      /* -1: not known */
	bool is_acked, is_read, is_committed; /* read at all; read as committed */
};

struct check_txn_place { /* of one offset */
	uint32_t record; /* plus 1; 0: not known */
	bool is_passed;  /* by a committed reader */
};

struct check_txn_offset { /* that a transaction commits */
	uint32_t txn;
	int64_t offset;
};

struct check_txn_part {
	VEC(struct check_txn_place) places;
	int64_t stable, high_watermark;
	int64_t told_ns; /* of these */
	VEC(struct check_txn_offset) offsets;
	int64_t committed; /* of the group; -1: nothing known */
	int64_t committed_ns;
};

struct check_txn_producer {
	int64_t id;
	uint32_t owner;
	int16_t epoch;
};

struct check_txn {
	struct world *w;
	VEC(struct check_txn_one) txns;
	VEC(struct check_txn_record) records;
	VEC(struct check_txn_producer) producers;
	struct check_txn_part parts[CHECK_TXN_PARTS_MAX];
	int64_t commits_n, aborts_n; /* acknowledged */
};

void check_txn_init(struct check_txn *c, struct world *w);
void check_txn_deinit(struct check_txn *c);

/* ---- what is sent ---- */

uint32_t check_txn_begin(struct check_txn *c);
/* A record of the transaction is going to be sent. Returns its number. */
uint32_t check_txn_record(struct check_txn *c, uint32_t txn, int part, uint32_t source);
void check_txn_value(uint32_t record, uint8_t ret[CHECK_TXN_VALUE_LEN]);
/* The transaction is going to commit this offset of an input partition. */
void check_txn_offset(struct check_txn *c, uint32_t txn, int part, int64_t offset);
/* EndTxn is being sent. */
void check_txn_end_sent(struct check_txn *c, uint32_t txn, bool commit);

/* ---- what is told ---- */

/* `owner`, whom no other owner shares a producer id with, got it with this epoch, above those before it. */
void check_txn_producer(struct check_txn *c, uint32_t owner, int64_t producer_id, int16_t epoch);
/* A later producer of the same transactional id is there. */
void check_txn_fence(struct check_txn *c, uint32_t txn);
bool check_txn_is_fenced(const struct check_txn *c, uint32_t txn);
void check_txn_acked(struct check_txn *c, uint32_t record, int64_t offset);
void check_txn_end_acked(struct check_txn *c, uint32_t txn, bool commit);
/* For good: this request has not ended it. */
void check_txn_end_refused(struct check_txn *c, uint32_t txn, bool commit);
/* A request about the transaction, sent when it was fenced, was taken. */
void check_txn_zombie(struct check_txn *c, uint32_t txn, const char *what);
/* A fetch sent at sent_ns says so. */
void check_txn_marks(struct check_txn *c, int part, int64_t stable, int64_t high_watermark, int64_t sent_ns);
/* The group's stable offset, asked for at sent_ns; -1: none. */
void check_txn_offset_told(struct check_txn *c, int part, int64_t offset, int64_t sent_ns);

/* ---- what is seen ---- */

/* Returns the record's number, or NONE after a failure. */
uint32_t check_txn_read(struct check_txn *c, int part, int64_t offset, struct bytes value, bool committed);
/* A committed reader went from one offset on to the other without a record. */
void check_txn_passed(struct check_txn *c, int part, int64_t from, int64_t to);

/* Records of input partitions (below parts_n) that were read as committed and whose outputs were not. */
int64_t check_txn_unhandled(const struct check_txn *c, int parts_n);
/* Readers have read everything. */
void check_txn_finish(struct check_txn *c, int parts_n);

#endif
