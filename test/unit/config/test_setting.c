/* SPDX-License-Identifier: Apache-2.0 */
/* Single settings: reading, refusing, printing, suggesting. */
#include "config_test.h"

static const struct setting_def *find(const char *name)
{
	const struct setting_def *def = setting_find(str_of(name));

	assert_non_null(def);
	return def;
}

static void test_defaults_print_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < SETTING_N; i++) {
		const struct setting_def *def = &setting_defs[i];
		struct setting_value value = setting_default(def);
		char text[512];
		struct fmt f;

		fmt_init(&f, text, sizeof(text));
		setting_format(def, &value, &f);
		assert_string_equal(text, def->default_text ? def->default_text : "");
		assert_ptr_equal(setting_find_in(def->family, def->name), def);
		assert_true(def->prose[0] != '\0');
	}
}

static void test_numbers_at_their_limits(void **state)
{
	static const struct {
		const char *key, *value;
		bool is_ok;
	} cases[] = {
		{"node.id", "0", true},
		{"node.id", "2147483647", true},
		{"node.id", "2147483648", false},
		{"node.id", "-1", false},
		{"broker.id", "-2147483648", true},
		{"broker.id", "-2147483649", false},
		{"offsets.topic.replication.factor", "32767", true},
		{"offsets.topic.replication.factor", "32768", false},
		{"log.retention.bytes", "-9223372036854775808", true},
		{"log.retention.bytes", "-9223372036854775809", false},
		{"log.retention.bytes", "9223372036854775807", true},
		{"log.retention.bytes", "9223372036854775808", false},
		{"log.retention.bytes", "+", false},
		{"log.retention.bytes", "", false},
		{"log.retention.bytes", "99999999999999999999999999", false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct setting_value value;
		struct err_text text;
		enum err err = setting_parse(find(cases[i].key), str_of(cases[i].value), &value, &text);

		assert_int_equal(err, cases[i].is_ok ? ERR_NONE : ERR_INVALID_CONFIG);
	}
}

static void test_doubles_print_as_java(void **state)
{
	static const struct {
		double d;
		const char *text;
	} cases[] = {
		{0.5, "0.5"},
		{1, "1.0"},
		{100, "100.0"},
		{1e7, "1.0E7"},
		{12345678.9, "1.23456789E7"},
		{1e-3, "0.001"},
		{9.99e-4, "9.99E-4"},
		{1.7976931348623157E308, "1.7976931348623157E308"},
		{0.1 + 0.2, "0.30000000000000004"},
		{123456, "123456.0"},
		{9999999, "9999999.0"},
		{-0.0, "-0.0"},
		{0.025, "0.025"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		char text[64];
		struct fmt f;

		fmt_init(&f, text, sizeof(text));
		setting_format_double(cases[i].d, &f);
		assert_string_equal(text, cases[i].text);
	}
}

static void test_lists(void **state)
{
	struct setting_list_pos pos = {0};
	struct str item;

	(void)state;
	assert_true(setting_list_next(STR(" a , b,,c "), &pos, &item));
	assert_str(item, "a");
	assert_true(setting_list_next(STR(" a , b,,c "), &pos, &item));
	assert_str(item, "b");
	assert_true(setting_list_next(STR(" a , b,,c "), &pos, &item));
	assert_str(item, "");
	assert_true(setting_list_next(STR(" a , b,,c "), &pos, &item));
	assert_str(item, "c");
	assert_false(setting_list_next(STR(" a , b,,c "), &pos, &item));
	pos = (struct setting_list_pos){0};
	assert_false(setting_list_next(STR("  "), &pos, &item));
	pos = (struct setting_list_pos){0};
	assert_true(setting_list_next(STR(","), &pos, &item));
	assert_true(setting_list_next(STR(","), &pos, &item));
	assert_false(setting_list_next(STR(","), &pos, &item));
}

static void test_wording(void **state)
{
	static const struct {
		const char *key, *value, *text;
	} cases[] = {
		{"log.segment.bytes", "14",
		 "Invalid value 14 for configuration log.segment.bytes: Value must be at least 1048576"},
		{"num.partitions", "x",
		 "Invalid value x for configuration num.partitions: Not a number of type INT"},
		{"offsets.topic.replication.factor", "40000",
		 "Invalid value 40000 for configuration offsets.topic.replication.factor: Not a number of "
		 "type SHORT"},
		{"process.roles", "foo",
		 "Invalid value foo for configuration process.roles: String must be one of: broker, "
		 "controller"},
		{"process.roles", "",
		 "Configuration 'process.roles' must not be empty. Valid values include: [broker, "
		 "controller]"},
		{"log.dirs", "",
		 "Configuration 'log.dirs' must not be empty. Valid values include: any non-empty value"},
		{"log.dirs", "/a,,/b", "Configuration 'log.dirs' values must not be empty."},
		{"durability", "maybe",
		 "Invalid value maybe for configuration durability: String must be one of: page-cache, "
		 "synced"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct setting_value value;
		struct err_text text;

		assert_int_equal(setting_parse(find(cases[i].key), str_of(cases[i].value), &value, &text),
				 ERR_INVALID_CONFIG);
		assert_string_equal(text.text, cases[i].text);
	}
}

static void test_suggestions(void **state)
{
	(void)state;
	assert_str(setting_suggest(SETTING_FAMILY_BROKER, STR("log.retention.hour"))->name,
		   "log.retention.hours");
	assert_str(setting_suggest(SETTING_FAMILY_BROKER, STR("lsiteners"))->name, "listeners");
	assert_str(setting_suggest(SETTING_FAMILY_BROKER, STR("num.partition"))->name, "num.partitions");
	assert_str(setting_suggest(SETTING_FAMILY_TOPIC, STR("retention.mss"))->name, "retention.ms");
	assert_null(setting_suggest(SETTING_FAMILY_BROKER, STR("something.else.altogether")));
	assert_null(setting_suggest(SETTING_FAMILY_BROKER, STR("")));
}

static void test_offset_reset(void **state)
{
	static const struct {
		const char *value;
		bool is_ok;
	} cases[] = {
		{"latest", true},
		{"earliest", true},
		{"by_duration:PT1H", true},
		{"by_duration:P1DT2H3M4.5S", true},
		{"none", false},
		{"by_duration:", false},
		{"by_duration:P", false},
		{"by_duration:PT", false},
		{"by_duration:1H", false},
		{"", false},
	};
	const struct setting_def *def = setting_find_in(SETTING_FAMILY_GROUP, STR("share.auto.offset.reset"));

	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct setting_value value;

		assert_int_equal(setting_parse(def, str_of(cases[i].value), &value, NULL),
				 cases[i].is_ok ? ERR_NONE : ERR_INVALID_CONFIG);
	}
}

static void test_hostile_values(void **state)
{
	struct setting_value value;
	struct err_text text;
	char *big = malloc(SETTING_VALUE_MAX + 2);
	enum err err;

	(void)state;
	memset(big, ',', SETTING_VALUE_MAX + 1);
	for (size_t i = 0; i < SETTING_N; i++) {
		err = setting_parse(&setting_defs[i], (struct str){big, 70000}, &value, &text);
		assert_true(err == ERR_NONE || err == ERR_INVALID_CONFIG);
		assert_int_equal(setting_parse(&setting_defs[i], (struct str){big, SETTING_VALUE_MAX + 1},
					       &value, &text),
				 ERR_INVALID_CONFIG);
	}
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_print_as_written),
		cmocka_unit_test(test_numbers_at_their_limits),
		cmocka_unit_test(test_doubles_print_as_java),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_wording),
		cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_offset_reset),
		cmocka_unit_test(test_hostile_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
