/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines in every format, and which one is chosen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "log_format.h"

#define LOGGER STR("kafka.network.SocketServer")

static const char *line(enum log_format format, enum log_level level, const char *text)
{
	static char buf[200];
	struct timespec now = {.tv_sec = 1763737358, .tv_nsec = 65000000};
	struct fmt out;

	setenv("TZ", "UTC", 1);
	fmt_init(&out, buf, sizeof(buf));
	log_format_line(format, &now, level, LOGGER, "conn.refused", text, &out);
	return buf;
}

static void test_formats(void **state)
{
	(void)state;
	assert_string_equal(line(LOG_FORMAT_LOGFMT, LOG_INFO, "peer=1"),
			    "2025-11-21T15:02:38.065Z INFO  conn.refused peer=1");
	assert_string_equal(line(LOG_FORMAT_KAFKA, LOG_WARN, "peer=1"),
			    "[2025-11-21 15:02:38,065] WARN conn.refused peer=1 (kafka.network.SocketServer)");
	assert_string_equal(line(LOG_FORMAT_KAFKA, LOG_INFO, "text=\"Kafka Server started\""),
			    "[2025-11-21 15:02:38,065] INFO Kafka Server started (kafka.network.SocketServer)");
	assert_string_equal(line(LOG_FORMAT_KAFKA, LOG_INFO, "text=\"a\" b=\"c\""),
			    "[2025-11-21 15:02:38,065] INFO conn.refused text=\"a\" b=\"c\" "
			    "(kafka.network.SocketServer)");
	assert_string_equal(line(LOG_FORMAT_JSON, LOG_ERROR, "name=\"a\\b\""),
			    "{\"time\":\"2025-11-21T15:02:38.065Z\",\"level\":\"ERROR\",\"logger\":"
			    "\"kafka.network.SocketServer\",\"event\":\"conn.refused\",\"message\":"
			    "\"name=\\\"a\\\\b\\\""
			    "\"}");
	assert_string_equal(line(LOG_FORMAT_JOURNAL, LOG_ERROR, "peer=1"), "<3>conn.refused peer=1");
	assert_string_equal(line(LOG_FORMAT_SHORT, LOG_DEBUG, ""), "15:02:38 DEBUG conn.refused");
	assert_string_equal(line(LOG_FORMAT_COLOUR, LOG_WARN, "x=1"),
			    "\033[2m15:02:38\033[0m \033[33mWARN \033[0m conn.refused x=1");
}

static void test_long_json_is_whole(void **state)
{
	char text[400];
	const char *got;
	size_t len;

	(void)state;
	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	got = line(LOG_FORMAT_JSON, LOG_INFO, text);
	len = strlen(got);
	assert_true(len > 150);
	assert_string_equal(got + len - 4, "\\\"\"}");
}

static void test_choice(void **state)
{
	(void)state;
	assert_int_equal(log_format_choose(STR("kafka"), 1), LOG_FORMAT_KAFKA);
	assert_int_equal(log_format_choose(STR("json"), 1), LOG_FORMAT_JSON);
	assert_int_equal(log_format_choose(STR("logfmt"), 1), LOG_FORMAT_LOGFMT);
	assert_int_equal(log_format_choose(STR("journal"), 1), LOG_FORMAT_JOURNAL);
	setenv("CLICOLOR_FORCE", "1", 1);
	assert_int_equal(log_format_choose(STR("short"), 1), LOG_FORMAT_COLOUR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_long_json_is_whole),
		cmocka_unit_test(test_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
