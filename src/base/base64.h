/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with the usual alphabet (RFC 4648, section 4). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "bytes.h"
#include "err.h"

/* Reads `text`, padded or not, into ret of cap bytes. ERR_INVALID_TEXT for other characters or a lone one at the end,
 * ERR_TOO_LARGE when it does not fit. */
enum err base64_decode(struct str text, uint8_t *ret, size_t cap, size_t *ret_len) MUST_USE;

#endif
