/* SPDX-License-Identifier: Apache-2.0 */
/* UpdateFeatures: what is refused, in Kafka's words, and what is written. */
#include "controller_world.h"
#include "feature_table.h"
#include "msg/update_features.h"

#define FAILED "The update failed for all features since the following feature had an error: "

static struct update_features_response update(struct world *w, int16_t version, const char *feature, int16_t level,
					      int8_t type, bool validate_only)
{
	struct update_features_request in;
	struct update_features_response out;

	msg_init(&update_features_request_type, &in);
	in.feature_updates = MSG_NEW(&w->arena, update_features_request_feature_updates);
	in.feature_updates_n = 1;
	in.feature_updates[0].feature = str_of(feature);
	in.feature_updates[0].max_version_level = level;
	in.feature_updates[0].upgrade_type = type;
	in.validate_only = validate_only;
	w->controller.defaults.node_id = 1;
	w->controller.defaults.kraft_version = 1;
	world_begin(w);
	assert_int_equal(controller_update_features(&w->controller, version, &in, &out, &w->records, &w->arena),
			 ERR_NONE);
	world_done(w);
	return out;
}

static void test_refused(void **state)
{
	static const struct {
		const char *feature;
		int16_t level;
		int8_t type;
		const char *text;
	} cases[] = {
		{"metadata.version", 31, 1,
		 FAILED "Invalid update version 31 for feature metadata.version. Local controller "
		 "1 only supports versions 7-30"},
		{"metadata.version", 19, 1,
		 FAILED "Invalid update version 19 for feature metadata.version. Can't downgrade "
		 "the version of this feature without setting the upgrade type to either safe or unsafe downgrade."},
		{"metadata.version", 16, 2,
		 FAILED "Unsupported metadata.version downgrade from 20 to 16. Refusing to perform "
		 "the requested downgrade because it might delete metadata information."},
		{"metadata.version", 16, 3,
		 FAILED "Unsupported metadata.version downgrade from 20 to 16. Unsafe metadata "
		 "downgrade is not supported in this version."},
		{"metadata.version", 21, 2,
		 FAILED "Invalid update version 21 for feature metadata.version. Can't downgrade "
		 "to a newer version."},
		{"metadata.version", 30, 0,
		 FAILED "Invalid update version 30 for feature metadata.version. The controller "
		 "does not support the given upgrade type."},
		{"nope", 1, 1,
		 FAILED "Invalid update version 1 for feature nope. Local controller 1 does not support this "
		 "feature."},
		{"nope", 0, 2,
		 FAILED "Invalid update version 0 for feature nope. Feature nope not found."},
		{"nope", -1, 1,
		 FAILED "Invalid update version -1 for feature nope. A feature version cannot be less than 0."},
		{"kraft.version", 2, 1,
		 FAILED "Invalid update version 2 for feature kraft.version. Local controller 1 only "
		 "supports versions 0-1"},
		{"kraft.version", 0, 3,
		 FAILED "Invalid update version 0 for feature kraft.version. Can't downgrade the "
		 "version of this feature."},
	};
	struct world w;

	world_init(&w, 20);
	world_add_broker(&w, 1);
	for (int16_t version = 0; version <= 2; version++) {
		for (size_t i = 0; i < ARRAY_N(cases); i++) {
			struct update_features_response out = update(&w, version, cases[i].feature, cases[i].level,
								     cases[i].type, false);

			assert_int_equal(out.error_code, 95);
			if (!str_eq_c(out.error_message, cases[i].text))
				fail_msg("\"%.*s\", not \"%s\"", STR_ARGS(out.error_message), cases[i].text);
			assert_int_equal(out.results_n, 0);
			assert_int_equal(w.records.values.n, 0);
		}
	}
	world_deinit(&w);
}

static void check_level(struct world *w, int16_t level)
{
	assert_int_equal(image_feature(w->controller.committed, STR(METADATA_VERSION)), level);
}

