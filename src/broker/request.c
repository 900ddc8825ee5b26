/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: making one from a frame, encoding its response, freeing it. See request.h for its life. */
#include "request.h"

#include "broker.h"
#include "conn.h"
#include "dispatch.h"
#include "log.h"
#include "mem.h"
#include "shard.h"

/* Frames up to this long are copied into the request, so that a parked small request pins no receive block. */
#define FRAME_COPY_MAX ((size_t)4096)
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
	return request;
}

struct request *request_new(struct conn *conn, struct buf *buf, struct bytes frame)
{
	struct request *request = request_alloc(conn->shard);

	request->conn = conn;
	request->shard = conn->shard;
	request->received_ns = conn->shard->reactor->now_ns;
	request->state = REQUEST_QUEUED;
	if (frame.len <= FRAME_COPY_MAX) {
		request->frame = arena_bytes(&request->arena, frame);
	} else {
		request->frame = frame;
		request->frame_buf = buf_ref(buf);
	}
	conn->shard->requests_n++;
	return request;
}

static void request_done(struct request *request)
{
	CHECK(request->state == REQUEST_RUNNING);
	request->state = REQUEST_DONE;
	request->done_ns = request->shard->reactor->now_ns;
	CHECK(request->conn);
	conn_kick(request->conn);
}

void request_reply(struct request *request, const void *response)
{
	enum err err = dispatch_encode(request, response);

	if (err) {
		/* An answer that does not fit its version is our mistake; the client sees the connection end. */
		log_error("request.encode", "api=%d version=%d error=%s", request->head.api_key, request->version,
			  err_name(err));
		request->no_response = true;
		request->close_after = true;
	}
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
	char peer[IO_ADDR_TEXT_MAX];

	io_addr_format(&request->conn->peer, peer);
	log_info("conn.refuse", "peer=%s:%u api=%d version=%d why=\"%s\"", peer, request->conn->peer.port,
		 request->head.api_key, request->version, why);
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
		buf_unref(request->frame_buf);
	arena_reset(&request->arena);
	shard->requests_n--;
	if (shard->free_requests_n < FREE_REQUESTS_MAX) {
		list_init(&request->link);
		list_push_front(&shard->free_requests, &request->link);
		shard->free_requests_n++;
	} else {
		mem_free(request);
	}
}
