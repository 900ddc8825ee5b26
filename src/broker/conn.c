/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to frames to requests, and responses to bytes: see conn.h for the invariants.
 *
 * Receiving. An idle connection holds no memory: its receive lands in the reactor's shared block. Frames that are whole
 * there become requests at once: small ones are copied into the request, larger ones hold a reference on the block.
 * What is left over moves into a block of the connection's own (`partial`), which grows with the bytes that came and is
 * then read into directly.
 */
#include "conn.h"

#include "acceptor.h"
#include "broker.h"
#include "dispatch.h"
#include "foreign.h"
#include "log.h"
#include "mem.h"
#include "shard.h"

#define FRAME_PREFIX_LEN 4
#define PARTIAL_START_LEN ((size_t)16 * 1024)
#define PARTIAL_PREFIX_LEN ((size_t)1024) /* while the length of a frame is not known */
#define INFLIGHT_BYTES_MAX ((int64_t)128 << 20)

static void conn_progress(struct conn *conn);
static bool conn_cut_more(struct conn *conn);
static void conn_recv_done(struct io_op *op);
static void conn_send_done(struct io_op *op);

static void conn_kick_run(struct deferred *deferred)
{
	conn_progress(container_of(deferred, struct conn, kick));
}

void conn_kick(struct conn *conn)
{
	if (!conn->in_start)
		reactor_defer(conn->shard->reactor, &conn->kick, conn_kick_run);
}

static void conn_touch(struct conn *conn)
{
	conn->active_ns = conn->shard->reactor->now_ns;
	list_remove(&conn->link);
	list_push_back(&conn->shard->conns, &conn->link);
}

/* Invariant 4. */
static bool conn_is_full(const struct conn *conn)
{
	return conn->requests_n >= CONN_INFLIGHT_MAX || conn->inflight_bytes >= INFLIGHT_BYTES_MAX;
}

/* Invariant 5; a connection that ends is done with at once. */
static bool conn_is_throttled(const struct conn *conn)
{
	return timer_is_on(&conn->throttle) && conn->state == CONN_OPEN;
}

static void conn_throttle_over(struct timer *timer)
{
	struct conn *conn = container_of(timer, struct conn, throttle);

	conn->active_ns = conn->shard->reactor->now_ns;
	conn_progress(conn);
}

void conn_throttle(struct conn *conn, int32_t throttle_ms)
{
	int64_t until_ns = conn->shard->reactor->now_ns + (int64_t)throttle_ms * NS_PER_MS;

	if (timer_is_on(&conn->throttle) && conn->throttled_until_ns >= until_ns)
		return;
	conn->throttled_until_ns = until_ns;
	timer_start(&conn->shard->reactor->timers, &conn->throttle, until_ns, conn_throttle_over);
}

static void conn_wait(struct conn *conn)
{
	if (!list_is_linked(&conn->waiting))
		list_push_back(&conn->shard->budget.waiting, &conn->waiting);
}

/* Is there memory for more bytes? Who has begun a frame may be the one to end it. */
static bool conn_may_grow(struct conn *conn)
{
	struct budget *budget = &conn->shard->budget;

	if (budget->grower == conn || !budget_is_short_of_frames(budget, &conn->shard->request_bufs))
		return true;
	if (conn->partial && !budget->grower && conn->requests_n == 0) {
		budget->grower = conn;
		return true;
	}
	conn_wait(conn);
	return false;
}

static void conn_grown(struct conn *conn)
{
	if (conn->shard->budget.grower != conn)
		return;
	conn->shard->budget.grower = NULL;
	budget_wake(&conn->shard->budget, 1);
}

static void conn_read(struct conn *conn)
{
	if (conn->is_reading || conn->state != CONN_OPEN || conn->sock == IO_SOCK_NONE || conn_is_full(conn))
		return;
	if (conn_is_throttled(conn))
		return;
	if (!conn_may_grow(conn))
		return;
	conn->is_reading = true;
	conn->recv.kind = IO_RECV;
	conn->recv.done = conn_recv_done;
	conn->recv.recv.sock = conn->sock;
	conn->recv.recv.into = conn->partial;
	io_submit(conn->shard->reactor->io, &conn->recv);
}

void conn_new(struct shard *shard, struct acceptor *acceptor, io_sock sock, const struct io_addr *peer)
{
	struct conn *conn = MEM_NEW(struct conn);

	conn->shard = shard;
	conn->acceptor = acceptor;
	conn->metrics = metrics_listener(shard, acceptor->index);
	conn->metrics->opened++;
	conn->metrics->conns_n++;
	conn->sock = sock;
	conn->peer = *peer;
	conn->state = CONN_OPEN;
	list_init(&conn->requests);
	list_init(&conn->sending);
	list_push_back(&shard->conns, &conn->link);
	shard->conns_n++;
	conn->active_ns = shard->reactor->now_ns;
	conn_read(conn);
}

