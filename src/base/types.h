/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small words every file uses: fixed types, sizes of arrays, minimum and maximum, the struct around a
 * member, branch hints and the must-use mark. Nothing here has state or a body in a .c file.
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_N(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b)                          \
	({                                 \
		typeof(a) min_a_ = (a);    \
		typeof(b) min_b_ = (b);    \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                          \
	({                                 \
		typeof(a) max_a_ = (a);    \
		typeof(b) max_b_ = (b);    \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

/* The struct of `type` whose member `member` lies at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define KIB(n) ((int64_t)(n)*1024)
#define MIB(n) ((int64_t)(n)*1024 * 1024)
#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

#endif
