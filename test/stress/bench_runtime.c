/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime costs, on demand:
 *
 *    bench_runtime hop                     a message to another reactor and back, alone and in batches
 *    bench_runtime echo|bare PORT          an echo server on reactors' I/O, and on a bare epoll loop
 *    bench_runtime file PORT KIB           a server that answers each request with 100 bytes and KIB from a cached file
 *    bench_runtime load PORT CONNS SECONDS WANT   each connection asks again as soon as WANT bytes came
 *
 * Servers run for a minute at most, or until the first connection of theirs has ended. Run them under strace -c to
 * count system calls per request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mem.h"
#include "node.h"

#define REQUEST_LEN 100

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- hop ---- */

struct hopper {
	struct msg msgs[64];
	struct node node;
	struct timer timer;
	int batch;
	int back_n;
	int rounds;
	int64_t start_ns;
};

static struct hopper *hopper_of(struct reactor *reactor)
{
	return container_of(reactor->node, struct hopper, node);
}

static void hop_there(struct reactor *reactor, struct msg *msg);

static void hop_back(struct reactor *reactor, struct msg *msg)
{
	struct hopper *h = hopper_of(reactor);

	if (++h->back_n < h->batch)
		return;
	h->back_n = 0;
	if (--h->rounds == 0) {
		node_stop(reactor->node);
		return;
	}
	for (int i = 0; i < h->batch; i++) {
		h->msgs[i].handle = hop_there;
		reactor_send(reactor, &reactor->node->reactors[1], &h->msgs[i]);
	}
}

static void hop_there(struct reactor *reactor, struct msg *msg)
{
	msg->handle = hop_back;
	reactor_send(reactor, msg->from, msg);
}

static void hop_begin(struct timer *timer)
{
	struct hopper *h = container_of(timer, struct hopper, timer);

	h->back_n = h->batch - 1;
	h->start_ns = now_ns();
	hop_back(&h->node.reactors[0], &h->msgs[0]);
}

static void bench_hop(int batch, int rounds)
{
	struct io_posix_options options = {.helpers_n = 1};
	struct io_posix_shared *shared = io_posix_shared_new(&options);
	struct io *ios[2] = {io_posix_new(shared), io_posix_new(shared)};
	struct hopper *h = MEM_NEW(struct hopper);
	double us;

	CHECK_OP(node_init(&h->node, 1, ios, 2), ==, ERR_NONE);
	h->batch = batch;
	h->rounds = rounds;
	reactor_timer(&h->node.reactors[0], &h->timer, 0, hop_begin);
	node_run(&h->node);
	us = (double)(now_ns() - h->start_ns) / 1000.0 / rounds;
	printf("hop batch=%d round_us=%.2f per_message_us=%.3f\n", batch, us, us / batch);
	node_deinit(&h->node);
	for (int i = 0; i < 2; i++)
		ios[i]->ops->free(ios[i]);
	io_posix_shared_free(shared);
	mem_free(h);
}

/* ---- echo on the runtime ---- */

struct server {
	struct node node;
	struct io_op accept;
	struct io_op quit;
	struct timer timer;
	int64_t requests;
	fs_file file;
	size_t file_len;
	double cpu_start;
};

struct echo {
	struct io_op recv;
	struct io_op send;
	struct piece pieces[2];
	uint8_t data[REQUEST_LEN];
	struct server *server;
	io_sock sock;
};

static void echo_sent(struct io_op *op)
{
	struct echo *echo = container_of(op, struct echo, send);

	echo->server->requests++;
}

static void echo_received(struct io_op *op)
{
	struct echo *echo = container_of(op, struct echo, recv);
	struct server *server = echo->server;
	struct io *io = server->node.reactors[0].io;

	if (op->err || op->result == 0) {
		node_stop(&server->node);
		return;
	}
	if (server->file != FS_FILE_NONE) {
		echo->pieces[0] = (struct piece){.mem = echo->data, .file = PIECE_NO_FILE, .len = REQUEST_LEN};
		echo->pieces[1] = (struct piece){.file = server->file, .len = server->file_len};
		echo->send.send.pieces_n = 2;
	} else {
		memcpy(echo->data, op->recv.got.p, op->recv.got.len);
		echo->pieces[0] = (struct piece){.mem = echo->data, .file = PIECE_NO_FILE, .len = op->recv.got.len};
		echo->send.send.pieces_n = 1;
	}
	echo->send.send.sock = echo->sock;
	echo->send.send.pieces = echo->pieces;
	io_submit(io, &echo->send);
	io_submit(io, &echo->recv);
}

static void server_accepted(struct io_op *op)
{
	struct server *server = container_of(op, struct server, accept);
	struct io *io = server->node.reactors[0].io;
	struct echo *echo = MEM_NEW(struct echo);

	echo->server = server;
	echo->sock = op->result;
	echo->recv.kind = IO_RECV;
	echo->recv.done = echo_received;
	echo->recv.recv.sock = echo->sock;
	echo->send.kind = IO_SEND;
	echo->send.done = echo_sent;
	io_submit(io, &echo->recv);
	io_submit(io, op);
}

static void server_late(struct timer *timer)
{
	node_stop(&container_of(timer, struct server, timer)->node);
}

