/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A classic group (`join`): many members join at once, each on a connection of its own, as clients do: they ask for an
 * id, join with it, the leader hands in an assignment, all sync, and who synced sends heartbeats and joins again when
 * it is told to. A round is over when every member has synced in one generation that has them all.
 *
 *    ASKING --id required--> JOINING --> SYNCING --> SYNCED --heartbeat: rebalance--> JOINING
 *                               ^           |
 *                               +-----------+ rebalance
 */

#include "bench_clients.h"
#include "bench_load.h"
#include "bench_wire_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum member_state { ASKING, JOINING, SYNCING, SYNCED, BEATING };

struct member {
	enum member_state state;
	int32_t generation;
	char id[WIRE_MEMBER_ID_CAP];
};

/* When a member's next heartbeat is due. They stand in order, as all wait equally long. */
struct due {
	uint64_t at_ns;
	uint32_t member;
};

struct join_run {
	const char *topic;
	char group[64];
	uint32_t members_n;
	struct member *members;
	int32_t full_generation; /* that has all; 0: none yet */
	uint32_t synced_n; /* in it */
	uint64_t beat_ns;
	struct due *due; /* ring of members_n */
	uint64_t due_first, due_end;
	struct wbuf frame;
	uint64_t requests_n;
	uint64_t end_ns;
};

static void member_send(struct join_run *run, struct clients *all, struct client *c)
{
	run->requests_n++;
	clients_send(all, c, &run->frame);
}

static void member_join(struct join_run *run, struct clients *all, struct client *c)
{
	struct member *m = &run->members[c->index];
	m->state = m->id[0] == 0 ? ASKING : JOINING;
	run->frame.len = 0;
	wire_join_group(&run->frame, run->group, m->id, run->topic);
	member_send(run, all, c);
}

static void join_answered(struct join_run *run, struct clients *all, struct client *c, struct rbuf answer)
{
	struct member *m = &run->members[c->index];
	struct wire_joined joined;
	if (!wire_join_group_parse(answer, &joined))
		die("malformed JoinGroup answer");
	switch (joined.error) {
	case 0:
		break;
	case WIRE_MEMBER_ID_REQUIRED:
		memcpy(m->id, joined.member_id, sizeof(m->id));
		member_join(run, all, c);
		return;
	case WIRE_UNKNOWN_MEMBER_ID:
		m->id[0] = 0;
		member_join(run, all, c);
		return;
	case WIRE_REBALANCE_IN_PROGRESS:
		member_join(run, all, c);
		return;
	default:
		die("a JoinGroup request failed with error %d", joined.error);
	}
	m->generation = joined.generation;
	m->state = SYNCING;
	if ((uint32_t)joined.members_n == run->members_n && joined.generation != run->full_generation) {
		run->full_generation = joined.generation;
		run->synced_n = 0;
	}
	run->frame.len = 0;
	wire_sync_group(&run->frame, run->group, &joined, run->topic);
	member_send(run, all, c);
}

static void sync_answered(struct join_run *run, struct clients *all, struct client *c, struct rbuf answer,
			  uint64_t now_ns)
{
	struct member *m = &run->members[c->index];
	int16_t error = 0;
	size_t assignment_len = 0;
	if (!wire_sync_group_parse(answer, &error, &assignment_len))
		die("malformed SyncGroup answer");
	if (error == WIRE_UNKNOWN_MEMBER_ID)
		m->id[0] = 0;
	if (error == WIRE_UNKNOWN_MEMBER_ID || error == WIRE_REBALANCE_IN_PROGRESS ||
	    error == WIRE_ILLEGAL_GENERATION) {
		member_join(run, all, c);
		return;
	}
	if (error != 0 || assignment_len == 0)
		die("a SyncGroup request failed with error %d, assignment of %zu bytes", error, assignment_len);
	m->state = SYNCED;
	if (m->generation == run->full_generation)
		run->synced_n++;
	run->due[run->due_end++ % run->members_n] = (struct due){ now_ns + run->beat_ns, c->index };
}

