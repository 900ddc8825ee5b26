/* SPDX-License-Identifier: Apache-2.0 */
/* What every test of the runtime needs: cmocka with its includes, and a folder of its own. */
#ifndef TEST_RUNTIME_H
#define TEST_RUNTIME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "types.h"

/* A new empty folder below TMPDIR. */
UNUSED static void test_dir(char ret[256])
{
	const char *base = getenv("TMPDIR");

	snprintf(ret, 256, "%s/moldau-test-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(ret));
}

#endif
