/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chosen deliberate fault, and the first epoch of producers: variables of the process, written before the simulated
 * world starts and only read after. They exist in simulator builds alone.
 */
#include "fault.h"

#ifdef MOLDAU_SIM
#include <string.h>

#include "check.h"

static enum fault fault_chosen;
static int16_t first_epoch;

static const char *const fault_names[FAULT_N] = {
	[FAULT_NONE] = "none",
#define X(name, what) [FAULT_##name] = #name,
	FAULT_LIST(X)
#undef X
};

bool fault_is(enum fault fault)
{
	return fault_chosen == fault;
}

void fault_set(enum fault fault)
{
	CHECK((unsigned)fault < FAULT_N);
	fault_chosen = fault;
}

int16_t sim_first_epoch(void)
{
	return first_epoch;
}

void sim_first_epoch_set(int16_t epoch)
{
	first_epoch = epoch;
}

enum fault fault_find(const char *name)
{
	for (int i = 0; i < FAULT_N; i++) {
		if (strcmp(fault_names[i], name) == 0)
			return (enum fault)i;
	}
	return FAULT_NONE;
}

const char *fault_name(enum fault fault)
{
	CHECK((unsigned)fault < FAULT_N);
	return fault_names[fault];
}
#endif
