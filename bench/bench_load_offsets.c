/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Committed offsets. `commit`: a closed loop of connections that commit one partition each, all in one group. `fill`:
 * many groups commit many offsets. `offset_load -- COMMAND`: runs a server on a folder that `fill` filled, and
 * measures until every group answers.
 */

#include "bench_clients.h"
#include "bench_load.h"
#include "bench_wire_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- commit ---- */

struct commit_run {
	struct wbuf *frames; /* per connection */
	size_t *offset_at;
	int64_t offset;
	bool measures, stops;
	uint64_t done_n;
	struct hist *latency;
};

static void commit_send(struct commit_run *run, struct clients *all, struct client *c)
{
	struct wbuf *frame = &run->frames[c->index];
	wire_put_i64(frame->p + run->offset_at[c->index], run->offset++);
	clients_send(all, c, frame);
}

static void commit_answered(struct clients *all, struct client *c, struct rbuf answer, uint64_t sent_ns,
			    uint64_t now_ns)
{
	struct commit_run *run = all->user;
	int16_t error = 0;
	int32_t partitions_n = 0;
	if (!wire_offset_commit_parse(answer, &error, &partitions_n) || error != 0 || partitions_n != 1)
		die("an OffsetCommit request failed with error %d", error);
	if (run->measures) {
		hist_add(run->latency, now_ns - sent_ns);
		run->done_n++;
	}
	if (!run->stops)
		commit_send(run, all, c);
}

/* What the last commits said is what the group has: the sum of the newest of all partitions is at least that. */
static void commit_check(int fd, uint32_t conns_n, int64_t offset)
{
	struct wbuf w = { 0 };
	struct wire_offsets offsets;
	wire_offset_fetch(&w, "commit", 0, 1, "", -1);
	if (!wire_offset_fetch_parse(client_call(fd, &w), &offsets))
		die("malformed OffsetFetch answer");
	if (offsets.error != 0 || offsets.offsets_n != conns_n || offsets.sum < offset)
		die("OffsetFetch: error %d, %lld offsets with sum %lld after %lld commits", offsets.error,
		    (long long)offsets.offsets_n, (long long)offsets.sum, (long long)offset);
	wbuf_deinit(&w);
}

void mode_commit(struct args *args)
{
	struct target t = target_of(args);
	struct commit_run run = { .latency = hist_new() };
	uint32_t conns_n = (uint32_t)args_int(args, "conns", 50);
	double warm = args_double(args, "warm", 1);
	double secs = args_double(args, "secs", 3);
	args_finish(args);
	int fd = net_connect_wait(t.port, 10000);
	char topic[80];
	snprintf(topic, sizeof(topic), "%.60s-0", t.topic);
	topic_prepare(fd, topic, (int32_t)conns_n, t.configs);
	group_prepare(&t, "commit-0");
	run.frames = calloc(conns_n, sizeof(*run.frames));
	run.offset_at = calloc(conns_n, sizeof(*run.offset_at));
	if (run.frames == NULL || run.offset_at == NULL)
		die("out of memory");
	struct clients all;
	clients_open(&all, t.port, conns_n, commit_answered, &run);
	for (uint32_t i = 0; i < conns_n; i++) {
		struct wire_commit commit = { .group = "commit-0", .topic_prefix = t.topic, .topics_n = 1,
					      .partition_first = (int32_t)i, .partitions_n = 1 };
		wire_offset_commit(&run.frames[i], &commit, &run.offset_at[i]);
		commit_send(&run, &all, &all.v[i]);
	}
	struct window window = { 0 };
	uint64_t now = clock_now_ns();
	uint64_t warm_end = now + (uint64_t)(warm * 1e9);
	uint64_t end = warm_end + (uint64_t)(secs * 1e9);
	while (now < end) {
		now = clients_poll(&all, 1000);
		if (now >= warm_end && !run.measures) {
			run.measures = true;
			window_begin(&window, &t);
		}
		window_tick(&window, &t, now);
	}
	printf("mode=commit conns=%u", conns_n);
	window_print(&window, &t, clock_now_ns(), 0, run.done_n);
	hist_print(run.latency, "");
	printf("\n");
	run.stops = true;
	for (uint64_t stop = clock_now_ns() + 30ull * 1000000000; all.outstanding_n > 0;) {
		if (clients_poll(&all, 1000) > stop)
			die("%u commits are not answered", all.outstanding_n);
	}
	commit_check(fd, conns_n, run.offset - 1);
	clients_close(&all);
	if (t.deletes)
		topic_delete(fd, topic);
	close(fd);
}

/* ---- fill ---- */

/* Every group has an offset in each partition of each topic: its value says which. */
struct offset_shape {
	int32_t groups_n, topics_n, partitions_n;
};

static struct offset_shape shape_of(struct args *args)
{
	return (struct offset_shape){
		.groups_n = (int32_t)args_int(args, "groups", 1000),
		.topics_n = (int32_t)args_int(args, "topics", 10),
		.partitions_n = (int32_t)args_int(args, "partitions", 100),
	};
}

static int64_t shape_offsets_n(const struct offset_shape *shape)
{
	return (int64_t)shape->groups_n * shape->topics_n * shape->partitions_n;
}

struct fill_run {
	const struct target *target;
	struct offset_shape shape;
	int32_t next_group;
	struct wbuf frame;
};

static void fill_send(struct fill_run *run, struct clients *all, struct client *c)
{
	char group[40];
	const struct offset_shape *shape = &run->shape;
	struct wire_commit commit = {
		.group = group,
		.topic_prefix = run->target->topic,
		.topics_n = shape->topics_n,
		.partitions_n = shape->partitions_n,
		.offset = (int64_t)run->next_group * shape->topics_n * shape->partitions_n,
	};
	snprintf(group, sizeof(group), "fill-%d", run->next_group++);
	run->frame.len = 0;
	wire_offset_commit(&run->frame, &commit, NULL);
	clients_send(all, c, &run->frame);
}

