/* SPDX-License-Identifier: Apache-2.0 */
/* List: order, removal during iteration, splice. */
#include "list.h"

#include "test_base.h"

struct item {
	int id;
	struct list link;
};

static void order_is(struct list *l, const char *want)
{
	char got[32] = "";
	size_t n = 0;

	list_for_each(pos, tmp, l)
		got[n++] = (char)('a' + list_entry(pos, struct item, link)->id);
	assert_string_equal(got, want);
}

static void test_order(void **state)
{
	struct item items[5] = {{0}, {1}, {2}, {3}, {4}};
	struct list a, b;

	(void)state;
	list_init(&a);
	list_init(&b);
	assert_true(list_is_empty(&a));
	assert_null(list_pop_front(&a));
	assert_false(list_is_linked(&items[0].link));
	list_push_back(&a, &items[1].link);
	list_push_back(&a, &items[2].link);
	list_push_front(&a, &items[0].link);
	order_is(&a, "abc");
	list_push_back(&b, &items[3].link);
	list_push_back(&b, &items[4].link);
	list_splice(&a, &b);
	order_is(&a, "abcde");
	assert_true(list_is_empty(&b));
	list_splice(&a, &b);
	order_is(&a, "abcde");
	list_for_each(pos, tmp, &a) {
		if (list_entry(pos, struct item, link)->id % 2)
			list_remove(pos);
	}
	order_is(&a, "ace");
	assert_false(list_is_linked(&items[1].link));
	list_remove(&items[1].link);
	assert_ptr_equal(list_pop_front(&a), &items[0].link);
	order_is(&a, "ce");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
