/* SPDX-License-Identifier: Apache-2.0 */
/* See producer_ids.h. One request for a block is under way at most; who comes meanwhile waits for it. */
#include "producer_ids.h"

#include "broker.h"
#include "controller_io.h"
#include "log.h"
#include "mem.h"
#include "msg/allocate_producer_ids.h"
#include "shard.h"

struct producer_ids {
	struct shard *shard;
	int64_t next;
	int64_t end; /* exclusive */
	struct list waiting;
	bool is_asking;
	struct controller_op op;
	struct arena arena;
	struct allocate_producer_ids_request request;
	struct allocate_producer_ids_response response;
};

struct producer_ids *producer_ids_new(struct shard *shard)
{
	struct producer_ids *ids = MEM_NEW(struct producer_ids);

	ids->shard = shard;
	list_init(&ids->waiting);
	return ids;
}

void producer_ids_free(struct producer_ids *ids)
{
	if (!ids)
		return;
	arena_reset(&ids->arena);
	mem_free(ids);
}

static void producer_ids_serve(struct producer_ids *ids, enum err err)
{
	while (!list_is_empty(&ids->waiting) && (err || ids->next < ids->end)) {
		struct producer_id_wait *wait =
			list_entry(list_pop_front(&ids->waiting), struct producer_id_wait, link);

		wait->producer_id = err ? -1 : ids->next++;
		wait->done(wait, err);
	}
}

static enum err producer_ids_decide(struct controller *controller, struct controller_op *op,
				    struct controller_records *records)
{
	return controller_allocate_producer_ids(controller, op->request, op->response, records, op->arena);
}

static void producer_ids_ask(struct producer_ids *ids);

static void producer_ids_answered(struct controller_op *op)
{
	struct producer_ids *ids = container_of(op, struct producer_ids, op);
	enum err err = op->err ? op->err : (enum err)ids->response.error_code;

	ids->is_asking = false;
	if (!err) {
		ids->next = ids->response.producer_id_start;
		ids->end = ids->next + ids->response.producer_id_len;
		log_debug("producer_ids.block", "first=%lld n=%d", (long long)ids->next, ids->response.producer_id_len);
	}
	producer_ids_serve(ids, err);
	if (!list_is_empty(&ids->waiting))
		producer_ids_ask(ids);
}

static void producer_ids_ask(struct producer_ids *ids)
{
	if (ids->is_asking)
		return;
	ids->is_asking = true;
	arena_reset(&ids->arena);
	msg_init(&allocate_producer_ids_request_type, &ids->request);
	msg_init(&allocate_producer_ids_response_type, &ids->response);
	ids->request.broker_id = ids->shard->broker->node_id;
	ids->request.broker_epoch = ids->shard->broker->broker_epoch;
	ids->op = (struct controller_op){
		.home = ids->shard->reactor,
		.arena = &ids->arena,
		.request = &ids->request,
		.response = &ids->response,
		.decide = producer_ids_decide,
		.done = producer_ids_answered,
	};
	controller_submit(ids->shard->broker, &ids->op);
}

void producer_ids_next(struct producer_ids *ids, struct producer_id_wait *wait)
{
	wait->link = (struct list){0};
	list_push_back(&ids->waiting, &wait->link);
	producer_ids_serve(ids, ERR_NONE);
	if (!list_is_empty(&ids->waiting))
		producer_ids_ask(ids);
}

int64_t producer_ids_at_hand(struct producer_ids *ids)
{
	if (ids->next < ids->end)
		return ids->next++;
	producer_ids_ask(ids);
	return -1;
}
