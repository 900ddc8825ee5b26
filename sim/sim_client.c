/* SPDX-License-Identifier: Apache-2.0 */
/* See sim_client.h. */
#include "sim_client.h"

#include "frame.h"
#include "header.h"
#include "msg/api_versions.h"

#define CONN_CONNECT_MS 10000
#define CONN_FRAME_MAX ((size_t)128 << 20)

static void conn_notify(struct sim_sock *sock, void *ctx);

/* --- ends --- */

static void call_end(struct sim_call *call, enum err err, void *response)
{
	struct world *w = call->conn->w;

	world_off(w, &call->timeout);
	list_remove(&call->link);
	call->conn = NULL;
	call->err = err;
	call->response = response;
	call->done(call);
}

static void conn_reset(struct sim_conn *conn)
{
	if (conn->sock)
		net_close(conn->sock);
	conn->sock = NULL;
	conn->state = CONN_OFF;
	conn->out.n = conn->out_at = conn->in.n = 0;
}

/* An event of its own, so that nothing ends inside the call that noticed. */
static void conn_lost(struct sim_event *event)
{
	struct sim_conn *conn = container_of(event, struct sim_conn, lost);
	struct list calls, *link;

	world_trace(conn->w, "client.lost", "client=%s", conn->name);
	conn_reset(conn);
	list_init(&calls);
	list_splice(&calls, &conn->calls);
	while ((link = list_pop_front(&calls)) != NULL)
		call_end(list_entry(link, struct sim_call, link), ERR_DISCONNECTED, NULL);
	if (conn->down && conn->state == CONN_OFF)
		conn->down(conn);
}

static void conn_lose(struct sim_conn *conn)
{
	if (conn->sock)
		net_close(conn->sock);
	conn->sock = NULL;
	conn->state = CONN_OFF;
	world_after(conn->w, &conn->lost, 1000, conn_lost);
}

void sim_conn_close(struct sim_conn *conn)
{
	conn_lose(conn);
}

void sim_conn_init(struct sim_conn *conn, struct world *w, int node, const char *name)
{
	*conn = (struct sim_conn){.w = w, .node = node, .name = name};
	list_init(&conn->calls);
	for (int i = 0; i <= API_KEY_MAX; i++) {
		const struct api *api = api_find((int16_t)i);

		conn->cap[i] = -1;
		if (!api || !api->request || api->version_stable < api->version_min)
			continue;
		/* Half of all clients are up to date. */
		conn->cap[i] = world_chance(w, 1, 2)
				       ? api->version_stable
				       : (int16_t)rng_between(&w->rng, api->version_min, api->version_stable);
	}
}

void sim_conn_deinit(struct sim_conn *conn)
{
	list_for_each(link, tmp, &conn->calls) {
		struct sim_call *call = list_entry(link, struct sim_call, link);

		world_off(conn->w, &call->timeout);
		list_remove(link);
	}
	world_off(conn->w, &conn->lost);
	conn_reset(conn);
	vec_deinit(&conn->out);
	vec_deinit(&conn->in);
}

/* --- sending --- */

static void conn_push(struct sim_conn *conn)
{
	while (conn->sock && conn->out_at < conn->out.n) {
		size_t len = 0;
		enum err err = net_send(conn->sock, conn->out.v + conn->out_at, conn->out.n - conn->out_at, &len);

		if (err == ERR_WOULD_BLOCK)
			return;
		if (err) {
			conn_lose(conn);
			return;
		}
		conn->out_at += len;
	}
	conn->out.n = conn->out_at = 0;
}

static void call_timed_out(struct sim_event *event)
{
	struct sim_call *call = container_of(event, struct sim_call, timeout);
	struct sim_conn *conn = call->conn;

	world_log(conn->w, "client.timeout", "client=%s api=%s", conn->name, call->api->name);
	conn_lose(conn);
	call_end(call, ERR_TIMED_OUT, NULL);
}

