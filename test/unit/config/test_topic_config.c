/* SPDX-License-Identifier: Apache-2.0 */
/* Topic settings: the original's answers (topic_values.tsv), and which layer wins. */
#include "config_test.h"
#include "topic_config.h"

static const char *values_path;

struct fixture {
	struct broker_config broker;
	struct config_report report;
	struct topic_config base;
};

static void set_up(struct fixture *f, const char *more, struct config_layer dynamic_default,
		   struct config_layer dynamic_broker)
{
	char text[2048];

	memset(f, 0, sizeof(*f));
	snprintf(text, sizeof(text), STOCK "%s", more);
	assert_int_equal(load_text(&f->broker, &f->report, text), ERR_NONE);
	topic_config_base(&f->base,
			  &(struct topic_config_layers){&f->broker, dynamic_default, dynamic_broker});
}

static void tear_down(struct fixture *f)
{
	config_report_deinit(&f->report);
	broker_config_deinit(&f->broker);
}

/* "a=1|b=2" into entries. */
static size_t split(char *text, struct config_entry *ret)
{
	size_t n = 0;

	for (char *part = text; part; n++) {
		char *next = strchr(part, '|');
		char *equals = strchr(part, '=');

		assert_non_null(equals);
		if (next)
			*next++ = '\0';
		*equals = '\0';
		ret[n] = (struct config_entry){str_of(part), str_of(equals + 1)};
		part = next;
	}
	return n;
}

static void check_line(const struct fixture *f, char *line)
{
	struct config_entry entries[4];
	char *answer = strchr(line, '\t');
	struct err_text text;
	struct topic_config config;
	char shown[512];
	struct fmt out;
	size_t n;
	enum err err;

	*answer++ = '\0';
	n = split(line, entries);
	err = topic_config_check(&f->base, (struct config_layer){entries, n}, &text);
	if (answer[0] == 'E') {
		assert_int_equal(err, ERR_INVALID_CONFIG);
		assert_string_equal(text.text, answer + 2);
		if (n == 1) {
			assert_int_equal(
				topic_config_check_override(entries[0].name, entries[0].value, &text),
				ERR_INVALID_CONFIG);
			assert_string_equal(text.text, answer + 2);
		}
		return;
	}
	assert_int_equal(err, ERR_NONE);
	topic_config_build(&config, &f->base, (struct config_layer){entries, n});
	fmt_init(&out, shown, sizeof(shown));
	fmt_add(&out, "ok");
	for (size_t i = 0; i < n; i++) {
		fmt_add(&out, " ");
		topic_config_format(&config,
				    setting_id(setting_find_in(SETTING_FAMILY_TOPIC, entries[i].name)), &out);
	}
	assert_string_equal(shown, answer);
}

static void test_same_words_as_the_original(void **state)
{
	FILE *file = fopen(values_path, "r");
	char line[1024];
	struct fixture f;
	int n = 0;

	(void)state;
	assert_non_null(file);
	set_up(&f, "", (struct config_layer){0}, (struct config_layer){0});
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		check_line(&f, line);
		n++;
	}
	assert_true(n > 100);
	fclose(file);
	tear_down(&f);
}

static void test_defaults_are_the_tables(void **state)
{
	struct fixture f;
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_TOPIC, &n);

	(void)state;
	set_up(&f, "", (struct config_layer){0}, (struct config_layer){0});
	for (size_t i = 0; i < n; i++) {
		char text[128];
		struct fmt out;

		fmt_init(&out, text, sizeof(text));
		topic_config_format(&f.base, setting_id(&defs[i]), &out);
		assert_string_equal(text, defs[i].default_text ? defs[i].default_text : "");
		assert_int_equal(f.base.source[i], SETTING_SOURCE_DEFAULT);
	}
	assert_int_equal(f.base.eff.compression, TOPIC_COMPRESSION_PRODUCER);
	assert_true(f.base.eff.is_deleted);
	assert_false(f.base.eff.is_compacted);
	assert_int_equal(f.base.eff.segment_bytes, 1073741824);
	tear_down(&f);
}

#define SOURCE(config, key) ((config).source[TOPIC_SETTING_##key - TOPIC_SETTING_FIRST])

