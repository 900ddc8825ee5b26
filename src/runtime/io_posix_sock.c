/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the posix backend: the table, listening, accepting, connecting, receiving, handing over and closing.
 *
 * 1. socks[fd] is the socket with descriptor fd, of this reactor only. The descriptor is closed, and so its number
 *    free for the kernel, when the socket is closing and neither op is under way nor being told.
 * 2. is_readable and is_writable are false only after the system said "would block" (or came short) while the
 *    socket was watched, so an edge will follow. A short receive is as good as EAGAIN, except once the peer has
 *    hung up: that edge has been.
 * 3. A socket joins the epoll set at its first wait, so one that is handed to another reactor at once never does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs_posix.h"
#include "io_posix.h"
#include "log.h"
#include "mem.h"

/* A new receive block is begun when less than this is left. */
#define POSIX_RECV_ROOM_MIN (16 * 1024)
#define POSIX_BACKLOG 4096
#define POSIX_ACCEPT_TRIES_MAX 64
#define POSIX_STARVED_NS (100 * NS_PER_MS)
#define POSIX_STARVED_LOG_NS (10 * NS_PER_S)
#define POSIX_SEND_CHUNK_START (64 * 1024)

enum err posix_net_error(int number)
{
	switch (number) {
	case ECONNREFUSED:
		return ERR_CONNECTION_REFUSED;
	case EADDRINUSE:
		return ERR_ADDRESS_IN_USE;
	case EACCES:
	case EPERM:
		return ERR_ACCESS;
	case EMFILE:
	case ENFILE:
		return ERR_TOO_MANY_FILES;
	case EADDRNOTAVAIL:
		return ERR_NOT_FOUND;
	case EAFNOSUPPORT:
		return ERR_NOT_SUPPORTED;
	default:
		return ERR_DISCONNECTED;
	}
}

/* Failures after which waiting for a descriptor or memory helps. */
static bool posix_is_starvation(int number)
{
	return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

static struct posix_sock *posix_sock_add(struct io_posix *io, int fd)
{
	struct posix_sock *sock = MEM_NEW(struct posix_sock);

	if ((size_t)fd >= io->socks_n) {
		size_t n = MAX((size_t)fd + 1, io->socks_n * 2);

		io->socks = mem_realloc(io->socks, n * sizeof(*io->socks));
		memset(io->socks + io->socks_n, 0, (n - io->socks_n) * sizeof(*io->socks));
		io->socks_n = n;
	}
	CHECK(!io->socks[fd]);
	io->socks[fd] = sock;
	sock->fd = fd;
	sock->is_readable = true;
	sock->is_writable = true;
	sock->send_chunk = POSIX_SEND_CHUNK_START;
	return sock;
}

struct posix_sock *posix_sock_find(struct io_posix *io, io_sock number)
{
	return number >= 0 && (size_t)number < io->socks_n ? io->socks[number] : NULL;
}

struct posix_sock *posix_sock_get(struct io_posix *io, io_sock number)
{
	struct posix_sock *sock = posix_sock_find(io, number);

	CHECK(sock);
	CHECK(!sock->is_closing);
	return sock;
}

void posix_sock_watch(struct io_posix *io, struct posix_sock *sock)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = sock};

	if (sock->is_watched)
		return;
	if (epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, sock->fd, &event) == 0) {
		sock->is_watched = true;
		return;
	}
	/* Beyond the limit of watches: nothing would ever end the wait, so the connection ends. */
	shutdown(sock->fd, SHUT_RDWR);
	sock->has_hung_up = true;
	sock->is_readable = true;
	sock->is_writable = true;
	posix_make_ready(io, sock);
}

/* Takes the socket out of every structure; the descriptor stays open. */
static void posix_sock_detach(struct io_posix *io, struct posix_sock *sock)
{
	list_remove(&sock->ready_node);
	posix_load_drop(sock);
	io->socks[sock->fd] = NULL;
	mem_free(sock);
}

void posix_sock_maybe_free(struct io_posix *io, struct posix_sock *sock)
{
	int fd = sock->fd;

	if (!sock->is_closing || sock->in || sock->out || sock->busy)
		return;
	posix_sock_detach(io, sock);
	close(fd);
}

static void posix_addr_take(const struct sockaddr_storage *from, struct io_addr *ret)
{
	*ret = (struct io_addr){0};
	if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;

		memcpy(ret->ip, &in6->sin6_addr, 16);
		ret->is_v6 = true;
		ret->port = ntohs(in6->sin6_port);
	} else if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;

		memcpy(ret->ip, &in->sin_addr, 4);
		ret->port = ntohs(in->sin_port);
	}
}

