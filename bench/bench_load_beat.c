/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Members of the consumer protocol. `beats`: many groups join and come to rest, then every member sends a heartbeat
 * each few seconds, spread evenly, and the server's processor time counts. `assign`: one large group; a member that
 * comes, and one that goes, make the server assign everything anew; the heartbeat that does it counts.
 *
 * A member tells what it owns once after each assignment it was told: that is all the server wants to know of it.
 */

#include "bench_clients.h"
#include "bench_load.h"
#include "bench_wire_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct beater {
	char id[WIRE_MEMBER_ID_CAP];
	char group[40];
	const char *const *topics;
	int32_t topics_n;
	int32_t epoch;
	int32_t partitions_n;
	bool tells_owned;
	bool is_joined;
	struct wbuf owned;
};

static void beater_frame(struct beater *b, struct wbuf *frame)
{
	struct wire_beat beat = { .group = b->group, .member_id = b->id, .epoch = b->epoch };
	static const struct wbuf nothing;
	if (!b->is_joined) {
		beat.epoch = 0;
		beat.topics = b->topics;
		beat.topics_n = b->topics_n;
		beat.owned = &nothing;
	} else if (b->tells_owned) {
		beat.owned = &b->owned;
	}
	frame->len = 0;
	wire_beat(frame, &beat);
}

/* True: nothing is new to the member. */
static bool beater_answered(struct beater *b, struct rbuf answer)
{
	struct wire_beaten beaten;
	if (!wire_beat_parse(answer, &beaten))
		die("malformed ConsumerGroupHeartbeat answer");
	if (beaten.error != 0)
		die("a heartbeat of member %s, group %s, epoch %d failed with error %d", b->id, b->group, b->epoch,
		    beaten.error);
	bool is_same = b->is_joined && beaten.epoch == b->epoch && !beaten.is_assigned && !b->tells_owned;
	b->is_joined = true;
	b->epoch = beaten.epoch;
	b->tells_owned = beaten.is_assigned;
	if (beaten.is_assigned) {
		b->owned.len = 0;
		wbuf_bytes(&b->owned, beaten.owned.p, (size_t)(beaten.owned.end - beaten.owned.p));
		b->partitions_n = beaten.partitions_n;
	}
	return is_same;
}

static void beater_init(struct beater *b, uint32_t index, const char *group, const char *const *topics,
			int32_t topics_n)
{
	*b = (struct beater){ .topics = topics, .topics_n = topics_n };
	/* In the form of a uuid, which clients make themselves. */
	snprintf(b->id, sizeof(b->id), "%08x-0000-4000-8000-%012x", (unsigned)getpid(), index);
	snprintf(b->group, sizeof(b->group), "%s", group);
}

/* ---- beats ---- */

struct beats_run {
	struct beater *members;
	uint32_t members_n;
	struct wbuf frame;
	uint64_t same_n, changed_n;
	bool measures;
	struct hist *latency;
	uint64_t late_n; /* heartbeats that were due while the one before was not answered */
};

static void beats_answered(struct clients *all, struct client *c, struct rbuf answer, uint64_t sent_ns,
			   uint64_t now_ns)
{
	struct beats_run *run = all->user;
	bool is_same = beater_answered(&run->members[c->index], answer);
	run->same_n += is_same;
	run->changed_n += !is_same;
	if (run->measures)
		hist_add(run->latency, now_ns - sent_ns);
}

static void beats_send(struct beats_run *run, struct clients *all, uint32_t index)
{
	if (all->v[index].sent_ns != 0) {
		run->late_n++;
		return;
	}
	beater_frame(&run->members[index], &run->frame);
	clients_send(all, &all->v[index], &run->frame);
}

/* Everybody once, a hundred outstanding at most. True: nothing was new to anybody. */
static bool beats_once(struct beats_run *run, struct clients *all)
{
	uint64_t end = clock_now_ns() + 60ull * 1000000000;
	run->changed_n = 0;
	for (uint32_t i = 0; i < run->members_n || all->outstanding_n > 0;) {
		while (i < run->members_n && all->outstanding_n < 100)
			beats_send(run, all, i++);
		if (clients_poll(all, 10000) > end)
			die("%u heartbeats are not answered", all->outstanding_n);
	}
	return run->changed_n == 0;
}

/* Until twice in a row, more than the pause between assignments apart, nothing is new and all own something. */
static int beats_settle(struct beats_run *run, struct clients *all)
{
	int passes_n = 0;
	for (int calm_n = 0; calm_n < 2; passes_n++) {
		if (passes_n > 60)
			die("the groups do not come to rest");
		calm_n = beats_once(run, all) ? calm_n + 1 : 0;
		usleep(1200000);
	}
	for (uint32_t i = 0; i < run->members_n; i++) {
		if (run->members[i].partitions_n == 0)
			die("member %u owns nothing", i);
	}
	return passes_n;
}

