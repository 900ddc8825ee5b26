/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the file operations of a story, and disturbs each of them in a process of its own, forked from the prepared
 * state. See steps.h.
 *
 * By default every operation is met by: the end of the process, a power cut that loses all that was not synced, one of
 * the other power cuts, one of the errors (these two by turns), and one pair, whose second operation of the start that
 * follows is spread evenly. `all`: every kind, and every operation of that start for four of the pairs of kinds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_bodies.h"
#include "steps.h"

#define STEPS_ALARM_S 60
#define STEPS_JOBS_MAX 16

static const char *const kind_names[STEPS_KINDS_N] = {
	"kill", "power", "lost", "names", "bytes", "torn", "zeros", "eio", "eio_power", "full", "full_long",
};

/* With plain retention nothing goes by itself; what is put off comes soon. */
static const char steps_config[] = "log.flush.offset.checkpoint.interval.ms=300\n"
				   "log.retention.check.interval.ms=150\n"
				   "log.initial.task.delay.ms=0\n"
				   "log.cleaner.backoff.ms=100\n"
				   "log.segment.delete.delay.ms=100\n"
				   "log.retention.ms=-1\n"
				   "log.index.interval.bytes=200\n"
				   "offsets.topic.num.partitions=1\n"
				   "transaction.state.log.num.partitions=1\n";

const char *steps_kind_name(int kind)
{
	return kind >= 0 && kind < STEPS_KINDS_N ? kind_names[kind] : NULL;
}

struct plan {
	int kind; /* -1: nothing happens */
	uint64_t at;
	int kind_again; /* at_again 0: no second one */
	uint64_t at_again;
};

/* In memory that the processes share. */
struct result {
	bool is_over;
	bool is_good;
	bool was_struck_again;
	uint64_t changes, start_changes;
	char struck[160], struck_again[160];
	char text[600];
};

struct job {
	pid_t pid;
	struct plan plan;
	struct result *result; /* shared */
};

struct runner {
	const struct steps_options *options;
	struct steps *s;
	struct job jobs[STEPS_JOBS_MAX];
	uint64_t changes; /* of the operation */
	VEC(uint64_t) start_changes; /* by operation: of the start after a death there */
	uint64_t runs_n[STEPS_KINDS_N], pairs_n, pairs_struck_n;
	int failed_n;
};

/* ---- in the forked process ---- */

static bool is_power(int kind)
{
	return kind >= STEPS_POWER && kind <= STEPS_ZEROS;
}

static void arm(struct steps *s, int kind, uint64_t at)
{
	struct sim_disk *d = disk_of_node(s->w, 1);

	if (kind < 0)
		return;
	/* Where the power goes later, it goes in all ways by turns. */
	disk_set_cut(d, is_power(kind) ? (enum disk_cut)(DISK_CUT_DRAWN + (kind - STEPS_POWER))
				       : (enum disk_cut)(at / 4 % DISK_CUT_N));
	if (kind == STEPS_KILL)
		disk_crash_at(d, at, SIM_DEATH_PROCESS);
	else if (is_power(kind))
		disk_crash_at(d, at, SIM_DEATH_POWER);
	else
		disk_fail_at(d, at, kind >= STEPS_FULL ? ERR_DISK_FULL : ERR_IO, kind == STEPS_FULL_LONG);
}

static bool is_off(const struct steps *s)
{
	return world_node(s->w, 1)->state == SIM_NODE_OFF;
}

static void cut_power(struct steps *s)
{
	if (is_off(s))
		disk_power_cut(disk_of_node(s->w, 1));
	else
		power_cut(s->w, 1);
}

/* After the disturbed operation: to a node that is off. */
static void come_to_rest(struct steps *s, int kind)
{
	bool cuts = is_power(kind) || kind == STEPS_EIO_POWER;

	if (kind >= STEPS_EIO)
		world_run_ms(s->w, STEPS_GO_ON_MS);
	disk_heal(disk_of_node(s->w, 1));
	if (kind == STEPS_EIO_POWER) {
		cut_power(s);
	} else if (!is_off(s)) {
		steps_disconnect(s);
		if (!node_down(s->w, 1) && !s->w->has_failed)
			world_fail(s->w, "the node does not stop");
	}
	if (cuts && !s->w->opt.synced) {
		s->is_lossy = true;
		steps_note_floors(s);
	}
	disk_set_cut(disk_of_node(s->w, 1), DISK_CUT_DRAWN);
}