static void bench_server(uint16_t port, size_t file_kib)
{
	struct io_posix_options options = {.helpers_n = 1};
	struct io_posix_shared *shared = io_posix_shared_new(&options);
	struct io *io = io_posix_new(shared);
	struct server *server = MEM_NEW(struct server);
	struct io_addr addr = {.ip = {127, 0, 0, 1}, .port = port}, bound;

	server->file = FS_FILE_NONE;
	if (file_kib) {
		uint8_t *data = mem_calloc(file_kib, 1024);

		server->file_len = file_kib * 1024;
		CHECK_OP(fs_open(io->fs, "/tmp/bench_runtime.data", FS_WRITE | FS_CREATE | FS_TRUNCATE, &server->file),
			 ==, ERR_NONE);
		CHECK_OP(fs_pwrite_all(io->fs, server->file, data, server->file_len, 0), ==, ERR_NONE);
		CHECK_OP(io->fs->ops->unlink(io->fs, "/tmp/bench_runtime.data"), ==, ERR_NONE);
		mem_free(data);
	}
	CHECK_OP(node_init(&server->node, 1, &io, 1), ==, ERR_NONE);
	server->accept.kind = IO_ACCEPT;
	server->accept.done = server_accepted;
	CHECK_OP(io->ops->listen(io, &addr, &server->accept.accept.sock, &bound), ==, ERR_NONE);
	io_submit(io, &server->accept);
	reactor_timer(&server->node.reactors[0], &server->timer, 60 * NS_PER_S, server_late);
	node_run(&server->node);
	printf("server requests=%lld cpu_us_per_request=%.2f turns_per_request=%.2f\n", (long long)server->requests,
	       cpu_s() * 1e6 / (double)server->requests,
	       (double)server->node.reactors[0].turns / (double)server->requests);
}

/* ---- echo on a bare loop ---- */

static int bare_listen(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	CHECK_OP(bind(fd, (struct sockaddr *)&in, sizeof(in)), ==, 0);
	CHECK_OP(listen(fd, 512), ==, 0);
	return fd;
}

static void bench_bare(uint16_t port)
{
	int listener = bare_listen(port), epoll_fd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
	char data[65536];
	int64_t requests = 0, end_ns = now_ns() + 60 * NS_PER_S;

	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
	while (now_ns() < end_ns) {
		int n = epoll_wait(epoll_fd, events, 256, 1000);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t len;

			if (fd == listener) {
				event.events = EPOLLIN | EPOLLET;
				event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event);
				continue;
			}
			len = recv(fd, data, sizeof(data), 0);
			if (len <= 0)
				goto end;
			CHECK_OP(send(fd, data, (size_t)len, MSG_NOSIGNAL), ==, len);
			requests++;
		}
	}
end:
	printf("bare requests=%lld cpu_us_per_request=%.2f\n", (long long)requests, cpu_s() * 1e6 / (double)requests);
}

/* ---- load ---- */

static void bench_load(uint16_t port, int conns, double seconds, size_t want)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int epoll_fd = epoll_create1(0), on = 1;
	struct epoll_event events[256];
	size_t *got = mem_calloc(65536, sizeof(*got));
	char *data = mem_calloc(1, 1 << 20);
	int64_t requests = 0, start_ns, end_ns;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < conns; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		CHECK_OP(connect(fd, (struct sockaddr *)&in, sizeof(in)), ==, 0);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
		CHECK_OP(send(fd, data, REQUEST_LEN, 0), ==, REQUEST_LEN);
	}
	start_ns = now_ns();
	end_ns = start_ns + (int64_t)(seconds * 1e9);
	while (now_ns() < end_ns) {
		int n = epoll_wait(epoll_fd, events, 256, 1000);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t len = recv(fd, data, 1 << 20, MSG_DONTWAIT);

			CHECK_OP(len, >, 0);
			got[fd] += (size_t)len;
			if (got[fd] < want)
				continue;
			got[fd] = 0;
			requests++;
			CHECK_OP(send(fd, data, REQUEST_LEN, 0), ==, REQUEST_LEN);
		}
	}
	seconds = (double)(now_ns() - start_ns) / 1e9;
	printf("load conns=%d requests_per_s=%.0f MB_per_s=%.0f\n", conns, (double)requests / seconds,
	       (double)requests * (double)want / seconds / 1e6);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint16_t port = argc > 2 ? (uint16_t)atoi(argv[2]) : 0;

	if (strcmp(what, "hop") == 0) {
		bench_hop(1, 50000);
		bench_hop(64, 50000);
	} else if (strcmp(what, "echo") == 0 && argc > 2) {
		bench_server(port, 0);
	} else if (strcmp(what, "file") == 0 && argc > 3) {
		bench_server(port, (size_t)atoi(argv[3]));
	} else if (strcmp(what, "bare") == 0 && argc > 2) {
		bench_bare(port);
	} else if (strcmp(what, "load") == 0 && argc > 5) {
		bench_load(port, atoi(argv[3]), atof(argv[4]), (size_t)atol(argv[5]));
	} else {
		fprintf(stderr, "usage: bench_runtime hop | echo PORT | bare PORT | file PORT KIB |"
				" load PORT CONNS SECONDS WANT\n");
		return 2;
	}
	return 0;
}
