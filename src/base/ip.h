/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as people write them in settings and quotas. Nothing here asks a resolver. */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "bytes.h"

/* An IPv4 address of one to four decimal parts (the last fills what is left, as everywhere), an IPv6 address with or
 * without brackets, or "localhost", which is 127.0.0.1. False for all else. ret_ip: 4 or 16 bytes in network order. */
bool ip_parse(struct str text, uint8_t ret_ip[16], bool *ret_is_v6) MUST_USE;

#endif
