/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 128-bit ids of topics, directories and incarnations. Text form: URL-safe base64 without padding, 22
 * characters. Kafka reserves all ids whose high half is zero and low half is below 100.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "bytes.h"
#include "err.h"

struct uuid {
	uint64_t hi;
	uint64_t lo;
};

#define UUID_ZERO ((struct uuid){0, 0})
#define UUID_METADATA_TOPIC ((struct uuid){0, 1}) /* topic id of __cluster_metadata */
#define UUID_DIR_MIGRATING ((struct uuid){0, 0})
#define UUID_DIR_UNASSIGNED ((struct uuid){0, 1})
#define UUID_DIR_LOST ((struct uuid){0, 2})
#define UUID_TEXT_LEN 22

struct rng;

static inline bool uuid_eq(struct uuid a, struct uuid b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

static inline bool uuid_is_zero(struct uuid a)
{
	return a.hi == 0 && a.lo == 0;
}

/* Equal, or different in so few bits, six at most, as one character of the text holds, that no two ids are which were
 * made at random: one is the other, damaged. */
static inline bool uuid_is_near(struct uuid a, struct uuid b)
{
	return __builtin_popcountll(a.hi ^ b.hi) + __builtin_popcountll(a.lo ^ b.lo) <= 6;
}

/* Order of the unsigned 128-bit number. */
int uuid_cmp(struct uuid a, struct uuid b);
/* A random id that is not reserved and whose text does not begin with '-', as Kafka makes them. */
struct uuid uuid_random(struct rng *rng);
/* Writes 22 characters and a NUL. */
void uuid_format(struct uuid id, char ret[UUID_TEXT_LEN + 1]);
/* ERR_INVALID_TEXT unless 22 (or 24 padded) base64url characters. */
enum err uuid_parse(struct str text, struct uuid *ret) MUST_USE;
struct uuid uuid_load(const uint8_t p[16]);
void uuid_store(uint8_t p[16], struct uuid id);

#endif
