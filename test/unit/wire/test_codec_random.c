/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message in every version with random contents: what was written is read back equal, in exactly the size
 * that was announced; cut at any byte it is refused or at least harmless; spoiled bytes never crash the reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec.h"
#include "codec_fill.h"
#include "registry.h"

#define ROUNDS 6
#define ARENA_LIMIT MIB(64)

static char print_text[4096];

static const char *print(const struct msg_type *type, int16_t version, const void *obj)
{
	struct fmt f;

	fmt_init(&f, print_text, sizeof(print_text));
	codec_print(type, version, obj, &f);
	return print_text;
}

/* Exactly len bytes on the heap, so that a checker sees a read beyond them. */
static struct bytes heap_copy(struct bytes b, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	if (len)
		memcpy(p, b.p, len);
	return (struct bytes){p, len};
}

static struct bytes encode(const struct msg_type *type, int16_t version, const void *obj, struct arena *arena)
{
	struct err_text text = {""};
	struct bytes ret = BYTES_NULL;

	if (codec_encode_flat(type, version, obj, arena, &ret, &text) != ERR_NONE)
		fail_msg("%s v%d: %s in %s", type->name, version, text.text, print(type, version, obj));
	return ret;
}

typedef void check_fn(const struct msg_type *type, int16_t version, struct bytes whole, const void *obj,
		      struct fill *fill);

static void for_all(uint64_t seed, int rounds, int32_t elems_max, check_fn *check)
{
	for (size_t i = 0; i < msg_type_rows_n; i++) {
		const struct msg_type *type = msg_type_rows[i];

		for (int16_t version = type->version_min; version <= type->version_max; version++)
			for (int round = 0; round < rounds; round++) {
				struct arena arena = {.limit = ARENA_LIMIT};
				struct fill fill = {.arena = &arena, .elems_max = elems_max, .tags = round & 1};
				void *obj = arena_alloc(&arena, type->size);

				rng_init(&fill.rng, seed + i * 1000 + (uint64_t)version * 10 + (uint64_t)round);
				fill_message(&fill, type, version, obj);
				check(type, version, encode(type, version, obj, &arena), obj, &fill);
				arena_reset(&arena);
			}
	}
}

static void check_round_trip(const struct msg_type *type, int16_t version, struct bytes whole, const void *obj,
			     struct fill *fill)
{
	struct err_text text = {""};
	struct bytes in = heap_copy(whole, whole.len);
	void *ret = arena_alloc(fill->arena, type->size);
	size_t used = 0;

	assert_int_equal(codec_size(type, version, obj), whole.len);
	if (codec_decode(type, version, in, fill->arena, ret, &used, &text) != ERR_NONE)
		fail_msg("%s v%d: %s", type->name, version, text.text);
	assert_int_equal(used, in.len);
	if (!codec_equal(type, obj, ret))
		fail_msg("%s v%d: not what was written: %s", type->name, version, print(type, version, ret));
	assert_true(bytes_eq(encode(type, version, ret, fill->arena), whole));
	free((void *)(uintptr_t)in.p);
}

static void test_round_trip(void **state)
{
	for_all(1, ROUNDS, 3, check_round_trip);
}

static void check_cut(const struct msg_type *type, int16_t version, struct bytes whole, const void *obj,
		      struct fill *fill)
{
	void *ret = arena_alloc(fill->arena, type->size);

	for (size_t len = 0; len < whole.len && len < 400; len++) {
		struct arena arena = {.limit = ARENA_LIMIT};
		struct bytes in = heap_copy(whole, len);
		struct err_text text = {""};

		assert_int_equal(codec_decode(type, version, in, &arena, ret, NULL, &text), ERR_DECODE);
		assert_true(text.text[0] != '\0');
		assert_true(codec_equal(type, ret, type->defaults));
		arena_reset(&arena);
		free((void *)(uintptr_t)in.p);
	}
}

/* No message can end early: each byte is needed. */
static void test_cut_anywhere(void **state)
{
	for_all(2, 1, 2, check_cut);
}

static void check_spoiled(const struct msg_type *type, int16_t version, struct bytes whole, const void *obj,
			  struct fill *fill)
{
	void *ret = arena_alloc(fill->arena, type->size);

	for (int i = 0; i < 20 && whole.len; i++) {
		struct arena arena = {.limit = ARENA_LIMIT};
		struct bytes in = heap_copy(whole, whole.len), out;
		uint8_t *p = (uint8_t *)(uintptr_t)in.p;
		size_t used;

		for (int n = 0; n < 3; n++)
			p[rng_below(&fill->rng, in.len)] = rng_chance(&fill->rng, 1, 2) ? 0xff :
										     (uint8_t)rng_u64(&fill->rng);
		if (codec_decode(type, version, in, &arena, ret, &used, NULL) == ERR_NONE) {
			assert_true(used <= in.len);
			assert_int_equal(codec_encode_flat(type, version, ret, &arena, &out, NULL), ERR_NONE);
		}
		/* What was read takes no more memory than a fixed multiple of what was sent. */
		assert_true(arena.used <= 1024 * in.len + 4096);
		arena_reset(&arena);
		free((void *)(uintptr_t)in.p);
	}
}

static void test_spoiled_bytes(void **state)
{
	for_all(3, 2, 3, check_spoiled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_spoiled_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