static void fill_answered(struct clients *all, struct client *c, struct rbuf answer, uint64_t sent_ns,
			  uint64_t now_ns)
{
	struct fill_run *run = all->user;
	int16_t error = 0;
	int32_t partitions_n = 0;
	(void)sent_ns;
	(void)now_ns;
	if (!wire_offset_commit_parse(answer, &error, &partitions_n) || error != 0 ||
	    partitions_n != run->shape.topics_n * run->shape.partitions_n)
		die("an OffsetCommit request failed with error %d, %d partitions", error, partitions_n);
	if (run->next_group < run->shape.groups_n)
		fill_send(run, all, c);
}

void mode_fill(struct args *args)
{
	struct target t = target_of(args);
	struct fill_run run = { .target = &t, .shape = shape_of(args) };
	bool empty = args_int(args, "empty", 0) != 0;
	args_finish(args);
	int fd = net_connect_wait(t.port, 10000);
	for (int32_t i = 0; i < run.shape.topics_n; i++) {
		char topic[80];
		snprintf(topic, sizeof(topic), "%.60s-%d", t.topic, i);
		topic_prepare(fd, topic, run.shape.partitions_n, t.configs);
	}
	for (int32_t i = 0; i < run.shape.groups_n; i++) {
		char group[40];
		snprintf(group, sizeof(group), "fill-%d", i);
		group_prepare(&t, group);
	}
	uint64_t start = clock_now_ns();
	struct clients all;
	clients_open(&all, t.port, 8, fill_answered, &run);
	for (uint32_t i = 0; !empty && i < all.n && run.next_group < run.shape.groups_n; i++)
		fill_send(&run, &all, &all.v[i]);
	while (all.outstanding_n > 0) {
		if (clients_poll(&all, 10000) > start + 120ull * 1000000000)
			die("the commits take longer than 120 s");
	}
	printf("mode=fill offsets=%lld secs=%.2f\n", empty ? 0ll : (long long)shape_offsets_n(&run.shape),
	       (double)(clock_now_ns() - start) / 1e9);
	clients_close(&all);
	close(fd);
}

/* ---- offset_load ---- */

static struct wire_offsets offsets_ask(int fd, struct wbuf *w, int32_t first, int32_t groups_n, const char *topic,
				       int32_t partition)
{
	struct wire_offsets offsets;
	w->len = 0;
	wire_offset_fetch(w, "fill", first, groups_n, topic, partition);
	if (!wire_offset_fetch_parse(client_call(fd, w), &offsets))
		die("malformed OffsetFetch answer");
	return offsets;
}

static bool is_loading(int16_t error)
{
	return error == WIRE_COORDINATOR_LOAD_IN_PROGRESS || error == WIRE_COORDINATOR_NOT_AVAILABLE ||
	       error == WIRE_NOT_COORDINATOR;
}

/* Every group has all of its offsets, with the values that were committed. */
static void offsets_check(int fd, struct wbuf *w, const struct offset_shape *shape, bool empty)
{
	int64_t n = 0, sum = 0, all = empty ? 0 : shape_offsets_n(shape);
	for (int32_t g = 0; g < shape->groups_n; g += 10) {
		int32_t groups_n = shape->groups_n - g < 10 ? shape->groups_n - g : 10;
		struct wire_offsets offsets = offsets_ask(fd, w, g, groups_n, "", -1);
		if (offsets.error != 0)
			die("OffsetFetch after the start: error %d", offsets.error);
		n += offsets.offsets_n;
		sum += offsets.sum;
	}
	if (n != all || sum != all * (all - 1) / 2)
		die("after the start %lld offsets with sum %lld are left of %lld", (long long)n, (long long)sum,
		    (long long)all);
}

void mode_offset_load(struct args *args, char **command)
{
	struct target t = target_of(args);
	const char *log = args_str(args, "log", "/dev/null");
	struct offset_shape shape = shape_of(args);
	double timeout_s = args_double(args, "timeout", 120);
	bool empty = args_int(args, "empty", 0) != 0;
	bool kills = args_int(args, "kill", 0) != 0;
	args_finish(args);
	struct wbuf w = { 0 };
	char topic[80];
	snprintf(topic, sizeof(topic), "%.60s-0", t.topic);
	struct started s = server_start(t.port, command, log, timeout_s);
	for (;;) {
		struct wire_offsets offsets = offsets_ask(s.fd, &w, 0, shape.groups_n, topic, 0);
		if (offsets.error == 0)
			break;
		if (!is_loading(offsets.error))
			die("OffsetFetch after the start: error %d", offsets.error);
		if ((double)(clock_now_ns() - s.exec_ns) / 1e9 > timeout_s)
			die("not loaded after %.0f s: error %d", timeout_s, offsets.error);
		usleep(2000);
	}
	double loaded_ms = (double)(clock_now_ns() - s.exec_ns) / 1e6;
	double cpu_ms = (double)proc_read(s.pid).cpu_ns / 1e6;
	usleep(500000);
	double rss = (double)proc_rss_bytes(s.pid);
	offsets_check(s.fd, &w, &shape, empty);
	double stop_ms = server_stop(&s, kills);
	printf("mode=offset_load offsets=%lld api_ms=%.1f loaded_ms=%.1f cpu_ms=%.1f rss_bytes=%.0f rss_mb=%.1f "
	       "stop_ms=%.1f\n",
	       empty ? 0ll : (long long)shape_offsets_n(&shape), s.api_ms, loaded_ms, cpu_ms, rss, rss / 1e6, stop_ms);
	wbuf_deinit(&w);
}
