/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard of groups on virtual time and a log in memory, and a small vocabulary to script members with. What was
 * written stays open until rig_commit or rig_fail; `log` then holds what a partition would.
 */
#ifndef TEST_GROUP_RIG_H
#define TEST_GROUP_RIG_H

#include "group_classic.h"
#include "group_offsets.h"
#include "msg/offset_commit.h"
#include "msg/offset_fetch.h"

struct rig_write {
	uint64_t seq;
	size_t from, to; /* in `records` */
};

struct rig {
	struct coord_shard shard;
	struct group_store store;
	struct rng rng;
	struct arena arena;
	VEC(struct coord_record) records; /* written, in order; the first log_n are committed */
	VEC(struct rig_write) open;
	size_t log_n;
	bool auto_commit; /* by rig_commit after each step */
	enum err refuse;  /* the next writes */
	bool has_failed;  /* something that was not replayed is missing in the log */
	int64_t now_ms;
	int answers_n, asked_n; /* operations */
};

/* Settings: delay 3000, sessions 6000 to 1800000, retention one day, looked at each 10 min. */
void rig_init(struct rig *rig);
void rig_deinit(struct rig *rig);
/* Everything written so far is committed. */
void rig_commit(struct rig *rig);
/* Everything open is not in the log. */
void rig_fail(struct rig *rig, enum err err);
/* Time passes; timers fire at their time. */
void rig_wait(struct rig *rig, int64_t ms);
/* All invariants; with nothing open also: what the state holds is what compaction would leave of the log, and a shard
 * that loads the log holds the same. */
void rig_check(struct rig *rig);

/* A member with the memory of a client. */
struct rig_member {
	struct rig *rig;
	const char *group;
	char id[96];
	const char *instance;
	int32_t generation;
	int32_t session_ms, rebalance_ms;
	const char *topic;    /* subscribed */
	const char *protocol; /* one */
	int16_t version;
	bool joining, syncing;
	enum err join_err, sync_err; /* as told, when it is over */
	bool is_leader;
	int members_n; /* as the leader was told */
	char assignment[64];
	/* under way */
	struct classic_join join;
	struct join_group_request join_in;
	struct join_group_request_protocols join_protocol;
	struct classic_sync sync;
	struct sync_group_request sync_in;
	struct arena arena;
};

void member_init(struct rig_member *member, struct rig *rig, const char *group);
void member_deinit(struct rig_member *member);
/* Ends when `joining` is false. A first join that is told an id comes again with it. */
void member_join(struct rig_member *member);
/* The same without coming again. */
void member_join_once(struct rig_member *member);
/* A leader hands in "of <id>" for `others` and itself. */
void member_sync(struct rig_member *member, struct rig_member **others, int others_n);
enum err member_heartbeat(struct rig_member *member);
enum err member_leave(struct rig_member *member);

/* A commit of one offset that is under way or over. */
struct rig_commit_op {
	struct coord_op op;
	struct rig *rig;
	struct arena arena;
	struct offset_commit_request in;
	struct offset_commit_request_topics topic;
	struct offset_commit_request_topics_partitions partition;
	struct offset_commit_response out;
	bool is_over;
};

/* member NULL: of nobody. */
void rig_commit_offset(struct rig *rig, struct rig_commit_op *op, const char *group, const struct rig_member *member,
		       const char *topic, int32_t partition, int64_t offset);
/* The same, over when it returns; the error. */
enum err rig_offset(struct rig *rig, const char *group, const char *topic, int32_t partition, int64_t offset);
/* -1: none. As the state is, committed or not. */
int64_t rig_offset_of(const struct rig *rig, const char *group, const char *topic, int32_t partition);
const char *rig_state(const struct rig *rig, const char *group); /* "absent" */

#endif
