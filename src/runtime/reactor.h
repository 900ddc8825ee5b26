/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reactor: one thread, one loop, a complete broker. A turn is
 *
 *    take messages -> run due timers -> deferred calls -> flush hooks (storage gathers its writes here)
 *    -> flush outgoing messages -> io turn (starts queued I/O, runs completions, sleeps when idle)
 *
 * 1. Every callback runs to its end; nothing blocks.
 * 2. No completion runs inside the call that started it.
 * 3. Each stage has a budget; leftovers wait for the next turn.
 * 4. now_ns and wall_ms are read once per turn; nobody else reads a clock.
 * 5. Randomness comes from rng; nobody else makes any.
 */
#ifndef RUNTIME_REACTOR_H
#define RUNTIME_REACTOR_H

#include "io.h"
#include "log.h"
#include "mailbox.h"
#include "rng.h"
#include "timer.h"

/* Called at the end of each turn in which it was marked, before messages leave. */
struct flush_hook {
	struct list node;
	void (*flush)(struct flush_hook *hook);
};

/* Called once, later in this turn (or in the next); deferring it again before that changes nothing. */
struct deferred {
	struct list node;
	void (*run)(struct deferred *deferred);
};

struct reactor {
	struct node *node;
	int index; /* in node->reactors */
	struct io *io;
	int64_t now_ns;  /* monotonic */
	int64_t wall_ms; /* since 1970 */
	struct rng rng;
	struct timers timers;
	struct mailbox inbox;
	struct list arrived;  /* messages taken but not handled yet */
	struct list *outgoing; /* one list per peer reactor */
	struct list flush_hooks;
	struct list deferred;
	struct log_sink *log_sink;
	struct shard *shard; /* the broker's root on this reactor */
	uint64_t turns;
};

enum err reactor_init(struct reactor *reactor, struct node *node, int index, struct io *io) MUST_USE;
void reactor_deinit(struct reactor *reactor);
/* One turn. Waits for at most `wait_ns` when there is nothing to do (INT64_MAX: until something happens). */
void reactor_turn(struct reactor *reactor, int64_t wait_ns);
/* Queues msg for `to`; leaves at the end of the turn. To itself: handled in the next turn. */
void reactor_send(struct reactor *from, struct reactor *to, struct msg *msg);
/* Marks the hook for this turn; marking twice is one call. */
void reactor_flush_later(struct reactor *reactor, struct flush_hook *hook);
void reactor_defer(struct reactor *reactor, struct deferred *deferred, void (*run)(struct deferred *));

static inline void reactor_timer(struct reactor *reactor, struct timer *timer, int64_t delay_ns,
				 void (*fire)(struct timer *))
{
	timer_start(&reactor->timers, timer, reactor->now_ns + delay_ns, fire);
}

#endif
