/* SPDX-License-Identifier: Apache-2.0 */
/* The session cache: see fetch_session.h. Same limits as Kafka: max.incremental.fetch.session.cache.slots sessions,
 * shared evenly by the reactors; one that was idle for two minutes gives way. */
#include "fetch_session.h"

#include "broker.h"
#include "mem.h"
#include "shard.h"

#define FETCH_SESSION_EVICT_NS (120 * NS_PER_S)
#define FETCH_SESSION_PARTITIONS_MAX 200000

struct fetch_sessions {
	struct shard *shard;
	struct map by_id;
	struct list lru;
	uint32_t max;
};

/* The map's key: uuid or name, then the partition. */
struct fetch_key {
	char bytes[16 + 4 + 256];
	size_t len;
};

static struct str fetch_key_of(struct fetch_key *key, bool by_id, struct uuid topic_id, struct str topic,
			       int32_t partition)
{
	if (by_id) {
		uuid_store((uint8_t *)key->bytes, topic_id);
		key->len = 16;
	} else {
		key->len = MIN(topic.len, (size_t)250);
		if (key->len)
			memcpy(key->bytes, topic.p, key->len);
		key->bytes[key->len++] = 0;
	}
	store_be32(key->bytes + key->len, (uint32_t)partition);
	key->len += 4;
	return (struct str){key->bytes, key->len};
}

/* A partition of a session with its own key and topic text behind it. */
struct session_partition {
	struct fetch_partition fetch;
	struct str key;
	char text[];
};

struct fetch_sessions *fetch_sessions_new(struct shard *shard)
{
	struct fetch_sessions *sessions = MEM_NEW(struct fetch_sessions);
	int32_t slots = shard->broker->config.max_incremental_fetch_session_cache_slots;

	sessions->shard = shard;
	sessions->max = (uint32_t)MAX(slots / shard->broker->shards_n, slots > 0 ? 1 : 0);
	map_init(&sessions->by_id, MAP_U64, shard->reactor->node->hash_seed);
	list_init(&sessions->lru);
	return sessions;
}

static void fetch_session_partition_free(struct fetch_session *session, struct fetch_partition *fetch)
{
	struct session_partition *partition = container_of(fetch, struct session_partition, fetch);

	map_remove_str(&session->by_name, partition->key);
	list_remove(&fetch->link);
	session->partitions_n--;
	mem_free(partition);
}

void fetch_session_remove(struct fetch_sessions *sessions, struct fetch_session *session)
{
	map_remove_u64(&sessions->by_id, (uint64_t)session->id);
	list_remove(&session->link);
	while (!list_is_empty(&session->partitions))
		fetch_session_partition_free(session,
					     list_entry(session->partitions.next, struct fetch_partition, link));
	map_deinit(&session->by_name);
	mem_free(session);
}

void fetch_sessions_free(struct fetch_sessions *sessions)
{
	if (!sessions)
		return;
	while (!list_is_empty(&sessions->lru))
		fetch_session_remove(sessions, list_entry(sessions->lru.next, struct fetch_session, link));
	map_deinit(&sessions->by_id);
	mem_free(sessions);
}

void fetch_sessions_count(const struct fetch_sessions *sessions, uint32_t *ret_n, uint32_t *ret_partitions_n)
{
	struct fetch_session *session;
	uint32_t it = 0, n = 0;

	*ret_n = sessions ? sessions->by_id.n : 0;
	while (sessions && (session = map_next(&sessions->by_id, &it)) != NULL)
		n += session->partitions_n;
	*ret_partitions_n = n;
}

static bool fetch_sessions_make_room(struct fetch_sessions *sessions)
{
	int64_t now_ns = sessions->shard->reactor->now_ns;

	if (sessions->by_id.n < sessions->max)
		return true;
	list_for_each(node, next, &sessions->lru) {
		struct fetch_session *session = list_entry(node, struct fetch_session, link);

		if (now_ns - session->used_ns < FETCH_SESSION_EVICT_NS)
			return false;
		if (!session->in_use) {
			fetch_session_remove(sessions, session);
			sessions->shard->metrics.sessions_evicted++;
			return true;
		}
	}
	return false;
}

struct fetch_session *fetch_session_new(struct fetch_sessions *sessions, bool uses_topic_ids)
{
	struct reactor *reactor = sessions->shard->reactor;
	struct fetch_session *session;
	int32_t id;

	if (!fetch_sessions_make_room(sessions))
		return NULL;
	do {
		id = (int32_t)rng_between(&reactor->rng, 1, INT32_MAX);
	} while (map_get_u64(&sessions->by_id, (uint64_t)id));
	session = MEM_NEW(struct fetch_session);
	session->id = id;
	session->epoch = 1;
	session->uses_topic_ids = uses_topic_ids;
	session->used_ns = reactor->now_ns;
	list_init(&session->partitions);
	map_init(&session->by_name, MAP_STR, reactor->node->hash_seed);
	map_put_u64(&sessions->by_id, (uint64_t)id, session);
	list_push_back(&sessions->lru, &session->link);
	return session;
}

struct fetch_session *fetch_session_find(struct fetch_sessions *sessions, int32_t id)
{
	return map_get_u64(&sessions->by_id, (uint64_t)id);
}

bool fetch_session_put(struct fetch_session *session, const struct fetch_partition *from)
{
	struct fetch_key key;
	struct str name = fetch_key_of(&key, session->uses_topic_ids, from->topic_id, from->topic, from->partition);
	struct fetch_partition *known = map_get_str(&session->by_name, name);
	struct session_partition *partition;

	if (known) {
		known->current_leader_epoch = from->current_leader_epoch;
		known->last_fetched_epoch = from->last_fetched_epoch;
		known->fetch_offset = from->fetch_offset;
		known->log_start_offset = from->log_start_offset;
		known->max_bytes = from->max_bytes;
		return true;
	}
	if (session->partitions_n >= FETCH_SESSION_PARTITIONS_MAX)
		return false;
	partition = mem_calloc(1, sizeof(*partition) + name.len + from->topic.len);
	partition->fetch = *from;
	partition->fetch.link = (struct list){0};
	partition->fetch.session = session;
	memcpy(partition->text, name.p, name.len);
	partition->key = (struct str){partition->text, name.len};
	if (from->topic.len)
		memcpy(partition->text + name.len, from->topic.p, from->topic.len);
	partition->fetch.topic = (struct str){partition->text + name.len, from->topic.len};
	partition->fetch.told_high_watermark = -1;
	partition->fetch.told_log_start = -1;
	map_put_str(&session->by_name, partition->key, &partition->fetch);
	list_push_back(&session->partitions, &partition->fetch.link);
	session->partitions_n++;
	return true;
}

void fetch_session_forget(struct fetch_session *session, struct uuid topic_id, struct str topic, int32_t partition)
{
	struct fetch_key key;
	struct str name = fetch_key_of(&key, session->uses_topic_ids, topic_id, topic, partition);
	struct fetch_partition *known = map_get_str(&session->by_name, name);

	if (known)
		fetch_session_partition_free(session, known);
}

void fetch_session_touch(struct fetch_sessions *sessions, struct fetch_session *session, int64_t now_ns)
{
	session->used_ns = now_ns;
	list_remove(&session->link);
	list_push_back(&sessions->lru, &session->link);
}

int32_t fetch_session_next_epoch(int32_t epoch)
{
	return epoch == INT32_MAX ? 1 : epoch + 1;
}
