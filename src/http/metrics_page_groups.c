/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of /metrics about groups: how many in which state, what they have committed, how far behind they are. Lag is
 * the end that readers see less the committed offset, and left out where this node does not lead the partition.
 */
#include <strings.h>

#include "mem.h"
#include "metric_coordinators.h"
#include "metrics_page.h"

void metrics_group_counts(struct metrics_page *mp)
{
	static const char *const states[] = {"Empty", "Assigning", "Reconciling", "Stable", "Dead"};
	const struct harvest *harvest = mp->source.harvest;
	int classic_n = 0, of_state[ARRAY_N(states)] = {0};

	for (size_t i = 0; i < harvest->groups.n; i++) {
		const struct harvest_group *group = &harvest->groups.v[i];

		classic_n += group->is_classic;
		for (size_t s = 0; s < ARRAY_N(states); s++)
			of_state[s] += !group->is_classic && strcasecmp(group->state, states[s]) == 0;
	}
	page_family(mp->page, mp->name, "gauge", mp->def->help);
	if (mp->def->labels == METRIC_OF_PROTOCOL) {
		metrics_line(mp, "", classic_n, "{protocol=\"classic\"}");
		metrics_line(mp, "", (double)harvest->groups.n - classic_n, "{protocol=\"consumer\"}");
		return;
	}
	for (size_t s = 0; s < ARRAY_N(states); s++)
		metrics_line(mp, "", of_state[s], "{state=\"%s\"}", states[s]);
}

void metrics_coordinator_partitions(struct metrics_page *mp)
{
	page_family(mp->page, mp->name, "gauge", mp->def->help);
	metrics_line(mp, "", metric_coordinator_partitions(&mp->source, COORD_ACTIVE), "{state=\"active\"}");
	metrics_line(mp, "", metric_coordinator_partitions(&mp->source, COORD_LOADING), "{state=\"loading\"}");
	metrics_line(mp, "", metric_coordinator_partitions(&mp->source, COORD_FAILED), "{state=\"failed\"}");
}

static void metrics_group_label(struct metrics_page *mp, const struct harvest_group *group)
{
	page_text(mp->page, mp->name);
	page_text(mp->page, "{consumergroup=\"");
	page_escaped(mp->page, group->id);
}

void metrics_group_offsets(struct metrics_page *mp)
{
	const struct harvest *harvest = mp->source.harvest;

	if (!mp->source.shows_partitions)
		return;
	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (size_t i = 0; i < harvest->offsets.n; i++) {
		const struct harvest_offset *offset = &harvest->offsets.v[i];
		int64_t value = mp->def->id == METRIC_KG_LAG ? offset->lag : offset->offset;

		if (offset->topic < 0 || value < 0)
			continue;
		metrics_group_label(mp, &harvest->groups.v[offset->group]);
		page_text(mp->page, "\",topic=\"");
		page_escaped(mp->page, harvest->topics.v[offset->topic].name);
		page_text(mp->page, "\",partition=\"");
		page_i64(mp->page, offset->partition);
		page_text(mp->page, "\"} ");
		page_i64(mp->page, value);
		page_text(mp->page, "\n");
	}
}

/* The offsets of a group and topic stand in one run: a group tells its topics one after the other. */
void metrics_group_sums(struct metrics_page *mp)
{
	const struct harvest *harvest = mp->source.harvest;
	size_t i = 0;

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	while (i < harvest->offsets.n) {
		const struct harvest_offset *first = &harvest->offsets.v[i];
		int64_t sum = 0;

		for (; i < harvest->offsets.n && harvest->offsets.v[i].group == first->group &&
		       harvest->offsets.v[i].topic == first->topic; i++)
			sum += mp->def->id == METRIC_KG_LAG_SUM ? MAX(harvest->offsets.v[i].lag, INT64_C(0))
								: harvest->offsets.v[i].offset;
		if (first->topic < 0)
			continue;
		metrics_group_label(mp, &harvest->groups.v[first->group]);
		page_text(mp->page, "\",topic=\"");
		page_escaped(mp->page, harvest->topics.v[first->topic].name);
		page_text(mp->page, "\"} ");
		page_i64(mp->page, sum);
		page_text(mp->page, "\n");
	}
}

/* ---- as kafka-lag-exporter ---- */

/* Records or seconds behind; -1: not known. A group that is not behind is 0 s behind. */
static double metrics_group_lag(const struct metrics_page *mp, const struct harvest_offset *offset)
{
	bool is_time = mp->def->id == METRIC_KLE_LAG_SECONDS || mp->def->id == METRIC_KLE_MAX_LAG_SECONDS;

	if (offset->topic < 0 || offset->lag <= 0 || !is_time)
		return offset->topic < 0 ? -1 : (double)offset->lag;
	if (offset->time_ms < 0)
		return -1;
	return (double)MAX(mp->source.sampler->node.wall_ms - offset->time_ms, INT64_C(0)) / 1000;
}

static void metrics_group_label_of_exporter(struct metrics_page *mp, const struct harvest_group *group)
{
	page_text(mp->page, mp->name);
	page_text(mp->page, "{cluster_name=\"");
	page_escaped(mp->page, str_of(mp->source.sampler->node.cluster_id));
	page_text(mp->page, "\",group=\"");
	page_escaped(mp->page, group->id);
}

void metrics_group_ages(struct metrics_page *mp)
{
	const struct harvest *harvest = mp->source.harvest;

	if (!mp->source.shows_partitions)
		return;
	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (size_t i = 0; i < harvest->offsets.n; i++) {
		const struct harvest_offset *offset = &harvest->offsets.v[i];
		double value = metrics_group_lag(mp, offset);

		if (value < 0)
			continue;
		metrics_group_label_of_exporter(mp, &harvest->groups.v[offset->group]);
		page_text(mp->page, "\",topic=\"");
		page_escaped(mp->page, harvest->topics.v[offset->topic].name);
		page_text(mp->page, "\",partition=\"");
		page_i64(mp->page, offset->partition);
		page_text(mp->page, "\"} ");
		page_f64(mp->page, value);
		page_text(mp->page, "\n");
	}
}

void metrics_group_greatest(struct metrics_page *mp)
{
	const struct harvest *harvest = mp->source.harvest;
	double *values = mem_alloc(MAX(harvest->groups.n, (size_t)1) * sizeof(*values));

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (size_t i = 0; i < harvest->groups.n; i++)
		values[i] = -1;
	for (size_t i = 0; i < harvest->offsets.n; i++) {
		const struct harvest_offset *offset = &harvest->offsets.v[i];

		values[offset->group] = MAX(values[offset->group], metrics_group_lag(mp, offset));
	}
	for (size_t i = 0; i < harvest->groups.n; i++) {
		if (values[i] < 0)
			continue;
		metrics_group_label_of_exporter(mp, &harvest->groups.v[i]);
		page_text(mp->page, "\"} ");
		page_f64(mp->page, values[i]);
		page_text(mp->page, "\n");
	}
	mem_free(values);
}

/* ---- members ---- */

void metrics_group_members(struct metrics_page *mp)
{
	const struct harvest *harvest = mp->source.harvest;

	page_family(mp->page, mp->name, "gauge", mp->def->help);
	for (size_t i = 0; i < harvest->groups.n; i++) {
		metrics_group_label(mp, &harvest->groups.v[i]);
		page_text(mp->page, "\"} ");
		page_i64(mp->page, harvest->groups.v[i].members_n);
		page_text(mp->page, "\n");
	}
}
