/* SPDX-License-Identifier: Apache-2.0 */
/* See sim_bodies.h. */
#include "sim_bodies.h"

#include <string.h>

static const struct sim_body *const sim_bodies[] = {
#ifdef SIM_HAS_BROKER
	&broker_body,
#endif
	&stub_body,
};

const struct sim_body *sim_body_find(const char *name)
{
	if (!name)
		return sim_bodies[0];
	for (size_t i = 0; i < ARRAY_N(sim_bodies); i++) {
		if (strcmp(sim_bodies[i]->name, name) == 0)
			return sim_bodies[i];
	}
	return NULL;
}
