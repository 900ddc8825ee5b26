/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading what is in the page cache. The partitions are filled first; then they are walked once with real
 * fetches, which checks the length and the checksum of every batch and notes the offset at which each next
 * request starts. The measured part repeats exactly these requests, prebuilt. It looks at the header of every
 * answer and lets the kernel drop the records (MSG_TRUNC), or copies them out with discard=0.
 */

#include "bench_engine.h"
#include "bench_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HEAD_LEN_MAX = 4096, /* of an answer: more than what stands before its records, but for many aborts */
	SCRATCH_LEN = 1 << 20,
	CONNS_MAX = 256,
};

struct fetch_request {
	struct wbuf frame;
	size_t records_len; /* that the walk saw */
	uint64_t records_n;
};

struct fetch_conn {
	int fd;
	size_t request; /* the one outstanding */
	uint64_t start_ns;
	uint8_t head[HEAD_LEN_MAX];
	size_t head_len;
	size_t left; /* bytes of the answer still to come, once the head is complete */
	size_t records_len; /* of the answer */
	bool head_done;
};

struct fetch_run {
	struct target target;
	struct window window;
	struct hist *latency;
	struct fetch_request *requests;
	size_t requests_n;
	size_t requests_cap;
	size_t next;
	size_t aborted_n; /* named by all answers of the walk */
	uint64_t bytes;
	uint64_t records_n;
	uint8_t *scratch; /* NULL: drop */
	bool measures;
	struct fetch_conn conns[CONNS_MAX];
	size_t conns_n;
};

static void fill_done(struct producers *p, struct pconn *c, uint64_t start_ns, uint64_t now_ns,
			 int64_t base_offset, int16_t error)
{
	uint64_t *left = p->user;
	(void)start_ns;
	(void)base_offset;
	if (error != 0)
		die("filling: error %d", error);
	if (*left > 0) {
		--*left;
		producers_send(p, c, now_ns);
	}
}

static void fill(const struct target *t, int control, int32_t partitions_n, size_t value_len,
		 size_t batch_len, uint64_t bytes)
{
	uint64_t left = bytes / batch_len + 1;
	struct producers p = {
		.port = t->port,
		.topic = t->topic,
		.acks = -1,
		.partitions_n = partitions_n,
		.value_len = value_len,
		.batch_len = batch_len,
		.conns_n = 1,
		.inflight_max = 5,
		.done = fill_done,
		.user = &left,
	};
	producers_open(&p);
	for (int32_t i = 0; i < partitions_n; i++)
		topic_produce_one(control, t->topic, i, &p.batches[0]);
	for (uint32_t i = 0; i < p.inflight_max && left > 0; i++, left--)
		producers_send(&p, &p.conns[0], clock_now_ns());
	producers_flush(&p, &p.conns[0]);
	producers_drain(&p);
	producers_close(&p);
}

/* Checks the batches of one answer; how many records they hold, and the offset behind them. */
static uint64_t answer_check(const uint8_t *p, size_t len, int64_t *offset)
{
	uint64_t records_n = 0;
	while (len >= WIRE_BATCH_HEADER_LEN && (size_t)wire_get_i32(p + 8) + 12 <= len) {
		size_t batch_len = 0;
		if (!wire_batch_is_valid(p, len, &batch_len))
			die("a fetched batch at offset %lld is damaged", (long long)wire_get_i64(p));
		int64_t next = wire_get_i64(p) + wire_get_i32(p + 23) + 1;
		if (next <= *offset)
			die("offset %lld came twice", (long long)next - 1);
		*offset = next;
		records_n += (uint64_t)wire_get_i32(p + 57);
		p += batch_len;
		len -= batch_len;
	}
	return records_n;
}

static void request_add(struct fetch_run *run, struct fetch_request request)
{
	if (run->requests_n == run->requests_cap) {
		run->requests_cap = run->requests_cap == 0 ? 256 : run->requests_cap * 2;
		run->requests = realloc(run->requests, run->requests_cap * sizeof(*run->requests));
		if (run->requests == NULL)
			die("out of memory");
	}
	run->requests[run->requests_n++] = request;
}

static void walk(struct fetch_run *run, int fd, struct wire_fetch_args args)
{
	struct wbuf in = { 0 };
	for (;;) {
		struct fetch_request request = { 0 };
		struct wire_fetched fetched;
		wire_fetch(&request.frame, &args);
		net_send(fd, request.frame.p, request.frame.len);
		if (!net_receive(fd, &in) || !wire_fetch_parse(rbuf_of(in.p, in.len), &fetched) ||
		    fetched.error != 0)
			die("walking partition %d at %lld: error %d", args.partition,
			    (long long)args.offset,
			    fetched.error);
		if (fetched.records_at + fetched.records_len > in.len)
			die("a Fetch answer ends inside its records");
		request.records_len = fetched.records_len;
		request.records_n = answer_check(in.p + fetched.records_at, fetched.records_len,
						 &args.offset);
		if (request.records_n == 0) {
			if (args.offset < fetched.high_watermark)
				die("no records at offset %lld", (long long)args.offset);
			wbuf_deinit(&request.frame);
			break;
		}
		run->aborted_n += fetched.aborted_n;
		request_add(run, request);
	}
	wbuf_deinit(&in);
}

static void request_send(struct fetch_run *run, struct fetch_conn *c, uint64_t now_ns)
{
	c->request = run->next++ % run->requests_n;
	c->head_len = 0;
	c->head_done = false;
	c->start_ns = now_ns;
	const struct wbuf *frame = &run->requests[c->request].frame;
	if (send(c->fd, frame->p, frame->len, MSG_NOSIGNAL) != (ssize_t)frame->len)
		die("send: %s", strerror(errno));
}

