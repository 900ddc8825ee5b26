/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed offsets of groups: commit, fetch, delete, expiry. One entry per group, topic and partition, in an array per
 * topic: groups have few topics and few partitions each, and an entry must be small (64 bytes and its metadata).
 *
 * 1. entries stand in order of partition, each partition once.
 * 2. group->offsets_n and store->offsets_n count them.
 */
#ifndef COORDINATOR_GROUP_OFFSETS_H
#define COORDINATOR_GROUP_OFFSETS_H

#include "group.h"

struct committed_offset {
	int64_t offset;
	int64_t commit_ms;
	int64_t expire_ms; /* -1: by retention */
	struct uuid topic_id; /* zero: not known when it was committed */
	char *metadata;    /* owned; NULL: empty */
	int32_t partition;
	int32_t leader_epoch; /* -1 */
	int32_t metadata_len;
};

struct offset_topic {
	struct str name; /* owned */
	struct committed_offset *entries;
	int32_t entries_n;
	int32_t entries_cap;
};

/* Per shard, whoever commits. */
#define OFFSETS_MAX 20000000

struct offset_commit_request;
struct offset_commit_response;
struct offset_fetch_request_groups;
struct offset_fetch_response_groups;
struct offset_delete_request;
struct offset_delete_response;

extern const struct group_record_ops offsets_record_ops;
extern const struct group_record_ops offsets_legacy_record_ops; /* read, not written */

/* Frees a group's offsets. */
void offsets_free(struct group *group);
/* NULL: none. */
const struct committed_offset *offsets_find(const struct group *group, struct str topic, int32_t partition);

/* The request's topics have names, and exist. `out->topics` gets the same shape. An error is everybody's. */
enum err offsets_commit(struct group_store *store, const struct offset_commit_request *in, int16_t version,
			struct offset_commit_response *out, struct coord_records *records) MUST_USE;
/* The same in a transaction (TxnOffsetCommit); the operation's origin is the transaction. */
enum err offsets_commit_in_transaction(struct group_store *store, const struct offset_commit_request *in,
				       struct offset_commit_response *out, struct coord_records *records) MUST_USE;
void offsets_end_transaction(struct group_store *store, struct coord_origin origin, bool commit);
/* topics_n -1: all. Topics are asked for and answered by name; an id that is not zero must fit the one committed for.
 * An unknown group has no offsets. ret->error_code is set; to INVALID_REQUEST when the arena cannot hold the answer.
 * require_stable: what an open transaction commits is not told, but ERR_UNSTABLE_OFFSET_COMMIT. */
void offsets_fetch(struct group_store *store, const struct offset_fetch_request_groups *in, bool require_stable,
		   struct arena *arena, struct offset_fetch_response_groups *ret);
/* Topics exist. `out->topics` gets the same shape. An error is everybody's. */
enum err offsets_delete(struct group_store *store, const struct offset_delete_request *in,
			struct offset_delete_response *out, struct coord_records *records) MUST_USE;

/* Adds deletions of all offsets of the group. */
void offsets_tombstones(const struct group *group, struct coord_records *records);
/* Starts the timer of expiry. */
void offsets_loaded(struct group_store *store);
/* A topic is gone: its offsets are deleted, a part of the groups at a time. */
void offsets_topic_deleted(struct group_store *store, struct str topic);
void offsets_deinit(struct group_store *store);

#endif
