/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of APIs this build answers: key, versions served, versions advertised, listener, handler. ApiVersions is
 * answered from it and dispatch calls through it, so nothing is advertised that has no handler. One handler a file,
 * api/NN_name.c.
 */
#ifndef BROKER_API_H
#define BROKER_API_H

#include "registry.h"
#include "request.h"

enum api_listener { API_BROKER = 1, API_CONTROLLER = 2 };

struct api_def {
	int16_t key;
	int16_t version_min, version_max;
	int16_t advertised_min; /* differs for Produce only: librdkafka gives up compression otherwise */
	int listeners;          /* enum api_listener bits */
	void (*handle)(struct request *request);
};

extern const struct api_def api_defs[];
extern const int api_defs_n;
/* NULL when this build does not serve the key on that listener. */
const struct api_def *api_def_find(int16_t key, enum api_listener listener);

void api_produce(struct request *request);
void api_fetch(struct request *request);
void api_list_offsets(struct request *request);
void api_metadata(struct request *request);
void api_offset_commit(struct request *request);
void api_offset_fetch(struct request *request);
void api_find_coordinator(struct request *request);
void api_join_group(struct request *request);
void api_heartbeat(struct request *request);
void api_leave_group(struct request *request);
void api_sync_group(struct request *request);
void api_describe_groups(struct request *request);
void api_list_groups(struct request *request);
void api_delete_groups(struct request *request);
void api_offset_delete(struct request *request);
void api_consumer_group_heartbeat(struct request *request);
void api_consumer_group_describe(struct request *request);
void api_api_versions(struct request *request);
void api_create_topics(struct request *request);
void api_delete_topics(struct request *request);
void api_delete_records(struct request *request);
void api_alter_replica_log_dirs(struct request *request);
void api_init_producer_id(struct request *request);
void api_add_partitions_to_txn(struct request *request);
void api_add_offsets_to_txn(struct request *request);
void api_end_txn(struct request *request);
void api_write_txn_markers(struct request *request);
void api_txn_offset_commit(struct request *request);
void api_describe_transactions(struct request *request);
void api_list_transactions(struct request *request);
void api_offset_for_leader_epoch(struct request *request);
void api_describe_configs(struct request *request);
void api_get_telemetry_subscriptions(struct request *request);
void api_push_telemetry(struct request *request);
void api_list_config_resources(struct request *request);
void api_describe_log_dirs(struct request *request);
void api_describe_cluster(struct request *request);
void api_describe_producers(struct request *request);
void api_describe_topic_partitions(struct request *request);
void api_describe_client_quotas(struct request *request);
void api_alter_client_quotas(struct request *request);
void api_describe_quorum(struct request *request);
void api_alter_configs(struct request *request);
void api_incremental_alter_configs(struct request *request);
void api_create_partitions(struct request *request);
void api_elect_leaders(struct request *request);
void api_alter_partition_reassignments(struct request *request);
void api_list_partition_reassignments(struct request *request);
void api_update_features(struct request *request);
void api_unregister_broker(struct request *request);
void api_describe_acls(struct request *request);
void api_describe_user_scram_credentials(struct request *request);
void api_alter_user_scram_credentials(struct request *request);
void api_create_acls(struct request *request);
void api_delete_acls(struct request *request);

#endif
