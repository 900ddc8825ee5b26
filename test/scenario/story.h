/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stories have in common: a node that clients have written to for a while, and the end in which everything is
 * read back and the files are looked at.
 */
#ifndef SCENARIO_STORY_H
#define SCENARIO_STORY_H

#include "scenario.h"
#include "workload.h"

struct story {
	struct world *w;
	struct workload *wl;
};

/* durability=synced, and what `options` say ("name=value", the last one NULL; or NULL). config: lines of
 * server.properties, kept, or NULL. TRACE in the environment prints every line. */
void story_begin(struct story *s, uint64_t seed, const char *const *options, const char *config, int64_t ms);
/* Everything is as promised, and the node, started if it is off, works on. */
void story_end(struct story *s);
/* The node is off: each file is looked at, and each directory. */
void story_free(struct story *s);

#endif
