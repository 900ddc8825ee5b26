/* SPDX-License-Identifier: Apache-2.0 */
/* Whole node configurations: the original's verdicts (broker_values.tsv), our findings, and what follows. */
#include "config_test.h"

static const char *values_path;
static const char *sample_path;

#define PEER                                                                                                 \
	"process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"                 \
	"listeners=PLAINTEXT://:9092,CONTROLLER://"                                                          \
	":9093\ncontroller.quorum.bootstrap.servers=localhost:9093\n"                                        \
	"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"                   \
	"SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"

/* The base without the line of `key`. */
static void drop_line(char *text, const char *key)
{
	size_t len = strlen(key);

	for (char *line = text; *line;) {
		char *end = strchr(line, '\n') + 1;

		if (strncmp(line, key, len) == 0 && line[len] == '=')
			memmove(line, end, strlen(end) + 1);
		else
			line = end;
	}
}

static void check_line(char *line)
{
	char text[4096] = PEER;
	char *verdict = strchr(line, '\t');
	char *ours;
	char shown[512];
	struct broker_config config;
	struct config_report report = {0};
	enum err err;

	*verdict++ = '\0';
	ours = strchr(verdict, '\t');
	if (ours)
		verdict = ours + 1;
	snprintf(shown, sizeof(shown), "%s", line);
	for (char *part = line; part && *part;) {
		char *next = strchr(part, '|');

		if (next)
			*next++ = '\0';
		if (part[0] == '-') {
			part[strcspn(part, "=")] = '\0';
			drop_line(text, part + 1);
		} else {
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n", part);
		}
		part = next;
	}
	err = load_text(&config, &report, text);
	if ((err == ERR_NONE) != (verdict[0] == 'o')) {
		print_message("%s: the original says %s\n", shown, verdict);
		print_findings(&report);
	}
	assert_int_equal(err == ERR_NONE, verdict[0] == 'o');
	config_report_deinit(&report);
	if (err == ERR_NONE)
		broker_config_deinit(&config);
}

static void test_same_verdict_as_the_original(void **state)
{
	FILE *file = fopen(values_path, "r");
	char line[1024];
	int n = 0;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\t')
			continue;
		check_line(line);
		n++;
	}
	assert_true(n > 190);
	fclose(file);
}

/* The file that the original's 4.3 distribution carries, its settings in its order. */
static const char stock_file[] =
	"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n"
	"listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n"
	"advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
	"controller.listener.names=CONTROLLER\n"
	"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_"
	"PLAINTEXT,"
	"SASL_SSL:SASL_SSL\n"
	"num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer."
	"bytes=102400\n"
	"socket.request.max.bytes=104857600\nlog.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\n"
	"num.recovery.threads.per.data.dir=2\noffsets.topic.replication.factor=1\n"
	"share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n"
	"transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n#log.flush.interval."
	"messages=10000\n"
	"log.retention.hours=168\n#log.retention.bytes=1073741824\nlog.segment.bytes=1073741824\n"
	"log.retention.check.interval.ms=300000\n";

static void test_stock_file_is_taken_without_a_word(void **state)
{
	struct broker_config config;
	struct config_report report = {0};

	(void)state;
	assert_int_equal(load_text(&config, &report, stock_file), ERR_NONE);
	print_findings(&report);
	assert_int_equal(report.findings.n, 0);
	assert_true(config.eff.is_broker && config.eff.is_controller);
	assert_int_equal(config.eff.node_id, 1);
	assert_int_equal(config.eff.log_dirs.n, 1);
	assert_str(config.eff.log_dirs.v[0], "/tmp/kraft-combined-logs");
	assert_str(config.eff.metadata_log_dir, "/tmp/kraft-combined-logs");
	assert_int_equal(config.eff.bootstrap_servers.n, 1);
	assert_str(config.eff.bootstrap_servers.v[0].host, "localhost");
	assert_int_equal(config.eff.bootstrap_servers.v[0].port, 9093);
	assert_true(config.eff.offsets_topic.is_given);
	assert_int_equal(config.log_segment_bytes, 1073741824);
	assert_int_equal(config.connections_max_idle_ms, 600000);
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

static void test_sample_file_is_taken(void **state)
{
	FILE *file = fopen(sample_path, "r");
	char *text = calloc(1, 1 << 20);
	struct broker_config config;
	struct config_report report = {0};

	(void)state;
	assert_non_null(file);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 1000);
	fclose(file);
	assert_int_equal(load_text(&config, &report, text), ERR_NONE);
	assert_int_equal(report.findings.n, 0);
	config_report_deinit(&report);
	broker_config_deinit(&config);
	free(text);
}

