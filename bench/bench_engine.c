/* SPDX-License-Identifier: Apache-2.0 */

/* See bench_engine.h. */

#include "bench_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCHES_N = 8, /* different payloads, so that nothing is compressed away below us */
	IOV_REQUESTS_MAX = 16,
	EVENTS_N = 256,
};

static void *zalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (p == NULL)
		die("out of memory");
	return p;
}

static void requests_build(struct producers *p)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	p->records_n = wire_batch_records_n(p->batch_len, p->value_len);
	p->batches = zalloc(BATCHES_N, sizeof(*p->batches));
	for (size_t i = 0; i < BATCHES_N; i++)
		(p->has_keys ? wire_batch_keyed : wire_batch)(&p->batches[i], p->records_n, p->value_len, i + 1,
							     now_ms);
	p->records_len = p->batches[0].len;
	p->heads = zalloc((size_t)p->partitions_n, sizeof(*p->heads));
	for (int32_t i = 0; i < p->partitions_n; i++)
		wire_produce_head(&p->heads[i], p->topic, i, p->acks, p->records_len);
}

void producers_open(struct producers *p)
{
	if (strlen(p->topic) > WIRE_TOPIC_LEN_MAX)
		die("topic name longer than %d", WIRE_TOPIC_LEN_MAX);
	requests_build(p);
	fd_limit_raise(p->conns_n + 64);
	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	p->conns = zalloc(p->conns_n, sizeof(*p->conns));
	for (uint32_t i = 0; i < p->conns_n; i++) {
		struct pconn *c = &p->conns[i];
		c->index = i;
		c->start_ns = zalloc(p->inflight_max, sizeof(*c->start_ns));
		c->fd = net_connect(p->port);
		if (c->fd < 0)
			die("connection %u of %u: %s", i + 1, p->conns_n, strerror(errno));
		net_set_nonblocking(c->fd, true);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		if (epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0)
			die("epoll_ctl: %s", strerror(errno));
	}
}

void producers_close(struct producers *p)
{
	for (uint32_t i = 0; i < p->conns_n; i++) {
		close(p->conns[i].fd);
		free(p->conns[i].start_ns);
	}
	for (int32_t i = 0; i < p->partitions_n; i++)
		wbuf_deinit(&p->heads[i]);
	for (size_t i = 0; i < BATCHES_N; i++)
		wbuf_deinit(&p->batches[i]);
	close(p->epoll_fd);
	free(p->heads);
	free(p->batches);
	free(p->conns);
}

bool producers_can_send(const struct producers *p, const struct pconn *c)
{
	uint64_t busy_n = p->acks == 0 ? c->queued_n : c->sent_n - c->done_n;
	return busy_n < p->inflight_max;
}

void producers_send(struct producers *p, struct pconn *c, uint64_t start_ns)
{
	c->start_ns[c->sent_n % p->inflight_max] = start_ns;
	c->sent_n++;
	c->queued_n++;
}

/* Connections start at different partitions and step by their number, so that together they touch all. */
static size_t request_partition(const struct producers *p, const struct pconn *c, uint64_t request)
{
	return (size_t)((c->index + request * p->conns_n) % (uint64_t)p->partitions_n);
}

static struct iovec piece(const void *p, size_t len, size_t *skip)
{
	size_t cut = *skip < len ? *skip : len;
	*skip -= cut;
	return (struct iovec){ .iov_base = (uint8_t *)(uintptr_t)p + cut, .iov_len = len - cut };
}

/* Requests differ in the length of their head only by the partition's place, so lengths are looked up. */
static size_t request_len(const struct producers *p, const struct pconn *c, uint64_t request)
{
	return p->heads[request_partition(p, c, request)].len + p->records_len + WIRE_PRODUCE_TAIL_LEN;
}