static void test_layers_override_in_order(void **state)
{
	struct config_entry everywhere[] = {{STR("log.segment.bytes"), STR("3000000")},
					    {STR("message.max.bytes"), STR("3000")},
					    {STR("log.retention.ms"), STR("3")},
					    {STR("min.insync.replicas"), STR("0")}};
	struct config_entry here[] = {{STR("log.segment.bytes"), STR("4000000")}};
	struct config_entry own[] = {{STR("segment.bytes"), STR("5000000")},
				     {STR("cleanup.policy"), STR("compact")}};
	struct fixture f;
	struct topic_config config;

	(void)state;
	set_up(&f,
	       "log.segment.bytes=2000000\nlog.retention.hours=2\nlog.roll.hours=1\nlog.message.timestamp."
	       "type=LogAppendTime\n"
	       "compression.type=zstd\nlog.cleanup.policy=compact,delete\n",
	       (struct config_layer){everywhere, 4}, (struct config_layer){here, 1});
	assert_int_equal(f.base.segment_bytes, 4000000);
	assert_int_equal(SOURCE(f.base, SEGMENT_BYTES), SETTING_SOURCE_DYNAMIC_BROKER);
	assert_int_equal(f.base.max_message_bytes, 3000);
	assert_int_equal(SOURCE(f.base, MAX_MESSAGE_BYTES), SETTING_SOURCE_DYNAMIC_DEFAULT);
	assert_int_equal(f.base.retention_ms, 3);
	assert_int_equal(f.base.segment_ms, 3600000);
	assert_int_equal(SOURCE(f.base, SEGMENT_MS), SETTING_SOURCE_STATIC);
	assert_int_equal(f.base.min_insync_replicas, 1); /* 0 does not pass, the next layer counts */
	assert_true(f.base.eff.is_log_append_time);
	assert_int_equal(f.base.eff.compression, TOPIC_COMPRESSION_ZSTD);
	assert_true(f.base.eff.is_compacted && f.base.eff.is_deleted);
	topic_config_build(&config, &f.base, (struct config_layer){own, 2});
	assert_int_equal(config.segment_bytes, 5000000);
	assert_int_equal(SOURCE(config, SEGMENT_BYTES), SETTING_SOURCE_TOPIC);
	assert_true(config.eff.is_compacted && !config.eff.is_deleted);
	assert_int_equal(config.eff.segment_bytes, 5000000);
	tear_down(&f);
}

static void test_finer_units_win(void **state)
{
	static const struct {
		const char *more;
		int64_t retention_ms;
	} cases[] = {
		{"log.retention.hours=1\n", 3600000},
		{"log.retention.hours=1\nlog.retention.minutes=2\n", 120000},
		{"log.retention.ms=7\nlog.retention.hours=1\nlog.retention.minutes=2\n", 7},
		{"log.retention.hours=-1\n", -1},
		{"log.retention.hours=2147483647\n", INT64_C(7730941129200000)},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct fixture f;

		set_up(&f, cases[i].more, (struct config_layer){0}, (struct config_layer){0});
		assert_int_equal(f.base.retention_ms, cases[i].retention_ms);
		assert_int_equal(f.broker.eff.retention_ms, cases[i].retention_ms);
		tear_down(&f);
	}
}

static void test_internal_segment_bytes(void **state)
{
	struct config_entry own[] = {{STR("internal.segment.bytes"), STR("100")},
				     {STR("retention.ms"), STR_NULL}};
	struct fixture f;
	struct topic_config config;

	(void)state;
	set_up(&f, "", (struct config_layer){0}, (struct config_layer){0});
	assert_true(topic_config_is_null(&f.base, TOPIC_SETTING_INTERNAL_SEGMENT_BYTES));
	topic_config_build(&config, &f.base, (struct config_layer){own, 2});
	assert_false(topic_config_is_null(&config, TOPIC_SETTING_INTERNAL_SEGMENT_BYTES));
	assert_int_equal(config.eff.segment_bytes, 100);
	assert_int_equal(config.retention_ms, 604800000);
	assert_int_equal(SOURCE(config, RETENTION_MS), SETTING_SOURCE_DEFAULT);
	tear_down(&f);
}

static void test_null_values(void **state)
{
	struct config_entry own[] = {
		{STR("segment.bytes"), STR_NULL}, {STR("nope"), STR("1")}, {STR("x"), STR_NULL}};
	struct fixture f;
	struct err_text text;

	(void)state;
	set_up(&f, "", (struct config_layer){0}, (struct config_layer){0});
	assert_int_equal(topic_config_check(&f.base, (struct config_layer){own, 3}, &text),
			 ERR_INVALID_CONFIG);
	assert_string_equal(text.text, "Null value not supported for topic configs: segment.bytes,x");
	assert_int_equal(topic_config_check_override(own[0].name, own[0].value, &text), ERR_INVALID_CONFIG);
	assert_string_equal(text.text, "Null value not supported for topic configs: segment.bytes");
	tear_down(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_words_as_the_original),
		cmocka_unit_test(test_defaults_are_the_tables),
		cmocka_unit_test(test_layers_override_in_order),
		cmocka_unit_test(test_finer_units_win),
		cmocka_unit_test(test_internal_segment_bytes),
		cmocka_unit_test(test_null_values),
	};

	if (argc != 2)
		return 2;
	values_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
