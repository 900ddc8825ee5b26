/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until a number on one object (a high watermark, a log end) reaches a goal. Watches stand in order of
 * goal, so an advance costs what it satisfies. A goal of WATCH_ANY is satisfied by every advance.
 *
 * 1. A watch fires once, then is off; firing may start it again, on any list.
 * 2. watch_list_advance fires nothing that was started during the same call.
 */
#ifndef RUNTIME_WATCH_H
#define RUNTIME_WATCH_H

#include "err.h"
#include "heap.h"
#include "list.h"

#define WATCH_ANY INT64_MIN

struct watch {
	struct heap_node node;
	struct list link; /* while firing */
	struct watch_list *list;
	void (*fire)(struct watch *watch, enum err err);
};

struct watch_list {
	struct heap heap;
};

void watch_list_init(struct watch_list *list);
/* Fires every watch with `err` (the object goes away), then frees. */
void watch_list_deinit(struct watch_list *list, enum err err);
void watch_start(struct watch_list *list, struct watch *watch, int64_t goal,
		 void (*fire)(struct watch *, enum err));
void watch_stop(struct watch *watch);
/* Fires those whose goal <= value. */
void watch_list_advance(struct watch_list *list, int64_t value);
/* Fires all with err (leadership lost, log failed). */
void watch_list_fail(struct watch_list *list, enum err err);
static inline bool watch_is_on(const struct watch *watch)
{
	return watch->node.index != 0;
}

#endif
