/* SPDX-License-Identifier: Apache-2.0 */
/* See scatter.h. */
#include "scatter.h"

#include "broker.h"
#include "shard.h"

struct scatter *scatter_new(struct shard *home, struct arena *arena)
{
	struct scatter *scatter = ARENA_NEW(arena, struct scatter);

	scatter->home = home;
	scatter->legs_n = home->broker->shards_n;
	scatter->legs = ARENA_NEW_N(arena, struct scatter_leg, scatter->legs_n);
	for (int i = 0; i < scatter->legs_n; i++) {
		scatter->legs[i].scatter = scatter;
		scatter->legs[i].shard = &home->broker->shards[i];
		list_init(&scatter->legs[i].parts);
	}
	return scatter;
}

void scatter_add(struct scatter *scatter, int shard_index, struct list *part)
{
	CHECK_OP(shard_index, <, scatter->legs_n);
	list_push_back(&scatter->legs[shard_index].parts, part);
	scatter->legs[shard_index].parts_n++;
}

static void scatter_gathered(struct gather *gather)
{
	struct scatter *scatter = container_of(gather, struct scatter, gather);

	scatter->done(scatter);
}

static void scatter_leg_arrives(struct reactor *reactor, struct msg *msg)
{
	struct scatter_leg *leg = container_of(msg, struct scatter_leg, msg);

	leg->scatter->run(reactor->shard, leg);
}

static void scatter_leg_returns(struct reactor *reactor, struct msg *msg)
{
	gather_arrive(&container_of(msg, struct scatter_leg, msg)->scatter->gather);
}

void scatter_run(struct scatter *scatter, void (*run)(struct shard *, struct scatter_leg *),
		 void (*done)(struct scatter *))
{
	struct scatter_leg *local = &scatter->legs[scatter->home->index];
	int legs_n = 0;

	scatter->run = run;
	scatter->done = done;
	for (int i = 0; i < scatter->legs_n; i++)
		legs_n += scatter->legs[i].parts_n > 0;
	if (legs_n == 0) {
		done(scatter);
		return;
	}
	gather_start(&scatter->gather, legs_n, scatter_gathered);
	for (int i = 0; i < scatter->legs_n; i++) {
		struct scatter_leg *leg = &scatter->legs[i];

		if (leg->parts_n == 0 || leg == local)
			continue;
		leg->msg.handle = scatter_leg_arrives;
		reactor_send(scatter->home->reactor, leg->shard->reactor, &leg->msg);
	}
	/* Last: it may end the request. */
	if (local->parts_n > 0)
		run(scatter->home, local);
}

static void scatter_leg_done(struct scatter_leg *leg)
{
	struct scatter *scatter = leg->scatter;

	if (leg->shard == scatter->home) {
		gather_arrive(&scatter->gather);
		return;
	}
	leg->msg.handle = scatter_leg_returns;
	reactor_send(leg->shard->reactor, scatter->home->reactor, &leg->msg);
}

void scatter_part_done(struct scatter_leg *leg)
{
	CHECK_OP(leg->parts_done, <, leg->parts_n);
	if (++leg->parts_done == leg->parts_n)
		scatter_leg_done(leg);
}

void scatter_clear(struct scatter *scatter)
{
	for (int i = 0; i < scatter->legs_n; i++) {
		list_init(&scatter->legs[i].parts);
		scatter->legs[i].parts_n = 0;
		scatter->legs[i].parts_done = 0;
	}
}

void scatter_free(struct scatter *scatter)
{
	for (int i = 0; scatter && i < scatter->legs_n; i++)
		arena_reset(&scatter->legs[i].arena);
}