static void die_again(struct steps *s, const struct plan *plan, struct result *result)
{
	uint64_t before = disk_changes_n(disk_of_node(s->w, 1));

	arm(s, plan->kind_again, plan->at_again);
	steps_disconnect(s);
	if (node_up(s->w, 1))
		world_run_ms(s->w, STEPS_GO_ON_MS);
	result->was_struck_again = disk_changes_n(disk_of_node(s->w, 1)) - before >= plan->at_again;
	snprintf(result->struck_again, sizeof(result->struck_again), "%.150s", disk_struck(disk_of_node(s->w, 1)));
	come_to_rest(s, plan->kind_again);
}

static void run_plan(struct steps *s, const struct plan *plan, struct result *result)
{
	struct sim_disk *d = disk_of_node(s->w, 1);
	uint64_t before = disk_changes_n(d);

	arm(s, plan->kind, plan->at);
	s->story->operate(s);
	result->changes = disk_changes_n(d) - before;
	snprintf(result->struck, sizeof(result->struck), "%.150s", disk_struck(d));
	if (plan->kind < 0 && s->story->has_happened && !s->story->has_happened(s))
		world_fail(s->w, "undisturbed, it does not come to what it is about");
	if (plan->kind >= 0 && result->changes < plan->at)
		world_fail(s->w, "there were %llu operations only", (unsigned long long)result->changes);
	if (!s->w->has_failed)
		come_to_rest(s, plan->kind);
	if (!s->w->has_failed && plan->at_again)
		die_again(s, plan, result);
	s->cut_stopped = (enum disk_cut)(plan->at % DISK_CUT_N);
	if (!s->w->has_failed)
		steps_judge(s);
	result->start_changes = s->start_changes;
	snprintf(result->text, sizeof(result->text), "%s", s->w->failure);
	result->is_good = !s->w->has_failed;
	result->is_over = true;
}

/* ---- who waits ---- */

static void tell_failure(struct runner *r, const struct job *job, int status)
{
	const struct plan *plan = &job->plan;
	char how[64] = "";

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "ended by signal %d", WTERMSIG(status));
	printf("FAILED: --only %s --synced %d", r->s->story->name, (int)r->s->w->opt.synced);
	if (plan->kind >= 0)
		printf(" --kind %s --at %llu", kind_names[plan->kind], (unsigned long long)plan->at);
	if (plan->at_again)
		printf(" --again %s --at-again %llu", kind_names[plan->kind_again], (unsigned long long)plan->at_again);
	printf("\n    struck: %s%s%s\n    %s\n", job->result->struck, plan->at_again ? "; then " : "",
	       job->result->struck_again, job->result->is_over ? job->result->text : how);
	r->failed_n++;
}

static void job_reap(struct runner *r, struct job *job, int status)
{
	const struct result *result = job->result;

	job->pid = 0;
	if (!result->is_over || !result->is_good || status) {
		tell_failure(r, job, status);
		return;
	}
	if (job->plan.kind < 0)
		r->changes = result->changes;
	else if (!job->plan.at_again)
		r->start_changes.v[job->plan.at] = MAX(r->start_changes.v[job->plan.at], result->start_changes);
	r->pairs_struck_n += job->plan.at_again && result->was_struck_again;
}

static void wait_one(struct runner *r)
{
	int status;
	pid_t pid = wait(&status);

	CHECK_OP(pid, >, 0);
	for (int i = 0; i < STEPS_JOBS_MAX; i++) {
		if (r->jobs[i].pid == pid)
			job_reap(r, &r->jobs[i], status);
	}
}

static void wait_all(struct runner *r)
{
	for (int i = 0; i < r->options->jobs_n; i++) {
		while (r->jobs[i].pid)
			wait_one(r);
	}
}

