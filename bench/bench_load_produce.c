/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Producing: `produce` keeps a number of requests outstanding (closed loop) and tells what the server can do;
 * `open` sends at a fixed rate whatever the server does and tells what waiting costs. Latency there counts
 * from the moment at which a request was due, so a server that stalls does not hide the requests it delayed.
 *
 * An interrupt (SIGINT) ends `open` early, for loads that last as long as something else does.
 *
 * With consumer=1 `open` also keeps one long-poll fetch waiting and measures each record to the consumer.
 * Records are told apart by offset, so that run needs one partition and one record for each batch.
 */

#include "bench_engine.h"
#include "bench_load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct produce_run {
	struct target target;
	struct window window;
	struct hist *latency;
	bool measures;
	uint64_t outstanding_max; /* over all connections; 0: only each connection's own limit */
	uint64_t next_conn;
	uint64_t done_n; /* since the warm-up */
	uint64_t error_n;
	uint64_t all_error_n;
	int16_t error_last;
	bool stops;
};

static struct producers producers_of(struct args *args, const struct target *t)
{
	return (struct producers){
		.port = t->port,
		.topic = t->topic,
		.acks = (int16_t)args_int(args, "acks", -1),
		.partitions_n = (int32_t)args_int(args, "partitions", 1),
		.value_len = (size_t)args_int(args, "record", 1024),
		.batch_len = (size_t)args_int(args, "batch", 16384),
		.has_keys = args_int(args, "keys", 0) != 0,
		.conns_n = (uint32_t)args_int(args, "conns", 2),
		.inflight_max = (uint32_t)args_int(args, "inflight", 5),
	};
}

static void count_error(struct produce_run *run, int16_t error)
{
	run->error_n++;
	run->all_error_n++;
	run->error_last = error;
	if (!error_is_retriable(error))
		die("a Produce request failed with error %d", error);
}

/* The next connection in turn that has room takes one request. */
static void send_in_turn(struct producers *p, struct produce_run *run, uint64_t now_ns)
{
	for (uint32_t tries = 0; tries < p->conns_n; tries++) {
		struct pconn *c = &p->conns[run->next_conn++ % p->conns_n];
		if (!producers_can_send(p, c))
			continue;
		producers_send(p, c, now_ns);
		producers_flush(p, c);
		return;
	}
}

static void produce_done(struct producers *p, struct pconn *c, uint64_t start_ns, uint64_t now_ns,
			 int64_t base_offset, int16_t error)
{
	struct produce_run *run = p->user;
	(void)base_offset;
	if (error != 0)
		count_error(run, error);
	else if (run->measures) {
		hist_add(run->latency, now_ns - start_ns);
		run->done_n++;
	}
	if (run->stops)
		return;
	if (run->outstanding_max != 0)
		send_in_turn(p, run, now_ns);
	else
		producers_send(p, c, now_ns); /* flushed with its neighbours when all answers are read */
}

/* acks=0 has no answers: connections are kept full as fast as sockets drain. How long to wait for that. */
static uint64_t refill_unacknowledged(struct producers *p, struct produce_run *run, uint64_t now_ns)
{
	uint64_t timeout_us = 1000;
	for (uint32_t i = 0; i < p->conns_n; i++) {
		struct pconn *c = &p->conns[i];
		while (!run->stops && producers_can_send(p, c)) {
			producers_send(p, c, now_ns);
			run->done_n += run->measures;
		}
		producers_flush(p, c);
		timeout_us = c->wants_out ? timeout_us : 0;
	}
	return timeout_us;
}

static void loop_until(struct producers *p, struct produce_run *run, uint64_t end_ns, uint64_t requests_n)
{
	uint64_t now = clock_now_ns();
	while (now < end_ns && run->done_n < requests_n) {
		uint64_t timeout_us = p->acks == 0 ? refill_unacknowledged(p, run, now) : 1000;
		now = producers_poll(p, timeout_us);
		if (run->measures)
			window_tick(&run->window, &run->target, now);
	}
}

static void first_requests(struct producers *p, struct produce_run *run)
{
	uint64_t now = clock_now_ns();
	if (p->acks == 0)
		return;
	if (run->outstanding_max != 0) {
		for (uint64_t i = 0; i < run->outstanding_max; i++)
			send_in_turn(p, run, now);
		return;
	}
	for (uint32_t i = 0; i < p->conns_n; i++) {
		for (uint32_t n = 0; n < p->inflight_max; n++)
			producers_send(p, &p->conns[i], now);
		producers_flush(p, &p->conns[i]);
	}
}

static void print_shape(const struct producers *p)
{
	printf(" acks=%d partitions=%d conns=%u inflight=%u record=%zu batch_records=%d batch_bytes=%zu",
	       p->acks,
	       p->partitions_n, p->conns_n, p->inflight_max, p->value_len, p->records_n, p->records_len);
}

