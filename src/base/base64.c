/* SPDX-License-Identifier: Apache-2.0 */
/* See base64.h. */
#include "base64.h"

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum err base64_decode(struct str text, uint8_t *ret, size_t cap, size_t *ret_len)
{
	uint32_t bits = 0;
	size_t len = 0;
	int bits_n = 0;

	if (text.len % 4 == 0 && text.len > 0 && text.p[text.len - 1] == '=')
		text.len -= text.len > 1 && text.p[text.len - 2] == '=' ? 2 : 1;
	if (text.len % 4 == 1)
		return ERR_INVALID_TEXT;
	for (size_t i = 0; i < text.len; i++) {
		int v = value_of(text.p[i]);

		if (v < 0)
			return ERR_INVALID_TEXT;
		bits = bits << 6 | (uint32_t)v;
		bits_n += 6;
		if (bits_n < 8)
			continue;
		bits_n -= 8;
		if (len == cap)
			return ERR_TOO_LARGE;
		ret[len++] = (uint8_t)(bits >> bits_n);
	}
	*ret_len = len;
	return ERR_NONE;
}
