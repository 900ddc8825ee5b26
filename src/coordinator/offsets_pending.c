/* SPDX-License-Identifier: Apache-2.0 */
/* See offsets_pending.h. */
#include "offsets_pending.h"

#include "mem.h"

/* What open transactions commit under one key. */
struct pending_key {
	struct bytes id; /* owned: partition, length of the group, group, topic */
	struct str group, topic; /* views into id */
	int32_t partition;
	struct list entries; /* struct pending_offset */
};

struct pending_producer {
	int64_t producer_id;
	struct list entries;
};

/* Its place among the records of its key. */
struct pending_mark {
	uint64_t seq;	   /* of its record among those of all keys */
	int32_t later_n;   /* plain commits that came after it */
	int32_t deleted_n; /* deletions that came after it */
	bool is_overtaken; /* a transaction that committed the key later has ended first */
};

/* What a newer commit replaced, until that one is in the log for good. */
struct pending_before {
	struct pending_mark mark;
	uint64_t seq; /* of the write that replaced it */
};

struct pending_offset {
	struct list in_key, in_producer;
	struct pending_key *key;
	struct pending_producer *producer;
	int16_t producer_epoch;
	struct pending_mark mark;
	VEC(struct pending_before) before; /* the oldest first; as many as there are writes under way, and one */
	struct committed_offset entry;
};

struct pending_group {
	struct str id; /* owned */
	int32_t n;     /* entries */
};

/* ---- keys ---- */

#define KEY_HEAD 8

static size_t pending_id_len(struct str group, struct str topic)
{
	return KEY_HEAD + group.len + topic.len;
}

static void pending_id_fill(uint8_t *to, struct str group, struct str topic, int32_t partition)
{
	uint32_t group_len = (uint32_t)group.len;

	memcpy(to, &partition, 4);
	memcpy(to + 4, &group_len, 4);
	if (group.len)
		memcpy(to + KEY_HEAD, group.p, group.len);
	if (topic.len)
		memcpy(to + KEY_HEAD + group.len, topic.p, topic.len);
}

static struct pending_key *pending_key_find(const struct group_store *store, struct str group, struct str topic,
					    int32_t partition)
{
	size_t len = pending_id_len(group, topic);
	struct pending_key *key;
	uint8_t *id;

	if (store->pendings_n == 0)
		return NULL;
	id = mem_alloc(len);
	pending_id_fill(id, group, topic, partition);
	key = map_get_str(&store->pending_keys, (struct str){(const char *)id, len});
	mem_free(id);
	return key;
}

static int64_t pending_key_bytes(const struct pending_key *key)
{
	return (int64_t)(sizeof(*key) + key->id.len);
}

static struct pending_key *pending_key_get(struct group_store *store, struct str group, struct str topic,
					   int32_t partition)
{
	struct pending_key *key = pending_key_find(store, group, topic, partition);
	size_t len = pending_id_len(group, topic);
	uint8_t *id;

	if (key)
		return key;
	key = MEM_NEW(struct pending_key);
	id = mem_alloc(len);
	pending_id_fill(id, group, topic, partition);
	key->id = (struct bytes){id, len};
	key->group = (struct str){(const char *)id + KEY_HEAD, group.len};
	key->topic = (struct str){(const char *)id + KEY_HEAD + group.len, topic.len};
	key->partition = partition;
	list_init(&key->entries);
	group_store_count(store, pending_key_bytes(key));
	map_put_str(&store->pending_keys, (struct str){(const char *)id, len}, key);
	return key;
}

static void pending_key_put_back(struct group_store *store, struct pending_key *key)
{
	if (!list_is_empty(&key->entries))
		return;
	group_store_count(store, -pending_key_bytes(key));
	map_remove_str(&store->pending_keys, (struct str){(const char *)key->id.p, key->id.len});
	mem_free((void *)(uintptr_t)key->id.p);
	mem_free(key);
}

/* ---- groups ---- */

static void pending_group_count(struct group_store *store, struct str id, int32_t by)
{
	struct pending_group *group = map_get_str(&store->pending_groups, id);

	if (!group) {
		group = MEM_NEW(struct pending_group);
		group->id = (struct str){mem_strdup_n(id.p, id.len), id.len};
		map_put_str(&store->pending_groups, group->id, group);
	}
	group->n += by;
	store->pendings_n += by;
	if (group->n > 0)
		return;
	map_remove_str(&store->pending_groups, group->id);
	mem_free((void *)(uintptr_t)group->id.p);
	mem_free(group);
}

