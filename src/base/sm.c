/* SPDX-License-Identifier: Apache-2.0 */
/* Checked moves of state machines: the table decides, a refused move aborts with both names. */
#include "sm.h"

#include <stdio.h>

#include "log.h"

void sm_init(struct sm *sm, const struct sm_def *def, int state)
{
	CHECK_OP(def->states_n, <=, 64);
	CHECK(state >= 0 && state < def->states_n);
	*sm = (struct sm){.def = def, .state = state};
}

void sm_move(struct sm *sm, int state, const char *what)
{
	const struct sm_def *def = sm->def;
	const struct sm_state *from = &def->states[sm->state];

	CHECK(state >= 0 && state < def->states_n);
	if (unlikely(!(from->next & SM_TO(state)))) {
		char text[256];

		snprintf(text, sizeof(text), "%s %s may move from %s to %s", def->name, what, from->name,
			 def->states[state].name);
		check_op_failed(__FILE__, __LINE__, __func__, text, sm->state, state);
	}
	sm->state = state;
	log_trace("state.move", "machine=%s object=%s from=%s to=%s", def->name, what, from->name,
		  def->states[state].name);
}