static socklen_t posix_addr_give(const struct io_addr *addr, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (addr->is_v6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(addr->port);
		memcpy(&in6->sin6_addr, addr->ip, 16);
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;

	in->sin_family = AF_INET;
	in->sin_port = htons(addr->port);
	memcpy(&in->sin_addr, addr->ip, 4);
	return sizeof(*in);
}

void io_addr_format(const struct io_addr *addr, char ret[IO_ADDR_TEXT_MAX])
{
	if (addr->is_v6) {
		CHECK(inet_ntop(AF_INET6, addr->ip, ret, IO_ADDR_TEXT_MAX) != NULL);
		return;
	}
	/* Many requests want it: without the detour through printf that inet_ntop makes. */
	for (int i = 0; i < 4; i++) {
		uint8_t n = addr->ip[i];

		if (n >= 100)
			*ret++ = (char)('0' + n / 100);
		if (n >= 10)
			*ret++ = (char)('0' + n / 10 % 10);
		*ret++ = (char)('0' + n % 10);
		*ret++ = i < 3 ? '.' : 0;
	}
}

static void posix_set_flag(int fd, int level, int name)
{
	int on = 1;

	/* What the system refuses here costs speed, not correctness. */
	(void)setsockopt(fd, level, name, &on, sizeof(on));
}

enum err posix_listen(struct io *base, const struct io_addr *addr, io_sock *ret, struct io_addr *ret_bound)
{
	struct sockaddr_storage name;
	socklen_t name_len = posix_addr_give(addr, &name);
	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int number;

	if (fd < 0)
		return posix_net_error(errno);
	posix_set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	/* Accepted sockets inherit these two, which saves a call for each. */
	posix_set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	posix_set_flag(fd, SOL_SOCKET, SO_KEEPALIVE);
	if (addr->is_v6)
		posix_set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (bind(fd, (struct sockaddr *)&name, name_len) < 0 || listen(fd, POSIX_BACKLOG) < 0)
		goto fail;
	name_len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &name_len) < 0)
		goto fail;
	posix_sock_add(io_posix_of(base), fd);
	posix_addr_take(&name, ret_bound);
	*ret = fd;
	return ERR_NONE;
fail:
	number = errno;
	close(fd);
	return posix_net_error(number);
}

static void posix_accept_starve(struct io_posix *io, struct posix_sock *sock, int number)
{
	int64_t now_ns = posix_now_ns();

	io->starved_until_ns = now_ns + POSIX_STARVED_NS;
	list_remove(&sock->ready_node);
	list_push_back(&io->starved, &sock->ready_node);
	if (now_ns < io->starved_log_ns)
		return;
	io->starved_log_ns = now_ns + POSIX_STARVED_LOG_NS;
	log_warn("io.accept_starved", "errno=%d retry_ms=%d", number, (int)(POSIX_STARVED_NS / NS_PER_MS));
}

void posix_accept(struct io_posix *io, struct posix_sock *sock)
{
	struct sockaddr_storage peer;

	for (int tries = 0; sock->is_readable && tries < POSIX_ACCEPT_TRIES_MAX; tries++) {
		socklen_t peer_len = sizeof(peer);
		int fd = accept4(sock->fd, (struct sockaddr *)&peer, &peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			posix_sock_add(io, fd);
			posix_addr_take(&peer, &sock->in->accept.peer);
			posix_end(io, sock->in, ERR_NONE, fd);
			return;
		}
		if (errno == EAGAIN) {
			if (sock->is_watched)
				sock->is_readable = false;
			else
				posix_sock_watch(io, sock);
		} else if (posix_is_starvation(errno)) {
			posix_accept_starve(io, sock, errno);
			return;
		} else if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK || errno == EOPNOTSUPP) {
			posix_end(io, sock->in, posix_net_error(errno), 0);
			return;
		}
		/* Else the connection went away while it waited in the backlog: the next one. */
	}
	if (sock->is_readable)
		posix_make_ready(io, sock);
}

void posix_connect(struct io_posix *io, struct io_op *op)
{
	struct sockaddr_storage name;
	socklen_t name_len = posix_addr_give(&op->connect.addr, &name);
	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct posix_sock *sock;

	if (fd < 0) {
		posix_end(io, op, posix_net_error(errno), IO_SOCK_NONE);
		return;
	}
	posix_set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	posix_set_flag(fd, SOL_SOCKET, SO_KEEPALIVE);
	sock = posix_sock_add(io, fd);
	sock->out = op;
	op->result = fd;
	if (connect(fd, (struct sockaddr *)&name, name_len) == 0) {
		posix_end(io, op, ERR_NONE, fd);
	} else if (errno == EINPROGRESS || errno == EINTR) {
		sock->is_readable = false;
		sock->is_writable = false;
		posix_sock_watch(io, sock);
	} else {
		posix_end(io, op, posix_net_error(errno), fd);
	}
}

static void posix_connect_finish(struct io_posix *io, struct posix_sock *sock)
{
	int number = 0;
	socklen_t len = sizeof(number);

	if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &number, &len) < 0)
		number = errno;
	if (number == 0 && !sock->is_watched)
		number = ENOMEM;
	posix_end(io, sock->out, number ? posix_net_error(number) : ERR_NONE, sock->fd);
}

/* The block to receive into, with room. */
static struct buf *posix_recv_block(struct io_posix *io)
{
	struct buf *block = io->recv_block;

