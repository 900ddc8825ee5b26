/* SPDX-License-Identifier: Apache-2.0 */
/* See group_offsets.h. Expiry and the deletion of topics are in offsets_expiry.c. */
#include "group_offsets.h"

#include "fault.h"

#include "mem.h"
#include "msg/offset_commit.h"
#include "msg/offset_delete.h"
#include "msg/offset_fetch.h"
#include "offsets_pending.h"

/* Version 1 is the only one that carries a time of expiry. */
#define OFFSET_VALUE_VERSION 4
#define OFFSET_VALUE_VERSION_EXPIRES 1

/* ---- the state ---- */

/* Index of the entry of a partition, or of the one it would stand before. */
static int32_t offset_topic_at(const struct offset_topic *topic, int32_t partition, bool *ret_found)
{
	int32_t low = 0, high = topic->entries_n;

	while (low < high) {
		int32_t middle = low + (high - low) / 2;

		if (topic->entries[middle].partition < partition)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = low < topic->entries_n && topic->entries[low].partition == partition;
	return low;
}

const struct committed_offset *offsets_find(const struct group *group, struct str name, int32_t partition)
{
	const struct offset_topic *topic = map_get_str(&group->offsets, name);
	bool found = false;
	int32_t at = topic ? offset_topic_at(topic, partition, &found) : 0;

	return found ? &topic->entries[at] : NULL;
}

static int64_t offset_topic_bytes(const struct offset_topic *topic)
{
	return (int64_t)(sizeof(*topic) + topic->name.len);
}

static int64_t offset_bytes(const struct committed_offset *entry)
{
	return (int64_t)sizeof(*entry) + entry->metadata_len;
}

static void offset_entry_free(struct group_store *store, const struct committed_offset *entry)
{
	group_store_count(store, -offset_bytes(entry));
	mem_free(entry->metadata);
}

static struct offset_topic *offset_topic_get(struct group *group, struct str name)
{
	struct offset_topic *topic = map_get_str(&group->offsets, name);

	if (topic)
		return topic;
	topic = MEM_NEW(struct offset_topic);
	topic->name = (struct str){mem_strdup_n(name.p, name.len), name.len};
	map_put_str(&group->offsets, topic->name, topic);
	group_store_count(group->store, offset_topic_bytes(topic));
	return topic;
}

static void offset_topic_free(struct group_store *store, struct offset_topic *topic)
{
	for (int32_t i = 0; i < topic->entries_n; i++)
		offset_entry_free(store, &topic->entries[i]);
	group_store_count(store, -offset_topic_bytes(topic));
	mem_free(topic->entries);
	mem_free((char *)topic->name.p);
	mem_free(topic);
}

void offsets_free(struct group *group)
{
	struct offset_topic *topic;

	for (uint32_t it = 0; (topic = map_next(&group->offsets, &it)) != NULL;)
		offset_topic_free(group->store, topic);
	map_deinit(&group->offsets);
	group->store->offsets_n -= group->offsets_n;
	group->offsets_n = 0;
}

static void offsets_put(struct group *group, struct str name, const struct committed_offset *entry)
{
	struct offset_topic *topic = offset_topic_get(group, name);
	bool found;
	int32_t at = offset_topic_at(topic, entry->partition, &found);

	if (found) {
		offset_entry_free(group->store, &topic->entries[at]);
	} else {
		if (topic->entries_n == topic->entries_cap) {
			topic->entries_cap = topic->entries_cap ? topic->entries_cap * 3 / 2 + 1 : 1;
			topic->entries = mem_realloc(topic->entries,
						     (size_t)topic->entries_cap * sizeof(*topic->entries));
		}
		memmove(&topic->entries[at + 1], &topic->entries[at],
			(size_t)(topic->entries_n - at) * sizeof(*topic->entries));
		topic->entries_n++;
		group->offsets_n++;
		group->store->offsets_n++;
	}
	topic->entries[at] = *entry;
	group_store_count(group->store, offset_bytes(entry));
}

static void offsets_remove(struct group *group, struct str name, int32_t partition)
{
	struct offset_topic *topic = map_get_str(&group->offsets, name);
	bool found = false;
	int32_t at = topic ? offset_topic_at(topic, partition, &found) : 0;

	if (!found)
		return;
	offset_entry_free(group->store, &topic->entries[at]);
	topic->entries_n--;
	memmove(&topic->entries[at], &topic->entries[at + 1],
		(size_t)(topic->entries_n - at) * sizeof(*topic->entries));
	group->offsets_n--;
	group->store->offsets_n--;
	if (topic->entries_n == 0) {
		map_remove_str(&group->offsets, name);
		offset_topic_free(group->store, topic);
	}
}

/* ---- records ---- */

/* A plain record comes after what open transactions commit under its key, or is undone: then what is there now tells
 * which kind it was. */
static void offsets_overtake(struct group_store *store, const struct group *group, const struct offset_commit_key *key,
			     bool is_deletion)
{
	if (store->pendings_n == 0)
		return;
	if (!store->shard->is_undoing)
		pending_overtaken(store, key->group, key->topic, key->partition, is_deletion);
	else
		pending_overtaken_undone(store, key->group, key->topic, key->partition,
					 !group || !offsets_find(group, key->topic, key->partition));
}

static enum err offsets_replay(struct group_store *store, struct coord_origin origin, const void *k, const void *v,
			       struct err_text *text)
{
	const struct offset_commit_key *key = k;
	const struct offset_commit_value *value = v;
	struct committed_offset entry;
	struct group *group = group_find(store, key->group);

	if (origin.producer_id < 0)
		offsets_overtake(store, group, key, value == NULL);
	if (!value) {
		if (origin.producer_id >= 0)
			pending_remove(store, origin, key->group, key->topic, key->partition);
		else if (group)
			offsets_remove(group, key->topic, key->partition);
		return ERR_NONE;
	}
	group = group_find_or_make_classic(store, key->group);
	entry = (struct committed_offset){
		.offset = value->offset,
		.commit_ms = value->commit_timestamp,
		.expire_ms = value->expire_timestamp,
		.topic_id = value->topic_id,
		.metadata = value->metadata.len ? mem_strdup_n(value->metadata.p, value->metadata.len) : NULL,
		.partition = key->partition,
		.leader_epoch = value->leader_epoch,
		.metadata_len = (int32_t)value->metadata.len,
	};
	if (origin.producer_id >= 0 && !FAULT(pending_early))
		pending_put(store, origin, key->group, key->topic, &entry);
	else
		offsets_put(group, key->topic, &entry);
	return ERR_NONE;
}

static void offsets_put_settled(struct group_store *store, struct str group, struct str topic,
				const struct committed_offset *take_entry)
{
	offsets_put(group_find_or_make_classic(store, group), topic, take_entry);
}

void offsets_end_transaction(struct group_store *store, struct coord_origin origin, bool commit)
{
	pending_settle(store, origin, commit, offsets_put_settled);
}

static struct str offset_metadata(const struct committed_offset *entry)
{
	return entry->metadata ? (struct str){entry->metadata, (size_t)entry->metadata_len} : STR("");
}

static bool offsets_current(struct group_store *store, struct coord_origin origin, const void *k,
			    struct arena *arena, void *v, int16_t *ret_version)
{
	const struct offset_commit_key *key = k;
	struct offset_commit_value *value = v;
	const struct group *group = group_find(store, key->group);
	const struct committed_offset *entry = group ? offsets_find(group, key->topic, key->partition) : NULL;

	if (origin.producer_id >= 0)
		entry = pending_find(store, origin, key->group, key->topic, key->partition);
	if (!entry)
		return false;
	value->offset = entry->offset;
	value->leader_epoch = entry->leader_epoch;
	value->metadata = offset_metadata(entry);
	value->commit_timestamp = entry->commit_ms;
	value->expire_timestamp = entry->expire_ms;
	value->topic_id = entry->topic_id;
	*ret_version = entry->expire_ms >= 0 ? OFFSET_VALUE_VERSION_EXPIRES : OFFSET_VALUE_VERSION;
	return true;
}

const struct group_record_ops offsets_record_ops = {offsets_replay, offsets_current};

/* The oldest form has a shape of its own. */
static enum err offsets_legacy_replay(struct group_store *store, struct coord_origin origin, const void *k,
				      const void *v, struct err_text *text)
{
	const struct legacy_offset_commit_key *key = k;
	const struct legacy_offset_commit_value *value = v;
	struct offset_commit_key as_key = {key->group, key->topic, key->partition};
	struct offset_commit_value as_value;

	msg_init(&offset_commit_value_type, &as_value);
	if (value) {
		as_value.offset = value->offset;
		as_value.metadata = value->metadata;
		as_value.commit_timestamp = value->commit_timestamp;
	}
	return offsets_replay(store, origin, &as_key, value ? &as_value : NULL, text);
}

/* Never written here, so never undone. */
static bool offsets_legacy_current(struct group_store *store, struct coord_origin origin, const void *k,
				   struct arena *arena, void *v, int16_t *ret_version)
{
	return false;
}

const struct group_record_ops offsets_legacy_record_ops = {offsets_legacy_replay, offsets_legacy_current};

struct pending_tombstones {
	const struct group *group;
	struct coord_records *records;
};

/* What only an open transaction commits: its marker must not bring it back. */
static void pending_tombstone(void *ctx, struct str topic, int32_t partition)
{
	const struct pending_tombstones *tombstones = ctx;
	struct offset_commit_key key = {tombstones->group->id, topic, partition};

	if (!offsets_find(tombstones->group, topic, partition))
		coord_records_encode(tombstones->records, MSG_FAMILY_GROUP, GROUP_OFFSET_COMMIT, 0, &key, NULL);
}

void offsets_tombstones(const struct group *group, struct coord_records *records)
{
	struct pending_tombstones pendings = {group, records};
	const struct offset_topic *topic;

	if (pending_is_group(group->store, group->id))
		pending_each(group->store, group->id, pending_tombstone, &pendings);

	for (uint32_t it = 0; (topic = map_next(&group->offsets, &it)) != NULL;) {
		for (int32_t i = 0; i < topic->entries_n; i++) {
			struct offset_commit_key key = {group->id, topic->name, topic->entries[i].partition};

			coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_OFFSET_COMMIT, 0, &key, NULL);
		}
	}
}

