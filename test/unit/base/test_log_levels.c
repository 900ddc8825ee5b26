/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of loggers: inheritance, the original's words, and what they let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log_levels.h"

static struct log_levels levels;

static const char *level_of(const char *name)
{
	size_t i;

	assert_true(log_levels_find(&levels, str_of(name), &i));
	return log_levels_text(&levels, i).p;
}

static void set(const char *name, const char *level)
{
	struct err_text text;

	assert_int_equal(log_levels_set(&levels, str_of(name), level ? str_of(level) : STR_NULL, &text), ERR_NONE);
}

static void test_levels_are_inherited(void **state)
{
	struct err_text text;

	(void)state;
	log_levels_init(&levels, LOG_INFO);
	assert_string_equal(level_of("root"), "INFO");
	assert_string_equal(level_of("kafka.controller"), "INFO");
	assert_int_equal(log_levels_add_all(&levels, STR("kafka=WARN,kafka.server=debug,,a.b=FATAL"), &text), ERR_NONE);
	assert_string_equal(level_of("kafka.controller"), "WARN");
	assert_string_equal(level_of("kafka.server.KafkaApis"), "DEBUG");
	assert_string_equal(level_of("a.b"), "FATAL");
	assert_string_equal(level_of("state.change.logger"), "INFO");
	set("root", "ERROR");
	assert_string_equal(level_of("state.change.logger"), "ERROR");
	set("kafka.server.KafkaApis", "TRACE");
	assert_int_equal(levels.least, LOG_TRACE);
	set("kafka.server.KafkaApis", NULL);
	assert_string_equal(level_of("kafka.server.KafkaApis"), "DEBUG");
	assert_int_equal(levels.least, LOG_DEBUG);
	assert_int_equal(log_levels_add_all(&levels, STR("x,kafka=INFO,y=LOUD"), &text), ERR_INVALID_CONFIG);
	assert_string_equal(level_of("kafka.controller"), "INFO");
}

/* What the original said. */
static void test_refusals(void **state)
{
	static const struct {
		const char *name, *level;
		enum err err;
		const char *text;
	} rows[] = {
		{"kafka.server.KafkaApis", "DEBUG", ERR_NONE, NULL},
		{"kafka.server.KafkaApis", "FATAL", ERR_NONE, NULL},
		{"kafka.server.KafkaApis", NULL, ERR_NONE, NULL},
		{"root", "INFO", ERR_NONE, NULL},
		{"kafka.server.KafkaApis", "debug", ERR_INVALID_CONFIG,
		 "Cannot set the log level of kafka.server.KafkaApis to debug as it is not a supported log level. "
		 "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{"kafka.server.KafkaApis", "OFF", ERR_INVALID_CONFIG,
		 "Cannot set the log level of kafka.server.KafkaApis to OFF as it is not a supported log level. Valid "
		 "log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{"kafka.server.KafkaApis", "", ERR_INVALID_CONFIG,
		 "Cannot set the log level of kafka.server.KafkaApis to  as it is not a supported log level. Valid "
		 "log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{"no.such.logger", "DEBUG", ERR_INVALID_CONFIG, "Logger no.such.logger does not exist!"},
		{"no.such.logger", NULL, ERR_INVALID_CONFIG, "Logger no.such.logger does not exist!"},
		{"kafka.server", "INFO", ERR_INVALID_CONFIG, "Logger kafka.server does not exist!"},
		{"", "INFO", ERR_INVALID_CONFIG, "Logger  does not exist!"},
		{"root", NULL, ERR_INVALID_REQUEST, "Removing the log level of the root logger is not allowed"},
	};
	struct err_text text;

	(void)state;
	log_levels_init(&levels, LOG_INFO);
	for (size_t i = 0; i < ARRAY_N(rows); i++) {
		struct str level = rows[i].level ? str_of(rows[i].level) : STR_NULL;

		assert_int_equal(log_levels_check(&levels, str_of(rows[i].name), level, &text), rows[i].err);
		if (rows[i].text)
			assert_string_equal(text.text, rows[i].text);
	}
}

static int lines_n;

static void count_line(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	(void)sink;
	(void)level;
	(void)event;
	(void)text;
	lines_n++;
}

static void test_events_pass_by_logger(void **state)
{
	struct log_sink sink = {.level = LOG_INFO, .levels = &levels, .write = count_line};
	struct log_sink *before = log_sink_set(&sink);
	size_t i;

	(void)state;
	log_levels_init(&levels, LOG_WARN);
	assert_ptr_equal(log_levels_current(), &levels);
	log_info("conn.close", "x=1");
	assert_int_equal(lines_n, 0);
	set("kafka.network.SocketServer", "DEBUG");
	log_debug("conn.close", "x=1");
	log_info("server.start", "x=1");
	assert_int_equal(lines_n, 1);
	log_warn("unheard.of", "x=1");
	assert_int_equal(lines_n, 2);
	set("root", "FATAL");
	log_error("unheard.of", "x=1");
	assert_int_equal(lines_n, 2);
	assert_true(log_levels_find(&levels, STR("kafka.log.LogManager"), &i));
	assert_int_equal(log_levels_of_event(&levels, "log_dir.full"), i);
	assert_int_equal(log_levels_of_event(&levels, "nothing"), 0);
	log_sink_set(before);
	assert_null(log_levels_current());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels_are_inherited),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_events_pass_by_logger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
