/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that Kafka itself wrote: every message at every version is read to the values that Kafka says it wrote, and
 * written again to the same bytes. Where Kafka reads other bytes as the same message (a tag that holds its default),
 * so do we.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec.h"
#include "codec_fill.h"
#include "registry.h"

#define LINE_MAX_LEN (1 << 20)
#define SEEN_MAX 512
#define DIGITS "0123456789"

static const char *lines_path;

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static struct bytes unhex(struct arena *arena, const char *text)
{
	size_t len = text[0] == '-' ? 0 : strlen(text) / 2;
	uint8_t *p = arena_alloc(arena, len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
	return (struct bytes){p, len};
}

static void *decode_all(const struct msg_type *type, int16_t version, struct bytes in, struct arena *arena)
{
	struct err_text text = {""};
	void *obj = msg_new_n(arena, type, 1);
	size_t used = 0;

	if (codec_decode(type, version, in, arena, obj, &used, &text) != ERR_NONE)
		fail_msg("%s v%d: %s", type->name, version, text.text);
	if (used != in.len)
		fail_msg("%s v%d: %zu of %zu bytes read", type->name, version, used, in.len);
	return obj;
}

/* Takes out ", tag201=3:abcdef": the values Kafka told us are without tags that it does not know. */
static void strip_unknown_tags(char *text)
{
	char *to = text;

	for (char *from = text; *from;) {
		char *at = from + (from[0] == ',' && from[1] == ' ' ? 2 : from[0] == '{' ? 1 : 0);

		if (at > from && strncmp(at, "tag", 3) == 0 && at[3 + strspn(at + 3, DIGITS)] == '=' && at[3] != '=') {
			if (*from == '{')
				*to++ = '{';
			from = at + strcspn(at, ",}");
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static void check_line(const struct msg_type *type, int16_t version, const char *hex, const char *other,
		       const char *want)
{
	static char print[LINE_MAX_LEN];
	struct arena arena = {0};
	struct bytes in = unhex(&arena, hex), out;
	struct err_text text = {""};
	struct fmt f;
	void *obj = decode_all(type, version, in, &arena);

	fmt_init(&f, print, sizeof(print));
	codec_print(type, version, obj, &f);
	assert_false(f.cut);
	if (codec_encode_flat(type, version, obj, &arena, &out, &text) != ERR_NONE)
		fail_msg("%s v%d does not encode: %s in %s", type->name, version, text.text, print);
	if (!bytes_eq(in, out))
		fail_msg("%s v%d comes out as other bytes: %s", type->name, version, print);
	assert_int_equal(codec_size(type, version, obj), in.len);
	if (other && !codec_equal(type, obj, decode_all(type, version, unhex(&arena, other), &arena)))
		fail_msg("%s v%d: the other bytes mean something else than %s", type->name, version, print);
	strip_unknown_tags(print);
	if (want[0] == '{' && strcmp(want, print) != 0)
		fail_msg("%s v%d\nreads  %s\nwants  %s", type->name, version, print, want);
	arena_reset(&arena);
}

static void test_all_lines(void **state)
{
	FILE *f = fopen(lines_path, "r");
	char *line = malloc(LINE_MAX_LEN), *want = malloc(LINE_MAX_LEN);
	static bool seen[SEEN_MAX][32];
	size_t lines_n = 0, values_n = 0, missing = 0;

	assert_non_null(f);
	while (fgets(line, LINE_MAX_LEN, f)) {
		char *rest = NULL, *name = strtok_r(line, " \n", &rest), *number = strtok_r(NULL, " \n", &rest);
		char *hex = strtok_r(NULL, " \n", &rest), *other = strtok_r(NULL, " \n", &rest);
		const struct msg_type *type = fill_type_find(str_of(name));
		int16_t version = (int16_t)atoi(number);

		if (!type)
			fail_msg("no message %s", name);
		assert_non_null(fgets(want, LINE_MAX_LEN, f));
		want[strcspn(want, "\n")] = '\0';
		values_n += want[0] == '{';
		check_line(type, version, hex, other, want);
		for (size_t i = 0; i < msg_type_rows_n; i++)
			if (msg_type_rows[i] == type)
				seen[i][version] = true;
		lines_n++;
	}
	fclose(f);
	free(line);
	free(want);
	assert_true(lines_n > 4000);
	assert_true(values_n > 4000);
	for (size_t i = 0; i < msg_type_rows_n; i++)
		for (int16_t v = msg_type_rows[i]->version_min; v <= msg_type_rows[i]->version_max; v++)
			if (!seen[i][v]) {
				print_message("no vector for %s v%d\n", msg_type_rows[i]->name, v);
				missing++;
			}
	/* Files of a format of their own, remote storage, and a version that Kafka never writes. */
	assert_true(missing <= 9);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_lines)};

	if (argc != 2) {
		fprintf(stderr, "wants the file of lines\n");
		return 2;
	}
	lines_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
