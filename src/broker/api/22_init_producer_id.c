/* SPDX-License-Identifier: Apache-2.0 */
/*
 * InitProducerId (key 22), versions 0-5, for idempotent producers: a fresh id with epoch 0. Transactional ids are
 * refused with UNSUPPORTED_VERSION until their coordinator exists; clients learn it first from FindCoordinator.
 */
#include "api.h"
#include "broker.h"
#include "msg/init_producer_id.h"
#include "producer_ids.h"
#include "shard.h"

struct init_producer_id {
	struct request *request;
	struct init_producer_id_response out;
	struct producer_id_wait wait;
};

static void init_producer_id_done(struct producer_id_wait *wait, enum err err)
{
	struct init_producer_id *init = container_of(wait, struct init_producer_id, wait);

	/* Kafka tells clients to come back while a block is fetched. */
	init->out.error_code = err_wire(err ? ERR_COORDINATOR_LOAD_IN_PROGRESS : ERR_NONE);
	init->out.producer_id = wait->producer_id;
	init->out.producer_epoch = err ? -1 : 0;
	request_reply(init->request, &init->out);
}

void api_init_producer_id(struct request *request)
{
	struct init_producer_id *init = ARENA_NEW(&request->arena, struct init_producer_id);
	const struct init_producer_id_request *in = request->body;

	init->request = request;
	msg_init(&init_producer_id_response_type, &init->out);
	init->out.producer_epoch = -1;
	if (in->transactional_id.p)
		init->out.error_code = in->transactional_id.len ? ERR_UNSUPPORTED_VERSION : ERR_INVALID_REQUEST;
	else if ((in->producer_id == -1) != (in->producer_epoch == -1))
		init->out.error_code = ERR_INVALID_REQUEST;
	if (init->out.error_code) {
		request_reply(request, &init->out);
		return;
	}
	init->wait.done = init_producer_id_done;
	producer_ids_next(request->shard->producer_ids, &init->wait);
}