/* ---- commit ---- */

static enum err offsets_check_commit(struct group_store *store, const struct offset_commit_request *in,
				     int16_t version, bool is_transactional)
{
	struct group *group = group_find(store, in->group_id);

	if (!group) {
		/* Without a member the group comes to be by its offsets. */
		if (in->generation_id_or_member_epoch < 0)
			return store->groups.n < GROUPS_MAX && group_store_has_room(store, 0)
				       ? ERR_NONE
				       : ERR_GROUP_MAX_SIZE_REACHED;
		return version >= 9 && !is_transactional ? ERR_GROUP_ID_NOT_FOUND : ERR_ILLEGAL_GENERATION;
	}
	if (FAULT(group_commit_unchecked))
		return ERR_NONE;
	return group->kind->check_commit(group, in->member_id, in->group_instance_id,
					 in->generation_id_or_member_epoch, version, is_transactional);
}

/* An offset that takes the place of another is taken even when memory is short; of those that transactions commit,
 * one at a time. */
static bool offset_commit_has_room(const struct group_store *store, const struct offset_commit_request *in,
				   const struct offset_commit_request_topics *topic,
				   const struct offset_commit_request_topics_partitions *partition,
				   bool is_transactional, const struct coord_records *records)
{
	const struct group *group;
	const struct committed_offset *entry;

	if (store->offsets_n + store->pendings_n + (int64_t)records->v.n < OFFSETS_MAX &&
	    group_store_has_room(store, (int64_t)records->bytes))
		return true;
	group = group_find(store, in->group_id);
	entry = group ? offsets_find(group, topic->name, partition->partition_index) : NULL;
	if (is_transactional && pending_is(store, in->group_id, topic->name, partition->partition_index))
		return false;
	return entry && (int64_t)partition->committed_metadata.len <= entry->metadata_len;
}