static void conn_close_socket(struct conn *conn)
{
	if (conn->sock == IO_SOCK_NONE)
		return;
	conn->shard->reactor->io->ops->sock_close(conn->shard->reactor->io, conn->sock);
	conn->sock = IO_SOCK_NONE;
}

static void conn_free(struct conn *conn)
{
	conn_close_socket(conn);
	if (conn->partial)
		buf_unref(conn->partial);
	conn_grown(conn);
	timer_stop(&conn->shard->reactor->timers, &conn->throttle);
	list_remove(&conn->waiting);
	list_remove(&conn->kick.node);
	list_remove(&conn->link);
	conn->shard->conns_n--;
	conn->metrics->conns_n--;
	metrics_conn_software(conn, STR_NULL);
	conn->metrics->closed++;
	acceptor_conn_gone(conn->acceptor, conn->shard, &conn->peer);
	mem_free(conn);
}

/* Nobody is there to wait for: long polls end now. */
static void conn_cancel_waits(struct conn *conn)
{
	list_for_each(node, next, &conn->requests) {
		struct request *request = list_entry(node, struct request, link);

		if (request->state == REQUEST_RUNNING && request->cancel)
			request->cancel(request);
	}
}

void conn_close(struct conn *conn, const char *why)
{
	if (why && conn->state == CONN_OPEN) {
		char peer[IO_ADDR_TEXT_MAX];

		io_addr_format(&conn->peer, peer);
		log_debug("conn.close", "peer=%s:%u why=\"%s\"", peer, conn->peer.port, why);
	}
	conn->state = CONN_DRAINING;
	conn_close_socket(conn);
	conn_cancel_waits(conn);
	conn_kick(conn);
}

static void conn_drop_queued(struct conn *conn);

void conn_drain(struct conn *conn)
{
	if (conn->state != CONN_OPEN)
		return;
	conn->state = CONN_DRAINING;
	if (conn->is_reading)
		io_cancel(conn->shard->reactor->io, &conn->recv);
	conn_drop_queued(conn);
	conn_cancel_waits(conn);
	conn_kick(conn);
}

/* No more input: what has arrived whole is still done and answered. */
static void conn_end_of_input(struct conn *conn)
{
	conn->state = CONN_DRAINING;
	conn_cancel_waits(conn);
	conn_progress(conn);
}

static bool conn_can_go(const struct conn *conn)
{
	return conn->state == CONN_DRAINING && list_is_empty(&conn->requests) && list_is_empty(&conn->sending) &&
	       !conn->is_reading && !conn->send.is_under_way;
}

void conns_close_stalled(struct shard *shard)
{
	int64_t freed = 0;

	list_for_each(node, next, &shard->conns) {
		struct conn *conn = list_entry(node, struct conn, link);

		if (shard->reactor->now_ns - conn->active_ns < CONN_STALLED_NS ||
		    shard->budget.work - freed < shard->budget.work_max)
			break;
		if (!conn->send.is_under_way || conn->sock == IO_SOCK_NONE)
			continue;
		list_for_each(sent, after, &conn->sending)
			freed += list_entry(sent, struct request, link)->work_charge;
		list_for_each(waits, later, &conn->requests)
			freed += list_entry(waits, struct request, link)->work_charge;
		conn_close(conn, "its answers are not read, and memory is short");
	}
}

/* ---- responses ---- */

/* sent_ns: when the answers had left. */
static void conn_release_requests(struct conn *conn, struct list *requests, int64_t sent_ns)
{
	struct list *node;

	while ((node = list_pop_front(requests)) != NULL) {
		struct request *request = list_entry(node, struct request, link);

		conn->requests_n--;
		conn->inflight_bytes -= (int64_t)request->frame.len;
		request->conn = NULL;
		metrics_request_sent(request, conn->send_began_ns, sent_ns);
		if (request->release)
			request->release(request);
		else
			request_released(request);
	}
}

/* What has not been started never will be. */
static void conn_drop_queued(struct conn *conn)
{
	list_for_each(node, next, &conn->requests) {
		struct request *request = list_entry(node, struct request, link);

		if (request->state != REQUEST_QUEUED)
			continue;
		conn->shard->metrics.queued_n--;
		request->state = REQUEST_DONE;
		request->no_response = true;
	}
}