static void beat_answered(struct join_run *run, struct clients *all, struct client *c, struct rbuf answer,
			  uint64_t now_ns)
{
	struct member *m = &run->members[c->index];
	int16_t error = 0;
	if (!wire_heartbeat_parse(answer, &error))
		die("malformed Heartbeat answer");
	m->state = SYNCED;
	if (error == 0) {
		run->due[run->due_end++ % run->members_n] = (struct due){ now_ns + run->beat_ns, c->index };
		return;
	}
	if (error == WIRE_UNKNOWN_MEMBER_ID)
		m->id[0] = 0;
	else if (error != WIRE_REBALANCE_IN_PROGRESS && error != WIRE_ILLEGAL_GENERATION)
		die("a Heartbeat request failed with error %d", error);
	member_join(run, all, c);
}

static void member_answered(struct clients *all, struct client *c, struct rbuf answer, uint64_t sent_ns,
			    uint64_t now_ns)
{
	struct join_run *run = all->user;
	(void)sent_ns;
	switch (run->members[c->index].state) {
	case ASKING:
	case JOINING:
		join_answered(run, all, c, answer);
		break;
	case SYNCING:
		sync_answered(run, all, c, answer, now_ns);
		break;
	case BEATING:
		beat_answered(run, all, c, answer, now_ns);
		break;
	case SYNCED:
		die("a member was answered that asked nothing");
	}
}

static bool is_stable(const struct join_run *run)
{
	return run->full_generation != 0 && run->synced_n == run->members_n;
}

/* Heartbeats that are due. Microseconds until the next one. */
static uint64_t send_due_beats(struct join_run *run, struct clients *all, uint64_t now_ns)
{
	while (run->due_first < run->due_end) {
		const struct due *due = &run->due[run->due_first % run->members_n];
		if (due->at_ns > now_ns)
			return (due->at_ns - now_ns) / 1000;
		struct member *m = &run->members[due->member];
		run->due_first++;
		m->state = BEATING;
		run->frame.len = 0;
		wire_heartbeat(&run->frame, run->group, m->generation, m->id);
		member_send(run, all, &all->v[due->member]);
	}
	return 100000;
}

/* The coordinator exists and has loaded when it answers about the group; the first question makes its topic. */
static void coordinator_wait(int fd, const char *group)
{
	struct wbuf w = { 0 };
	uint64_t end = clock_now_ns() + 60ull * 1000000000;
	for (;;) {
		int16_t error = 0;
		struct wire_offsets offsets;
		w.len = 0;
		wire_find_group(&w, group);
		if (!wire_find_group_parse(client_call(fd, &w), &error))
			die("malformed FindCoordinator answer");
		if (error == 0) {
			w.len = 0;
			wire_offset_fetch(&w, group, -1, 1, "", -1);
			if (!wire_offset_fetch_parse(client_call(fd, &w), &offsets))
				die("malformed OffsetFetch answer");
			error = offsets.error;
		}
		if (error == 0)
			break;
		if (clock_now_ns() > end)
			die("group %s has no coordinator: error %d", group, error);
		usleep(2000);
	}
	wbuf_deinit(&w);
}

void group_prepare(const struct target *t, const char *group)
{
	int fd = net_connect_wait(t->port, 10000);
	coordinator_wait(fd, group);
	close(fd);
}

static void all_leave(struct join_run *run, struct clients *all, int fd)
{
	char *ids = calloc(run->members_n, WIRE_MEMBER_ID_CAP);
	struct wbuf w = { 0 };
	int16_t error = 0;
	if (ids == NULL)
		die("out of memory");
	run->due_first = run->due_end;
	while (all->outstanding_n > 0) {
		if (clients_poll(all, 1000) > run->end_ns)
			die("heartbeats are not answered");
		run->due_first = run->due_end;
	}
	for (uint32_t i = 0; i < run->members_n; i++)
		memcpy(ids + (size_t)i * WIRE_MEMBER_ID_CAP, run->members[i].id, WIRE_MEMBER_ID_CAP);
	wire_leave_group(&w, run->group, ids, (int32_t)run->members_n);
	if (!wire_leave_group_parse(client_call(fd, &w), &error) || error != 0)
		die("leaving failed with error %d", error);
	wbuf_deinit(&w);
	free(ids);
}

