/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept between two looks at the shards' counters, so that sums, quantiles and rates can be made of them. Fed
 * every few seconds and for each scrape; lives on the HTTP thread.
 *
 * 1. Totals never fall: they are sums of counters that only grow.
 * 2. Quantiles weigh a value by e^(-0.015 * its age in seconds), as Kafka's reservoirs do; rates are Kafka's weighted
 *    ones (1 and 15 minutes), with what happened between two looks spread evenly over the time between.
 */
#ifndef HTTP_SAMPLER_H
#define HTTP_SAMPLER_H

#include "metrics_collect.h"

#define SAMPLER_HISTS_N (METRICS_PHASES_N + 1) /* the phases, then the size of requests */
#define SAMPLER_BYTES METRICS_PHASES_N
#define SAMPLER_ERRORS_N 64
#define SAMPLER_FLUSHES COORD_COUNTS_N /* behind the counts: batches of coordinators */
#define SAMPLER_QUOTAS_MAX (2 * METRICS_QUOTAS_MAX)

/* One histogram over all shards. */
struct sampler_hist {
	uint64_t n, sum;
	uint64_t total[HIST_BINS_N];
	float recent[HIST_BINS_N];
};

struct sampler_api {
	uint64_t requests[METRICS_VERSIONS_N];
	struct {
		int16_t code;
		uint64_t n;
	} errors[SAMPLER_ERRORS_N];
	int errors_n;
	struct sampler_hist hists[SAMPLER_HISTS_N];
	struct {
		int64_t total_ns, wall_ms;
		int32_t correlation_id;
		char client_id[48];
	} slowest; /* of the last minute or so */
};

struct sampler_rate {
	bool is_begun;
	uint64_t last;
	double one_minute, fifteen_minutes; /* per second */
};

struct sampler_shard {
	struct metrics_shard now;
	int64_t look_ns, look_slept_ns; /* at the look before the last one that counts */
	double idle;                    /* share of the time between two looks */
	struct metrics_listener before[METRICS_LISTENERS_N];
	double opened_per_s[METRICS_LISTENERS_N], closed_per_s[METRICS_LISTENERS_N];
	uint64_t unknown_pushes; /* at that look */
	double unknown_pushes_per_s;
	uint64_t coordinated[SAMPLER_FLUSHES + 1]; /* of groups, at that look */
	double coordinated_per_s[SAMPLER_FLUSHES + 1];
	struct hist last_coordinators[COORDINATOR_KINDS_N][COORD_TIMES_N];
	struct hist last_transaction_asks;
	struct hist last_flush;
	struct metrics_api *last[API_KEY_MAX + 1];
};

struct sampler {
	struct metrics_node node;
	int shards_n;
	struct sampler_shard *shards;
	struct sampler_api *apis[API_KEY_MAX + 1]; /* NULL: never asked */
	struct metrics_quota quotas[SAMPLER_QUOTAS_MAX]; /* of the last round */
	int quotas_n;
	struct sampler_hist flush;
	struct sampler_hist coordinators[COORDINATOR_KINDS_N][COORD_TIMES_N];
	struct sampler_hist transaction_asks;
	struct sampler_hist controller[CONTROLLER_TIMES_N];
	struct hist last_controller[CONTROLLER_TIMES_N];
	struct sampler_rate metadata_records;
	struct metrics_topic all_topics;
	struct sampler_rate bytes_in, bytes_out;
	int64_t at_ns; /* of the last round; 0: none */
	int64_t rate_at_ns; /* of the last step of the rates */
	struct map topic_rates; /* name -> struct sampler_topic_rate */
	uint64_t round;
};

struct sampler_topic_rate {
	struct sampler_rate in, out;
	int64_t at_ns;
	uint64_t round; /* seen last */
	char name[];
};

/* Mean and greatest of what counts at present; of all there ever was when that is nothing. 0: there was none. */
double sampler_hist_mean(const struct sampler_hist *hist);
double sampler_hist_max(const struct sampler_hist *hist);

void sampler_init(struct sampler *sampler, int shards_n, uint64_t hash_seed);
void sampler_deinit(struct sampler *sampler);
/* A round: begin, then each shard's query with METRICS_WANT_SHARD, then end. now_ns: monotonic. */
void sampler_begin(struct sampler *sampler, int64_t now_ns);
void sampler_add(struct sampler *sampler, const struct metrics_query *query);
void sampler_end(struct sampler *sampler);
/* Rates of one topic, given its counts of this round. */
const struct sampler_topic_rate *sampler_topic(struct sampler *sampler, struct str name,
					       const struct metrics_topic *counts);
/* Forgets topics that were not seen in this round. */
void sampler_topics_end(struct sampler *sampler);

#endif
