/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on its way through the broker, from the frame to the last byte of the response. It lives on the reactor
 * of its connection; its arena holds everything made for it and goes away after the response has left.
 *
 *    QUEUED --starts in order--> RUNNING --> DONE --response sent in order--> freed
 *                                   |
 *                                   +- order fixed: the next request of the connection may start
 *
 * 1. A handler calls exactly one of request_reply, request_reply_none, request_close, once.
 * 2. After that it does not touch the request again; what it pinned is released by `release`, after the send.
 * 3. A request outlives its connection: when the client goes away, handlers still end it, and the answer is dropped.
 */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include "arena.h"
#include "buf.h"
#include "codec.h"
#include "header.h"
#include "io.h"
#include "reactor.h"

enum request_state { REQUEST_QUEUED, REQUEST_RUNNING, REQUEST_DONE };

struct api_def;
struct conn;
struct shard;

struct request {
	struct list link; /* in the connection, arrival order */
	struct conn *conn;
	struct shard *shard; /* of the connection */
	const struct api_def *api;
	enum request_state state;
	bool order_fixed;
	bool no_response;
	bool close_after;
	bool was_sent; /* the whole answer has left */
	struct request_head head; /* views into the frame or the arena */
	int16_t version;
	struct bytes frame;   /* without the length prefix; mutable memory of frame_buf or the arena */
	struct buf *frame_buf; /* NULL when the frame was copied into the arena */
	void *body;           /* decoded request: struct x_request of msg/x.h */
	struct arena arena;
	int64_t received_ns;
	int64_t started_ns;
	int64_t local_done_ns; /* where it began to wait for others; 0: it never did */
	int64_t done_ns;
	/* Measured while clients have limits: reactor time of the handler, until it waits or answers. */
	int64_t busy_from_ns, busy_ns;
	int32_t throttle_ms;  /* the client is to wait that long */
	struct piece *pieces; /* response, length prefix included */
	int pieces_n;
	/* Called after the response has left, or was dropped; frees pins. It must call request_released, then or later.
	 */
	void (*release)(struct request *request);
	/* Called when the client has gone while the request runs: what only waits for its sake may end now. May be
	 * NULL. */
	void (*cancel)(struct request *request);
	void *op; /* the handler's */
	int64_t frame_charge, work_charge; /* in the shard's budget; the latter a guess until the answer is made */
	int64_t kept; /* see request_keeps */
	uint8_t arena_block[];
};

/* What a request makes takes at most this many times its decoded form (codec.h), and that form at most a 32nd of its
 * arena's limit: REQUEST_WORK_MAX in all. */
#define REQUEST_WORK_FACTOR 16
#define REQUEST_ARENA_LIMIT ((size_t)512 << 20)
#define REQUEST_WORK_MAX (REQUEST_WORK_FACTOR * (REQUEST_ARENA_LIMIT / 32))

/* The client is over a limit: the answer tells it to wait that long, and until then its connection is not served
 * (KIP-219). 0: nothing. Before request_reply. */
void request_throttle(struct request *request, int32_t throttle_ms);
/* Who asks: ANONYMOUS while nobody authenticates. */
struct str request_user(const struct request *request);
/* Besides its arena it holds so many bytes until the answer has left. Before request_reply. */
void request_keeps(struct request *request, int64_t bytes);
/* Encodes `response` (struct x_response of the request's api and version) into pieces and queues it. */
void request_reply(struct request *request, void *response);
/* The request has no response (Produce with acks=0). */
void request_reply_none(struct request *request);
/* Ends the connection after the responses before this one; `why` goes to the log. */
void request_close(struct request *request, const char *why);
/* From here on the next request of the connection may start. */
void request_order_fixed(struct request *request);
/* Ends a `release` callback. */
void request_released(struct request *request);

#endif
