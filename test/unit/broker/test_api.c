/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of APIs: every version it serves has a codec on both sides and a handler, no key stands twice, and what it
 * advertises is what Kafka advertises (compared where MOLDAU_FACTS says that Kafka's table is at hand).
 */
#include "api.h"
#include "broker_rig.h"

#define HANDLER(name)                              \
	void api_##name(struct request *request)   \
	{                                          \
		fail_msg("nobody is asked here"); \
	}
HANDLER(produce)
HANDLER(fetch)
HANDLER(list_offsets)
HANDLER(metadata)
HANDLER(offset_commit)
HANDLER(offset_fetch)
HANDLER(find_coordinator)
HANDLER(join_group)
HANDLER(heartbeat)
HANDLER(leave_group)
HANDLER(sync_group)
HANDLER(describe_groups)
HANDLER(list_groups)
HANDLER(delete_groups)
HANDLER(offset_delete)
HANDLER(consumer_group_heartbeat)
HANDLER(consumer_group_describe)
HANDLER(api_versions)
HANDLER(create_topics)
HANDLER(delete_topics)
HANDLER(delete_records)
HANDLER(init_producer_id)
HANDLER(add_partitions_to_txn)
HANDLER(add_offsets_to_txn)
HANDLER(end_txn)
HANDLER(write_txn_markers)
HANDLER(txn_offset_commit)
HANDLER(describe_transactions)
HANDLER(list_transactions)
HANDLER(offset_for_leader_epoch)
HANDLER(describe_configs)
HANDLER(list_config_resources)
HANDLER(alter_replica_log_dirs)
HANDLER(describe_log_dirs)
HANDLER(describe_cluster)
HANDLER(describe_producers)
HANDLER(describe_topic_partitions)
HANDLER(describe_quorum)
HANDLER(describe_client_quotas)
HANDLER(get_telemetry_subscriptions)
HANDLER(push_telemetry)
HANDLER(alter_client_quotas)
HANDLER(alter_configs)
HANDLER(incremental_alter_configs)
HANDLER(create_partitions)
HANDLER(elect_leaders)
HANDLER(alter_partition_reassignments)
HANDLER(list_partition_reassignments)
HANDLER(update_features)
HANDLER(unregister_broker)
HANDLER(describe_user_scram_credentials)
HANDLER(alter_user_scram_credentials)
HANDLER(describe_acls)
HANDLER(create_acls)
HANDLER(delete_acls)

static void test_codecs(void **state)
{
	for (int i = 0; i < api_defs_n; i++) {
		const struct api_def *def = &api_defs[i];
		const struct api *api = api_find(def->key);

		assert_non_null(api);
		assert_non_null(def->handle);
		assert_true(def->listeners & API_BROKER);
		assert_in_range(def->version_min, def->advertised_min, def->version_max);
		assert_true(def->advertised_min == def->version_min || def->key == API_PRODUCE);
		for (int16_t v = def->version_min; v <= def->version_max; v++) {
			assert_true(msg_has_version(api->request, v));
			assert_true(msg_has_version(api->response, v));
		}
		assert_ptr_equal(api_def_find(def->key, API_BROKER), def);
		assert_ptr_equal(api_def_find(def->key, API_CONTROLLER), def->listeners & API_CONTROLLER ? def : NULL);
	}
	assert_null(api_def_find(-1, API_BROKER));
	assert_null(api_def_find(INT16_MAX, API_BROKER));
}

static void test_as_kafka(void **state)
{
	const char *facts = getenv("MOLDAU_FACTS");
	char path[512], line[256];
	int seen = 0;
	FILE *f;

	if (!facts)
		skip();
	snprintf(path, sizeof(path), "%s/tables/apis-advertised.tsv", facts);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char broker[32], controller[32], range[32];
		const struct api_def *def;
		int key;

		if (sscanf(line, "%d\t%*[^\t]\t%31[^\t]\t%31[^\n]", &key, broker, controller) != 3)
			continue;
		def = api_def_find((int16_t)key, API_BROKER);
		if (!def)
			continue;
		seen++;
		snprintf(range, sizeof(range), "%d-%d", def->advertised_min, def->version_max);
		if (def->advertised_min == def->version_max && !strchr(broker, '-'))
			snprintf(range, sizeof(range), "%d", def->version_max);
		assert_string_equal(range, broker);
		if (def->listeners & API_CONTROLLER)
			assert_string_equal(range, controller);
	}
	fclose(f);
	/* Kafka tells of the two APIs of client metrics only where a plug-in takes them. */
	for (int i = 0; i < api_defs_n; i++)
		seen += api_defs[i].key == API_GET_TELEMETRY_SUBSCRIPTIONS || api_defs[i].key == API_PUSH_TELEMETRY;
	assert_int_equal(seen, api_defs_n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_codecs), cmocka_unit_test(test_as_kafka)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
