/* SPDX-License-Identifier: Apache-2.0 */
/* Creating and deleting topics: the records, and codes and texts as Kafka 4.3.1 answers the same requests. */
#include "controller_world.h"

#define NAME_50 "12345678901234567890123456789012345678901234567890"
#define NAMES_249 NAME_50 NAME_50 NAME_50 NAME_50 "1234567890123456789012345678901234567890123456789"

static void setup(struct world *w)
{
	world_init(w, 30);
	world_add_broker(w, 1);
}

static void test_create_records(void **state)
{
	struct world w;
	struct create_topics_response_topics out;
	const struct topic_record *topic;
	const struct partition_record *partition;
	const struct topic_image *image;

	setup(&w);
	out = world_create(&w, "alpha", 2, -1);
	assert_int_equal(out.error_code, 0);
	assert_null(out.error_message.p);
	assert_int_equal(out.num_partitions, 2);
	assert_int_equal(out.replication_factor, 1);
	assert_int_equal(out.configs_n, 0);
	assert_true(w.records.atomic);
	assert_int_equal(w.records.values.n, 3);
	topic = world_record(&w, 0, METADATA_TOPIC_RECORD, 0);
	assert_true(str_eq_c(topic->name, "alpha"));
	assert_true(uuid_eq(topic->topic_id, out.topic_id));
	partition = world_record(&w, 2, METADATA_PARTITION_RECORD, 2);
	assert_int_equal(partition->partition_id, 1);
	assert_int_equal(partition->leader, 1);
	assert_int_equal(partition->leader_epoch, 0);
	assert_int_equal(partition->partition_epoch, 0);
	assert_int_equal(partition->isr_n, 1);
	assert_int_equal(partition->isr[0], 1);
	assert_int_equal(partition->directories_n, 1);
	assert_true(uuid_eq(partition->directories[0], (struct uuid){100, 1001}));
	assert_int_equal(partition->eligible_leader_replicas_n, -1);
	image = image_topic(w.controller.committed, STR("alpha"));
	assert_non_null(image);
	assert_int_equal(image->partitions_n, 2);
	world_deinit(&w);
}

/* Old levels have older records. */
static void test_create_old_version(void **state)
{
	struct world w;

	world_init(&w, 17);
	world_add_broker(&w, 1);
	world_create(&w, "alpha", 1, 1);
	world_record(&w, 1, METADATA_PARTITION_RECORD, 1);
	world_deinit(&w);
	world_init(&w, 7);
	world_add_broker(&w, 1);
	world_create(&w, "alpha", 1, 1);
	world_record(&w, 1, METADATA_PARTITION_RECORD, 0);
	world_deinit(&w);
}

static void test_create_default_partitions(void **state)
{
	struct world w;

	setup(&w);
	assert_int_equal(world_create(&w, "alpha", -1, -1).num_partitions, 3);
	assert_int_equal(w.records.values.n, 4);
	world_deinit(&w);
}