void mode_produce(struct args *args)
{
	struct produce_run run = { .target = target_of(args), .latency = hist_new() };
	struct producers p = producers_of(args, &run.target);
	double warm = args_double(args, "warm", 1);
	double secs = args_double(args, "secs", 3);
	uint64_t bytes = (uint64_t)args_int(args, "bytes", INT64_MAX);
	run.outstanding_max = (uint64_t)args_int(args, "outstanding", 0);
	args_finish(args);
	int control = net_connect_wait(p.port, 10000);
	topic_prepare(control, p.topic, p.partitions_n, run.target.configs);
	p.done = produce_done;
	p.user = &run;
	producers_open(&p);
	first_requests(&p, &run);
	loop_until(&p, &run, clock_now_ns() + (uint64_t)(warm * 1e9), UINT64_MAX);
	run.measures = true;
	run.error_n = 0;
	window_begin(&run.window, &run.target);
	uint64_t end = run.window.start_ns + (uint64_t)(secs * 1e9);
	loop_until(&p, &run, end, bytes / p.records_len + 1);
	if (p.acks == 0) { /* what was sent has been handled only after the drain */
		run.stops = true;
		producers_drain(&p);
	}
	uint64_t now = clock_now_ns();
	printf("mode=produce");
	print_shape(&p);
	window_print(&run.window, &run.target, now, run.done_n * p.records_len,
		     run.done_n * (uint64_t)p.records_n);
	hist_print(run.latency, "");
	run.stops = true;
	producers_drain(&p);
	printf(" retries=%llu warm_retries=%llu\n", (unsigned long long)run.error_n,
	       (unsigned long long)(run.all_error_n - run.error_n));
	producers_close(&p);
	if (run.target.deletes)
		topic_delete(control, p.topic);
	close(control);
	free(run.latency);
}

/* ---- open loop ---- */

struct open_run {
	struct produce_run base; /* first, so that both modes share count_error() */
	uint64_t measure_from_ns;
	int fetch_fd; /* -1 without a consumer */
	struct wbuf fetch_in;
	struct wbuf fetch_out;
	struct wire_fetch_args fetch;
	struct hist *to_consumer;
	int64_t first_offset;
	size_t offsets_n;
	uint64_t *due_ns; /* by offset, 0: not known yet */
	uint64_t *read_ns;
};

static void record_seen(struct open_run *run, int64_t offset, uint64_t due_ns, uint64_t read_ns)
{
	int64_t slot = offset - run->first_offset;
	if (slot < 0 || (size_t)slot >= run->offsets_n)
		return;
	if (due_ns != 0)
		run->due_ns[slot] = due_ns;
	if (read_ns != 0 && run->read_ns[slot] == 0)
		run->read_ns[slot] = read_ns;
	if (run->due_ns[slot] < run->measure_from_ns || run->read_ns[slot] == 0)
		return;
	uint64_t ns = run->read_ns[slot] - run->due_ns[slot];
	hist_add(run->to_consumer, ns);
}

static void open_done(struct producers *p, struct pconn *c, uint64_t start_ns, uint64_t now_ns,
			 int64_t base_offset, int16_t error)
{
	struct open_run *run = p->user;
	(void)c;
	if (error != 0) {
		count_error(&run->base, error);
		return;
	}
	if (start_ns >= run->measure_from_ns) {
		hist_add(run->base.latency, now_ns - start_ns);
		run->base.done_n++;
	}
	if (run->fetch_fd >= 0)
		record_seen(run, base_offset, start_ns, 0);
}

static void fetch_again(struct open_run *run)
{
	run->fetch_out.len = 0;
	wire_fetch(&run->fetch_out, &run->fetch);
	net_send(run->fetch_fd, run->fetch_out.p, run->fetch_out.len);
}

