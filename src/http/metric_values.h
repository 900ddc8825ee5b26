/* SPDX-License-Identifier: Apache-2.0 */
/* The values of metrics that have no labels, or a few fixed ones: from what a look at the node brought. */
#ifndef HTTP_METRIC_VALUES_H
#define HTTP_METRIC_VALUES_H

#include "harvest.h"
#include "http.h"
#include "metric_table.h"
#include "process.h"

/* Sums over all partitions, made once a page. */
struct metric_sums {
	int64_t ours_n, led_n, under_replicated_n, under_min_isr_n, at_min_isr_n, offline_n, producers_n, late_txns_n;
	int64_t leaderless_n, imbalanced_n; /* of the cluster */
};

struct metric_source {
	const struct harvest *harvest;
	const struct sampler *sampler;
	const struct http_options *options;
	struct metric_sums sums;
	struct process_stats process;
	bool shows_partitions;
	double idle; /* mean of all event loops */
};

void metric_source_init(struct metric_source *source, const struct harvest *harvest,
			const struct http_options *options);
/* NaN when it is not known. */
double metric_value(const struct metric_source *source, enum metric_id id);
double metric_partition_value(enum metric_id id, const struct metrics_partition_row *row);
/* False for one that is known only where this broker has an open log of the partition. */
bool metric_partition_is_known(enum metric_id id, const struct metrics_partition_row *row);
/* Counts of topics: -1 when the metric is none. */
int metric_topic_count(enum metric_id id);

#endif
