/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ElectLeaders: the preferred replica, which is the first of a partition's list, shall lead; or any live replica of a
 * partition that has no leader, though it may have missed records. Same as Kafka in codes and texts. Without a list of
 * partitions all of them are tried, and those that need nothing are not told.
 */
#include "controller_private.h"
#include "feature_table.h"
#include "msg/elect_leaders.h"

#define ELECTION_PREFERRED 0
#define ELECTION_UNCLEAN 1

struct elect {
	struct controller *controller;
	struct controller_records *records;
	struct arena *arena;
	int8_t type;
	struct str message;
};

static enum err elect_say(struct elect *elect, enum err err, struct str message)
{
	elect->message = message;
	return err;
}

static enum err elect_partition(struct elect *elect, const struct topic_image *topic, int32_t index)
{
	const struct partition_image *partition = topic_partition(topic, index);
	struct partition_change change = {
		.image = elect->controller->latest,
		.leaving = BROKER_NONE,
		.arriving = BROKER_NONE,
		.unclean = BROKER_NONE,
		.is_elr_enabled = controller_has_elr(elect->controller),
		.prefers_first = elect->type == ELECTION_PREFERRED,
		.may_elect_unclean = elect->type == ELECTION_UNCLEAN,
		.min_isr = controller_min_isr(elect->controller, topic->name),
	};
	struct partition_change_record record;

	if (!partition || partition->replicas_n == 0)
		return elect_say(elect, ERR_UNKNOWN_TOPIC_OR_PARTITION,
				 arena_printf(elect->arena, "No such partition as %.*s-%d", STR_ARGS(topic->name),
					      index));
	if (elect->type == ELECTION_PREFERRED ? partition->leader == partition->replicas[0]
					      : partition->leader != LEADER_NONE)
		return elect_say(elect, ERR_ELECTION_NOT_NEEDED,
				 STR("Leader election not needed for topic partition."));
	if (elect->records->values.n >= RECORDS_PER_OPERATION_MAX)
		return elect_say(elect, ERR_POLICY_VIOLATION,
				 STR("Unable to perform excessively large batch operation."));
	if (!partition_change_decide(&change, partition, topic->id, index, elect->arena, &record)) {
		if (elect->type == ELECTION_PREFERRED)
			return elect_say(elect, ERR_PREFERRED_LEADER_NOT_AVAILABLE,
					 STR("The preferred leader was not available."));
		return elect_say(elect, ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE,
				 STR("Eligible topic partition leaders are not available."));
	}
	controller_add(elect->records, elect->arena, METADATA_PARTITION_CHANGE_RECORD,
		       partition_version(controller_metadata_version(elect->controller)), &record);
	return elect_say(elect, ERR_NONE, STR_NULL);
}

static void elect_add(struct elect *elect, struct elect_leaders_response_replica_election_results *out, int32_t index,
		      enum err err)
{
	struct elect_leaders_response_replica_election_results_partition_result *result;

	result = &out->partition_result[out->partition_result_n++];
	result->partition_id = index;
	result->error_code = err_wire(err);
	result->error_message = elect->message;
}

static void elect_all(struct elect *elect, struct elect_leaders_response *response)
{
	const struct image *image = elect->controller->latest;
	const struct topic_image *topic;

	response->replica_election_results = MSG_NEW_N(elect->arena, elect_leaders_response_replica_election_results,
						       image->topics_n);
	for (struct str after = STR_NULL; (topic = image_topic_next(image, after)) != NULL; after = topic->name) {
		struct elect_leaders_response_replica_election_results *out =
			&response->replica_election_results[response->replica_election_results_n++];

		out->topic = arena_str(elect->arena, topic->name);
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			enum err err = topic_partition(topic, i) ? elect_partition(elect, topic, i)
								 : ERR_ELECTION_NOT_NEEDED;

			if (err == ERR_ELECTION_NOT_NEEDED)
				continue;
			if (!out->partition_result)
				out->partition_result = MSG_NEW_N(
					elect->arena, elect_leaders_response_replica_election_results_partition_result,
					topic->partitions_n);
			elect_add(elect, out, i, err);
		}
	}
}

static void elect_topic(struct elect *elect, const struct elect_leaders_request_topic_partitions *in,
			struct elect_leaders_response_replica_election_results *out)
{
	const struct topic_image *topic = image_topic(elect->controller->latest, in->topic);

	out->topic = in->topic;
	out->partition_result = MSG_NEW_N(elect->arena,
					  elect_leaders_response_replica_election_results_partition_result,
					  in->partitions_n);
	for (int32_t i = 0; i < in->partitions_n; i++) {
		enum err err = ERR_UNKNOWN_TOPIC_OR_PARTITION;

		if (elect->type != ELECTION_PREFERRED && elect->type != ELECTION_UNCLEAN)
			err = elect_say(elect, ERR_INVALID_REQUEST,
					arena_printf(elect->arena, "Unknown election type %d", elect->type));
		else if (topic)
			err = elect_partition(elect, topic, in->partitions[i]);
		else
			elect_say(elect, err, arena_printf(elect->arena, "No such topic as %.*s",
							   STR_ARGS(in->topic)));
		elect_add(elect, out, in->partitions[i], err);
	}
}

enum err controller_elect_leaders(struct controller *controller, const struct elect_leaders_request *request,
				  struct elect_leaders_response *response, struct controller_records *records,
				  struct arena *arena)
{
	struct elect elect = {
		.controller = controller,
		.records = records,
		.arena = arena,
		.type = request->election_type,
	};
	bool is_known = elect.type == ELECTION_PREFERRED || elect.type == ELECTION_UNCLEAN;

	msg_init(&elect_leaders_response_type, response);
	records->atomic = true;
	if (!is_known)
		response->error_code = ERR_INVALID_REQUEST;
	if (request->topic_partitions_n < 0) {
		if (is_known)
			elect_all(&elect, response);
		return ERR_NONE;
	}
	response->replica_election_results = MSG_NEW_N(arena, elect_leaders_response_replica_election_results,
						       request->topic_partitions_n);
	response->replica_election_results_n = request->topic_partitions_n;
	for (int32_t i = 0; i < request->topic_partitions_n; i++)
		elect_topic(&elect, &request->topic_partitions[i], &response->replica_election_results[i]);
	return ERR_NONE;
}