static void test_up_and_down(void **state)
{
	struct update_features_response out;
	const struct feature_level_record *record;
	struct world w;

	world_init(&w, 20);
	world_add_broker(&w, 1);
	assert_int_equal(update(&w, 2, "metadata.version", 22, 1, true).error_code, 0);
	check_level(&w, 20);
	out = update(&w, 1, "metadata.version", 22, 1, false);
	assert_int_equal(out.error_code, 0);
	assert_null(out.error_message.p);
	assert_int_equal(out.results_n, 1);
	assert_true(str_eq_c(out.results[0].error_message, "NONE"));
	assert_int_equal(w.records.values.n, 1);
	record = world_record(&w, 0, METADATA_FEATURE_LEVEL_RECORD, 0);
	assert_int_equal(record->feature_level, 22);
	check_level(&w, 22);
	assert_int_equal(update(&w, 2, "metadata.version", 17, 2, false).error_code, 0); /* nothing changed between */
	check_level(&w, 17);
	assert_int_equal(update(&w, 2, "metadata.version", 30, 1, false).error_code, 0);
	check_level(&w, 30);
	assert_int_equal(update(&w, 2, "metadata.version", 30, 1, false).error_code, 0);
	assert_int_equal(w.records.values.n, 0);
	assert_int_equal(update(&w, 2, "metadata.version", 29, 2, false).error_code, 95);
	world_deinit(&w);
}

/* With eligible leader replicas min.insync.replicas moves from the brokers to the cluster. */
static void test_elr(void **state)
{
	struct update_features_response out;
	const struct config_record *config;
	struct config_record own;
	struct str value;
	struct world w;

	world_init(&w, 22);
	w.controller.defaults.min_insync_replicas = 2;
	world_add_broker(&w, 1);
	out = update(&w, 2, "eligible.leader.replicas.version", 1, 1, false);
	assert_int_equal(out.error_code, 95);
	assert_true(str_eq_c(out.error_message, FAILED "Invalid update version 1 for feature "
			     "eligible.leader.replicas.version. eligible.leader.replicas.version could not be set to 1 "
			     "because it depends on metadata.version level 23"));
	assert_int_equal(update(&w, 2, "metadata.version", 23, 1, false).error_code, 0);
	world_begin(&w);
	msg_init(&config_record_type, &own);
	own.resource_type = 4;
	own.resource_name = STR("1");
	own.name = STR("min.insync.replicas");
	own.value = STR("3");
	vec_push(&w.records.values, metadata_record_encode(METADATA_CONFIG_RECORD, 0, &own, &w.arena));
	world_done(&w);
	assert_int_equal(update(&w, 2, "eligible.leader.replicas.version", 1, 1, false).error_code, 0);
	assert_int_equal(w.records.values.n, 3);
	config = world_record(&w, 0, METADATA_CONFIG_RECORD, 0);
	assert_true(str_eq_c(config->resource_name, ""));
	assert_true(str_eq_c(config->value, "2"));
	assert_false(image_config(w.controller.committed, 4, STR("1"), STR("min.insync.replicas"), &value));
	assert_int_equal(update(&w, 2, "eligible.leader.replicas.version", 0, 2, false).error_code, 0);
	assert_int_equal(w.records.values.n, 1);
	assert_true(image_config(w.controller.committed, 4, STR(""), STR("min.insync.replicas"), &value));
	world_deinit(&w);
}

/* A registered broker that does not know the level, fenced or not, is in the way. */
static void test_brokers(void **state)
{
	struct update_features_response out;
	struct broker_registration_request in;
	struct broker_registration_response registered;
	struct uuid dir = {100, 7};
	struct world w;

	world_init(&w, 20);
	world_add_broker(&w, 1);
	msg_init(&broker_registration_request_type, &in);
	in.broker_id = 2;
	in.incarnation_id = (struct uuid){9, 9};
	in.log_dirs = &dir;
	in.log_dirs_n = 1;
	in.features = MSG_NEW(&w.arena, broker_registration_request_features);
	in.features_n = 1;
	in.features[0].name = STR("metadata.version");
	in.features[0].min_supported_version = 7;
	in.features[0].max_supported_version = 25;
	world_begin(&w);
	assert_int_equal(controller_register_broker(&w.controller, &in, &registered, &w.records, &w.arena, w.end),
			 ERR_NONE);
	world_done(&w);
	assert_int_equal(registered.error_code, 0);
	assert_int_equal(update(&w, 2, "metadata.version", 25, 1, false).error_code, 0);
	out = update(&w, 2, "metadata.version", 26, 1, false);
	assert_int_equal(out.error_code, 95);
	assert_true(str_eq_c(out.error_message, FAILED "Invalid update version 26 for feature metadata.version. "
			     "Broker 2 only supports versions 7-25"));
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_up_and_down),
		cmocka_unit_test(test_elr),
		cmocka_unit_test(test_brokers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
