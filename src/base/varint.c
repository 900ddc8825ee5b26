/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base-128 integers. Bits of the last byte that do not fit the type are dropped, as the original's readers
 * do: a fifth byte of 0x7f is accepted, a sixth byte is not.
 */
#include "varint.h"

/* Reads at most `max` bytes. */
static size_t base128_read(const uint8_t *p, size_t len, size_t max, uint64_t *ret)
{
	size_t n = MIN(len, max);
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
		if (!(p[i] & 0x80)) {
			*ret = v;
			return i + 1;
		}
	}
	return 0;
}

size_t uvarint_read(const uint8_t *p, size_t len, uint32_t *ret)
{
	uint64_t v;
	size_t n;

	if (likely(len > 0 && p[0] < 0x80)) {
		*ret = p[0];
		return 1;
	}
	n = base128_read(p, len, VARINT32_MAX, &v);
	if (n)
		*ret = (uint32_t)v;
	return n;
}

size_t uvarlong_read(const uint8_t *p, size_t len, uint64_t *ret)
{
	return base128_read(p, len, VARINT64_MAX, ret);
}

size_t varint_read(const uint8_t *p, size_t len, int32_t *ret)
{
	uint32_t v;
	size_t n = uvarint_read(p, len, &v);

	if (n)
		*ret = (int32_t)(v >> 1 ^ (0U - (v & 1)));
	return n;
}

size_t varlong_read(const uint8_t *p, size_t len, int64_t *ret)
{
	uint64_t v;
	size_t n = uvarlong_read(p, len, &v);

	if (n)
		*ret = (int64_t)(v >> 1 ^ (UINT64_C(0) - (v & 1)));
	return n;
}

static uint32_t zigzag32(int32_t v)
{
	return (uint32_t)v << 1 ^ (uint32_t)(v >> 31);
}

static uint64_t zigzag64(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

size_t uvarlong_write(uint8_t *p, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

size_t uvarint_write(uint8_t *p, uint32_t v)
{
	return uvarlong_write(p, v);
}

size_t varint_write(uint8_t *p, int32_t v)
{
	return uvarlong_write(p, zigzag32(v));
}

size_t varlong_write(uint8_t *p, int64_t v)
{
	return uvarlong_write(p, zigzag64(v));
}

/* Bits over seven, rounded up; zero takes one byte too. */
static size_t base128_size(uint64_t v)
{
	return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

size_t uvarint_size(uint32_t v)
{
	return base128_size(v);
}

size_t varint_size(int32_t v)
{
	return base128_size(zigzag32(v));
}

size_t varlong_size(int64_t v)
{
	return base128_size(zigzag64(v));
}
