/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client connection on its reactor: bytes in, frames, requests in order, responses in order, bytes out.
 *
 *    OPEN --peer closed, error, idle, stop--> DRAINING --requests ended, send ended--> CLOSED, freed
 *
 * 1. Requests start in arrival order; a request starts when every one before it has its order fixed.
 * 2. Responses leave in arrival order; those that are ready together leave in one send.
 * 3. Memory follows the bytes: a frame's memory grows as its bytes arrive, never by what its length promises.
 * 4. Beyond the shard's budget (budget.h) nothing is read and nothing started. With `inflight_max` requests or
 *    `inflight_bytes_max` bytes under way the connection stops reading.
 * 5. Over a limit of its client (client_quota.h) nothing is read and nothing started for a while; what was started is
 *    answered.
 */
#ifndef BROKER_CONN_H
#define BROKER_CONN_H

#include "request.h"

struct acceptor;

enum conn_state { CONN_OPEN, CONN_DRAINING };

#define CONN_INFLIGHT_MAX 64
#define CONN_SEND_PIECES_MAX 256
#define CONN_STALLED_NS (10 * NS_PER_S)

struct conn {
	struct list link; /* in shard->conns, least recently active first */
	struct list waiting; /* in shard->budget.waiting */
	struct shard *shard;
	struct acceptor *acceptor;
	struct metrics_listener *metrics; /* of its listener here */
	struct metrics_software *software; /* of its client; NULL: it has not said */
	enum conn_state state;
	io_sock sock;
	struct io_addr peer;
	struct io_op recv, send;
	struct buf *partial;   /* block in which a frame is being completed, else NULL */
	size_t partial_at;     /* where that frame (its length prefix) begins in it */
	struct list requests;  /* arrival order */
	int requests_n;
	int64_t inflight_bytes;
	int64_t send_began_ns;
	struct list sending;   /* requests whose responses are in the send under way */
	struct piece send_pieces[CONN_SEND_PIECES_MAX];
	int64_t throttled_until_ns;
	struct timer throttle; /* on: the client is over a limit and is not served until then */
	bool is_reading;
	bool in_start;         /* conn_start_requests is on the stack */
	bool has_any_frame;
	int64_t active_ns;     /* last complete request or response */
	struct deferred kick;
	struct str client_software; /* from ApiVersions; memory of the connection */
	char software_text[128];
};

/* Takes over an accepted socket that this reactor's io has adopted. */
void conn_new(struct shard *shard, struct acceptor *acceptor, io_sock sock, const struct io_addr *peer);
/* Stops reading; what runs is ended and answered where possible, then the connection goes. */
void conn_close(struct conn *conn, const char *why);
/* Stops reading and starts nothing more; ends when what runs has been answered. */
void conn_drain(struct conn *conn);
/* Sends bytes that are no Kafka response (may be empty) after all responses before, then ends the connection. */
void conn_add_raw(struct conn *conn, struct bytes answer);
/* Reads nothing and starts nothing for so long; answers go out. */
void conn_throttle(struct conn *conn, int32_t throttle_ms);
/* While work is short: ends connections that have answers under way and did not take a whole one for CONN_STALLED_NS,
 * the longest first, until it is short no more. */
void conns_close_stalled(struct shard *shard);
/* A request of this connection changed (done, order fixed). */
void conn_kick(struct conn *conn);

#endif
