/* SPDX-License-Identifier: Apache-2.0 */
/* See post.h. */
#include "post.h"

#include "reactor.h"

void post_box_init(struct post_box *box, void (*wake)(struct post_box *box))
{
	mailbox_init(&box->inbox);
	box->wake = wake;
}

void post_box_deinit(struct post_box *box)
{
	mailbox_deinit(&box->inbox);
}

void post_to_reactor(struct reactor *to, struct msg *msg)
{
	struct list msgs;

	CHECK(!list_is_linked(&msg->node));
	list_init(&msgs);
	msg->from = NULL;
	list_push_back(&msgs, &msg->node);
	if (mailbox_put(&to->inbox, &msgs))
		to->io->ops->wake(to->io);
}

void post_answer(struct post_box *box, struct msg *msg)
{
	struct list msgs;

	list_init(&msgs);
	list_push_back(&msgs, &msg->node);
	if (mailbox_put(&box->inbox, &msgs))
		box->wake(box);
}

void post_take(struct post_box *box, struct list *ret)
{
	mailbox_take(&box->inbox, ret);
}
