/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See toy_body.h. Connections are spread over the reactors; the file belongs to reactor 0, to which the others send
 * messages. One write at a time, then (synced) one sync, then the answers.
 */
#include "toy_body.h"

#include "fault.h"
#include "reactor.h"

#define TOY_BLOCK 512 /* bytes taken from a connection at a time, a multiple of 8 */

struct toy;

struct toy_conn {
	struct toy *toy;
	struct reactor *home;
	io_sock sock;
	struct io_op recv;
	struct io_op send;
	struct piece piece;
	struct msg msg; /* to the home, to the file's reactor, back */
	uint8_t in[TOY_BLOCK];
	size_t in_len;
	size_t whole_len; /* whole numbers now being stored */
	bool is_closing;
};

struct toy {
	struct node *node;
	struct fs *fs;
	bool synced;
	io_sock listener;
	struct io_op accept;
	bool accepting;
	fs_file file;
	int64_t end;
	struct toy_conn *storing[64];
	int storing_n;
	struct iovec iov[64];
	struct io_op write;
	struct io_op sync;
	bool is_storing;
	bool is_stopping;
	int next_home;
	int conns_n;
	struct toy_conn *queue[1024];
	int queue_n;
};

static void conn_read(struct toy_conn *conn);

static void conn_end(struct toy_conn *conn)
{
	struct toy *toy = conn->toy;

	conn->home->io->ops->sock_close(conn->home->io, conn->sock);
	__atomic_sub_fetch(&toy->conns_n, 1, __ATOMIC_RELAXED);
	mem_free(conn);
}

static void conn_sent(struct io_op *op)
{
	struct toy_conn *conn = container_of(op, struct toy_conn, send);

	if (op->err || conn->toy->is_stopping) {
		conn_end(conn);
		return;
	}
	memmove(conn->in, conn->in + conn->whole_len, conn->in_len - conn->whole_len);
	conn->in_len -= conn->whole_len;
	conn_read(conn);
}

static void conn_stored(struct reactor *reactor, struct msg *msg)
{
	struct toy_conn *conn = container_of(msg, struct toy_conn, msg);

	CHECK(reactor == conn->home);
	if (conn->is_closing) {
		conn_end(conn);
		return;
	}
	conn->piece = (struct piece){.mem = conn->in, .file = PIECE_NO_FILE, .len = conn->whole_len};
	conn->send = (struct io_op){.kind = IO_SEND, .done = conn_sent,
				    .send = {.sock = conn->sock, .pieces = &conn->piece, .pieces_n = 1}};
	io_submit(reactor->io, &conn->send);
}

static void toy_store(struct toy *toy);

static void toy_stored(struct toy *toy, bool ok)
{
	struct reactor *owner = &toy->node->reactors[0];

	for (int i = 0; i < toy->storing_n; i++) {
		struct toy_conn *conn = toy->storing[i];

		conn->is_closing |= !ok;
		conn->msg.handle = conn_stored;
		reactor_send(owner, conn->home, &conn->msg);
	}
	toy->is_storing = false;
	toy_store(toy);
}

static void toy_synced(struct io_op *op)
{
	toy_stored(container_of(op, struct toy, sync), op->err == ERR_NONE);
}

static void toy_sync(struct io_op *op, struct fs *fs)
{
	struct toy *toy = container_of(op, struct toy, sync);

	op->err = fs_sync(fs, toy->file);
}

static void toy_written(struct io_op *op)
{
	struct toy *toy = container_of(op, struct toy, write);

	if (op->err) {
		/* What got there is overwritten by the next write. */
		toy_stored(toy, false);
		return;
	}
	toy->end += op->result;
	if (!toy->synced || FAULT(skip_sync)) {
		toy_stored(toy, true);
		return;
	}
	toy->sync = (struct io_op){.kind = IO_WORK, .done = toy_synced, .work.run = toy_sync};
	io_submit(toy->node->reactors[0].io, &toy->sync);
}

static void toy_store(struct toy *toy)
{
	int n = MIN(toy->queue_n, (int)ARRAY_N(toy->storing));

	if (toy->is_storing || !n)
		return;
	for (int i = 0; i < n; i++) {
		toy->storing[i] = toy->queue[i];
		toy->iov[i] = (struct iovec){toy->queue[i]->in, toy->queue[i]->whole_len};
	}
	memmove(toy->queue, toy->queue + n, (size_t)(toy->queue_n - n) * sizeof(toy->queue[0]));
	toy->queue_n -= n;
	toy->storing_n = n;
	toy->is_storing = true;
	toy->write = (struct io_op){.kind = IO_WRITE, .done = toy_written,
				    .write = {.file = toy->file, .iov = toy->iov, .iov_n = n, .pos = toy->end}};
	io_submit(toy->node->reactors[0].io, &toy->write);
}

