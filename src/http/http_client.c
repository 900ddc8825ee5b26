/* SPDX-License-Identifier: Apache-2.0 */
/* See http_client.h. libevent speaks HTTP; the loop turns until the answer has come or the time is over. */
#include "http_client.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>

#include "http_internal.h"
#include "mem.h"

#define HTTP_ANSWER_MAX ((size_t)256 << 20)

struct http_call {
	struct event_base *base;
	bool is_answered;
	struct http_answer answer;
};

static void http_call_done(struct evhttp_request *req, void *arg)
{
	struct http_call *call = arg;
	struct evbuffer *in;

	event_base_loopbreak(call->base);
	/* NULL, or status 0: the connection came to nothing. */
	if (!req || evhttp_request_get_response_code(req) == 0)
		return;
	in = evhttp_request_get_input_buffer(req);
	call->is_answered = true;
	call->answer.status = evhttp_request_get_response_code(req);
	call->answer.body_len = MIN(evbuffer_get_length(in), HTTP_ANSWER_MAX);
	call->answer.body = mem_alloc(call->answer.body_len + 1);
	if (evbuffer_remove(in, call->answer.body, call->answer.body_len) < 0)
		call->answer.body_len = 0;
	call->answer.body[call->answer.body_len] = 0;
}

static bool http_call_run(struct http_call *call, const char *host, uint16_t port, const char *path, int timeout_s)
{
	struct evhttp_connection *conn = evhttp_connection_base_new(call->base, NULL, host, port);
	struct evhttp_request *req;

	if (!conn)
		return false;
	evhttp_connection_set_timeout(conn, timeout_s);
	req = evhttp_request_new(http_call_done, call);
	CHECK(req);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Host", host);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Connection", "close");
	if (evhttp_make_request(conn, req, EVHTTP_REQ_GET, path) == 0)
		event_base_dispatch(call->base);
	evhttp_connection_free(conn);
	return call->is_answered;
}

enum err http_client_get(struct str address, const char *path, int timeout_s, struct http_answer *ret,
			 struct err_text *text)
{
	struct http_call call = {0};
	char host[64];
	uint16_t port;
	bool is_answered;

	if (!http_listener_parse(address, host, sizeof(host), &port) || port == 0)
		return err_text_set(text, ERR_BAD_CONFIG, "%.*s is not of the form host:port", STR_ARGS(address));
	call.base = event_base_new();
	if (!call.base)
		return err_text_set(text, ERR_TOO_MANY_FILES, "the system gives no more descriptors");
	is_answered = http_call_run(&call, host, port, path, timeout_s);
	event_base_free(call.base);
	if (!is_answered)
		return err_text_set(text, ERR_CONNECTION_REFUSED, "nobody answers at %s:%u", host, port);
	*ret = call.answer;
	return ERR_NONE;
}
