/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between the reactors and a thread that is none (the one that serves HTTP). Towards a reactor a message goes
 * into its mailbox at once; the answer comes into the thread's own, and `wake` tells it to look.
 *
 * 1. Who posts to a reactor knows that its loop turns; a message to one that has ended is never handled, and belongs
 *    to whoever posted it again once the node has stopped.
 */
#ifndef RUNTIME_POST_H
#define RUNTIME_POST_H

#include "mailbox.h"

/* Where a foreign thread takes answers. */
struct post_box {
	struct mailbox inbox;
	/* Called on the reactor that answered: must not wait. */
	void (*wake)(struct post_box *box);
};

void post_box_init(struct post_box *box, void (*wake)(struct post_box *box));
void post_box_deinit(struct post_box *box);
/* From any thread: msg->handle runs on the reactor, in one of its next turns. */
void post_to_reactor(struct reactor *to, struct msg *msg);
/* From a reactor: the message is the thread's. */
void post_answer(struct post_box *box, struct msg *msg);
/* On the foreign thread: moves what has arrived to the end of `ret`. */
void post_take(struct post_box *box, struct list *ret);

#endif
