/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of what a shard counts and knows, for a thread that is no reactor: a query goes to a reactor by message, is
 * filled there into memory it brought along, and goes back. Nothing is formatted on the reactor, and each turn of a
 * query looks at METRICS_CHUNK topics and partitions at most; the asker sends it again until `is_done`.
 *
 * 1. Each partition of the image is told by one shard, the one that owns it, whether this broker has it or not.
 * 2. A query that sees topics come and go between two turns goes on in name order: what was there all the time is told
 *    exactly once.
 * 3. Groups are told in the order of the coordinators' tables: one that comes or goes between two turns may let another
 *    be told twice, or not at all. The asker takes the first.
 */
#ifndef BROKER_METRICS_COLLECT_H
#define BROKER_METRICS_COLLECT_H

#include "broker.h"
#include "cleaner.h"
#include "conn_limits.h"
#include "controller_io.h"
#include "coordinator_stats.h"
#include "post.h"
#include "scrubber.h"

#define METRICS_CHUNK 1000
#define METRICS_CLIENT_ROWS_MAX 5000 /* of one shard */
#define METRICS_TOPIC_NAME_MAX 249

enum metrics_want {
	METRICS_WANT_NODE = 1,       /* reactor 0 only: struct metrics_node */
	METRICS_WANT_SHARD = 2,      /* struct metrics_shard and the requests */
	METRICS_WANT_TOPICS = 4,     /* topics, with counts */
	METRICS_WANT_PARTITIONS = 8, /* and their partitions */
	METRICS_WANT_GROUPS = 16,    /* groups coordinated here, and what they have committed */
};

/* What belongs to the node. */
struct metrics_node {
	enum broker_phase phase;
	bool is_fenced;
	bool is_leaving;
	int64_t up_ns;
	int64_t wall_ms; /* since 1970 */
	int64_t broker_epoch;
	char cluster_id[64];
	int32_t node_id;
	char address[128]; /* host:port that clients are told */
	int32_t brokers_n, fenced_n, leaving_n;
	uint64_t conns_waited_n, conns_throttled_n, conns_refused_n; /* as struct conn_limits */
	int32_t topics_n;
	int64_t partitions_n;
	bool has_image;
	int64_t image_offset, image_timestamp_ms;
	int16_t metadata_version;
	bool controller_leads;
	struct quorum_status quorum;
	int64_t epoch_start_offset;
	struct hist controller[CONTROLLER_TIMES_N];
	int64_t snapshot_bytes, snapshot_age_ns; /* of the newest snapshot written since the start; -1: none yet */
	int features_n;
	struct {
		char name[48];
		int16_t level;
	} features[16];
	int raft_role; /* enum raft_role, -1: none yet */
	int listeners_n;
	struct {
		char name[64];
		struct conn_delays delays, ip_delays;
	} listeners[METRICS_LISTENERS_N];
	int dirs_n;
	struct {
		char path[256];
		bool is_cordoned;
	} dirs[BROKER_DIRS_MAX];
};

struct metrics_shard {
	int64_t now_ns, slept_ns; /* slept in all */
	int64_t began_ns;         /* when the broker was opened */
	uint64_t turns;
	int32_t conns_n, requests_n, queued_n, running_n;
	int32_t waiting_fetches_n, waiting_produces_n;
	uint64_t expired_fetches, sessions_evicted, requests_total;
	uint32_t sessions_n, session_partitions_n;
	int64_t frames_bytes, frames_max, work_bytes, work_max;
	int32_t partitions_n; /* of this shard */
	int32_t unopened_n, opening_n; /* logs nobody has asked for, and those being opened */
	struct metrics_topic all_topics;
	struct hist flush_ns;
	enum log_dir_state dirs[BROKER_DIRS_MAX];
	struct metrics_listener listeners[METRICS_LISTENERS_N];
	struct metrics_software software[METRICS_SOFTWARE_N];
	int32_t pushers_n; /* clients that push metrics */
	uint64_t unknown_pushes_n; /* under a subscription that is none of theirs */
	struct cleaner_stats cleaner;
	struct scrubber_stats scrubber;
	struct coordinator_stats coordinators;
};

