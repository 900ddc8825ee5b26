/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real threads: a mailbox with several senders, whose order per sender must hold; reactors that bounce many
 * messages with sleeps in between; helper work and wakes from many reactors at once. Made for ThreadSanitizer, and
 * quick enough to run without it every time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "node.h"

#define SENDERS_N 4
#define PER_SENDER_N 100000

struct numbered {
	struct msg msg;
	int sender;
	int number;
};

struct sender {
	struct mailbox *mailbox;
	struct numbered *all;
	int index;
};

static void *sender_run(void *arg)
{
	struct sender *sender = arg;
	struct list batch;

	list_init(&batch);
	for (int i = 0; i < PER_SENDER_N; i++) {
		sender->all[i].sender = sender->index;
		sender->all[i].number = i;
		list_push_back(&batch, &sender->all[i].msg.node);
		if (i % (7 + sender->index * 20) == 0)
			mailbox_put(sender->mailbox, &batch);
	}
	mailbox_put(sender->mailbox, &batch);
	return NULL;
}

static void stress_mailbox(void)
{
	struct mailbox mailbox;
	struct sender senders[SENDERS_N];
	pthread_t threads[SENDERS_N];
	int next[SENDERS_N] = {0}, total = 0;

	mailbox_init(&mailbox);
	for (int i = 0; i < SENDERS_N; i++) {
		senders[i] = (struct sender){&mailbox, mem_calloc(PER_SENDER_N, sizeof(struct numbered)), i};
		CHECK_OP(pthread_create(&threads[i], NULL, sender_run, &senders[i]), ==, 0);
	}
	while (total < SENDERS_N * PER_SENDER_N) {
		struct list in, *node;

		list_init(&in);
		mailbox_take(&mailbox, &in);
		while ((node = list_pop_front(&in)) != NULL) {
			struct numbered *n = container_of(node, struct numbered, msg.node);

			CHECK_OP(n->number, ==, next[n->sender]);
			next[n->sender]++;
			total++;
		}
	}
	for (int i = 0; i < SENDERS_N; i++) {
		pthread_join(threads[i], NULL);
		mem_free(senders[i].all);
	}
	mailbox_deinit(&mailbox);
	printf("mailbox: %d messages of %d senders in order\n", total, SENDERS_N);
}

#define REACTORS_N 3
#define BALLS_N 50
#define HOPS_N 2000

struct ball {
	struct msg msg;
	struct timer timer;
	struct io_op work;
	struct reactor *at;
	struct game *game;
	int hops;
};

struct game {
	struct node node;
	struct ball balls[BALLS_N];
	struct msg ended[BALLS_N];
	int ended_n; /* of reactor 0 only */
};

static void ball_hop(struct reactor *reactor, struct msg *msg);

static void ball_send(struct ball *ball)
{
	struct reactor *reactor = ball->at;
	struct node *node = reactor->node;

	reactor_send(reactor, &node->reactors[rng_below(&reactor->rng, (uint64_t)node->reactors_n)], &ball->msg);
}

static void ball_timer(struct timer *timer)
{
	ball_send(container_of(timer, struct ball, timer));
}

static void ball_work(struct io_op *op, struct fs *fs)
{
	struct ball *ball = container_of(op, struct ball, work);

	ball->hops++;
	op->err = ERR_NONE;
}

static void ball_worked(struct io_op *op)
{
	ball_send(container_of(op, struct ball, work));
}

static void ball_ended(struct reactor *reactor, struct msg *msg)
{
	struct game *game = container_of(reactor->node, struct game, node);

	CHECK_OP(reactor->index, ==, 0);
	if (++game->ended_n == BALLS_N)
		node_stop(reactor->node);
}

static void ball_hop(struct reactor *reactor, struct msg *msg)
{
	struct ball *ball = container_of(msg, struct ball, msg);
	struct game *game = ball->game;

	ball->at = reactor;
	ball->hops++;
	if (ball->hops >= HOPS_N) {
		struct msg *ended = &game->ended[ball - game->balls];

		ended->handle = ball_ended;
		reactor_send(reactor, &game->node.reactors[0], ended);
	} else if (rng_chance(&reactor->rng, 1, 100)) {
		reactor_timer(reactor, &ball->timer, 100 * NS_PER_US, ball_timer);
	} else if (rng_chance(&reactor->rng, 1, 20)) {
		ball->work.kind = IO_WORK;
		ball->work.done = ball_worked;
		ball->work.work.run = ball_work;
		io_submit(reactor->io, &ball->work);
	} else {
		ball_send(ball);
	}
}

static void stress_reactors(void)
{
	struct io_posix_options options = {.helpers_n = 2};
	struct io_posix_shared *shared = io_posix_shared_new(&options);
	struct game *game = MEM_NEW(struct game);
	struct io *ios[REACTORS_N];

	for (int i = 0; i < REACTORS_N; i++) {
		ios[i] = io_posix_new(shared);
		CHECK(ios[i]);
	}
	CHECK_OP(node_init(&game->node, 1, ios, REACTORS_N), ==, ERR_NONE);
	for (int i = 0; i < BALLS_N; i++) {
		struct ball *ball = &game->balls[i];

		ball->game = game;
		ball->at = &game->node.reactors[0];
		ball->msg.handle = ball_hop;
		reactor_timer(ball->at, &ball->timer, i * 50 * NS_PER_US, ball_timer);
	}
	node_run(&game->node);
	printf("reactors: %d balls, %d hops each, over %d reactors\n", BALLS_N, HOPS_N, REACTORS_N);
	node_deinit(&game->node);
	for (int i = 0; i < REACTORS_N; i++)
		ios[i]->ops->free(ios[i]);
	io_posix_shared_free(shared);
	mem_free(game);
}

int main(void)
{
	stress_mailbox();
	stress_reactors();
	return 0;
}