static void watch_out(struct producers *p, struct pconn *c, bool wants_out)
{
	if (c->wants_out == wants_out)
		return;
	c->wants_out = wants_out;
	struct epoll_event e = { .events = EPOLLIN | (wants_out ? EPOLLOUT : 0u), .data.ptr = c };
	if (epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, c->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

void producers_flush(struct producers *p, struct pconn *c)
{
	static const uint8_t tail[WIRE_PRODUCE_TAIL_LEN];
	while (c->queued_n > 0) {
		struct iovec iov[3 * IOV_REQUESTS_MAX];
		int iov_n = 0;
		size_t skip = c->head_sent;
		uint64_t n = c->queued_n < IOV_REQUESTS_MAX ? c->queued_n : IOV_REQUESTS_MAX;
		for (uint64_t i = 0; i < n; i++) {
			uint64_t request = c->sent_n - c->queued_n + i;
			const struct wbuf *head = &p->heads[request_partition(p, c, request)];
			const struct wbuf *batch = &p->batches[(request + c->index) % BATCHES_N];
			iov[iov_n++] = piece(head->p, head->len, &skip);
			iov[iov_n++] = piece(batch->p, batch->len, &skip);
			iov[iov_n++] = piece(tail, sizeof(tail), &skip);
		}
		struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)iov_n };
		ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			watch_out(p, c, true);
			return;
		}
		if (sent <= 0)
			die("send: %s", strerror(errno));
		c->head_sent += (size_t)sent;
		while (c->queued_n > 0) {
			size_t len = request_len(p, c, c->sent_n - c->queued_n);
			if (c->head_sent < len)
				break;
			c->head_sent -= len;
			c->queued_n--;
			c->done_n += p->acks == 0;
		}
	}
	watch_out(p, c, false);
}

static void answers_take(struct producers *p, struct pconn *c, uint64_t now_ns)
{
	size_t at = 0;
	while (c->in_len - at >= 4) {
		size_t len = (size_t)wire_get_i32(c->in + at);
		if (len > sizeof(c->in) - 4)
			die("a Produce answer of %zu bytes", len);
		if (c->in_len - at - 4 < len)
			break;
		int16_t error = 0;
		int64_t base_offset = 0;
		if (!wire_produce_parse(rbuf_of(c->in + at + 4, len), &error, &base_offset))
			die("malformed Produce answer");
		uint64_t start_ns = c->start_ns[c->done_n % p->inflight_max];
		c->done_n++;
		p->done(p, c, start_ns, now_ns, base_offset, error);
		at += 4 + len;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

static void conn_read(struct producers *p, struct pconn *c, uint64_t now_ns)
{
	for (;;) {
		size_t room = sizeof(c->in) - c->in_len;
		ssize_t n = recv(c->fd, c->in + c->in_len, room, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			die("the server closed connection %u", c->index);
		c->in_len += (size_t)n;
		answers_take(p, c, now_ns);
		if ((size_t)n < room)
			return;
	}
}

uint64_t producers_poll(struct producers *p, uint64_t timeout_us)
{
	struct epoll_event events[EVENTS_N];
	struct timespec timeout = { .tv_sec = (time_t)(timeout_us / 1000000),
				    .tv_nsec = (long)(timeout_us % 1000000) * 1000 };
	int n = epoll_pwait2(p->epoll_fd, events, EVENTS_N, &timeout, NULL);
	uint64_t now_ns = clock_now_ns();
	for (int i = 0; i < n; i++) {
		struct pconn *c = events[i].data.ptr;
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			conn_read(p, c, now_ns);
		if (c->queued_n > 0)
			producers_flush(p, c);
	}
	return now_ns;
}

void producers_drain(struct producers *p)
{
	struct wbuf ping = { 0 };
	wire_api_versions(&ping);
	uint64_t end = clock_now_ns() + 30ull * 1000000000;
	for (uint32_t i = 0; i < p->conns_n; i++) {
		struct pconn *c = &p->conns[i];
		while (c->done_n < c->sent_n || c->queued_n > 0) {
			if (producers_poll(p, 1000) > end)
				die("connection %u: no answer for 30 s", c->index);
		}
	}
	for (uint32_t i = 0; p->acks == 0 && i < p->conns_n; i++) {
		struct wbuf in = { 0 };
		int fd = p->conns[i].fd;
		net_set_nonblocking(fd, false);
		net_send(fd, ping.p, ping.len);
		if (!net_receive(fd, &in))
			die("the server closed connection %u", i);
		wbuf_deinit(&in);
	}
	wbuf_deinit(&ping);
}
