/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop. Sleeping happens in one place, at the end of the I/O turn, and only when nothing was left by any
 * stage before it; what the sleep finds is run in the next turn, with fresh time.
 *
 * 1. A turn in which `arrived`, `deferred` or `flush_hooks` is not empty before the I/O turn does not sleep.
 * 2. After the stage that sends, every list of `outgoing` is empty. What I/O completions send leaves in the next
 *    turn, which therefore comes without a sleep between.
 * 3. A message to a peer wakes it only when its mailbox was empty.
 */
#include "reactor.h"

#include "mem.h"
#include "node.h"

/* Budgets per turn, chosen so that a full stage of callbacks of about a microsecond stays under a millisecond. */
#define REACTOR_MSGS_MAX 512
#define REACTOR_TIMERS_MAX 512
#define REACTOR_DEFERRED_MAX 512

static void reactor_read_clocks(struct reactor *reactor)
{
	reactor->now_ns = reactor->io->ops->clock(reactor->io, IO_CLOCK_MONOTONIC);
	reactor->wall_ms = reactor->io->ops->clock(reactor->io, IO_CLOCK_WALL) / NS_PER_MS;
}

enum err reactor_init(struct reactor *reactor, struct node *node, int index, struct io *io)
{
	uint64_t seed;

	CHECK(io);
	CHECK_OP(index, >=, 0);
	CHECK_OP(index, <, node->reactors_n);
	*reactor = (struct reactor){.node = node, .index = index, .io = io};
	io->ops->random(io, &seed, sizeof(seed));
	rng_init(&reactor->rng, seed);
	mailbox_init(&reactor->inbox);
	list_init(&reactor->arrived);
	list_init(&reactor->flush_hooks);
	list_init(&reactor->deferred);
	reactor->outgoing = mem_calloc((size_t)node->reactors_n, sizeof(*reactor->outgoing));
	for (int i = 0; i < node->reactors_n; i++)
		list_init(&reactor->outgoing[i]);
	reactor_read_clocks(reactor);
	return ERR_NONE;
}

void reactor_deinit(struct reactor *reactor)
{
	if (!reactor->outgoing)
		return;
	mem_free(reactor->outgoing);
	reactor->outgoing = NULL;
	timers_deinit(&reactor->timers);
	mailbox_deinit(&reactor->inbox);
}

static void reactor_run_msgs(struct reactor *reactor)
{
	mailbox_take(&reactor->inbox, &reactor->arrived);
	for (int n = 0; n < REACTOR_MSGS_MAX; n++) {
		struct list *node = list_pop_front(&reactor->arrived);
		struct msg *msg;

		if (!node)
			return;
		msg = container_of(node, struct msg, node);
		msg->handle(reactor, msg);
	}
}

static void reactor_run_deferred(struct reactor *reactor)
{
	for (int n = 0; n < REACTOR_DEFERRED_MAX; n++) {
		struct list *node = list_pop_front(&reactor->deferred);
		struct deferred *deferred;

		if (!node)
			return;
		deferred = container_of(node, struct deferred, node);
		deferred->run(deferred);
	}
}

/* A hook that marks itself again is called in the next turn, so this ends. */
static void reactor_run_hooks(struct reactor *reactor)
{
	struct list hooks, *node;

	list_init(&hooks);
	list_splice(&hooks, &reactor->flush_hooks);
	while ((node = list_pop_front(&hooks)) != NULL) {
		struct flush_hook *hook = container_of(node, struct flush_hook, node);

		hook->flush(hook);
	}
}

static void reactor_flush_msgs(struct reactor *reactor)
{
	struct node *node = reactor->node;

	for (int i = 0; i < node->reactors_n; i++) {
		struct reactor *peer = &node->reactors[i];

		if (list_is_empty(&reactor->outgoing[i]))
			continue;
		if (peer == reactor)
			list_splice(&reactor->arrived, &reactor->outgoing[i]);
		else if (mailbox_put(&peer->inbox, &reactor->outgoing[i]))
			peer->io->ops->wake(peer->io);
	}
}

static int64_t reactor_deadline_ns(const struct reactor *reactor, int64_t wait_ns)
{
	int64_t next_ns = timers_next_ns(&reactor->timers);

	if (wait_ns <= 0 || next_ns <= reactor->now_ns)
		return 0;
	if (!list_is_empty(&reactor->arrived) || !list_is_empty(&reactor->deferred) ||
	    !list_is_empty(&reactor->flush_hooks))
		return 0;
	if (wait_ns > INT64_MAX - reactor->now_ns)
		return next_ns;
	return MIN(next_ns, reactor->now_ns + wait_ns);
}

void reactor_turn(struct reactor *reactor, int64_t wait_ns)
{
	struct log_sink *sink_before = reactor->log_sink ? log_sink_set(reactor->log_sink) : NULL;
	bool sink_is_ours = reactor->log_sink != NULL;

	reactor->turns++;
	reactor_read_clocks(reactor);
	reactor_run_msgs(reactor);
	timers_run(&reactor->timers, reactor->now_ns, REACTOR_TIMERS_MAX);
	reactor_run_deferred(reactor);
	reactor_run_hooks(reactor);
	reactor_flush_msgs(reactor);
	reactor->io->ops->turn(reactor->io, reactor_deadline_ns(reactor, wait_ns));
	if (sink_is_ours)
		log_sink_set(sink_before);
}

void reactor_send(struct reactor *from, struct reactor *to, struct msg *msg)
{
	CHECK(from->node == to->node);
	CHECK(!list_is_linked(&msg->node));
	msg->from = from;
	list_push_back(&from->outgoing[to->index], &msg->node);
}

void reactor_flush_later(struct reactor *reactor, struct flush_hook *hook)
{
	if (!list_is_linked(&hook->node))
		list_push_back(&reactor->flush_hooks, &hook->node);
}

void reactor_defer(struct reactor *reactor, struct deferred *deferred, void (*run)(struct deferred *))
{
	if (list_is_linked(&deferred->node)) {
		CHECK(deferred->run == run);
		return;
	}
	deferred->run = run;
	list_push_back(&reactor->deferred, &deferred->node);
}
