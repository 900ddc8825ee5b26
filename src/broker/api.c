/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of api.h. A version range here never exceeds what the handler's file does in full. */
#include "api.h"

const struct api_def api_defs[] = {
	{API_PRODUCE, 3, 13, 0, API_BROKER, api_produce},
	{API_FETCH, 4, 18, 4, API_BROKER, api_fetch},
	{API_LIST_OFFSETS, 1, 11, 1, API_BROKER, api_list_offsets},
	{API_METADATA, 0, 13, 0, API_BROKER, api_metadata},
	{API_OFFSET_COMMIT, 2, 10, 2, API_BROKER, api_offset_commit},
	{API_OFFSET_FETCH, 1, 10, 1, API_BROKER, api_offset_fetch},
	{API_FIND_COORDINATOR, 0, 6, 0, API_BROKER, api_find_coordinator},
	{API_JOIN_GROUP, 0, 9, 0, API_BROKER, api_join_group},
	{API_HEARTBEAT, 0, 4, 0, API_BROKER, api_heartbeat},
	{API_LEAVE_GROUP, 0, 5, 0, API_BROKER, api_leave_group},
	{API_SYNC_GROUP, 0, 5, 0, API_BROKER, api_sync_group},
	{API_DESCRIBE_GROUPS, 0, 6, 0, API_BROKER, api_describe_groups},
	{API_LIST_GROUPS, 0, 5, 0, API_BROKER, api_list_groups},
	{API_API_VERSIONS, 0, 4, 0, API_BROKER | API_CONTROLLER, api_api_versions},
	{API_CREATE_TOPICS, 2, 7, 2, API_BROKER | API_CONTROLLER, api_create_topics},
	{API_DELETE_TOPICS, 1, 6, 1, API_BROKER | API_CONTROLLER, api_delete_topics},
	{API_DELETE_RECORDS, 0, 2, 0, API_BROKER, api_delete_records},
	{API_INIT_PRODUCER_ID, 0, 5, 0, API_BROKER, api_init_producer_id},
	{API_ADD_PARTITIONS_TO_TXN, 0, 5, 0, API_BROKER, api_add_partitions_to_txn},
	{API_ADD_OFFSETS_TO_TXN, 0, 4, 0, API_BROKER, api_add_offsets_to_txn},
	{API_END_TXN, 0, 5, 0, API_BROKER, api_end_txn},
	{API_WRITE_TXN_MARKERS, 1, 2, 1, API_BROKER, api_write_txn_markers},
	{API_TXN_OFFSET_COMMIT, 0, 5, 0, API_BROKER, api_txn_offset_commit},
	{API_DESCRIBE_TRANSACTIONS, 0, 0, 0, API_BROKER, api_describe_transactions},
	{API_LIST_TRANSACTIONS, 0, 2, 0, API_BROKER, api_list_transactions},
	{API_OFFSET_FOR_LEADER_EPOCH, 2, 4, 2, API_BROKER, api_offset_for_leader_epoch},
	{API_DESCRIBE_CLIENT_QUOTAS, 0, 1, 0, API_BROKER, api_describe_client_quotas},
	{API_ALTER_CLIENT_QUOTAS, 0, 1, 0, API_BROKER | API_CONTROLLER, api_alter_client_quotas},
	{API_ALTER_CONFIGS, 0, 2, 0, API_BROKER | API_CONTROLLER, api_alter_configs},
	{API_INCREMENTAL_ALTER_CONFIGS, 0, 1, 0, API_BROKER | API_CONTROLLER, api_incremental_alter_configs},
	{API_DELETE_GROUPS, 0, 2, 0, API_BROKER, api_delete_groups},
	{API_OFFSET_DELETE, 0, 0, 0, API_BROKER, api_offset_delete},
	{API_CONSUMER_GROUP_HEARTBEAT, 0, 1, 0, API_BROKER, api_consumer_group_heartbeat},
	{API_CONSUMER_GROUP_DESCRIBE, 0, 1, 0, API_BROKER, api_consumer_group_describe},
	{API_ALTER_REPLICA_LOG_DIRS, 1, 2, 1, API_BROKER, api_alter_replica_log_dirs},
	{API_DESCRIBE_LOG_DIRS, 1, 5, 1, API_BROKER, api_describe_log_dirs},
	{API_GET_TELEMETRY_SUBSCRIPTIONS, 0, 0, 0, API_BROKER, api_get_telemetry_subscriptions},
	{API_PUSH_TELEMETRY, 0, 0, 0, API_BROKER, api_push_telemetry},
	{API_LIST_CONFIG_RESOURCES, 0, 1, 0, API_BROKER, api_list_config_resources},
	{API_CREATE_PARTITIONS, 0, 3, 0, API_BROKER | API_CONTROLLER, api_create_partitions},
	{API_ELECT_LEADERS, 0, 2, 0, API_BROKER | API_CONTROLLER, api_elect_leaders},
	{API_ALTER_PARTITION_REASSIGNMENTS, 0, 1, 0, API_BROKER | API_CONTROLLER, api_alter_partition_reassignments},
	{API_LIST_PARTITION_REASSIGNMENTS, 0, 0, 0, API_BROKER | API_CONTROLLER, api_list_partition_reassignments},
	{API_UPDATE_FEATURES, 0, 2, 0, API_BROKER | API_CONTROLLER, api_update_features},
	{API_UNREGISTER_BROKER, 0, 0, 0, API_BROKER | API_CONTROLLER, api_unregister_broker},
	{API_DESCRIBE_ACLS, 1, 3, 1, API_BROKER | API_CONTROLLER, api_describe_acls},
	{API_CREATE_ACLS, 1, 3, 1, API_BROKER | API_CONTROLLER, api_create_acls},
	{API_DELETE_ACLS, 1, 3, 1, API_BROKER | API_CONTROLLER, api_delete_acls},
	{API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, 0, 0, API_BROKER, api_describe_user_scram_credentials},
	{API_ALTER_USER_SCRAM_CREDENTIALS, 0, 0, 0, API_BROKER | API_CONTROLLER, api_alter_user_scram_credentials},
	{API_DESCRIBE_CONFIGS, 1, 4, 1, API_BROKER | API_CONTROLLER, api_describe_configs},
	{API_DESCRIBE_QUORUM, 0, 2, 0, API_BROKER | API_CONTROLLER, api_describe_quorum},
	{API_DESCRIBE_CLUSTER, 0, 2, 0, API_BROKER | API_CONTROLLER, api_describe_cluster},
	{API_DESCRIBE_PRODUCERS, 0, 0, 0, API_BROKER, api_describe_producers},
	{API_DESCRIBE_TOPIC_PARTITIONS, 0, 0, 0, API_BROKER, api_describe_topic_partitions},
};

const int api_defs_n = ARRAY_N(api_defs);

const struct api_def *api_def_find(int16_t key, enum api_listener listener)
{
	for (int i = 0; i < api_defs_n; i++) {
		if (api_defs[i].key == key && (api_defs[i].listeners & (int)listener))
			return &api_defs[i];
	}
	return NULL;
}
