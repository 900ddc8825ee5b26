/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli) of record batches and producer snapshots: SSE4.2 inline for short input, isa-l for long,
 * a table where neither exists. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "types.h"

/* Continues from `crc` (0 at the start). */
uint32_t crc32c(uint32_t crc, const void *p, size_t len);
/* CRC-32 (IEEE, the one of zlib and gzip), for message formats 0 and 1. isa-l takes the name crc32_ieee. */
uint32_t crc32_plain(uint32_t crc, const void *p, size_t len);

#endif
