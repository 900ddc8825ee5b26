/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions. CHECK stays on in every build: a broken precondition stops the process with its facts before it
 * can spoil data. DCHECK is for checks too dear for release (whole-structure invariants); it runs in debug and
 * simulator builds. OWNED says that the object belongs to the reactor that runs now.
 *
 * Only programmer errors end here. Corrupt data, refused input and failed I/O are returned as `enum err`.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "types.h"

/* Prints the failed condition with place and values, then aborts. */
NORETURN void check_failed(const char *file, int line, const char *func, const char *cond);
NORETURN void check_op_failed(const char *file, int line, const char *func, const char *cond, int64_t a, int64_t b);

#define CHECK(cond)                                                                 \
	do {                                                                        \
		if (unlikely(!(cond)))                                              \
			check_failed(__FILE__, __LINE__, __func__, #cond);          \
	} while (0)

/* CHECK_OP(offset, <=, end): prints both values, as signed 64-bit numbers. */
#define CHECK_OP(a, op, b)                                                                                         \
	do {                                                                                                       \
		typeof(a) check_a_ = (a);                                                                          \
		typeof(b) check_b_ = (b);                                                                          \
		if (unlikely(!(check_a_ op check_b_)))                                                             \
			check_op_failed(__FILE__, __LINE__, __func__, #a " " #op " " #b, (int64_t)check_a_,        \
					(int64_t)check_b_);                                                        \
	} while (0)

#define UNREACHABLE() check_failed(__FILE__, __LINE__, __func__, "unreachable")

#if defined(MOLDAU_DEBUG) || defined(MOLDAU_SIM)
#define DCHECK(cond) CHECK(cond)
#else
#define DCHECK(cond)                 \
	do {                         \
		(void)sizeof(cond);  \
	} while (0)
#endif

#endif
