/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers over the heap. A timer that a callback starts with a time already past fires in the same run, within the
 * budget, so a chain of zero delays cannot hold the loop.
 *
 * 1. A timer is in the heap exactly while it is on.
 * 2. It leaves the heap before its callback runs, so the callback may start it again or free it.
 */
#include "timer.h"

void timers_deinit(struct timers *timers)
{
	heap_deinit(&timers->heap);
}

void timer_start(struct timers *timers, struct timer *timer, int64_t at_ns, void (*fire)(struct timer *))
{
	heap_remove(&timers->heap, &timer->node);
	timer->fire = fire;
	heap_push(&timers->heap, &timer->node, at_ns);
}

void timer_stop(struct timers *timers, struct timer *timer)
{
	heap_remove(&timers->heap, &timer->node);
}

int64_t timers_next_ns(const struct timers *timers)
{
	const struct heap_node *node = heap_peek(&timers->heap);

	return node ? node->key : INT64_MAX;
}

int timers_run(struct timers *timers, int64_t now_ns, int budget)
{
	int fired = 0;

	while (fired < budget && timers_next_ns(timers) <= now_ns) {
		struct timer *timer = container_of(heap_pop(&timers->heap), struct timer, node);

		fired++;
		timer->fire(timer);
	}
	return fired;
}