static void call_send(struct sim_conn *conn, struct sim_call *call, int16_t api_key, int16_t version, const void *body)
{
	struct request_head head = {
		.api_key = api_key,
		.api_version = version,
		.correlation_id = conn->correlation_next++,
		.client_id = str_of(conn->name),
	};
	struct arena arena;
	struct err_text text = {0};
	struct bytes frame;
	enum err err;

	arena_init(&arena, NULL, 0);
	err = request_encode(&head, body, &arena, &frame, &text);
	if (err)
		world_fail(conn->w, "client %s cannot encode %s v%d: %s", conn->name, api_name(api_key), version,
			   text.text);
	else {
		vec_reserve(&conn->out, frame.len);
		memcpy(conn->out.v + conn->out.n, frame.p, frame.len);
		conn->out.n += frame.len;
	}
	arena_reset(&arena);
	call->conn = conn;
	call->api = api_find(api_key);
	call->version = version;
	call->correlation_id = head.correlation_id;
	call->sent_ns = conn->w->now_ns;
	world_trace(conn->w, "client.send", "client=%s api=%s v=%d id=%d", conn->name, call->api->name, version,
		    head.correlation_id);
	conn_push(conn);
}

void sim_conn_call(struct sim_conn *conn, struct sim_call *call, int16_t api_key, const void *body, int64_t timeout_ms,
	       void (*done)(struct sim_call *))
{
	int16_t version = sim_conn_version(conn, api_key);

	CHECK(conn->state == CONN_UP);
	CHECK_OP(version, >=, 0);
	CHECK(!sim_call_is_out(call));
	*call = (struct sim_call){.done = done};
	call_send(conn, call, api_key, version, body);
	if (!done) {
		call->conn = NULL;
		return;
	}
	list_push_back(&conn->calls, &call->link);
	world_after(conn->w, &call->timeout, timeout_ms * NS_PER_MS, call_timed_out);
}

int16_t sim_conn_version(const struct sim_conn *conn, int16_t api_key)
{
	int16_t version = (int16_t)MIN(conn->version_max[api_key], conn->cap[api_key]);

	return version >= 0 && version >= conn->version_min[api_key] ? version : -1;
}

/* --- receiving --- */

static void conn_take_response(struct sim_conn *conn, struct bytes body)
{
	struct world *w = conn->w;
	struct sim_call *call;
	struct arena arena;
	struct err_text text = {0};
	int32_t correlation_id = 0;
	size_t at = 0, used = 0;
	void *response;
	enum err err;

	if (list_is_empty(&conn->calls)) {
		world_fail(w, "client %s: a response of %zu bytes to no request", conn->name, body.len);
		return;
	}
	call = list_entry(conn->calls.next, struct sim_call, link);
	err = response_head_decode(call->api->key, call->version, body, &correlation_id, &at);
	if (err || correlation_id != call->correlation_id) {
		world_fail(w, "client %s: response to %s has correlation id %d, not %d", conn->name, call->api->name,
			   correlation_id, call->correlation_id);
		return;
	}
	world_trace(w, "client.answer", "client=%s api=%s id=%d len=%zu", conn->name, call->api->name, correlation_id,
		    body.len);
	arena_init(&arena, NULL, 0);
	response = msg_new_n(&arena, call->api->response, 1);
	err = codec_decode(call->api->response, call->version, (struct bytes){body.p + at, body.len - at}, &arena,
			   response, &used, &text);
	if (err || used != body.len - at)
		world_fail(w, "client %s: response to %s v%d: %s, %zu of %zu bytes used", conn->name, call->api->name,
			   call->version, err ? text.text : "bytes left over", used, body.len - at);
	else
		call_end(call, ERR_NONE, response);
	arena_reset(&arena);
}