static void test_findings(void **state)
{
	static const struct {
		const char *more, *code, *key, *part;
		enum err err;
	} cases[] = {
		{"zookeeper.connect=localhost:2181\n", "ML1100", "zookeeper.connect",
		 "keeps its own metadata", ERR_NONE},
		{"inter.broker.protocol.version=3.5\n", "ML1100", "inter.broker.protocol.version", "Remove",
		 ERR_NONE},
		{"quota.producer.default=1000\n", "ML1100", "quota.producer.default", "no limit", ERR_NONE},
		{"log.retention.hour=1\n", "ML1101", "log.retention.hour",
		 "Did you mean log.retention.hours?", ERR_NONE},
		{"log.retention.hour=1\nconfig.strict=true\n", "ML1101", "log.retention.hour", "Did you mean",
		 ERR_BAD_CONFIG},
		{"confluent.something.else=1\n", "ML1101", "confluent.something.else", "ignored", ERR_NONE},
		{"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n", "ML1102",
		 "authorizer.class.name", "every client could do everything", ERR_BAD_CONFIG},
		{"client.quota.callback.class=x.Y\n", "ML1102", "client.quota.callback.class", "unlimited",
		 ERR_BAD_CONFIG},
		{"remote.log.storage.system.enable=true\n", "ML1102", "remote.log.storage.system.enable",
		 "not built in", ERR_BAD_CONFIG},
		{"config.providers=file\n", "ML1112", "config.providers", "class is missing", ERR_BAD_CONFIG},
		{"create.topic.policy.class.name=x.Y\n", "ML1102", "create.topic.policy.class.name", "Java",
		 ERR_BAD_CONFIG},
		{"io.backend=uring\n", "ML1103", "io.backend", "one of: auto, posix", ERR_BAD_CONFIG},
		{"num.partitions=0\n", "ML1103", "num.partitions", "Value must be at least 1",
		 ERR_BAD_CONFIG},
		{"controller.quorum.voters=1@x\n", "ML1103", "controller.quorum.voters", "id@host:port",
		 ERR_BAD_CONFIG},
		{"broker.id=2\n", "ML1105", "broker.id", "same setting", ERR_BAD_CONFIG},
		{"log.retention.ms=0\n", "ML1105", "log.retention.ms", "everything at once", ERR_BAD_CONFIG},
		{"broker.heartbeat.interval.ms=8000\n", "ML1105", "broker.heartbeat.interval.ms", "fences",
		 ERR_NONE},
		{"num.io.threads=16\n", "ML1109", "num.io.threads", "no effect here", ERR_NONE},
		{"unclean.leader.election.enable=true\n", "ML1109", "unclean.leader.election.enable",
		 "no effect yet", ERR_NONE},
		{"rsm.config.x=1\n", "ML1109", "rsm.config.x", "Java class", ERR_NONE},
		{"leader.replication.throttled.rate=5\n", "ML1101", "leader.replication.throttled.rate",
		 "while the broker runs", ERR_NONE},
		{"listener.name.plaintext.segment.bytes=5\n", "ML1101",
		 "listener.name.plaintext.segment.bytes", "one listener", ERR_NONE},
		{"listener.name.plaintext.max.connections=-5\n", "ML1103",
		 "listener.name.plaintext.max.connections", "at least 0", ERR_BAD_CONFIG},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct broker_config config;
		struct config_report report = {0};
		char text[2048];
		const struct config_finding *finding;
		enum err err;

		snprintf(text, sizeof(text), STOCK "%s", cases[i].more);
		err = load_text(&config, &report, text);
		finding = find_finding(&report, cases[i].code, cases[i].key);
		if (err != cases[i].err || !finding) {
			print_message("%s", cases[i].more);
			print_findings(&report);
		}
		assert_int_equal(err, cases[i].err);
		assert_non_null(finding);
		assert_non_null(
			memmem(finding->text.p, finding->text.len, cases[i].part, strlen(cases[i].part)));
		assert_non_null(memmem(finding->where.p, finding->where.len, "server.properties:", 18));
		if (err == ERR_NONE)
			broker_config_deinit(&config);
		config_report_deinit(&report);
	}
}