static void run(struct runner *r, struct plan plan)
{
	struct job *job = NULL;

	if (plan.kind >= 0 && plan.at_again)
		r->pairs_n++;
	else if (plan.kind >= 0)
		r->runs_n[plan.kind]++;
	while (!job) {
		for (int i = 0; i < r->options->jobs_n && !job; i++)
			job = r->jobs[i].pid ? NULL : &r->jobs[i];
		if (!job)
			wait_one(r);
	}
	job->plan = plan;
	memset(job->result, 0, sizeof(*job->result));
	fflush(stdout);
	job->pid = fork();
	CHECK_OP(job->pid, >=, 0);
	if (job->pid)
		return;
	alarm(STEPS_ALARM_S);
	run_plan(r->s, &plan, job->result);
	fflush(stdout);
	_exit(0);
}

/* ---- which ones ---- */

static bool is_wanted(const struct steps_options *o, int kind, uint64_t at)
{
	return (o->kind < 0 || o->kind == kind) && (!o->at || o->at == at);
}

static void run_kinds(struct runner *r, uint64_t at)
{
	static const int cuts[] = {STEPS_TORN, STEPS_NAMES, STEPS_BYTES, STEPS_ZEROS, STEPS_POWER};
	static const int errors[] = {STEPS_EIO, STEPS_FULL, STEPS_EIO_POWER, STEPS_FULL_LONG};
	const struct steps_options *o = r->options;
	/* The two durabilities begin elsewhere, so that together they see more. */
	uint64_t turn = at + (uint64_t)(r->s->w->opt.synced ? 2 : 0);

	for (int kind = 0; kind < STEPS_KINDS_N; kind++) {
		bool is_due = o->all || o->kind >= 0 || kind == STEPS_KILL || kind == STEPS_LOST ||
			      kind == cuts[turn % ARRAY_N(cuts)] || kind == errors[turn % ARRAY_N(errors)];

		if (is_due && is_wanted(o, kind, at))
			run(r, (struct plan){.kind = kind, .at = at});
	}
}

static void run_pairs(struct runner *r, uint64_t at)
{
	static const int pairs[][2] = {
		{STEPS_KILL, STEPS_KILL}, {STEPS_LOST, STEPS_LOST}, {STEPS_TORN, STEPS_NAMES}, {STEPS_KILL, STEPS_EIO},
		{STEPS_NAMES, STEPS_LOST}, {STEPS_KILL, STEPS_LOST}, {STEPS_BYTES, STEPS_TORN},
		{STEPS_LOST, STEPS_FULL}, {STEPS_POWER, STEPS_POWER}, {STEPS_ZEROS, STEPS_ZEROS},
		{STEPS_EIO, STEPS_LOST}, {STEPS_EIO, STEPS_KILL}, {STEPS_FULL, STEPS_NAMES}, {STEPS_EIO, STEPS_POWER},
	};
	uint64_t n = r->start_changes.v[at];

	if (!n)
		return;
	if (!r->options->all) {
		const int *pair = pairs[at % ARRAY_N(pairs)];

		run(r, (struct plan){pair[0], at, pair[1], 1 + at * 7 % n});
		return;
	}
	for (size_t p = 0; p < 4; p++) {
		for (uint64_t again = 1; again <= n; again++)
			run(r, (struct plan){pairs[p][0], at, pairs[p][1], again});
	}
}

static void tell_story(const struct runner *r)
{
	printf("%-28s %s %4llu operations:", r->s->story->name, r->s->w->opt.synced ? "synced    " : "page-cache",
	       (unsigned long long)r->changes);
	for (int kind = 0; kind < STEPS_KINDS_N; kind++) {
		if (r->runs_n[kind])
			printf(" %s %llu,", kind_names[kind], (unsigned long long)r->runs_n[kind]);
	}
	printf(" pairs %llu (%llu struck): %d failed\n", (unsigned long long)r->pairs_n,
	       (unsigned long long)r->pairs_struck_n, r->failed_n);
}

