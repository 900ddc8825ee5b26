/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare loop: one thread and epoll, and of a broker only what cannot be left out. A produce request is
 * received, its batch's checksum verified, the batch written with pwrite and the request answered; a fetch is
 * answered with sendfile (or read and write). ApiVersions, Metadata, CreateTopics and DeleteTopics exist so
 * that the same generator drives it. It is the yardstick: a broker's CPU time and rate are told as multiples.
 *
 *   bench_bare port=P file=F [send=sendfile|copy] [sync=0|1]
 *
 * Invariants:
 * 1. There is one log, in one file. Every partition of every topic is another name for it, so offsets are
 *    shared, and measuring reads needs a topic of one partition.
 * 2. A connection with unsent output (`out`, the file range, or `tail`) parses no further request.
 * 3. At most one fetch waits per connection, which then parses nothing either: so answers keep their order.
 */
#include "bench_bare_log.h"
#include "bench_util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	IN_LEN_MIN = 4 << 10,
	IN_LEN_STEP = 256 << 10, /* once a connection sends frames that do not fit */
	OUT_LEN = 4 << 10,
	ANSWER_LEN_MAX = 512, /* of everything but Metadata, which is alone in its buffer */
	TOPICS_MAX = 256,
	EVENTS_N = 256,
};

struct topic {
	char name[WIRE_TOPIC_LEN_MAX + 1];
	int32_t partitions_n;
};

struct conn {
	int fd;
	bool wants_out;
	uint8_t *in;
	size_t in_len;
	size_t in_cap;
	struct wbuf out;
	size_t out_sent;
	int64_t file_pos;
	size_t file_len; /* still to be sent from the file, after `out` */
	size_t tail_len; /* zero bytes after that */

	bool waits;
	uint64_t wait_until_ns;
	int32_t fetch_correlation;
	int64_t fetch_offset;
	size_t fetch_bytes_max;
	uint8_t fetch_topic_id[16];
	int32_t fetch_partition;
	struct conn *wait_next;
	struct conn *wait_prev;
};

struct bare {
	int epoll_fd;
	int listen_fd;
	uint16_t port;
	bool copies;
	bool syncs;

	struct bare_log log;

	struct topic topics[TOPICS_MAX];
	size_t topics_n;

	struct conn waiting; /* list head */
	uint8_t *scratch;
	size_t scratch_len;
};

/* ---- answers ---- */

static size_t answer_begin(struct wbuf *out, int32_t correlation, bool has_tags)
{
	size_t start = out->len;
	wbuf_i32(out, 0);
	wbuf_i32(out, correlation);
	if (has_tags)
		wbuf_i8(out, 0);
	return start;
}

static void answer_api_versions(struct conn *c, int32_t correlation)
{
	static const int16_t apis[][2] = {
		{ WIRE_PRODUCE, WIRE_PRODUCE_VERSION },
		{ WIRE_FETCH, WIRE_FETCH_VERSION },
		{ WIRE_METADATA, WIRE_METADATA_VERSION },
		{ WIRE_API_VERSIONS, WIRE_API_VERSIONS_VERSION },
		{ WIRE_CREATE_TOPICS, WIRE_CREATE_TOPICS_VERSION },
		{ WIRE_DELETE_TOPICS, WIRE_DELETE_TOPICS_VERSION },
	};
	size_t n = sizeof(apis) / sizeof(apis[0]);
	size_t start = answer_begin(&c->out, correlation, false);
	wbuf_i16(&c->out, 0);
	wbuf_uvarint(&c->out, n + 1);
	for (size_t i = 0; i < n; i++) {
		wbuf_i16(&c->out, apis[i][0]);
		wbuf_i16(&c->out, apis[i][1]);
		wbuf_i16(&c->out, apis[i][1]);
		wbuf_i8(&c->out, 0);
	}
	wbuf_i32(&c->out, 0);
	wbuf_i8(&c->out, 0);
	wire_frame_end(&c->out, start);
}

static size_t topic_find(const struct bare *b, const char *name)
{
	size_t i = 0;
	while (i < b->topics_n && strcmp(b->topics[i].name, name) != 0)
		i++;
	return i;
}

static void put_topic_id(struct wbuf *out, size_t index)
{
	wbuf_i64(out, 0x6261726500000000);
	wbuf_i64(out, (int64_t)index + 1);
}

