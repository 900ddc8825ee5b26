/* SPDX-License-Identifier: Apache-2.0 */
/* Counted blocks: the pool keeps and returns what it should, and counts are checked. */
#include "buf.h"

#include "test_base.h"

static void test_pool(void **state)
{
	struct buf_pool pool;
	struct buf *a, *b, *c, *big;

	(void)state;
	buf_pool_init(&pool, 1000, 2);
	a = buf_new(&pool, 0);
	b = buf_new(&pool, 1000);
	c = buf_new(&pool, 5);
	big = buf_new(&pool, 1001);
	assert_int_equal(a->cap, 1000);
	assert_int_equal(big->cap, 1001);
	assert_int_equal(pool.bytes, 4001);
	a->len = 77;
	buf_ref(a);
	buf_unref(a);
	assert_int_equal(a->refs, 1);
	buf_unref(big);
	assert_int_equal(pool.free_n, 0);
	buf_unref(a);
	buf_unref(b);
	buf_unref(c);
	assert_int_equal(pool.free_n, 2);
	assert_int_equal(pool.bytes, 0);
	c = buf_new(&pool, 10);
	assert_ptr_equal(c, b);
	assert_int_equal(c->len, 0);
	assert_int_equal(pool.free_n, 1);
	buf_unref(c);
	buf_pool_deinit(&pool);
}

static void body_leak(void)
{
	struct buf_pool pool;
	struct buf *buf;

	buf_pool_init(&pool, 10, 2);
	buf = buf_new(&pool, 1);
	buf->len = 1;
	buf_pool_deinit(&pool);
}

static void body_unref_twice(void)
{
	struct buf_pool pool;
	struct buf *buf;

	buf_pool_init(&pool, 10, 2);
	buf = buf_new(&pool, 1);
	buf_unref(buf);
	buf_unref(buf);
}

static void test_misuse(void **state)
{
	(void)state;
	assert_true(aborts(body_leak));
	assert_true(aborts(body_unref_twice));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
