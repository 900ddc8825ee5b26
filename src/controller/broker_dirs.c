/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories of brokers: where replicas lie (AssignReplicasToDirs) and which directories failed (heartbeats). A broker
 * that starts registers only directories that work; the image keeps where each replica lies, so the partitions of a
 * directory that is missing find no leader there, and find one again when a later registration brings it back.
 */
#include "controller_private.h"
#include "feature_table.h"
#include "msg/assign_replicas_to_dirs.h"

#define METADATA_VERSION_DIRECTORIES 17 /* 3.7-IV2 */
#define CHANGE_VERSION_DIRECTORIES 2    /* of BrokerRegistrationChangeRecord */

static bool uuids_have(const struct uuid *ids, int32_t n, struct uuid id)
{
	for (int32_t i = 0; i < n; i++) {
		if (uuid_eq(ids[i], id))
			return true;
	}
	return false;
}

void controller_directories_offline(struct controller *controller, const struct broker_image *broker,
				    const struct uuid *offline, int32_t offline_n, struct controller_records *records,
				    struct arena *arena)
{
	struct broker_registration_change_record record;
	struct uuid *left = ARENA_NEW_N(arena, struct uuid, broker->log_dirs_n + 1);
	int32_t left_n = 0;

	for (int32_t i = 0; i < broker->log_dirs_n; i++) {
		if (!uuids_have(offline, MAX(offline_n, 0), broker->log_dirs[i]))
			left[left_n++] = broker->log_dirs[i];
		else
			controller_fail_directory(controller, broker->id, broker->log_dirs[i], records, arena);
	}
	/* A registration without any directory would mean one that knows nothing of directories. */
	if (left_n == broker->log_dirs_n || left_n == 0)
		return;
	msg_init(&broker_registration_change_record_type, &record);
	record.broker_id = broker->id;
	record.broker_epoch = broker->epoch;
	record.log_dirs = left;
	record.log_dirs_n = left_n;
	controller_add(records, arena, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, CHANGE_VERSION_DIRECTORIES, &record);
}

/* ---- AssignReplicasToDirs ---- */

struct assign {
	struct controller *controller;
	const struct assign_replicas_to_dirs_request *in;
	const struct broker_image *broker;
	struct controller_records *records;
	struct arena *arena;
};

static bool partition_has_replica(const struct partition_image *partition, int32_t broker)
{
	for (int32_t i = 0; i < partition->replicas_n; i++) {
		if (partition->replicas[i] == broker)
			return true;
	}
	return false;
}

/* Its directories anew; who leads may follow from that, either way. */
static bool assign_decide(struct assign *assign, const struct topic_image *topic, int32_t index, struct uuid dir,
			  struct partition_change_record *ret)
{
	struct partition_image now = *topic_partition(topic, index);
	bool is_offline = !broker_has_directory(assign->broker, dir);
	bool is_same = uuid_eq(partition_directory(&now, assign->in->broker_id), dir);
	struct uuid *directories = ARENA_NEW_N(assign->arena, struct uuid, now.replicas_n);
	struct partition_change change = {
		.image = assign->controller->latest,
		.leaving = is_offline ? assign->in->broker_id : BROKER_NONE,
		.arriving = BROKER_NONE,
		.unclean = BROKER_NONE,
		.is_elr_enabled = controller_has_elr(assign->controller),
		.min_isr = controller_min_isr(assign->controller, topic->name),
	};
	bool changed;

	for (int32_t i = 0; i < now.replicas_n; i++)
		directories[i] = now.replicas[i] == assign->in->broker_id ? dir
									   : partition_directory(&now, now.replicas[i]);
	now.directories = directories;
	now.directories_n = now.replicas_n;
	changed = partition_change_decide(&change, &now, topic->id, index, assign->arena, ret);
	if (!is_same) {
		ret->directories = directories;
		ret->directories_n = now.replicas_n;
	}
	return changed || !is_same;
}

static enum err assign_partition(struct assign *assign, const struct topic_image *topic, int32_t index,
				 struct uuid dir)
{
	const struct partition_image *partition = topic_partition(topic, index);
	struct partition_change_record record;

	if (!partition)
		return ERR_UNKNOWN_TOPIC_OR_PARTITION;
	if (!partition_has_replica(partition, assign->in->broker_id))
		return ERR_NOT_LEADER_OR_FOLLOWER;
	if (assign->records->values.n >= RECORDS_PER_OPERATION_MAX)
		return ERR_POLICY_VIOLATION;
	if (assign_decide(assign, topic, index, dir, &record))
		controller_add(assign->records, assign->arena, METADATA_PARTITION_CHANGE_RECORD,
			       partition_version(controller_metadata_version(assign->controller)), &record);
	return ERR_NONE;
}

static void assign_topic(struct assign *assign, const struct assign_replicas_to_dirs_request_directories_topics *in,
			 struct uuid dir, struct assign_replicas_to_dirs_response_directories_topics *out)
{
	const struct topic_image *topic = image_topic_by_id(assign->controller->latest, in->topic_id);

	out->topic_id = in->topic_id;
	out->partitions = MSG_NEW_N(assign->arena, assign_replicas_to_dirs_response_directories_topics_partitions,
				    in->partitions_n);
	out->partitions_n = MAX(in->partitions_n, 0);
	for (int32_t i = 0; i < in->partitions_n; i++) {
		int32_t index = in->partitions[i].partition_index;

		out->partitions[i].partition_index = index;
		out->partitions[i].error_code = err_wire(topic ? assign_partition(assign, topic, index, dir)
							       : ERR_UNKNOWN_TOPIC_ID);
	}
}

enum err controller_assign_directories(struct controller *controller,
				       const struct assign_replicas_to_dirs_request *request,
				       struct assign_replicas_to_dirs_response *response,
				       struct controller_records *records, struct arena *arena)
{
	struct assign assign = {controller, request, image_broker(controller->latest, request->broker_id), records,
				arena};
	enum err err = controller_check_epoch(controller, request->broker_id, request->broker_epoch);

	if (!err && controller_metadata_version(controller) < METADATA_VERSION_DIRECTORIES)
		err = ERR_UNSUPPORTED_VERSION;
	msg_init(&assign_replicas_to_dirs_response_type, response);
	response->error_code = err_wire(err);
	if (err)
		return ERR_NONE;
	response->directories = MSG_NEW_N(arena, assign_replicas_to_dirs_response_directories, request->directories_n);
	response->directories_n = MAX(request->directories_n, 0);
	for (int32_t i = 0; i < request->directories_n; i++) {
		const struct assign_replicas_to_dirs_request_directories *in = &request->directories[i];
		struct assign_replicas_to_dirs_response_directories *out = &response->directories[i];

		out->id = in->id;
		out->topics = MSG_NEW_N(arena, assign_replicas_to_dirs_response_directories_topics, in->topics_n);
		out->topics_n = MAX(in->topics_n, 0);
		for (int32_t t = 0; t < in->topics_n; t++)
			assign_topic(&assign, &in->topics[t], in->id, &out->topics[t]);
	}
	return ERR_NONE;
}
