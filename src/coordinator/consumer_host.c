/* SPDX-License-Identifier: Apache-2.0 */
/* JoinGroup, SyncGroup and Heartbeat of classic members in a consumer group. See consumer_host.h. */
#include "consumer_host.h"

#include "fault.h"
#include "log.h"

/* ---- join ---- */

static bool protocol_is_known(const struct consumer_group_member_metadata_value_classic_member_metadata *metadata,
			      struct str name)
{
	for (int32_t i = 0; i < metadata->supported_protocols_n; i++) {
		if (str_eq(metadata->supported_protocols[i].name, name))
			return true;
	}
	return false;
}

/* Is there a protocol that all hosted members speak, and this one too? */
static bool host_supports(const struct group_consumer *consumer, const struct join_group_request *in)
{
	const struct consumer_member *member;

	if (!str_eq(in->protocol_type, PROTOCOL_TYPE_CONSUMER))
		return false;
	for (int32_t i = 0; i < in->protocols_n; i++) {
		bool all = true;

		for (uint32_t it = 0; all && (member = map_next(&consumer->members, &it)) != NULL;) {
			const struct consumer_group_member_metadata_value_classic_member_metadata *metadata =
				member->meta ? member->meta->value.classic_member_metadata : NULL;

			all = !metadata || str_eq(member->id, in->member_id) ||
			      protocol_is_known(metadata, in->protocols[i].name);
		}
		if (all)
			return true;
	}
	return false;
}

static struct consumer_group_member_metadata_value_classic_member_metadata *
host_metadata(const struct join_group_request *in, struct arena *arena)
{
	struct consumer_group_member_metadata_value_classic_member_metadata *ret =
		MSG_NEW(arena, consumer_group_member_metadata_value_classic_member_metadata);

	ret->session_timeout_ms = in->session_timeout_ms;
	ret->supported_protocols_n = in->protocols_n;
	ret->supported_protocols =
		MSG_NEW_N(arena, consumer_group_member_metadata_value_classic_member_metadata_supported_protocols,
			  in->protocols_n);
	for (int32_t i = 0; i < in->protocols_n; i++) {
		ret->supported_protocols[i].name = in->protocols[i].name;
		ret->supported_protocols[i].metadata = in->protocols[i].metadata;
	}
	return ret;
}

/* What it says it owns, by ids; topics that are gone are nobody's. */
static void host_owned(const struct image *image, const struct consumer_protocol_subscription *subscription,
		       struct arena *arena, struct consumer_group_heartbeat_request *ret)
{
	ret->topic_partitions = MSG_NEW_N(arena, consumer_group_heartbeat_request_topic_partitions,
					  subscription->owned_partitions_n);
	ret->topic_partitions_n = 0;
	for (int32_t i = 0; i < subscription->owned_partitions_n && !FAULT(host_unawaited); i++) {
		const struct consumer_protocol_subscription_owned_partitions *owned =
			&subscription->owned_partitions[i];
		const struct topic_image *topic = image_topic(image, owned->topic);
		struct consumer_group_heartbeat_request_topic_partitions *out;

		if (!topic)
			continue;
		out = &ret->topic_partitions[ret->topic_partitions_n++];
		out->topic_id = topic->id;
		out->partitions = owned->partitions;
		out->partitions_n = owned->partitions_n;
	}
}

static struct consumer_group_heartbeat_request *host_request(const struct group *group,
							     const struct join_group_request *in,
							     struct str member_id,
							     const struct consumer_protocol_subscription *subscription,
							     struct arena *arena)
{
	struct consumer_group_heartbeat_request *ret = MSG_NEW(arena, consumer_group_heartbeat_request);

	ret->group_id = in->group_id;
	ret->member_id = member_id;
	ret->member_epoch = CONSUMER_EPOCH_JOIN;
	ret->instance_id = in->group_instance_id;
	ret->rack_id = subscription->rack_id;
	ret->rebalance_timeout_ms = in->rebalance_timeout_ms;
	ret->subscribed_topic_names = subscription->topics;
	ret->subscribed_topic_names_n = subscription->topics_n;
	host_owned(group->store->image, subscription, arena, ret);
	return ret;
}