static void answer_metadata(struct bare *b, struct conn *c, int32_t correlation, struct rbuf r)
{
	char name[WIRE_TOPIC_LEN_MAX + 1];
	rbuf_uvarint(&r);
	rbuf_bytes(&r, 16);
	rbuf_compact_str(&r, name, sizeof(name));
	size_t index = topic_find(b, name);
	bool found = index < b->topics_n;
	struct wbuf *out = &c->out;
	size_t start = answer_begin(out, correlation, true);
	wbuf_i32(out, 0);
	wbuf_uvarint(out, 2);
	wbuf_i32(out, 1);
	wbuf_compact_str(out, "127.0.0.1");
	wbuf_i32(out, b->port);
	wbuf_uvarint(out, 0);
	wbuf_i8(out, 0);
	wbuf_compact_str(out, "bare");
	wbuf_i32(out, 1);
	wbuf_uvarint(out, 2);
	wbuf_i16(out, found ? 0 : 3);
	wbuf_compact_str(out, name);
	put_topic_id(out, found ? index : (size_t)-1);
	wbuf_i8(out, 0);
	int32_t partitions_n = found ? b->topics[index].partitions_n : 0;
	wbuf_uvarint(out, (uint64_t)partitions_n + 1);
	for (int32_t i = 0; i < partitions_n; i++) {
		wbuf_i16(out, 0);
		wbuf_i32(out, i);
		wbuf_i32(out, 1);
		wbuf_i32(out, 0);
		for (int list = 0; list < 2; list++) {
			wbuf_uvarint(out, 2);
			wbuf_i32(out, 1);
		}
		wbuf_uvarint(out, 1);
		wbuf_i8(out, 0);
	}
	wbuf_i32(out, INT32_MIN);
	wbuf_i8(out, 0);
	wbuf_i8(out, 0);
	wire_frame_end(out, start);
}

static void answer_create_topic(struct bare *b, struct conn *c, int32_t correlation, struct rbuf r)
{
	char name[WIRE_TOPIC_LEN_MAX + 1];
	rbuf_uvarint(&r);
	rbuf_compact_str(&r, name, sizeof(name));
	int32_t partitions_n = rbuf_i32(&r);
	size_t index = topic_find(b, name);
	int16_t error = index < b->topics_n ? 36 : 0;
	if (error == 0 && b->topics_n == TOPICS_MAX)
		die("more than %d topics", TOPICS_MAX);
	if (error == 0) {
		struct topic *t = &b->topics[b->topics_n++];
		memcpy(t->name, name, sizeof(t->name));
		t->partitions_n = partitions_n < 1 ? 1 : partitions_n;
	}
	size_t start = answer_begin(&c->out, correlation, true);
	wbuf_i32(&c->out, 0);
	wbuf_uvarint(&c->out, 2);
	wbuf_compact_str(&c->out, name);
	put_topic_id(&c->out, index);
	wbuf_i16(&c->out, error);
	wbuf_uvarint(&c->out, 0);
	wbuf_i32(&c->out, partitions_n);
	wbuf_i16(&c->out, 1);
	wbuf_uvarint(&c->out, 1);
	wbuf_i8(&c->out, 0);
	wbuf_i8(&c->out, 0);
	wire_frame_end(&c->out, start);
}

static void answer_delete_topic(struct bare *b, struct conn *c, int32_t correlation, struct rbuf r)
{
	char name[WIRE_TOPIC_LEN_MAX + 1];
	rbuf_uvarint(&r);
	rbuf_compact_str(&r, name, sizeof(name));
	size_t index = topic_find(b, name);
	bool found = index < b->topics_n;
	if (found) {
		b->topics[index].name[0] = 0; /* keeps the place, so that ids stay */
		bare_log_clear(&b->log);
	}
	size_t start = answer_begin(&c->out, correlation, true);
	wbuf_i32(&c->out, 0);
	wbuf_uvarint(&c->out, 2);
	wbuf_compact_str(&c->out, name);
	put_topic_id(&c->out, index);
	wbuf_i16(&c->out, found ? 0 : 3);
	wbuf_uvarint(&c->out, 0);
	wbuf_i8(&c->out, 0);
	wbuf_i8(&c->out, 0);
	wire_frame_end(&c->out, start);
}

