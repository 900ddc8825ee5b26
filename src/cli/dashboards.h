/* SPDX-License-Identifier: Apache-2.0 */
/* What monitoring systems are given about this program; generated from schema/dashboards. */
#ifndef CLI_DASHBOARDS_H
#define CLI_DASHBOARDS_H

#include <stddef.h>

struct dashboard {
	const char *name, *title;
	const char *json; /* for Grafana */
};

extern const struct dashboard dashboards[];
extern const size_t dashboards_n;
extern const char dashboard_alerts[];     /* rules for Prometheus */
extern const char dashboard_prometheus[]; /* its configuration, with @TARGET@ for host:port */

#endif
