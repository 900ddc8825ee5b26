/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes: XXH3 (libxxhash) for tables and placement; Java's String.hashCode for coordinator placement. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "uuid.h"

uint64_t hash_bytes(const void *p, size_t len, uint64_t seed);

struct hash128 {
	uint64_t lo, hi;
};

/* Wide enough that two different texts are never taken for one. */
struct hash128 hash_bytes_128(const void *p, size_t len, uint64_t seed);
/* A good mix of one 64-bit number. */
uint64_t hash_u64(uint64_t v, uint64_t seed);

static inline uint64_t hash_str(struct str s, uint64_t seed)
{
	return hash_bytes(s.p, s.len, seed);
}

static inline uint64_t hash_uuid(struct uuid id, uint64_t seed)
{
	return hash_u64(id.hi ^ hash_u64(id.lo, seed), seed);
}

/* Java's String.hashCode over the UTF-16 form of valid UTF-8 text. */
int32_t hash_java_string(struct str s);

#endif
