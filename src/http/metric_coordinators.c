/* SPDX-License-Identifier: Apache-2.0 */
/* See metric_coordinators.h. */
#include "metric_coordinators.h"

#include <math.h>

#define GROUP COORDINATOR_GROUP
#define TRANSACTION COORDINATOR_TRANSACTION

/* The rows of a time stand in one run in the table: max and these quantiles. */
static const double time_quantiles[] = {-1, 0.5, 0.95, 0.99, 0.999};

#define TIME_ROWS_N ((int)ARRAY_N(time_quantiles))

static double coordinator_time_ms(const struct metric_source *source, enum coord_time time, int row)
{
	const struct sampler_hist *hist = &source->sampler->coordinators[GROUP][time];
	double weights[HIST_BINS_N];

	if (time_quantiles[row] < 0)
		return sampler_hist_max(hist) / NS_PER_MS;
	for (int i = 0; i < HIST_BINS_N; i++)
		weights[i] = (double)hist->recent[i];
	return hist_quantile(weights, time_quantiles[row]) / NS_PER_MS;
}

static double metric_of_coordinator_times(const struct metric_source *source, enum metric_id id)
{
	static const struct {
		enum metric_id first;
		enum coord_time time;
	} runs[] = {
		{METRIC_GC_QUEUE_MAX, COORD_TIME_QUEUE},	 {METRIC_GC_WORK_MAX, COORD_TIME_PROCESSING},
		{METRIC_GC_PURGATORY_MAX, COORD_TIME_PURGATORY}, {METRIC_GC_FLUSH_MAX, COORD_TIME_FLUSH},
		{METRIC_GC_LINGER_MAX, COORD_TIME_LINGER},
	};

	for (size_t i = 0; i < ARRAY_N(runs); i++) {
		int row = (int)id - (int)runs[i].first;

		if (row >= 0 && row < TIME_ROWS_N)
			return coordinator_time_ms(source, runs[i].time, row);
	}
	return NAN;
}

static double coordinator_count(const struct metric_source *source, enum coord_count count)
{
	double sum = 0;

	for (int i = 0; i < source->sampler->shards_n; i++)
		sum += (double)source->sampler->shards[i].now.coordinators.of[GROUP].counts[count];
	return sum;
}

static double coordinator_rate(const struct metric_source *source, int count)
{
	double sum = 0;

	for (int i = 0; i < source->sampler->shards_n; i++)
		sum += source->sampler->shards[i].coordinated_per_s[count];
	return sum;
}

double metric_coordinator_partitions(const struct metric_source *source, enum coord_shard_state state)
{
	double sum = 0;

	for (int i = 0; i < source->sampler->shards_n; i++)
		sum += source->sampler->shards[i].now.coordinators.partitions_n[GROUP][state];
	return sum;
}

static double metric_of_coordinator_counts(const struct metric_source *source, enum metric_id id)
{
	switch ((int)id) {
	case METRIC_GC_COMMITS:
		return coordinator_count(source, COORD_OFFSET_COMMITS);
	case METRIC_GC_COMMIT_RATE:
		return coordinator_rate(source, COORD_OFFSET_COMMITS);
	case METRIC_GC_EXPIRATIONS:
		return coordinator_count(source, COORD_OFFSET_EXPIRATIONS);
	case METRIC_GC_EXPIRATION_RATE:
		return coordinator_rate(source, COORD_OFFSET_EXPIRATIONS);
	case METRIC_GC_DELETIONS:
		return coordinator_count(source, COORD_OFFSET_DELETIONS);
	case METRIC_GC_DELETION_RATE:
		return coordinator_rate(source, COORD_OFFSET_DELETIONS);
	case METRIC_GC_REBALANCES:
		return coordinator_count(source, COORD_CLASSIC_REBALANCES);
	case METRIC_GC_REBALANCE_RATE:
		return coordinator_rate(source, COORD_CLASSIC_REBALANCES);
	case METRIC_GC_EPOCHS:
		return coordinator_count(source, COORD_CONSUMER_REBALANCES);
	case METRIC_GC_EPOCH_RATE:
		return coordinator_rate(source, COORD_CONSUMER_REBALANCES);
	case METRIC_GC_FLUSH_RATE:
		return coordinator_rate(source, SAMPLER_FLUSHES);
	default:
		return NAN;
	}
}

#define COORDINATORS_SUM(source, field)                                                              \
	({                                                                                           \
		double sum_ = 0;                                                                     \
		for (int i_ = 0; i_ < (source)->sampler->shards_n; i_++)                             \
			sum_ += (double)(source)->sampler->shards[i_].now.coordinators.field;        \
		sum_;                                                                                \
	})

double metric_of_coordinators(const struct metric_source *source, enum metric_id id)
{
	const struct sampler_hist (*times)[COORD_TIMES_N] = source->sampler->coordinators;
	double value = metric_of_coordinator_times(source, id);

	if (isnan(value))
		value = metric_of_coordinator_counts(source, id);
	switch ((int)id) {
	case METRIC_GC_LOAD_MAX:
		return sampler_hist_max(&times[GROUP][COORD_TIME_LOAD]) / NS_PER_MS;
	case METRIC_GC_LOAD_AVG:
		return sampler_hist_mean(&times[GROUP][COORD_TIME_LOAD]) / NS_PER_MS;
	case METRIC_TC_LOAD_MAX:
		return sampler_hist_max(&times[TRANSACTION][COORD_TIME_LOAD]) / NS_PER_MS;
	case METRIC_TC_LOAD_AVG:
		return sampler_hist_mean(&times[TRANSACTION][COORD_TIME_LOAD]) / NS_PER_MS;
	case METRIC_GC_IDLE:
		return source->idle;
	case METRIC_GC_QUEUED:
		return COORDINATORS_SUM(source, queued_n);
	case METRIC_MARKERS_WAITING:
		return COORDINATORS_SUM(source, markers_waiting_n);
	case METRIC_COMPLETIONS_WAITING:
		return COORDINATORS_SUM(source, completions_waiting_n);
	case METRIC_VERIFICATION_FAILURES:
		return COORDINATORS_SUM(source, asks.failures_n);
	default:
		return value;
	}
}
