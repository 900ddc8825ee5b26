/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a frame to its handler. What cannot be decoded, is not served, or asks a version outside the table ends the
 * connection, as Kafka does; ApiVersions alone answers any version, because it is how a client finds out.
 */
#include "dispatch.h"

#include "acceptor.h"
#include "api.h"
#include "conn.h"
#include "registry.h"
#include "shard.h"

/* An ApiVersions of a version we do not know: the handler answers it in version 0 with error 35. */
static bool dispatch_is_unknown_api_versions(const struct request *request)
{
	int16_t version = request->head.api_version;

	return request->head.api_key == API_API_VERSIONS &&
	       (version < request->api->version_min || version > request->api->version_max);
}

static enum err dispatch_decode(struct request *request, size_t head_len, struct err_text *text)
{
	const struct api *api = api_find(request->head.api_key);
	struct bytes body = {request->frame.p + head_len, request->frame.len - head_len};
	size_t before = request->arena.used;
	enum err err;

	/* Bytes behind the message are ignored, as Kafka does. */
	request->body = arena_alloc(&request->arena, api->request->size);
	err = codec_decode(api->request, request->version, body, &request->arena, request->body, NULL, text);
	request->work_charge = (int64_t)((request->arena.used - before) * REQUEST_WORK_FACTOR);
	request->shard->budget.work += request->work_charge;
	return err;
}

void dispatch_start(struct request *request)
{
	struct err_text text = {{0}};
	size_t head_len;

	request->state = REQUEST_RUNNING;
	request->shard->metrics.queued_n--;
	request->shard->metrics.running_n++;
	request->started_ns = metrics_now(request->shard);
	if (request_head_decode(request->frame, &request->arena, &request->head, &head_len, &text)) {
		request_close(request, text.text);
		return;
	}
	request->api = api_def_find(request->head.api_key, request->conn->acceptor->kind);
	request->version = request->head.api_version;
	if (!request->api) {
		request_close(request, "this API is not served here");
		return;
	}
	if (dispatch_is_unknown_api_versions(request)) {
		request->version = 0;
		request->body = NULL;
		request->api->handle(request);
		return;
	}
	if (request->version < request->api->version_min || request->version > request->api->version_max) {
		request_close(request, "this version of the API is not served");
		return;
	}
	if (dispatch_decode(request, head_len, &text)) {
		request_close(request, text.text);
		return;
	}
	if (request->shard->quotas)
		request->busy_from_ns = metrics_clock(request->shard);
	request->api->handle(request);
	/* It is still in its connection, which starts requests in this very moment. */
	if (request->busy_from_ns && request->state == REQUEST_RUNNING)
		request->busy_ns = metrics_clock(request->shard) - request->busy_from_ns;
}

enum err dispatch_encode(struct request *request, const void *response)
{
	struct err_text text = {{0}};
	struct codec_out out = {.arena = &request->arena, .text = &text};
	enum err err = response_encode(request->head.api_key, request->version, request->head.correlation_id, response,
				       &out);

	if (err) {
		log_error("response.encode", "api=%s version=%d error=%s text=\"%s\"", api_name(request->head.api_key),
			  request->version, err_name(err), text.text);
		return err;
	}
	request->pieces = out.pieces;
	request->pieces_n = out.pieces_n;
	return ERR_NONE;
}
