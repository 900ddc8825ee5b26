/* SPDX-License-Identifier: Apache-2.0 */
/* Gathering N answers: expected count, arrived count, one callback at the last. */
#ifndef RUNTIME_GATHER_H
#define RUNTIME_GATHER_H

#include "check.h"

struct gather {
	int expected;
	int arrived;
	void (*done)(struct gather *gather);
};

/* expected > 0, or done is never called. */
static inline void gather_start(struct gather *gather, int expected, void (*done)(struct gather *))
{
	gather->expected = expected;
	gather->arrived = 0;
	gather->done = done;
}

static inline void gather_arrive(struct gather *gather)
{
	CHECK_OP(gather->arrived, <, gather->expected);
	if (++gather->arrived == gather->expected)
		gather->done(gather);
}

#endif
