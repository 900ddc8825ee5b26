/* SPDX-License-Identifier: Apache-2.0 */
/* References in values: the three providers, what limits them, what cannot be filled in. */
#include "config_test.h"

#define ENV "config.providers.e.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n"
#define FILES "config.providers.f.class=org.apache.kafka.common.config.provider.FileConfigProvider\n"
#define DIRS "config.providers.d.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider\n"
#define ALL "config.providers=e, f,d\n" ENV FILES DIRS

/* A file system of two files. */
static bool read_file(void *ctx, struct str path, struct arena *arena, struct bytes *ret)
{
	(void)ctx;
	if (str_eq_c(path, "/secrets/x.properties"))
		*ret = arena_bytes(arena, str_bytes(STR("rack = r2\nsize=7\nsize=8\nodd=${e:RACK}\n")));
	else if (str_eq_c(path, "/secrets/dir/rack"))
		*ret = arena_bytes(arena, str_bytes(STR("r3\n")));
	else
		return false;
	return true;
}

static enum err load(struct broker_config *config, struct config_report *report, const char *more)
{
	static const char *const env[] = {"RACK=r1", "PORT=9095", "RACKS=no", NULL};
	char text[4096];
	struct config_source source = {.file_name = STR("server.properties"), .env = env, .read = read_file};

	snprintf(text, sizeof(text), STOCK "%s", more);
	source.file_text = str_bytes(str_of(text));
	return broker_config_load(config, report, &source);
}

static void test_values_are_filled_in(void **state)
{
	static const struct {
		const char *text, *rack;
	} rows[] = {
		{ALL "broker.rack=${e:RACK}\n", "r1"},
		{ALL "broker.rack=a-${e:RACK}-${e::PORT}-b\n", "a-r1-9095-b"},
		{ALL "broker.rack=${f:/secrets/x.properties:rack}\n", "r2"},
		{ALL "broker.rack=${f:/secrets/x.properties:size}\n", "8"},
		{ALL "broker.rack=${d:/secrets/dir:rack}\n", "r3"},
		/* Filled in once, not over and over. */
		{ALL "broker.rack=${f:/secrets/x.properties:odd}\n", "${e:RACK}"},
		{ALL "broker.rack=${no:RACK} ${e} ${e:RACK\n", "${no:RACK} ${e} ${e:RACK"},
		{"broker.rack=${env:RACK}\n", "${env:RACK}"},
		{ALL "config.providers.f.param.allowed.paths=/x,/secrets/\n"
		     "broker.rack=${f:/secrets/x.properties:rack}\n",
		 "r2"},
		{ALL "config.providers.e.param.allowlist.pattern=RA.*\nbroker.rack=${e:RACK}\n", "r1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_N(rows); i++) {
		struct config_report report = {0};
		struct broker_config config;

		if (load(&config, &report, rows[i].text) != ERR_NONE) {
			print_findings(&report);
			fail_msg("row %zu", i);
		}
		assert_str(config.broker_rack, rows[i].rack);
		broker_config_deinit(&config);
		config_report_deinit(&report);
	}
}

static void test_what_cannot_be_filled_in(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ALL "broker.rack=${e:NOPE}\n", "NOPE is not set"},
		{ALL "broker.rack=${f:/secrets/y.properties:rack}\n", "/secrets/y.properties cannot be read"},
		{ALL "broker.rack=${f:/secrets/x.properties:nope}\n", "has no key nope"},
		{ALL "broker.rack=${d:/secrets/dir:../x}\n", "not the name of a file"},
		{ALL "config.providers.f.param.allowed.paths=/sec\nbroker.rack=${f:/secrets/x.properties:rack}\n",
		 "does not lie in"},
		{ALL "config.providers.f.param.allowed.paths=/ok\nbroker.rack=${f:/ok/../secrets/x.properties:rack}\n",
		 "does not lie in"},
		{ALL "config.providers.e.param.allowlist.pattern=PORT\nbroker.rack=${e:RACK}\n", "may read"},
		{ALL "config.providers.e.param.allowlist.pattern=(\nbroker.rack=x\n", "not a regular expression"},
		{"config.providers=e\n", "class is missing"},
		{"config.providers=e\nconfig.providers.e.class=com.example.Vault\n", "is a Java class"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_N(rows); i++) {
		struct config_report report = {0};
		struct broker_config config;
		bool is_said = false;

		assert_int_equal(load(&config, &report, rows[i].text), ERR_BAD_CONFIG);
		for (size_t j = 0; j < report.findings.n; j++) {
			struct str text = report.findings.v[j].text;

			is_said = is_said || (strcmp(report.findings.v[j].code, "ML1112") == 0 &&
					      memmem(text.p, text.len, rows[i].words, strlen(rows[i].words)));
		}
		if (!is_said) {
			print_findings(&report);
			fail_msg("row %zu", i);
		}
		config_report_deinit(&report);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_filled_in),
		cmocka_unit_test(test_what_cannot_be_filled_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
