/* SPDX-License-Identifier: Apache-2.0 */
/* Text: cuts at every capacity, sizes and durations at their borders, numbers accepted and refused. */
#include "fmt.h"

#include "test_base.h"

static void test_cut(void **state)
{
	char p[32];
	struct fmt f;

	(void)state;
	for (size_t cap = 1; cap <= 16; cap++) {
		memset(p, '#', sizeof(p));
		fmt_init(&f, p, cap);
		fmt_add(&f, "%d", 1234);
		fmt_add_str(&f, STR("abcd"));
		fmt_add(&f, "%s", "");
		fmt_add_str(&f, STR("xy"));
		assert_int_equal(f.len, MIN(cap - 1, (size_t)10));
		assert_memory_equal(p, "1234abcdxy", f.len);
		assert_int_equal(p[f.len], '\0');
		assert_int_equal(p[cap], '#');
		assert_int_equal(f.cut, cap < 11);
	}
	/* Nothing follows a gap, even when it would fit. */
	fmt_init(&f, p, 6);
	fmt_add_str(&f, STR("abc"));
	fmt_add_str(&f, STR("defghi"));
	f.len = 2;
	fmt_add_str(&f, STR("Z"));
	fmt_add(&f, "%s", "Z");
	assert_int_equal(f.len, 2);
	fmt_init(&f, p, 6);
	fmt_add_str(&f, STR_NULL);
	assert_string_equal(p, "");
}

static void size_is(int64_t bytes, const char *want)
{
	char p[32];
	struct fmt f;

	fmt_init(&f, p, sizeof(p));
	fmt_add_size(&f, bytes);
	assert_string_equal(p, want);
}

static void test_size(void **state)
{
	(void)state;
	size_is(0, "0 B");
	size_is(612, "612 B");
	size_is(999, "999 B");
	size_is(1000, "1.0 kB");
	size_is(1049, "1.0 kB");
	size_is(1050, "1.1 kB");
	size_is(9949, "9.9 kB");
	size_is(9950, "10 kB");
	size_is(999499, "999 kB");
	size_is(999500, "1.0 MB");
	size_is(4100000, "4.1 MB");
	size_is(148000000000, "148 GB");
	size_is(-4100000, "-4.1 MB");
	size_is(INT64_MAX, "9.2 EB");
	size_is(INT64_MIN, "-9.2 EB");
}

static void duration_is(int64_t ns, const char *want)
{
	char p[32];
	struct fmt f;

	fmt_init(&f, p, sizeof(p));
	fmt_add_duration(&f, ns);
	assert_string_equal(p, want);
}

static void test_duration(void **state)
{
	(void)state;
	duration_is(0, "0 ns");
	duration_is(999, "999 ns");
	duration_is(1000, "1 us");
	duration_is(38 * NS_PER_MS, "38 ms");
	duration_is(12 * NS_PER_S, "12 s");
	duration_is(60 * NS_PER_S, "1 min");
	duration_is(250 * NS_PER_S, "4 min 10 s");
	duration_is(7200 * NS_PER_S, "2 h");
	duration_is(7260 * NS_PER_S, "2 h 1 min");
	duration_is(90000 * NS_PER_S, "1 d 1 h");
	duration_is(-38 * NS_PER_MS, "-38 ms");
	duration_is(INT64_MIN, "-106751 d 23 h");
}

static void test_parse_int(void **state)
{
	static const char *const bad[] = {"", "-", "+", " 1", "1 ", "1x", "0x1", "1.0", "--1",
					  "9223372036854775808", "-9223372036854775809",
					  "99999999999999999999"};
	int64_t v = 5;
	int32_t w = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_N(bad); i++)
		assert_int_equal(parse_i64(str_of(bad[i]), &v), ERR_INVALID_TEXT);
	assert_int_equal(parse_i64(STR_NULL, &v), ERR_INVALID_TEXT);
	assert_int_equal(v, 5);
	assert_int_equal(parse_i64(STR("9223372036854775807"), &v), ERR_NONE);
	assert_true(v == INT64_MAX);
	assert_int_equal(parse_i64(STR("-9223372036854775808"), &v), ERR_NONE);
	assert_true(v == INT64_MIN);
	assert_int_equal(parse_i64(STR("+007"), &v), ERR_NONE);
	assert_int_equal(v, 7);
	assert_int_equal(parse_i64((struct str){"123", 2}, &v), ERR_NONE);
	assert_int_equal(v, 12);
	assert_int_equal(parse_i32(STR("2147483648"), &w), ERR_INVALID_TEXT);
	assert_int_equal(parse_i32(STR("-2147483649"), &w), ERR_INVALID_TEXT);
	assert_int_equal(w, 5);
	assert_int_equal(parse_i32(STR("-2147483648"), &w), ERR_NONE);
	assert_int_equal(w, INT32_MIN);
}

static void test_parse_other(void **state)
{
	static const char *const bad[] = {"", "x", "1x", " 1", "nan", "inf", "0x10",
					  "1e999", "-1e999", "1e", "."};
	double d = 5;
	bool b = false;

	(void)state;
	for (size_t i = 0; i < ARRAY_N(bad); i++)
		assert_int_equal(parse_f64(str_of(bad[i]), &d), ERR_INVALID_TEXT);
	assert_true(d > 4.9 && d < 5.1);
	assert_int_equal(parse_f64(STR("-2.5e1"), &d), ERR_NONE);
	assert_true(d > -25.01 && d < -24.99);
	assert_int_equal(parse_f64((struct str){"0.59", 3}, &d), ERR_NONE);
	assert_true(d > 0.49 && d < 0.51);
	assert_int_equal(parse_f64(STR("1e-999"), &d), ERR_NONE);
	assert_int_equal(parse_bool(STR("TruE"), &b), ERR_NONE);
	assert_true(b);
	assert_int_equal(parse_bool(STR("false"), &b), ERR_NONE);
	assert_false(b);
	assert_int_equal(parse_bool(STR("yes"), &b), ERR_INVALID_TEXT);
	assert_int_equal(parse_bool(STR("true "), &b), ERR_INVALID_TEXT);
	assert_int_equal(parse_bool(STR_NULL, &b), ERR_INVALID_TEXT);
}

static void test_err_text(void **state)
{
	struct err_text t;
	char longer[2000];

	(void)state;
	assert_int_equal(err_text_set(&t, ERR_IO, "%s: %d", "disk", 3), ERR_IO);
	assert_string_equal(t.text, "disk: 3");
	assert_int_equal(err_text_set(NULL, ERR_IO, "x"), ERR_IO);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(err_text_set(&t, ERR_DECODE, "%s", longer), ERR_DECODE);
	assert_int_equal(strlen(t.text), sizeof(t.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_parse_int),
		cmocka_unit_test(test_parse_other),
		cmocka_unit_test(test_err_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