static void test_create_refused(void **state)
{
	static const struct {
		const char *name;
		int32_t partitions;
		int16_t replicas;
		int16_t code;
		const char *text;
	} cases[] = {
		{"", 1, 1, 17, "Topic name is invalid: the empty string is not allowed"},
		{".", 1, 1, 17, "Topic name is invalid: '.' is not allowed"},
		{"..", 1, 1, 17, "Topic name is invalid: '..' is not allowed"},
		{NAMES_249, 1, 1, 0, NULL},
		{NAMES_249 "x", 1, 1, 17,
		 "Topic name is invalid: the length of '" NAMES_249 "x' is longer than the max allowed length 249"},
		{"sp ace", 1, 1, 17, "Topic name is invalid: 'sp ace' contains one or more characters other than ASCII "
		 "alphanumerics, '.', '_' and '-'"},
		{"alpha", 1, 1, 36, "Topic 'alpha' already exists."},
		{"a_b", 1, 1, 17, "Topic 'a_b' collides with existing topic: a.b"},
		{"a.b.c.d_e.f_h", 1, 1, 17, "Topic 'a.b.c.d_e.f_h' collides with existing topic: a_b_c_d_e_f_h"},
		{"a.b.c.d_e.f_i", 1, 1, 0, NULL},
		{"q", 0, 1, 37, "Number of partitions was set to an invalid non-positive value."},
		{"q", -5, 1, 37, "Number of partitions was set to an invalid non-positive value."},
		{"q", 1, 0, 38, "Replication factor must be larger than 0, or -1 to use the default value."},
		{"q", 1, -3, 38, "Replication factor must be larger than 0, or -1 to use the default value."},
		{"q", 1, 5, 38, "Unable to replicate the partition 5 time(s): The target replication factor of 5 "
		 "cannot be reached because only 1 broker(s) are registered or some brokers have all their log "
		 "directories cordoned."},
		{"q", 20000, 1, 44, "Excessively large number of partitions per request."},
		{"q", INT32_MAX, 1, 44, "Excessively large number of partitions per request."},
	};
	struct world w;

	setup(&w);
	world_create(&w, "alpha", 1, 1);
	world_create(&w, "a.b", 1, 1);
	world_create(&w, "a_b_c_d_e_f_h", 1, 1);
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct create_topics_response_topics out = world_create(&w, cases[i].name, cases[i].partitions,
									 cases[i].replicas);

		assert_int_equal(out.error_code, cases[i].code);
		assert_true(str_eq(out.error_message, str_of(cases[i].text)));
		assert_int_equal(w.records.values.n == 0, cases[i].code != 0);
		assert_true(str_eq_c(out.name, cases[i].name));
	}
	world_deinit(&w);
}

struct assignment {
	int32_t index;
	int32_t n;
	int32_t brokers[3];
};

static struct create_topics_response_topics create_by_hand(struct world *w, int32_t partitions, int16_t replicas,
							    const struct assignment *list, int32_t n)
{
	struct create_topics_request in;
	struct create_topics_response out;
	struct create_topics_request_topics topic;

	msg_init(&create_topics_request_type, &in);
	msg_init(&create_topics_request_topics_type, &topic);
	topic.name = STR("q");
	topic.num_partitions = partitions;
	topic.replication_factor = replicas;
	topic.assignments = MSG_NEW_N(&w->arena, create_topics_request_topics_assignments, n);
	topic.assignments_n = n;
	for (int32_t i = 0; i < n; i++) {
		topic.assignments[i].partition_index = list[i].index;
		topic.assignments[i].broker_ids = (int32_t *)list[i].brokers;
		topic.assignments[i].broker_ids_n = list[i].n;
	}
	in.topics = &topic;
	in.topics_n = 1;
	in.validate_only = true;
	world_begin(w);
	assert_int_equal(controller_create_topics(&w->controller, 7, &in, &out, &w->records, &w->arena), ERR_NONE);
	assert_int_equal(w->records.values.n, 0);
	return out.topics[0];
}

static void test_create_by_hand(void **state)
{
	static const struct {
		int32_t partitions;
		int16_t replicas;
		int16_t code;
		const char *text;
		int32_t n;
		struct assignment list[2];
	} cases[] = {
		{-1, -1, 0, NULL, 2, {{1, 1, {1}}, {0, 1, {2}}}},
		{2, -1, 42, "A manual partition assignment was specified, but numPartitions was not set to -1.", 1,
		 {{0, 1, {1}}}},
		{-1, 2, 42, "A manual partition assignment was specified, but replication factor was not set to -1.", 1,
		 {{0, 1, {1}}}},
		{-1, -1, 39, "Found multiple manual partition assignments for partition 0", 2,
		 {{0, 1, {1}}, {0, 1, {1}}}},
		{-1, -1, 39, "partitions should be a consecutive 0-based integer sequence", 1, {{1, 1, {1}}}},
		{-1, -1, 39, "partitions should be a consecutive 0-based integer sequence", 1, {{-1, 1, {1}}}},
		{-1, -1, 39, "partitions should be a consecutive 0-based integer sequence", 2,
		 {{0, 1, {1}}, {INT32_MAX, 1, {1}}}},
		{-1, -1, 39, "The manual partition assignment includes an empty replica list.", 1, {{0, 0, {0}}}},
		{-1, -1, 39, "The manual partition assignment includes the broker 1 more than once.", 1,
		 {{0, 2, {1, 1}}}},
		{-1, -1, 39, "The manual partition assignment includes broker 9, but no such broker is registered.", 1,
		 {{0, 1, {9}}}},
		{-1, -1, 39, "The manual partition assignment includes broker 9, but no such broker is registered.", 2,
		 {{0, 1, {1}}, {1, 2, {1, 9}}}},
		{-1, -1, 39, "The manual partition assignment includes a partition with 2 replica(s), but this is not "
		 "consistent with previous partitions, which have 1 replica(s).", 2, {{0, 1, {1}}, {1, 2, {1, 2}}}},
		{-1, -1, 39, "All brokers specified in the manual partition assignment for partition 0 are fenced "
		 "or in controlled shutdown.", 1, {{0, 1, {3}}}},
	};
	struct world w;

	setup(&w);
	world_add_broker(&w, 2);
	assert_int_equal(world_register(&w, 3, (struct uuid){9, 3}, -1, NULL), 0); /* stays fenced */
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct create_topics_response_topics out =
			create_by_hand(&w, cases[i].partitions, cases[i].replicas, cases[i].list, cases[i].n);

		if (out.error_code != cases[i].code || !str_eq(out.error_message, str_of(cases[i].text)))
			fail_msg("case %zu: %d %.*s", i, out.error_code, STR_ARGS(out.error_message));
		if (!out.error_code) {
			assert_int_equal(out.num_partitions, 2);
			assert_false(uuid_is_zero(out.topic_id));
		}
	}
	world_deinit(&w);
}

