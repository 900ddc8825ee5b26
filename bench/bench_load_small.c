/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One small thing at a time: `e2e` sends one record to a consumer that waits in a fetch and measures until
 * the consumer has it; `ping` asks for ApiVersions; `idle` opens connections and looks at the memory.
 */

#include "bench_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Sleeping waits as clients do; spinning keeps our core awake and measures the server alone. */
static void receive_frame(int fd, struct wbuf *in, bool spins)
{
	while (spins) {
		uint8_t byte;
		ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		if (n > 0)
			break;
		if (n == 0 || errno != EAGAIN)
			die("the server closed a connection");
	}
	if (!net_receive(fd, in))
		die("the server closed a connection");
}

static void pause_us(uint64_t us, bool spins)
{
	if (us == 0)
		return;
	if (!spins) {
		usleep((useconds_t)us);
		return;
	}
	for (uint64_t end = clock_now_ns() + us * 1000; clock_now_ns() < end;)
		continue;
}

struct e2e_run {
	int producer;
	int consumer;
	bool spins;
	uint64_t gap_us;
	struct wbuf request; /* the produce request */
	struct wbuf frame;
	struct wbuf in;
	struct wire_fetch_args fetch;
};

/* One record; nanoseconds to the consumer and to the producer's answer. */
static uint64_t e2e_once(struct e2e_run *run, uint64_t *ret_ack_ns)
{
	run->frame.len = 0;
	wire_fetch(&run->frame, &run->fetch);
	net_send(run->consumer, run->frame.p, run->frame.len);
	pause_us(run->gap_us, run->spins);
	uint64_t start = clock_now_ns();
	net_send(run->producer, run->request.p, run->request.len);
	struct wire_fetched fetched;
	receive_frame(run->consumer, &run->in, run->spins);
	uint64_t got = clock_now_ns();
	if (!wire_fetch_parse(rbuf_of(run->in.p, run->in.len), &fetched) || fetched.error != 0)
		die("a Fetch request failed with error %d", fetched.error);
	const uint8_t *batch = run->in.p + fetched.records_at;
	size_t batch_len = 0;
	if (!wire_batch_is_valid(batch, fetched.records_len, &batch_len) ||
	    wire_get_i64(batch) != run->fetch.offset)
		die("the consumer got %zu bytes instead of the record at %lld", fetched.records_len,
		    (long long)run->fetch.offset);
	run->fetch.offset++;
	int16_t error = 0;
	int64_t offset = 0;
	receive_frame(run->producer, &run->in, run->spins);
	*ret_ack_ns = clock_now_ns() - start;
	if (!wire_produce_parse(rbuf_of(run->in.p, run->in.len), &error, &offset) || error != 0)
		die("a Produce request failed with error %d", error);
	return got - start;
}

void mode_e2e(struct args *args)
{
	static const uint8_t tail[WIRE_PRODUCE_TAIL_LEN];
	struct target t = target_of(args);
	struct e2e_run run = { .spins = args_int(args, "spin", 0) != 0 };
	run.gap_us = (uint64_t)args_int(args, "gap_us", 200);
	size_t value_len = (size_t)args_int(args, "record", 100);
	double warm = args_double(args, "warm", 1);
	double secs = args_double(args, "secs", 3);
	args_finish(args);
	run.producer = net_connect_wait(t.port, 10000);
	run.consumer = net_connect_wait(t.port, 10000);
	struct wire_topic topic = topic_prepare(run.producer, t.topic, 1, t.configs);
	struct wbuf batch = { 0 };
	wire_batch(&batch, 1, value_len, 1, (int64_t)time(NULL) * 1000);
	wire_produce_head(&run.request, t.topic, 0, -1, batch.len);
	wbuf_bytes(&run.request, batch.p, batch.len);
	wbuf_bytes(&run.request, tail, sizeof(tail));
	run.fetch = (struct wire_fetch_args){
		.max_wait_ms = 30000, .min_bytes = 1, .partition_bytes_max = 1 << 20
	};
	run.fetch.offset = topic_produce_one(run.producer, t.topic, 0, &batch) + 1;
	memcpy(run.fetch.topic_id, topic.id, 16);
	struct hist *latency = hist_new();
	struct hist *acks = hist_new();
	struct window window = { 0 };
	uint64_t warm_end = clock_now_ns() + (uint64_t)(warm * 1e9);
	uint64_t end = warm_end + (uint64_t)(secs * 1e9);
	for (uint64_t now = clock_now_ns(); now < end; now = clock_now_ns()) {
		if (now >= warm_end && window.start_ns == 0)
			window_begin(&window, &t);
		uint64_t ack_ns = 0;
		uint64_t ns = e2e_once(&run, &ack_ns);
		if (window.start_ns != 0) {
			hist_add(latency, ns);
			hist_add(acks, ack_ns);
		}
	}
	printf("mode=e2e record=%zu spin=%d gap_us=%llu", value_len, run.spins,
	       (unsigned long long)run.gap_us);
	window_print(&window, &t, clock_now_ns(), latency->n * batch.len, latency->n);
	hist_print(latency, "");
	hist_print(acks, "ack_");
	printf("\n");
	if (t.deletes)
		topic_delete(run.producer, t.topic);
}

