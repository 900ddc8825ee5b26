/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeleteTopics (key 20), versions 1-6: by name, from version 6 also by id. Decided by the controller, answered when no
 * shard serves the topics any more; the files go in the background.
 */
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "msg/delete_topics.h"
#include "shard.h"

struct delete_topics {
	struct request *request;
	struct controller_op op;
	struct delete_topics_response out;
};

static enum err delete_topics_decide(struct controller *controller, struct controller_op *op,
				     struct controller_records *records)
{
	return controller_delete_topics(controller, op->version, op->request, op->response, records, op->arena);
}

/* Nothing was decided: every topic gets the reason. */
static void delete_topics_fail(struct delete_topics *delete, enum err err)
{
	const struct delete_topics_request *in = delete->request->body;
	int32_t n = delete->request->version >= 6 ? in->topics_n : in->topic_names_n;

	msg_init(&delete_topics_response_type, &delete->out);
	delete->out.responses = MSG_NEW_N(&delete->request->arena, delete_topics_response_responses, n);
	delete->out.responses_n = n;
	for (int32_t i = 0; i < n; i++) {
		delete->out.responses[i].name = delete->request->version >= 6 ? in->topics[i].name : in->topic_names[i];
		delete->out.responses[i].error_code = err_wire(err);
		delete->out.responses[i].error_message = str_of(err_text(err));
		if (delete->request->version >= 6)
			delete->out.responses[i].topic_id = in->topics[i].topic_id;
	}
}

static void delete_topics_done(struct controller_op *op)
{
	struct delete_topics *delete = op->ctx;

	if (op->err)
		delete_topics_fail(delete, op->err);
	request_throttle(delete->request, op->throttle_ms);
	request_reply(delete->request, &delete->out);
}

void api_delete_topics(struct request *request)
{
	struct delete_topics *delete = ARENA_NEW(&request->arena, struct delete_topics);

	delete->request = request;
	msg_init(&delete_topics_response_type, &delete->out);
	delete->op = (struct controller_op){
		.home = request->shard->reactor,
		.arena = &request->arena,
		.request = request->body,
		.response = &delete->out,
		.version = request->version,
		.client_id = request->head.client_id.p ? request->head.client_id : STR(""),
		.user = request_user(request),
		.is_strict = request->version >= 5, /* KIP-599 */
		.is_barrier = true,
		.decide = delete_topics_decide,
		.done = delete_topics_done,
		.ctx = delete,
	};
	controller_submit(request->shard->broker, &delete->op);
}
