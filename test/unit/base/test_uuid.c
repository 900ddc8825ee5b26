/* SPDX-License-Identifier: Apache-2.0 */
/* Ids: texts known from Kafka, round trips, refused texts, order, the rules for random ones. */
#include "uuid.h"

#include "rng.h"
#include "test_base.h"

static void test_known(void **state)
{
	static const struct {
		const char *text;
		struct uuid id;
	} known[] = {
		{"AAAAAAAAAAAAAAAAAAAAAA", {0, 0}},
		{"AAAAAAAAAAAAAAAAAAAAAQ", {0, 1}},
		{"XyM-jgBc7Mt49CoG31cvBA", {0x5f233e8e005ceccb, 0x78f42a06df572f04}},
		{"y8RJeFkug5Gqwea6-RzCVA", {0xcbc44978592e8391, 0xaac1e6baf91cc254}},
		{"qJttk2BcP-SaJyh375-YGg", {0xa89b6d93605c3fe4, 0x9a272877ef9f981a}},
		{"_____________________w", {UINT64_MAX, UINT64_MAX}},
	};
	char text[UUID_TEXT_LEN + 1];
	struct uuid id;

	(void)state;
	for (size_t i = 0; i < ARRAY_N(known); i++) {
		uuid_format(known[i].id, text);
		assert_string_equal(text, known[i].text);
		assert_int_equal(uuid_parse(str_of(known[i].text), &id), ERR_NONE);
		assert_true(uuid_eq(id, known[i].id));
	}
	assert_int_equal(uuid_parse(STR("XyM-jgBc7Mt49CoG31cvBA=="), &id), ERR_NONE);
	assert_true(uuid_eq(id, known[2].id));
}

static void test_refused(void **state)
{
	static const struct str bad[] = {
		STR(""), STR("A"), STR("AAAAAAAAAAAAAAAAAAAAA"), STR("AAAAAAAAAAAAAAAAAAAAAAA"),
		STR("AAAAAAAAAAAAAAAAAAAAAA="), STR("AAAAAAAAAAAAAAAAAAAAAA=A"),
		STR("AAAAAAAAAAAAAAAAAAAAAAAA"),
		STR("AAAAAAAAAA+AAAAAAAAAAA"), STR("AAAAAAAAAA/AAAAAAAAAAA"), STR("AAAAAAAAAA AAAAAAAAAAA"),
		STR("AAAAAAAAAAAAAAAAAAAAA="), STR("AAAAAAAAAAAAAAAAAAAAAA==="),
		STR("AAAAAAAAAA\xc3" "AAAAAAAAAAA"),
	};
	struct uuid id = {1, 2};

	(void)state;
	for (size_t i = 0; i < ARRAY_N(bad); i++)
		assert_int_equal(uuid_parse(bad[i], &id), ERR_INVALID_TEXT);
	assert_int_equal(uuid_parse(STR_NULL, &id), ERR_INVALID_TEXT);
	assert_true(uuid_eq(id, (struct uuid){1, 2}));
}

static void test_random(void **state)
{
	char text[UUID_TEXT_LEN + 1];
	uint8_t bytes[16];
	struct uuid id, back;
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (int i = 0; i < 20000; i++) {
		id = uuid_random(&rng);
		uuid_format(id, text);
		assert_true(text[0] != '-');
		assert_int_equal(id.hi >> 12 & 15, 4);
		assert_int_equal(id.lo >> 62, 2);
		assert_int_equal(uuid_parse(str_of(text), &back), ERR_NONE);
		assert_true(uuid_eq(id, back));
		uuid_store(bytes, id);
		assert_true(uuid_eq(id, uuid_load(bytes)));
	}
}

static void test_order(void **state)
{
	static const struct uuid up[] = {{0, 0}, {0, 1},          {0, UINT64_MAX},
					 {1, 0}, {UINT64_MAX, 0}, {UINT64_MAX, 1}};
	uint8_t bytes[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_N(up); i++) {
		for (size_t k = 0; k < ARRAY_N(up); k++)
			assert_int_equal(uuid_cmp(up[i], up[k]), (i > k) - (i < k));
	}
	uuid_store(bytes, (struct uuid){0x0102030405060708, 0x090a0b0c0d0e0f10});
	for (int i = 0; i < 16; i++)
		assert_int_equal(bytes[i], i + 1);
	assert_true(uuid_is_zero(UUID_ZERO));
	assert_false(uuid_is_zero(UUID_METADATA_TOPIC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
