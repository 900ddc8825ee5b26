/* SPDX-License-Identifier: Apache-2.0 */
/* Text in chunks: numbers, escapes, and what is longer than a chunk. */
#include "page.h"

#include <event2/buffer.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text_of(struct page *page, struct evbuffer *out)
{
	size_t len;
	char *text;

	page_end(page);
	len = evbuffer_get_length(out);
	text = malloc(len + 1);
	assert_non_null(text);
	assert_int_equal(evbuffer_remove(out, text, len), len);
	text[len] = 0;
	return text;
}

static void test_numbers(void **state)
{
	struct evbuffer *out = evbuffer_new();
	struct page page;
	char *text;

	page_init(&page, out);
	page_i64(&page, INT64_MIN);
	page_text(&page, " ");
	page_i64(&page, INT64_MAX);
	page_text(&page, " ");
	page_i64(&page, 0);
	page_text(&page, " ");
	page_f64(&page, NAN);
	page_text(&page, " ");
	page_f64(&page, INFINITY);
	page_text(&page, " ");
	page_f64(&page, -INFINITY);
	page_text(&page, " ");
	page_f64(&page, 1e15);
	page_text(&page, " ");
	page_f64(&page, 0.25);
	page_text(&page, " ");
	page_f64(&page, -3);
	text = text_of(&page, out);
	assert_string_equal(text, "-9223372036854775808 9223372036854775807 0 NaN +Inf -Inf 1000000000000000 0.25 -3");
	free(text);
	evbuffer_free(out);
}

static void test_escapes(void **state)
{
	struct evbuffer *out = evbuffer_new();
	struct page page;
	char *text;

	page_init(&page, out);
	page_escaped(&page, (struct str){"a\"b\\c\nd\x01" "e", 9});
	text = text_of(&page, out);
	assert_string_equal(text, "a\\\"b\\\\c\\nd?e");
	free(text);
	evbuffer_free(out);
}

static void test_families(void **state)
{
	struct evbuffer *out = evbuffer_new();
	struct page page;
	char *text;

	page_init(&page, out);
	page_family(&page, "x_total", "counter", "Help");
	page.is_openmetrics = true;
	page_family(&page, "x_total", "counter", "Help");
	page_sample(&page, "x_total", 2);
	text = text_of(&page, out);
	assert_string_equal(text, "# HELP x_total Help\n# TYPE x_total counter\n"
				  "# HELP x Help\n# TYPE x counter\nx_total 2\n");
	free(text);
	evbuffer_free(out);
}

static void test_long(void **state)
{
	enum { N = 300000 };
	struct evbuffer *out = evbuffer_new();
	char *longer = malloc(N), *text;
	struct page page;
	size_t len = 0;

	assert_non_null(longer);
	memset(longer, 'x', N);
	page_init(&page, out);
	page_add(&page, longer, N);
	len += N;
	for (int i = 0; i < 100000; i++) {
		page_i64(&page, 100000 + i);
		page_text(&page, "\n");
		len += 7;
	}
	text = text_of(&page, out);
	assert_int_equal(strlen(text), len);
	assert_string_equal(text + len - 7, "199999\n");
	free(text);
	free(longer);
	evbuffer_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_escapes),
					   cmocka_unit_test(test_families), cmocka_unit_test(test_long)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
