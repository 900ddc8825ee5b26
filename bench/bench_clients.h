/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many connections in one thread, each with at most one request outstanding: what members of groups need. A mode sends
 * frames and learns of answers by a callback, in which it may send the next one.
 *
 * Invariants:
 * 1. A connection has sent_ns != 0 while its request is outstanding, and only then.
 * 2. outstanding_n counts those.
 */

#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

#include "bench_util.h"

struct client {
	int fd;
	uint32_t index;
	uint64_t sent_ns;
	struct wbuf in;
	size_t in_wanted; /* of the frame that is arriving, with its size; 0: not known */
};

struct clients;
/* A whole answer, without its size. `sent_ns` is when its request was sent. */
typedef void clients_done_fn(struct clients *all, struct client *c, struct rbuf answer, uint64_t sent_ns,
			     uint64_t now_ns);

struct clients {
	int epoll_fd;
	uint32_t n;
	uint32_t outstanding_n;
	struct client *v;
	clients_done_fn *done;
	void *user;
};

void clients_open(struct clients *all, uint16_t port, uint32_t n, clients_done_fn *done, void *user);
void clients_close(struct clients *all);
/* The connection has no request outstanding. Blocks until the socket has taken it. */
void clients_send(struct clients *all, struct client *c, const struct wbuf *frame);
/* Waits for answers up to `timeout_us` (0 polls) and hands them over. The time after waiting. */
uint64_t clients_poll(struct clients *all, uint64_t timeout_us);

/* One request and its answer over a blocking connection; `w` is the frame, then holds the answer. */
struct rbuf client_call(int fd, struct wbuf *w);

#endif