/* One topic and one partition, as the generator sends them. Returns false when the frame is malformed. */
static bool answer_produce(struct bare *b, struct conn *c, int32_t correlation, struct rbuf r)
{
	char name[WIRE_TOPIC_LEN_MAX + 1];
	rbuf_uvarint(&r);
	int16_t acks = rbuf_i16(&r);
	rbuf_i32(&r);
	rbuf_uvarint(&r);
	rbuf_compact_str(&r, name, sizeof(name));
	rbuf_uvarint(&r);
	int32_t partition = rbuf_i32(&r);
	uint64_t records = rbuf_uvarint(&r);
	uint8_t *batch = (uint8_t *)(uintptr_t)rbuf_bytes(&r, records - 1);
	size_t batch_len = 0;
	if (r.bad)
		return false;
	bool is_valid = wire_batch_is_valid(batch, records - 1, &batch_len) && batch_len == records - 1;
	int16_t error = is_valid ? 0 : 2;
	int64_t base = error == 0 ? bare_log_append(&b->log, batch, batch_len) : -1;
	if (error == 0 && b->syncs && fdatasync(b->log.fd) != 0)
		die("fdatasync: %s", strerror(errno));
	if (acks != 0) {
		struct wbuf *out = &c->out;
		size_t start = answer_begin(out, correlation, true);
		wbuf_uvarint(out, 2);
		wbuf_compact_str(out, name);
		wbuf_uvarint(out, 2);
		wbuf_i32(out, partition);
		wbuf_i16(out, error);
		wbuf_i64(out, base);
		wbuf_i64(out, -1);
		wbuf_i64(out, 0);
		wbuf_uvarint(out, 1);
		wbuf_uvarint(out, 0);
		wbuf_i8(out, 0);
		wbuf_i8(out, 0);
		wbuf_i32(out, 0);
		wbuf_i8(out, 0);
		wire_frame_end(out, start);
	}
	return true;
}

/* Starts the answer of the fetch that `c` remembers. */
static void answer_fetch(struct bare *b, struct conn *c)
{
	bool is_inside = c->fetch_offset < b->log.offset_end;
	int64_t pos = is_inside ? bare_log_find(&b->log, c->fetch_offset) : b->log.len;
	size_t len = (size_t)(b->log.len - pos);
	len = len < c->fetch_bytes_max ? len : c->fetch_bytes_max;
	struct wbuf *out = &c->out;
	size_t start = answer_begin(out, c->fetch_correlation, true);
	wbuf_i32(out, 0);
	wbuf_i16(out, 0);
	wbuf_i32(out, 0);
	wbuf_uvarint(out, 2);
	wbuf_bytes(out, c->fetch_topic_id, 16);
	wbuf_uvarint(out, 2);
	wbuf_i32(out, c->fetch_partition);
	wbuf_i16(out, c->fetch_offset > b->log.offset_end ? 1 : 0);
	wbuf_i64(out, b->log.offset_end);
	wbuf_i64(out, b->log.offset_end);
	wbuf_i64(out, 0);
	wbuf_uvarint(out, 0);
	wbuf_i32(out, -1);
	wbuf_uvarint(out, len + 1);
	c->file_pos = pos;
	c->file_len = len;
	c->tail_len = 3;
	wbuf_patch_i32(out, start, (int32_t)(out->len - start - 4 + len + 3));
}

static void wait_remove(struct conn *c)
{
	c->waits = false;
	c->wait_prev->wait_next = c->wait_next;
	c->wait_next->wait_prev = c->wait_prev;
}

static void wait_add(struct bare *b, struct conn *c, int32_t max_wait_ms)
{
	c->waits = true;
	c->wait_until_ns = clock_now_ns() + (uint64_t)max_wait_ms * 1000000;
	c->wait_prev = b->waiting.wait_prev;
	c->wait_next = &b->waiting;
	c->wait_prev->wait_next = c;
	b->waiting.wait_prev = c;
}

static bool take_fetch(struct bare *b, struct conn *c, int32_t correlation, struct rbuf r)
{
	int32_t max_wait_ms = rbuf_i32(&r);
	int32_t min_bytes = rbuf_i32(&r);
	rbuf_bytes(&r, 4 + 1 + 4 + 4);
	rbuf_uvarint(&r);
	memcpy(c->fetch_topic_id, rbuf_bytes(&r, 16), 16);
	rbuf_uvarint(&r);
	c->fetch_partition = rbuf_i32(&r);
	rbuf_i32(&r);
	c->fetch_offset = rbuf_i64(&r);
	rbuf_bytes(&r, 4 + 8);
	c->fetch_bytes_max = (size_t)rbuf_i32(&r);
	c->fetch_correlation = correlation;
	if (r.bad)
		return false;
	if (c->fetch_offset == b->log.offset_end && min_bytes > 0 && max_wait_ms > 0)
		wait_add(b, c, max_wait_ms);
	else
		answer_fetch(b, c);
	return true;
}

