/* SPDX-License-Identifier: Apache-2.0 */
/* What a failed CHECK does: one line with the facts to stderr, then abort, so that a core is left. */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

NORETURN void check_failed(const char *file, int line, const char *func, const char *cond)
{
	fprintf(stderr, "moldau: %s:%d: %s: check failed: %s\n", file, line, func, cond);
	abort();
}

NORETURN void check_op_failed(const char *file, int line, const char *func, const char *cond, int64_t a, int64_t b)
{
	fprintf(stderr, "moldau: %s:%d: %s: check failed: %s (%" PRId64 " and %" PRId64 ")\n", file, line, func, cond,
		a, b);
	abort();
}