static double join_round(struct join_run *run, struct clients *all, const struct target *t, double *ret_cpu_ms)
{
	uint64_t cpu_ns = proc_read(t->pid).cpu_ns;
	uint64_t start = clock_now_ns();
	run->requests_n = 0;
	run->full_generation = 0;
	run->synced_n = 0;
	run->end_ns = start + 60ull * 1000000000;
	for (uint32_t i = 0; i < run->members_n; i++) {
		run->members[i] = (struct member){ 0 };
		member_join(run, all, &all->v[i]);
	}
	for (uint64_t now = start; !is_stable(run);) {
		now = clients_poll(all, send_due_beats(run, all, now));
		if (now > run->end_ns)
			die("after 60 s %u of %u members have synced in a full generation", run->synced_n,
			    run->members_n);
	}
	uint64_t ns = clock_now_ns() - start;
	*ret_cpu_ms = (double)(proc_read(t->pid).cpu_ns - cpu_ns) / 1e6;
	return (double)ns / 1e6;
}

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double median_of(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), double_cmp);
	return n == 0 ? 0 : n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void mode_join(struct args *args)
{
	enum { ROUNDS_MAX = 100 };
	struct target t = target_of(args);
	struct join_run run = { .topic = t.topic };
	run.members_n = (uint32_t)args_int(args, "members", 1000);
	run.beat_ns = (uint64_t)args_int(args, "beat_ms", 5) * 1000000;
	int warm_n = (int)args_int(args, "warm_rounds", 3);
	int rounds_n = (int)args_int(args, "rounds", 5);
	args_finish(args);
	if (run.members_n < 2 || rounds_n < 1 || rounds_n > ROUNDS_MAX || warm_n < 0)
		die("at least two members and one round, at most %d rounds", ROUNDS_MAX);
	run.members = calloc(run.members_n, sizeof(*run.members));
	run.due = calloc(run.members_n, sizeof(*run.due));
	if (run.members == NULL || run.due == NULL)
		die("out of memory");
	struct clients all;
	clients_open(&all, t.port, run.members_n, member_answered, &run);
	int fd = net_connect_wait(t.port, 10000);
	double ms[ROUNDS_MAX], cpu_ms[ROUNDS_MAX];
	struct window window = { 0 };
	uint64_t requests_n = 0;
	for (int i = -warm_n; i < rounds_n; i++) {
		int at = i < 0 ? 0 : i;
		snprintf(run.group, sizeof(run.group), "join-%d-%d", (int)getpid(), i + warm_n);
		coordinator_wait(fd, run.group);
		if (i == 0)
			window_begin(&window, &t);
		ms[at] = join_round(&run, &all, &t, &cpu_ms[at]);
		requests_n += i < 0 ? 0 : run.requests_n;
		window_tick(&window, &t, clock_now_ns());
		all_leave(&run, &all, fd);
	}
	double middle = median_of(ms, (size_t)rounds_n); /* sorts */
	printf("mode=join members=%u rounds=%d ms=%.2f ms_min=%.2f ms_max=%.2f cpu_ms=%.2f requests_per_round=%.0f",
	       run.members_n, rounds_n, middle, ms[0], ms[rounds_n - 1],
	       median_of(cpu_ms, (size_t)rounds_n), (double)requests_n / rounds_n);
	window_print(&window, &t, clock_now_ns(), 0, requests_n);
	printf("\n");
	clients_close(&all);
	close(fd);
	free(run.members);
	free(run.due);
	wbuf_deinit(&run.frame);
}
