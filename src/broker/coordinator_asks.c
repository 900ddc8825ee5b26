/* SPDX-License-Identifier: Apache-2.0 */
/* See coordinator_asks.h. */
#include "coordinator_asks.h"

static void asks_finish(struct coordinator_asks *asks)
{
	request_keeps(asks->request, asks->room.used);
	asks->reply(asks);
}

static void asks_gathered(struct gather *gather)
{
	asks_finish(container_of(gather, struct coordinator_asks, gather));
}

static void ask_decided(struct coordinator_call *call)
{
	gather_arrive(&container_of(call, struct coordinator_ask, call)->asks->gather);
}

static void asks_release(struct request *request)
{
	struct coordinator_asks *asks = request->op;

	for (int32_t i = 0; i < asks->n; i++)
		coordinator_call_free(&((struct coordinator_ask *)coordinator_asks_at(asks, i))->call);
	request_released(request);
}

bool coordinator_asks_init(struct coordinator_asks *asks, struct request *request, size_t item_size, int32_t n,
			   void (*reply)(struct coordinator_asks *asks))
{
	CHECK(item_size >= sizeof(struct coordinator_ask));
	if (!coordinator_calls_fit(request, n))
		return false;
	*asks = (struct coordinator_asks){.request = request, .item_size = item_size, .n = n, .reply = reply};
	asks->v = arena_alloc(&request->arena, (size_t)n * item_size);
	for (int32_t i = 0; i < n; i++) {
		struct coordinator_ask *ask = coordinator_asks_at(asks, i);

		ask->asks = asks;
		ask->call.request = request;
		ask->call.room = &asks->room;
		ask->call.op = &ask->op;
		ask->call.done = ask_decided;
	}
	return true;
}

void *coordinator_asks_at(const struct coordinator_asks *asks, int32_t i)
{
	return (uint8_t *)asks->v + (size_t)i * asks->item_size;
}

void coordinator_asks_run(struct coordinator_asks *asks)
{
	struct coordinator_asks all = *asks; /* the last answer may free it */

	asks->request->op = asks;
	asks->request->release = asks_release;
	if (all.n == 0) {
		asks_finish(asks);
		return;
	}
	gather_start(&asks->gather, all.n, asks_gathered);
	for (int32_t i = 0; i < all.n; i++)
		coordinator_call_start(&((struct coordinator_ask *)coordinator_asks_at(&all, i))->call);
}
