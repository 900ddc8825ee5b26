/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The posix backend: epoll, edge triggered, one set per reactor. An op is tried when it is started; only what finds
 * its socket not ready waits for an edge, so a connection that asks and is answered costs one sleep, one receive
 * and one send per request.
 *
 * 1. Callbacks run in one place, posix_run_completed; nothing else in the backend calls out.
 * 2. A turn that ran a callback does not sleep, and a turn that sleeps runs no callback after it: what the sleep
 *    found is handled in the next turn, with fresh time.
 * 3. While turns are busy, the set is looked at without waiting every POSIX_TURNS_PER_POLL turns, so a busy
 *    connection cannot hide the others.
 * 4. wake_state is ASLEEP only between the last look for work and the end of the sleep. A wake that finds it
 *    ASLEEP writes the eventfd; one that comes before makes the next attempt to sleep return at once. The eventfd
 *    is edge triggered and never read.
 */
#include "io_posix.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "mem.h"

/* Per turn: ops started, callbacks run, bytes moved. 4 MiB are about a millisecond of copying. */
#define POSIX_STARTS_MAX 1024
#define POSIX_DONES_MAX 1024
/* Half of it is for what begins in this turn, however much is under way. */
#define POSIX_BYTES_MAX MIB(2)
/* After that much somebody else may have come meanwhile. */
#define POSIX_BYTES_POLL KIB(128)
#define POSIX_ROUNDS_MAX 4
#define POSIX_TURNS_PER_POLL 4
#define POSIX_EVENTS_MAX 256
/* Free receive blocks kept: enough for a burst of partly filled ones, 4 MiB at the default length. */
#define POSIX_RECV_KEEP_MAX 8

enum posix_wake { POSIX_AWAKE, POSIX_WOKEN, POSIX_ASLEEP };

static int64_t posix_clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t posix_now_ns(void)
{
	return posix_clock_ns(CLOCK_MONOTONIC);
}

static int64_t posix_clock(struct io *base, enum io_clock clock)
{
	return posix_clock_ns(clock == IO_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC);
}

static void posix_random(struct io *base, void *p, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = getrandom((char *)p + done, len - done, 0);

		if (n < 0)
			CHECK_OP(errno, ==, EINTR);
		else
			done += (size_t)n;
	}
}

void posix_wake(struct io *base)
{
	struct io_posix *io = io_posix_of(base);
	uint64_t one = 1;

	if (__atomic_exchange_n(&io->wake_state, POSIX_WOKEN, __ATOMIC_ACQ_REL) == POSIX_ASLEEP)
		CHECK_OP(write(io->wake_fd, &one, sizeof(one)), ==, (ssize_t)sizeof(one));
}

void posix_end(struct io_posix *io, struct io_op *op, enum err err, int64_t result)
{
	op->stage = POSIX_ENDED;
	op->err = err;
	op->result = result;
	list_push_back(&io->completed, &op->node);
}

void posix_make_ready(struct io_posix *io, struct posix_sock *sock)
{
	list_remove(&sock->ready_node);
	list_push_back(&io->ready, &sock->ready_node);
}

/* Marks the op as under way on its socket, so that a close finds it before it has begun. */
static void posix_submit(struct io *base, struct io_op *op)
{
	struct io_posix *io = io_posix_of(base);
	struct posix_sock *sock;

	CHECK(!op->is_under_way);
	op->is_under_way = true;
	op->stage = POSIX_QUEUED;
	op->result = 0;
	list_init(&op->node);
	switch (op->kind) {
	case IO_ACCEPT:
		sock = posix_sock_get(io, op->accept.sock);
		CHECK(!sock->in);
		sock->in = op;
		break;
	case IO_RECV:
		sock = posix_sock_get(io, op->recv.sock);
		CHECK(!sock->in);
		CHECK(!op->recv.into || op->recv.into->len < op->recv.into->cap);
		op->recv.buf = NULL;
		op->recv.got = BYTES_NULL;
		sock->in = op;
		break;
	case IO_SEND:
		sock = posix_sock_get(io, op->send.sock);
		CHECK(!sock->out);
		sock->out = op;
		break;
	case IO_CONNECT:
		op->result = IO_SOCK_NONE;
		break;
	case IO_WRITE:
	case IO_WORK:
		break;
	}
	list_push_back(&io->submitted, &op->node);
}