static void beats_steady(struct beats_run *run, struct clients *all, uint64_t interval_ns, uint64_t until_ns,
			 uint64_t start_ns, uint64_t *sent_n)
{
	uint64_t gap_ns = interval_ns / run->members_n;
	for (uint64_t now = clock_now_ns(); now < until_ns;) {
		uint64_t due_ns = start_ns + *sent_n * gap_ns;
		while (due_ns <= now) {
			beats_send(run, all, (uint32_t)(*sent_n % run->members_n));
			++*sent_n;
			due_ns += gap_ns;
		}
		uint64_t next_ns = due_ns < until_ns ? due_ns : until_ns;
		now = clients_poll(all, next_ns > now ? (next_ns - now) / 1000 + 1 : 0);
	}
}

void mode_beats(struct args *args)
{
	struct target t = target_of(args);
	struct beats_run run = { .latency = hist_new() };
	run.members_n = (uint32_t)args_int(args, "members", 10000);
	uint32_t groups_n = (uint32_t)args_int(args, "groups", 100);
	uint64_t interval_ns = (uint64_t)args_int(args, "interval_ms", 5000) * 1000000;
	double warm = args_double(args, "warm", 5);
	double secs = args_double(args, "secs", 10);
	args_finish(args);
	if (groups_n == 0 || run.members_n < groups_n)
		die("more groups than members");
	run.members = calloc(run.members_n, sizeof(*run.members));
	if (run.members == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < run.members_n; i++) {
		char group[40];
		snprintf(group, sizeof(group), "beats-%u", i % groups_n);
		beater_init(&run.members[i], i, group, &t.topic, 1);
	}
	int fd = net_connect_wait(t.port, 10000);
	topic_prepare(fd, t.topic, (int32_t)(run.members_n / groups_n + 1), t.configs);
	for (uint32_t i = 0; i < groups_n; i++)
		group_prepare(&t, run.members[i].group);
	struct clients all;
	clients_open(&all, t.port, run.members_n, beats_answered, &run);
	uint64_t opened_ns = clock_now_ns();
	int passes_n = beats_settle(&run, &all);
	double settle_s = (double)(clock_now_ns() - opened_ns) / 1e9;
	uint64_t sent_n = 0;
	uint64_t start_ns = clock_now_ns();
	uint64_t warm_ns = start_ns + (uint64_t)(warm * 1e9);
	beats_steady(&run, &all, interval_ns, warm_ns, start_ns, &sent_n);
	struct window window = { 0 };
	window_begin(&window, &t);
	run.measures = true;
	run.late_n = run.changed_n = 0;
	uint64_t before_n = sent_n;
	beats_steady(&run, &all, interval_ns, warm_ns + (uint64_t)(secs * 1e9), start_ns, &sent_n);
	uint64_t end_ns = clock_now_ns();
	double percent = (double)(proc_read(t.pid).cpu_ns - window.server.cpu_ns) * 100 /
			 (double)(end_ns - window.start_ns);
	printf("mode=beats members=%u groups=%u settle_passes=%d settle_s=%.1f late=%llu changed=%llu cpu_percent=%.3f",
	       run.members_n, groups_n, passes_n, settle_s, (unsigned long long)run.late_n,
	       (unsigned long long)run.changed_n, percent);
	window_print(&window, &t, end_ns, 0, sent_n - before_n);
	hist_print(run.latency, "");
	printf("\n");
	clients_close(&all);
	close(fd);
}

/* ---- assign ---- */

struct assign_run {
	int fd;
	struct target target;
	struct beater *members;
	uint32_t members_n;
	struct wbuf frame;
};

static bool assign_beat(struct assign_run *run, struct beater *b)
{
	beater_frame(b, &run->frame);
	return beater_answered(b, client_call(run->fd, &run->frame));
}

static bool assign_beat_all(struct assign_run *run, uint32_t members_n)
{
	bool calm = true;
	for (uint32_t i = 0; i < members_n; i++)
		calm &= assign_beat(run, &run->members[i]);
	return calm;
}

/* Until nothing is new to anybody, and still is not when the pause between assignments is over. */
static void assign_settle(struct assign_run *run, uint32_t members_n)
{
	for (int passes_n = 0;; passes_n++) {
		if (passes_n > 100)
			die("the group does not come to rest");
		if (!assign_beat_all(run, members_n)) {
			usleep(200000);
			continue;
		}
		usleep(1200000);
		if (assign_beat_all(run, members_n))
			return;
	}
}

/* One heartbeat, and the processor time of the server until half a second later. */
static double assign_timed(struct assign_run *run, struct beater *b, double *ret_cpu_ms)
{
	uint64_t cpu_ns = proc_read(run->target.pid).cpu_ns;
	uint64_t start = clock_now_ns();
	assign_beat(run, b);
	double ms = (double)(clock_now_ns() - start) / 1e6;
	usleep(500000);
	*ret_cpu_ms = (double)(proc_read(run->target.pid).cpu_ns - cpu_ns) / 1e6;
	return ms;
}

