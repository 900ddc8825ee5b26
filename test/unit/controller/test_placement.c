/* SPDX-License-Identifier: Apache-2.0 */
/* Placement of replicas: one broker, many, racks, fenced ones. */
#include "controller_world.h"
#include "placement.h"
#include "replay.h"

struct spec {
	int32_t id;
	const char *rack;
	bool fenced;
};

static struct image *image_of(const struct spec *specs, size_t n)
{
	struct image *empty = image_new_empty(), *image;
	struct image_edit *edit = image_edit_begin(empty);
	struct arena arena = {0};
	struct err_text text = {""};

	for (size_t i = 0; i < n; i++) {
		struct register_broker_record record;
		struct bytes value;

		msg_init(&register_broker_record_type, &record);
		record.broker_id = specs[i].id;
		record.rack = str_of(specs[i].rack);
		record.fenced = specs[i].fenced;
		value = metadata_record_encode(METADATA_REGISTER_BROKER_RECORD, 1, &record, &arena);
		assert_int_equal(image_edit_replay(edit, value, &text), ERR_NONE);
	}
	image = image_edit_finish(edit, 1, 1, 0);
	image_unref(empty);
	arena_reset(&arena);
	return image;
}

static const char *rack_of(const struct spec *specs, int32_t id)
{
	while (specs->id != id)
		specs++;
	return specs->rack;
}

static void test_racks(void **state)
{
	static const struct spec specs[] = {{1, "a", false}, {2, "a", false}, {3, "b", false}, {4, "b", true},
					    {5, "c", false}, {6, "c", false}};
	struct image *image = image_of(specs, ARRAY_N(specs));

	for (uint64_t seed = 0; seed < 50; seed++) {
		struct arena arena = {0};
		struct placement *placement;
		int leads[7] = {0};
		struct rng rng;

		rng_init(&rng, seed);
		assert_int_equal(placement_new(image, 3, &rng, &arena, &placement, NULL), ERR_NONE);
		for (int i = 0; i < 60; i++) {
			int32_t ids[3];

			placement_next(placement, ids);
			leads[ids[0]]++;
			assert_string_not_equal(rack_of(specs, ids[0]), rack_of(specs, ids[1]));
			assert_string_not_equal(rack_of(specs, ids[0]), rack_of(specs, ids[2]));
			assert_string_not_equal(rack_of(specs, ids[1]), rack_of(specs, ids[2]));
			for (int k = 0; k < 3; k++)
				assert_int_not_equal(ids[k], 4); /* others do */
		}
		assert_int_equal(leads[1] + leads[2], 20);
		assert_int_equal(leads[3], 20);
		assert_int_equal(leads[5] + leads[6], 20);
		assert_true(leads[1] >= 5 && leads[2] >= 5 && leads[5] >= 5 && leads[6] >= 5);
		arena_reset(&arena);
	}
	image_unref(image);
}

static void test_fenced_last(void **state)
{
	static const struct spec specs[] = {{1, NULL, true}, {2, NULL, false}, {3, NULL, true}};
	struct image *image = image_of(specs, ARRAY_N(specs));
	struct arena arena = {0};
	struct placement *placement;
	struct err_text text = {""};
	struct rng rng;
	int32_t ids[3];

	rng_init(&rng, 3);
	assert_int_equal(placement_new(image, 3, &rng, &arena, &placement, &text), ERR_NONE);
	for (int i = 0; i < 10; i++) {
		placement_next(placement, ids);
		assert_int_equal(ids[0], 2);
		assert_int_equal(ids[1] + ids[2], 4);
	}
	assert_int_equal(placement_new(image, 4, &rng, &arena, &placement, &text), ERR_INVALID_REPLICATION_FACTOR);
	assert_non_null(strstr(text.text, "only 3 broker(s) are registered"));
	image_unref(image);
	image = image_of(specs, 1);
	assert_int_equal(placement_new(image, 1, &rng, &arena, &placement, &text), ERR_INVALID_REPLICATION_FACTOR);
	assert_string_equal(text.text, "All brokers are currently fenced, or have all their log directories cordoned.");
	image_unref(image);
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_racks),
		cmocka_unit_test(test_fenced_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
