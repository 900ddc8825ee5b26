/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowed views of bytes and of text. A view owns nothing and is never kept beyond the call that received it,
 * unless the comment of the field that keeps it names the lender. A view with a NULL pointer is "null" in the
 * sense of the protocol; an empty view has a pointer and length 0. `struct str` is not NUL-terminated.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <string.h>

#include "types.h"

struct bytes {
	const uint8_t *p;
	size_t len;
};

struct str {
	const char *p;
	size_t len;
};

/* printf("%.*s", STR_ARGS(s)) */
#define STR_ARGS(s) (int)(s).len, ((s).p ? (s).p : "")
/* A view of a string literal. */
#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_NULL ((struct str){NULL, 0})
#define BYTES_NULL ((struct bytes){NULL, 0})

static inline struct str str_of(const char *cstr)
{
	return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.p == NULL) == (b.p == NULL) && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool str_eq_c(struct str a, const char *b)
{
	return str_eq(a, str_of(b));
}

/* memcmp order, shorter first; null sorts before empty. */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c)
		return c;
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return (a.p != NULL) - (b.p != NULL);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

static inline struct bytes str_bytes(struct str s)
{
	return (struct bytes){(const uint8_t *)s.p, s.len};
}

static inline struct str bytes_str(struct bytes b)
{
	return (struct str){(const char *)b.p, b.len};
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
	return str_eq(bytes_str(a), bytes_str(b));
}

/* Big-endian loads and stores at any address: every integer of the protocol and of the files has this order. */
static inline uint16_t load_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline uint32_t load_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline uint64_t load_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

static inline void store_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, 2);
}

static inline void store_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static inline void store_be64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

#endif
