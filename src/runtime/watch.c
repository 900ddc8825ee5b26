/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches in order of goal. An advance first moves all that it satisfies from the heap to a list of its own, then
 * calls them one by one: what a callback starts goes to the heap and waits for the next advance, and a callback
 * may stop a watch that has not had its turn.
 *
 * 1. node.index is 0 when off, the place in the heap + 1 when waiting, WATCH_FIRING on the list of an advance.
 * 2. A watch is on `link` exactly while node.index is WATCH_FIRING.
 * 3. Callbacks run in order of goal, then of start. After the last one the list itself is not touched: a callback
 *    may free it.
 */
#include "watch.h"

#include "fault.h"

#define WATCH_FIRING SIZE_MAX

void watch_list_init(struct watch_list *list)
{
	*list = (struct watch_list){0};
}

static void watch_fire_all(struct list *firing, enum err err)
{
	struct list *link;

	while ((link = list_pop_front(firing)) != NULL) {
		struct watch *watch = container_of(link, struct watch, link);

		watch->node.index = 0;
		if (FAULT(lose_wakeup) && watch->node.order % 4 == 3)
			continue;
		watch->fire(watch, err);
	}
}

/* Takes those with goal <= value out of the heap. */
static void watch_list_pop(struct watch_list *list, int64_t value, struct list *firing)
{
	struct heap_node *node;

	while ((node = heap_peek(&list->heap)) != NULL && node->key <= value) {
		struct watch *watch = container_of(node, struct watch, node);

		heap_remove(&list->heap, node);
		node->index = WATCH_FIRING;
		list_push_back(firing, &watch->link);
	}
}

void watch_list_deinit(struct watch_list *list, enum err err)
{
	watch_list_fail(list, err);
	CHECK(heap_peek(&list->heap) == NULL);
	heap_deinit(&list->heap);
}

void watch_start(struct watch_list *list, struct watch *watch, int64_t goal,
		 void (*fire)(struct watch *, enum err))
{
	watch_stop(watch);
	watch->list = list;
	watch->fire = fire;
	heap_push(&list->heap, &watch->node, goal);
}

void watch_stop(struct watch *watch)
{
	if (watch->node.index == WATCH_FIRING) {
		list_remove(&watch->link);
		watch->node.index = 0;
	} else if (watch->node.index != 0) {
		heap_remove(&watch->list->heap, &watch->node);
	}
}

void watch_list_advance(struct watch_list *list, int64_t value)
{
	struct list firing;

	list_init(&firing);
	watch_list_pop(list, value, &firing);
	watch_fire_all(&firing, ERR_NONE);
}

void watch_list_fail(struct watch_list *list, enum err err)
{
	struct list firing;

	list_init(&firing);
	watch_list_pop(list, INT64_MAX, &firing);
	watch_fire_all(&firing, err);
}
