/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: alignment, reuse of the first block, the limit, copies, many sizes against their content. */
#include "arena.h"

#include "rng.h"
#include "test_base.h"

static void test_first_block(void **state)
{
	uint8_t block[256];
	struct arena arena;
	uint8_t *p;

	(void)state;
	for (size_t shift = 0; shift < 17; shift++) {
		arena_init(&arena, block + shift, sizeof(block) - shift);
		for (int round = 0; round < 3; round++) {
			p = arena_alloc(&arena, 100);
			assert_true(p >= block && p + 100 <= block + sizeof(block));
			assert_int_equal((uintptr_t)p % 16, 0);
			assert_null(arena.blocks);
			p = arena_alloc(&arena, 200);
			assert_false(p >= block && p < block + sizeof(block));
			arena_reset(&arena);
		}
	}
	/* Too small to hold one aligned unit. */
	arena_init(&arena, block + 1, 14);
	assert_non_null(arena_alloc(&arena, 1));
	arena_reset(&arena);
}

static void test_content(void **state)
{
	enum { N = 2000 };
	static struct bytes made[N];
	struct arena arena = {0};
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++) {
			size_t len = rng_below(&rng, 20) ? rng_below(&rng, 200) : rng_below(&rng, 100000);
			uint8_t *p = arena_alloc(&arena, len);

			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t k = 0; k < len; k++)
				assert_int_equal(p[k], 0);
			memset(p, i & 0xff, len);
			made[i] = (struct bytes){p, len};
		}
		for (int i = 0; i < N; i++) {
			for (size_t k = 0; k < made[i].len; k++)
				assert_int_equal(made[i].p[k], i & 0xff);
		}
		arena_reset(&arena);
		assert_int_equal(arena.used, 0);
		assert_null(arena.blocks);
	}
}

static void body_over_limit(void)
{
	struct arena arena = {.limit = 1000};

	(void)!arena_alloc(&arena, 1001);
}

static void test_limit(void **state)
{
	struct arena arena = {.limit = 1600};

	(void)state;
	assert_null(arena_try_alloc_n(&arena, SIZE_MAX / 2, 3));
	assert_null(arena_try_alloc_n(&arena, SIZE_MAX, 1));
	assert_null(arena_try_alloc_n(&arena, 1, 1601));
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_try_alloc_n(&arena, 1, 16));
	assert_null(arena_try_alloc_n(&arena, 1, 1));
	assert_null(arena_try_alloc_n(&arena, 0, 8));
	assert_int_equal(arena.used, 1600);
	arena_reset(&arena);
	/* Small ones count as what they take, so that many of them cannot pass the limit. */
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_try_alloc_n(&arena, 1, 1));
	assert_null(arena_try_alloc_n(&arena, 1, 1));
	arena_reset(&arena);
	assert_non_null(arena_try_alloc_n(&arena, 100, 16));
	arena_reset(&arena);
	assert_true(aborts(body_over_limit));
}

static void test_copies(void **state)
{
	struct arena arena = {0};
	struct str s;

	(void)state;
	s = arena_str(&arena, (struct str){"abcdef", 3});
	assert_string_equal(s.p, "abc");
	assert_int_equal(s.len, 3);
	s = arena_str(&arena, STR(""));
	assert_string_equal(s.p, "");
	assert_null(arena_str(&arena, STR_NULL).p);
	assert_null(arena_bytes(&arena, BYTES_NULL).p);
	assert_non_null(arena_bytes(&arena, (struct bytes){(const uint8_t *)"", 0}).p);
	s = arena_printf(&arena, "%s-%d", "orders", 4);
	assert_string_equal(s.p, "orders-4");
	assert_int_equal(s.len, 8);
	s = arena_printf(&arena, "%*d", 5000, 7);
	assert_int_equal(s.len, 5000);
	assert_int_equal(s.p[4999], '7');
	arena_reset(&arena);
}

/* A text that holds what a client sent still fits into an answer. */
static void test_printf_is_cut(void **state)
{
	struct arena arena = {0};
	char *name = malloc(40000);
	struct str text;

	memset(name, 'n', 40000);
	text = arena_printf(&arena, "%.*s", INT16_MAX, name);
	assert_int_equal(text.len, INT16_MAX);
	text = arena_printf(&arena, "%.*s!", INT16_MAX, name);
	assert_int_equal(text.len, INT16_MAX);
	assert_int_equal(text.p[text.len], 0);
	memcpy(name + INT16_MAX - 1, "\xe4\xb8\x96", 3);
	text = arena_printf(&arena, "%.*s", 39999, name);
	assert_int_equal(text.len, INT16_MAX - 1);
	assert_int_equal(text.p[text.len - 1], 'n');
	free(name);
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_block),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_printf_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