/* ---- connections ---- */

static void conn_close(struct conn *c)
{
	if (c->waits)
		wait_remove(c);
	close(c->fd);
	free(c->in);
	wbuf_deinit(&c->out);
	free(c);
}

static bool conn_has_output(const struct conn *c)
{
	return c->out_sent < c->out.len || c->file_len > 0 || c->tail_len > 0;
}

static bool send_some(struct conn *c, const uint8_t *p, size_t len, int flags, size_t *ret_sent)
{
	ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL | flags);
	if (n < 0 && errno != EAGAIN)
		return false;
	*ret_sent = n < 0 ? 0 : (size_t)n;
	return true;
}

static bool file_send_some(struct bare *b, struct conn *c, size_t *ret_sent)
{
	if (!b->copies) {
		off_t pos = c->file_pos;
		ssize_t n = sendfile(c->fd, b->log.fd, &pos, c->file_len);
		if (n < 0 && errno != EAGAIN)
			return false;
		*ret_sent = n < 0 ? 0 : (size_t)n;
		return true;
	}
	size_t want = c->file_len < b->scratch_len ? c->file_len : b->scratch_len;
	ssize_t n = pread(b->log.fd, b->scratch, want, c->file_pos);
	return n > 0 && send_some(c, b->scratch, (size_t)n, MSG_MORE, ret_sent);
}

/* Sends what the socket takes. False when the connection is broken. */
static bool conn_flush(struct bare *b, struct conn *c)
{
	static const uint8_t zeros[3];
	size_t sent = 0;
	while (c->out_sent < c->out.len) {
		int flags = c->file_len > 0 ? MSG_MORE : 0;
		if (!send_some(c, c->out.p + c->out_sent, c->out.len - c->out_sent, flags, &sent))
			return false;
		if (sent == 0)
			return true;
		c->out_sent += sent;
	}
	c->out.len = 0;
	c->out_sent = 0;
	while (c->file_len > 0) {
		if (!file_send_some(b, c, &sent))
			return false;
		if (sent == 0)
			return true;
		c->file_pos += (int64_t)sent;
		c->file_len -= sent;
	}
	if (c->tail_len > 0) {
		if (!send_some(c, zeros, c->tail_len, 0, &sent))
			return false;
		c->tail_len -= sent;
	}
	return true;
}

