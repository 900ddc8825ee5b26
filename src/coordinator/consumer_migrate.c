/* SPDX-License-Identifier: Apache-2.0 */
/* From a classic group to one of the consumer protocol, and back. See consumer_host.h. */
#include <stdlib.h>

#include "consumer_host.h"

#include "fault.h"
#include "log.h"
#include "mem.h"

/* ---- classic to consumer ---- */

/* One member on its way. */
struct moving_member {
	struct str id;
	struct consumer_group_member_metadata_value meta;
	struct consumer_protocol_subscription subscription;
	struct part_set assigned;
};

static int name_cmp(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void moving_topics(struct moving_member *moving, const struct consumer_protocol_subscription *subscription,
			  struct arena *arena)
{
	struct str *names = ARENA_NEW_N(arena, struct str, subscription->topics_n);

	for (int32_t i = 0; i < subscription->topics_n; i++)
		names[i] = arena_str(arena, subscription->topics[i]);
	qsort(names, (size_t)subscription->topics_n, sizeof(*names), name_cmp);
	moving->meta.subscribed_topic_names = names;
	for (int32_t i = 0; i < subscription->topics_n; i++) {
		if (i == 0 || !str_eq(names[i], names[i - 1]))
			names[moving->meta.subscribed_topic_names_n++] = names[i];
	}
}

static void moving_add(struct part_set *set, const struct topic_image *topic, const int32_t *partitions, int32_t n,
		       int32_t epoch)
{
	for (int32_t i = 0; topic && i < n; i++) {
		if (partitions[i] >= 0 && partitions[i] < topic->partitions_n)
			set->v[set->n++] = (struct part_id){topic->id, partitions[i], epoch};
	}
}

/* What nobody else has. */
static void moving_take(struct moving_member *moving, struct part_set set, struct part_set *taken,
			struct arena *arena)
{
	part_set_normalize(&set);
	set = part_set_without(set, *taken, arena);
	moving->assigned = part_set_joined(moving->assigned, set, arena);
	*taken = part_set_joined(*taken, set, arena);
}

/* The leader's assignment, which may give one partition to two; ERR_NOT_SUPPORTED when it carries what only the
 * leader's assignor understands. */
static enum err moving_assigned(struct moving_member *moving, const struct image *image, struct bytes in,
				int32_t epoch, struct part_set *taken, struct arena *arena)
{
	const struct msg_type *type = &consumer_protocol_assignment_type;
	struct consumer_protocol_assignment assignment;
	struct part_set set = {0};
	int16_t version;
	int64_t n = 0;

	if (in.len < 2 || FAULT(upgrade_forgets))
		return ERR_NONE;
	version = (int16_t)load_be16(in.p);
	if (version > type->version_max)
		version = type->version_max;
	if (version < 0 ||
	    codec_decode(type, version, (struct bytes){in.p + 2, in.len - 2}, arena, &assignment, NULL, NULL))
		return ERR_DECODE;
	if (assignment.user_data.len > 0)
		return ERR_NOT_SUPPORTED;
	for (int32_t i = 0; i < assignment.assigned_partitions_n; i++)
		n += assignment.assigned_partitions[i].partitions_n;
	set.v = arena_try_alloc_n(arena, (size_t)n + 1, sizeof(*set.v));
	if (!set.v)
		return ERR_NO_MEMORY;
	for (int32_t i = 0; i < assignment.assigned_partitions_n; i++)
		moving_add(&set, image_topic(image, assignment.assigned_partitions[i].topic),
			   assignment.assigned_partitions[i].partitions,
			   assignment.assigned_partitions[i].partitions_n, epoch);
	moving_take(moving, set, taken, arena);
	return ERR_NONE;
}

/* In the middle of a rebalance a member still has what it said to own when it joined, whatever the leader's assignment
 * is or was that it has not been told: nobody gets that before it is given back. */
static enum err moving_owned(struct moving_member *moving, const struct image *image, int32_t epoch,
			     struct part_set *taken, struct arena *arena)
{
	const struct consumer_protocol_subscription *subscription = &moving->subscription;
	struct part_set set = {0};
	int64_t n = 0;

	if (FAULT(upgrade_forgets))
		return ERR_NONE;
	for (int32_t i = 0; i < subscription->owned_partitions_n; i++)
		n += subscription->owned_partitions[i].partitions_n;
	set.v = arena_try_alloc_n(arena, (size_t)n + 1, sizeof(*set.v));
	if (!set.v)
		return ERR_NO_MEMORY;
	for (int32_t i = 0; i < subscription->owned_partitions_n; i++)
		moving_add(&set, image_topic(image, subscription->owned_partitions[i].topic),
			   subscription->owned_partitions[i].partitions,
			   subscription->owned_partitions[i].partitions_n, epoch);
	moving_take(moving, set, taken, arena);
	return ERR_NONE;
}

static struct consumer_group_member_metadata_value_classic_member_metadata *
moving_protocols(const struct classic_member *member, struct arena *arena)
{
	struct consumer_group_member_metadata_value_classic_member_metadata *ret =
		MSG_NEW(arena, consumer_group_member_metadata_value_classic_member_metadata);

	ret->session_timeout_ms = member->session_timeout_ms;
	ret->supported_protocols_n = member->protocols_n;
	ret->supported_protocols =
		MSG_NEW_N(arena, consumer_group_member_metadata_value_classic_member_metadata_supported_protocols,
			  member->protocols_n);
	for (int32_t i = 0; i < member->protocols_n; i++) {
		ret->supported_protocols[i].name = member->protocols[i].name;
		ret->supported_protocols[i].metadata = member->protocols[i].metadata;
	}
	return ret;
}

static enum err moving_read(struct moving_member *moving, const struct group_classic *classic,
			    const struct classic_member *member, struct part_set *taken, struct arena *arena)
{
	const struct classic_protocol *protocol =
		classic->protocol.p ? classic_member_protocol(member, classic->protocol) : NULL;
	struct consumer_protocol_subscription *subscription = &moving->subscription;
	int16_t version;

	if (!protocol && member->protocols_n > 0)
		protocol = &member->protocols[0];
	if (!protocol || classic_subscription_read(protocol->metadata, arena, subscription, &version))
		return ERR_DECODE;
	msg_init(&consumer_group_member_metadata_value_type, &moving->meta);
	moving->id = member->id;
	moving->meta.instance_id = member->instance_id;
	moving->meta.rack_id = subscription->rack_id.len ? subscription->rack_id : STR_NULL;
	moving->meta.client_id = member->client_id;
	moving->meta.client_host = member->client_host;
	moving->meta.subscribed_topic_regex = STR("");
	moving->meta.server_assignor = STR_NULL;
	moving->meta.rebalance_timeout_ms = member->rebalance_timeout_ms;
	moving->meta.classic_member_metadata = moving_protocols(member, arena);
	moving_topics(moving, subscription, arena);
	return moving_assigned(moving, classic->group->store->image, member->assignment, classic->generation, taken,
			       arena);
}

static void upgrade_records(const struct group *group, const struct moving_member *members, int32_t n,
			    struct coord_records *records)
{
	/* Before its first generation there is 0, which a member of the new protocol must not be told. */
	int32_t epoch = MAX(group->classic->generation, CONSUMER_EPOCH_FIRST);

	group->kind->tombstones(group, records);
	for (int32_t i = 0; i < n; i++)
		consumer_write_member(records, group->id, members[i].id, &members[i].meta);
	consumer_write_epoch(records, group->id, epoch, 0);
	for (int32_t i = 0; i < n; i++)
		consumer_write_target(records, group->id, members[i].id, members[i].assigned);
	consumer_write_target_epoch(records, group->id, epoch, 0);
	for (int32_t i = 0; i < n; i++) {
		struct member_current current = {MEMBER_STABLE, epoch, epoch, members[i].assigned, {0}};

		consumer_write_current(records, group->id, members[i].id, &current);
	}
}

static enum err upgrade_prepare(const struct group *group, struct coord_records *records)
{
	struct moving_member *members =
		ARENA_NEW_N(records->arena, struct moving_member, (int32_t)group->classic->members.n);
	const struct classic_member *member;
	struct part_set taken = {0};
	int32_t n = 0;

	for (uint32_t it = 0; (member = map_next(&group->classic->members, &it)) != NULL;) {
		enum err err = moving_read(&members[n], group->classic, member, &taken, records->arena);

		if (err)
			return err;
		n++;
	}
	for (int32_t i = 0; i < n && !classic_is(group->classic, CLASSIC_STABLE); i++) {
		enum err err = moving_owned(&members[i], group->store->image, group->classic->generation, &taken,
					    records->arena);

		if (err)
			return err;
	}
	upgrade_records(group, members, n, records);
	return ERR_NONE;
}

/* Kafka's words. */
bool consumer_upgrade_is_allowed(const struct group *group, struct err_text *text)
{
	const struct group_settings *settings = &group->store->settings;
	const char *why = NULL;

	if (!settings->can_upgrade)
		why = "online upgrade is disabled";
	else if (!str_eq(group->classic->protocol_type, PROTOCOL_TYPE_CONSUMER))
		why = "the group does not use the consumer embedded protocol";
	else if ((int32_t)group->classic->members.n > settings->consumer_max_size)
		why = "the group size exceeds the consumer group maximum size";
	if (!why)
		return true;
	err_text_set(text, ERR_GROUP_ID_NOT_FOUND, "Cannot upgrade classic group %.*s to consumer group because %s.",
		     STR_ARGS(group->id), why);
	return false;
}

/* ERR_NONE: the records are made. */
static enum err upgrade_check(const struct group *group, struct coord_records *records, struct err_text *text)
{
	const char *why;
	enum err err;

	if (!consumer_upgrade_is_allowed(group, text))
		return ERR_GROUP_ID_NOT_FOUND;
	err = upgrade_prepare(group, records);
	if (!err)
		return ERR_NONE;
	why = err == ERR_NOT_SUPPORTED ? "an unsupported custom assignor is in use" :
					 "the embedded consumer protocol is malformed";
	return err_text_set(text, ERR_GROUP_ID_NOT_FOUND,
			    "Cannot upgrade classic group %.*s to consumer group because %s.",
			    STR_ARGS(group->id), why);
}

bool consumer_upgrade(struct group *group, struct err_text *text)
{
	struct group_store *store = group->store;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	struct classic_member *member;
	bool can = upgrade_check(group, &records, text) == ERR_NONE;
	struct str id = can ? arena_str(&arena, group->id) : STR_NULL;

	if (can) {
		group_log(group, "group.upgrade", "generation=%d members=%u", group->classic->generation,
			  group->classic->members.n);
		/* Who waits comes again, and is a guest then. */
		for (uint32_t it = 0; (member = map_next(&group->classic->members, &it)) != NULL;) {
			classic_join_fail(member, ERR_REBALANCE_IN_PROGRESS, true);
			classic_sync_fail(member, ERR_REBALANCE_IN_PROGRESS);
		}
		coord_shard_write(store->shard, &records, true, NULL, NULL);
		group = group_find(store, id);
		can = group && group->kind == &group_kind_consumer;
	}
	vec_deinit(&records.v);
	arena_reset(&arena);
	return can;
}

void consumer_end_empty(struct group *group)
{
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};

	group->kind->tombstones(group, &records);
	coord_shard_write(group->store->shard, &records, true, NULL, NULL);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

/* ---- consumer to classic ---- */

static const struct consumer_group_member_metadata_value_classic_member_metadata *
guest_metadata(const struct consumer_member *member)
{
	return member->meta ? member->meta->value.classic_member_metadata : NULL;
}

static const struct consumer_group_member_metadata_value_classic_member_metadata_supported_protocols *
guest_protocol(const struct consumer_member *member, struct str name)
{
	const struct consumer_group_member_metadata_value_classic_member_metadata *metadata =
		guest_metadata(member);

	for (int32_t i = 0; metadata && i < metadata->supported_protocols_n; i++) {
		if (str_eq(metadata->supported_protocols[i].name, name))
			return &metadata->supported_protocols[i];
	}
	return NULL;
}

/* How many members like it best; -1: not all of them have it. */
static int32_t protocol_votes(const struct group_consumer *consumer, struct str name)
{
	const struct consumer_member *member;
	int32_t votes = 0;

	for (uint32_t it = 0; (member = map_next(&consumer->members, &it)) != NULL;) {
		if (!member->meta)
			continue;
		if (!guest_protocol(member, name))
			return -1;
		votes += str_eq(guest_metadata(member)->supported_protocols[0].name, name);
	}
	return votes;
}

/* Null: there is none. */
static struct str downgrade_protocol(const struct group_consumer *consumer)
{
	const struct consumer_member *member;
	struct str best = STR_NULL;
	int32_t best_votes = -1;
	uint32_t it = 0;

	do {
		member = map_next(&consumer->members, &it);
	} while (member && !member->meta);
	for (int32_t i = 0; member && i < guest_metadata(member)->supported_protocols_n; i++) {
		struct str name = guest_metadata(member)->supported_protocols[i].name;
		int32_t votes = protocol_votes(consumer, name);

		if (votes > best_votes) {
			best = name;
			best_votes = votes;
		}
	}
	return best;
}

/* Also what it was asked for and has not given back: who comes next must wait for it. */
static struct part_set member_holds(const struct consumer_member *member, struct arena *arena)
{
	return part_set_joined(member->current.assigned, member->current.revoking, arena);
}

static void downgrade_records(const struct group *group, struct str protocol, struct coord_records *records)
{
	struct group_metadata_key key = {group->id};
	struct group_metadata_value value;
	const struct consumer_member *member;

	group->kind->tombstones(group, records);
	msg_init(&group_metadata_value_type, &value);
	value.protocol_type = PROTOCOL_TYPE_CONSUMER;
	value.generation = group->consumer->epoch;
	value.protocol = protocol;
	value.current_state_timestamp = group->store->shard->wall_ms;
	value.members = MSG_NEW_N(records->arena, group_metadata_value_member_metadata, group->consumer->members_n);
	for (uint32_t it = 0; (member = map_next(&group->consumer->members, &it)) != NULL;) {
		struct group_metadata_value_member_metadata *out = &value.members[value.members_n];

		if (!member->meta)
			continue;
		if (value.members_n++ == 0)
			value.leader = member->id;
		out->member_id = member->id;
		out->group_instance_id = member->meta->value.instance_id;
		out->client_id = member->meta->value.client_id;
		out->client_host = member->meta->value.client_host;
		out->rebalance_timeout = member->meta->value.rebalance_timeout_ms;
		out->session_timeout = guest_metadata(member)->session_timeout_ms;
		out->subscription = guest_protocol(member, protocol)->metadata;
		out->assignment = consumer_host_assignment(group, member, protocol,
							   member_holds(member, records->arena), records->arena);
	}
	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_GROUP_METADATA, 3, &key, &value);
}