static void host_join_fill(struct classic_join *join, const struct consumer_group_heartbeat_response *response)
{
	msg_init(&join_group_response_type, &join->out);
	join->out.generation_id = response->member_epoch;
	join->out.protocol_type = PROTOCOL_TYPE_CONSUMER;
	join->out.protocol_name = arena_str(join->op.arena, join->in->protocols[0].name);
	/* Nobody of them leads: the coordinator assigns. */
	join->out.leader = STR("");
	join->out.member_id = response->member_id;
}

/* The answer leaves. */
static void host_join_settled(struct coord_op *op, void *machine, enum err err)
{
	const struct classic_join *join = container_of(op, struct classic_join, op);
	struct group_consumer *consumer = group_consumer_find(machine, join->in->group_id, NULL);
	struct consumer_member *member = consumer ? consumer_member_find(consumer, join->out.member_id) : NULL;

	if (err || join->out.error_code || !member || !member->meta || !member->meta->value.classic_member_metadata)
		return;
	coord_timer_stop(consumer->group->store->shard, &member->rejoin);
	consumer_member_await_sync(member);
}

enum err consumer_host_join(struct group *group, struct classic_join *join, struct coord_records *records)
{
	const struct join_group_request *in = join->in;
	struct arena *arena = join->op.arena;
	struct consumer_heartbeat heartbeat = {.store = group->store,
					       .client_id = join->client_id,
					       .client_host = join->client_host,
					       .version = 1,
					       .response = MSG_NEW(arena, consumer_group_heartbeat_response)};
	struct consumer_protocol_subscription subscription;
	struct str member_id = in->member_id;
	int16_t version;
	enum err err = ERR_NONE;

	if (in->protocols_n == 0 || !host_supports(group->consumer, in)) {
		classic_join_error(join, in->member_id, ERR_INCONSISTENT_GROUP_PROTOCOL);
		return ERR_NONE;
	}
	if (!member_id.len) {
		char text[UUID_TEXT_LEN + 1];

		uuid_format(uuid_random(group->store->shard->rng), text);
		member_id = arena_str(arena, str_of(text));
		if (join->version >= 4 && !in->group_instance_id.p) {
			classic_join_error(join, member_id, ERR_MEMBER_ID_REQUIRED);
			return ERR_NONE;
		}
	}
	if (classic_subscription_read(in->protocols[0].metadata, arena, &subscription, &version)) {
		classic_join_error(join, in->member_id, ERR_INCONSISTENT_GROUP_PROTOCOL);
		return ERR_NONE;
	}
	heartbeat.request = host_request(group, in, member_id, &subscription, arena);
	heartbeat.hosted = host_metadata(in, arena);
	err = consumer_heartbeat_host(&heartbeat, records);
	if (err) {
		records->v.n = 0;
		records->bytes = 0;
		classic_join_error(join, in->member_id, err);
		return ERR_NONE;
	}
	host_join_fill(join, heartbeat.response);
	join->op.settled = host_join_settled;
	return ERR_NONE;
}

/* ---- sync and heartbeat ---- */

static enum err host_check(const struct group *group, struct str id, struct str instance_id, int32_t generation,
			   struct consumer_member **ret)
{
	struct consumer_member *member = instance_id.p ? consumer_instance_find(group->consumer, instance_id) :
							 consumer_member_find(group->consumer, id);

	if (!member || !member->meta)
		return ERR_UNKNOWN_MEMBER_ID;
	if (!str_eq(member->id, id))
		return ERR_FENCED_INSTANCE_ID;
	if (!member->meta->value.classic_member_metadata)
		return ERR_UNKNOWN_MEMBER_ID;
	if (generation != member->current.epoch)
		return ERR_ILLEGAL_GENERATION;
	*ret = member;
	return ERR_NONE;
}

static void host_must_rejoin(struct consumer_member *member)
{
	if (!coord_timer_is_on(&member->rejoin))
		consumer_member_await_join(member);
}

/* The assignment by names, as a leader would have made it. */
static struct bytes host_assignment(const struct group *group, struct part_set set, int16_t version,
				    struct arena *arena)
{
	struct consumer_protocol_assignment assignment;
	struct codec_out out = {.arena = arena, .head_len = 2};
	enum err err;

