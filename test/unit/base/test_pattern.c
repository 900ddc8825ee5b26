/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions: what RE2 takes, what it does not, whole matches, and hostile ones that must end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pattern.h"
#include "rng.h"

static bool matches(const char *source, const char *subject)
{
	struct pattern *pattern;
	struct err_text text;
	bool ret = false;

	assert_int_equal(pattern_new(str_of(source), PATTERN_RE2, &pattern, &text), ERR_NONE);
	assert_int_equal(pattern_match(pattern, str_of(subject), &ret), ERR_NONE);
	pattern_free(pattern);
	pattern_free(NULL);
	return ret;
}

static void test_whole_matches(void **state UNUSED)
{
	assert_true(matches("foo.*", "foobar"));
	assert_false(matches("foo", "foobar"));
	assert_false(matches("bar", "foobar"));
	assert_true(matches("a|ab", "ab"));
	assert_true(matches("^orders-[0-9]{2,3}$", "orders-123"));
	assert_false(matches("^orders-[0-9]{2,3}$", "orders-1"));
	assert_false(matches("foo$", "foo\n"));
	assert_true(matches("(?i)FOO(?P<x>b)(?<y>a)(?:r)", "foobar"));
	assert_true(matches("\\Qa.b(\\E+", "a.b(("));
	assert_true(matches("[[:alpha:]\\]x]+?", "ab]x"));
	assert_true(matches("[^]a]", "b"));
	assert_true(matches("\\pL+\\.\\x{41}", "\xc3\xa4\x2e" "A"));
	assert_true(matches("", ""));
	assert_false(matches("", "a"));
	assert_true(matches("a{,2}", "a{,2}"));
}

static void test_refused(void **state UNUSED)
{
	static const char *const sources[] = {
		"(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)", "(?|a)", "(?#a)", "(?R)", "(?1)", "(?P=x)",
		"(?P>x)", "(?(1)a)", "(?x)a", "(a)\\1", "\\k<a>", "\\g1", "\\Kb", "\\Gb", "\\Z", "\\R", "\\X", "\\h",
		"\\N", "\\u0041", "a++", "a*+", "a?+", "a{2}+", "a**", "a{2}{3}", "(*UTF)a", "(a", "a)", "[a",
		"a\\", "*a", "[b-a]",
		"(?P<", "(?", "(?i", "\\p{Nope}",
	};

	for (size_t i = 0; i < ARRAY_N(sources); i++) {
		struct pattern *pattern;
		struct err_text text = {""};

		if (pattern_new(str_of(sources[i]), PATTERN_RE2, &pattern, &text) == ERR_NONE)
			fail_msg("taken: %s", sources[i]);
		assert_true(text.text[0] != '\0');
	}
}

static void test_java_takes_more(void **state UNUSED)
{
	struct pattern *pattern;
	struct err_text text;
	bool ret = false;

	assert_int_equal(pattern_new(STR("(?!a)b++"), PATTERN_JAVA, &pattern, &text), ERR_NONE);
	assert_int_equal(pattern_match(pattern, STR("bbb"), &ret), ERR_NONE);
	assert_true(ret);
	pattern_free(pattern);
}

static void test_hostile_ones_end(void **state UNUSED)
{
	static char longest[PATTERN_LEN_MAX + 2];
	struct pattern *pattern;
	struct err_text text;
	bool ret;

	assert_int_equal(pattern_new(STR("(a|a?)+(b|c)"), PATTERN_RE2, &pattern, &text), ERR_NONE);
	assert_int_equal(pattern_match(pattern, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaad"), &ret), ERR_TOO_LARGE);
	pattern_free(pattern);
	memset(longest, '(', sizeof(longest) - 1);
	assert_int_equal(pattern_new(str_of(longest), PATTERN_RE2, &pattern, &text), ERR_TOO_LARGE);
	longest[1000] = '\0';
	assert_int_equal(pattern_new(str_of(longest), PATTERN_RE2, &pattern, &text), ERR_INVALID_REGULAR_EXPRESSION);
}

/* Drawn from characters that mean something: nothing may crash or read beyond the end. */
static void test_drawn_sources(void **state UNUSED)
{
	static const char letters[] = "ab(()[]{}?*+\\|^$.:<>=!,-019PQEikR#\xc3\xa4";
	struct rng rng;

	rng_init(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		size_t len = (size_t)rng_below(&rng, 24);
		char *source = malloc(len + 1);
		struct pattern *pattern;
		struct err_text text;
		bool ret;

		for (size_t at = 0; at < len; at++)
			source[at] = letters[rng_below(&rng, sizeof(letters) - 1)];
		if (pattern_new((struct str){source, len}, i % 4 ? PATTERN_RE2 : PATTERN_JAVA, &pattern, &text) ==
		    ERR_NONE) {
			enum err err = pattern_match(pattern, STR("aab01<>"), &ret);

			assert_true(err == ERR_NONE || err == ERR_TOO_LARGE);
			pattern_free(pattern);
		}
		free(source);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_matches),	 cmocka_unit_test(test_refused),
		cmocka_unit_test(test_java_takes_more),	 cmocka_unit_test(test_hostile_ones_end),
		cmocka_unit_test(test_drawn_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
