/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterPartitionReassignments: other replicas for a partition, or the end of such a move. Same as Kafka in codes, texts
 * and records:
 *
 *    settled --other replicas--> moving: replicas hold the new ones and, behind them, those that will go
 *       ^   ^                       |
 *       |   +--cancelled------------+   the new ones go, the old ones stay
 *       +--every new one in sync----+   the old ones go
 *
 * A move that adds nobody is over at once.
 */
#include "controller_private.h"
#include "feature_table.h"
#include "msg/alter_partition_reassignments.h"
#include "new_partition.h"

struct reassign {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	bool allows_factor_change;
	struct err_text text;
	bool has_text;
};

/* Replicas as they will be. */
struct target {
	int32_t *replicas, *isr, *adding, *removing;
	int32_t replicas_n, isr_n, adding_n, removing_n;
};

static bool list_has(const int32_t *ids, int32_t n, int32_t id)
{
	for (int32_t i = 0; i < n; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

static struct target target_new(struct arena *arena, const struct partition_image *partition, int32_t n)
{
	int32_t max = partition->replicas_n + MAX(n, 0);

	return (struct target){
		.replicas = ARENA_NEW_N(arena, int32_t, max),
		.isr = ARENA_NEW_N(arena, int32_t, max),
		.adding = ARENA_NEW_N(arena, int32_t, max),
		.removing = ARENA_NEW_N(arena, int32_t, max),
	};
}

/* Who is in sync among the replicas that stay. */
static void target_take_isr(struct target *target, const struct partition_image *partition)
{
	for (int32_t i = 0; i < partition->isr_n; i++) {
		if (list_has(target->replicas, target->replicas_n, partition->isr[i]))
			target->isr[target->isr_n++] = partition->isr[i];
	}
}

static int32_t target_leader(const struct reassign *reassign, const struct target *target,
			     const struct partition_image *partition)
{
	if (list_has(target->isr, target->isr_n, partition->leader))
		return partition->leader;
	for (int32_t i = 0; i < target->replicas_n; i++) {
		if (list_has(target->isr, target->isr_n, target->replicas[i]) &&
		    broker_is_active(reassign->controller->latest, target->replicas[i]))
			return target->replicas[i];
	}
	return LEADER_NONE;
}

static struct uuid target_directory(const struct reassign *reassign, const struct partition_image *partition,
				    int32_t id)
{
	for (int32_t i = 0; i < partition->replicas_n; i++) {
		if (partition->replicas[i] == id && i < partition->directories_n)
			return partition->directories[i];
	}
	return image_broker(reassign->controller->latest, id) ? replica_directory(reassign->controller->latest, id)
							      : UUID_DIR_UNASSIGNED;
}

static bool same_ids(const int32_t *a, int32_t a_n, const int32_t *b, int32_t b_n)
{
	return a_n == b_n && (a_n == 0 || memcmp(a, b, (size_t)a_n * sizeof(*a)) == 0);
}

/* Eligible replicas that stay. */
static void reassign_elr(struct reassign *reassign, const struct target *target,
			 const struct partition_image *partition, struct partition_change_record *record)
{
	int32_t *elr = ARENA_NEW_N(reassign->arena, int32_t, partition->elr_n);
	int32_t n = 0;

	for (int32_t i = 0; i < partition->elr_n; i++) {
		if (list_has(target->replicas, target->replicas_n, partition->elr[i]))
			elr[n++] = partition->elr[i];
	}
	if (n == partition->elr_n)
		return;
	record->eligible_leader_replicas = elr;
	record->eligible_leader_replicas_n = n;
}

static void reassign_write(struct reassign *reassign, const struct target *target, const struct topic_image *topic,
			   int32_t index, const struct partition_image *partition)
{
	int16_t version = partition_version(controller_metadata_version(reassign->controller));
	int32_t leader = target_leader(reassign, target, partition);
	struct partition_change_record record;

	if (same_ids(target->replicas, target->replicas_n, partition->replicas, partition->replicas_n) &&
	    same_ids(target->adding, target->adding_n, partition->adding, partition->adding_n) &&
	    same_ids(target->removing, target->removing_n, partition->removing, partition->removing_n))
		return;
	msg_init(&partition_change_record_type, &record);
	record.topic_id = topic->id;
	record.partition_id = index;
	record.replicas = target->replicas;
	record.replicas_n = target->replicas_n;
	if (!same_ids(target->isr, target->isr_n, partition->isr, partition->isr_n)) {
		record.isr = target->isr;
		record.isr_n = target->isr_n;
	}
	if (leader != partition->leader)
		record.leader = leader;
	record.adding_replicas = target->adding;
	record.adding_replicas_n = target->adding_n;
	record.removing_replicas = target->removing;
	record.removing_replicas_n = target->removing_n;
	if (version >= 1) {
		record.directories = ARENA_NEW_N(reassign->arena, struct uuid, target->replicas_n);
		record.directories_n = target->replicas_n;
		for (int32_t i = 0; i < target->replicas_n; i++)
			record.directories[i] = target_directory(reassign, partition, target->replicas[i]);
	}
	if (version >= 2)
		reassign_elr(reassign, target, partition, &record);
	controller_add(reassign->records, reassign->arena, METADATA_PARTITION_CHANGE_RECORD, version, &record);
}

/* What was there before a move began. */
static void target_before(const struct partition_image *partition, struct target *target)
{
	for (int32_t i = 0; i < partition->replicas_n; i++) {
		if (!list_has(partition->adding, partition->adding_n, partition->replicas[i]))
			target->replicas[target->replicas_n++] = partition->replicas[i];
	}
	target_take_isr(target, partition);
}

static enum err reassign_cancel(struct reassign *reassign, const struct topic_image *topic, int32_t index,
				const struct partition_image *partition)
{
	struct target target = target_new(reassign->arena, partition, 0);

	if (partition->adding_n == 0 && partition->removing_n == 0)
		return ERR_NO_REASSIGNMENT_IN_PROGRESS;
	target_before(partition, &target);
	if (target.isr_n == 0) {
		reassign->has_text = true;
		return err_text_set(&reassign->text, ERR_INVALID_REPLICA_ASSIGNMENT,
				    "Can't revert the reassignment of %.*s-%d: none of the replicas before it is in "
				    "sync.", STR_ARGS(topic->name), index);
	}
	reassign_write(reassign, &target, topic, index, partition);
	return ERR_NONE;
}

/* A move counts from what was there before the one that is under way. */
static void target_move(const struct partition_image *partition, const int32_t *wanted, int32_t wanted_n,
			struct arena *arena, struct target *target)
{
	struct target before = target_new(arena, partition, 0);

	target_before(partition, &before);
	for (int32_t i = 0; i < wanted_n; i++) {
		target->replicas[target->replicas_n++] = wanted[i];
		if (!list_has(before.replicas, before.replicas_n, wanted[i]))
			target->adding[target->adding_n++] = wanted[i];
	}
	target_take_isr(target, partition);
	for (int32_t i = 0; i < target->adding_n; i++) {
		if (!list_has(target->isr, target->isr_n, target->adding[i]))
			break;
		if (i == target->adding_n - 1)
			target->adding_n = 0; /* all are there */
	}
	if (target->adding_n == 0 && target->isr_n > 0)
		return;
	target->isr_n = 0;
	for (int32_t i = 0; i < before.replicas_n; i++) {
		if (list_has(wanted, wanted_n, before.replicas[i]))
			continue;
		target->removing[target->removing_n++] = before.replicas[i];
		target->replicas[target->replicas_n++] = before.replicas[i];
	}
	target_take_isr(target, partition);
}

static enum err reassign_partition(struct reassign *reassign, const struct topic_image *topic, struct str name,
				   const struct alter_partition_reassignments_request_topics_partitions *in)
{
	const struct partition_image *partition = topic ? topic_partition(topic, in->partition_index) : NULL;
	struct target target;
	enum err err;

	reassign->has_text = true;
	if (!topic)
		return err_text_set(&reassign->text, ERR_UNKNOWN_TOPIC_OR_PARTITION,
				    "Unable to find a topic named %.*s.", STR_ARGS(name));
	if (!partition)
		return err_text_set(&reassign->text, ERR_UNKNOWN_TOPIC_OR_PARTITION,
				    "Unable to find partition %.*s:%d.", STR_ARGS(name), in->partition_index);
	reassign->has_text = false;
	if (in->replicas_n < 0)
		return reassign_cancel(reassign, topic, in->partition_index, partition);
	err = replicas_check(reassign->controller->latest, in->replicas, in->replicas_n, 0, &reassign->text);
	target = target_new(reassign->arena, partition, 0);
	target_before(partition, &target);
	if (!err && !reassign->allows_factor_change && in->replicas_n != target.replicas_n)
		err = err_text_set(&reassign->text, ERR_INVALID_REPLICATION_FACTOR,
				   "The replication factor is changed from %d to %d", target.replicas_n,
				   in->replicas_n);
	reassign->has_text = err != ERR_NONE;
	if (err)
		return err;
	target = target_new(reassign->arena, partition, in->replicas_n);
	target_move(partition, in->replicas, in->replicas_n, reassign->arena, &target);
	reassign_write(reassign, &target, topic, in->partition_index, partition);
	return ERR_NONE;
}

static void reassign_topic(struct reassign *reassign, const struct alter_partition_reassignments_request_topics *in,
			   struct alter_partition_reassignments_response_responses *out)
{
	const struct topic_image *topic = image_topic(reassign->controller->latest, in->name);

	out->name = in->name;
	out->partitions = MSG_NEW_N(reassign->arena, alter_partition_reassignments_response_responses_partitions,
				    in->partitions_n);
	out->partitions_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++) {
		enum err err = reassign_partition(reassign, topic, in->name, &in->partitions[i]);

		out->partitions[i].partition_index = in->partitions[i].partition_index;
		out->partitions[i].error_code = err_wire(err);
		out->partitions[i].error_message =
			reassign->has_text ? controller_text(reassign->arena, &reassign->text) : STR_NULL;
	}
}

enum err controller_alter_reassignments(struct controller *controller,
					const struct alter_partition_reassignments_request *request,
					struct alter_partition_reassignments_response *response,
					struct controller_records *records, struct arena *arena)
{
	struct reassign reassign = {
		.controller = controller,
		.records = records,
		.arena = arena,
		.allows_factor_change = request->allow_replication_factor_change,
	};

	msg_init(&alter_partition_reassignments_response_type, response);
	response->allow_replication_factor_change = request->allow_replication_factor_change;
	response->error_message = request->topics_n > 0 ? STR_NULL : STR("");
	response->responses = MSG_NEW_N(arena, alter_partition_reassignments_response_responses, request->topics_n);
	response->responses_n = request->topics_n;
	records->atomic = true;
	for (int32_t i = 0; i < request->topics_n; i++)
		reassign_topic(&reassign, &request->topics[i], &response->responses[i]);
	if (records->values.n <= RECORDS_PER_OPERATION_MAX)
		return ERR_NONE;
	records->values.n = 0;
	response->responses_n = 0;
	response->error_code = ERR_POLICY_VIOLATION;
	response->error_message = STR("Unable to perform excessively large batch operation.");
	return ERR_NONE;
}
