/* SPDX-License-Identifier: Apache-2.0 */
/* One page of metrics being written: what metrics_page.c and metrics_page_loops.c share. */
#ifndef HTTP_METRICS_PAGE_H
#define HTTP_METRICS_PAGE_H

#include "http_internal.h"
#include "metric_values.h"

struct metrics_page {
	struct page *page;
	struct metric_source source;
	const struct metric_def *def;
	const char *name;
	enum http_dialect dialect; /* of the name */
};

/* A line with labels that are given as text, braces included. */
void metrics_line(struct metrics_page *mp, const char *suffix, double value, const char *labels, ...)
	PRINTF_LIKE(4, 5);
/* Of the family at hand, as # TYPE has it. */
const char *metrics_type(const struct metrics_page *mp);

/* Families with a series for each event loop (queues also one for all), listener, directory, kind of wait. */
void metrics_loops(struct metrics_page *mp);
void metrics_software(struct metrics_page *mp);
void metrics_delays(struct metrics_page *mp);
void metrics_listeners(struct metrics_page *mp);
void metrics_dirs(struct metrics_page *mp);
void metrics_purgatory(struct metrics_page *mp);

/* What clients pushed. */
void metrics_clients(struct page *page, const struct harvest *harvest);
void metrics_quotas(struct metrics_page *mp);
void metrics_features(struct metrics_page *mp);
/* metrics_page_groups.c: groups by protocol and state, offsets and lag. */
void metrics_coordinator_partitions(struct metrics_page *mp);
void metrics_group_counts(struct metrics_page *mp);
void metrics_group_offsets(struct metrics_page *mp);
void metrics_group_sums(struct metrics_page *mp);
void metrics_group_members(struct metrics_page *mp);
void metrics_group_ages(struct metrics_page *mp);
void metrics_group_greatest(struct metrics_page *mp);

#endif