static void conn_cut_frames(struct sim_conn *conn)
{
	struct sim_sock *sock = conn->sock;
	size_t at = 0;

	/* done may end the connection; then what follows is not read. */
	while (conn->sock == sock && !conn->w->has_failed) {
		struct frame frame;
		struct bytes in = {conn->in.v + at, conn->in.n - at};

		if (frame_cut(in, CONN_FRAME_MAX, &frame) != ERR_NONE) {
			world_fail(conn->w, "client %s: a frame of impossible length", conn->name);
			return;
		}
		if (!frame.used)
			break;
		at += frame.used;
		conn_take_response(conn, frame.body);
	}
	if (conn->sock != sock || conn->w->has_failed)
		return;
	memmove(conn->in.v, conn->in.v + at, conn->in.n - at);
	conn->in.n -= at;
}

static void conn_pull(struct sim_conn *conn)
{
	for (;;) {
		size_t len = 0;
		enum err err;

		vec_reserve(&conn->in, 65536);
		err = net_recv(conn->sock, conn->in.v + conn->in.n, 65536, &len);
		if (err == ERR_WOULD_BLOCK)
			break;
		if (err || !len) {
			/* What came whole before the end still counts. */
			struct sim_sock *sock = conn->sock;

			conn_cut_frames(conn);
			if (conn->sock == sock)
				conn_lose(conn);
			return;
		}
		conn->in.n += len;
	}
	conn_cut_frames(conn);
}

static void versions_done(struct sim_call *call)
{
	struct sim_conn *conn = container_of(call, struct sim_conn, versions_call);
	const struct api_versions_response *response = call->response;

	if (call->err)
		return;
	if (response->error_code) {
		world_fail(conn->w, "client %s: ApiVersions v%d answers error %d", conn->name, call->version,
			   response->error_code);
		return;
	}
	for (int i = 0; i <= API_KEY_MAX; i++)
		conn->version_max[i] = conn->version_min[i] = -1;
	for (int32_t i = 0; i < response->api_keys_n; i++) {
		int16_t key = response->api_keys[i].api_key;

		if (key < 0 || key > API_KEY_MAX)
			continue;
		conn->version_min[key] = response->api_keys[i].min_version;
		conn->version_max[key] = response->api_keys[i].max_version;
	}
	conn->state = CONN_UP;
	if (conn->up)
		conn->up(conn);
}

static void conn_ask(struct sim_conn *conn)
{
	struct api_versions_request request;

	msg_init(&api_versions_request_type, &request);
	request.client_software_name = STR("moldau-sim");
	request.client_software_version = STR("1");
	conn->state = CONN_ASKING;
	conn->era = conn->w->era;
	conn->versions_call = (struct sim_call){.done = versions_done};
	call_send(conn, &conn->versions_call, API_API_VERSIONS, conn->cap[API_API_VERSIONS], &request);
	list_push_back(&conn->calls, &conn->versions_call.link);
	world_after(conn->w, &conn->versions_call.timeout, CONN_CONNECT_MS * NS_PER_MS, call_timed_out);
}

static void conn_notify(struct sim_sock *sock, void *ctx)
{
	struct sim_conn *conn = ctx;
	enum err err = net_state(sock);

	if (err == ERR_WOULD_BLOCK)
		return;
	if (conn->state == CONN_CONNECTING) {
		world_off(conn->w, &conn->lost);
		if (err) {
			conn_lose(conn);
			return;
		}
		conn_ask(conn);
		return;
	}
	conn_push(conn);
	if (conn->sock == sock)
		conn_pull(conn);
}

void sim_conn_open(struct sim_conn *conn)
{
	struct io_addr addr = net_addr(conn->node, world_node(conn->w, conn->node)->port);

	CHECK(conn->state == CONN_OFF);
	world_off(conn->w, &conn->lost);
	CHECK(list_is_empty(&conn->calls));
	conn_reset(conn);
	conn->state = CONN_CONNECTING;
	conn->sock = net_connect(conn->w->net, 0, &addr, (struct sim_sock_user){conn_notify, conn});
	/* The same event also ends an attempt that nobody answers. */
	world_after(conn->w, &conn->lost, CONN_CONNECT_MS * NS_PER_MS, conn_lost);
}
