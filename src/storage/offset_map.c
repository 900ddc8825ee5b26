/* SPDX-License-Identifier: Apache-2.0 */
/* See offset_map.h. */
#include "offset_map.h"

#include "check.h"
#include "hash.h"
#include "mem.h"

#define OFFSET_MAP_CAP_FIRST ((size_t)1 << 12)
/* Below the largest size it grows when this full. */
#define OFFSET_MAP_GROW_LOAD 0.6

static void offset_map_alloc(struct offset_map *map, size_t cap)
{
	map->cap = cap;
	map->slots = mem_alloc(cap * sizeof(*map->slots));
	for (size_t i = 0; i < cap; i++)
		map->slots[i].offset = -1;
}

void offset_map_init(struct offset_map *map, size_t bytes_max, double load_factor, uint64_t seed)
{
	double load = load_factor > 0.99 ? 0.99 : load_factor < 0.01 ? 0.01 : load_factor;

	*map = (struct offset_map){.seed = seed};
	map->cap_max = MAX(bytes_max / sizeof(struct offset_map_slot), (size_t)16);
	map->n_max = MAX((size_t)((double)map->cap_max * load), (size_t)1);
	offset_map_alloc(map, MIN(OFFSET_MAP_CAP_FIRST, map->cap_max));
}

void offset_map_deinit(struct offset_map *map)
{
	mem_free(map->slots);
	*map = (struct offset_map){0};
}

struct offset_map_key offset_map_hash(const struct offset_map *map, struct bytes key)
{
	struct hash128 hash = hash_bytes_128(key.p, key.len, map->seed);

	return (struct offset_map_key){hash.lo, hash.hi};
}

static size_t offset_map_home(const struct offset_map *map, struct offset_map_key key)
{
	return (size_t)(((unsigned __int128)key.hash * map->cap) >> 64);
}

void offset_map_prefetch(const struct offset_map *map, struct offset_map_key key)
{
	__builtin_prefetch(&map->slots[offset_map_home(map, key)]);
}

/* The key's slot, or the free one where it would be. There is always a free one. */
static struct offset_map_slot *offset_map_find(const struct offset_map *map, struct offset_map_key key)
{
	size_t at = offset_map_home(map, key);

	for (;;) {
		struct offset_map_slot *slot = &map->slots[at];

		if (slot->offset < 0 || (slot->hash == key.hash && slot->check == key.check))
			return slot;
		if (++at == map->cap)
			at = 0;
	}
}

static void offset_map_grow(struct offset_map *map)
{
	struct offset_map_slot *old = map->slots;
	size_t old_cap = map->cap;

	offset_map_alloc(map, MIN(map->cap * 2, map->cap_max));
	for (size_t i = 0; i < old_cap; i++) {
		struct offset_map_key key = {old[i].hash, old[i].check};

		if (old[i].offset >= 0)
			*offset_map_find(map, key) = old[i];
	}
	mem_free(old);
}

bool offset_map_put(struct offset_map *map, struct offset_map_key key, int64_t offset)
{
	struct offset_map_slot *slot = offset_map_find(map, key);

	CHECK_OP(offset, >=, 0);
	if (slot->offset >= 0) {
		slot->offset = MAX(slot->offset, offset);
		return true;
	}
	if (map->n >= map->n_max)
		return false;
	if (map->cap < map->cap_max && (double)map->n >= (double)map->cap * OFFSET_MAP_GROW_LOAD) {
		offset_map_grow(map);
		slot = offset_map_find(map, key);
	}
	*slot = (struct offset_map_slot){key.hash, key.check, offset};
	map->n++;
	return true;
}

int64_t offset_map_get(const struct offset_map *map, struct offset_map_key key)
{
	return offset_map_find(map, key)->offset;
}
