/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration that `moldau dev` makes up is accepted without a finding, and means what was asked for. */
#include "dev_config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "broker_config.h"

static void load(const char *dir, int port, struct broker_config *ret)
{
	char text[8192];
	struct fmt out;
	struct config_report report = {0};
	struct config_source source = {.file_name = STR("moldau dev")};

	fmt_init(&out, text, sizeof(text));
	assert_int_equal(dev_config_write(dir, port, &out), ERR_NONE);
	source.file_text = str_bytes((struct str){text, out.len});
	if (broker_config_load(ret, &report, &source) != ERR_NONE || report.findings.n != 0)
		fail_msg("%s: %.*s", text, STR_ARGS(report.findings.v[0].text));
	config_report_deinit(&report);
}

static void test_ports(void **state)
{
	static const int ports[][3] = {
		{9092, 9092, 9093}, {0, 0, 0}, {1, 1, 2}, {65534, 65534, 65535}, {65535, 65535, 0}};

	for (size_t i = 0; i < ARRAY_N(ports); i++) {
		struct broker_config config;

		load("/data", ports[i][0], &config);
		assert_true(config.eff.is_broker);
		assert_true(config.eff.is_controller);
		assert_int_equal(config.eff.node_id, 1);
		assert_int_equal(config.eff.listeners.n, 2);
		assert_int_equal(config.eff.listeners.v[0].port, ports[i][1]);
		assert_false(config.eff.listeners.v[0].is_controller);
		assert_true(str_eq_c(config.eff.listeners.v[0].host, "localhost"));
		assert_int_equal(config.eff.listeners.v[1].port, ports[i][2]);
		assert_true(config.eff.listeners.v[1].is_controller);
		broker_config_deinit(&config);
	}
}

static void test_directories(void **state)
{
	static const char *const names[] = {
		"/.moldau", "/srv/a b", "/back\\slash", "/a=b:c#d!e", "/\xc3\xa4", "/tab\tin",
		"/line\nin", "/#hash", "/\\u0041"};

	for (size_t i = 0; i < ARRAY_N(names); i++) {
		struct broker_config config;
		struct str want = setting_trim(str_of(names[i])); /* elements of lists lose blanks, as in Kafka */

		load(names[i], 9092, &config);
		assert_int_equal(config.eff.log_dirs.n, 1);
		if (!str_eq(config.eff.log_dirs.v[0], want))
			fail_msg("%s became %.*s", names[i], STR_ARGS(config.eff.log_dirs.v[0]));
		broker_config_deinit(&config);
	}
}

static void test_refused(void **state)
{
	char text[600], name[600];
	struct fmt out;

	fmt_init(&out, text, sizeof(text));
	assert_int_equal(dev_config_write("a,b", 9092, &out), ERR_INVALID_TEXT);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	fmt_init(&out, text, sizeof(text));
	assert_int_equal(dev_config_write(name, 9092, &out), ERR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
