/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked state machines. A machine's file holds a table that names each state and the states it may move to;
 * sm_move refuses (aborts) any other move and writes one trace line. State numbers are the index in the table.
 */
#ifndef BASE_SM_H
#define BASE_SM_H

#include "check.h"

struct sm_state {
	const char *name;
	uint64_t next; /* bit i: may move to state i */
};

struct sm_def {
	const char *name; /* of the machine, for traces: "partition" */
	const struct sm_state *states;
	int states_n;
};

#define SM_TO(state) (UINT64_C(1) << (state))

struct sm {
	const struct sm_def *def;
	int state;
};

void sm_init(struct sm *sm, const struct sm_def *def, int state);
/* Aborts unless the table allows it. `what` names the object for the trace line: "orders-4". */
void sm_move(struct sm *sm, int state, const char *what);

static inline const char *sm_name(const struct sm *sm)
{
	return sm->def->states[sm->state].name;
}

#endif
