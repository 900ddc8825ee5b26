/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 check by the table of well-formed byte sequences in the Unicode standard (table 3-7). */
#include "utf8.h"

static bool is_tail(uint8_t b)
{
	return (b & 0xc0) == 0x80;
}

/* Length of the well-formed sequence at p, or 0. Only the second byte's range depends on the first. */
static size_t utf8_sequence(const uint8_t *p, size_t len)
{
	uint8_t lead = p[0];
	uint8_t lo = 0x80;
	uint8_t hi = 0xbf;
	size_t n;

	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead == 0xe0)
		lo = 0xa0;
	else if (lead == 0xed)
		hi = 0x9f;
	else if (lead == 0xf0)
		lo = 0x90;
	else if (lead == 0xf4)
		hi = 0x8f;
	if (len < n || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (!is_tail(p[i]))
			return 0;
	}
	return n;
}

bool utf8_is_valid(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t left = s.len;

	while (left > 0) {
		uint64_t word;
		size_t n;

		/* Names and keys are mostly ASCII: eight bytes at a time. */
		if (left >= 8) {
			memcpy(&word, p, 8);
			if (!(word & UINT64_C(0x8080808080808080))) {
				p += 8;
				left -= 8;
				continue;
			}
		}
		n = utf8_sequence(p, left);
		if (n == 0)
			return false;
		p += n;
		left -= n;
	}
	return true;
}

/* How many of the bytes behind a lead of `n` bytes can still belong to it: a malformed sequence ends there. */
static size_t malformed_len(const uint8_t *p, size_t len, size_t n)
{
	uint8_t lead = p[0], second = len > 1 ? p[1] : 0;
	size_t at = 2;

	if (!is_tail(second) || (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90) ||
	    (lead == 0xf4 && second > 0x8f))
		return 1;
	while (at < n && at < len && is_tail(p[at]))
		at++;
	return at;
}

size_t utf8_step(const uint8_t *p, size_t len, bool *ret_ok)
{
	size_t n = utf8_sequence(p, len);

	*ret_ok = n > 0;
	if (n)
		return n;
	if (p[0] < 0xe0 || p[0] > 0xf4)
		return 1;
	return malformed_len(p, len, p[0] >= 0xf0 ? 4 : 3);
}
