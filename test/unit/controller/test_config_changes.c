/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of settings: outcomes and records, as Kafka 4.3.1 answers the same requests. */
#include "config_changes.h"
#include "controller_world.h"

/* Values are numbers; "list" and "log.list" are lists with a default. */
static enum err check_configs(void *ctx, int8_t type, struct str resource, const struct controller_config *configs,
			      size_t n, struct err_text *text)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq_c(configs[i].value, "bad"))
			return err_text_set(text, type == 4 ? ERR_INVALID_REQUEST : ERR_INVALID_CONFIG, "bad %.*s",
					    STR_ARGS(configs[i].name));
	}
	return ERR_NONE;
}

static enum controller_list list_default(void *ctx, int8_t type, struct str key, struct arena *arena, struct str *ret)
{
	if (str_eq_c(key, "nope"))
		return CONTROLLER_LIST_UNKNOWN;
	if (!str_eq_c(key, "list"))
		return CONTROLLER_LIST_NOT;
	*ret = STR("delete");
	return CONTROLLER_LIST_IS;
}

static void setup(struct world *w)
{
	world_init(w, 30);
	world_add_broker(w, 1);
	w->controller.defaults.check_configs = check_configs;
	w->controller.defaults.list_default = list_default;
	world_create(w, "t", 1, 1);
}

