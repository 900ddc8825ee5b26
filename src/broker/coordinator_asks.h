/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request about many groups or transactional ids: each is asked where it is coordinated, and when all have answered
 * the request is. What the answers take together is bounded (struct coordinator_room), and their memory lives until the
 * response has left.
 *
 * 1. A handler's struct of one key begins with a struct coordinator_ask, its struct of all with the coordinator_asks.
 * 2. `decide` sees memory that may end: what it makes in op->arena it asks arena_has_room for first.
 */
#ifndef BROKER_COORDINATOR_ASKS_H
#define BROKER_COORDINATOR_ASKS_H

#include "coordinator_io.h"
#include "gather.h"

struct coordinator_asks;

struct coordinator_ask {
	struct coordinator_call call; /* kind and group_id are the handler's to set */
	struct coord_op op;	      /* decide is; op.err tells how it went */
	struct coordinator_asks *asks;
};

struct coordinator_asks {
	struct request *request;
	void *v;	  /* n structs of item_size bytes */
	size_t item_size;
	int32_t n;
	struct gather gather;
	struct coordinator_room room;
	void (*reply)(struct coordinator_asks *asks); /* once, when all have answered */
};

/* Makes n zeroed structs in the request's arena. False: the request asked for too many, and its connection ends. */
bool coordinator_asks_init(struct coordinator_asks *asks, struct request *request, size_t item_size, int32_t n,
			   void (*reply)(struct coordinator_asks *asks)) MUST_USE;
/* The struct of the i-th key. */
void *coordinator_asks_at(const struct coordinator_asks *asks, int32_t i);
/* Asks them all; `reply` may run before this returns, and the request be gone. */
void coordinator_asks_run(struct coordinator_asks *asks);

#endif
