/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums. For CRC-32C three ways give the same number: isa-l's interleaved kernel for long input, the
 * processor's own instruction for input too short to pay for it, and a table for whatever has no instruction.
 * The running value is kept in its finished (inverted) form, so calls chain: crc32c(crc32c(0, a), b).
 */
#include "crc32c.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#if defined(__x86_64__) || defined(__aarch64__)
#define CRC32C_ISAL 1
#include <isa-l/crc.h>
#endif

#define CRC32C_LONG ((size_t)256)

#if defined(__SSE4_2__)
static uint32_t crc32c_short(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t wide = crc;
	uint64_t word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		wide = _mm_crc32_u64(wide, word);
	}
	crc = (uint32_t)wide;
	for (; len > 0; p++, len--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}
#elif defined(__ARM_FEATURE_CRC32)
static uint32_t crc32c_short(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		crc = __crc32cd(crc, word);
	}
	for (; len > 0; p++, len--)
		crc = __crc32cb(crc, *p);
	return crc;
}
#else
/* Half-byte table of the reflected polynomial 0x82F63B78: small enough to check by eye. */
static const uint32_t crc32c_nibbles[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static uint32_t crc32c_short(uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len > 0; p++, len--) {
		crc ^= *p;
		crc = (crc >> 4) ^ crc32c_nibbles[crc & 15];
		crc = (crc >> 4) ^ crc32c_nibbles[crc & 15];
	}
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
#ifdef CRC32C_ISAL
	while (len >= CRC32C_LONG) {
		/* isa-l takes an int, and a pointer that is not const though it only reads. */
		int part = (int)MIN(len, (size_t)INT_MAX);

		crc = crc32_iscsi((unsigned char *)(uintptr_t)p, part, crc);
		p += part;
		len -= (size_t)part;
	}
#endif
	return ~crc32c_short(crc, p, len);
}

uint32_t crc32_plain(uint32_t crc, const void *p, size_t len)
{
	/* zlib reads a NULL buffer as "give me the first value". */
	return len == 0 ? crc : (uint32_t)crc32_z(crc, p, len);
}