/* Moves the responses at the head of the line into one send. */
static void conn_send(struct conn *conn)
{
	int pieces_n = 0;
	bool close_after = false;

	if (conn->send.is_under_way)
		return;
	while (!list_is_empty(&conn->requests) && !close_after) {
		struct request *request = list_entry(conn->requests.next, struct request, link);

		if (request->state != REQUEST_DONE)
			break;
		if (pieces_n > 0 && pieces_n + request->pieces_n > CONN_SEND_PIECES_MAX)
			break;
		if (conn->sock != IO_SOCK_NONE && !request->no_response) {
			if (pieces_n == 0 && request->pieces_n > CONN_SEND_PIECES_MAX) {
				/* A response of very many ranges goes alone, from its own array. */
				conn->send.send.pieces = request->pieces;
				pieces_n = request->pieces_n;
				list_remove(&request->link);
				list_push_back(&conn->sending, &request->link);
				break;
			}
			memcpy(conn->send_pieces + pieces_n, request->pieces,
			       (size_t)request->pieces_n * sizeof(struct piece));
			pieces_n += request->pieces_n;
			conn->send.send.pieces = conn->send_pieces;
		}
		close_after = request->close_after;
		list_remove(&request->link);
		list_push_back(&conn->sending, &request->link);
	}
	if (close_after) {
		conn->state = CONN_DRAINING;
		conn_drop_queued(conn);
		conn_cancel_waits(conn);
	}
	conn->send_began_ns = metrics_now(conn->shard);
	if (pieces_n == 0) {
		conn_release_requests(conn, &conn->sending, conn->send_began_ns);
		if (close_after) {
			conn_close_socket(conn);
			conn_kick(conn); /* for what was dropped */
		}
		return;
	}
	conn->send.kind = IO_SEND;
	conn->send.done = conn_send_done;
	conn->send.send.sock = conn->sock;
	conn->send.send.pieces_n = pieces_n;
	io_submit(conn->shard->reactor->io, &conn->send);
}

static void conn_send_done(struct io_op *op)
{
	struct conn *conn = container_of(op, struct conn, send);
	bool close_after = false;

	list_for_each(node, next, &conn->sending) {
		struct request *request = list_entry(node, struct request, link);

		close_after |= request->close_after;
		request->was_sent = !op->err && !request->no_response;
		conn->metrics->responses += request->was_sent;
	}
	conn->metrics->bytes_out += (uint64_t)MAX(op->result, INT64_C(0));
	conn_release_requests(conn, &conn->sending, metrics_clock(conn->shard));
	conn_touch(conn);
	if (op->err || close_after) {
		conn->state = CONN_DRAINING;
		conn_close_socket(conn);
	}
	conn_progress(conn);
}

/* ---- requests ---- */

/* Starts what may start (invariant 1). */
static void conn_start_requests(struct conn *conn)
{
	conn->in_start = true;
	list_for_each(node, next, &conn->requests) {
		struct request *request = list_entry(node, struct request, link);

		if (request->state == REQUEST_QUEUED && conn_is_throttled(conn))
			break;
		if (request->state == REQUEST_QUEUED && budget_is_short_of_work(&conn->shard->budget)) {
			conn_wait(conn);
			break;
		}
		if (request->state == REQUEST_QUEUED)
			dispatch_start(request);
		if (request->state != REQUEST_DONE && !request->order_fixed)
			break;
		if (request->close_after)
			break;
	}
	conn->in_start = false;
}

static void conn_progress(struct conn *conn)
{
	list_remove(&conn->kick.node);
	do {
		conn_start_requests(conn);
		conn_send(conn);
	} while (conn_cut_more(conn));
	if (conn_can_go(conn)) {
		conn_free(conn);
		return;
	}
	conn_read(conn);
}

/* Takes one whole frame (without its prefix) that lies in `buf`. */
static void conn_take_frame(struct conn *conn, struct buf *buf, struct bytes frame, size_t copy_max)
{
	struct request *request = request_new(conn, frame.len <= copy_max ? NULL : buf, frame);

	conn->requests_n++;
	conn->inflight_bytes += (int64_t)frame.len;
	conn->has_any_frame = true;
	conn->shard->metrics.queued_n++;
	conn->metrics->requests++;
	conn->metrics->bytes_in += FRAME_PREFIX_LEN + frame.len;
	list_push_back(&conn->requests, &request->link);
}

