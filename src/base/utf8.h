/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as Java reads it from the wire. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "bytes.h"

/* True for well-formed UTF-8: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool utf8_is_valid(struct str s);

/* Bytes of the sequence at p (len > 0). *ret_ok false: it is malformed, and Java reads one U+FFFD in its place. */
size_t utf8_step(const uint8_t *p, size_t len, bool *ret_ok);

#endif
