/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of groups and of subscriptions for metrics: the original's answers, bounds, what is stored badly. */
#include "client_metrics_config.h"
#include "config_test.h"
#include "group_config.h"

static const char *values_path;

static void load(struct broker_config *config, const char *more)
{
	struct config_report report = {0};
	char text[2048];

	snprintf(text, sizeof(text), STOCK "%s", more);
	assert_int_equal(load_text(config, &report, text), ERR_NONE);
	config_report_deinit(&report);
}

static bool check_line(const struct broker_config *config, char *line)
{
	struct config_entry entries[4];
	struct err_text text = {"ok"};
	struct config_layer layer = {entries, 0};
	char *fields[12] = {NULL};
	const char *name;
	size_t n = 0;
	enum err err;

	for (char *p = line; p && n < ARRAY_N(fields); n++) {
		fields[n] = p;
		p = strchr(p, '\t');
		if (p)
			*p++ = '\0';
	}
	for (size_t i = 3; i + 1 < n; i += 2)
		entries[layer.n++] = (struct config_entry){str_of(fields[i]), str_of(fields[i + 1])};
	err = strcmp(fields[0], "group") == 0 ? group_config_check(config, layer, &text)
					      : client_metrics_config_check(STR("m"), layer, &text);
	name = err == ERR_NONE		    ? "ok"
	       : err == ERR_INVALID_REQUEST ? "INVALID_REQUEST"
	       : err == ERR_INVALID_CONFIG  ? "INVALID_CONFIG"
					    : "other";
	if (strcmp(name, fields[1]) == 0 && strcmp(text.text, fields[2]) == 0)
		return true;
	print_message("%s=%s\n  expected: %s %s\n  got:      %s %s\n", fields[3], fields[4], fields[1], fields[2], name,
		      text.text);
	return false;
}

static void test_answers_of_the_original(void **state)
{
	FILE *file = fopen(values_path, "r");
	struct broker_config config;
	struct err_text text;
	char line[2048];
	int n = 0, bad = 0;

	(void)state;
	assert_non_null(file);
	load(&config, "");
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		bad += !check_line(&config, line);
		n++;
	}
	fclose(file);
	assert_true(n > 60);
	assert_int_equal(bad, 0);
	assert_int_equal(client_metrics_config_check(STR(""), (struct config_layer){NULL, 0}, &text),
			 ERR_INVALID_REQUEST);
	assert_string_equal(text.text, "Subscription name can't be empty");
	broker_config_deinit(&config);
}

static void test_group_layers_and_bounds(void **state)
{
	const struct config_entry entries[] = {
		{STR("consumer.session.timeout.ms"), STR("9000000")},
		{STR("consumer.heartbeat.interval.ms"), STR("no")},
		{STR("share.session.timeout.ms"), STR("50000")},
		{STR("unheard.of"), STR("1")},
	};
	struct broker_config config;
	struct group_config base, group;

	(void)state;
	load(&config, "group.consumer.heartbeat.interval.ms=6000\n");
	group_config_base(&base, &config);
	assert_int_equal(base.consumer_heartbeat_interval_ms, 6000);
	assert_int_equal(base.consumer_session_timeout_ms, 45000);
	assert_str(base.share_auto_offset_reset, "latest");
	assert_int_equal(base.source[(int)GROUP_SETTING_CONSUMER_HEARTBEAT_INTERVAL_MS - GROUP_SETTING_FIRST],
			 SETTING_SOURCE_STATIC);
	group_config_build(&group, &config, &base, (struct config_layer){entries, ARRAY_N(entries)});
	assert_int_equal(group.consumer_session_timeout_ms, 60000);
	assert_int_equal(group.consumer_heartbeat_interval_ms, 6000);
	assert_int_equal(group.share_session_timeout_ms, 50000);
	assert_int_equal(group.source[(int)GROUP_SETTING_SHARE_SESSION_TIMEOUT_MS - GROUP_SETTING_FIRST],
			 SETTING_SOURCE_GROUP);
	broker_config_deinit(&config);
}

static void test_session_outlasts_heartbeat(void **state)
{
	const struct config_entry entries[] = {{STR("consumer.session.timeout.ms"), STR("6000")},
					       {STR("consumer.heartbeat.interval.ms"), STR("6000")}};
	struct config_layer layer = {entries, ARRAY_N(entries)};
	struct broker_config config;
	struct group_config base, group;
	struct err_text text;

	(void)state;
	load(&config, "group.consumer.min.session.timeout.ms=1000\n");
	assert_int_equal(group_config_check(&config, layer, &text), ERR_INVALID_CONFIG);
	assert_string_equal(text.text,
			    "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms");
	group_config_base(&base, &config);
	group_config_build(&group, &config, &base, layer);
	assert_int_equal(group.consumer_session_timeout_ms, 45000);
	assert_int_equal(group.consumer_heartbeat_interval_ms, 5000);
	broker_config_deinit(&config);
}

static void test_subscription(void **state)
{
	const struct config_entry entries[] = {
		{STR("interval.ms"), STR("99")},
		{STR("metrics"), STR("a.,b")},
		{STR("match"), STR("client_id=x.*, client_source_port=[1-9]+")},
	};
	struct client_metrics_config config;
	struct setting_list_pos pos = {0};
	enum client_metrics_label label;
	struct str item, pattern;

	(void)state;
	client_metrics_config_build(&config, (struct config_layer){NULL, 0});
	assert_int_equal(config.interval_ms, 300000);
	assert_int_equal(config.metrics.len, 0);
	client_metrics_config_build(&config, (struct config_layer){entries, ARRAY_N(entries)});
	assert_int_equal(config.interval_ms, 300000);
	assert_str(config.metrics, "a.,b");
	assert_true(setting_list_next(config.match, &pos, &item));
	assert_true(client_metrics_match_parse(item, &label, &pattern));
	assert_int_equal(label, CLIENT_METRICS_LABEL_ID);
	assert_str(pattern, "x.*");
	assert_true(setting_list_next(config.match, &pos, &item));
	assert_true(client_metrics_match_parse(item, &label, &pattern));
	assert_int_equal(label, CLIENT_METRICS_LABEL_SOURCE_PORT);
	assert_false(setting_list_next(config.match, &pos, &item));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_of_the_original),
		cmocka_unit_test(test_group_layers_and_bounds),
		cmocka_unit_test(test_session_outlasts_heartbeat),
		cmocka_unit_test(test_subscription),
	};

	values_path = argc > 1 ? argv[1] : "";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