static ssize_t receive(struct fetch_conn *c, void *p, size_t len, int flags)
{
	ssize_t n = recv(c->fd, p, len, MSG_DONTWAIT | flags);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the server closed a connection");
	return n;
}

/* How much of the answer is looked at, once its size is here. */
static size_t head_len_of(const struct fetch_conn *c)
{
	size_t len = (size_t)(uint32_t)wire_get_i32(c->head) + 4;
	return len < sizeof(c->head) ? len : sizeof(c->head);
}

/* Takes what has come. */
static void conn_read(struct fetch_run *run, struct fetch_conn *c)
{
	for (;;) {
		if (!c->head_done) {
			/* The size alone first: a short answer has no full head. */
			size_t head_len = c->head_len < 4 ? 4 : head_len_of(c);
			ssize_t n = receive(c, c->head + c->head_len, head_len - c->head_len, 0);
			if (n < 0)
				return;
			c->head_len += (size_t)n;
			if (c->head_len < 4 || c->head_len < head_len_of(c))
				continue;
			struct wire_fetched fetched;
			size_t len = (size_t)(uint32_t)wire_get_i32(c->head);
			if (!wire_fetch_parse(rbuf_of(c->head + 4, c->head_len - 4), &fetched) ||
			    fetched.error != 0 || fetched.records_len == 0)
				/* Where an answer is cut is the server's matter and may change. */
				die("a Fetch was not answered with records: error %d, %zu bytes",
				    fetched.error,
				    fetched.records_len);
			c->records_len = fetched.records_len;
			c->left = len + 4 - c->head_len;
			c->head_done = true;
		}
		while (c->left > 0) {
			size_t want = c->left < SCRATCH_LEN ? c->left : SCRATCH_LEN;
			ssize_t n = receive(c, run->scratch, want, run->scratch == NULL ? MSG_TRUNC : 0);
			if (n < 0)
				return;
			c->left -= (size_t)n;
		}
		uint64_t now = clock_now_ns();
		if (run->measures) {
			hist_add(run->latency, now - c->start_ns);
			const struct fetch_request *request = &run->requests[c->request];

			run->bytes += c->records_len;
			run->records_n += request->records_n * c->records_len / request->records_len;
		}
		request_send(run, c, now);
	}
}

static void loop_until(struct fetch_run *run, int epoll_fd, uint64_t end_ns)
{
	struct epoll_event events[CONNS_MAX];
	for (uint64_t now = clock_now_ns(); now < end_ns; now = clock_now_ns()) {
		int n = epoll_wait(epoll_fd, events, CONNS_MAX, 10);
		for (int i = 0; i < n; i++)
			conn_read(run, events[i].data.ptr);
		if (run->measures)
			window_tick(&run->window, &run->target, now);
	}
}

static int conns_open(struct fetch_run *run)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < run->conns_n; i++) {
		struct fetch_conn *c = &run->conns[i];
		c->fd = net_connect_wait(run->target.port, 1000);
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0)
			die("epoll_ctl: %s", strerror(errno));
		run->next = run->requests_n * i / run->conns_n;
		request_send(run, c, clock_now_ns());
	}
	return epoll_fd;
}

void mode_fetch(struct args *args)
{
	struct fetch_run *run = calloc(1, sizeof(*run));
	if (run == NULL)
		die("out of memory");
	run->target = target_of(args);
	run->latency = hist_new();
	run->conns_n = (size_t)args_int(args, "conns", 2);
	int32_t partitions_n = (int32_t)args_int(args, "partitions", 1);
	size_t value_len = (size_t)args_int(args, "record", 1024);
	size_t batch_len = (size_t)args_int(args, "batch", 16384);
	uint64_t bytes = (uint64_t)args_int(args, "bytes", 1ll << 30);
	int32_t partition_bytes = (int32_t)args_int(args, "partition_bytes", 1 << 20);
	double warm = args_double(args, "warm", 1);
	double secs = args_double(args, "secs", 3);
	bool discards = args_int(args, "discard", 1) != 0;
	bool fills = args_int(args, "fill", 1) != 0;
	bool committed = args_int(args, "committed", 0) != 0;
	args_finish(args);
	if (run->conns_n < 1 || run->conns_n > CONNS_MAX)
		die("conns is 1 to %d", CONNS_MAX);
	int control = net_connect_wait(run->target.port, 10000);
	struct wire_topic topic = topic_prepare(control, run->target.topic, partitions_n,
						run->target.configs);
	if (fills)
		fill(&run->target, control, partitions_n, value_len, batch_len, bytes);
	struct wire_fetch_args fetch = { .partition_bytes_max = partition_bytes, .committed_only = committed };
	memcpy(fetch.topic_id, topic.id, 16);
	for (fetch.partition = 0; fetch.partition < partitions_n; fetch.partition++)
		walk(run, control, fetch);
	if (!discards && (run->scratch = malloc(SCRATCH_LEN)) == NULL)
		die("out of memory");
	int epoll_fd = conns_open(run);
	loop_until(run, epoll_fd, clock_now_ns() + (uint64_t)(warm * 1e9));
	run->measures = true;
	window_begin(&run->window, &run->target);
	loop_until(run, epoll_fd, run->window.start_ns + (uint64_t)(secs * 1e9));
	uint64_t now = clock_now_ns();
	printf("mode=fetch partitions=%d conns=%zu partition_bytes=%d committed=%d requests=%zu aborted=%zu",
	       partitions_n,
	       run->conns_n, partition_bytes, committed, run->requests_n, run->aborted_n);
	window_print(&run->window, &run->target, now, run->bytes, run->records_n);
	hist_print(run->latency, "");
	printf("\n");
	if (run->target.deletes)
		topic_delete(control, run->target.topic);
}
