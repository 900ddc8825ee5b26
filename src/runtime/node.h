/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reactors of one node (process, or simulated machine), with their start and stop order. node_run is for real
 * processes; the simulator steps the reactors itself.
 */
#ifndef RUNTIME_NODE_H
#define RUNTIME_NODE_H

#include "reactor.h"

#define NODE_REACTORS_MAX 64

struct node {
	int id; /* node.id */
	int reactors_n;
	struct reactor *reactors; /* array */
	uint64_t hash_seed;       /* for every map of this node that has keys from outside */
	void *broker;             /* struct broker, the owner of all shards */
	int stop;                 /* atomic: set by node_stop */
};

/* ios: one per reactor, owned by the caller. */
enum err node_init(struct node *node, int id, struct io **ios, int reactors_n) MUST_USE;
void node_deinit(struct node *node);
/* Runs reactor 0 on this thread and one thread for each other, until node_stop. */
void node_run(struct node *node);
/* From any reactor of the node: all loops end after their current turn. */
void node_stop(struct node *node);

#endif
