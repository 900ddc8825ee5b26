/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation: odd sizes, overflow, and in simulator builds that each block stays with its own scope. */
#include "mem.h"

#include <string.h>

#include "rng.h"
#include "test_base.h"

static void test_basic(void **state)
{
	char *a = mem_alloc(0);
	char *b = mem_alloc(0);
	char *c;

	(void)state;
	assert_non_null(a);
	assert_ptr_not_equal(a, b);
	mem_free(a);
	mem_free(b);
	mem_free(NULL);
	c = mem_calloc(10, 7);
	for (int i = 0; i < 70; i++)
		assert_int_equal(c[i], 0);
	memset(c, 'x', 70);
	c = mem_realloc(c, 100000);
	for (int i = 0; i < 70; i++)
		assert_int_equal(c[i], 'x');
	c = mem_realloc(c, 0);
	assert_non_null(c);
	mem_free(c);
	c = mem_realloc(NULL, 5);
	assert_int_equal((uintptr_t)c % 16, 0);
	mem_free(c);
	mem_free(mem_calloc(0, 0));
	c = mem_strdup_n("abcdef", 3);
	assert_string_equal(c, "abc");
	mem_free(c);
	c = mem_strdup_n(NULL, 0);
	assert_string_equal(c, "");
	mem_free(c);
}

static void body_overflow(void)
{
	volatile size_t n = SIZE_MAX / 2;

	mem_free(mem_calloc(n, 3));
}

static void test_overflow(void **state)
{
	(void)state;
	assert_true(aborts(body_overflow));
}

#ifdef MOLDAU_SIM
static void stats_are(struct mem_scope *scope, int64_t blocks, int64_t bytes)
{
	struct mem_stats stats = mem_scope_stats(scope);

	assert_int_equal(stats.blocks, blocks);
	assert_int_equal(stats.bytes, bytes);
}

static void test_scopes(void **state)
{
	struct mem_scope *a = mem_scope_new();
	struct mem_scope *b = mem_scope_new();
	char *in_a, *in_b, *in_none = mem_alloc(9);

	(void)state;
	assert_null(mem_scope_enter(a));
	in_a = mem_alloc(10);
	(void)!mem_alloc(20);
	assert_ptr_equal(mem_scope_enter(b), a);
	in_b = mem_calloc(3, 10);
	stats_are(a, 2, 30);
	stats_are(b, 1, 30);
	/* Freed and grown while another scope is current. */
	in_a = mem_realloc(in_a, 5000);
	stats_are(a, 2, 5020);
	stats_are(b, 1, 30);
	mem_free(in_a);
	mem_free(in_none);
	stats_are(a, 1, 20);
	assert_ptr_equal(mem_scope_enter(NULL), b);
	mem_free(in_b);
	stats_are(b, 0, 0);
	mem_scope_free(a);
	mem_scope_free(b);
}

static void test_scope_model(void **state)
{
	enum { N = 200 };
	struct mem_scope *scopes[3] = {mem_scope_new(), mem_scope_new(), NULL};
	struct {
		char *p;
		size_t size;
		size_t scope;
	} blocks[N] = {0};
	int64_t bytes[3] = {0};
	int64_t n[3] = {0};
	struct rng rng;

	(void)state;
	rng_init(&rng, 5);
	for (int step = 0; step < 5000; step++) {
		size_t i = rng_below(&rng, N);
		size_t now = rng_below(&rng, 3);
		size_t size = rng_below(&rng, 300);

		mem_scope_enter(scopes[now]);
		if (!blocks[i].p || rng_chance(&rng, 1, 2)) {
			if (!blocks[i].p) {
				blocks[i].scope = now;
				n[now]++;
			}
			blocks[i].p = mem_realloc(blocks[i].p, size);
			bytes[blocks[i].scope] += (int64_t)size - (int64_t)blocks[i].size;
			blocks[i].size = size;
		} else {
			mem_free(blocks[i].p);
			bytes[blocks[i].scope] -= (int64_t)blocks[i].size;
			n[blocks[i].scope]--;
			blocks[i].p = NULL;
			blocks[i].size = 0;
		}
		stats_are(scopes[0], n[0], bytes[0]);
		stats_are(scopes[1], n[1], bytes[1]);
	}
	mem_scope_enter(NULL);
	for (size_t i = 0; i < N; i++) {
		if (blocks[i].scope == 2)
			mem_free(blocks[i].p);
	}
	/* The rest goes with the scopes; the leak checker of a sanitizer build watches. */
	mem_scope_report(scopes[0], 2);
	mem_scope_free(scopes[0]);
	mem_scope_free(scopes[1]);
}

static void body_free_current(void)
{
	struct mem_scope *scope = mem_scope_new();

	mem_scope_enter(scope);
	mem_scope_free(scope);
}

static void body_stray_free(void)
{
	static _Alignas(16) char p[128];

	mem_free(p + 64);
}

static void test_misuse(void **state)
{
	(void)state;
	assert_true(aborts(body_free_current));
	assert_true(aborts(body_stray_free));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_overflow),
#ifdef MOLDAU_SIM
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_scope_model),
		cmocka_unit_test(test_misuse),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
