/* SPDX-License-Identifier: Apache-2.0 */
/* Everything `moldau` can be asked to do, as a table. */
#include "commands.h"

#include "node.h"
#include "types.h"

#define OPTION_OVERRIDE                                                                        \
	{                                                                                      \
		.name = "override", .kind = CLI_PAIRS, .value = "KEY=VALUE",                   \
		.help = "a setting, before all others; may be repeated"                        \
	}
#define OPTION_REACTORS                                                                        \
	{                                                                                      \
		.name = "reactors", .kind = CLI_NUMBER, .value = "N", .min = 1,                \
		.max = NODE_REACTORS_MAX,                                                      \
		.help = "event loops (one on up to 3 processors, else one less than there are)" \
	}

static const struct cli_option dev_options[] = {
	{.name = "data", .kind = CLI_TEXT, .value = "DIR", .excludes = "ephemeral",
	 .help = "where the data lies (./.moldau); made when it is not there"},
	{.name = "ephemeral", .kind = CLI_FLAG, .help = "data in a temporary directory that goes at the end"},
	{.name = "port", .kind = CLI_NUMBER, .value = "P", .min = 0, .max = 65535,
	 .help = "port for clients (9092), the controller takes the next; 0: any free ones"},
	OPTION_REACTORS,
	OPTION_OVERRIDE,
};

static const struct cli_option server_options[] = {
	OPTION_REACTORS,
	OPTION_OVERRIDE,
};

static const struct cli_option http_options[] = {
	{.name = "http", .kind = CLI_TEXT, .value = "HOST:PORT",
	 .help = "where the node serves HTTP, its http.listener (127.0.0.1:8080)"},
};

static const struct cli_option config_explain_options[] = {
	{.name = "file", .kind = CLI_TEXT, .value = "FILE", .help = "a server.properties; also the environment counts"},
	OPTION_OVERRIDE,
};

static const struct cli_option config_check_options[] = {
	OPTION_OVERRIDE,
};