	/* Nobody kept anything of it: filling it again from the start stays in the cache. */
	if (block && block->refs == 1)
		block->len = 0;
	if (block && block->cap - block->len < MIN((size_t)POSIX_RECV_ROOM_MIN, block->cap)) {
		buf_unref(block);
		block = NULL;
	}
	if (!block)
		block = buf_new(&io->recv_pool, io->recv_pool.block_len);
	io->recv_block = block;
	return block;
}

static void posix_recv_end(struct io_posix *io, struct io_op *op, struct buf *block, size_t n)
{
	op->recv.buf = block;
	op->recv.got = (struct bytes){block->data + block->len, n};
	block->len += n;
	if (!op->recv.into)
		buf_ref(block);
	io->bytes_left -= (int64_t)n;
	posix_end(io, op, ERR_NONE, (int64_t)n);
}

void posix_recv(struct io_posix *io, struct posix_sock *sock)
{
	struct io_op *op = sock->in;

	while (sock->is_readable) {
		struct buf *block = op->recv.into ? op->recv.into : posix_recv_block(io);
		size_t room = block->cap - block->len;
		ssize_t n = recv(sock->fd, block->data + block->len, room, 0);

		if (n > 0) {
			if ((size_t)n < room && sock->is_watched && !sock->has_hung_up)
				sock->is_readable = false;
			posix_recv_end(io, op, block, (size_t)n);
			return;
		}
		if (n == 0) {
			posix_end(io, op, ERR_NONE, 0);
			return;
		}
		if (errno == EAGAIN) {
			/* Joining the set tells at once if something came in between. */
			if (sock->is_watched && !sock->has_hung_up) {
				sock->is_readable = false;
				return;
			}
			if (sock->is_watched) {
				/* Hung up means an end or an error is there to be read. */
				posix_end(io, op, ERR_DISCONNECTED, 0);
				return;
			}
			sock->is_readable = false;
			posix_sock_watch(io, sock);
			return;
		}
		if (errno != EINTR) {
			posix_end(io, op, posix_net_error(errno), 0);
			return;
		}
	}
}

void posix_sock_progress(struct io_posix *io, struct posix_sock *sock)
{
	if (sock->in && sock->in->stage == POSIX_WAITING && sock->is_readable) {
		if (sock->in->kind == IO_ACCEPT)
			posix_accept(io, sock);
		else
			posix_recv(io, sock);
	}
	if (sock->out && sock->out->stage == POSIX_WAITING && sock->is_writable) {
		if (sock->out->kind == IO_CONNECT)
			posix_connect_finish(io, sock);
		else
			posix_send(io, sock);
	}
}

void posix_sock_forget(struct io *base, io_sock number)
{
	struct io_posix *io = io_posix_of(base);
	struct posix_sock *sock = posix_sock_get(io, number);

	CHECK(!sock->in);
	CHECK(!sock->out);
	CHECK_OP(sock->busy, ==, 0);
	if (sock->is_watched)
		CHECK_OP(epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, sock->fd, NULL), ==, 0);
	posix_sock_detach(io, sock);
}

void posix_sock_adopt(struct io *base, io_sock number)
{
	CHECK_OP(number, >=, 0);
	posix_sock_add(io_posix_of(base), (int)number);
}

void posix_sock_close(struct io *base, io_sock number)
{
	struct io_posix *io = io_posix_of(base);
	struct posix_sock *sock = posix_sock_get(io, number);

	sock->is_closing = true;
	if (sock->in)
		base->ops->cancel(base, sock->in);
	if (sock->out)
		base->ops->cancel(base, sock->out);
	posix_sock_maybe_free(io, sock);
}

void posix_socks_free(struct io_posix *io)
{
	for (size_t i = 0; i < io->socks_n; i++) {
		if (!io->socks[i])
			continue;
		posix_sock_detach(io, io->socks[i]);
		close((int)i);
	}
	mem_free(io->socks);
	io->socks = NULL;
	io->socks_n = 0;
}

enum err posix_resolve(struct io *base, const char *host, struct io_addr *ret, int max, int *ret_n)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *all;
	int n = 0;

	if (getaddrinfo(host, NULL, &hints, &all) != 0)
		return ERR_NOT_FOUND;
	for (struct addrinfo *info = all; info && n < max; info = info->ai_next) {
		struct sockaddr_storage name = {0};
		bool is_known = false;

		if (info->ai_addrlen > sizeof(name) ||
		    (info->ai_family != AF_INET && info->ai_family != AF_INET6))
			continue;
		memcpy(&name, info->ai_addr, info->ai_addrlen);
		posix_addr_take(&name, &ret[n]);
		for (int i = 0; i < n; i++)
			is_known = is_known || (ret[i].is_v6 == ret[n].is_v6 && memcmp(ret[i].ip, ret[n].ip, 16) == 0);
		n += is_known ? 0 : 1;
	}
	freeaddrinfo(all);
	*ret_n = n;
	return n ? ERR_NONE : ERR_NOT_FOUND;
}
