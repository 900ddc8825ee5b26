/* SPDX-License-Identifier: Apache-2.0 */
/* The persistent map against a sorted array: contents, order, differences, and that copies never change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mem.h"
#include "pmap.h"
#include "rng.h"

#define KEYS 300
#define COPIES 8

struct number {
	struct pmap_item item;
	int key;
	int value;
};

static int live;

static struct number *number_of(const struct pmap_item *item)
{
	return container_of((struct pmap_item *)item, struct number, item);
}

static int number_cmp_key(const void *key, const struct pmap_item *item)
{
	return *(const int *)key - number_of(item)->key;
}

static int number_cmp(const struct pmap_item *a, const struct pmap_item *b)
{
	return number_of(a)->key - number_of(b)->key;
}

static void number_free(struct pmap_item *item)
{
	live--;
	mem_free(number_of(item));
}

static const struct pmap_class number_class = {number_cmp_key, number_cmp, number_free};

static struct number *number_new(int key, int value)
{
	struct number *number = MEM_NEW(struct number);

	live++;
	number->key = key;
	number->value = value;
	return number;
}

/* values[key], -1 for none */
struct model {
	struct pmap map;
	int values[KEYS];
};

static void model_check(const struct model *model)
{
	struct pmap_item *item = NULL;
	int n = 0, last = -1;

	pmap_check(&model->map);
	for (int key = 0; key < KEYS; key++) {
		struct pmap_item *found = pmap_get(&model->map, &key);

		assert_int_equal(found ? number_of(found)->value : -1, model->values[key]);
		n += found != NULL;
	}
	assert_int_equal(model->map.n, n);
	while ((item = pmap_next(&model->map, item ? &last : NULL)) != NULL) {
		assert_true(number_of(item)->key > last);
		last = number_of(item)->key;
		n--;
	}
	assert_int_equal(n, 0);
}

static void model_change(struct model *model, struct rng *rng)
{
	int key = (int)rng_below(rng, KEYS), value = (int)rng_below(rng, 1000);
	struct pmap_item **slot;

	switch (rng_below(rng, 4)) {
	case 0:
		assert_int_equal(pmap_remove(&model->map, &key), model->values[key] >= 0);
		model->values[key] = -1;
		break;
	case 1: /* replace in place */
		slot = pmap_own(&model->map, &key);
		assert_int_equal(slot != NULL, model->values[key] >= 0);
		if (slot) {
			struct number *number = number_new(key, value);

			number->item.refs = 1;
			pmap_item_unref(&number_class, *slot);
			*slot = &number->item;
			model->values[key] = value;
		}
		break;
	default:
		pmap_put(&model->map, &number_new(key, value)->item);
		model->values[key] = value;
	}
}

struct diff {
	const struct model *a, *b;
	int last;
	int n;
};

static bool diff_one(void *ctx, struct pmap_item *a, struct pmap_item *b)
{
	struct diff *diff = ctx;
	int key = number_of(a ? a : b)->key;

	assert_true(a != b);
	assert_true(key > diff->last);
	assert_ptr_equal(a, pmap_get(&diff->a->map, &key));
	assert_ptr_equal(b, pmap_get(&diff->b->map, &key));
	diff->last = key;
	diff->n++;
	return true;
}

static void diff_check(const struct model *a, const struct model *b)
{
	struct diff diff = {a, b, -1, 0};
	int n = 0;

	assert_true(pmap_diff(&a->map, &b->map, diff_one, &diff));
	for (int key = 0; key < KEYS; key++)
		n += pmap_get(&a->map, &key) != pmap_get(&b->map, &key);
	assert_int_equal(diff.n, n);
}

static void test_random(void **state)
{
	static struct model models[COPIES];
	struct rng rng;

	rng_init(&rng, 7);
	for (int i = 0; i < COPIES; i++) {
		models[i].map = (struct pmap){.class = &number_class};
		for (int key = 0; key < KEYS; key++)
			models[i].values[key] = -1;
	}
	for (int round = 0; round < 400; round++) {
		struct model *to = &models[rng_below(&rng, COPIES)], *from = &models[rng_below(&rng, COPIES)];

		if (to != from) {
			pmap_clear(&to->map);
			*to = *from;
			to->map = pmap_copy(&from->map);
		}
		for (uint64_t i = rng_below(&rng, 60); i > 0; i--)
			model_change(to, &rng);
		for (int i = 0; i < COPIES; i++)
			model_check(&models[i]);
		diff_check(to, &models[rng_below(&rng, COPIES)]);
	}
	for (int i = 0; i < COPIES; i++)
		pmap_clear(&models[i].map);
	assert_int_equal(live, 0);
}

static void test_depth(void **state)
{
	struct pmap map = {.class = &number_class};

	for (int i = 0; i < 5000; i++)
		pmap_put(&map, &number_new(i, i)->item);
	pmap_check(&map);
	for (int i = 0; i < 5000; i += 2)
		assert_true(pmap_remove(&map, &i));
	pmap_check(&map);
	assert_int_equal(map.n, 2500);
	pmap_clear(&map);
	assert_int_equal(live, 0);
}

static bool count_one(void *ctx, struct pmap_item *a, struct pmap_item *b)
{
	++*(int *)ctx;
	return true;
}

static bool stop_one(void *ctx, struct pmap_item *a, struct pmap_item *b)
{
	++*(int *)ctx;
	return false;
}

static void test_shared_is_skipped(void **state)
{
	struct pmap a = {.class = &number_class}, b;
	int n = 0, key = 1234;

	for (int i = 0; i < 5000; i++)
		pmap_put(&a, &number_new(i, i)->item);
	b = pmap_copy(&a);
	assert_true(pmap_diff(&a, &b, count_one, &n));
	assert_int_equal(n, 0);
	assert_true(pmap_remove(&b, &key));
	pmap_put(&b, &number_new(4321, -4)->item);
	assert_true(pmap_diff(&a, &b, count_one, &n));
	assert_int_equal(n, 2);
	assert_false(pmap_diff(&a, &b, stop_one, &n));
	assert_int_equal(n, 3);
	pmap_clear(&a);
	assert_int_equal(pmap_get(&b, &(int){4321})->refs, 1);
	pmap_clear(&b);
	assert_int_equal(live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_shared_is_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
