/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look at a whole node: a query goes to every shard, again and again until each is done; what comes is put
 * together. Counters go into the sampler, topics, partitions and groups into lists that live until they are released.
 *
 *    IDLE --start--> ASKING --last answer--> IDLE (done is called)
 *                      |
 *                      +-- the node stops: abandoned, done is never called
 *
 * 1. One at a time. Queries are the reactors' between harvest_start and their answer.
 */
#ifndef HTTP_HARVEST_H
#define HTTP_HARVEST_H

#include "lag_times.h"
#include "sampler.h"
#include "vec.h"

struct harvest_topic {
	struct str name; /* memory of the arena */
	int32_t partitions_n;
	bool has_counts; /* partitions of it are on this broker */
	struct metrics_topic counts;
	const struct sampler_topic_rate *rate; /* NULL without counts */
};

struct harvest_group {
	struct str id; /* memory of the arena */
	char state[24];
	bool is_classic;
	int32_t members_n;
};

/* What a group has committed for a partition. */
struct harvest_offset {
	int32_t group, topic; /* indexes; topic -1: it is no more */
	int32_t partition;
	int64_t offset;
	int64_t lag; /* -1: the end is not known here */
	const struct metrics_partition_row *row; /* of the partition, where it is led; NULL: elsewhere */
	int64_t time_ms; /* of the first record behind, since 1970; -1: none is, or it is not known */
};

struct harvest {
	struct sampler *sampler;
	struct broker *broker;
	struct post_box *box;
	int want;
	bool is_asking;
	int out_n; /* queries under way */
	struct metrics_query **queries; /* one per shard */
	int64_t began_ns, took_ns;
	int turns_n; /* chunks asked for */
	VEC(struct harvest_topic) topics;
	VEC(struct metrics_partition_row) partitions; /* `topic`: index in topics */
	struct map by_name; /* topic -> its index + 1 */
	VEC(struct harvest_group) groups;
	VEC(struct harvest_offset) offsets;
	struct map group_by_id; /* id -> its index + 1 */
	int64_t offsets_n;      /* of all groups */
	struct arena names;
	struct lag_times lag_times;
	int *topic_of_row; /* METRICS_CHUNK */
	int *group_of_row; /* METRICS_GROUP_CHUNK; -1: told twice */
	void (*done)(struct harvest *harvest);
	void *ctx;
};

void harvest_init(struct harvest *harvest, struct sampler *sampler, struct broker *broker, struct post_box *box);
/* No query may be with a reactor that still turns. */
void harvest_deinit(struct harvest *harvest);
/* Gives back what the last look brought, which is much where there are many partitions. Not while asking. */
void harvest_release(struct harvest *harvest);
/* want: METRICS_WANT_TOPICS, _PARTITIONS or 0; the node and the counters always come along. */
void harvest_start(struct harvest *harvest, int want, int64_t now_ns, void (*done)(struct harvest *harvest));
/* An answer has come; with the last one `done` runs. now_ns: monotonic. */
void harvest_answer(struct harvest *harvest, struct metrics_query *query, int64_t now_ns);

#endif