/* Members hold what the coordinator gave them; from here on their leader assigns. */
static void downgrade_settled(void *machine, void *ctx, enum err err)
{
	struct str *id = ctx;
	struct group *group = machine ? group_find(machine, *id) : NULL;

	if (!err && group && group->kind == &group_kind_classic && classic_is(group->classic, CLASSIC_STABLE))
		classic_prepare(group->classic, "the last member of the consumer protocol is gone");
	mem_free((char *)id->p);
	mem_free(id);
}

static bool downgrade_is_due(const struct group *group)
{
	const struct group_settings *settings = &group->store->settings;
	const struct group_consumer *consumer = group->consumer;

	return settings->can_downgrade && group->store->image && consumer->members_n > 0 &&
	       consumer->guests_n == consumer->members_n && consumer->members_n <= settings->max_size;
}

static void downgrade_due(struct coord_timer *timer, void *machine)
{
	struct group *group = container_of(timer, struct group_consumer, downgrade)->group;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	struct str protocol = downgrade_is_due(group) ? downgrade_protocol(group->consumer) : STR_NULL;
	struct str *id;

	if (!protocol.p)
		return;
	group_log(group, "group.downgrade", "epoch=%d members=%d", group->consumer->epoch,
		  group->consumer->members_n);
	downgrade_records(group, protocol, &records);
	id = MEM_NEW(struct str);
	classic_str_set(id, group->id);
	coord_shard_write(group->store->shard, &records, true, downgrade_settled, id);
	vec_deinit(&records.v);
	arena_reset(&arena);
}

void consumer_downgrade_soon(struct group *group)
{
	if (downgrade_is_due(group))
		coord_timer_start(group->store->shard, &group->consumer->downgrade, 0, downgrade_due);
}
