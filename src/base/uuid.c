/* SPDX-License-Identifier: Apache-2.0 */
/* Ids: order, random ones by Kafka's rules, base64url text, big-endian bytes. */
#include "uuid.h"

#include "rng.h"

#define UUID_RESERVED_N 100

static const char uuid_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int uuid_cmp(struct uuid a, struct uuid b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return (a.lo > b.lo) - (a.lo < b.lo);
}

struct uuid uuid_random(struct rng *rng)
{
	for (;;) {
		struct uuid id = {rng_u64(rng), rng_u64(rng)};

		/* Version 4, variant 1 of RFC 9562, like every id Java makes. */
		id.hi = (id.hi & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
		id.lo = (id.lo & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
		/* A text that begins with '-' looks like an option to a command-line tool. */
		if (uuid_digits[id.hi >> 58] != '-' && (id.hi != 0 || id.lo >= UUID_RESERVED_N))
			return id;
	}
}

void uuid_format(struct uuid id, char ret[UUID_TEXT_LEN + 1])
{
	/* 21 digits of 6 bits from the top, the last two bits stand in front of four zero bits. */
	for (int i = 0; i < UUID_TEXT_LEN - 1; i++) {
		int shift = 122 - 6 * i;
		uint64_t bits = shift >= 64  ? id.hi >> (shift - 64)
				: shift > 58 ? id.hi << (64 - shift) | id.lo >> shift
					     : id.lo >> shift;

		ret[i] = uuid_digits[bits & 63];
	}
	ret[UUID_TEXT_LEN - 1] = uuid_digits[(id.lo & 3) << 4];
	ret[UUID_TEXT_LEN] = '\0';
}

static int uuid_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

enum err uuid_parse(struct str text, struct uuid *ret)
{
	struct uuid id = UUID_ZERO;

	if (text.len == UUID_TEXT_LEN + 2) {
		if (text.p[UUID_TEXT_LEN] != '=' || text.p[UUID_TEXT_LEN + 1] != '=')
			return ERR_INVALID_TEXT;
	} else if (text.len != UUID_TEXT_LEN) {
		return ERR_INVALID_TEXT;
	}
	for (int i = 0; i < UUID_TEXT_LEN; i++) {
		int digit = uuid_digit(text.p[i]);
		int bits = i < UUID_TEXT_LEN - 1 ? 6 : 2;

		if (digit < 0)
			return ERR_INVALID_TEXT;
		/* The original drops the four spare bits of the last digit without looking. */
		digit >>= 6 - bits;
		id.hi = id.hi << bits | id.lo >> (64 - bits);
		id.lo = id.lo << bits | (uint64_t)digit;
	}
	*ret = id;
	return ERR_NONE;
}

struct uuid uuid_load(const uint8_t p[16])
{
	return (struct uuid){load_be64(p), load_be64(p + 8)};
}

void uuid_store(uint8_t p[16], struct uuid id)
{
	store_be64(p, id.hi);
	store_be64(p + 8, id.lo);
}
