/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable array of bytes-sized elements with a maximum: VEC(type) declares the struct, vec_push grows it. A
 * zeroed vec is empty. Elements move when it grows: keep indexes, not pointers.
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "check.h"

#define VEC(type)          \
	struct {           \
		type *v;   \
		size_t n;  \
		size_t cap; \
	}

/* Makes room for `more` elements beyond n; aborts beyond SIZE_MAX / 2 bytes. */
void vec_grow(void *vec, size_t elem_size, size_t more);

#define vec_reserve(vec, more) vec_grow((vec), sizeof((vec)->v[0]), (more))
#define vec_push(vec, elem)                                       \
	do {                                                      \
		if ((vec)->n == (vec)->cap)                       \
			vec_grow((vec), sizeof((vec)->v[0]), 1);  \
		(vec)->v[(vec)->n++] = (elem);                    \
	} while (0)
#define vec_deinit(vec)                   \
	do {                              \
		mem_free((vec)->v);       \
		(vec)->v = NULL;          \
		(vec)->n = (vec)->cap = 0; \
	} while (0)

#include "mem.h"

#endif