static void alter(struct world *w, struct resource_change *resources, int32_t n, bool replaces, bool validate_only)
{
	struct resource_changes changes = {resources, n, replaces, validate_only};

	world_begin(w);
	resource_changes_check(&changes, 1, 7, &w->arena);
	assert_int_equal(controller_alter_configs(&w->controller, &changes, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	for (int32_t i = 0; i < n; i++)
		assert_true(resources[i].is_done);
}

static struct resource_change alter_one(struct world *w, int8_t type, const char *name, const char *key, int8_t op,
					const char *value)
{
	struct config_change change = {str_of(key), op, value ? str_of(value) : STR_NULL};
	struct resource_change resource = {.type = type, .name = str_of(name), .changes = &change, .changes_n = 1};

	alter(w, &resource, 1, false, false);
	return resource;
}

static void check_refused(const struct resource_change *resource, enum err err, const char *text)
{
	assert_int_equal(resource->err, err);
	if (!text)
		assert_null(resource->message.p);
	else if (!str_eq_c(resource->message, text))
		fail_msg("\"%.*s\", not \"%s\"", STR_ARGS(resource->message), text);
}

/* NULL: not set. */
static void check_value(struct world *w, int8_t type, const char *name, const char *key, const char *expected)
{
	struct str value;
	bool is_set = image_config(w->controller.committed, type, str_of(name), str_of(key), &value);

	assert_int_equal(is_set, expected != NULL);
	if (expected && !str_eq_c(value, expected))
		fail_msg("%s is \"%.*s\", not \"%s\"", key, STR_ARGS(value), expected);
}

static void test_refused(void **state)
{
	static const struct {
		int8_t type;
		const char *name, *key;
		int8_t op;
		const char *value;
		enum err err;
		const char *text;
	} cases[] = {
		{2, "nope", "a", 0, "1", ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic 'nope' does not exist."},
		{2, "nope", "a", 0, "bad", ERR_INVALID_CONFIG, "bad a"},
		{2, "", "a", 0, "1", ERR_INVALID_REQUEST, "Default topic resources are not allowed."},
		{2, "a b", "a", 0, "1", ERR_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: 'a b' contains one or "
		 "more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{2, "t", "a", 0, NULL, ERR_INVALID_REQUEST, "Null value not supported for : a"},
		{2, "t", "a", 2, NULL, ERR_INVALID_REQUEST, "Null value not supported for : a"},
		{2, "t", "a", 0, "bad", ERR_INVALID_CONFIG, "bad a"},
		{2, "t", "nope", 2, "x", ERR_INVALID_CONFIG, "Can't APPEND to key nope because its type is not LIST."},
		{2, "t", "a", 3, "x", ERR_INVALID_CONFIG, "Can't SUBTRACT to key a because its type is not LIST."},
		{2, "t", "a", 9, "1", ERR_UNKNOWN_SERVER_ERROR, NULL},
		{0, "t", "a", 0, "1", ERR_INVALID_REQUEST, "Unknown resource type 0"},
		{99, "t", "a", 0, "1", ERR_INVALID_REQUEST, "Unknown resource type 99"},
		{4, "x", "a", 0, "1", ERR_INVALID_REQUEST, "Node id must be an integer, but it is: x"},
		{4, "77", "a", 0, "1", ERR_INVALID_REQUEST, "Unexpected broker id, expected 1, but received 77"},
		{4, "1", "a", 0, "bad", ERR_INVALID_REQUEST, "bad a"},
		{4, "1", "nope", 2, "x", ERR_INVALID_CONFIG, "Unknown config name: nope"},
		{4, "", "a", 2, "x", ERR_INVALID_CONFIG, "Config value append is not allowed for config key: a"},
		{4, "", "a", 3, "x", ERR_INVALID_CONFIG, "Config value subtract is not allowed for config key: a"},
		{4, "", "a", 9, "x", ERR_INVALID_REQUEST, "Unknown operations type 9"},
		{4, "1", "min.insync.replicas", 0, "1", ERR_INVALID_CONFIG,
		 "Broker-level min.insync.replicas cannot be altered while ELR is enabled."},
		{4, "1", "min.insync.replicas", 1, NULL, ERR_INVALID_CONFIG,
		 "Broker-level min.insync.replicas cannot be altered while ELR is enabled."},
		{4, "", "min.insync.replicas", 1, NULL, ERR_INVALID_CONFIG,
		 "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."},
		{32, "", "a", 0, "1", ERR_INVALID_REQUEST, "Default group resources are not allowed."},
		{32, "g", "a", 2, "1", ERR_INVALID_CONFIG, "Can't APPEND to key a because its type is not LIST."},
		{16, "", "a", 0, "1", ERR_INVALID_REQUEST, "Subscription name can't be empty"},
		{8, "", "root", 0, "INFO", ERR_INVALID_REQUEST, "Node id must be an integer, but it is: "},
		{8, "7", "root", 0, "INFO", ERR_INVALID_REQUEST, "Unexpected node id. Expected 1, but received 7"},
	};
	struct world w;

	setup(&w);
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct resource_change out = alter_one(&w, cases[i].type, cases[i].name, cases[i].key, cases[i].op,
						       cases[i].value);

		check_refused(&out, cases[i].err, cases[i].text);
		assert_int_equal(w.records.values.n, 0);
	}
	world_deinit(&w);
}

static void test_set_and_delete(void **state)
{
	struct world w;
	const struct config_record *record;

	setup(&w);
	check_refused(&(struct resource_change[]){alter_one(&w, 2, "t", "a", 0, "5")}[0], ERR_NONE, NULL);
	assert_int_equal(w.records.values.n, 1);
	record = world_record(&w, 0, METADATA_CONFIG_RECORD, 0);
	assert_int_equal(record->resource_type, 2);
	assert_true(str_eq_c(record->resource_name, "t"));
	assert_true(str_eq_c(record->name, "a"));
	assert_true(str_eq_c(record->value, "5"));
	check_value(&w, 2, "t", "a", "5");
	alter_one(&w, 2, "t", "a", 0, "5");
	assert_int_equal(w.records.values.n, 0); /* as it is */
	alter_one(&w, 2, "t", "b", 1, NULL);
	assert_int_equal(w.records.values.n, 0);
	alter_one(&w, 2, "t", "a", 1, "ignored");
	assert_int_equal(w.records.values.n, 1);
	check_value(&w, 2, "t", "a", NULL);
	/* A broker's are always written: files that they name are read again. */
	alter_one(&w, 4, "1", "a", 0, "5");
	alter_one(&w, 4, "1", "a", 0, "5");
	assert_int_equal(w.records.values.n, 1);
	alter_one(&w, 4, "1", "b", 1, NULL);
	assert_int_equal(w.records.values.n, 1);
	check_value(&w, 4, "1", "a", "5");
	world_deinit(&w);
}

static void test_lists(void **state)
{
	static const struct {
		int8_t op;
		const char *value, *expected;
	} steps[] = {
		{2, "compact", "delete,compact"}, {2, "compact", "delete,compact"}, {3, "delete", "compact"},
		{3, "compact,delete", ""}, {2, "a,b,b", "a,b"}, {2, "", "a,b,"}, {2, "c,,", "a,b,c"},
		{2, ",", "a,b,c"}, {3, "b,", "a,c"}, {0, "x,x,y", "x,x,y"}, {3, "x", "x,y"}, {3, "x,x", "y"},
		{1, NULL, NULL}, {3, "delete", ""},
	};
	struct world w;

	setup(&w);
	for (size_t i = 0; i < ARRAY_N(steps); i++) {
		struct resource_change out = alter_one(&w, 2, "t", "list", steps[i].op, steps[i].value);

		check_refused(&out, ERR_NONE, NULL);
		check_value(&w, 2, "t", "list", steps[i].expected);
	}
	world_deinit(&w);
}

static void test_long_list(void **state)
{
	static char text[20001];
	struct world w;
	struct resource_change out;

	setup(&w);
	memset(text, 'x', sizeof(text) - 1);
	alter_one(&w, 2, "t", "list", 0, text);
	text[0] = 'y';
	out = alter_one(&w, 2, "t", "list", 2, text);
	check_refused(&out, ERR_INVALID_CONFIG, "The configuration value cannot be added because it exceeds the "
		      "maximum value size of 32767 bytes.");
	world_deinit(&w);
}

static void test_replace(void **state)
{
	struct config_change first[] = {{STR("a"), 0, STR("1")}, {STR("b"), 0, STR("2")}};
	struct config_change second[] = {{STR("b"), 0, STR("2")}, {STR("c"), 0, STR("3")}};
	struct resource_change resource = {.type = 2, .name = STR("t"), .changes = first, .changes_n = 2};
	struct resource_change again = {.type = 2, .name = STR("t"), .changes = second, .changes_n = 2};
	struct resource_change nothing = {.type = 2, .name = STR("t")};
	struct resource_change cluster = {.type = 4, .name = STR("")};
	struct resource_change logger = {.type = 8, .name = STR("1")};
	struct world w;

	setup(&w);
	alter(&w, &resource, 1, true, false);
	assert_int_equal(w.records.values.n, 2);
	alter(&w, &(struct resource_change){.type = 2, .name = STR("t"), .changes = second, .changes_n = 2}, 1, true,
	      true);
	assert_int_equal(w.records.values.n, 0);
	check_value(&w, 2, "t", "a", "1");
	alter(&w, &again, 1, true, false);
	assert_int_equal(w.records.values.n, 2);
	check_value(&w, 2, "t", "a", NULL);
	check_value(&w, 2, "t", "b", "2");
	check_value(&w, 2, "t", "c", "3");
	alter(&w, &nothing, 1, true, false);
	check_value(&w, 2, "t", "b", NULL);
	alter(&w, &cluster, 1, true, false);
	check_refused(&cluster, ERR_INVALID_CONFIG,
		      "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
	alter(&w, &logger, 1, true, false);
	check_refused(&logger, ERR_INVALID_REQUEST, "Unknown resource type 8");
	world_deinit(&w);
}

/* Each resource has its own outcome, but for what stands there twice. */
static void test_many(void **state)
{
	struct config_change a = {STR("a"), 0, STR("1")}, bad = {STR("a"), 0, STR("bad")};
	struct config_change twice[] = {{STR("a"), 0, STR("1")}, {STR("a"), 1, STR_NULL}};
	struct resource_change resources[] = {
		{.type = 2, .name = STR("t"), .changes = &a, .changes_n = 1},
		{.type = 2, .name = STR("u"), .changes = &a, .changes_n = 1},
		{.type = 16, .name = STR("m"), .changes = &bad, .changes_n = 1},
		{.type = 32, .name = STR("t"), .changes = &a, .changes_n = 1},
		{.type = 4, .name = STR(""), .changes = twice, .changes_n = 2},
		{.type = 32, .name = STR("g"), .changes = &a, .changes_n = 1},
		{.type = 32, .name = STR("g"), .changes = &a, .changes_n = 1},
		{.type = 32, .name = STR("g"), .changes = &bad, .changes_n = 1},
	};
	struct world w;

	setup(&w);
	alter(&w, resources, ARRAY_N(resources), false, false);
	check_refused(&resources[0], ERR_NONE, NULL);
	check_refused(&resources[1], ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic 'u' does not exist.");
	check_refused(&resources[2], ERR_INVALID_CONFIG, "bad a");
	check_refused(&resources[3], ERR_NONE, NULL);
	check_refused(&resources[4], ERR_INVALID_REQUEST, "Error due to duplicate config keys");
	for (int i = 5; i < 8; i++)
		check_refused(&resources[i], ERR_INVALID_REQUEST, "Each resource must appear at most once.");
	assert_int_equal(w.records.values.n, 2);
	assert_true(w.records.atomic);
	world_deinit(&w);
}

/* Eligible leader replicas were so under the setting before. */
static void test_min_isr_clears_elr(void **state)
{
	struct world w;
	const struct clear_elr_record *record;

	setup(&w);
	alter_one(&w, 2, "t", "min.insync.replicas", 0, "2");
	assert_int_equal(w.records.values.n, 2);
	record = world_record(&w, 1, METADATA_CLEAR_ELR_RECORD, 0);
	assert_true(str_eq_c(record->topic_name, "t"));
	alter_one(&w, 4, "", "min.insync.replicas", 0, "2");
	record = world_record(&w, 1, METADATA_CLEAR_ELR_RECORD, 0);
	assert_int_equal(record->topic_name.len, 0);
	world_deinit(&w);
	world_init(&w, 23); /* without them */
	world_add_broker(&w, 1);
	alter_one(&w, 4, "", "min.insync.replicas", 0, "2");
	assert_int_equal(w.records.values.n, 1);
	alter_one(&w, 4, "1", "min.insync.replicas", 0, "2");
	assert_int_equal(w.records.values.n, 1);
	world_deinit(&w);
}

static void test_excessive(void **state)
{
	static char names[10001][8];
	static struct config_change changes[10001];
	struct resource_change resource = {.type = 2, .name = STR("t"), .changes = changes, .changes_n = 10001};
	struct world w;

	setup(&w);
	for (int i = 0; i < 10001; i++) {
		snprintf(names[i], sizeof(names[i]), "%d", i);
		changes[i] = (struct config_change){str_of(names[i]), 0, STR("1")};
	}
	alter(&w, &resource, 1, false, false);
	check_refused(&resource, ERR_POLICY_VIOLATION, "Unable to perform excessively large batch operation.");
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_set_and_delete),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_min_isr_clears_elr),
		cmocka_unit_test(test_excessive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