/* Takes a whole answer if it has come; the fetch connection has one request outstanding at all times. */
static void consumer_poll(struct open_run *run)
{
	struct wbuf *in = &run->fetch_in;
	wbuf_reserve(in, 256 << 10);
	ssize_t n = recv(run->fetch_fd, in->p + in->len, in->cap - in->len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("the server closed the consumer's connection");
	in->len += (size_t)n;
	if (in->len < 4 || in->len - 4 < (size_t)wire_get_i32(in->p))
		return;
	uint64_t now = clock_now_ns();
	struct wire_fetched fetched;
	if (!wire_fetch_parse(rbuf_of(in->p + 4, in->len - 4), &fetched) || fetched.error != 0)
		die("a Fetch request failed with error %d", fetched.error);
	const uint8_t *at = in->p + 4 + fetched.records_at;
	for (size_t left = fetched.records_len; left >= WIRE_BATCH_HEADER_LEN;) {
		size_t len = (size_t)wire_get_i32(at + 8) + 12;
		if (len > left)
			break;
		int64_t offset = wire_get_i64(at);
		record_seen(run, offset, 0, now);
		run->fetch.offset = offset + wire_get_i32(at + 23) + 1;
		at += len;
		left -= len;
	}
	in->len = 0;
	fetch_again(run);
}

static void consumer_open(struct open_run *run, struct producers *p, const struct wire_topic *topic,
			  uint64_t requests_n)
{
	if (p->partitions_n != 1 || p->records_n != 1)
		die("consumer=1 needs partitions=1 and one record for each batch");
	run->first_offset = topic_produce_one(p->conns[0].fd, p->topic, 0, &p->batches[0]) + 1;
	run->offsets_n = requests_n + 1024;
	run->due_ns = calloc(run->offsets_n, 2 * sizeof(*run->due_ns));
	if (run->due_ns == NULL)
		die("out of memory");
	memset(run->due_ns, 0, run->offsets_n * 2 * sizeof(*run->due_ns));
	run->read_ns = run->due_ns + run->offsets_n;
	run->fetch = (struct wire_fetch_args){
		.offset = run->first_offset,
		.max_wait_ms = 500,
		.min_bytes = 1,
		.partition_bytes_max = 1 << 20,
	};
	memcpy(run->fetch.topic_id, topic->id, 16);
	run->fetch_fd = net_connect_wait(p->port, 1000);
	fetch_again(run);
}

static volatile sig_atomic_t open_is_interrupted;

static void open_interrupt(int sig)
{
	(void)sig;
	open_is_interrupted = 1;
}

static void open_loop(struct producers *p, struct open_run *run, double rate, uint64_t requests_n,
		      bool spins)
{
	double gap_ns = 1e9 / rate;
	uint64_t start = clock_now_ns();
	uint64_t now = start;
	for (uint64_t sent = 0; sent < requests_n && !open_is_interrupted;) {
		uint64_t due = start + (uint64_t)((double)sent * gap_ns);
		while (sent < requests_n && due <= now) {
			struct pconn *c = &p->conns[sent % p->conns_n];
			if (!producers_can_send(p, c))
				break; /* it stays due: the wait counts */
			producers_send(p, c, due);
			producers_flush(p, c);
			sent++;
			due = start + (uint64_t)((double)sent * gap_ns);
		}
		uint64_t wait_us = spins || due <= now ? 0 : (due - now) / 1000;
		if (run->fetch_fd >= 0) {
			consumer_poll(run);
			wait_us = wait_us < 20 ? wait_us : 20;
		}
		now = producers_poll(p, wait_us);
		if (now >= run->measure_from_ns)
			window_tick(&run->base.window, &run->base.target, now);
		if (run->base.window.start_ns == 0 && now >= run->measure_from_ns)
			window_begin(&run->base.window, &run->base.target);
	}
}

void mode_open(struct args *args)
{
	struct open_run run = { .fetch_fd = -1 };
	run.base.target = target_of(args);
	run.base.latency = hist_new();
	struct produce_run *base = &run.base;
	struct producers p = producers_of(args, &base->target);
	p.inflight_max = (uint32_t)args_int(args, "inflight", 1000);
	double rate = args_double(args, "rate", 10000);
	double warm = args_double(args, "warm", 1);
	double secs = args_double(args, "secs", 3);
	bool spins = args_int(args, "spin", 1) != 0;
	bool consumes = args_int(args, "consumer", 0) != 0;
	args_finish(args);
	uint64_t requests_n = (uint64_t)((warm + secs) * rate);
	int control = net_connect_wait(p.port, 10000);
	struct wire_topic topic = topic_prepare(control, p.topic, p.partitions_n, base->target.configs);
	p.done = open_done;
	p.user = &run;
	producers_open(&p);
	run.to_consumer = hist_new();
	if (consumes) {
		net_set_nonblocking(p.conns[0].fd, false);
		consumer_open(&run, &p, &topic, requests_n);
		net_set_nonblocking(p.conns[0].fd, true);
	}
	run.measure_from_ns = clock_now_ns() + (uint64_t)(warm * 1e9);
	signal(SIGINT, open_interrupt);
	open_loop(&p, &run, rate, requests_n, spins);
	uint64_t now = clock_now_ns();
	printf("mode=open rate=%.0f", rate);
	print_shape(&p);
	window_print(&base->window, &base->target, now, base->done_n * p.records_len,
		     base->done_n * (uint64_t)p.records_n);
	producers_drain(&p);
	hist_print(base->latency, "");
	for (uint64_t end = now + 1000000000; consumes && clock_now_ns() < end;)
		consumer_poll(&run);
	if (consumes) {
		hist_print(run.to_consumer, "e2e_");
		printf(" e2e_n=%llu", (unsigned long long)run.to_consumer->n);
	}
	printf(" retries=%llu\n", (unsigned long long)base->all_error_n);
	producers_close(&p);
	if (base->target.deletes)
		topic_delete(control, p.topic);
	close(control);
	free(run.due_ns);
	free(run.to_consumer);
	free(base->latency);
	wbuf_deinit(&run.fetch_in);
	wbuf_deinit(&run.fetch_out);
}
