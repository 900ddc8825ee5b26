/* SPDX-License-Identifier: Apache-2.0 */
/* A posix backend with a listening socket, plain blocking peers, and calls that remember how they ended. */
#ifndef TEST_IO_H
#define TEST_IO_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "io.h"
#include "mem.h"
#include "test_runtime.h"

struct world {
	struct io_posix_shared *shared;
	struct io *io;
	io_sock listener;
	struct io_addr addr;
};

struct call {
	struct io_op op;
	int done_n;
	enum err err;
	int64_t result;
	uint8_t data[4096]; /* of a RECV, copied in done */
	void (*then)(struct call *call);
	struct world *w;
	void *gate; /* of a WORK */
};

UNUSED static void call_done(struct io_op *op)
{
	struct call *call = container_of(op, struct call, op);

	assert_false(op->is_under_way);
	call->done_n++;
	call->err = op->err;
	call->result = op->result;
	if (op->kind == IO_RECV && op->recv.buf && op->recv.got.len <= sizeof(call->data))
		memcpy(call->data, op->recv.got.p, op->recv.got.len);
	if (call->then)
		call->then(call);
}

UNUSED static int64_t now_ns(struct world *w)
{
	return w->io->ops->clock(w->io, IO_CLOCK_MONOTONIC);
}

/* Turns until the call is done, at most half a minute. */
UNUSED static void run_until(struct world *w, const struct call *call, int done_n)
{
	int64_t end_ns = now_ns(w) + 30 * NS_PER_S;

	while (call->done_n < done_n) {
		assert_true(now_ns(w) < end_ns);
		w->io->ops->turn(w->io, now_ns(w) + 50 * NS_PER_MS);
	}
	assert_int_equal(call->done_n, done_n);
}

UNUSED static void run_idle(struct world *w, int turns)
{
	for (int i = 0; i < turns; i++)
		w->io->ops->turn(w->io, now_ns(w) + NS_PER_MS);
}

UNUSED static void start(struct world *w, struct call *call, enum io_kind kind)
{
	call->w = w;
	call->op.kind = kind;
	call->op.done = call_done;
	io_submit(w->io, &call->op);
	assert_true(call->op.is_under_way);
}

UNUSED static int setup(void **state)
{
	struct io_posix_options options = {.helpers_n = 2, .recv_block_len = 65536};
	struct io_addr addr = {.ip = {127, 0, 0, 1}};
	struct world *w = MEM_NEW(struct world);

	w->shared = io_posix_shared_new(&options);
	w->io = io_posix_new(w->shared);
	assert_non_null(w->io);
	assert_int_equal(w->io->ops->listen(w->io, &addr, &w->listener, &w->addr), ERR_NONE);
	assert_int_not_equal(w->addr.port, 0);
	*state = w;
	return 0;
}

UNUSED static int teardown(void **state)
{
	struct world *w = *state;

	w->io->ops->free(w->io);
	io_posix_shared_free(w->shared);
	mem_free(w);
	return 0;
}

/* A blocking client and our side of its connection. */
UNUSED static void pair(struct world *w, int *ret_peer, io_sock *ret_sock)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(w->addr.port)};
	struct timeval limit = {.tv_sec = 30};
	struct call accept = {.op.accept.sock = w->listener};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	start(w, &accept, IO_ACCEPT);
	run_until(w, &accept, 1);
	assert_int_equal(accept.err, ERR_NONE);
	assert_int_not_equal(accept.op.accept.peer.port, 0);
	*ret_peer = fd;
	*ret_sock = accept.result;
}

UNUSED static void reset(int fd)
{
	struct linger linger = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

#define FILE_LEN (3 * 1024 * 1024)

UNUSED static fs_file make_file(struct world *w, uint8_t *data)
{
	char dir[256], path[300];
	fs_file file;

	test_dir(dir);
	snprintf(path, sizeof(path), "%s/data", dir);
	for (size_t i = 0; i < FILE_LEN; i++)
		data[i] = (uint8_t)(i * 2654435761U >> 24);
	assert_int_equal(fs_open(w->io->fs, path, FS_WRITE | FS_CREATE, &file), ERR_NONE);
	assert_int_equal(fs_pwrite_all(w->io->fs, file, data, FILE_LEN, 0), ERR_NONE);
	assert_int_equal(w->io->fs->ops->unlink(w->io->fs, path), ERR_NONE);
	assert_int_equal(w->io->fs->ops->rmdir(w->io->fs, dir), ERR_NONE);
	return file;
}

/* Sends more than the socket takes, so that the op waits. */
UNUSED static void start_stuck_send(struct world *w, struct call *send, struct piece *piece, uint8_t *data)
{
	*piece = (struct piece){.mem = data, .file = PIECE_NO_FILE, .len = 64 << 20};
	send->op.send.pieces = piece;
	send->op.send.pieces_n = 1;
	start(w, send, IO_SEND);
	run_idle(w, 40);
	assert_int_equal(send->done_n, 0);
}

#endif
