/* SPDX-License-Identifier: Apache-2.0 */

/* See bench_clients.h. */

#include "bench_clients.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS_N = 256,
	READ_LEN = 512, /* most answers */
};

void clients_open(struct clients *all, uint16_t port, uint32_t n, clients_done_fn *done, void *user)
{
	*all = (struct clients){ .n = n, .done = done, .user = user };
	fd_limit_raise(n + 64);
	all->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	all->v = calloc(n, sizeof(*all->v));
	if (all->v == NULL || all->epoll_fd < 0)
		die("out of memory or descriptors");
	struct wbuf ping = { 0 };
	for (uint32_t i = 0; i < n; i++) {
		struct client *c = &all->v[i];
		c->index = i;
		c->fd = net_connect_wait(port, 10000);
		/* Answered means accepted: more than fit its backlog would be told to come again in a second. */
		ping.len = 0;
		wire_api_versions(&ping);
		client_call(c->fd, &ping);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		if (epoll_ctl(all->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0)
			die("epoll_ctl: %s", strerror(errno));
	}
	wbuf_deinit(&ping);
}

void clients_close(struct clients *all)
{
	for (uint32_t i = 0; i < all->n; i++) {
		close(all->v[i].fd);
		wbuf_deinit(&all->v[i].in);
	}
	close(all->epoll_fd);
	free(all->v);
	*all = (struct clients){ 0 };
}

void clients_send(struct clients *all, struct client *c, const struct wbuf *frame)
{
	if (c->sent_ns != 0)
		die("connection %u has a request outstanding", c->index);
	c->sent_ns = clock_now_ns();
	all->outstanding_n++;
	net_send(c->fd, frame->p, frame->len);
}

static void answer_take(struct clients *all, struct client *c, uint64_t now_ns)
{
	struct wbuf in = c->in;
	uint64_t sent_ns = c->sent_ns;
	if (sent_ns == 0 || in.len != c->in_wanted)
		die("connection %u: an answer that nobody asked for", c->index);
	/* The callback may send; what it reads stays until it returns. */
	c->in = (struct wbuf){ 0 };
	c->in_wanted = 0;
	c->sent_ns = 0;
	all->outstanding_n--;
	all->done(all, c, rbuf_of(in.p + 4, in.len - 4), sent_ns, now_ns);
	in.len = 0;
	c->in = in;
}

static void client_read(struct clients *all, struct client *c, uint64_t now_ns)
{
	for (;;) {
		size_t room = c->in_wanted > c->in.len + READ_LEN ? c->in_wanted - c->in.len : READ_LEN;
		wbuf_reserve(&c->in, room);
		ssize_t n = recv(c->fd, c->in.p + c->in.len, room, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			die("the server closed connection %u", c->index);
		c->in.len += (size_t)n;
		if (c->in_wanted == 0 && c->in.len >= 4) {
			int32_t len = wire_get_i32(c->in.p);
			if (len < 4 || len > WIRE_FRAME_LEN_MAX)
				die("the server answered with a frame of %d bytes", len);
			c->in_wanted = (size_t)len + 4;
		}
		if (c->in_wanted != 0 && c->in.len >= c->in_wanted) {
			answer_take(all, c, now_ns);
			return;
		}
	}
}

uint64_t clients_poll(struct clients *all, uint64_t timeout_us)
{
	struct epoll_event events[EVENTS_N];
	struct timespec timeout = { .tv_sec = (time_t)(timeout_us / 1000000),
				    .tv_nsec = (long)(timeout_us % 1000000) * 1000 };
	int n = epoll_pwait2(all->epoll_fd, events, EVENTS_N, &timeout, NULL);
	uint64_t now_ns = clock_now_ns();
	for (int i = 0; i < n; i++)
		client_read(all, events[i].data.ptr, now_ns);
	return now_ns;
}

struct rbuf client_call(int fd, struct wbuf *w)
{
	net_send(fd, w->p, w->len);
	if (!net_receive(fd, w))
		die("the server closed the connection");
	return rbuf_of(w->p, w->len);
}
