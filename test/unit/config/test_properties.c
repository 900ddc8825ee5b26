/* SPDX-License-Identifier: Apache-2.0 */
/* Properties text, against what java.util.Properties reads. */
#include "config_test.h"
#include "properties.h"

/* All pairs as "key=value;" with \n, \t, \r, \f shown. */
static void read_all(const char *text, size_t len, char *ret, size_t cap)
{
	struct arena arena = {0};
	struct properties reader;
	struct property pair;
	struct fmt f;
	enum err err;

	fmt_init(&f, ret, cap);
	assert_int_equal(properties_init(&reader, (struct bytes){(const uint8_t *)text, len}, &arena),
			 ERR_NONE);
	while ((err = properties_next(&reader, &pair)) != ERR_NOT_FOUND) {
		if (err == ERR_NONE)
			fmt_add(&f, "%.*s=%.*s;", STR_ARGS(pair.key), STR_ARGS(pair.value));
		else
			fmt_add(&f, "!%d;", pair.line);
	}
	arena_reset(&arena);
}

static void test_syntax(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", ""},
		{"a=b", "a=b;"},
		{"a = b \n", "a=b ;"},
		{"a:b\nc d\ne\tf\ng\fh\n", "a=b;c=d;e=f;g=h;"},
		{"a  =  b", "a=b;"},
		{"a = = b", "a== b;"},
		{"a : : b", "a=: b;"},
		{"a", "a=;"},
		{"=b", "=b;"},
		{"  # c\n ! d\n a=b", "a=b;"},
		{"# c \\\na=b", "a=b;"},
		{"a=b\\\n   c", "a=bc;"},
		{"a=b\\\r\n   c\r\nd=e", "a=bc;d=e;"},
		{"a=b\\\\\nc=d", "a=b\\;c=d;"},
		{"a=b\\\n\nc=d", "a=b;c=d;"},
		{"a=b\\", "a=b;"},
		{"a=b\\\n", "a=b;"},
		{"\\", "=;"},
		{"\\\n", "=;"},
		{"\\\n#x\na=b", "a=b;"},
		{"a=b\\\n#c", "a=b#c;"},
		{"a\\=b=c", "a=b=c;"},
		{"a\\:b c", "a:b=c;"},
		{"a\\ b=c", "a b=c;"},
		{"a=\\t\\n\\r\\f\\q\\\\", "a=\t\n\r\fq\\;"},
		{"a=\\u0041\\u00e9\\u20ac", "a=A\xc3\xa9\xe2\x82\xac;"},
		{"a=\\ud83d\\ude00", "a=\xf0\x9f\x98\x80;"},
		{"a=\\ud83dx", "a=\xef\xbf\xbdx;"},
		{"a=\\u00zz\nb=c", "!1;b=c;"},
		{"a=\\u00\nb=c", "!1;b=c;"},
		{"a=\xc3\xa9", "a=\xc3\xa9;"},
		{"a=\xe9", "a=\xc3\xa9;"},
		{"\xe9=\xff", "\xc3\xa9=\xc3\xbf;"},
		{"\r\r\n\na=b\rc=d", "a=b;c=d;"},
		{"a=b\n\\\n\\\nc=d", "a=b;c=d;"},
		{"a\\\n=b", "a=b;"},
		{"a \\\n = \\\n b", "a=b;"},
	};
	char got[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		read_all(cases[i].text, strlen(cases[i].text), got, sizeof(got));
		assert_string_equal(got, cases[i].expected);
	}
}

static void test_lines_are_counted(void **state)
{
	const char *text = "# one\r\na=b\rc=\\\n  d\n\n\ne=f";
	int lines[] = {2, 3, 7};
	struct arena arena = {0};
	struct properties reader;
	struct property pair;

	(void)state;
	assert_int_equal(properties_init(&reader, str_bytes(str_of(text)), &arena), ERR_NONE);
	for (size_t i = 0; i < ARRAY_N(lines); i++) {
		assert_int_equal(properties_next(&reader, &pair), ERR_NONE);
		assert_int_equal(pair.line, lines[i]);
	}
	assert_int_equal(properties_next(&reader, &pair), ERR_NOT_FOUND);
	assert_int_equal(properties_next(&reader, &pair), ERR_NOT_FOUND);
	arena_reset(&arena);
}

static void test_any_bytes_come_to_an_end(void **state)
{
	static const char alphabet[] = "ab=: \t\f\r\n\\#!u0dD8\xc3\xa9\x00\xff";
	uint32_t x = 12345;
	char text[200], got[2048];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)round % sizeof(text);

		for (size_t i = 0; i < len; i++) {
			x = x * 1664525u + 1013904223u;
			text[i] = alphabet[(x >> 16) % (sizeof(alphabet) - 1)];
		}
		read_all(text, len, got, sizeof(got));
	}
}

static void test_too_large(void **state)
{
	struct properties reader;
	struct arena arena = {0};
	char *text = calloc(1, PROPERTIES_TEXT_MAX + 1);

	(void)state;
	assert_int_equal(
		properties_init(&reader, (struct bytes){(uint8_t *)text, PROPERTIES_TEXT_MAX + 1}, &arena),
		ERR_TOO_LARGE);
	free(text);
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_lines_are_counted),
		cmocka_unit_test(test_any_bytes_come_to_an_end),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