void conn_add_raw(struct conn *conn, struct bytes answer)
{
	struct request *request = request_new(conn, NULL, BYTES_NULL);

	conn->requests_n++;
	list_push_back(&conn->requests, &request->link);
	request->state = REQUEST_RUNNING;
	conn->shard->metrics.running_n++;
	request->order_fixed = true;
	request->close_after = true;
	if (answer.len > 0)
		request_reply_raw(request, answer);
	else
		request_reply_none(request);
}

/* Looks at the length prefix; false when the connection must end. */
static bool conn_prefix_is_good(struct conn *conn, struct bytes in)
{
	int32_t len = (int32_t)load_be32(in.p);
	int32_t len_max = conn->shard->broker->config.socket_request_max_bytes;

	if (len >= 0 && len <= len_max && (conn->has_any_frame || !foreign_is_suspect(in)))
		return true;
	foreign_answer(conn, in);
	return false;
}

/* Keeps what is left of `in` (part of one frame, perhaps of its prefix; or frames for which there is no room) in memory
 * of the connection's own. */
static void conn_keep_partial(struct conn *conn, struct buf *buf, struct bytes in)
{
	size_t whole = in.len >= FRAME_PREFIX_LEN ? FRAME_PREFIX_LEN + (size_t)load_be32(in.p) : PARTIAL_PREFIX_LEN;
	size_t cap = MIN(MAX(whole, in.len + 64), MAX(in.len * 2, PARTIAL_START_LEN));
	struct buf *own;

	if (buf == conn->partial && buf->refs == 1 && in.p == buf->data + conn->partial_at &&
	    buf->cap - conn->partial_at > in.len) {
		return; /* room is left where it is */
	}
	own = buf_new(&conn->shard->request_bufs, cap);
	memcpy(own->data, in.p, in.len);
	own->len = in.len;
	if (conn->partial)
		buf_unref(conn->partial);
	conn->partial = own;
	conn->partial_at = 0;
}

/* A frame keeps the receive block it lies in, unless that block holds little else, or memory is short. */
static size_t conn_copy_max(const struct conn *conn, const struct buf *buf, struct bytes in)
{
	if (buf == conn->partial)
		return FRAME_COPY_MAX;
	if (budget_is_short_of_frames(&conn->shard->budget, &conn->shard->request_bufs))
		return SIZE_MAX;
	return in.len < FRAME_COPY_SPARSE_MAX ? FRAME_COPY_SPARSE_MAX : FRAME_COPY_MAX;
}

/* Cuts `in` into frames while there is room for them. */
static void conn_cut(struct conn *conn, struct buf *buf, struct bytes in)
{
	size_t copy_max = conn_copy_max(conn, buf, in);

	while (in.len >= FRAME_PREFIX_LEN && !conn_is_full(conn)) {
		size_t len;

		if (!conn_prefix_is_good(conn, in))
			return;
		len = load_be32(in.p);
		if (in.len < FRAME_PREFIX_LEN + len)
			break;
		conn_take_frame(conn, buf, (struct bytes){in.p + FRAME_PREFIX_LEN, len}, copy_max);
		conn_grown(conn);
		in.p += FRAME_PREFIX_LEN + len;
		in.len -= FRAME_PREFIX_LEN + len;
		if (buf == conn->partial)
			conn->partial_at += FRAME_PREFIX_LEN + len;
		conn_touch(conn);
	}
	if (in.len > 0) {
		conn_keep_partial(conn, buf, in);
	} else if (conn->partial) {
		buf_unref(conn->partial);
		conn->partial = NULL;
		conn->partial_at = 0;
	}
}

static struct bytes conn_uncut(const struct conn *conn)
{
	return (struct bytes){conn->partial->data + conn->partial_at, conn->partial->len - conn->partial_at};
}

/* Goes on with frames that came while there was no room. False when nothing changed. */
static bool conn_cut_more(struct conn *conn)
{
	int before = conn->requests_n;

	if (!conn->partial || conn->is_reading || conn->state != CONN_OPEN || conn_is_full(conn))
		return false;
	conn_cut(conn, conn->partial, conn_uncut(conn));
	return conn->requests_n != before;
}

static void conn_recv_done(struct io_op *op)
{
	struct conn *conn = container_of(op, struct conn, recv);
	struct bytes in = op->recv.got;

	conn->is_reading = false;
	if (conn->state != CONN_OPEN) {
		conn_progress(conn);
		return;
	}
	if (op->err || op->result == 0) {
		if (op->err)
			conn_close_socket(conn);
		conn_end_of_input(conn);
		return;
	}
	if (conn->partial)
		in = conn_uncut(conn);
	conn_cut(conn, op->recv.buf, in);
	conn_progress(conn);
}