static void run_points(struct runner *r)
{
	const struct steps_options *o = r->options;

	run(r, (struct plan){.kind = -1});
	wait_all(r);
	if (r->failed_n)
		return;
	for (uint64_t at = 0; at <= r->changes; at++)
		vec_push(&r->start_changes, 0);
	if (o->at_again) {
		run(r, (struct plan){o->kind, o->at, o->kind_again, o->at_again});
		wait_all(r);
		return;
	}
	for (uint64_t at = 1; at <= r->changes; at++)
		run_kinds(r, at);
	wait_all(r);
	for (uint64_t at = 1; at <= r->changes && o->kind < 0 && !o->at; at++)
		run_pairs(r, at);
	wait_all(r);
}

/* ---- stories ---- */

/* What a start says when it found something that was not in order. */
static void heard(struct world *w, void *ctx, const char *event, const char *text)
{
	static const char *const events[] = {
		"log.truncated", "log.index_rebuild", "log.index_wrong", "log.epochs_damaged", "log.damaged",
		"log.txn_index_damaged", "log.snapshot_damaged", "log.stray", "log_dir.clean_mark_damaged",
		"log_dir.lost_sync", "checkpoint.failed", "storage.remove_failed", "log.trim_failed",
	};
	struct steps *s = ctx;

	for (size_t i = 0; s->is_strict && i < ARRAY_N(events); i++) {
		if (strcmp(event, events[i]) == 0)
			world_fail(w, "after a clean stop: %s %s", event, text);
	}
}

static void story_new(struct steps *s, const struct steps_story *story, bool synced, const struct steps_options *o)
{
	struct sim_options opt;

	sim_options_plain(&opt);
	opt.synced = synced;
	if (story->options)
		CHECK_OP(sim_options_set(&opt, story->options), ==, ERR_NONE);
	*s = (struct steps){.story = story, .txn_producer_id = -1};
	s->w = world_new(1, &opt, &broker_body);
	s->w->trace = o->trace;
	s->w->quiet = true;
	s->w->on_log = heard;
	s->w->log_ctx = s;
	log_sink_set(&s->w->sink);
	snprintf(s->config, sizeof(s->config), "%s%s", steps_config, story->config ? story->config : "");
	world_node_configure(s->w, 1, s->config);
	sim_conn_init(&s->conn, s->w, 1, "steps");
	for (int i = 0; i <= API_KEY_MAX; i++) {
		const struct api *api = api_find((int16_t)i);

		if (api && s->conn.cap[i] >= 0)
			s->conn.cap[i] = api->version_stable;
	}
	/* By name. */
	s->conn.cap[API_FETCH] = s->conn.cap[API_PRODUCE] = 12;
	story->prepare(s);
}

static void story_free(struct steps *s)
{
	for (int i = 0; i < s->parts_n; i++)
		vec_deinit(&s->parts[i].records);
	sim_conn_deinit(&s->conn);
	log_sink_set(NULL);
	world_free(s->w);
}

static int run_story(const struct steps_story *story, bool synced, const struct steps_options *o)
{
	struct steps *s = MEM_NEW(struct steps);
	struct runner r = {.options = o, .s = s};
	struct result *results = mmap(NULL, sizeof(*results) * STEPS_JOBS_MAX, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(results != MAP_FAILED);
	for (int i = 0; i < STEPS_JOBS_MAX; i++)
		r.jobs[i].result = &results[i];
	story_new(s, story, synced, o);
	if (s->w->has_failed) {
		printf("FAILED: %s cannot be prepared: %s\n", story->name, s->w->failure);
		r.failed_n++;
	} else {
		run_points(&r);
	}
	tell_story(&r);
	vec_deinit(&r.start_changes);
	/* A call that failed half-way may still be queued: then nothing is freed. */
	if (!s->w->has_failed)
		story_free(s);
	munmap(results, sizeof(*results) * STEPS_JOBS_MAX);
	mem_free(s);
	return r.failed_n;
}

int steps_run_all(const struct steps_options *o)
{
	int failed_n = 0;

	for (int i = 0; i < steps_stories_n; i++) {
		const struct steps_story *story = &steps_stories[i];

		if (o->only && strncmp(story->name, o->only, strlen(o->only)) != 0)
			continue;
		if (o->lists) {
			printf("%s\n", story->name);
			continue;
		}
		for (int synced = story->synced_only; synced <= 1; synced++) {
			if (o->synced < 0 || o->synced == synced)
				failed_n += run_story(story, synced, o);
		}
	}
	return failed_n;
}
