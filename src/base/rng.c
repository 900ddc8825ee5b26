/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xoshiro256** with its state filled by splitmix64, so that near seeds give unlike streams. One seed gives
 * one stream on every machine: nothing here depends on word order or floating-point mode.
 */
#include "rng.h"

#include "check.h"

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

void rng_init(struct rng *rng, uint64_t seed)
{
	for (size_t i = 0; i < ARRAY_N(rng->s); i++)
		rng->s[i] = splitmix64(&seed);
}

uint64_t rng_u64(struct rng *rng)
{
	uint64_t *s = rng->s;
	uint64_t out = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return out;
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
	/* The high half of a 128-bit product is uniform once low halves below 2^64 mod n are drawn again. */
	unsigned __int128 product;

	CHECK(n > 0);
	product = (unsigned __int128)rng_u64(rng) * n;
	if ((uint64_t)product < n) {
		uint64_t least = -n % n;

		while ((uint64_t)product < least)
			product = (unsigned __int128)rng_u64(rng) * n;
	}
	return (uint64_t)(product >> 64);
}

int64_t rng_between(struct rng *rng, int64_t lo, int64_t hi)
{
	uint64_t span;

	CHECK_OP(lo, <=, hi);
	span = (uint64_t)hi - (uint64_t)lo + 1;
	return (int64_t)((uint64_t)lo + (span ? rng_below(rng, span) : rng_u64(rng)));
}

bool rng_chance(struct rng *rng, uint64_t num, uint64_t den)
{
	return rng_below(rng, den) < num;
}

double rng_unit(struct rng *rng)
{
	return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}