static void test_all_mistakes_at_once(void **state)
{
	struct broker_config config;
	struct config_report report = {0};

	(void)state;
	assert_int_equal(load_text(&config, &report, "num.partitions=0\nnum.io.threads=x\nlsiteners=a\n"),
			 ERR_BAD_CONFIG);
	assert_non_null(find_finding(&report, "ML1103", "num.partitions"));
	assert_non_null(find_finding(&report, "ML1103", "num.io.threads"));
	assert_non_null(find_finding(&report, "ML1101", "lsiteners"));
	assert_non_null(find_finding(&report, "ML1104", "process.roles"));
	assert_non_null(find_finding(&report, "ML1104", "node.id"));
	assert_non_null(find_finding(&report, "ML1104", "controller.listener.names"));
	config_report_deinit(&report);
}

static void test_internal_topics(void **state)
{
	struct broker_config config;
	struct config_report report = {0};
	char text[32];
	struct fmt f;

	(void)state;
	assert_int_equal(load_text(&config, &report, STOCK "transaction.state.log.replication.factor=2\n"),
			 ERR_NONE);
	assert_false(config.eff.offsets_topic.is_given);
	assert_int_equal(config.eff.offsets_topic.replication_factor, 1);
	assert_int_equal(internal_topic_copies(&config.eff.offsets_topic, 1), 1);
	assert_int_equal(internal_topic_copies(&config.eff.offsets_topic, 2), 2);
	assert_int_equal(internal_topic_copies(&config.eff.offsets_topic, 9), 3);
	assert_int_equal(internal_topic_copies(&config.eff.transaction_topic, 1), 2);
	assert_int_equal(config.eff.transaction_topic.min_isr, 1);
	fmt_init(&f, text, sizeof(text));
	broker_config_format(&config, SETTING_OFFSETS_TOPIC_REPLICATION_FACTOR, &f);
	assert_string_equal(text, "1");
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

static void test_sources_and_secrets(void **state)
{
	const char *env[] = {"KAFKA_NUM_PARTITIONS=6", "KAFKA_LOG_DIRS=/a,/b", NULL};
	struct str overrides[] = {STR("log.dirs=/c , /d,/c"), STR("ssl.key.password=hunter2")};
	struct config_source source = {
		STR("f"),
		str_bytes(STR(STOCK "num.partitions=3\nmax.connections.per.ip.overrides="
				    "10.0.0.1:5, [::1]:6,host:7\n")),
		env, overrides, 2};
	struct broker_config config;
	struct config_report report = {0};
	char text[256];
	struct fmt f;

	(void)state;
	assert_int_equal(broker_config_load(&config, &report, &source), ERR_NONE);
	assert_int_equal(config.num_partitions, 6);
	assert_int_equal(config.eff.log_dirs.n, 2);
	assert_str(config.eff.log_dirs.v[1], "/d");
	fmt_init(&f, text, sizeof(text));
	broker_config_format_origin(&config, SETTING_NUM_PARTITIONS, &f);
	fmt_add(&f, " ");
	broker_config_format_origin(&config, SETTING_LOG_DIRS, &f);
	fmt_add(&f, " ");
	broker_config_format_origin(&config, SETTING_NODE_ID, &f);
	fmt_add(&f, " ");
	broker_config_format_origin(&config, SETTING_MESSAGE_MAX_BYTES, &f);
	assert_string_equal(text, "KAFKA_NUM_PARTITIONS --override f:2 default");
	fmt_init(&f, text, sizeof(text));
	broker_config_format(&config, SETTING_SSL_KEY_PASSWORD, &f);
	assert_string_equal(text, "[hidden]");
	for (size_t i = 0; i < report.findings.n; i++)
		assert_null(memmem(report.findings.v[i].text.p, report.findings.v[i].text.len, "hunter2", 7));
	assert_int_equal(broker_config_ip_limit(&config, STR("10.0.0.1")), 5);
	assert_int_equal(broker_config_ip_limit(&config, STR("::1")), 6);
	assert_int_equal(broker_config_ip_limit(&config, STR("host")), 7);
	assert_int_equal(broker_config_ip_limit(&config, STR("10.0.0.2")), INT32_MAX);
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

static void test_container_environment(void **state)
{
	const char *env[] = {"KAFKA_NODE_ID=1",
			     "KAFKA_PROCESS_ROLES=broker,controller",
			     "KAFKA_LISTENERS=PLAINTEXT://:9092,CONTROLLER://:9093",
			     "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092",
			     "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
			     "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
			     "KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9093",
			     "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
			     "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0",
			     "KAFKA_HEAP_OPTS=-Xmx1g",
			     "PATH=/bin",
			     NULL};
	struct config_source source = {.env = env};
	struct broker_config config;
	struct config_report report = {0};

	(void)state;
	assert_int_equal(broker_config_load(&config, &report, &source), ERR_NONE);
	assert_int_equal(config.eff.voters.v[0].id, 1);
	assert_int_equal(config.group_initial_rebalance_delay_ms, 0);
	for (size_t i = 0; i < report.findings.n; i++)
		assert_int_equal(report.findings.v[i].severity, CONFIG_INFO);
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

static void test_own_settings(void **state)
{
	struct broker_config config;
	struct config_report report = {0};

	(void)state;
	assert_int_equal(
		load_text(&config, &report, STOCK "durability=synced\nio.backend=posix\nreactors=3\n"),
		ERR_NONE);
	assert_int_equal(config.eff.durability, DURABILITY_SYNCED);
	assert_int_equal(config.eff.io_backend, IO_BACKEND_POSIX);
	assert_int_equal(config.reactors, 3);
	config_report_deinit(&report);
	broker_config_deinit(&config);
}

static void test_hostile_files(void **state)
{
	static const char *const words[] = {"listeners",
					    "=",
					    ",",
					    "://",
					    ":9092",
					    "\n",
					    "PLAINTEXT",
					    "advertised.listeners",
					    "[::1]",
					    "controller.quorum.voters",
					    "1@",
					    "-1",
					    "log.dirs",
					    "/",
					    "\\",
					    "\\u",
					    "process.roles=broker,controller\n",
					    "node.id=1\n",
					    "99999999999",
					    "controller.listener.names=CONTROLLER\n",
					    "CONTROLLER://:9093",
					    " ",
					    "*",
					    "0.0.0.0",
					    "listener.security.protocol.map",
					    "max.connections.per.ip.overrides",
					    "listener.name.a.max.connections"};
	uint32_t x = 99;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct broker_config config;
		struct config_report report = {0};
		char text[1200] = "";

		if (round % 2)
			strcat(text, STOCK);
		for (int i = 0; i < 20; i++) {
			x = x * 1664525u + 1013904223u;
			strcat(text, words[(x >> 16) % ARRAY_N(words)]);
		}
		if (load_text(&config, &report, text) == ERR_NONE)
			broker_config_deinit(&config);
		config_report_deinit(&report);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_verdict_as_the_original),
		cmocka_unit_test(test_stock_file_is_taken_without_a_word),
		cmocka_unit_test(test_sample_file_is_taken),
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_all_mistakes_at_once),
		cmocka_unit_test(test_internal_topics),
		cmocka_unit_test(test_sources_and_secrets),
		cmocka_unit_test(test_container_environment),
		cmocka_unit_test(test_own_settings),
		cmocka_unit_test(test_hostile_files),
	};

	if (argc != 3)
		return 2;
	values_path = argv[1];
	sample_path = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