/* Names that stand twice, and the metadata topic, are answered at the end; of two new names that collide both pass. */
static void test_create_many(void **state)
{
	static const struct {
		const char *name;
		int16_t code;
		const char *text;
	} want[] = {
		{"a1", 0, NULL},
		{"a.b", 0, NULL},
		{"a_b", 0, NULL},
		{"dup", 42, "Duplicate topic name."},
		{"__cluster_metadata", 42, "Creation of internal topic __cluster_metadata is prohibited."},
	};
	static const char *const names[] = {"a1", "dup", "dup", "dup", "__cluster_metadata", "a.b", "a_b"};
	struct create_topics_request in;
	struct create_topics_response out;
	struct world w;

	setup(&w);
	msg_init(&create_topics_request_type, &in);
	in.topics = MSG_NEW_N(&w.arena, create_topics_request_topics, ARRAY_N(names));
	in.topics_n = ARRAY_N(names);
	for (size_t i = 0; i < ARRAY_N(names); i++) {
		in.topics[i].name = str_of(names[i]);
		in.topics[i].num_partitions = 1;
		in.topics[i].replication_factor = 1;
	}
	world_begin(&w);
	assert_int_equal(controller_create_topics(&w.controller, 7, &in, &out, &w.records, &w.arena), ERR_NONE);
	world_done(&w);
	assert_int_equal(out.topics_n, ARRAY_N(want));
	for (size_t i = 0; i < ARRAY_N(want); i++) {
		assert_true(str_eq_c(out.topics[i].name, want[i].name));
		assert_int_equal(out.topics[i].error_code, want[i].code);
		assert_true(str_eq(out.topics[i].error_message, str_of(want[i].text)));
	}
	assert_int_equal(w.controller.committed->topics_n, 3);
	world_deinit(&w);
}