static void posix_write(struct io_posix *io, struct io_op *op)
{
	size_t written = 0;
	enum err err = fs_pwritev(io->io.fs, op->write.file, op->write.iov, op->write.iov_n, op->write.pos, &written);

	io->bytes_left -= (int64_t)written;
	posix_end(io, op, err, (int64_t)written);
}

static void posix_start(struct io_posix *io, struct io_op *op)
{
	op->stage = POSIX_WAITING;
	switch (op->kind) {
	case IO_ACCEPT:
		posix_accept(io, posix_sock_get(io, op->accept.sock));
		break;
	case IO_RECV:
		posix_recv(io, posix_sock_get(io, op->recv.sock));
		break;
	case IO_SEND:
		posix_send(io, posix_sock_get(io, op->send.sock));
		break;
	case IO_CONNECT:
		posix_connect(io, op);
		break;
	case IO_WRITE:
		posix_write(io, op);
		break;
	case IO_WORK:
		posix_work_start(io, op);
		break;
	}
}

static void posix_cancel(struct io *base, struct io_op *op)
{
	struct io_posix *io = io_posix_of(base);
	struct posix_sock *sock;

	if (!op->is_under_way || op->kind == IO_WRITE)
		return;
	switch ((enum posix_stage)op->stage) {
	case POSIX_QUEUED:
		list_remove(&op->node);
		posix_end(io, op, ERR_CANCELLED, op->result);
		break;
	case POSIX_WAITING:
		if (op->kind == IO_SEND) {
			sock = posix_sock_find(io, op->send.sock);
			posix_load_drop(sock);
		}
		posix_end(io, op, ERR_CANCELLED, op->result);
		break;
	case POSIX_HELPER:
		if (posix_job_take_back(io, op))
			posix_end(io, op, ERR_CANCELLED, 0);
		break;
	case POSIX_ENDED:
		break;
	}
}

/* The socket an ended op belongs to, or NULL. A CONNECT keeps its number in `result` until here. */
static struct posix_sock *posix_op_sock(struct io_posix *io, const struct io_op *op)
{
	switch (op->kind) {
	case IO_ACCEPT:
		return posix_sock_find(io, op->accept.sock);
	case IO_RECV:
		return posix_sock_find(io, op->recv.sock);
	case IO_SEND:
		return posix_sock_find(io, op->send.sock);
	case IO_CONNECT:
		return posix_sock_find(io, op->result);
	case IO_WRITE:
	case IO_WORK:
		return NULL;
	}
	UNREACHABLE();
}

static void posix_complete(struct io_posix *io, struct io_op *op)
{
	struct posix_sock *sock = posix_op_sock(io, op);
	/* Held from the receive to here, so that the block is not filled from its start again. */
	struct buf *block = op->kind == IO_RECV && !op->recv.into ? op->recv.buf : NULL;

	if (sock) {
		if (sock->in == op)
			sock->in = NULL;
		if (sock->out == op)
			sock->out = NULL;
		sock->busy++;
	}
	if (op->kind == IO_CONNECT && op->err) {
		if (sock)
			sock->is_closing = true;
		op->result = IO_SOCK_NONE;
	}
	op->is_under_way = false;
	op->done(op);
	if (block)
		buf_unref(block);
	if (sock) {
		sock->busy--;
		posix_sock_maybe_free(io, sock);
	}
}

static int posix_run_completed(struct io_posix *io)
{
	int n = 0;
	struct list *node;

	while (n < POSIX_DONES_MAX && (node = list_pop_front(&io->completed)) != NULL) {
		posix_complete(io, container_of(node, struct io_op, node));
		n++;
	}
	return n;
}

