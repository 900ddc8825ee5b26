/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table through which a reactor touches the outside: sockets, file writes, work on helper threads, time
 * and randomness, completion style. Bodies: posix (epoll and helper threads) and sim (the simulator). One `io`
 * belongs to one reactor; only io_wake may be called from another thread.
 *
 * 1. A submitted op is the backend's until its done runs; done runs exactly once, from io_turn, never inside the
 *    call that submitted or cancelled it.
 * 2. The memory that an op names stays valid until done. After done the op is the caller's again: it may be
 *    submitted anew from within done.
 * 3. At most one RECV (or ACCEPT) and one SEND are under way per socket.
 * 4. io_sock_close cancels what is under way on the socket (done with ERR_CANCELLED in a later stage of the turn);
 *    the number is not used again before those have run.
 */
#ifndef RUNTIME_IO_H
#define RUNTIME_IO_H

#include "buf.h"
#include "fs.h"
#include "list.h"
#include "piece.h"

typedef int64_t io_sock;
#define IO_SOCK_NONE (-1)

struct io_addr {
	uint8_t ip[16]; /* IPv4 in the first 4 */
	bool is_v6;
	uint16_t port;
};

#define IO_ADDR_TEXT_MAX 64
/* "127.0.0.1" or "::1", without the port. */
void io_addr_format(const struct io_addr *addr, char ret[IO_ADDR_TEXT_MAX]);

enum io_kind {
	IO_ACCEPT,  /* next connection of a listening socket: result is its io_sock, accept.peer its address */
	IO_CONNECT, /* result is the io_sock */
	IO_RECV,    /* bytes from a socket, result 0 at the end of the stream */
	IO_SEND,    /* all pieces, in order; result is their total */
	IO_WRITE,   /* append to a file: all of it or an error; result (also with an error) is what reached the file */
	IO_WORK,    /* a function on a helper thread */
};

struct io_op {
	struct list node; /* the backend's while under way */
	enum io_kind kind;
	bool is_under_way; /* kept by the backend */
	uint8_t stage;     /* the backend's while under way */
	enum err err;      /* set before done */
	int64_t result;
	void (*done)(struct io_op *op);
	union {
		struct {
			io_sock sock;
			struct io_addr peer;
		} accept;
		struct {
			struct io_addr addr;
		} connect;
		/* Give `into` (a block with room behind len) to read there; NULL reads into the reactor's receive
		 * block. After done: `got` is what came, inside `buf`. The block is the backend's: who keeps `got`
		 * beyond done takes a reference. With `into`, buf == into and into->len has grown. */
		struct {
			io_sock sock;
			struct buf *into;
			struct buf *buf;
			struct bytes got;
		} recv;
		/* The backend advances pieces as they leave: the array is its own until done. */
		struct {
			io_sock sock;
			struct piece *pieces;
			int pieces_n;
		} send;
		struct {
			fs_file file;
			const struct iovec *iov;
			int iov_n;
			int64_t pos;
		} write;
		/* Runs with op on a helper thread (inline after a virtual delay in the simulator) and sets err and
		 * result. It may touch only what op owns and the fs. */
		struct {
			void (*run)(struct io_op *op, struct fs *fs);
		} work;
	};
};

enum io_clock { IO_CLOCK_MONOTONIC, IO_CLOCK_WALL };

struct io;

struct io_ops {
	void (*submit)(struct io *io, struct io_op *op);
	/* Asks for an early end; done still runs once, with ERR_CANCELLED if it did not end otherwise first. WORK that
	 * has begun and WRITE run to their end. */
	void (*cancel)(struct io *io, struct io_op *op);
	/* Starts what is queued, completes what is ready, waits until `deadline_ns` (monotonic; 0: do not wait,
	 * INT64_MAX: no deadline) or a wake when there was nothing. */
	void (*turn)(struct io *io, int64_t deadline_ns);
	void (*wake)(struct io *io);
	int64_t (*clock)(struct io *io, enum io_clock clock); /* ns */
	void (*random)(struct io *io, void *p, size_t len);
	/* ERR_ADDRESS_IN_USE, ERR_ACCESS. ret_bound tells the port when 0 was asked for. */
	enum err (*listen)(struct io *io, const struct io_addr *addr, io_sock *ret, struct io_addr *ret_bound);
	/* Makes a socket that another reactor's io accepted this one's: forget there first, then adopt here. */
	void (*sock_forget)(struct io *io, io_sock sock);
	void (*sock_adopt)(struct io *io, io_sock sock);
	void (*sock_close)(struct io *io, io_sock sock);
	/* Addresses of a name, at start only: it may wait. ERR_NOT_FOUND. */
	enum err (*resolve)(struct io *io, const char *host, struct io_addr *ret, int max, int *ret_n);
	/* "epoll" and limits, for logs. */
	const char *(*describe)(struct io *io);
	void (*free)(struct io *io);
};

struct io {
	const struct io_ops *ops;
	struct fs *fs;
	int64_t slept_ns; /* how long turns have waited for something to do, in all */
};

static inline void io_submit(struct io *io, struct io_op *op)
{
	io->ops->submit(io, op);
}

static inline void io_cancel(struct io *io, struct io_op *op)
{
	io->ops->cancel(io, op);
}

struct io_posix_options {
	int helpers_n;          /* threads for IO_WORK, shared by the reactors of the process */
	size_t recv_block_len;  /* bytes of a receive block; 0: 512 KiB */
	struct log_sink *log_sink; /* of the helpers' events, outlives them; NULL: stderr */
};

struct io_posix_shared; /* helper threads and the posix fs: one per process; making it ignores SIGPIPE */
struct io_posix_shared *io_posix_shared_new(const struct io_posix_options *options);
void io_posix_shared_free(struct io_posix_shared *shared);
struct fs *io_posix_fs(struct io_posix_shared *shared);
/* NULL when the system refuses (no descriptors). */
struct io *io_posix_new(struct io_posix_shared *shared);

#endif
