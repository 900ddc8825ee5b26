/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateTopics (key 19), versions 2-7: decided by the controller, answered when every shard has the topics, so that the
 * client's next request finds their leaders.
 */
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "msg/create_topics.h"
#include "shard.h"

struct create_topics {
	struct request *request;
	struct controller_op op;
	struct create_topics_response out;
};

static enum err create_topics_decide(struct controller *controller, struct controller_op *op,
				     struct controller_records *records)
{
	return controller_create_topics(controller, op->version, op->request, op->response, records, op->arena);
}

/* Nothing was decided: every topic gets the reason. */
static void create_topics_fail(struct create_topics *create, enum err err)
{
	const struct create_topics_request *in = create->request->body;

	msg_init(&create_topics_response_type, &create->out);
	create->out.topics = MSG_NEW_N(&create->request->arena, create_topics_response_topics, in->topics_n);
	create->out.topics_n = in->topics_n;
	for (int32_t i = 0; i < in->topics_n; i++) {
		create->out.topics[i].name = in->topics[i].name;
		create->out.topics[i].error_code = err_wire(err);
		create->out.topics[i].error_message = str_of(err_text(err));
	}
}

static void create_topics_done(struct controller_op *op)
{
	struct create_topics *create = op->ctx;

	if (op->err)
		create_topics_fail(create, op->err);
	request_throttle(create->request, op->throttle_ms);
	request_reply(create->request, &create->out);
}

void api_create_topics(struct request *request)
{
	struct create_topics *create = ARENA_NEW(&request->arena, struct create_topics);

	create->request = request;
	msg_init(&create_topics_response_type, &create->out);
	create->op = (struct controller_op){
		.home = request->shard->reactor,
		.arena = &request->arena,
		.request = request->body,
		.response = &create->out,
		.version = request->version,
		.client_id = request->head.client_id.p ? request->head.client_id : STR(""),
		.user = request_user(request),
		.is_strict = request->version >= 6, /* KIP-599 */
		.decide = create_topics_decide,
		.done = create_topics_done,
		.ctx = create,
	};
	controller_submit(request->shard->broker, &create->op);
}
