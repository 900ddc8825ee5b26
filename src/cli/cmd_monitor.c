/* SPDX-License-Identifier: Apache-2.0 */
/* moldau health, grafana-dashboard, alerts, prometheus-config: what watches a node, and what it asks. */
#include <string.h>

#include "check.h"
#include "commands.h"
#include "dashboards.h"
#include "http_client.h"
#include "mem.h"

#define HEALTH_ADDRESS_DEFAULT "127.0.0.1:8080"
#define HEALTH_TIMEOUT_S 10
#define STATUS_OK 200

enum cli_exit cmd_health(const struct cli_run *run)
{
	const struct cli_value *http = cli_value(run, "http");
	const char *address = http->is_given ? http->text : HEALTH_ADDRESS_DEFAULT;
	struct http_answer answer;
	struct err_text text;
	bool is_good;

	if (http_client_get(str_of(address), "/readyz?verbose", HEALTH_TIMEOUT_S, &answer, &text)) {
		fprintf(run->err, "Not healthy: %s (http.listener of the node).\n", text.text);
		return CLI_CHECK_FAILED;
	}
	is_good = answer.status == STATUS_OK;
	fputs(answer.body, run->out);
	mem_free(answer.body);
	return is_good ? CLI_OK : CLI_CHECK_FAILED;
}

enum cli_exit cmd_grafana_dashboard(const struct cli_run *run)
{
	if (run->args_n == 0) {
		for (size_t i = 0; i < dashboards_n; i++)
			fprintf(run->out, "%-10s %s\n", dashboards[i].name, dashboards[i].title);
		return CLI_OK;
	}
	for (size_t i = 0; i < dashboards_n; i++) {
		if (str_eq_c(str_of(run->args[0]), dashboards[i].name)) {
			fputs(dashboards[i].json, run->out);
			return CLI_OK;
		}
	}
	fprintf(run->err, "There is no dashboard %s. All there are: %s grafana-dashboard\n", run->args[0],
		run->program->name);
	return CLI_NOT_FOUND;
}

enum cli_exit cmd_alerts(const struct cli_run *run)
{
	fputs(dashboard_alerts, run->out);
	return CLI_OK;
}

enum cli_exit cmd_prometheus_config(const struct cli_run *run)
{
	static const char mark[] = "@TARGET@";
	const struct cli_value *http = cli_value(run, "http");
	const char *at = strstr(dashboard_prometheus, mark);

	CHECK(at);
	fprintf(run->out, "%.*s%s%s", (int)(at - dashboard_prometheus), dashboard_prometheus,
		http->is_given ? http->text : HEALTH_ADDRESS_DEFAULT, at + sizeof(mark) - 1);
	return CLI_OK;
}
