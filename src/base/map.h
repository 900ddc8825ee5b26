/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash map from a 64-bit number, a string or a uuid to a pointer: open addressing over a dense array of
 * entries, so iteration runs in insertion order (removals leave holes that a rebuild closes in order). Never
 * ordered by address: two runs of one seed iterate alike. String keys are borrowed: they must live in the
 * value.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "hash.h"

struct map_entry {
	uint64_t hash;
	union {
		uint64_t u64;
		struct str str;
		struct uuid uuid;
	} key;
	void *value; /* NULL: a hole */
};

enum map_kind { MAP_U64, MAP_STR, MAP_UUID };

struct map {
	enum map_kind kind;
	uint32_t n;         /* live entries */
	uint32_t used;      /* entries including holes */
	uint32_t cap;       /* of entries */
	uint32_t slots_n;   /* power of two, at most 2^31; twice cap */
	uint64_t seed;
	struct map_entry *entries;
	uint32_t *slots;    /* entry index + 1; 0 free; UINT32_MAX deleted */
};

/* seed: from the world or the backend, never a constant where keys come from outside. */
void map_init(struct map *map, enum map_kind kind, uint64_t seed);
/* Frees the tables, not the values. A zeroed map is fine. */
void map_deinit(struct map *map);
void *map_get_u64(const struct map *map, uint64_t key);
void *map_get_str(const struct map *map, struct str key);
void *map_get_uuid(const struct map *map, struct uuid key);
/* Value must not be NULL. Returns the value it replaced, or NULL. A replaced entry keeps its place in the
 * order, but takes the new key, so that a string key always lives in the value at hand. */
void *map_put_u64(struct map *map, uint64_t key, void *value);
void *map_put_str(struct map *map, struct str key, void *value);
void *map_put_uuid(struct map *map, struct uuid key, void *value);
/* Returns the removed value, or NULL. Safe during map_next. */
void *map_remove_u64(struct map *map, uint64_t key);
void *map_remove_str(struct map *map, struct str key);
void *map_remove_uuid(struct map *map, struct uuid key);
/* for (uint32_t it = 0; (v = map_next(m, &it)) != NULL;)
 * Removing any entry in the body is fine; putting a new key is not, since it may move the entries. */
void *map_next(const struct map *map, uint32_t *it);

#endif
