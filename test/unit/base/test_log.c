/* SPDX-License-Identifier: Apache-2.0 */
/* Log: levels, the sink of the thread, one line per event whatever the text holds. */
#include "log.h"

#include <string.h>

#include "test_base.h"

struct test_sink {
	struct log_sink sink;
	int n;
	enum log_level level;
	char event[64];
	char text[4096];
};

static void test_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	struct test_sink *t = container_of(sink, struct test_sink, sink);

	t->n++;
	t->level = level;
	snprintf(t->event, sizeof(t->event), "%s", event);
	snprintf(t->text, sizeof(t->text), "%s", text);
}

static int evaluated;

static int evaluate(void)
{
	return ++evaluated;
}

static void test_levels(void **state)
{
	struct test_sink t = {.sink = {.level = LOG_WARN, .write = test_write}};

	(void)state;
	assert_false(log_is_on(LOG_DEBUG));
	assert_true(log_is_on(LOG_INFO));
	assert_null(log_sink_set(&t.sink));
	log_info("a.b", "x=%d", 1);
	assert_int_equal(t.n, 0);
	log_debug("a.b", "x=%d", evaluate());
	assert_int_equal(evaluated, 0);
	log_warn("a.b", "x=%d", 2);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.level, LOG_WARN);
	assert_string_equal(t.event, "a.b");
	assert_string_equal(t.text, "x=2");
	t.sink.level = LOG_TRACE;
	log_trace("c.d", "y=%d", evaluate());
	assert_int_equal(t.n, 2);
	assert_string_equal(log_level_name(t.level), "trace");
	assert_ptr_equal(log_sink_set(NULL), &t.sink);
}

static void test_line(void **state)
{
	struct test_sink t = {.sink = {.level = LOG_INFO, .write = test_write}};
	char longer[3000];

	(void)state;
	log_sink_set(&t.sink);
	log_error("e", "name=%s", "a\nb\r\x1b[0m\x7f\xc3\xa9");
	assert_string_equal(t.text, "name=a b  [0m \xc3\xa9");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_error("e", "%s", longer);
	assert_true(strlen(t.text) > 1000 && strlen(t.text) < sizeof(longer) - 1);
	log_sink_set(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
