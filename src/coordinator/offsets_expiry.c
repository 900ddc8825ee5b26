/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets that go by themselves: because they are old, or their topic was deleted. Both look at a part of the groups
 * per call, so that a shard of many groups goes on serving meanwhile. An empty group that keeps no offset goes too.
 *
 * 1. Deletions are written in portions: they need not stand or fall together.
 * 2. Deleting a topic's offsets spares what was committed after the topic was gone: it is of a new one of that name.
 */
#include "group_offsets.h"
#include "log.h"
#include "mem.h"
#include "offsets_pending.h"

#define GROUPS_PER_PART 1000
#define TOMBSTONES_PER_WRITE 500

static void tombstones_flush(struct group_store *store, struct coord_records *records)
{
	if (records->v.n > 0)
		coord_shard_write(store->shard, records, true, NULL, NULL);
	vec_deinit(&records->v);
	records->bytes = 0;
	arena_reset(records->arena);
}

static void offset_tombstone(struct group_store *store, struct coord_records *records, struct str group,
			     struct str topic, int32_t partition)
{
	struct offset_commit_key key = {group, topic, partition};

	coord_records_encode(records, MSG_FAMILY_GROUP, GROUP_OFFSET_COMMIT, 0, &key, NULL);
}

static bool offset_is_expired(const struct group *group, const struct committed_offset *entry, int64_t wall_ms)
{
	int64_t base_ms;

	if (!group->kind->expiry_base(group, entry->commit_ms, &base_ms))
		return false;
	if (entry->expire_ms >= 0)
		return wall_ms >= entry->expire_ms;
	return wall_ms - base_ms >= group->store->settings.offsets_retention_ms;
}

/* Adds what has expired; returns how many offsets stay. */
static int64_t group_expired_offsets(struct group_store *store, const struct group *group,
				     struct coord_records *records)
{
	const struct offset_topic *topic;
	int64_t kept_n = 0;

	for (uint32_t it = 0; (topic = map_next(&group->offsets, &it)) != NULL;) {
		bool is_subscribed = group->kind->is_subscribed(group, topic->name);

		for (int32_t i = 0; i < topic->entries_n; i++) {
			if (!is_subscribed && offset_is_expired(group, &topic->entries[i], store->shard->wall_ms) &&
			    !pending_is(store, group->id, topic->name, topic->entries[i].partition))
				offset_tombstone(store, records, group->id, topic->name, topic->entries[i].partition);
			else
				kept_n++;
		}
	}
	return kept_n;
}

static void group_expire(struct group_store *store, const struct group *group, struct coord_records *records)
{
	size_t before_n = records->v.n;
	int64_t kept_n = group_expired_offsets(store, group, records);
	bool goes = kept_n == 0 && group->kind->is_empty(group) && !pending_is_group(store, group->id);

	coord_shard_count(store->shard, COORD_OFFSET_EXPIRATIONS, records->v.n - before_n);
	if (records->v.n > before_n)
		group_log(group, "group.offsets_expired", "n=%zu", records->v.n - before_n);
	if (goes) {
		group_log(group, "group.removed", "why=\"it is empty and keeps no offset\"");
		group->kind->tombstones(group, records);
	}
}

static void offsets_expire(struct coord_timer *timer, void *machine)
{
	struct group_store *store = machine;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	const struct group *group = NULL;

	for (int i = 0; i < GROUPS_PER_PART && (group = map_next(&store->groups, &store->expiry_next)) != NULL; i++) {
		group_expire(store, group, &records);
		if (records.v.n >= TOMBSTONES_PER_WRITE)
			tombstones_flush(store, &records);
	}
	tombstones_flush(store, &records);
	if (group) {
		coord_timer_start(store->shard, timer, 1, offsets_expire);
		return;
	}
	store->expiry_next = 0;
	coord_timer_start(store->shard, timer, store->settings.offsets_retention_check_interval_ms, offsets_expire);
}

void offsets_loaded(struct group_store *store)
{
	coord_timer_start(store->shard, &store->expiry, store->settings.offsets_retention_check_interval_ms,
			  offsets_expire);
}

/* ---- deleted topics ---- */

static void group_purge(struct group_store *store, const struct group *group, const struct deleted_topic *deleted,
			struct coord_records *records)
{
	const struct offset_topic *topic = map_get_str(&group->offsets, deleted->name);

	for (int32_t i = 0; topic && i < topic->entries_n; i++) {
		if (topic->entries[i].commit_ms <= deleted->wall_ms)
			offset_tombstone(store, records, group->id, topic->name, topic->entries[i].partition);
	}
}

static void offsets_purge_next(struct group_store *store)
{
	mem_free((char *)store->deleted.v[0].name.p);
	store->deleted.n--;
	memmove(store->deleted.v, store->deleted.v + 1, store->deleted.n * sizeof(store->deleted.v[0]));
	store->purge_next = 0;
}

static void offsets_purge(struct coord_timer *timer, void *machine)
{
	struct group_store *store = machine;
	struct arena arena = {0};
	struct coord_records records = {.arena = &arena};
	const struct group *group = NULL;

	for (int i = 0; i < GROUPS_PER_PART && (group = map_next(&store->groups, &store->purge_next)) != NULL; i++) {
		group_purge(store, group, &store->deleted.v[0], &records);
		if (records.v.n >= TOMBSTONES_PER_WRITE)
			tombstones_flush(store, &records);
	}
	tombstones_flush(store, &records);
	if (!group)
		offsets_purge_next(store);
	if (store->deleted.n > 0)
		coord_timer_start(store->shard, timer, 1, offsets_purge);
}

void offsets_topic_deleted(struct group_store *store, struct str topic)
{
	struct deleted_topic deleted = {{mem_strdup_n(topic.p, topic.len), topic.len}, store->shard->wall_ms};

	vec_push(&store->deleted, deleted);
	if (!coord_timer_is_on(&store->purge))
		coord_timer_start(store->shard, &store->purge, 0, offsets_purge);
}

void offsets_deinit(struct group_store *store)
{
	coord_timer_stop(store->shard, &store->expiry);
	coord_timer_stop(store->shard, &store->purge);
	for (size_t i = 0; i < store->deleted.n; i++)
		mem_free((char *)store->deleted.v[i].name.p);
	vec_deinit(&store->deleted);
	store->expiry_next = 0;
	store->purge_next = 0;
	pending_deinit(store);
}
