/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting a request by the reactors that own its partitions, and gathering the answers, once for all handlers. A
 * leg is the share of one reactor. The leg of the home reactor is a function call; the others travel as one message
 * out and the same message back. The request and all its memory stay alive (and are not touched at home) meanwhile.
 *
 *   scatter_new -> scatter_leg(shard) while sorting parts -> scatter_run
 *        each leg: run(shard, leg) on its reactor ... scatter_part_done(leg) there, once for each part
 *        at home, after the last: done(scatter)
 */
#ifndef BROKER_SCATTER_H
#define BROKER_SCATTER_H

#include "arena.h"
#include "gather.h"
#include "reactor.h"

struct shard;
struct scatter;

struct scatter_leg {
	struct msg msg;
	struct scatter *scatter;
	struct shard *shard; /* where it runs */
	struct list parts;   /* the handler's, embedded nodes */
	int parts_n;
	int parts_done;      /* see scatter_part_done */
	struct arena arena;  /* for what the leg makes: the request's own arena belongs to the home reactor */
};

struct scatter {
	struct shard *home;
	struct scatter_leg *legs; /* one per reactor of the node */
	int legs_n;
	struct gather gather;
	void *home_op; /* the handler's, at home */
	void (*run)(struct shard *shard, struct scatter_leg *leg);
	void (*done)(struct scatter *scatter);
};

struct scatter *scatter_new(struct shard *home, struct arena *arena);
/* Adds a part for the reactor `shard_index`. */
void scatter_add(struct scatter *scatter, int shard_index, struct list *part);
/* Runs the legs that have parts; with none, done is called at once. `done` may run before this returns. */
void scatter_run(struct scatter *scatter, void (*run)(struct shard *, struct scatter_leg *),
		 void (*done)(struct scatter *));
/* On the leg's reactor, once for each of its parts; with the last the leg goes home. */
void scatter_part_done(struct scatter_leg *leg);
/* Empties the legs for another round. */
void scatter_clear(struct scatter *scatter);
/* Frees what the legs' arenas hold; the rest is the request's arena's. NULL is fine. */
void scatter_free(struct scatter *scatter);

#endif
