/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic node settings: the original's answers (dynamic_values.tsv), and what holds under both layers. */
#include "config_test.h"
#include "dynamic_config.h"
#include "listeners.h"

static const char *values_path;

#define PEER                                                                                                 \
	"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:21100\n"           \
	"listeners=PLAINTEXT://127.0.0.1:21000,CONTROLLER://127.0.0.1:21100\n"                               \
	"advertised.listeners=PLAINTEXT://127.0.0.1:21000\ncontroller.listener.names=CONTROLLER\n"           \
	"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs=/d\n"

#define LAYER(...)                                                                                           \
	((struct config_layer){(const struct config_entry[]){__VA_ARGS__},                                   \
			       sizeof((const struct config_entry[]){__VA_ARGS__}) / sizeof(struct config_entry)})
#define ENTRY(k, v) {STR(k), STR(v)}

struct fixture {
	struct broker_config fixed;
	struct config_report report;
	struct topic_config_layers layers;
};

static void set_up(struct fixture *f, const char *more)
{
	char text[2048];

	memset(f, 0, sizeof(*f));
	snprintf(text, sizeof(text), PEER "%s", more);
	if (load_text(&f->fixed, &f->report, text) != ERR_NONE) {
		print_findings(&f->report);
		fail();
	}
	f->layers.broker = &f->fixed;
}

static void tear_down(struct fixture *f)
{
	config_report_deinit(&f->report);
	broker_config_deinit(&f->fixed);
}

static bool check_line(const struct fixture *f, char *line)
{
	struct config_entry entries[4];
	struct err_text text = {""};
	char *fields[12];
	size_t n = 0, entries_n = 0;
	enum err err;

	for (char *p = line; p && n < ARRAY_N(fields); n++) {
		fields[n] = p;
		p = strchr(p, '\t');
		if (p)
			*p++ = '\0';
	}
	for (size_t i = 2; i + 1 < n; i += 2)
		entries[entries_n++] = (struct config_entry){str_of(fields[i]), str_of(fields[i + 1])};
	err = dynamic_config_check(&f->layers, fields[0][0] == 'a', (struct config_layer){entries, entries_n}, &text);
	if (err == ERR_NONE)
		err_text_set(&text, ERR_NONE, "ok");
	if (strcmp(text.text, fields[1]) == 0)
		return true;
	print_message("%s %s=%s\n  expected: %s\n  got:      %s\n", fields[0], fields[2], fields[3], fields[1],
			text.text);
	return false;
}

static void test_answers_of_the_original(void **state)
{
	FILE *file = fopen(values_path, "r");
	struct fixture f;
	char line[2048];
	int n = 0, bad = 0;

	(void)state;
	assert_non_null(file);
	set_up(&f, "");
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		bad += !check_line(&f, line);
		n++;
	}
	fclose(file);
	assert_true(n > 500);
	assert_int_equal(bad, 0);
	tear_down(&f);
}

static void test_layers_win_in_order(void **state)
{
	struct broker_config got;
	struct fixture f;

	(void)state;
	set_up(&f, "message.max.bytes=1000\nnum.io.threads=4\nlog.retention.hours=2\n");
	f.layers.dynamic_default = LAYER(ENTRY("message.max.bytes", "2000"), ENTRY("max.connections", "7"),
					 ENTRY("log.retention.ms", "5000"));
	f.layers.dynamic_broker = LAYER(ENTRY("message.max.bytes", "3000"),
					ENTRY("listener.name.plaintext.max.connections", "5"),
					ENTRY("listener.name.plaintext.max.connection.creation.rate", "6"));
	broker_config_with_dynamic(&got, &f.layers, NULL);
	assert_int_equal(got.message_max_bytes, 3000);
	assert_int_equal(got.max_connections, 7);
	assert_int_equal(got.num_io_threads, 4);
	assert_int_equal(got.eff.retention_ms, 5000);
	assert_int_equal(got.origin[SETTING_MESSAGE_MAX_BYTES].kind, CONFIG_ORIGIN_DYNAMIC_BROKER);
	assert_int_equal(got.origin[SETTING_MAX_CONNECTIONS].kind, CONFIG_ORIGIN_DYNAMIC_DEFAULT);
	assert_int_equal(got.origin[SETTING_NUM_IO_THREADS].kind, CONFIG_ORIGIN_FILE);
	assert_int_equal(got.eff.listeners.v[0].max_connections, 5);
	assert_int_equal(got.eff.listeners.v[0].max_connection_creation_rate, 6);
	assert_int_equal(got.eff.listeners.v[1].max_connections, INT32_MAX);
	assert_int_equal(got.eff.listeners.n, f.fixed.eff.listeners.n);
	assert_int_equal(f.fixed.message_max_bytes, 1000);
	/* Nothing of the result is the static config's. */
	assert_true(got.log_dirs.v[0].p != f.fixed.log_dirs.v[0].p);
	tear_down(&f);
	assert_str(got.log_dirs.v[0], "/d");
	assert_str(got.eff.listeners.v[1].name, "CONTROLLER");
	broker_config_deinit(&got);
}

static void test_bad_entries_are_skipped(void **state)
{
	struct config_report report = {0};
	struct broker_config got;
	struct fixture f;

	(void)state;
	set_up(&f, "");
	f.layers.dynamic_default = LAYER(ENTRY("node.id", "7"), ENTRY("message.max.bytes", "many"),
					 ENTRY("listeners", "PLAINTEXT://:1"), ENTRY("max.connections", "9"),
					 ENTRY("ssl.keystore.type", "PEM"), {STR("compression.type"), STR_NULL});
	broker_config_with_dynamic(&got, &f.layers, &report);
	assert_int_equal(got.node_id, 1);
	assert_int_equal(got.message_max_bytes, 1048588);
	assert_int_equal(got.max_connections, 9);
	assert_int_equal(got.eff.listeners.v[0].port, 21000);
	assert_int_equal(report.errors_n, 0);
	broker_config_deinit(&got);
	/* What contradicts itself leaves its layer out, and that is said. */
	f.layers.dynamic_broker = LAYER(ENTRY("log.retention.ms", "0"), ENTRY("message.max.bytes", "5000"));
	broker_config_with_dynamic(&got, &f.layers, &report);
	assert_int_equal(got.message_max_bytes, 1048588);
	assert_int_equal(got.max_connections, 9);
	assert_int_equal(report.errors_n, 1);
	broker_config_deinit(&got);
	config_report_deinit(&report);
	tear_down(&f);
}

static void test_steps_are_measured_from_what_is_in_force(void **state)
{
	struct err_text text;
	struct fixture f;

	(void)state;
	set_up(&f, "");
	f.layers.dynamic_default = LAYER(ENTRY("num.io.threads", "16"));
	assert_int_equal(dynamic_config_check(&f.layers, false, LAYER(ENTRY("num.io.threads", "32")), &text), ERR_NONE);
	assert_int_equal(dynamic_config_check(&f.layers, false, LAYER(ENTRY("num.io.threads", "33")), &text),
			 ERR_INVALID_REQUEST);
	/* Taken away, it falls back to 8, which is half. */
	assert_int_equal(dynamic_config_check(&f.layers, true, LAYER(ENTRY("max.connections", "5")), &text), ERR_NONE);
	tear_down(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_of_the_original),
		cmocka_unit_test(test_layers_win_in_order),
		cmocka_unit_test(test_bad_entries_are_skipped),
		cmocka_unit_test(test_steps_are_measured_from_what_is_in_force),
	};

	values_path = argc > 1 ? argv[1] : "";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