static void posix_start_submitted(struct io_posix *io)
{
	struct list *node;

	for (int n = 0; n < POSIX_STARTS_MAX && io->bytes_left > 0; n++) {
		node = list_pop_front(&io->submitted);
		if (!node)
			return;
		posix_start(io, container_of(node, struct io_op, node));
	}
}

static void posix_progress_ready(struct io_posix *io)
{
	struct list now, *node;

	if (list_is_empty(&io->ready))
		return;
	list_init(&now);
	list_splice(&now, &io->ready);
	while (io->bytes_left > 0 && (node = list_pop_front(&now)) != NULL)
		posix_sock_progress(io, container_of(node, struct posix_sock, ready_node));
	/* Who had no turn comes before those that want another one. */
	list_splice(&now, &io->ready);
	list_splice(&io->ready, &now);
}

static void posix_check_starved(struct io_posix *io)
{
	if (list_is_empty(&io->starved) || posix_now_ns() < io->starved_until_ns)
		return;
	list_splice(&io->ready, &io->starved);
}

static void posix_take_event(struct io_posix *io, const struct epoll_event *event)
{
	struct posix_sock *sock = event->data.ptr;

	if (!sock)
		return;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		sock->has_hung_up = true;
	if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		sock->is_readable = true;
	if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		sock->is_writable = true;
	if ((sock->in && sock->is_readable) || (sock->out && sock->is_writable))
		posix_make_ready(io, sock);
}

