/* SPDX-License-Identifier: Apache-2.0 */
/* The values of metrics about coordinators: what they count, how long things take them. */
#ifndef HTTP_METRIC_COORDINATORS_H
#define HTTP_METRIC_COORDINATORS_H

#include "metric_values.h"

/* NaN for a metric that is not about coordinators. */
double metric_of_coordinators(const struct metric_source *source, enum metric_id id);
/* Partitions of the groups' coordinators in a state, over all event loops. */
double metric_coordinator_partitions(const struct metric_source *source, enum coord_shard_state state);

#endif