	msg_init(&consumer_protocol_assignment_type, &assignment);
	assignment.assigned_partitions =
		MSG_NEW_N(arena, consumer_protocol_assignment_assigned_partitions, set.n);
	for (int32_t i = 0; i < set.n; i += part_set_topic_n(set, i)) {
		const struct topic_image *topic = image_topic_by_id(group->store->image, set.v[i].topic_id);
		struct consumer_protocol_assignment_assigned_partitions *to;

		if (!topic)
			continue;
		to = &assignment.assigned_partitions[assignment.assigned_partitions_n++];
		to->topic = topic->name;
		to->partitions_n = part_set_topic_n(set, i);
		to->partitions = ARENA_NEW_N(arena, int32_t, to->partitions_n);
		for (int32_t p = 0; p < to->partitions_n; p++)
			to->partitions[p] = set.v[i + p].partition;
	}
	err = codec_encode_copied(&consumer_protocol_assignment_type, version, &assignment, &out);
	CHECK_OP(err, ==, ERR_NONE);
	store_be16(out.head, (uint16_t)version);
	return (struct bytes){out.head, out.len};
}

struct bytes consumer_host_assignment(const struct group *group, const struct consumer_member *member,
				      struct str protocol, struct part_set set, struct arena *arena)
{
	const struct consumer_group_member_metadata_value_classic_member_metadata *metadata =
		member->meta->value.classic_member_metadata;
	struct consumer_protocol_subscription subscription;
	int16_t version = 0;

	for (int32_t i = 0; i < metadata->supported_protocols_n; i++) {
		const struct consumer_group_member_metadata_value_classic_member_metadata_supported_protocols *known =
			&metadata->supported_protocols[i];

		if (str_eq(known->name, protocol) &&
		    classic_subscription_read(known->metadata, arena, &subscription, &version))
			version = 0;
	}
	return host_assignment(group, set, version, arena);
}

static enum err host_sync_check(const struct group *group, const struct sync_group_request *in,
				struct consumer_member **ret)
{
	const struct consumer_group_member_metadata_value_classic_member_metadata *metadata;
	enum err err = host_check(group, in->member_id, in->group_instance_id, in->generation_id, ret);

	if (err)
		return err;
	metadata = (*ret)->meta->value.classic_member_metadata;
	if ((in->protocol_type.p && !str_eq(in->protocol_type, PROTOCOL_TYPE_CONSUMER)) ||
	    metadata->supported_protocols_n == 0 ||
	    (in->protocol_name.p && !str_eq(in->protocol_name, metadata->supported_protocols[0].name)))
		return ERR_INCONSISTENT_GROUP_PROTOCOL;
	/* Another rebalance began. Who gives back has joined already, and must do that first. */
	if (group->consumer->epoch > (*ret)->current.epoch && (*ret)->current.state != MEMBER_UNREVOKED_PARTITIONS) {
		host_must_rejoin(*ret);
		return ERR_REBALANCE_IN_PROGRESS;
	}
	return ERR_NONE;
}

void consumer_host_sync(const struct group *group, struct classic_sync *sync)
{
	struct arena *arena = sync->op.arena;
	struct consumer_member *member = NULL;
	enum err err = host_sync_check(group, sync->in, &member);

	msg_init(&sync_group_response_type, &sync->out);
	sync->out.error_code = err_wire(err);
	if (err)
		return;
	consumer_member_heard(member);
	coord_timer_stop(group->store->shard, &member->sync);
	sync->out.protocol_type = PROTOCOL_TYPE_CONSUMER;
	sync->out.protocol_name =
		arena_str(arena, member->meta->value.classic_member_metadata->supported_protocols[0].name);
	sync->out.assignment = consumer_host_assignment(group, member, sync->out.protocol_name,
							member->current.assigned, arena);
}

/* Is some of its target still another member's? */
static bool host_waits(const struct group *group, const struct consumer_member *member)
{
	for (int32_t i = 0; i < member->target.n; i++) {
		const struct consumer_member *owner = consumer_owner_of(group->consumer, member->target.v[i]);

		if (owner && owner != member)
			return true;
	}
	return false;
}

enum err consumer_host_heartbeat(struct group *group, const struct heartbeat_request *in)
{
	struct consumer_member *member;
	enum err err = host_check(group, in->member_id, in->group_instance_id, in->generation_id, &member);

	if (err)
		return err;
	consumer_member_heard(member);
	if (member->current.epoch >= group->consumer->epoch && member->current.state != MEMBER_UNREVOKED_PARTITIONS &&
	    (member->current.state != MEMBER_UNRELEASED_PARTITIONS || host_waits(group, member)))
		return ERR_NONE;
	host_must_rejoin(member);
	return ERR_REBALANCE_IN_PROGRESS;
}
