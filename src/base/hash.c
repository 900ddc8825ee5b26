/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes: thin over libxxhash, and Java's string hash, which decides where groups and transactions live. */
#include "hash.h"

#include <xxhash.h>

uint64_t hash_bytes(const void *p, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(len ? p : "", len, seed);
}

struct hash128 hash_bytes_128(const void *p, size_t len, uint64_t seed)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(p, len, seed);

	return (struct hash128){hash.low64, hash.high64};
}

uint64_t hash_u64(uint64_t v, uint64_t seed)
{
	/* A fixed 8-byte input lets the compiler keep only the short path. */
	return XXH3_64bits_withSeed(&v, sizeof(v), seed);
}

/* Takes one code point off the front of valid UTF-8; a damaged byte stands for itself, the end is kept. */
static uint32_t utf8_take(const uint8_t **p, const uint8_t *end)
{
	uint32_t lead = *(*p)++;
	int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
	uint32_t code = lead < 0x80 ? lead : lead & (0x3fU >> more);

	if (more == 0 || end - *p < more)
		return lead;
	for (; more > 0; more--)
		code = code << 6 | (*(*p)++ & 0x3fU);
	return code;
}

int32_t hash_java_string(struct str s)
{
	const uint8_t *p = (const uint8_t *)(s.p ? s.p : "");
	const uint8_t *end = p + s.len;
	uint32_t hash = 0;

	while (p < end) {
		uint32_t code = utf8_take(&p, end);

		if (code >= 0x10000) {
			hash = hash * 31 + (0xd800 + ((code - 0x10000) >> 10));
			code = 0xdc00 + ((code - 0x10000) & 0x3ff);
		}
		hash = hash * 31 + code;
	}
	return (int32_t)hash;
}
