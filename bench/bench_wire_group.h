/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What members of groups say, one version of each request: FindCoordinator 4, JoinGroup 9, SyncGroup 5, Heartbeat 4,
 * LeaveGroup 5, ConsumerGroupHeartbeat 1, OffsetCommit 9 and OffsetFetch 9 (topic names). As bench_wire.h, it shares
 * no code with the broker.
 */

#ifndef BENCH_WIRE_GROUP_H
#define BENCH_WIRE_GROUP_H

#include "bench_wire.h"

enum {
	WIRE_OFFSET_COMMIT = 8,
	WIRE_OFFSET_FETCH = 9,
	WIRE_JOIN_GROUP = 11,
	WIRE_HEARTBEAT = 12,
	WIRE_LEAVE_GROUP = 13,
	WIRE_SYNC_GROUP = 14,
	WIRE_CONSUMER_GROUP_HEARTBEAT = 68,
};

enum {
	WIRE_MEMBER_ID_CAP = 80, /* "client-" and a uuid, with room */
};

/* Errors that a member lives with. */
enum {
	WIRE_COORDINATOR_LOAD_IN_PROGRESS = 14,
	WIRE_COORDINATOR_NOT_AVAILABLE = 15,
	WIRE_NOT_COORDINATOR = 16,
	WIRE_ILLEGAL_GENERATION = 22,
	WIRE_UNKNOWN_MEMBER_ID = 25,
	WIRE_REBALANCE_IN_PROGRESS = 27,
	WIRE_MEMBER_ID_REQUIRED = 79,
};

/* The coordinator of a group. */
void wire_find_group(struct wbuf *w, const char *group);
bool wire_find_group_parse(struct rbuf r, int16_t *ret_error);

/* One protocol, "range", with the metadata of a consumer of `topic`. */
void wire_join_group(struct wbuf *w, const char *group, const char *member_id, const char *topic);

struct wire_joined {
	int16_t error;
	int32_t generation;
	char member_id[WIRE_MEMBER_ID_CAP];
	char leader[WIRE_MEMBER_ID_CAP];
	int32_t members_n; /* of the leader's answer */
	struct rbuf members; /* for wire_joined_next */
};
bool wire_join_group_parse(struct rbuf r, struct wire_joined *ret);
/* The next member's id; false at the end. */
bool wire_joined_next(struct wire_joined *joined, char ret_id[WIRE_MEMBER_ID_CAP]);

/* The request of whoever joined so: the leader's gives partition i of `topic` to the i-th member. */
void wire_sync_group(struct wbuf *w, const char *group, const struct wire_joined *joined, const char *topic);
bool wire_sync_group_parse(struct rbuf r, int16_t *ret_error, size_t *ret_assignment_len);

void wire_heartbeat(struct wbuf *w, const char *group, int32_t generation, const char *member_id);
bool wire_heartbeat_parse(struct rbuf r, int16_t *ret_error);

/* All at once: `ids` are members_n strings of WIRE_MEMBER_ID_CAP bytes. */
void wire_leave_group(struct wbuf *w, const char *group, const char *ids, int32_t members_n);
bool wire_leave_group_parse(struct rbuf r, int16_t *ret_error);

struct wire_beat {
	const char *group;
	const char *member_id;
	int32_t epoch; /* 0 joins, -1 leaves */
	const char *const *topics; /* subscribed to; NULL: as before */
	int32_t topics_n;
	const struct wbuf *owned; /* as wire_beaten has it; NULL: as before */
};
/* ConsumerGroupHeartbeat. */
void wire_beat(struct wbuf *w, const struct wire_beat *beat);

struct wire_beaten {
	int16_t error;
	int32_t epoch;
	int32_t interval_ms;
	bool is_assigned; /* the answer tells an assignment */
	struct rbuf owned; /* which is these bytes: the form in which a request tells it */
	int32_t partitions_n;
};
bool wire_beat_parse(struct rbuf r, struct wire_beaten *ret);

struct wire_commit {
	const char *group;
	const char *topic_prefix; /* topics are prefix-0, prefix-1... */
	int32_t topic_first, topics_n;
	int32_t partition_first, partitions_n; /* of each topic */
	int64_t offset; /* of the first; each next one more */
};
/* OffsetCommit by somebody who is no member. *ret_offset_at (NULL is fine): where the first offset stands. */
void wire_offset_commit(struct wbuf *w, const struct wire_commit *commit, size_t *ret_offset_at);
/* The first error, and how many partitions were answered. */
bool wire_offset_commit_parse(struct rbuf r, int16_t *ret_error, int32_t *ret_partitions_n);

/* OffsetFetch of groups prefix-first... (first -1: of the one group `group_prefix`): all they have, or
 * (partition >= 0) one partition of `topic` each. */
void wire_offset_fetch(struct wbuf *w, const char *group_prefix, int32_t first, int32_t groups_n, const char *topic,
		       int32_t partition);
struct wire_offsets {
	int16_t error; /* the first one */
	int64_t offsets_n; /* that are committed */
	int64_t sum;
};
bool wire_offset_fetch_parse(struct rbuf r, struct wire_offsets *ret);

#endif
