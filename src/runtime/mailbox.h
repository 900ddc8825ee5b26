/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between reactors: a mutex and a list, spliced once per turn. A sender collects per peer and flushes
 * once a turn: one lock and at most one wake, however many messages. Order per sender is kept. The message is
 * embedded in the sender's struct, which stays alive until the answer (usually the same message sent back).
 */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include <pthread.h>

#include "list.h"

struct reactor;

struct msg {
	struct list node;
	/* Runs on the receiving reactor. */
	void (*handle)(struct reactor *reactor, struct msg *msg);
	struct reactor *from; /* set by reactor_send */
};

struct mailbox {
	pthread_mutex_t lock;
	struct list msgs;
};

void mailbox_init(struct mailbox *mailbox);
void mailbox_deinit(struct mailbox *mailbox);
/* Appends all of `msgs`, which is empty after. True when the mailbox was empty: the receiver may sleep. */
bool mailbox_put(struct mailbox *mailbox, struct list *msgs);
/* Moves everything that has arrived to the end of `ret`. */
void mailbox_take(struct mailbox *mailbox, struct list *ret);

#endif