static void assign_leave(struct assign_run *run, struct beater *b)
{
	struct wire_beaten beaten;
	struct wire_beat beat = { .group = b->group, .member_id = b->id, .epoch = -1 };
	run->frame.len = 0;
	wire_beat(&run->frame, &beat);
	if (!wire_beat_parse(client_call(run->fd, &run->frame), &beaten) || beaten.error != 0)
		die("leaving failed with error %d", beaten.error);
	b->is_joined = false;
	b->tells_owned = false;
	b->owned.len = 0;
	b->epoch = 0;
}

/* Everybody subscribes to all topics, or (mixed) to half of them, never all to the same half. */
static const char **topics_of(char (*names)[64], int32_t topics_n, uint32_t member, bool mixed, int32_t *ret_n)
{
	const char **topics = calloc((size_t)topics_n, sizeof(*topics));
	int32_t n = 0;
	if (topics == NULL)
		die("out of memory");
	for (int32_t i = 0; i < topics_n; i++) {
		bool wanted = !mixed || ((uint32_t)i + member * 3 + member / (uint32_t)topics_n) %
					(uint32_t)topics_n < ((uint32_t)topics_n + 1) / 2;
		if (wanted)
			topics[n++] = names[i];
	}
	*ret_n = n;
	return topics;
}

static void assign_prepare(struct assign_run *run, int32_t topics_n, int32_t partitions_n, bool mixed)
{
	char (*names)[64] = calloc((size_t)topics_n, sizeof(*names)); /* lives as long as the program */
	char group[40];
	if (names == NULL)
		die("out of memory");
	for (int32_t i = 0; i < topics_n; i++) {
		snprintf(names[i], sizeof(names[i]), "%.50s-%d", run->target.topic, i);
		topic_prepare(run->fd, names[i], partitions_n / topics_n, run->target.configs);
	}
	snprintf(group, sizeof(group), "assign-%d", (int)getpid());
	group_prepare(&run->target, group);
	run->members = calloc(run->members_n, sizeof(*run->members));
	if (run->members == NULL)
		die("out of memory");
	for (uint32_t i = 0; i < run->members_n; i++) {
		int32_t n = 0;
		const char **topics = topics_of(names, topics_n, i, mixed, &n);
		beater_init(&run->members[i], i, group, topics, n);
	}
}

/* What thousands of new partitions leave to do in the background must not count: up to half a minute for it. */
static void server_rest_wait(pid_t pid)
{
	for (int i = 0; i < 60; i++) {
		uint64_t cpu_ns = proc_read(pid).cpu_ns;
		usleep(500000);
		if (proc_read(pid).cpu_ns - cpu_ns < 10 * 1000000)
			return;
	}
}

void mode_assign(struct args *args)
{
	enum { ROUNDS_MAX = 50 };
	struct assign_run run = { .target = target_of(args) };
	run.members_n = (uint32_t)args_int(args, "members", 1000);
	int32_t partitions_n = (int32_t)args_int(args, "partitions", 10000);
	int32_t topics_n = (int32_t)args_int(args, "topics", 10);
	bool mixed = args_int(args, "mixed", 0) != 0;
	int warm_n = (int)args_int(args, "warm_rounds", 1);
	int rounds_n = (int)args_int(args, "rounds", 3);
	args_finish(args);
	if (run.members_n < 2 || topics_n < 1 || partitions_n < topics_n || rounds_n < 1 || rounds_n > ROUNDS_MAX)
		die("at least two members, one topic, one round; at most %d rounds", ROUNDS_MAX);
	run.fd = net_connect_wait(run.target.port, 10000);
	assign_prepare(&run, topics_n, partitions_n, mixed);
	struct window window = { 0 };
	struct beater *last = &run.members[run.members_n - 1];
	double join_ms[ROUNDS_MAX], join_cpu[ROUNDS_MAX], leave_ms[ROUNDS_MAX], leave_cpu[ROUNDS_MAX];
	assign_settle(&run, run.members_n - 1);
	server_rest_wait(run.target.pid);
	for (int i = -warm_n; i < rounds_n; i++) {
		int at = i < 0 ? 0 : i;
		if (i == 0)
			window_begin(&window, &run.target);
		join_ms[at] = assign_timed(&run, last, &join_cpu[at]);
		assign_settle(&run, run.members_n);
		assign_leave(&run, last);
		usleep(1200000);
		leave_ms[at] = assign_timed(&run, &run.members[0], &leave_cpu[at]);
		assign_settle(&run, run.members_n - 1);
	}
	size_t n = (size_t)rounds_n;
	printf("mode=assign members=%u partitions=%d topics=%d mixed=%d join_ms=%.2f join_cpu_ms=%.2f leave_ms=%.2f "
	       "leave_cpu_ms=%.2f",
	       run.members_n, partitions_n, topics_n, mixed, median_of(join_ms, n), median_of(join_cpu, n),
	       median_of(leave_ms, n), median_of(leave_cpu, n));
	window_print(&window, &run.target, clock_now_ns(), 0, 0);
	printf("\n");
	close(run.fd);
}