static void offset_commit_one(struct group_store *store, const struct offset_commit_request *in,
			      const struct offset_commit_request_topics *topic,
			      const struct offset_commit_request_topics_partitions *partition,
			      struct coord_records *records)
{
	struct offset_commit_key key = {in->group_id, topic->name, partition->partition_index};
	struct offset_commit_value value;
	int16_t version = OFFSET_VALUE_VERSION;

	msg_init(&offset_commit_value_type, &value);
	value.offset = partition->committed_offset;
	value.leader_epoch = partition->committed_leader_epoch;
	value.metadata = partition->committed_metadata.p ? partition->committed_metadata : STR("");
	value.commit_timestamp = store->shard->wall_ms;
	value.topic_id = topic->topic_id;
	if (in->retention_time_ms != -1) {
		value.expire_timestamp = store->shard->wall_ms + in->retention_time_ms;
		version = OFFSET_VALUE_VERSION_EXPIRES;
	}
	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_OFFSET_COMMIT, version, &key, &value);
}

/* What the group says of single partitions counts for the whole request, as in Kafka. */
static enum err offsets_check_partitions(const struct group *group, const struct offset_commit_request *in)
{
	enum err err = ERR_NONE;

	if (!group || !group->kind->check_commit_partition)
		return ERR_NONE;
	for (int32_t i = 0; !err && i < in->topics_n; i++) {
		for (int32_t j = 0; !err && j < in->topics[i].partitions_n; j++)
			err = group->kind->check_commit_partition(group, in->member_id,
								  in->generation_id_or_member_epoch,
								  in->topics[i].topic_id,
								  in->topics[i].partitions[j].partition_index);
	}
	return err;
}

