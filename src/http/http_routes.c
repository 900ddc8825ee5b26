/* SPDX-License-Identifier: Apache-2.0 */
/* What is served under which path. Aliases of other systems answer as those do. */
#include "http_internal.h"

const struct http_route http_routes[] = {
	{"/metrics", false, true, METRICS_WANT_TOPICS | METRICS_WANT_PARTITIONS | METRICS_WANT_GROUPS,
	 metrics_page_answer},
	{"/livez", false, false, 0, health_livez},
	{"/startupz", false, true, 0, health_startupz},
	{"/readyz", false, true, 0, health_readyz},
	{"/healthz", false, true, 0, health_healthz},
	{"/v1/ready", false, true, 0, health_strimzi_ready},
	{"/v1/broker-state", false, true, 0, health_broker_state},
	{"/v1/status/ready", false, true, 0, health_redpanda_ready},
	{"/v1/cluster/health_overview", false, true, METRICS_WANT_TOPICS | METRICS_WANT_PARTITIONS, health_overview},
	{"/v1/log-level", false, false, 0, log_level_page_list},
	{"/v1/log-level", true, false, 0, log_level_page_set},
	{"/v1/safe-to-stop", false, true, METRICS_WANT_TOPICS | METRICS_WANT_PARTITIONS, health_safe_to_stop},
};
const size_t http_routes_n = ARRAY_N(http_routes);