/* More partitions than one operation may write: nothing at all is done. */
static void test_create_excessive(void **state)
{
	struct create_topics_request in;
	struct create_topics_response out;
	struct world w;

	setup(&w);
	msg_init(&create_topics_request_type, &in);
	in.topics = MSG_NEW_N(&w.arena, create_topics_request_topics, 2);
	in.topics_n = 2;
	in.topics[0].name = STR("p0");
	in.topics[1].name = STR("p1");
	in.topics[0].num_partitions = in.topics[1].num_partitions = 5000;
	in.topics[0].replication_factor = in.topics[1].replication_factor = 1;
	world_begin(&w);
	assert_int_equal(controller_create_topics(&w.controller, 7, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(w.records.values.n, 10002);
	assert_int_equal(out.topics[1].error_code, 0);
	in.topics[0].num_partitions++;
	world_begin(&w);
	assert_int_equal(controller_create_topics(&w.controller, 7, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(out.topics[1].error_code, 44);
	assert_true(str_eq_c(out.topics[1].error_message, "Excessively large number of partitions per request."));
	in.topics[0].num_partitions = 1;
	in.topics[0].configs = MSG_NEW_N(&w.arena, create_topics_request_topics_configs, 40000);
	in.topics[0].configs_n = 40000;
	for (int32_t i = 0; i < in.topics[0].configs_n; i++) {
		in.topics[0].configs[i].name = STR("key");
		in.topics[0].configs[i].value = STR("value");
	}
	world_begin(&w);
	assert_int_equal(controller_create_topics(&w.controller, 7, &in, &out, &w.records, &w.arena), ERR_NONE);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(out.topics_n, 2);
	assert_int_equal(out.topics[1].error_code, 44);
	assert_true(str_eq_c(out.topics[1].error_message, "Unable to perform excessively large batch operation."));
	world_deinit(&w);
}

/* ---- settings ---- */

static enum err check_configs(void *ctx, int8_t type, struct str resource, const struct controller_config *configs,
			      size_t n, struct err_text *text)
{
	for (size_t i = 0; i < n; i++) {
		if (!str_eq_c(configs[i].name, "good"))
			return err_text_set(text, ERR_INVALID_CONFIG, "Unknown topic config name: %.*s",
					    STR_ARGS(configs[i].name));
	}
	return ERR_NONE;
}

static void effective_configs(void *ctx, const struct controller_config *configs, size_t n, struct arena *arena,
			      struct create_topics_response_topics_configs **ret, int32_t *ret_n)
{
	*ret = MSG_NEW_N(arena, create_topics_response_topics_configs, (int64_t)n + 1);
	*ret_n = (int32_t)n + 1;
	(*ret)[0].name = STR("default");
}

static struct create_topics_response_topics create_with(struct world *w, int16_t version, const char *name,
							 const char *key)
{
	struct create_topics_request in;
	struct create_topics_response out;
	struct create_topics_request_topics topic;
	struct create_topics_request_topics_configs config;

	msg_init(&create_topics_request_type, &in);
	msg_init(&create_topics_request_topics_type, &topic);
	msg_init(&create_topics_request_topics_configs_type, &config);
	config.name = str_of(key);
	config.value = STR("5");
	topic.name = str_of(name);
	topic.num_partitions = 1;
	topic.replication_factor = 1;
	topic.configs = &config;
	topic.configs_n = 1;
	in.topics = &topic;
	in.topics_n = 1;
	world_begin(w);
	assert_int_equal(controller_create_topics(&w->controller, version, &in, &out, &w->records, &w->arena),
			 ERR_NONE);
	world_done(w);
	return out.topics[0];
}

static void test_create_settings(void **state)
{
	struct world w;
	struct create_topics_response_topics out;
	const struct config_record *config;
	struct str value;

	setup(&w);
	w.controller.defaults.check_configs = check_configs;
	w.controller.defaults.effective_configs = effective_configs;
	out = create_with(&w, 7, "q", "nosuch");
	assert_int_equal(out.error_code, 40);
	assert_true(str_eq_c(out.error_message, "Unknown topic config name: nosuch"));
	assert_int_equal(w.records.values.n, 0);
	out = create_with(&w, 7, "q", "good");
	assert_int_equal(out.error_code, 0);
	assert_int_equal(out.configs_n, 2);
	config = world_record(&w, 1, METADATA_CONFIG_RECORD, 0); /* behind the topic, before its partitions */
	assert_int_equal(config->resource_type, 2);
	assert_true(str_eq_c(config->resource_name, "q"));
	world_record(&w, 2, METADATA_PARTITION_RECORD, 2);
	assert_true(image_config(w.controller.committed, 2, STR("q"), STR("good"), &value));
	assert_true(str_eq_c(value, "5"));
	out = create_with(&w, 4, "r", "good");
	assert_int_equal(out.configs_n, 0);
	world_deinit(&w);
}

/* ---- deleting ---- */

struct doomed {
	const char *name;
	struct uuid id;
};

static struct delete_topics_response delete_topics(struct world *w, const struct doomed *list, int32_t n)
{
	struct delete_topics_request in;
	struct delete_topics_response out;

	msg_init(&delete_topics_request_type, &in);
	in.topics = MSG_NEW_N(&w->arena, delete_topics_request_topics, n);
	in.topics_n = n;
	for (int32_t i = 0; i < n; i++) {
		in.topics[i].name = str_of(list[i].name);
		in.topics[i].topic_id = list[i].id;
	}
	world_begin(w);
	assert_int_equal(controller_delete_topics(&w->controller, 6, &in, &out, &w->records, &w->arena), ERR_NONE);
	world_done(w);
	return out;
}

static void check_deleted(const struct delete_topics_response_responses *out, const char *name, struct uuid id,
			  int16_t code, const char *text)
{
	assert_true(str_eq(out->name, str_of(name)));
	assert_true(uuid_eq(out->topic_id, id));
	assert_int_equal(out->error_code, code);
	assert_true(str_eq(out->error_message, str_of(text)));
}

static void test_delete_refused(void **state)
{
	struct uuid one = {1, 1}, two = {2, 2}, three = {3, 3};
	struct doomed list[] = {{"nosuch", UUID_ZERO}, {NULL, one}, {NULL, UUID_ZERO}, {"a1", two}, {"dup2", UUID_ZERO},
				{"dup2", UUID_ZERO}, {NULL, three}, {NULL, three}, {"", UUID_ZERO}};
	struct delete_topics_response out;
	struct world w;

	setup(&w);
	out = delete_topics(&w, list, ARRAY_N(list));
	assert_int_equal(out.responses_n, 7);
	check_deleted(&out.responses[0], "nosuch", UUID_ZERO, 3, "This server does not host this topic-partition.");
	check_deleted(&out.responses[1], NULL, one, 100, "This server does not host this topic ID.");
	check_deleted(&out.responses[2], NULL, UUID_ZERO, 42, "Neither topic name nor id were specified.");
	check_deleted(&out.responses[3], "a1", two, 42, "You may not specify both topic name and topic id.");
	check_deleted(&out.responses[4], "dup2", UUID_ZERO, 42, "Duplicate topic name.");
	check_deleted(&out.responses[5], NULL, three, 42, "Duplicate topic id.");
	check_deleted(&out.responses[6], "", UUID_ZERO, 3, "This server does not host this topic-partition.");
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
}

static void test_delete(void **state)
{
	struct world w;
	struct uuid a, b;
	struct delete_topics_response out;

	setup(&w);
	a = world_create(&w, "a", 2, 1).topic_id;
	b = world_create(&w, "b", 2, 1).topic_id;
	out = delete_topics(&w, (struct doomed[]){{"a", UUID_ZERO}, {NULL, a}}, 2);
	assert_int_equal(out.responses_n, 1);
	check_deleted(&out.responses[0], "a", a, 42,
		      "The provided topic name maps to an ID that was already supplied.");
	out = delete_topics(&w, (struct doomed[]){{"a", UUID_ZERO}, {NULL, b}}, 2);
	assert_int_equal(out.responses_n, 2);
	check_deleted(&out.responses[0], "a", a, 0, NULL);
	check_deleted(&out.responses[1], "b", b, 0, NULL);
	assert_int_equal(w.records.values.n, 2);
	assert_int_equal(w.controller.committed->topics_n, 0);
	assert_int_equal(w.controller.committed->partitions_n, 0);
	assert_false(uuid_eq(world_create(&w, "a", 1, 1).topic_id, a));
	world_deinit(&w);
}

static void test_delete_disabled(void **state)
{
	struct world w;
	struct delete_topics_response out;

	setup(&w);
	world_create(&w, "a", 1, 1);
	w.controller.defaults.delete_topic_enable = false;
	out = delete_topics(&w, (struct doomed[]){{"a", UUID_ZERO}}, 1);
	check_deleted(&out.responses[0], "a", UUID_ZERO, 73, "Topic deletion is disabled.");
	assert_int_equal(w.records.values.n, 0);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_records),
		cmocka_unit_test(test_create_old_version),
		cmocka_unit_test(test_create_default_partitions),
		cmocka_unit_test(test_create_refused),
		cmocka_unit_test(test_create_by_hand),
		cmocka_unit_test(test_create_many),
		cmocka_unit_test(test_create_excessive),
		cmocka_unit_test(test_create_settings),
		cmocka_unit_test(test_delete_refused),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_delete_disabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
