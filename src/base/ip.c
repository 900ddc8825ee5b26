/* SPDX-License-Identifier: Apache-2.0 */
/* See ip.h. */
#include "ip.h"

#include <arpa/inet.h>

static bool ip_parse_v4(struct str text, uint8_t ret_ip[4])
{
	uint64_t part[4] = {0}, whole = 0;
	int parts_n = 0;
	size_t digits_n = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '.') {
			if (digits_n == 0 || ++parts_n > 3)
				return false;
			digits_n = 0;
		} else if (text.p[i] < '0' || text.p[i] > '9' || ++digits_n > 10) {
			return false;
		} else {
			part[parts_n] = part[parts_n] * 10 + (uint64_t)(text.p[i] - '0');
		}
	}
	if (digits_n == 0)
		return false;
	for (int i = 0; i < parts_n; i++) {
		if (part[i] > UINT8_MAX)
			return false;
		whole |= part[i] << (24 - 8 * i);
	}
	if (part[parts_n] >> (32 - 8 * parts_n))
		return false;
	store_be32(ret_ip, (uint32_t)(whole | part[parts_n]));
	return true;
}

bool ip_parse(struct str text, uint8_t ret_ip[16], bool *ret_is_v6)
{
	char copy[64];

	*ret_is_v6 = false;
	if (str_eq_c(text, "localhost"))
		text = STR("127.0.0.1");
	if (ip_parse_v4(text, ret_ip))
		return true;
	if (text.len >= 2 && text.p[0] == '[' && text.p[text.len - 1] == ']')
		text = (struct str){text.p + 1, text.len - 2};
	if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.p, '\0', text.len))
		return false;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	*ret_is_v6 = true;
	return inet_pton(AF_INET6, copy, ret_ip) == 1;
}
