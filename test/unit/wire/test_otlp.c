/* SPDX-License-Identifier: Apache-2.0 */
/* Reading pushed metrics: numbers with their names and labels; what is cut or wrong is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "otlp.h"

#define MESSAGE_MAX 512

/* A message under construction, from the inside out. */
struct out {
	uint8_t p[MESSAGE_MAX];
	size_t len;
};

static void put(struct out *out, const void *p, size_t len)
{
	assert_true(out->len + len <= MESSAGE_MAX);
	memcpy(out->p + out->len, p, len);
	out->len += len;
}

static void put_tag(struct out *out, int number, int type)
{
	uint8_t tag = (uint8_t)(number << 3 | type);

	put(out, &tag, 1);
}

static void put_bytes(struct out *out, int number, const void *p, size_t len)
{
	uint8_t head[2] = {(uint8_t)(len & 0x7f), (uint8_t)(len >> 7)};

	put_tag(out, number, 2);
	if (len < 0x80) {
		put(out, head, 1);
	} else {
		head[0] |= 0x80;
		put(out, head, 2);
	}
	put(out, p, len);
}

static void put_text(struct out *out, int number, const char *text)
{
	put_bytes(out, number, text, strlen(text));
}

static void put_out(struct out *out, int number, const struct out *inner)
{
	put_bytes(out, number, inner->p, inner->len);
}

static struct out make_point(double value, const char *key, const char *text)
{
	struct out out = {.len = 0}, label = {.len = 0}, any = {.len = 0};

	put_tag(&out, 4, 1);
	put(&out, &value, 8);
	if (key) {
		put_text(&any, 1, text);
		put_text(&label, 1, key);
		put_out(&label, 2, &any);
		put_out(&out, 7, &label);
	}
	return out;
}

/* kind: 5 gauge, 7 sum, 9 histogram. */
static struct out make_message(int kind, const char *name, const struct out *point, int temporality, bool monotonic)
{
	struct out data = {.len = 0}, metric = {.len = 0}, scope = {.len = 0}, resource = {.len = 0};
	struct out message = {.len = 0};
	uint8_t small[2] = {(uint8_t)temporality, monotonic};

	put_out(&data, 1, point);
	if (kind == 7) {
		put_tag(&data, 2, 0);
		put(&data, &small[0], 1);
		put_tag(&data, 3, 0);
		put(&data, &small[1], 1);
	}
	put_out(&metric, kind, &data);
	put_text(&metric, 1, name); /* behind what it names: order does not matter */
	put_out(&scope, 2, &metric);
	put_out(&resource, 2, &scope);
	put_out(&message, 1, &resource);
	return message;
}

static struct otlp_point seen;
static int seen_n;

static void see(void *ctx, const struct otlp_point *point)
{
	seen = *point;
	seen_n++;
}

static enum err read_out(const struct out *message)
{
	seen_n = 0;
	return otlp_read((struct bytes){message->p, message->len}, see, NULL);
}

static void test_gauge(void **state)
{
	struct out point = make_point(2.5, "topic", "a"), message = make_message(5, "x.y", &point, 0, false);

	assert_int_equal(read_out(&message), ERR_NONE);
	assert_int_equal(seen_n, 1);
	assert_true(str_eq_c(seen.name, "x.y"));
	assert_false(seen.is_sum);
	assert_true(seen.value == 2.5);
	assert_int_equal(seen.labels_n, 1);
	assert_true(str_eq_c(seen.labels[0].key, "topic"));
	assert_true(str_eq_c(seen.labels[0].text, "a"));
}

static void test_sum(void **state)
{
	struct out point = make_point(7, NULL, NULL), message = make_message(7, "n", &point, 1, true);

	assert_int_equal(read_out(&message), ERR_NONE);
	assert_true(seen.is_sum);
	assert_true(seen.is_delta);
	assert_true(seen.is_monotonic);
	message = make_message(7, "n", &point, 2, false);
	assert_int_equal(read_out(&message), ERR_NONE);
	assert_false(seen.is_delta);
	assert_false(seen.is_monotonic);
}

/* A histogram is passed over; a point without a value or a metric without a name is none. */
static void test_left_out(void **state)
{
	struct out point = make_point(7, NULL, NULL), message = make_message(9, "h", &point, 0, false);

	assert_int_equal(read_out(&message), ERR_NONE);
	assert_int_equal(seen_n, 0);
	point.len = 0;
	message = make_message(5, "g", &point, 0, false);
	assert_int_equal(read_out(&message), ERR_NONE);
	assert_int_equal(seen_n, 0);
	point = make_point(7, NULL, NULL);
	message = make_message(5, "", &point, 0, false);
	assert_int_equal(read_out(&message), ERR_NONE);
	assert_int_equal(seen_n, 0);
}

/* Cut anywhere but at nothing, the message is refused. */
static void test_cut(void **state)
{
	struct out point = make_point(2.5, "topic", "a"), message = make_message(5, "x", &point, 0, false);

	for (size_t len = 1; len < message.len; len++)
		assert_int_equal(otlp_read((struct bytes){message.p, len}, NULL, NULL), ERR_CORRUPT_MESSAGE);
	assert_int_equal(otlp_read((struct bytes){message.p, 0}, NULL, NULL), ERR_NONE);
}

static void test_text(void **state)
{
	struct out point = make_point(2.5, "topic", "\xff"), message = make_message(5, "x", &point, 0, false);

	assert_int_equal(read_out(&message), ERR_CORRUPT_MESSAGE);
}

static void test_wrong(void **state)
{
	static const struct {
		const char *p;
		size_t len;
	} wrong[] = {
		{"hello", 5},
		{"\x0a\xff\xff\xff\xff\x0f", 6},                 /* longer than there is */
		{"\x0b", 1},                                     /* a group */
		{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* a number without end */
		{"\x00\x00", 2},                                 /* field 0 */
		{"\x08\x01", 2},                                 /* a number where a message belongs */
	};

	for (size_t i = 0; i < ARRAY_N(wrong); i++)
		assert_int_equal(otlp_read((struct bytes){(const uint8_t *)wrong[i].p, wrong[i].len}, see, NULL),
				 ERR_CORRUPT_MESSAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gauge), cmocka_unit_test(test_sum), cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_cut), cmocka_unit_test(test_text), cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
