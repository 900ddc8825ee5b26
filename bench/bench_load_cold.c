/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One consumer that reads a partition from its beginning, one request after the other, as a consumer does that
 * comes back after a week: its offsets come from the batches it got, and their bytes are copied out. Who runs it
 * has evicted the files before (`bench_disk evict`); nothing here knows whether a byte came from the disk.
 */

#include "bench_load.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Batches that came whole; the offset behind the last of them. How many bytes they are. */
static size_t batches_walk(const uint8_t *p, size_t len, int64_t *offset, uint64_t *records_n)
{
	size_t done = 0;
	while (len - done >= WIRE_BATCH_HEADER_LEN) {
		size_t batch_len = (size_t)wire_get_i32(p + done + 8) + 12;
		if (batch_len > len - done)
			break;
		int64_t next = wire_get_i64(p + done) + wire_get_i32(p + done + 23) + 1;
		if (next <= *offset)
			die("offset %lld came twice", (long long)next - 1);
		*offset = next;
		*records_n += (uint64_t)wire_get_i32(p + done + 57);
		done += batch_len;
	}
	return done;
}

void mode_cold(struct args *args)
{
	struct target t = target_of(args);
	uint64_t bytes_max = (uint64_t)args_int(args, "bytes", INT64_MAX);
	struct wire_fetch_args fetch = {
		.partition = (int32_t)args_int(args, "partition", 0),
		.partition_bytes_max = (int32_t)args_int(args, "partition_bytes", 1 << 20),
		.max_wait_ms = 500,
		.min_bytes = 1,
	};
	args_finish(args);
	int fd = net_connect_wait(t.port, 10000);
	struct wire_topic topic = topic_describe(fd, t.topic);
	if (topic.error != 0)
		die("topic %s: error %d", t.topic, topic.error);
	memcpy(fetch.topic_id, topic.id, 16);
	struct hist *latency = hist_new();
	struct wbuf out = { 0 }, in = { 0 };
	struct window window;
	uint64_t bytes = 0, records_n = 0;
	window_begin(&window, &t);
	while (bytes < bytes_max) {
		struct wire_fetched fetched;
		uint64_t start = clock_now_ns();
		out.len = 0;
		wire_fetch(&out, &fetch);
		net_send(fd, out.p, out.len);
		if (!net_receive(fd, &in) || !wire_fetch_parse(rbuf_of(in.p, in.len), &fetched) || fetched.error != 0)
			die("fetching at %lld: error %d", (long long)fetch.offset, fetched.error);
		if (fetched.records_at + fetched.records_len > in.len)
			die("a Fetch answer ends inside its records");
		uint64_t now = clock_now_ns();
		hist_add(latency, now - start);
		size_t n = batches_walk(in.p + fetched.records_at, fetched.records_len, &fetch.offset, &records_n);
		if (n == 0 && fetch.offset < fetched.high_watermark)
			die("no records at offset %lld", (long long)fetch.offset);
		bytes += n;
		if (fetch.offset >= fetched.high_watermark)
			break;
		window_tick(&window, &t, now);
	}
	printf("mode=cold");
	window_print(&window, &t, clock_now_ns(), bytes, records_n);
	hist_print(latency, "");
	printf("\n");
	wbuf_deinit(&out);
	wbuf_deinit(&in);
	close(fd);
}