static void offsets_commit_all(struct group_store *store, const struct offset_commit_request *in,
			       bool is_transactional, struct offset_commit_response *out,
			       struct coord_records *records)
{
	struct arena *arena = records->arena;
	size_t before_n = records->v.n;

	out->topics = MSG_NEW_N(arena, offset_commit_response_topics, in->topics_n);
	out->topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		struct offset_commit_request_topics named = in->topics[i], *topic = &named;
		struct offset_commit_response_topics *answer = &out->topics[i];

		answer->name = topic->name;
		answer->topic_id = topic->topic_id;
		/* Kafka keeps no id of topics in what a transaction commits. */
		if (is_transactional)
			topic->topic_id = UUID_ZERO;
		answer->partitions = MSG_NEW_N(arena, offset_commit_response_topics_partitions, topic->partitions_n);
		answer->partitions_n = topic->partitions_n;
		for (int32_t j = 0; j < topic->partitions_n; j++) {
			const struct offset_commit_request_topics_partitions *partition = &topic->partitions[j];

			answer->partitions[j].partition_index = partition->partition_index;
			if ((int64_t)partition->committed_metadata.len > store->settings.offset_metadata_max_bytes)
				answer->partitions[j].error_code = ERR_OFFSET_METADATA_TOO_LARGE;
			else if (!offset_commit_has_room(store, in, topic, partition, is_transactional, records))
				answer->partitions[j].error_code = ERR_INVALID_COMMIT_OFFSET_SIZE;
			else
				offset_commit_one(store, in, topic, partition, records);
		}
	}
	coord_shard_count(store->shard, COORD_OFFSET_COMMITS, records->v.n - before_n);
}

