/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the posix backend share: io_posix.c (turn, sleep, completions), io_posix_sock.c (sockets up to
 * receiving), io_posix_send.c (sending) and io_posix_helper.c (threads). Nobody else includes it.
 *
 * Life of an op:
 *
 *    submit --> QUEUED --> WAITING (its socket has to be ready, or a helper loads a piece) --> ENDED --> done
 *                  |                                                                          ^
 *                  +--> HELPER (WORK at a helper thread) -------------------------------------+
 *                  +------------------ tried at once and ended -------------------------------+
 */
#ifndef RUNTIME_IO_POSIX_H
#define RUNTIME_IO_POSIX_H

#include <pthread.h>

#include "io.h"

enum posix_stage { POSIX_QUEUED, POSIX_WAITING, POSIX_HELPER, POSIX_ENDED };

struct posix_load;

struct posix_sock {
	struct list ready_node;   /* in io->ready or io->starved */
	struct io_op *in;         /* ACCEPT or RECV, until its done begins */
	struct io_op *out;        /* CONNECT or SEND, until its done begins */
	struct posix_load *load;  /* cold part of a file piece, asked for or being sent */
	size_t send_chunk;        /* bytes read from a file for one send */
	int fd;
	int busy;          /* done of one of its ops runs now */
	bool is_watched;   /* in the epoll set; sockets join at the first EAGAIN */
	bool is_readable;  /* no EAGAIN or short read since the last edge */
	bool is_writable;
	bool has_hung_up;  /* no more edges will come for reading */
	bool is_closing;
};

struct io_posix {
	struct io io;
	struct io_posix_shared *shared;
	int epoll_fd;
	int wake_fd;
	int wake_state; /* atomic, enum posix_wake */
	struct list submitted; /* ops to start */
	struct list completed; /* ops whose done has to run */
	struct list ready;     /* sockets to go on with */
	struct list starved;   /* listening sockets that wait for a free descriptor */
	int64_t starved_until_ns;
	int64_t starved_log_ns; /* earliest next log line */
	struct posix_sock **socks; /* by descriptor */
	size_t socks_n;
	struct buf_pool recv_pool;
	struct buf *recv_block;  /* the one being filled, or NULL */
	uint8_t *scratch;        /* POSIX_SCRATCH_LEN bytes for file pieces, made at first use */
	int64_t bytes_left;      /* budget of this turn */
	int turns_since_poll;
	int64_t bytes_since_poll;
	bool has_pwait2;
	bool has_cachestat;
	int jobs_n;              /* at the helpers or in jobs_done */
	pthread_mutex_t jobs_lock;
	pthread_cond_t jobs_cond;
	struct list jobs_done;   /* under jobs_lock */
	char text[128];
};

#define POSIX_SCRATCH_LEN (256 * 1024)
#define POSIX_LOAD_MAX (256 * 1024)

static inline struct io_posix *io_posix_of(struct io *io)
{
	return container_of(io, struct io_posix, io);
}

/* io_posix.c */
void posix_end(struct io_posix *io, struct io_op *op, enum err err, int64_t result);
void posix_make_ready(struct io_posix *io, struct posix_sock *sock);
int64_t posix_now_ns(void);
void posix_wake(struct io *base);

/* io_posix_sock.c */
struct posix_sock *posix_sock_find(struct io_posix *io, io_sock number);
/* Aborts when there is no such socket or it is closed. */
struct posix_sock *posix_sock_get(struct io_posix *io, io_sock number);
/* Joins the epoll set; a failure ends in has_hung_up, so that the next call on the socket tells. */
void posix_sock_watch(struct io_posix *io, struct posix_sock *sock);
void posix_sock_maybe_free(struct io_posix *io, struct posix_sock *sock);
/* Goes on with what waits and can. */
void posix_sock_progress(struct io_posix *io, struct posix_sock *sock);
void posix_accept(struct io_posix *io, struct posix_sock *sock);
void posix_recv(struct io_posix *io, struct posix_sock *sock);
void posix_connect(struct io_posix *io, struct io_op *op);
enum err posix_net_error(int number);
enum err posix_listen(struct io *base, const struct io_addr *addr, io_sock *ret, struct io_addr *ret_bound);
void posix_sock_forget(struct io *base, io_sock number);
void posix_sock_adopt(struct io *base, io_sock number);
void posix_sock_close(struct io *base, io_sock number);
void posix_socks_free(struct io_posix *io);
enum err posix_resolve(struct io *base, const char *host, struct io_addr *ret, int max, int *ret_n);

/* io_posix_send.c */
void posix_send(struct io_posix *io, struct posix_sock *sock);
/* Lets go of the load of a socket, also while a helper fills it. */
void posix_load_drop(struct posix_sock *sock);

/* io_posix_helper.c */
struct posix_job {
	struct list node; /* in the queue, or in the jobs_done of its home */
	struct io_posix *home;
	struct io_op *op; /* WORK, else NULL */
	void (*run)(struct posix_job *job, struct fs *fs);
	void (*done)(struct posix_job *job); /* on the home's thread; frees the job */
};

void posix_job_start(struct io_posix *io, struct posix_job *job);
/* Takes back the WORK of op if no helper has begun it. */
bool posix_job_take_back(struct io_posix *io, struct io_op *op);
void posix_work_start(struct io_posix *io, struct io_op *op);
/* Runs done of each job that came back. */
void posix_jobs_collect(struct io_posix *io);
/* Takes back what is queued and waits for what runs. */
void posix_jobs_drain(struct io_posix *io);
size_t posix_shared_recv_block_len(const struct io_posix_shared *shared);

#endif
