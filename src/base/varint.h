/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base-128 integers: unsigned ("uvarint": lengths and tags of flexible messages) and zig-zag signed ("varint",
 * "varlong": fields of records). Readers return the bytes used, or 0 when the input ends early or is longer than
 * the type allows (5 and 10 bytes). Writers need VARINT32_MAX / VARINT64_MAX bytes of room.
 */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include "types.h"

#define VARINT32_MAX 5
#define VARINT64_MAX 10

size_t uvarint_read(const uint8_t *p, size_t len, uint32_t *ret);
size_t uvarlong_read(const uint8_t *p, size_t len, uint64_t *ret);
size_t varint_read(const uint8_t *p, size_t len, int32_t *ret);
size_t varlong_read(const uint8_t *p, size_t len, int64_t *ret);
size_t uvarint_write(uint8_t *p, uint32_t v);
size_t uvarlong_write(uint8_t *p, uint64_t v);
size_t varint_write(uint8_t *p, int32_t v);
size_t varlong_write(uint8_t *p, int64_t v);
size_t uvarint_size(uint32_t v);
size_t varint_size(int32_t v);
size_t varlong_size(int64_t v);

#endif
