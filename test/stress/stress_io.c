/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The posix backend under random use: connections to itself that send a known stream from memory and from files
 * (some of them dropped from the page cache), receive it in blocks or into own buffers, cancel at any time, go on
 * from what `result` says, close and connect again. Every byte is checked by its place in the stream.
 *
 *    stress_io [SEED [STEPS]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "mem.h"
#include "rng.h"

#define LINKS_N 12
#define PERIOD 251
#define FILE_LEN (4 << 20)
#define PIECES_MAX 6

struct side {
	struct io_op send;
	struct io_op recv;
	struct piece pieces[PIECES_MAX];
	struct buf *into; /* NULL: the shared block */
	io_sock sock;
	int64_t sent;     /* place in the stream */
	int64_t received;
	bool is_open;
	bool has_ended;   /* nothing more will come */
};

struct link {
	struct io_op connect;
	struct side sides[2]; /* connecting, accepted */
	int state;            /* 0 none, 1 connecting, 2 open, 3 closing */
};

static struct {
	struct io *io;
	struct io_addr addr;
	struct io_op accept;
	struct link links[LINKS_N];
	struct link *connecting; /* one at a time, so that the accepted side is known */
	struct rng rng;
	struct buf_pool pool;
	uint8_t *pattern;
	fs_file file;
	int64_t moved;
	int64_t cancelled;
	int64_t closed;
} w;

static bool link_is_idle(const struct link *link)
{
	for (int i = 0; i < 2; i++) {
		if (link->sides[i].send.is_under_way || link->sides[i].recv.is_under_way)
			return false;
	}
	return !link->connect.is_under_way;
}

static void on_sent(struct io_op *op)
{
	struct side *side = container_of(op, struct side, send);

	side->sent += op->result;
	w.cancelled += op->err == ERR_CANCELLED;
	if (op->err && op->err != ERR_CANCELLED)
		CHECK_OP(op->err, ==, ERR_DISCONNECTED);
	if (op->err == ERR_DISCONNECTED)
		side->has_ended = true;
}

static void on_received(struct io_op *op)
{
	struct side *side = container_of(op, struct side, recv);

	w.cancelled += op->err == ERR_CANCELLED;
	if (op->err == ERR_CANCELLED)
		return;
	if (op->err || op->result == 0) {
		side->has_ended = true;
		return;
	}
	CHECK_OP(op->result, ==, (int64_t)op->recv.got.len);
	CHECK(memcmp(op->recv.got.p, w.pattern + side->received % PERIOD, op->recv.got.len) == 0);
	side->received += op->result;
	w.moved += op->result;
}

static void side_open(struct side *side, io_sock sock)
{
	struct buf *into = side->into;

	*side = (struct side){.sock = sock, .into = into, .is_open = true};
}

static void on_accepted(struct io_op *op)
{
	CHECK_OP(op->err, ==, ERR_NONE);
	CHECK(w.connecting);
	side_open(&w.connecting->sides[1], op->result);
	if (w.connecting->sides[0].is_open) {
		w.connecting->state = 2;
		w.connecting = NULL;
	}
	io_submit(w.io, op);
}

static void on_connected(struct io_op *op)
{
	struct link *link = container_of(op, struct link, connect);

	CHECK_OP(op->err, ==, ERR_NONE);
	side_open(&link->sides[0], op->result);
	if (link->sides[1].is_open) {
		link->state = 2;
		w.connecting = NULL;
	}
}

static void side_send(struct side *side)
{
	int64_t at = side->sent;
	int n = (int)rng_between(&w.rng, 1, PIECES_MAX);

	for (int i = 0; i < n; i++) {
		struct piece *piece = &side->pieces[i];
		size_t max = rng_chance(&w.rng, 1, 8) ? FILE_LEN / 2 : rng_chance(&w.rng, 1, 2) ? 100000 : 300;

		piece->len = (size_t)rng_below(&w.rng, max);
		if (rng_chance(&w.rng, 1, 2)) {
			piece->file = PIECE_NO_FILE;
			piece->mem = w.pattern + at % PERIOD;
		} else {
			piece->file = w.file;
			piece->pos = at % PERIOD + PERIOD * (int64_t)rng_below(&w.rng, FILE_LEN / 2 / PERIOD - 2);
		}
		at += (int64_t)piece->len;
	}
	side->send.kind = IO_SEND;
	side->send.done = on_sent;
	side->send.send.sock = side->sock;
	side->send.send.pieces = side->pieces;
	side->send.send.pieces_n = n;
	io_submit(w.io, &side->send);
}

static void side_recv(struct side *side)
{
	side->recv.kind = IO_RECV;
	side->recv.done = on_received;
	side->recv.recv.sock = side->sock;
	side->recv.recv.into = NULL;
	if (rng_chance(&w.rng, 1, 3)) {
		side->into->len = (size_t)rng_below(&w.rng, side->into->cap);
		side->recv.recv.into = side->into;
	}
	io_submit(w.io, &side->recv);
}

static void side_step(struct side *side)
{
	if (!side->is_open)
		return;
	switch (rng_below(&w.rng, 12)) {
	case 0:
		io_cancel(w.io, &side->send);
		break;
	case 1:
		io_cancel(w.io, &side->recv);
		break;
	case 2:
	case 3:
	case 4:
		if (!side->send.is_under_way && !side->has_ended)
			side_send(side);
		break;
	default:
		if (!side->recv.is_under_way && !side->has_ended)
			side_recv(side);
		break;
	}
}

static void link_step(struct link *link)
{
	if (link->state == 0 && !w.connecting) {
		w.connecting = link;
		link->state = 1;
		link->connect.kind = IO_CONNECT;
		link->connect.done = on_connected;
		link->connect.connect.addr = w.addr;
		io_submit(w.io, &link->connect);
	} else if (link->state == 2) {
		side_step(&link->sides[0]);
		side_step(&link->sides[1]);
		for (int i = 0; i < 2; i++) {
			struct side *side = &link->sides[i];

			if (!side->is_open || !rng_chance(&w.rng, side->has_ended ? 10 : 1, 400))
				continue;
			w.io->ops->sock_close(w.io, side->sock);
			side->is_open = false;
			w.closed++;
		}
		if (!link->sides[0].is_open && !link->sides[1].is_open)
			link->state = 3;
	} else if (link->state == 3 && link_is_idle(link)) {
		link->state = 0;
	}
}

static void prepare(struct io_posix_shared *shared)
{
	struct io_addr any = {.ip = {127, 0, 0, 1}};
	char path[] = "/tmp/moldau-stress-XXXXXX";

	w.io = io_posix_new(shared);
	CHECK(w.io);
	buf_pool_init(&w.pool, 50000, 0);
	w.pattern = mem_alloc(FILE_LEN);
	for (int i = 0; i < FILE_LEN; i++)
		w.pattern[i] = (uint8_t)(i % PERIOD);
	w.file = mkstemp(path);
	CHECK(w.file >= 0);
	unlink(path);
	CHECK_OP(fs_pwrite_all(w.io->fs, w.file, w.pattern, FILE_LEN, 0), ==, ERR_NONE);
	CHECK_OP(fs_sync(w.io->fs, w.file), ==, ERR_NONE);
	w.accept.kind = IO_ACCEPT;
	w.accept.done = on_accepted;
	CHECK_OP(w.io->ops->listen(w.io, &any, &w.accept.accept.sock, &w.addr), ==, ERR_NONE);
	io_submit(w.io, &w.accept);
	for (int i = 0; i < LINKS_N; i++) {
		for (int k = 0; k < 2; k++)
			w.links[i].sides[k].into = buf_new(&w.pool, 50000);
	}
}

int main(int argc, char **argv)
{
	struct io_posix_options options = {.helpers_n = 2, .recv_block_len = 131072};
	struct io_posix_shared *shared = io_posix_shared_new(&options);
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	long steps = argc > 2 ? atol(argv[2]) : 20000;

	rng_init(&w.rng, seed);
	prepare(shared);
	for (long step = 0; step < steps; step++) {
		if (rng_chance(&w.rng, 1, 300))
			posix_fadvise((int)w.file, (off_t)rng_below(&w.rng, FILE_LEN), 0, POSIX_FADV_DONTNEED);
		for (int i = 0; i < 3; i++)
			link_step(&w.links[rng_below(&w.rng, LINKS_N)]);
		w.io->ops->turn(w.io,
				rng_chance(&w.rng, 1, 20) ? w.io->ops->clock(w.io, IO_CLOCK_MONOTONIC) + 20000 : 0);
	}
	printf("seed %llu: %lld MB checked, %lld cancelled, %lld closed\n", (unsigned long long)seed,
	       (long long)(w.moved >> 20), (long long)w.cancelled, (long long)w.closed);
	w.io->ops->free(w.io);
	for (int i = 0; i < LINKS_N; i++) {
		for (int k = 0; k < 2; k++)
			buf_unref(w.links[i].sides[k].into);
	}
	buf_pool_deinit(&w.pool);
	io_posix_shared_free(shared);
	close((int)w.file);
	mem_free(w.pattern);
	return w.moved > 0 && w.closed > 0 && w.cancelled > 0 ? 0 : 1;
}
