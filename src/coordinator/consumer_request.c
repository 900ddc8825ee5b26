/* SPDX-License-Identifier: Apache-2.0 */
/* What a ConsumerGroupHeartbeat may ask, looked at by itself: Kafka's checks in its order and its words. */
#include "consumer_heartbeat.h"

static bool is_blank(struct str s)
{
	if (!s.p)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.p[i] > ' ')
			return false;
	}
	return true;
}

static enum err request_refuse(struct err_text *text, const char *what)
{
	return err_text_set(text, ERR_INVALID_REQUEST, "%s", what);
}

static enum err request_check_join(const struct consumer_group_heartbeat_request *request, struct err_text *text)
{
	if (request->rebalance_timeout_ms == -1)
		return request_refuse(text, "RebalanceTimeoutMs must be provided in first request.");
	if (request->topic_partitions_n != 0)
		return request_refuse(text, "TopicPartitions must be empty when (re-)joining.");
	if (request->subscribed_topic_names_n <= 0 && !request->subscribed_topic_regex.p)
		return request_refuse(text, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
					    "(re-)joining.");
	return ERR_NONE;
}

static enum err request_check_epoch(const struct consumer_group_heartbeat_request *request, int16_t version,
				    struct err_text *text)
{
	/* Up to version 0 the coordinator named who joins. */
	if (request->member_epoch == CONSUMER_EPOCH_JOIN && version >= 1 && is_blank(request->member_id))
		return request_refuse(text, "MemberId can't be empty.");
	if (request->member_epoch == CONSUMER_EPOCH_JOIN)
		return request_check_join(request, text);
	if (request->member_epoch < CONSUMER_EPOCH_LEAVE_STATIC)
		return request_refuse(text, "MemberEpoch is invalid.");
	if (is_blank(request->member_id))
		return request_refuse(text, "MemberId can't be empty.");
	if (request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC && !request->instance_id.p)
		return request_refuse(text, "InstanceId can't be null.");
	return ERR_NONE;
}

static enum err request_check_assignor(const struct group_settings *settings, struct str name, struct err_text *text)
{
	const char *first = "uniform", *second = "range";

	if (!name.p || (settings->consumer_has_uniform && str_eq_c(name, first)) ||
	    (settings->consumer_has_range && str_eq_c(name, second)))
		return ERR_NONE;
	if (settings->consumer_range_first || !settings->consumer_has_uniform) {
		first = "range";
		second = "uniform";
	}
	if (settings->consumer_has_uniform && settings->consumer_has_range)
		return err_text_set(text, ERR_UNSUPPORTED_ASSIGNOR,
				    "ServerAssignor %.*s is not supported. Supported assignors: %s, %s.",
				    STR_ARGS(name), first, second);
	return err_text_set(text, ERR_UNSUPPORTED_ASSIGNOR,
			    "ServerAssignor %.*s is not supported. Supported assignors: %s.", STR_ARGS(name), first);
}

enum err consumer_request_check(const struct group_settings *settings,
				const struct consumer_group_heartbeat_request *request, int16_t version,
				struct err_text *text)
{
	enum err err;

	if (is_blank(request->group_id))
		return request_refuse(text, "GroupId can't be empty.");
	if (is_blank(request->instance_id))
		return request_refuse(text, "InstanceId can't be empty.");
	if (is_blank(request->rack_id))
		return request_refuse(text, "RackId can't be empty.");
	if (request->subscribed_topic_names_n > CONSUMER_TOPICS_MAX)
		return request_refuse(text, "SubscribedTopicNames has too many entries.");
	err = request_check_epoch(request, version, text);
	return err ? err : request_check_assignor(settings, request->server_assignor, text);
}
