/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KRaft: Raft over one partition, pull based (KIP-595, KIP-853). Pure: events in, actions out; the glue does the I/O in
 * the order of the actions and reports back. One voter works now; a quorum of more is refused at raft_init with a text.
 *
 *    UNATTACHED --vote for itself persisted--> CANDIDATE --majority--> LEADER --resign--> RESIGNED
 *         |                                        |                                        ^
 *         +----------------------------------------+--------------resign--------------------+
 *
 *   1 election safety: at most one leader per epoch; an epoch is above every one in quorum-state and in the log, and
 *     the vote is persisted before it counts
 *   2 a leader appends only in its own epoch; the first record of an epoch is a LeaderChange. When the log loses it
 *     (raft_append_failed), it is appended again before anything else
 *   3 the high watermark counts durable offsets only, never goes back, and is exposed once it has passed the start of
 *     the leader's epoch
 *   4 RESIGNED is the end: only a new raft_init stands for election again
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "arena.h"
#include "err.h"
#include "fmt.h"
#include "sm.h"
#include "uuid.h"
#include "vec.h"

struct raft_endpoint {
	struct str name; /* listener, upper case */
	struct str host;
	uint16_t port;
};

struct raft_voter {
	int32_t id;
	struct uuid directory_id; /* zero with static voters */
	VEC(struct raft_endpoint) endpoints;
	int16_t kraft_version_min, kraft_version_max;
};

/* Texts are borrowed, except in what raft_voters_decode gave: there they lie in `texts`. */
struct raft_voters {
	VEC(struct raft_voter) voters;
	char *texts;
};
void raft_voters_deinit(struct raft_voters *voters);
/* The value of a KRaftVoters control record. ERR_CORRUPT_FILE with a text. */
enum err raft_voters_decode(struct bytes value, struct raft_voters *ret, struct err_text *text) MUST_USE;
struct bytes raft_voters_encode(const struct raft_voters *voters, struct arena *arena);

/* The file quorum-state. A node that leads is written as leader_id with no vote, one that voted without a leader. */
struct quorum_state {
	int data_version;          /* 0 static voters, 1 dynamic */
	struct str cluster_id;     /* version 0, which writes it empty */
	int32_t leader_id;         /* -1 none */
	int32_t leader_epoch;
	int32_t voted_id;          /* -1 none */
	struct uuid voted_directory_id;
	VEC(int32_t) current_voters; /* version 0 */
};
void quorum_state_deinit(struct quorum_state *state);
/* ERR_CORRUPT_FILE for anything but such a file of version 0 or 1. cluster_id lies in the arena. */
enum err quorum_state_parse(struct bytes text, struct quorum_state *ret, struct arena *arena) MUST_USE;
/* As Kafka writes it: one line without an end. */
struct bytes quorum_state_encode(const struct quorum_state *state, struct arena *arena);

enum raft_role { RAFT_UNATTACHED, RAFT_CANDIDATE, RAFT_LEADER, RAFT_RESIGNED };

struct raft_init {
	int32_t node_id;
	struct uuid directory_id;
	int16_t kraft_version;              /* 0 static, 1 dynamic */
	const struct raft_voters *voters;   /* from checkpoint or log, else static configuration */
	bool voters_in_log;                 /* the voters come from the log, or from a snapshot of it other than 0-0 */
	const struct quorum_state *persisted; /* NULL: no file */
	int64_t log_end_offset;
	int32_t log_last_epoch;
	int64_t now_ms; /* wall, for control records */
};

enum raft_action_kind {
	RAFT_NO_ACTION,
	RAFT_PERSIST,       /* write `state` to quorum-state, sync, then raft_persisted */
	RAFT_APPEND,        /* append `batch` (a whole control batch, base offset to be stamped) in `epoch`, then
	                       raft_appended with the log's end */
	RAFT_BECAME_LEADER, /* of `epoch`: from here on the glue may append records in it */
	RAFT_COMMIT,        /* high watermark is `offset` */
};

struct raft_action {
	enum raft_action_kind kind;
	int32_t epoch;
	int64_t offset;
	struct quorum_state *state; /* the raft's */
	struct bytes batch;         /* memory of the raft until raft_appended */
};

struct raft {
	struct sm role;
	int32_t node_id;
	int32_t epoch;
	int32_t leader_id;
	int64_t epoch_start_offset;
	int64_t log_end_offset;
	int64_t durable_offset;
	int64_t high_watermark; /* -1: not known yet */
	struct quorum_state state;
	void *priv;
};

/* Keeps nothing of `init`. ERR_NOT_SUPPORTED for a quorum that this build cannot serve, ERR_CORRUPT_FILE for epochs
 * that cannot be; the text says what to do. Then nothing is to be freed. */
enum err raft_init(struct raft *raft, const struct raft_init *init, struct err_text *text) MUST_USE;
void raft_deinit(struct raft *raft);
/* The next thing to do, in the order in which things must happen; RAFT_NO_ACTION when there is none now. After
 * RAFT_PERSIST and RAFT_APPEND there is none until the report. */
struct raft_action raft_next(struct raft *raft);
/* now_ms is wall time, for the control records to come. */
void raft_tick(struct raft *raft, int64_t now_ms);
/* What RAFT_PERSIST gave is durable. */
void raft_persisted(struct raft *raft);
/* The log of this leader ends at end_offset (control batches and records alike). */
void raft_appended(struct raft *raft, int64_t end_offset);
/* Everything below is synced. */
void raft_durable(struct raft *raft, int64_t offset);
/* An append failed: the log ends at end_offset again, at or above the high watermark. */
void raft_append_failed(struct raft *raft, int64_t end_offset);
/* Stop leading, or standing for election: nothing more is committed. */
void raft_resign(struct raft *raft);

#endif
