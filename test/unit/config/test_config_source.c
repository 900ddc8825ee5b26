/* SPDX-License-Identifier: Apache-2.0 */
/* Where values come from: file, environment, overrides, and who wins. */
#include "config_test.h"

static void test_environment_names(void **state)
{
	static const struct {
		const char *name, *key;
	} cases[] = {
		{"KAFKA_LOG_DIRS", "log.dirs"},
		{"KAFKA_NODE_ID", "node.id"},
		{"KAFKA_A__B", "a_b"},
		{"KAFKA_A___B", "a-b"},
		{"KAFKA_A____B", "a-.b"},
		{"KAFKA_A_____B", "a-_b"},
		{"KAFKA_LISTENER_NAME_INTERNAL__X_MAX_CONNECTIONS",
		 "listener.name.internal_x.max.connections"},
		{"KAFKA_CFG_LOG_DIRS", "log.dirs"},
		{"CLUSTER_ID", "cluster.id"},
		{"KAFKA_CLUSTER_ID", "cluster.id"},
		{"KAFKA_KRAFT_CLUSTER_ID", "cluster.id"},
		{"KAFKA_HEAP_OPTS", NULL},
		{"KAFKA_VERSION", NULL},
		{"KAFKA_LOG4J_OPTS", NULL},
		{"KAFKA_LOG4J_LOGGERS", NULL},
		{"KAFKA_TOOLS_LOG4J_LOGLEVEL", NULL},
		{"KAFKA_OPTS", NULL},
		{"KAFKA_GC_LOG_OPTS", NULL},
		{"KAFKA_JMX_HOSTNAME", NULL},
		{"KAFKA_JVM_PERFORMANCE_OPTS", NULL},
		{"KAFKA_JMX_OPTS", NULL},
		{"KAFKA_LOG4J_ROOT_LOGLEVEL", NULL},
		{"KAFKA_", NULL},
		{"KAFKA", NULL},
		{"PATH", NULL},
		{"MY_KAFKA_LOG_DIRS", NULL},
	};
	struct arena arena = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_N(cases); i++) {
		struct str key;
		bool is_key = config_source_env_key(str_of(cases[i].name), &arena, &key);

		assert_int_equal(is_key, cases[i].key != NULL);
		if (is_key)
			assert_str(key, cases[i].key);
	}
	arena_reset(&arena);
}

struct fixture {
	struct arena arena;
	struct config_report report;
	struct config_pairs pairs;
};

static void read_sources(struct fixture *f, const char *file, const char *const *env,
			 const struct str *overrides, size_t overrides_n)
{
	struct config_source source = {.file_name = STR("x.properties"),
				       .file_text = str_bytes(str_of(file)),
				       .env = env,
				       .overrides = overrides,
				       .overrides_n = overrides_n};

	memset(f, 0, sizeof(*f));
	config_source_read(&source, &f->arena, &f->report, &f->pairs);
}

static void tear_down(struct fixture *f)
{
	config_pairs_deinit(&f->pairs);
	config_report_deinit(&f->report);
	arena_reset(&f->arena);
}

static void test_later_source_wins(void **state)
{
	const char *env[] = {"KAFKA_B=env", "KAFKA_C=env", "HOME=/root", "KAFKA_D=x=y", NULL};
	struct str overrides[] = {STR("c=override"), STR("e= f ")};
	struct fixture f;
	const struct config_pair *pair;

	(void)state;
	read_sources(&f, "a=file\nb=file\nc=file\n", env, overrides, 2);
	pair = config_pairs_find(&f.pairs, STR("a"));
	assert_str(pair->value, "file");
	assert_int_equal(pair->origin.kind, CONFIG_ORIGIN_FILE);
	assert_int_equal(pair->origin.line, 1);
	pair = config_pairs_find(&f.pairs, STR("b"));
	assert_str(pair->value, "env");
	assert_str(pair->origin.where, "KAFKA_B");
	pair = config_pairs_find(&f.pairs, STR("c"));
	assert_str(pair->value, "override");
	assert_int_equal(pair->origin.kind, CONFIG_ORIGIN_OVERRIDE);
	assert_str(config_pairs_find(&f.pairs, STR("d"))->value, "x=y");
	assert_str(config_pairs_find(&f.pairs, STR("e"))->value, " f ");
	assert_null(config_pairs_find(&f.pairs, STR("home")));
	assert_int_equal(f.pairs.pairs.n, 5);
	assert_int_equal(f.report.findings.n, 0);
	tear_down(&f);
}

static void test_given_twice(void **state)
{
	struct fixture f;

	(void)state;
	read_sources(&f, "a=1\nb=1\nb=1\na=2\n", NULL, NULL, 0);
	assert_str(config_pairs_find(&f.pairs, STR("a"))->value, "2");
	assert_int_equal(f.report.findings.n, 1);
	assert_non_null(find_finding(&f.report, "ML1108", "a"));
	assert_str(f.report.findings.v[0].where, "x.properties:4");
	tear_down(&f);
}

static void test_bad_forms_are_said(void **state)
{
	struct str overrides[] = {STR("nothing"), STR("=x"), STR("")};
	struct fixture f;

	(void)state;
	read_sources(&f, "a=\\u12\nb=1\n", NULL, overrides, 3);
	assert_int_equal(f.report.errors_n, 4);
	assert_str(config_pairs_find(&f.pairs, STR("b"))->value, "1");
	tear_down(&f);
}

static void test_container_derives_listeners(void **state)
{
	const char *env[] = {"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://kafka:9092,EXT://example.org:9094",
			     NULL};
	const char *given[] = {"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://kafka:9092",
			       "KAFKA_LISTENERS=PLAINTEXT://:1", NULL};
	const char *controller[] = {"KAFKA_ADVERTISED_LISTENERS=C://kafka:9092",
				    "KAFKA_PROCESS_ROLES=controller", NULL};
	struct fixture f;

	(void)state;
	read_sources(&f, "", env, NULL, 0);
	assert_str(config_pairs_find(&f.pairs, STR("listeners"))->value, "PLAINTEXT://:9092,EXT://:9094");
	tear_down(&f);
	read_sources(&f, "", given, NULL, 0);
	assert_str(config_pairs_find(&f.pairs, STR("listeners"))->value, "PLAINTEXT://:1");
	tear_down(&f);
	read_sources(&f, "", controller, NULL, 0);
	assert_null(config_pairs_find(&f.pairs, STR("listeners")));
	tear_down(&f);
	read_sources(&f, "advertised.listeners=PLAINTEXT://a:1\n", NULL, NULL, 0);
	assert_null(config_pairs_find(&f.pairs, STR("listeners")));
	tear_down(&f);
}

static void test_too_many_pairs(void **state)
{
	size_t n = CONFIG_PAIRS_MAX + 10, len = 0;
	char *text = malloc(n * 10);
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "k%zu=1\n", i);
	read_sources(&f, text, NULL, NULL, 0);
	assert_int_equal(f.pairs.pairs.n, CONFIG_PAIRS_MAX);
	assert_true(f.report.errors_n > 0);
	tear_down(&f);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_environment_names),
		cmocka_unit_test(test_later_source_wins),
		cmocka_unit_test(test_given_twice),
		cmocka_unit_test(test_bad_forms_are_said),
		cmocka_unit_test(test_container_derives_listeners),
		cmocka_unit_test(test_too_many_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