void mode_ping(struct args *args)
{
	struct target t = target_of(args);
	bool spins = args_int(args, "spin", 0) != 0;
	double warm = args_double(args, "warm", 1);
	double secs = args_double(args, "secs", 3);
	args_finish(args);
	int fd = net_connect_wait(t.port, 60000);
	struct wbuf ping = { 0 };
	struct wbuf in = { 0 };
	wire_api_versions(&ping);
	struct hist *latency = hist_new();
	struct window window = { 0 };
	uint64_t now = clock_now_ns();
	uint64_t warm_end = now + (uint64_t)(warm * 1e9);
	uint64_t end = warm_end + (uint64_t)(secs * 1e9);
	while (now < end) {
		if (now >= warm_end && window.start_ns == 0)
			window_begin(&window, &t);
		uint64_t start = clock_now_ns();
		net_send(fd, ping.p, ping.len);
		receive_frame(fd, &in, spins);
		now = clock_now_ns();
		if (in.len < 6 || in.p[4] != 0 || in.p[5] != 0)
			die("ApiVersions was answered with an error");
		if (window.start_ns != 0)
			hist_add(latency, now - start);
	}
	printf("mode=ping");
	window_print(&window, &t, now, latency->n * in.len, latency->n);
	hist_print(latency, "");
	printf("\n");
}

void mode_idle(struct args *args)
{
	struct target t = target_of(args);
	size_t conns_n = (size_t)args_int(args, "conns", 10000);
	double secs = args_double(args, "secs", 1);
	args_finish(args);
	fd_limit_raise(conns_n + 64);
	int *fds = calloc(conns_n, sizeof(*fds));
	if (fds == NULL)
		die("out of memory");
	struct wbuf ping = { 0 };
	struct wbuf in = { 0 };
	wire_api_versions(&ping);
	uint64_t rss = proc_rss_bytes(t.pid);
	uint64_t start = clock_now_ns();
	for (size_t i = 0; i < conns_n; i++) {
		fds[i] = net_connect_wait(t.port, 5000);
		net_send(fds[i], ping.p, ping.len);
		if (!net_receive(fds[i], &in))
			die("the server closed connection %zu", i);
	}
	uint64_t opened = clock_now_ns();
	struct proc_sample before = proc_read(t.pid);
	usleep((useconds_t)(secs * 1e6));
	struct proc_sample after = proc_read(t.pid);
	printf("mode=idle conns=%zu open_per_s=%.0f rss_before_mb=%.1f rss_mb=%.1f rss_kb_per_conn=%.2f "
	       "cpu_ms_per_s=%.2f\n",
	       conns_n, (double)conns_n * 1e9 / (double)(opened - start), (double)rss / 1e6,
	       (double)after.rss_bytes / 1e6,
		((double)after.rss_bytes - (double)rss) / 1e3 / (double)conns_n,
	       (double)(after.cpu_ns - before.cpu_ns) / 1e6 / secs);
	for (size_t i = 0; i < conns_n; i++)
		close(fds[i]);
	free(fds);
}