bool pending_is_group(const struct group_store *store, struct str group)
{
	return map_get_str(&store->pending_groups, group) != NULL;
}

/* ---- entries ---- */

static struct pending_offset *pending_lookup(const struct group_store *store, int64_t producer_id, struct str group,
					     struct str topic, int32_t partition)
{
	struct pending_key *key = pending_key_find(store, group, topic, partition);

	for (struct list *node = key ? key->entries.next : NULL; node && node != &key->entries; node = node->next) {
		struct pending_offset *pending = list_entry(node, struct pending_offset, in_key);

		if (pending->producer->producer_id == producer_id)
			return pending;
	}
	return NULL;
}

const struct committed_offset *pending_find(const struct group_store *store, struct coord_origin origin,
					    struct str group, struct str topic, int32_t partition)
{
	const struct pending_offset *pending = pending_lookup(store, origin.producer_id, group, topic, partition);

	return pending ? &pending->entry : NULL;
}

static int64_t pending_bytes(const struct pending_offset *pending)
{
	return (int64_t)sizeof(*pending) + pending->entry.metadata_len +
	       (int64_t)(pending->before.n * sizeof(pending->before.v[0]));
}

/* Takes it out; the metadata stays the caller's. */
static void pending_take_out(struct group_store *store, struct pending_offset *pending)
{
	struct pending_producer *producer = pending->producer;
	struct pending_key *key = pending->key;

	group_store_count(store, -pending_bytes(pending));
	vec_deinit(&pending->before);
	list_remove(&pending->in_key);
	list_remove(&pending->in_producer);
	pending_group_count(store, key->group, -1);
	pending_key_put_back(store, key);
	if (list_is_empty(&producer->entries)) {
		map_remove_u64(&store->pending_producers, (uint64_t)producer->producer_id);
		mem_free(producer);
	}
	mem_free(pending);
}

void pending_remove(struct group_store *store, struct coord_origin origin, struct str group, struct str topic,
		    int32_t partition)
{
	struct pending_offset *pending = pending_lookup(store, origin.producer_id, group, topic, partition);

	if (!pending)
		return;
	mem_free(pending->entry.metadata);
	pending_take_out(store, pending);
}

static struct pending_producer *pending_producer_get(struct group_store *store, int64_t producer_id)
{
	struct pending_producer *producer = map_get_u64(&store->pending_producers, (uint64_t)producer_id);

	if (producer)
		return producer;
	producer = MEM_NEW(struct pending_producer);
	producer->producer_id = producer_id;
	list_init(&producer->entries);
	map_put_u64(&store->pending_producers, (uint64_t)producer_id, producer);
	return producer;
}

/* Its place among the records of its key; `old` is what it takes the place of. A write that is undone brings back the
 * place of what it replaced, also when several are undone, the newest first. */
static void pending_place(struct group_store *store, struct pending_offset *pending, struct pending_offset *old)
{
	struct pending_before replaced = {.seq = store->shard->seq_queued + 1};
	size_t n = 0;

	pending->mark.seq = ++store->pending_seq;
	if (!old)
		return;
	if (store->shard->is_undoing) {
		if (old->before.n > 0)
			pending->mark = old->before.v[--old->before.n].mark;
	} else {
		/* Who replaced those is in the log, and is not undone any more. */
		while (n < old->before.n && old->before.v[n].seq <= store->shard->seq_done)
			n++;
		old->before.n -= n;
		if (old->before.n > 0)
			memmove(old->before.v, old->before.v + n, old->before.n * sizeof(old->before.v[0]));
		replaced.mark = old->mark;
		vec_push(&old->before, replaced);
	}
	for (size_t i = 0; i < old->before.n; i++)
		vec_push(&pending->before, old->before.v[i]);
}

void pending_put(struct group_store *store, struct coord_origin origin, struct str group, struct str topic,
		 const struct committed_offset *take_entry)
{
	struct pending_offset *pending = MEM_NEW(struct pending_offset);
	struct pending_offset *old = pending_lookup(store, origin.producer_id, group, topic, take_entry->partition);
	int64_t old_bytes = old ? pending_bytes(old) : 0;

	pending_place(store, pending, old);
	/* What is taken out was counted with what it held before. */
	if (old)
		group_store_count(store, pending_bytes(old) - old_bytes);
	pending_remove(store, origin, group, topic, take_entry->partition);
	pending->key = pending_key_get(store, group, topic, take_entry->partition);
	pending->producer = pending_producer_get(store, origin.producer_id);
	pending->producer_epoch = origin.producer_epoch;
	pending->entry = *take_entry;
	list_push_back(&pending->key->entries, &pending->in_key);
	list_push_back(&pending->producer->entries, &pending->in_producer);
	pending_group_count(store, pending->key->group, 1);
	group_store_count(store, pending_bytes(pending));
}

