/* SPDX-License-Identifier: Apache-2.0 */
/* Map against a naive model: all kinds of key, order, removal during iteration, reuse, no stale keys. */
#include "map.h"

#include "mem.h"
#include "rng.h"
#include "test_base.h"

enum { KEYS = 700 };

/* A value holds its own key text, so that the sanitizer sees a map that keeps a dead value's key. */
struct item {
	uint64_t id;
	char *text;
	struct item *next; /* model: in insertion order */
};

struct model {
	struct item *first;
	uint32_t n;
};

static struct str item_text(struct item *item)
{
	return str_of(item->text);
}

static struct uuid id_uuid(uint64_t id)
{
	/* Half of the ids share each half. */
	return (struct uuid){id % 7, id / 7};
}

static struct item *item_new(uint64_t id)
{
	struct item *item = MEM_NEW(struct item);
	char text[32];
	int n = snprintf(text, sizeof(text), "key-%llu", (unsigned long long)id);

	item->id = id;
	item->text = mem_strdup_n(text, (size_t)n);
	return item;
}

static void item_free(struct item *item)
{
	mem_free(item->text);
	mem_free(item);
}

static void *any_get(struct map *map, struct item *key)
{
	return map->kind == MAP_U64   ? map_get_u64(map, key->id)
	       : map->kind == MAP_STR ? map_get_str(map, item_text(key))
				      : map_get_uuid(map, id_uuid(key->id));
}

static void *any_put(struct map *map, struct item *item)
{
	return map->kind == MAP_U64   ? map_put_u64(map, item->id, item)
	       : map->kind == MAP_STR ? map_put_str(map, item_text(item), item)
				      : map_put_uuid(map, id_uuid(item->id), item);
}

static void *any_remove(struct map *map, struct item *key)
{
	return map->kind == MAP_U64   ? map_remove_u64(map, key->id)
	       : map->kind == MAP_STR ? map_remove_str(map, item_text(key))
				      : map_remove_uuid(map, id_uuid(key->id));
}

static struct item **model_find(struct model *model, uint64_t id)
{
	struct item **p = &model->first;

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

static void same(struct map *map, struct model *model)
{
	struct item *want = model->first;
	struct item *got;

	for (uint32_t it = 0; (got = map_next(map, &it)) != NULL; want = want->next)
		assert_ptr_equal(got, want);
	assert_null(want);
	assert_int_equal(map->n, model->n);
}

static void step_put(struct map *map, struct model *model, uint64_t id)
{
	struct item *item = item_new(id);
	struct item **p = model_find(model, id);
	struct item *before = *p;

	assert_ptr_equal(any_put(map, item), before);
	*p = item;
	if (before) {
		item->next = before->next;
		item_free(before);
	} else {
		model->n++;
	}
}

static void step_remove(struct map *map, struct model *model, uint64_t id)
{
	struct item *key = item_new(id);
	struct item **p = model_find(model, id);
	struct item *item = *p;

	assert_ptr_equal(any_get(map, key), item);
	assert_ptr_equal(any_remove(map, key), item);
	assert_null(any_get(map, key));
	assert_null(any_remove(map, key));
	item_free(key);
	if (item) {
		*p = item->next;
		model->n--;
		item_free(item);
	}
}

/* Removes what the iteration stands on and sometimes another one. */
static void step_sweep(struct map *map, struct model *model, struct rng *rng)
{
	struct item *item;

	for (uint32_t it = 0; (item = map_next(map, &it)) != NULL;) {
		uint64_t other = rng_below(rng, KEYS);

		if (rng_chance(rng, 1, 3))
			step_remove(map, model, item->id);
		else if (rng_chance(rng, 1, 5))
			step_remove(map, model, other);
	}
}

static void run_model(enum map_kind kind)
{
	struct model model = {0};
	struct map map;
	struct rng rng;

	rng_init(&rng, 4 + kind);
	map_init(&map, kind, 99);
	for (int step = 0; step < 12000; step++) {
		uint64_t id = rng_below(&rng, step / 3000 % 2 ? KEYS / 20 : KEYS);

		if (rng_chance(&rng, 3, 5))
			step_put(&map, &model, id);
		else
			step_remove(&map, &model, id);
		if (step % 500 == 0)
			step_sweep(&map, &model, &rng);
		if (step % 100 == 0)
			same(&map, &model);
		assert_true(map.n <= map.used && map.used <= map.cap && map.cap * 2 == map.slots_n);
	}
	while (model.first)
		step_remove(&map, &model, model.first->id);
	same(&map, &model);
	map_deinit(&map);
}

static void test_u64(void **state)
{
	(void)state;
	run_model(MAP_U64);
}

static void test_str(void **state)
{
	(void)state;
	run_model(MAP_STR);
}

static void test_uuid(void **state)
{
	(void)state;
	run_model(MAP_UUID);
}

static void test_zeroed(void **state)
{
	struct map map = {0};

	(void)state;
	assert_null(map_get_u64(&map, 1));
	assert_null(map_get_str(&map, STR("x")));
	assert_null(map_remove_uuid(&map, UUID_ZERO));
	assert_null(map_next(&map, &(uint32_t){0}));
	map_deinit(&map);
}

/* One key put and removed for ever must not grow the tables. */
static void test_churn(void **state)
{
	struct map map;
	int value;

	(void)state;
	map_init(&map, MAP_U64, 1);
	for (uint64_t i = 0; i < 100000; i++) {
		assert_null(map_put_u64(&map, i, &value));
		assert_ptr_equal(map_remove_u64(&map, i), &value);
	}
	assert_true(map.cap <= 8);
	map_deinit(&map);
}

static void test_null_key(void **state)
{
	struct map map;
	int a, b;

	(void)state;
	map_init(&map, MAP_STR, 1);
	assert_null(map_put_str(&map, STR(""), &a));
	assert_null(map_get_str(&map, STR_NULL));
	assert_null(map_put_str(&map, STR_NULL, &b));
	assert_ptr_equal(map_get_str(&map, STR("")), &a);
	assert_ptr_equal(map_get_str(&map, STR_NULL), &b);
	map_deinit(&map);
}

static void body_wrong_kind(void)
{
	struct map map;
	int value;

	map_init(&map, MAP_STR, 1);
	map_put_u64(&map, 1, &value);
}

static void body_null_value(void)
{
	struct map map;

	map_init(&map, MAP_U64, 1);
	map_put_u64(&map, 1, NULL);
}

static void test_misuse(void **state)
{
	(void)state;
	assert_true(aborts(body_wrong_kind));
	assert_true(aborts(body_null_value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_str),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_null_key),
		cmocka_unit_test(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
