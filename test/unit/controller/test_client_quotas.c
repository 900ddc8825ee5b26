/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas are written when they change and only then, all of an entity or nothing; and what clients may change
 * counts. */
#include "controller_world.h"
#include "msg/alter_client_quotas.h"

static struct world w;

/* One value of a client id; NULL value: removed. */
static int16_t alter(const char *client_id, const char *key, const double *value, bool validate_only)
{
	struct alter_client_quotas_request_entries_entity entity;
	struct alter_client_quotas_request_entries_ops op;
	struct alter_client_quotas_request_entries entry;
	struct alter_client_quotas_request request;
	struct alter_client_quotas_response response;

	msg_init(&alter_client_quotas_request_type, &request);
	msg_init(&alter_client_quotas_request_entries_type, &entry);
	msg_init(&alter_client_quotas_request_entries_entity_type, &entity);
	msg_init(&alter_client_quotas_request_entries_ops_type, &op);
	entity.entity_type = STR("client-id");
	entity.entity_name = client_id ? str_of(client_id) : STR_NULL;
	op.key = str_of(key);
	op.value = value ? *value : 0;
	op.remove = !value;
	entry.entity = &entity;
	entry.ops = &op;
	entry.entity_n = entry.ops_n = 1;
	request.entries = &entry;
	request.entries_n = 1;
	request.validate_only = validate_only;
	world_begin(&w);
	assert_int_equal(controller_alter_client_quotas(&w.controller, &request, &response, &w.records, &w.arena),
			 ERR_NONE);
	assert_int_equal(response.entries_n, 1);
	return response.entries[0].error_code;
}

static void test_only_changes_are_written(void **state)
{
	const double ten = 10, twenty = 20, bad = 1.5;
	const struct client_quota_record *record;
	struct quota_part part = {STR("client-id"), STR("a")};
	const struct quota_image *quota;
	double value;

	assert_int_equal(alter("a", "producer_byte_rate", &ten, true), 0);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(alter("a", "producer_byte_rate", &ten, false), 0);
	assert_int_equal(w.records.values.n, 1);
	assert_true(w.records.atomic);
	record = world_record(&w, 0, METADATA_CLIENT_QUOTA_RECORD, 0);
	assert_true(str_eq_c(record->key, "producer_byte_rate"));
	assert_true(record->value == 10);
	world_done(&w);
	assert_int_equal(alter("a", "producer_byte_rate", &ten, false), 0);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(alter("a", "producer_byte_rate", &bad, false), ERR_INVALID_REQUEST);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(alter("a", "producer_byte_rate", &twenty, false), 0);
	world_done(&w);
	quota = image_quota(w.controller.committed, &part, 1);
	assert_non_null(quota);
	assert_true(quota_value(quota, STR("producer_byte_rate"), &value));
	assert_true(value == 20);
	assert_int_equal(alter("a", "consumer_byte_rate", NULL, false), 0);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(alter("a", "producer_byte_rate", NULL, false), 0);
	world_done(&w);
	assert_null(image_quota(w.controller.committed, &part, 1));
	assert_int_equal(image_quotas_n(w.controller.committed), 0);
}

/* The default and an empty name are not the same entity; an empty name is none. */
static void test_default(void **state)
{
	const double ten = 10;
	struct quota_part part = {STR("client-id"), STR_NULL};

	assert_int_equal(alter("", "producer_byte_rate", &ten, false), ERR_INVALID_REQUEST);
	assert_int_equal(alter(NULL, "producer_byte_rate", &ten, false), 0);
	world_done(&w);
	assert_non_null(image_quota(w.controller.committed, &part, 1));
	part.name = STR("");
	assert_null(image_quota(w.controller.committed, &part, 1));
}

static void test_budget(void **state)
{
	struct mutation_budget budget = {.tokens = 3, .is_strict = true};
	struct create_topics_response_topics out;

	w.controller.mutation = &budget;
	assert_int_equal(world_create(&w, "one", 5, 1).error_code, 0);
	assert_true(budget.tokens == -2);
	assert_false(budget.is_over);
	out = world_create(&w, "two", 1, 1);
	assert_int_equal(out.error_code, ERR_THROTTLING_QUOTA_EXCEEDED);
	assert_null(out.error_message.p);
	assert_true(budget.is_over);
	assert_true(budget.tokens == -2);
	budget = (struct mutation_budget){.tokens = -2};
	assert_int_equal(world_create(&w, "three", 1, 1).error_code, 0);
	assert_true(budget.tokens == -3);
	assert_true(budget.is_over);
	w.controller.mutation = NULL;
}

static int open_world(void **state)
{
	world_init(&w, 30);
	world_add_broker(&w, 1);
	return 0;
}

static int close_world(void **state)
{
	world_deinit(&w);
	return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(test_only_changes_are_written), CASE(test_default), CASE(test_budget)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