static int posix_epoll_wait(struct io_posix *io, struct epoll_event *events, int64_t wait_ns)
{
	int64_t wait_ms;

	if (wait_ns > 0 && wait_ns != INT64_MAX && io->has_pwait2) {
		struct timespec ts = {.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
		int n = epoll_pwait2(io->epoll_fd, events, POSIX_EVENTS_MAX, &ts, NULL);

		if (n >= 0 || errno == EINTR)
			return n;
		/* An old kernel, or a filter that does not know the call. */
		io->has_pwait2 = false;
	}
	if (wait_ns == INT64_MAX)
		return epoll_wait(io->epoll_fd, events, POSIX_EVENTS_MAX, -1);
	wait_ms = MIN((wait_ns + NS_PER_MS - 1) / NS_PER_MS, (int64_t)INT32_MAX);
	return epoll_wait(io->epoll_fd, events, POSIX_EVENTS_MAX, (int)wait_ms);
}

/* deadline_ns 0: look, do not wait. */
static void posix_poll(struct io_posix *io, int64_t deadline_ns)
{
	struct epoll_event events[POSIX_EVENTS_MAX];
	int64_t wait_ns = 0, began_ns = 0;
	int n;

	if (deadline_ns != 0) {
		if (__atomic_exchange_n(&io->wake_state, POSIX_ASLEEP, __ATOMIC_ACQ_REL) == POSIX_WOKEN) {
			__atomic_store_n(&io->wake_state, POSIX_AWAKE, __ATOMIC_RELEASE);
			deadline_ns = 0;
		}
	}
	if (deadline_ns == 0) {
		if (++io->turns_since_poll < POSIX_TURNS_PER_POLL && io->bytes_since_poll < POSIX_BYTES_POLL)
			return;
	} else {
		if (!list_is_empty(&io->starved))
			deadline_ns = MIN(deadline_ns, io->starved_until_ns);
		began_ns = posix_now_ns();
		wait_ns = deadline_ns == INT64_MAX ? INT64_MAX : MAX(deadline_ns - began_ns, INT64_C(0));
	}
	io->turns_since_poll = 0;
	io->bytes_since_poll = 0;
	n = posix_epoll_wait(io, events, wait_ns);
	if (deadline_ns != 0) {
		__atomic_exchange_n(&io->wake_state, POSIX_AWAKE, __ATOMIC_ACQ_REL);
		io->io.slept_ns += posix_now_ns() - began_ns;
	}
	if (n < 0)
		CHECK_OP(errno, ==, EINTR);
	for (int i = 0; i < n; i++)
		posix_take_event(io, &events[i]);
}

static void posix_turn(struct io *base, int64_t deadline_ns)
{
	struct io_posix *io = io_posix_of(base);
	int64_t begun;
	int ran = 0;

	io->bytes_left = POSIX_BYTES_MAX;
	posix_check_starved(io);
	posix_jobs_collect(io);
	posix_progress_ready(io);
	io->bytes_since_poll += POSIX_BYTES_MAX - io->bytes_left;
	io->bytes_left = MAX(io->bytes_left, (int64_t)POSIX_BYTES_MAX / 2);
	begun = io->bytes_left;
	for (int round = 0; round < POSIX_ROUNDS_MAX; round++) {
		int n;

		posix_start_submitted(io);
		n = posix_run_completed(io);
		ran += n;
		if (n == 0)
			break;
	}
	io->bytes_since_poll += begun - io->bytes_left;
	if (ran > 0 || !list_is_empty(&io->submitted) || !list_is_empty(&io->ready))
		deadline_ns = 0;
	posix_poll(io, deadline_ns);
}

static const char *posix_describe(struct io *base)
{
	struct io_posix *io = io_posix_of(base);

	snprintf(io->text, sizeof(io->text), "epoll recv-block=%zu wait=%s", io->recv_pool.block_len,
		 io->has_pwait2 ? "ns" : "ms");
	return io->text;
}

static void posix_free(struct io *base)
{
	struct io_posix *io = io_posix_of(base);
	struct list *node;

	posix_jobs_drain(io);
	/* Receives that ended but were not told hold the block. */
	while ((node = list_pop_front(&io->completed)) != NULL) {
		struct io_op *op = container_of(node, struct io_op, node);

		if (op->kind == IO_RECV && !op->recv.into && op->recv.buf)
			buf_unref(op->recv.buf);
	}
	posix_socks_free(io);
	if (io->recv_block)
		buf_unref(io->recv_block);
	buf_pool_deinit(&io->recv_pool);
	mem_free(io->scratch);
	close(io->wake_fd);
	close(io->epoll_fd);
	pthread_cond_destroy(&io->jobs_cond);
	pthread_mutex_destroy(&io->jobs_lock);
	mem_free(io);
}

static const struct io_ops posix_ops = {
	.submit = posix_submit,
	.cancel = posix_cancel,
	.turn = posix_turn,
	.wake = posix_wake,
	.clock = posix_clock,
	.random = posix_random,
	.listen = posix_listen,
	.sock_forget = posix_sock_forget,
	.sock_adopt = posix_sock_adopt,
	.sock_close = posix_sock_close,
	.resolve = posix_resolve,
	.describe = posix_describe,
	.free = posix_free,
};

struct io *io_posix_new(struct io_posix_shared *shared)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
	struct io_posix *io;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (epoll_fd < 0 || wake_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) < 0) {
		if (epoll_fd >= 0)
			close(epoll_fd);
		if (wake_fd >= 0)
			close(wake_fd);
		return NULL;
	}
	io = MEM_NEW(struct io_posix);
	io->io = (struct io){.ops = &posix_ops, .fs = io_posix_fs(shared)};
	io->shared = shared;
	io->epoll_fd = epoll_fd;
	io->wake_fd = wake_fd;
	io->has_pwait2 = true;
	io->has_cachestat = true;
	list_init(&io->submitted);
	list_init(&io->completed);
	list_init(&io->ready);
	list_init(&io->starved);
	list_init(&io->jobs_done);
	CHECK_OP(pthread_mutex_init(&io->jobs_lock, NULL), ==, 0);
	CHECK_OP(pthread_cond_init(&io->jobs_cond, NULL), ==, 0);
	buf_pool_init(&io->recv_pool, posix_shared_recv_block_len(shared), POSIX_RECV_KEEP_MAX);
	return &io->io;
}
