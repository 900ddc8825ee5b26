/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and SHA-512, HMAC over them, and PBKDF2 with one block, which SCRAM calls Hi. Not fast; not for bulk data. */
#ifndef BASE_SHA2_H
#define BASE_SHA2_H

#include "bytes.h"

#define SHA2_LEN_MAX 64

enum sha2_kind { SHA2_256, SHA2_512 };

/* 32 or 64. */
size_t sha2_len(enum sha2_kind kind);
/* Of both parts, one after the other; ret has sha2_len bytes. */
void sha2_hash(enum sha2_kind kind, struct bytes a, struct bytes b, uint8_t *ret);
void sha2_hmac(enum sha2_kind kind, struct bytes key, struct bytes text, uint8_t *ret);
void sha2_hi(enum sha2_kind kind, struct bytes password, struct bytes salt, int iterations, uint8_t *ret);

#endif