enum err offsets_commit(struct group_store *store, const struct offset_commit_request *in, int16_t version,
			struct offset_commit_response *out, struct coord_records *records)
{
	enum err err = offsets_check_commit(store, in, version, false);

	if (!err)
		err = offsets_check_partitions(group_find(store, in->group_id), in);
	if (!err)
		offsets_commit_all(store, in, false, out, records);
	return err;
}

enum err offsets_commit_in_transaction(struct group_store *store, const struct offset_commit_request *in,
				       struct offset_commit_response *out, struct coord_records *records)
{
	enum err err = offsets_check_commit(store, in, 0, true);

	if (!err)
		err = offsets_check_partitions(group_find(store, in->group_id), in);
	if (!err)
		offsets_commit_all(store, in, true, out, records);
	/* Producers know of generations only. */
	return err == ERR_STALE_MEMBER_EPOCH ? ERR_ILLEGAL_GENERATION : err;
}

/* ---- fetch ---- */

/* False: the arena has no room for it. */
static bool offset_fetch_fill(struct offset_fetch_response_groups_topics_partitions *out, int32_t partition,
			      const struct committed_offset *entry, struct arena *arena)
{
	if (entry && !arena_has_room(arena, (size_t)entry->metadata_len + 1, 1))
		return false;
	out->partition_index = partition;
	out->committed_offset = entry ? entry->offset : -1;
	out->committed_leader_epoch = entry ? entry->leader_epoch : -1;
	out->metadata = entry ? arena_str(arena, offset_metadata(entry)) : STR("");
	return true;
}

static bool offset_fetch_has_room(const struct arena *arena, struct str name, int32_t partitions_n)
{
	const size_t each = sizeof(struct offset_fetch_response_groups_topics_partitions);

	return arena_has_room(arena, name.len + 1 + (size_t)partitions_n * each, 2);
}

/* False: the arena is full. */
static bool offset_fetch_one(const struct group *group, bool require_stable, struct str topic,
			     struct offset_fetch_response_groups_topics_partitions *out, int32_t partition,
			     const struct committed_offset *entry, struct arena *arena)
{
	bool is_unstable = group && require_stable && !FAULT(unstable_served) &&
			   pending_is(group->store, group->id, topic, partition);

	if (!offset_fetch_fill(out, partition, is_unstable ? NULL : entry, arena))
		return false;
	if (is_unstable)
		out->error_code = ERR_UNSTABLE_OFFSET_COMMIT;
	return true;
}

static bool offsets_fetch_asked(const struct group *group, const struct offset_fetch_request_groups *in,
				bool require_stable, struct arena *arena, struct offset_fetch_response_groups *ret)
{
	if (!arena_has_room(arena, (size_t)in->topics_n * sizeof(*ret->topics), 1))
		return false;
	ret->topics = MSG_NEW_N(arena, offset_fetch_response_groups_topics, in->topics_n);
	ret->topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct offset_fetch_request_groups_topics *topic = &in->topics[i];
		struct offset_fetch_response_groups_topics *out = &ret->topics[i];

		if (!offset_fetch_has_room(arena, STR_NULL, topic->partition_indexes_n))
			return false;
		out->name = topic->name;
		out->topic_id = topic->topic_id;
		out->partitions = MSG_NEW_N(arena, offset_fetch_response_groups_topics_partitions,
					    topic->partition_indexes_n);
		out->partitions_n = topic->partition_indexes_n;
		for (int32_t j = 0; j < topic->partition_indexes_n; j++) {
			int32_t partition = topic->partition_indexes[j];
			const struct committed_offset *entry =
				group ? offsets_find(group, topic->name, partition) : NULL;

			/* Of a topic of the same name that was there before. */
			if (entry && !uuid_is_zero(entry->topic_id) && !uuid_is_zero(topic->topic_id) &&
			    !uuid_eq(entry->topic_id, topic->topic_id))
				entry = NULL;
			if (!offset_fetch_one(group, require_stable, topic->name, &out->partitions[j], partition,
					      entry, arena))
				return false;
		}
	}
	return true;
}

