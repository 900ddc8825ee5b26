/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch sessions (KIP-227): what a consumer told once about its partitions and what it was told last, so that a fetch
 * names only changes and an answer carries only news. Sessions belong to the reactor of the connection that made them;
 * a client that comes back elsewhere is told 70 and starts anew.
 *
 * 1. A session's partitions keep the order in which answers are filled; one that got data goes to the end, so that none
 *    starves behind a busy one.
 * 2. The epoch goes 1, 2, ..., INT32_MAX, 1.
 */
#ifndef BROKER_FETCH_SESSION_H
#define BROKER_FETCH_SESSION_H

#include "list.h"
#include "map.h"

struct shard;

/* One partition a consumer reads, with or without a session. */
struct fetch_partition {
	struct list link; /* in fetch_session->partitions, or the sessionless request's list */
	struct uuid topic_id;
	struct str topic; /* in a session: memory of the partition, else of the request */
	int32_t partition;
	int32_t current_leader_epoch;
	int32_t last_fetched_epoch;
	int64_t fetch_offset;
	int64_t log_start_offset; /* of the follower; -1 */
	int32_t max_bytes;
	/* what the last answer said; -1: nothing yet */
	int64_t told_high_watermark;
	int64_t told_log_start;
	int16_t told_error;
	struct fetch_session *session;
};

struct fetch_session {
	struct list link; /* least recently used first */
	int32_t id;
	int32_t epoch; /* expected in the next request */
	int64_t used_ns;
	bool uses_topic_ids;
	bool in_use; /* a request of it is under way: not evicted */
	struct list partitions;
	struct map by_name; /* "topic\0partition" -> struct fetch_partition */
	uint32_t partitions_n;
};

struct fetch_sessions;
struct fetch_sessions *fetch_sessions_new(struct shard *shard);
void fetch_sessions_free(struct fetch_sessions *sessions);
/* NULL when the cache is full of sessions that are too young to go: the fetch stays sessionless. */
struct fetch_session *fetch_session_new(struct fetch_sessions *sessions, bool uses_topic_ids);
struct fetch_session *fetch_session_find(struct fetch_sessions *sessions, int32_t id);
/* How many there are, and how many partitions they hold. NULL sessions: none. */
void fetch_sessions_count(const struct fetch_sessions *sessions, uint32_t *ret_n, uint32_t *ret_partitions_n);
void fetch_session_remove(struct fetch_sessions *sessions, struct fetch_session *session);
/* Adds or updates from `from`; keeps the place of a known one. False when the session is full. */
bool fetch_session_put(struct fetch_session *session, const struct fetch_partition *from);
void fetch_session_forget(struct fetch_session *session, struct uuid topic_id, struct str topic, int32_t partition);
void fetch_session_touch(struct fetch_sessions *sessions, struct fetch_session *session, int64_t now_ns);
int32_t fetch_session_next_epoch(int32_t epoch);

#endif
