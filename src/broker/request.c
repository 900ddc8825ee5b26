/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: making one from a frame, encoding its response, freeing it. See request.h for its life. */
#include "request.h"

#include "acceptor.h"
#include "broker.h"
#include "client_quota.h"
#include "conn.h"
#include "dispatch.h"
#include "log.h"
#include "mem.h"
#include "shard.h"

#define REQUEST_ARENA_LEN ((size_t)4096)
#define FREE_REQUESTS_MAX 256

static struct request *request_alloc(struct shard *shard)
{
	struct request *request;

	if (!list_is_empty(&shard->free_requests)) {
		request = list_entry(list_pop_front(&shard->free_requests), struct request, link);
		shard->free_requests_n--;
	} else {
		request = mem_alloc(sizeof(*request) + REQUEST_ARENA_LEN);
	}
	memset(request, 0, sizeof(*request));
	arena_init(&request->arena, request->arena_block, REQUEST_ARENA_LEN);
	request->arena.limit = REQUEST_ARENA_LIMIT;
	return request;
}

/* A block of the connection's own is counted while it is in use; one of the reactor's, while any frame holds it. */
static void request_pin(struct request *request, struct buf *buf)
{
	request->frame_buf = buf_ref(buf);
	if (buf->pool != &request->shard->request_bufs && buf->pins++ == 0)
		request->shard->budget.frames += (int64_t)buf->cap;
}

static void request_unpin(struct request *request)
{
	struct buf *buf = request->frame_buf;

	if (buf->pool != &request->shard->request_bufs && --buf->pins == 0)
		request->shard->budget.frames -= (int64_t)buf->cap;
	buf_unref(buf);
}

struct request *request_new(struct conn *conn, struct buf *buf, struct bytes frame)
{
	struct request *request = request_alloc(conn->shard);

	request->conn = conn;
	request->shard = conn->shard;
	request->received_ns = conn->shard->reactor->now_ns;
	request->state = REQUEST_QUEUED;
	request->frame_charge = (int64_t)(sizeof(*request) + REQUEST_ARENA_LEN);
	if (!buf) {
		request->frame = arena_bytes(&request->arena, frame);
		request->frame_charge += (int64_t)frame.len;
	} else {
		request->frame = frame;
		request_pin(request, buf);
	}
	conn->shard->budget.frames += request->frame_charge;
	conn->shard->requests_n++;
	return request;
}

static void request_done(struct request *request)
{
	CHECK(request->state == REQUEST_RUNNING);
	request->state = REQUEST_DONE;
	request->shard->metrics.running_n--;
	request->done_ns = metrics_clock(request->shard);
	CHECK(request->conn);
	conn_kick(request->conn);
}

/* ---- limits of clients ---- */

struct str request_user(const struct request *request UNUSED)
{
	return STR("ANONYMOUS");
}

void request_throttle(struct request *request, int32_t throttle_ms)
{
	if (throttle_ms <= request->throttle_ms)
		return;
	request->throttle_ms = throttle_ms;
	conn_throttle(request->conn, throttle_ms);
}

/* Reactor time counts against the client, except the controllers' and what has no answer. */
static void request_charge_time(struct request *request)
{
	struct shard *shard = request->shard;
	int64_t busy_ns = request->busy_ns;

	if (!request->busy_from_ns || request->conn->acceptor->kind == API_CONTROLLER)
		return;
	if (!busy_ns)
		busy_ns = metrics_clock(shard) - request->busy_from_ns;
	request_throttle(request, client_quota_record(shard, CLIENT_QUOTA_REQUEST, request_user(request),
						      request->head.client_id, (double)busy_ns * 100 / NS_PER_S));
}

/* Every response that can tell it has the field by this name. */
static void request_tell_throttle(const struct request *request, void *response)
{
	const struct msg_type *type = api_find(request->head.api_key)->response;

	for (uint16_t i = 0; i < type->fields_n; i++) {
		const struct msg_field *field = &type->fields[i];

		if (field->kind != MSG_INT32 || strcmp(field->name, "throttle_time_ms") != 0 ||
		    request->version < field->version_first || request->version > field->version_last)
			continue;
		memcpy((uint8_t *)response + field->offset, &request->throttle_ms, sizeof(int32_t));
	}
}

void request_keeps(struct request *request, int64_t bytes)
{
	request->kept += bytes;
}

/* What it might have made was a guess; now it is known. An answer that is not read keeps no more than its size. */
static void request_settle_work(struct request *request)
{
	struct budget *budget = &request->shard->budget;
	int64_t made = (int64_t)request->arena.used + request->kept;

	budget->work += made - request->work_charge;
	request->work_charge = made;
	budget_wake(budget, 2);
}

void request_reply(struct request *request, void *response)
{
	enum err err;

	if (request->shard->quotas)
		request_charge_time(request);
	if (request->throttle_ms)
		request_tell_throttle(request, response);
	err = dispatch_encode(request, response);

	metrics_response(request, response);
	if (err) {
		/* An answer that does not fit its version is our mistake; the client sees the connection end. */
		log_error("request.encode", "api=%d version=%d error=%s", request->head.api_key, request->version,
			  err_name(err));
		request->no_response = true;
		request->close_after = true;
	}
	request_settle_work(request);
	request_done(request);
}

void request_reply_raw(struct request *request, struct bytes response)
{
	request->pieces = ARENA_NEW(&request->arena, struct piece);
	request->pieces[0] = (struct piece){.mem = response.p, .len = response.len, .file = PIECE_NO_FILE};
	request->pieces_n = 1;
	request_done(request);
}

void request_reply_none(struct request *request)
{
	request->no_response = true;
	request_done(request);
}

void request_close(struct request *request, const char *why)
{
	struct shard *shard = request->shard;
	char peer[IO_ADDR_TEXT_MAX];
	int64_t left_out_n;

	io_addr_format(&request->conn->peer, peer);
	if (said_is_due(&shard->said, shard->reactor->now_ns, SAID_REFUSED, &request->conn->peer, &left_out_n))
		log_info("conn.refuse", "peer=%s:%u api=%d version=%d left_out=%lld why=\"%s\"", peer,
			 request->conn->peer.port, request->head.api_key, request->version, (long long)left_out_n, why);
	request->no_response = true;
	request->close_after = true;
	request_done(request);
}

void request_order_fixed(struct request *request)
{
	request->order_fixed = true;
	conn_kick(request->conn);
}

void request_released(struct request *request)
{
	struct shard *shard = request->shard;

	CHECK(request->state == REQUEST_DONE);
	if (request->frame_buf)
		request_unpin(request);
	arena_reset(&request->arena);
	shard->requests_n--;
	shard->budget.frames -= request->frame_charge;
	shard->budget.work -= request->work_charge;
	budget_wake(&shard->budget, 2);
	if (shard->free_requests_n < FREE_REQUESTS_MAX) {
		list_init(&request->link);
		list_push_front(&shard->free_requests, &request->link);
		shard->free_requests_n++;
	} else {
		mem_free(request);
	}
}