static void pending_count_later(struct group_store *store, struct str group, struct str topic, int32_t partition,
				bool is_deletion, int32_t by)
{
	struct pending_key *key = pending_key_find(store, group, topic, partition);

	for (struct list *node = key ? key->entries.next : NULL; node && node != &key->entries; node = node->next) {
		struct pending_offset *pending = list_entry(node, struct pending_offset, in_key);
		int32_t *n = is_deletion ? &pending->mark.deleted_n : &pending->mark.later_n;

		*n = MAX(*n + by, 0);
	}
}

void pending_overtaken(struct group_store *store, struct str group, struct str topic, int32_t partition,
		       bool is_deletion)
{
	pending_count_later(store, group, topic, partition, is_deletion, 1);
}

void pending_overtaken_undone(struct group_store *store, struct str group, struct str topic, int32_t partition,
			      bool was_deletion)
{
	pending_count_later(store, group, topic, partition, was_deletion, -1);
}

/* Those before it in the log that are still open do not count any more once this one does. */
static void pending_overtakes(struct pending_offset *pending)
{
	for (struct list *node = pending->key->entries.next; node != &pending->key->entries; node = node->next) {
		struct pending_offset *other = list_entry(node, struct pending_offset, in_key);

		other->mark.is_overtaken |= other->mark.seq < pending->mark.seq;
	}
}

static bool pending_counts(const struct pending_offset *pending)
{
	return pending->mark.later_n == 0 && pending->mark.deleted_n == 0 && !pending->mark.is_overtaken;
}

void pending_settle(struct group_store *store, struct coord_origin origin, bool commit,
		    void (*put)(struct group_store *store, struct str group, struct str topic,
				const struct committed_offset *take_entry))
{
	struct pending_producer *producer = map_get_u64(&store->pending_producers, (uint64_t)origin.producer_id);
	bool is_last = false;

	if (!producer)
		return;
	/* The producer goes with its last entry. */
	for (struct list *node = producer->entries.next; !is_last;) {
		struct pending_offset *pending = list_entry(node, struct pending_offset, in_producer);

		node = node->next;
		is_last = node == &producer->entries;
		if (pending->producer_epoch > origin.producer_epoch)
			continue;
		if (commit && pending_counts(pending)) {
			pending_overtakes(pending);
			put(store, pending->key->group, pending->key->topic, &pending->entry);
		} else {
			mem_free(pending->entry.metadata);
		}
		pending_take_out(store, pending);
	}
}

bool pending_is(const struct group_store *store, struct str group, struct str topic, int32_t partition)
{
	struct pending_key *key = pending_key_find(store, group, topic, partition);

	for (struct list *node = key ? key->entries.next : NULL; node && node != &key->entries; node = node->next) {
		if (list_entry(node, struct pending_offset, in_key)->mark.deleted_n == 0)
			return true;
	}
	return false;
}

void pending_each(const struct group_store *store, struct str group,
		  void (*fn)(void *ctx, struct str topic, int32_t partition), void *ctx)
{
	const struct pending_key *key;

	for (uint32_t it = 0; (key = map_next(&store->pending_keys, &it)) != NULL;) {
		if (str_eq(key->group, group) && pending_is(store, group, key->topic, key->partition))
			fn(ctx, key->topic, key->partition);
	}
}

void pending_init(struct group_store *store)
{
	map_init(&store->pending_keys, MAP_STR, store->seed);
	map_init(&store->pending_producers, MAP_U64, store->seed);
	map_init(&store->pending_groups, MAP_STR, store->seed);
}

/* Forgets everything; the store can be filled anew. */
void pending_deinit(struct group_store *store)
{
	struct pending_producer *producer;

	for (uint32_t it = 0; (producer = map_next(&store->pending_producers, &it)) != NULL;) {
		struct list *entries = &producer->entries;
		bool is_last;

		do {
			struct pending_offset *pending =
				list_entry(entries->next, struct pending_offset, in_producer);

			is_last = entries->next == entries->prev;
			mem_free(pending->entry.metadata);
			pending_take_out(store, pending);
		} while (!is_last);
	}
	map_deinit(&store->pending_keys);
	map_deinit(&store->pending_producers);
	map_deinit(&store->pending_groups);
	pending_init(store);
}
