/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inbox of a reactor. Both sides hold the lock only for a splice of a few pointers, whatever the number of
 * messages.
 *
 * 1. Everything between `lock` and its release is O(1).
 * 2. Messages of one sender stand in the order in which it put them.
 */
#include "mailbox.h"

void mailbox_init(struct mailbox *mailbox)
{
	CHECK_OP(pthread_mutex_init(&mailbox->lock, NULL), ==, 0);
	list_init(&mailbox->msgs);
}

void mailbox_deinit(struct mailbox *mailbox)
{
	CHECK_OP(pthread_mutex_destroy(&mailbox->lock), ==, 0);
}

bool mailbox_put(struct mailbox *mailbox, struct list *msgs)
{
	bool was_empty;

	if (list_is_empty(msgs))
		return false;
	pthread_mutex_lock(&mailbox->lock);
	was_empty = list_is_empty(&mailbox->msgs);
	list_splice(&mailbox->msgs, msgs);
	pthread_mutex_unlock(&mailbox->lock);
	return was_empty;
}

void mailbox_take(struct mailbox *mailbox, struct list *ret)
{
	pthread_mutex_lock(&mailbox->lock);
	list_splice(ret, &mailbox->msgs);
	pthread_mutex_unlock(&mailbox->lock);
}
