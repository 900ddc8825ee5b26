/* SPDX-License-Identifier: Apache-2.0 */
/* Timers of one reactor, on a 4-ary heap behind five functions. A callback runs in the timer stage of a turn, never
 * inside timer_start; a timer that was stopped does not fire. */
#ifndef RUNTIME_TIMER_H
#define RUNTIME_TIMER_H

#include "heap.h"

struct timer {
	struct heap_node node;
	void (*fire)(struct timer *timer);
};

struct timers {
	struct heap heap;
};

void timers_deinit(struct timers *timers);
/* Starts or restarts: fires once at or after at_ns (the reactor's monotonic clock). */
void timer_start(struct timers *timers, struct timer *timer, int64_t at_ns, void (*fire)(struct timer *));
void timer_stop(struct timers *timers, struct timer *timer);
static inline bool timer_is_on(const struct timer *timer)
{
	return timer->node.index != 0;
}
/* INT64_MAX when there is none. */
int64_t timers_next_ns(const struct timers *timers);
/* Fires what is due, at most `budget`; returns how many. */
int timers_run(struct timers *timers, int64_t now_ns, int budget);

#endif