static void toy_take(struct reactor *reactor, struct msg *msg)
{
	struct toy_conn *conn = container_of(msg, struct toy_conn, msg);
	struct toy *toy = conn->toy;

	CHECK_OP(reactor->index, ==, 0);
	CHECK_OP(toy->queue_n, <, (int)ARRAY_N(toy->queue));
	toy->queue[toy->queue_n++] = conn;
	toy_store(toy);
}

static void conn_got(struct io_op *op)
{
	struct toy_conn *conn = container_of(op, struct toy_conn, recv);
	size_t len = op->err ? 0 : op->recv.got.len;

	if (!len || len > sizeof(conn->in) - conn->in_len || conn->toy->is_stopping) {
		conn_end(conn);
		return;
	}
	memcpy(conn->in + conn->in_len, op->recv.got.p, len);
	conn->in_len += len;
	conn_read(conn);
}

static void conn_read(struct toy_conn *conn)
{
	conn->whole_len = conn->in_len / 8 * 8;
	if (conn->whole_len) {
		conn->msg.handle = toy_take;
		reactor_send(conn->home, &conn->toy->node->reactors[0], &conn->msg);
		return;
	}
	conn->recv = (struct io_op){.kind = IO_RECV, .done = conn_got, .recv.sock = conn->sock};
	io_submit(conn->home->io, &conn->recv);
}

static void conn_arrives(struct reactor *reactor, struct msg *msg)
{
	struct toy_conn *conn = container_of(msg, struct toy_conn, msg);

	reactor->io->ops->sock_adopt(reactor->io, conn->sock);
	conn_read(conn);
}

static void toy_accepted(struct io_op *op)
{
	struct toy *toy = container_of(op, struct toy, accept);
	struct reactor *reactor = &toy->node->reactors[0];
	struct toy_conn *conn;

	if (op->err) {
		toy->accepting = false;
		return;
	}
	conn = MEM_NEW(struct toy_conn);
	conn->toy = toy;
	conn->sock = op->result;
	conn->home = &toy->node->reactors[toy->next_home++ % toy->node->reactors_n];
	toy->conns_n++;
	if (conn->home == reactor) {
		conn_read(conn);
	} else {
		reactor->io->ops->sock_forget(reactor->io, conn->sock);
		conn->msg.handle = conn_arrives;
		reactor_send(reactor, conn->home, &conn->msg);
	}
	io_submit(reactor->io, op);
}

/* Keeps what stands before the first number that cannot follow: behind it is what a power cut left. */
static enum err toy_recover(struct toy *toy)
{
	uint64_t n = 0;
	uint8_t b[8];
	size_t len;
	enum err err;

	for (toy->end = 0;; toy->end += 8) {
		err = fs_pread(toy->fs, toy->file, b, 8, toy->end, FS_WAIT, &len);
		if (err)
			return err;
		if (len < 8 || load_be64(b) == 0 || load_be64(b) > n + 1)
			break;
		n = MAX(n, load_be64(b));
	}
	err = toy->fs->ops->truncate(toy->fs, toy->file, toy->end);
	return err ? err : fs_sync(toy->fs, toy->file);
}

static enum err toy_start(struct node *node, struct fs *fs, const struct sim_node *config)
{
	struct io *io = node->reactors[0].io;
	struct io_addr addr = {.port = TOY_PORT}, bound;
	struct toy *toy = MEM_NEW(struct toy);
	enum err err;

	node->broker = toy;
	toy->node = node;
	toy->fs = fs;
	toy->synced = config->opt->synced;
	err = fs_open(fs, TOY_FILE, FS_WRITE | FS_CREATE, &toy->file);
	if (!err && toy->synced)
		err = fs->ops->sync_dir(fs, "/");
	if (!err)
		err = toy_recover(toy);
	if (err)
		return err;
	err = io->ops->listen(io, &addr, &toy->listener, &bound);
	if (err)
		return err;
	toy->accepting = true;
	toy->accept = (struct io_op){.kind = IO_ACCEPT, .done = toy_accepted, .accept.sock = toy->listener};
	io_submit(io, &toy->accept);
	log_info("toy.started", "end=%lld", (long long)toy->end);
	return ERR_NONE;
}

static void toy_request_stop(struct node *node)
{
	struct toy *toy = node->broker;
	struct io *io = node->reactors[0].io;

	toy->is_stopping = true;
	io->ops->sock_close(io, toy->listener);
}

/* Connections end when their peers do or send something more: the tests close theirs first. */
static bool toy_is_stopped(struct node *node)
{
	const struct toy *toy = node->broker;

	return !toy->accepting && toy->conns_n == 0;
}

static void toy_free(struct node *node)
{
	struct toy *toy = node->broker;

	fs_close(toy->fs, toy->file);
	mem_free(toy);
}

const struct sim_body toy_body = {
	.name = "toy",
	.start = toy_start,
	.request_stop = toy_request_stop,
	.is_stopped = toy_is_stopped,
	.free = toy_free,
};