static bool offsets_fetch_all(const struct group *group, bool require_stable, struct arena *arena,
			      struct offset_fetch_response_groups *ret)
{
	const struct offset_topic *topic;

	if (!group)
		return true;
	if (!arena_has_room(arena, group->offsets.n * sizeof(*ret->topics), 1))
		return false;
	ret->topics = MSG_NEW_N(arena, offset_fetch_response_groups_topics, group->offsets.n);
	for (uint32_t it = 0; (topic = map_next(&group->offsets, &it)) != NULL;) {
		struct offset_fetch_response_groups_topics *out = &ret->topics[ret->topics_n++];

		if (!offset_fetch_has_room(arena, topic->name, topic->entries_n))
			return false;
		out->name = arena_str(arena, topic->name);
		out->partitions = MSG_NEW_N(arena, offset_fetch_response_groups_topics_partitions, topic->entries_n);
		out->partitions_n = topic->entries_n;
		for (int32_t i = 0; i < topic->entries_n; i++) {
			const struct committed_offset *entry = &topic->entries[i];

			if (!offset_fetch_one(group, require_stable, topic->name, &out->partitions[i],
					      entry->partition, entry, arena))
				return false;
		}
	}
	return true;
}

void offsets_fetch(struct group_store *store, const struct offset_fetch_request_groups *in, bool require_stable,
		   struct arena *arena, struct offset_fetch_response_groups *ret)
{
	struct group *group = group_find(store, in->group_id);
	enum err err = ERR_NONE;

	ret->group_id = in->group_id;
	if (group)
		err = group->kind->check_fetch(group, in->member_id, in->member_epoch);
	ret->error_code = err_wire(err);
	if (err)
		return;
	if (in->topics_n < 0 ? offsets_fetch_all(group, require_stable, arena, ret)
			     : offsets_fetch_asked(group, in, require_stable, arena, ret))
		return;
	ret->topics_n = 0;
	ret->error_code = err_wire(ERR_INVALID_REQUEST);
}

/* ---- delete ---- */

enum err offsets_delete(struct group_store *store, const struct offset_delete_request *in,
			struct offset_delete_response *out, struct coord_records *records)
{
	struct arena *arena = records->arena;
	const struct group *group = group_find(store, in->group_id);
	enum err err = group ? group->kind->check_offset_delete(group) : ERR_GROUP_ID_NOT_FOUND;

	if (err)
		return err;
	out->topics = MSG_NEW_N(arena, offset_delete_response_topics, in->topics_n);
	out->topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct offset_delete_request_topics *topic = &in->topics[i];
		bool is_subscribed = group->kind->is_subscribed(group, topic->name);
		struct offset_delete_response_topics *answer = &out->topics[i];

		answer->name = topic->name;
		answer->partitions = MSG_NEW_N(arena, offset_delete_response_topics_partitions, topic->partitions_n);
		answer->partitions_n = topic->partitions_n;
		for (int32_t j = 0; j < topic->partitions_n; j++) {
			struct offset_commit_key key = {in->group_id, topic->name,
							topic->partitions[j].partition_index};

			answer->partitions[j].partition_index = key.partition;
			if (is_subscribed)
				answer->partitions[j].error_code = ERR_GROUP_SUBSCRIBED_TO_TOPIC;
			else if (offsets_find(group, topic->name, key.partition))
				coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_OFFSET_COMMIT, 0, &key,
						     NULL);
		}
	}
	coord_shard_count(store->shard, COORD_OFFSET_DELETIONS, records->v.n);
	return ERR_NONE;
}
