/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reactors of a node and their threads. Reactor 0 runs on the thread that calls node_run, so that a process
 * with one reactor has one loop and nothing to join.
 *
 * 1. `reactors` does not move or change size between node_init and node_deinit: reactors hold pointers to each
 *    other.
 * 2. `stop` goes from 0 to 1 once; every loop looks at it after each turn, and node_stop wakes those that sleep.
 */
#include "node.h"

#include <pthread.h>
#include <signal.h>

#include "mem.h"
#include "process.h"

enum err node_init(struct node *node, int id, struct io **ios, int reactors_n)
{
	CHECK_OP(reactors_n, >, 0);
	CHECK_OP(reactors_n, <=, NODE_REACTORS_MAX);
	*node = (struct node){.id = id, .reactors_n = reactors_n};
	ios[0]->ops->random(ios[0], &node->hash_seed, sizeof(node->hash_seed));
	node->reactors = mem_calloc((size_t)reactors_n, sizeof(*node->reactors));
	for (int i = 0; i < reactors_n; i++) {
		enum err err = reactor_init(&node->reactors[i], node, i, ios[i]);

		if (err) {
			node_deinit(node);
			return err;
		}
	}
	return ERR_NONE;
}

void node_deinit(struct node *node)
{
	for (int i = 0; node->reactors && i < node->reactors_n; i++)
		reactor_deinit(&node->reactors[i]);
	mem_free(node->reactors);
	node->reactors = NULL;
}

static void *node_loop(void *arg)
{
	struct reactor *reactor = arg;

	/* A client waits for a turn, and nobody for the helper that compacts on the same processor. */
	process_thread_short_slice();
	while (!__atomic_load_n(&reactor->node->stop, __ATOMIC_ACQUIRE))
		reactor_turn(reactor, INT64_MAX);
	return NULL;
}

void node_run(struct node *node)
{
	pthread_t threads[NODE_REACTORS_MAX];
	sigset_t all, before;

	/* Signals are for the thread that waits for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 1; i < node->reactors_n; i++)
		CHECK_OP(pthread_create(&threads[i], NULL, node_loop, &node->reactors[i]), ==, 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	node_loop(&node->reactors[0]);
	for (int i = 1; i < node->reactors_n; i++)
		CHECK_OP(pthread_join(threads[i], NULL), ==, 0);
}

void node_stop(struct node *node)
{
	__atomic_store_n(&node->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < node->reactors_n; i++) {
		struct io *io = node->reactors[i].io;

		io->ops->wake(io);
	}
}