static const struct cli_command moldau_commands[] = {
	{
		.words = "dev",
		.args = "",
		.summary = "Start a broker on this computer, without configuration",
		.detail = "One node that is broker and controller, reachable from this computer only. Topics come\n"
			  "into being when a client first names them. Ctrl-C stops it; what was written is there\n"
			  "at the next start. Settings are Kafka's: names and values as in a server.properties,\n"
			  "also from the environment (KAFKA_NUM_PARTITIONS=3).",
		.examples = "  moldau dev\n"
			    "  moldau dev --ephemeral --port 0\n"
			    "  moldau dev --data /srv/kafka --override num.partitions=3",
		.options = dev_options,
		.options_n = ARRAY_N(dev_options),
		.run = cmd_dev,
	},
	{
		.words = "server start",
		.args = "FILE",
		.args_min = 1,
		.args_max = 1,
		.summary = "Start a broker as a server.properties says",
		.detail = "Reads a file as Apache Kafka does. All that is wrong with it is said at once, each with\n"
			  "its line. An empty data directory is formatted; one that Kafka wrote is taken over. Later\n"
			  "sources win: the file, the environment (KAFKA_LOG_DIRS), --override. Ends with SIGTERM,\n"
			  "after all is on disk.",
		.examples = "  moldau server start config/server.properties\n"
			    "  moldau server start server.properties --override log.dirs=/srv/kafka",
		.options = server_options,
		.options_n = ARRAY_N(server_options),
		.run = cmd_server_start,
	},
	{
		.words = "health",
		.args = "",
		.summary = "Tell whether a node serves, check by check; ends with 6 when it does not",
		.detail = "Asks the node over HTTP, as /readyz?verbose does.",
		.examples = "  moldau health\n"
			    "  moldau health --http 10.0.0.5:8080",
		.options = http_options,
		.options_n = ARRAY_N(http_options),
		.run = cmd_health,
	},
	{
		.words = "grafana-dashboard",
		.args = "[NAME]",
		.args_max = 1,
		.summary = "Print a dashboard for Grafana; without a name, list them",
		.examples = "  moldau grafana-dashboard cluster > moldau-cluster.json",
		.run = cmd_grafana_dashboard,
	},
	{
		.words = "alerts",
		.args = "",
		.summary = "Print alert rules for Prometheus",
		.examples = "  moldau alerts > moldau-alerts.yml",
		.run = cmd_alerts,
	},
	{
		.words = "prometheus-config",
		.args = "",
		.summary = "Print a configuration for Prometheus that asks a node",
		.examples = "  moldau prometheus-config --http 10.0.0.5:8080 > prometheus.yml",
		.options = http_options,
		.options_n = ARRAY_N(http_options),
		.run = cmd_prometheus_config,
	},
	{
		.words = "config explain",
		.args = "[KEY]",
		.args_max = 1,
		.summary = "Explain a setting: what it does, its bounds, where its value comes from",
		.detail = "Settings of nodes, topics and groups, by their names in Kafka. Without a key: a list.\n"
			  "With --file the value in force and the place it comes from are told.",
		.examples = "  moldau config explain log.retention.ms\n"
			    "  moldau config explain num.partitions --file server.properties",
		.options = config_explain_options,
		.options_n = ARRAY_N(config_explain_options),
		.run = cmd_config_explain,
	},
	{
		.words = "config check",
		.args = "FILE",
		.args_min = 1,
		.args_max = 1,
		.summary = "Say all that is to be said about a server.properties, without starting",
		.detail = "Reads the file, the environment and --override as a start would. Ends with 0 when a broker\n"
			  "would start, with 6 when it would not.",
		.examples = "  moldau config check server.properties",
		.options = config_check_options,
		.options_n = ARRAY_N(config_check_options),
		.run = cmd_config_check,
	},
	{
		.words = "config sample",
		.args = "",
		.summary = "Print a server.properties with every setting, its default and what it does",
		.examples = "  moldau config sample > server.properties",
		.run = cmd_config_sample,
	},
	{
		.words = "storage",
		.args = "COMMAND ...",
		.summary = "Format directories, and look at them: Kafka's kafka-storage",
		.detail = "Commands and options are those of kafka-storage.sh; also under that name. A broker formats\n"
			  "empty directories by itself, so this is for scripts that are there already, and for what\n"
			  "must be so from the beginning: voters, feature levels, SCRAM logins.",
		.examples = "  moldau storage random-uuid\n"
			    "  moldau storage format --standalone -t ID -c server.properties",
		.is_raw = true,
		.run = cmd_storage,
	},
	{
		.words = "format",
		.args = "OPTIONS",
		.summary = "Format directories: moldau storage format",
		.is_raw = true,
		.run = cmd_format,
	},
	{
		.words = "debug dump-log",
		.args = "OPTIONS",
		.summary = "Print what is in files of a log directory: Kafka's kafka-dump-log",
		.detail = "Options and output are those of kafka-dump-log.sh; also under that name. Files are only\n"
			  "read, also those of a broker that runs.",
		.examples = "  moldau debug dump-log --print-data-log --files data/topic-0/00000000000000000000.log\n"
			    "  moldau debug dump-log --cluster-metadata-decoder --files "
			    "data/__cluster_metadata-0/*.log",
		.is_raw = true,
		.run = cmd_dump_log,
	},
	{
		.words = "debug check",
		.args = "DIR",
		.args_min = 1,
		.args_max = 1,
		.summary = "Read a log directory, or one partition's, and say what is damaged; ends with 6 then",
		.detail = "Reads every file with its checksums and changes nothing. One line for each finding: file,\n"
			  "position, what is wrong. For directories that no broker is writing to: of a running one\n"
			  "the newest bytes may be told as damaged.",
		.examples = "  moldau debug check /var/lib/kafka/data\n"
			    "  moldau debug check /var/lib/kafka/data/orders-0",
		.run = cmd_check,
	},
	{
		.words = "explain",
		.args = "[CODE]",
		.args_max = 1,
		.summary = "Explain a code such as ML1012; without one, list them",
		.detail = "Messages carry a code. This tells what happened, why, and what to do about it.",
		.examples = "  moldau explain ML1012",
		.run = cmd_explain,
	},
	{
		.words = "version",
		.args = "",
		.summary = "Print the version, as --version and -V do",
		.run = cmd_version,
	},
};

const struct cli_program moldau_program = {
	.name = "moldau",
	.summary = "moldau: a broker that Apache Kafka's clients talk to, in one small program.",
	.commands = moldau_commands,
	.commands_n = ARRAY_N(moldau_commands),
};
