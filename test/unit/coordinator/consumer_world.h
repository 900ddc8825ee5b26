/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shard of groups over a log in memory and a metadata image made by hand: heartbeats are decided, their records
 * logged and, when asked, committed or failed; a second store is made from the log as compaction would leave it.
 */
#ifndef TEST_CONSUMER_WORLD_H
#define TEST_CONSUMER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumer_heartbeat.h"

struct log_entry {
	struct bytes key, value; /* owned by the world's arena */
};

struct consumer_world {
	struct coord_shard shard;
	struct group_store store;
	struct rng rng;
	struct arena arena;
	VEC(struct log_entry) log;
	size_t committed_n;
	uint64_t seq; /* of the newest write */
	struct image *image;
	int64_t topics_made;
};

/* A heartbeat as a test says it. Zero and NULL: not told. */
struct beat_spec {
	const char *group; /* "g" when NULL */
	const char *member;
	int32_t epoch;
	const char *instance;
	const char *topics; /* "a,b" */
	const char *regex;
	const char *assignor;
	bool tells_owned;
	struct part_set owned;
	int32_t rebalance_timeout_ms; /* 0: 60000 on joining, else not told */
};

void consumer_world_init(struct consumer_world *w, uint64_t seed);
void consumer_world_deinit(struct consumer_world *w);
void consumer_world_topic(struct consumer_world *w, const char *name, int32_t partitions_n);
/* Many at once, of one partition each: <prefix>0, <prefix>1, ... */
void consumer_world_topics(struct consumer_world *w, const char *prefix, int topics_n);
/* Decides and replays; commits when `commit`. The response is memory of the world's arena. */
struct consumer_group_heartbeat_response *consumer_world_beat(struct consumer_world *w, struct beat_spec spec,
							      bool commit);
void consumer_world_commit(struct consumer_world *w);
/* The log takes nothing beyond what was committed. */
void consumer_world_fail(struct consumer_world *w);
void consumer_world_pass(struct consumer_world *w, int64_t ms);
/* The answer's assignment as a set; epochs -1. */
struct part_set response_set(const struct consumer_group_heartbeat_response *response, struct arena *arena);
/* What the state holds equals the latest value of every key, in this store and in one loaded from those. */
void consumer_world_check(struct consumer_world *w);
const char *consumer_world_state(struct consumer_world *w, const char *group);

#endif
