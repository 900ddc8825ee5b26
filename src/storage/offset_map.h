/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction's memory: for every key the newest offset it was seen at. A key is known by 128 bits of its XXH3 under a
 * seed of this run alone, so that nobody can prepare two that meet. Open addressing; grows by doubling up to its limit.
 *
 * 1. Memory never exceeds bytes_max, and stays small while there are few keys.
 * 2. A full map still answers and still takes newer offsets of keys it has.
 */
#ifndef STORAGE_OFFSET_MAP_H
#define STORAGE_OFFSET_MAP_H

#include "bytes.h"

/* As Kafka counts it for log.cleaner.dedupe.buffer.size. */
#define OFFSET_MAP_SLOT_LEN ((size_t)24)

struct offset_map_slot {
	uint64_t hash, check;
	int64_t offset; /* -1: free */
};

struct offset_map {
	struct offset_map_slot *slots;
	size_t cap;
	size_t n;
	size_t cap_max;
	size_t n_max;
	uint64_t seed;
};

struct offset_map_key {
	uint64_t hash, check;
};

/* load_factor: how full it may become at its largest. */
void offset_map_init(struct offset_map *map, size_t bytes_max, double load_factor, uint64_t seed);
void offset_map_deinit(struct offset_map *map);
struct offset_map_key offset_map_hash(const struct offset_map *map, struct bytes key);
/* Brings the key's place near before it is asked for. */
void offset_map_prefetch(const struct offset_map *map, struct offset_map_key key);
/* False when there is no room for a new key. */
bool offset_map_put(struct offset_map *map, struct offset_map_key key, int64_t offset);
/* -1 when unknown. */
int64_t offset_map_get(const struct offset_map *map, struct offset_map_key key);

#endif