struct metrics_topic_row {
	char name[METRICS_TOPIC_NAME_MAX + 1];
	int32_t partitions_n; /* in the image */
	bool has_counts;
	struct metrics_topic counts;
};

struct metrics_partition_row {
	int32_t topic; /* index of its row in this chunk */
	int32_t index;
	int32_t leader, leader_epoch;
	int16_t replicas_n, isr_n, min_isr;
	bool leader_is_preferred;
	bool is_ours;   /* this broker has a replica */
	bool is_leader; /* and leads */
	bool is_open;   /* its log is: the numbers below are known */
	bool is_offline;
	bool is_uncleanable; /* compaction met what cannot be read */
	bool has_late_txn;   /* a transaction is open for longer than any may be */
	int16_t dir;         /* of its log; -1: none here */
	int32_t segments_n;
	uint32_t producers_n;
	int64_t size_bytes, log_start, log_end, high_watermark, last_stable;
};

/* Use of what a client has a quota for. */
#define METRICS_QUOTAS_MAX 256

struct metrics_quota {
	int kind; /* enum client_quota_kind */
	char user[64], client_id[64];
	double rate; /* the same on all shards */
	int64_t throttled_n, throttled_ms;
};

/* A group; its id is the asker's to escape. */
struct metrics_group_row {
	char id[METRICS_TOPIC_NAME_MAX + 1];
	char state[24]; /* "Stable" */
	bool is_classic;
	bool goes_on; /* told before: this is about further offsets of it */
	int32_t members_n;
	int64_t offsets_n;
};

struct metrics_offset_row {
	int32_t group; /* index of its row in this chunk */
	char topic[METRICS_TOPIC_NAME_MAX + 1];
	int32_t partition;
	int64_t offset;
};

/* Groups and offsets together per turn; a chunk has room for as many of each. */
#define METRICS_GROUP_CHUNK 500

struct metrics_query {
	struct msg msg;
	struct shard *shard; /* in */
	int want;            /* in: enum metrics_want bits */
	struct post_box *answer;
	void *ctx; /* the asker's */
	/* out */
	struct metrics_node node;
	struct metrics_shard of_shard;
	struct metrics_api *apis[API_KEY_MAX + 1]; /* memory of the query; NULL: never asked */
	struct metrics_quota quotas[METRICS_QUOTAS_MAX]; /* what finds no place is left out */
	int quotas_n;
	struct telemetry_rows *clients; /* memory of the query; NULL: none pushes */
	struct metrics_topic_row topics[METRICS_CHUNK];
	struct metrics_partition_row partitions[METRICS_CHUNK];
	int topics_n, partitions_n;
	struct metrics_group_row groups[METRICS_GROUP_CHUNK];
	struct metrics_offset_row offsets[METRICS_GROUP_CHUNK];
	int groups_n, offsets_n;
	bool has_more_of_topic; /* the first of `topics` was told before: this is about further partitions of it */
	bool is_done;
	/* private */
	char at_topic[METRICS_TOPIC_NAME_MAX + 1]; /* go on behind it, or with its partition at_partition */
	int32_t at_partition;                      /* -1: behind the topic */
	int64_t at_group, at_offset; /* go on with the offset of that number of the group of that number */
};

struct metrics_query *metrics_query_new(struct shard *shard, int want, struct post_box *answer, void *ctx);
/* NULL is fine. */
void metrics_query_free(struct metrics_query *query);
/* Sends it for its first or next turn; the answer comes to its box. */
void metrics_query_send(struct metrics_query *query);
/* One turn, on the shard's reactor (or where it stands still). */
void metrics_query_fill(struct metrics_query *query);

#endif
