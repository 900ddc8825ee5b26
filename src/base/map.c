/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with linear probing over small slots that hold entry numbers; the entries themselves lie
 * dense in insertion order. Slots are never more than half full, so a probe for a missing key stays short.
 *
 * 1. An entry with value != NULL is reachable: probing from hash % slots_n meets its slot before a free one.
 *    A hole (value == NULL) has no slot; its key is never looked at again.
 * 2. n <= used <= cap == slots_n / 2, and free slots >= slots_n - used, so every probe ends at a free slot.
 * 3. Entries keep their order and place until a put finds used == cap; only then they are packed and
 *    rehashed.
 * 4. slots_n <= 2^31; a put beyond its half aborts: whoever lets the world fill a map bounds it first.
 */
#include "map.h"

#include "check.h"
#include "mem.h"

#define MAP_SLOTS_MIN 16U
#define MAP_SLOTS_MAX (UINT32_C(1) << 31)
#define MAP_SLOT_FREE 0U
#define MAP_SLOT_DELETED UINT32_MAX

void map_init(struct map *map, enum map_kind kind, uint64_t seed)
{
	*map = (struct map){.kind = kind, .seed = seed};
}

void map_deinit(struct map *map)
{
	mem_free(map->entries);
	mem_free(map->slots);
	*map = (struct map){.kind = map->kind, .seed = map->seed};
}

static uint64_t map_hash(const struct map *map, const struct map_entry *key)
{
	switch (map->kind) {
	case MAP_U64:
		return hash_u64(key->key.u64, map->seed);
	case MAP_STR:
		return hash_str(key->key.str, map->seed);
	case MAP_UUID:
		return hash_uuid(key->key.uuid, map->seed);
	}
	UNREACHABLE();
}

static bool map_key_eq(const struct map *map, const struct map_entry *a, const struct map_entry *b)
{
	if (a->hash != b->hash)
		return false;
	switch (map->kind) {
	case MAP_U64:
		return a->key.u64 == b->key.u64;
	case MAP_STR:
		return str_eq(a->key.str, b->key.str);
	case MAP_UUID:
		return uuid_eq(a->key.uuid, b->key.uuid);
	}
	UNREACHABLE();
}

/* The slot of the key; NULL when absent. Fills key->hash. */
static uint32_t *map_slot(const struct map *map, struct map_entry *key)
{
	uint32_t mask = map->slots_n - 1;

	key->hash = map_hash(map, key);
	if (map->n == 0)
		return NULL;
	for (uint32_t i = (uint32_t)key->hash & mask;; i = (i + 1) & mask) {
		uint32_t slot = map->slots[i];

		if (slot == MAP_SLOT_FREE)
			return NULL;
		if (slot != MAP_SLOT_DELETED && map_key_eq(map, &map->entries[slot - 1], key))
			return &map->slots[i];
	}
}

/* Enters the entry at `at` into the first slot that is free or deleted. */
static void map_link(struct map *map, uint32_t at)
{
	uint32_t mask = map->slots_n - 1;
	uint32_t i = (uint32_t)map->entries[at].hash & mask;

	while (map->slots[i] != MAP_SLOT_FREE && map->slots[i] != MAP_SLOT_DELETED)
		i = (i + 1) & mask;
	map->slots[i] = at + 1;
}

/* Packs the entries in order into tables that are at most half full after. */
static void map_rebuild(struct map *map)
{
	uint32_t slots_n = MAP_SLOTS_MIN;
	struct map_entry *entries;
	uint32_t used = 0;

	while (slots_n < MAP_SLOTS_MAX && slots_n / 4 <= map->n)
		slots_n *= 2;
	CHECK_OP(map->n, <, slots_n / 2);
	entries = mem_alloc((size_t)(slots_n / 2) * sizeof(*entries));
	for (uint32_t i = 0; i < map->used; i++) {
		if (map->entries[i].value)
			entries[used++] = map->entries[i];
	}
	CHECK_OP(used, ==, map->n);
	mem_free(map->entries);
	mem_free(map->slots);
	map->entries = entries;
	map->slots = mem_calloc(slots_n, sizeof(*map->slots));
	map->slots_n = slots_n;
	map->cap = slots_n / 2;
	map->used = used;
	for (uint32_t i = 0; i < used; i++)
		map_link(map, i);
}

static void *map_get(const struct map *map, struct map_entry *key)
{
	uint32_t *slot = map_slot(map, key);

	return slot ? map->entries[*slot - 1].value : NULL;
}

static void *map_put(struct map *map, struct map_entry *key)
{
	uint32_t *slot = map_slot(map, key);

	CHECK(key->value != NULL);
	if (slot) {
		/* The key moves to the new value too: the old value may take the old key's text with it. */
		struct map_entry *entry = &map->entries[*slot - 1];
		void *before = entry->value;

		*entry = *key;
		return before;
	}
	if (map->used == map->cap)
		map_rebuild(map);
	map->entries[map->used] = *key;
	map_link(map, map->used);
	map->used++;
	map->n++;
	return NULL;
}

static void *map_remove(struct map *map, struct map_entry *key)
{
	uint32_t *slot = map_slot(map, key);
	struct map_entry *entry;
	uint32_t next;
	void *value;

	if (!slot)
		return NULL;
	entry = &map->entries[*slot - 1];
	value = entry->value;
	entry->value = NULL;
	map->n--;
	/* In front of a free slot no probe needs the mark. */
	next = ((uint32_t)(slot - map->slots) + 1) & (map->slots_n - 1);
	*slot = map->slots[next] == MAP_SLOT_FREE ? MAP_SLOT_FREE : MAP_SLOT_DELETED;
	return value;
}

void *map_get_u64(const struct map *map, uint64_t key)
{
	CHECK(map->kind == MAP_U64 || map->n == 0);
	return map_get(map, &(struct map_entry){.key.u64 = key});
}

void *map_get_str(const struct map *map, struct str key)
{
	CHECK(map->kind == MAP_STR || map->n == 0);
	return map_get(map, &(struct map_entry){.key.str = key});
}

void *map_get_uuid(const struct map *map, struct uuid key)
{
	CHECK(map->kind == MAP_UUID || map->n == 0);
	return map_get(map, &(struct map_entry){.key.uuid = key});
}

void *map_put_u64(struct map *map, uint64_t key, void *value)
{
	CHECK(map->kind == MAP_U64);
	return map_put(map, &(struct map_entry){.key.u64 = key, .value = value});
}

void *map_put_str(struct map *map, struct str key, void *value)
{
	CHECK(map->kind == MAP_STR);
	return map_put(map, &(struct map_entry){.key.str = key, .value = value});
}

void *map_put_uuid(struct map *map, struct uuid key, void *value)
{
	CHECK(map->kind == MAP_UUID);
	return map_put(map, &(struct map_entry){.key.uuid = key, .value = value});
}

void *map_remove_u64(struct map *map, uint64_t key)
{
	CHECK(map->kind == MAP_U64 || map->n == 0);
	return map_remove(map, &(struct map_entry){.key.u64 = key});
}

void *map_remove_str(struct map *map, struct str key)
{
	CHECK(map->kind == MAP_STR || map->n == 0);
	return map_remove(map, &(struct map_entry){.key.str = key});
}

void *map_remove_uuid(struct map *map, struct uuid key)
{
	CHECK(map->kind == MAP_UUID || map->n == 0);
	return map_remove(map, &(struct map_entry){.key.uuid = key});
}

void *map_next(const struct map *map, uint32_t *it)
{
	while (*it < map->used) {
		void *value = map->entries[(*it)++].value;

		if (value)
			return value;
	}
	return NULL;
}
