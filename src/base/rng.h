/* SPDX-License-Identifier: Apache-2.0 */
/* A small fast generator (xoshiro256**), seeded from the backend. Not for secrets. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "types.h"

struct rng {
	uint64_t s[4];
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_u64(struct rng *rng);
/* Uniform in [0, n); n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* Uniform in [lo, hi]. */
int64_t rng_between(struct rng *rng, int64_t lo, int64_t hi);
/* True with probability num / den. */
bool rng_chance(struct rng *rng, uint64_t num, uint64_t den);
/* Uniform in [0, 1). */
double rng_unit(struct rng *rng);

#endif