static void conn_watch(struct bare *b, struct conn *c)
{
	bool wants_out = conn_has_output(c);
	if (wants_out == c->wants_out)
		return;
	c->wants_out = wants_out;
	struct epoll_event e = { .events = wants_out ? EPOLLOUT : EPOLLIN, .data.ptr = c };
	if (epoll_ctl(b->epoll_fd, EPOLL_CTL_MOD, c->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

/* One request without its size. */
static bool conn_request(struct bare *b, struct conn *c, uint8_t *p, size_t len)
{
	struct rbuf r = rbuf_of(p, len);
	int16_t api = rbuf_i16(&r);
	int16_t version = rbuf_i16(&r);
	int32_t correlation = rbuf_i32(&r);
	int16_t client_len = rbuf_i16(&r);
	rbuf_bytes(&r, client_len > 0 ? (size_t)client_len : 0);
	rbuf_tags(&r);
	if (r.bad)
		return false;
	if (api == WIRE_PRODUCE && version == WIRE_PRODUCE_VERSION)
		return answer_produce(b, c, correlation, r);
	if (api == WIRE_FETCH && version == WIRE_FETCH_VERSION)
		return take_fetch(b, c, correlation, r);
	if (api == WIRE_API_VERSIONS && version == WIRE_API_VERSIONS_VERSION)
		answer_api_versions(c, correlation);
	else if (api == WIRE_METADATA && version == WIRE_METADATA_VERSION)
		answer_metadata(b, c, correlation, r);
	else if (api == WIRE_CREATE_TOPICS && version == WIRE_CREATE_TOPICS_VERSION)
		answer_create_topic(b, c, correlation, r);
	else if (api == WIRE_DELETE_TOPICS && version == WIRE_DELETE_TOPICS_VERSION)
		answer_delete_topic(b, c, correlation, r);
	else
		return false;
	return true;
}

/* Handles all whole frames, then flushes. False when the connection is to be closed. */
static bool conn_parse(struct bare *b, struct conn *c)
{
	size_t at = 0;
	bool is_fine = true;
	while (is_fine && !c->waits && c->file_len == 0 && c->tail_len == 0 && c->in_len - at >= 4) {
		int32_t len = wire_get_i32(c->in + at);
		if (len < 8 || len > WIRE_FRAME_LEN_MAX)
			return false;
		if (c->in_len - at - 4 < (size_t)len)
			break;
		is_fine = conn_request(b, c, c->in + at + 4, (size_t)len);
		at += 4 + (size_t)len;
		if (c->out.len > OUT_LEN - ANSWER_LEN_MAX) {
			is_fine = is_fine && conn_flush(b, c);
			if (conn_has_output(c))
				break;
		}
	}
	if (at > 0) {
		memmove(c->in, c->in + at, c->in_len - at);
		c->in_len -= at;
	}
	return is_fine && conn_flush(b, c);
}

static bool conn_readable(struct bare *b, struct conn *c)
{
	if (c->in_len == c->in_cap) {
		size_t frame = (size_t)wire_get_i32(c->in) + 4;
		c->in_cap = frame > IN_LEN_STEP ? frame * 2 : IN_LEN_STEP;
		c->in = realloc(c->in, c->in_cap);
		if (c->in == NULL)
			die("out of memory");
	}
	ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	c->in_len += (size_t)n;
	return c->waits || conn_parse(b, c);
}

static void conn_event(struct bare *b, struct conn *c, uint32_t events)
{
	bool is_fine = true;
	if (events & EPOLLOUT)
		is_fine = conn_flush(b, c) && (conn_has_output(c) || conn_parse(b, c));
	else
		is_fine = conn_readable(b, c);
	if (is_fine)
		conn_watch(b, c);
	else
		conn_close(c);
}

static void wake_waiting(struct bare *b)
{
	uint64_t now = b->waiting.wait_next == &b->waiting ? 0 : clock_now_ns();
	for (struct conn *c = b->waiting.wait_next; c != &b->waiting;) {
		struct conn *next = c->wait_next;
		if (c->fetch_offset < b->log.offset_end || now >= c->wait_until_ns) {
			wait_remove(c);
			answer_fetch(b, c);
			if (conn_flush(b, c) && (conn_has_output(c) || conn_parse(b, c)))
				conn_watch(b, c);
			else
				shutdown(c->fd, SHUT_RDWR); /* closed by its own event */
		}
		c = next;
	}
}

static void accept_all(struct bare *b)
{
	for (;;) {
		int fd = accept4(b->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		int one = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		struct conn *c = calloc(1, sizeof(*c));
		if (c == NULL)
			die("out of memory");
		c->fd = fd;
		c->in_cap = IN_LEN_MIN;
		c->in = malloc(c->in_cap);
		if (c->in == NULL)
			die("out of memory");
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
			die("epoll_ctl: %s", strerror(errno));
	}
}

static void listen_open(struct bare *b)
{
	int one = 1;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(b->port) };
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(b->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(b->listen_fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(b->listen_fd, 4096) != 0)
		die("port %u: %s", (unsigned)b->port, strerror(errno));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->listen_fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct bare *b = calloc(1, sizeof(*b));
	if (b == NULL)
		die("out of memory");
	struct args args = args_of(argv + 1, argc - 1);
	const char *path = args_str(&args, "file", "bench-bare.log");
	b->port = (uint16_t)args_int(&args, "port", 21900);
	b->copies = strcmp(args_str(&args, "send", "sendfile"), "copy") == 0;
	b->syncs = args_int(&args, "sync", 0) != 0;
	args_finish(&args);
	fd_limit_raise(16384);
	b->waiting.wait_next = &b->waiting;
	b->waiting.wait_prev = &b->waiting;
	b->scratch_len = 128 << 10;
	b->scratch = malloc(b->scratch_len);
	if (b->scratch == NULL)
		die("out of memory");
	bare_log_open(&b->log, path);
	b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listen_open(b);
	struct epoll_event events[EVENTS_N];
	for (;;) {
		int timeout_ms = b->waiting.wait_next == &b->waiting ? -1 : 20;
		int n = epoll_wait(b->epoll_fd, events, EVENTS_N, timeout_ms);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				accept_all(b);
			else
				conn_event(b, events[i].data.ptr, events[i].events);
		}
		wake_waiting(b);
	}
}
