/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, and the commands themselves. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli.h"

extern const struct cli_program moldau_program;

enum cli_exit cmd_dev(const struct cli_run *run);
enum cli_exit cmd_server_start(const struct cli_run *run);
enum cli_exit cmd_version(const struct cli_run *run);
enum cli_exit cmd_explain(const struct cli_run *run);
enum cli_exit cmd_config_explain(const struct cli_run *run);
enum cli_exit cmd_config_check(const struct cli_run *run);
enum cli_exit cmd_config_sample(const struct cli_run *run);
enum cli_exit cmd_storage(const struct cli_run *run);
enum cli_exit cmd_format(const struct cli_run *run);
enum cli_exit cmd_dump_log(const struct cli_run *run);
enum cli_exit cmd_check(const struct cli_run *run);
enum cli_exit cmd_health(const struct cli_run *run);
enum cli_exit cmd_grafana_dashboard(const struct cli_run *run);
enum cli_exit cmd_alerts(const struct cli_run *run);
enum cli_exit cmd_prometheus_config(const struct cli_run *run);

#endif
