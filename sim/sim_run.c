/* SPDX-License-Identifier: Apache-2.0 */
/* See sim_run.h. */
#include "sim_run.h"

#include <stdio.h>

#include "check_dirs.h"
#include "check_files.h"
#include "fault.h"
#include "fmt.h"
#include "scenario.h"
#include "sim_faults.h"
#include "workload.h"

/* Bounds of the calm phase, virtual. */
#define RUN_START_MS 60000
#define RUN_PROGRESS_MS 90000
#define RUN_DRAIN_MS 60000
#define RUN_VERIFY_MS 120000
#define RUN_STOP_MS 60000
#define RUN_DIRS_MS 60000

struct run {
	const struct sim_run_options *options;
	struct world *w;
	struct workload *wl;
	struct sim_faults faults;
	char config[2048];
	int starts_n; /* before the one that is waited for */
};

enum err sim_run_options(const struct sim_run_options *run, struct sim_options *ret)
{
	struct rng rng;

	rng_init(&rng, run->seed);
	sim_options_draw(ret, &rng);
	for (int i = 0; i < run->swarm_n; i++) {
		enum err err = sim_options_set(ret, run->swarm[i]);

		if (err)
			return err;
	}
	return ERR_NONE;
}

static void run_configure(struct run *r)
{
	const struct sim_options *opt = &r->w->opt;
	struct fmt f;

	fmt_init(&f, r->config, sizeof(r->config));
	fmt_add(&f, "log.segment.bytes=%lld\n", (long long)opt->segment_bytes);
	fmt_add(&f, "log.index.size.max.bytes=%lld\nlog.roll.ms=%lld\n", (long long)opt->index_bytes,
		(long long)opt->roll_ms);
	fmt_add(&f, "log.index.interval.bytes=%lld\n", (long long)opt->index_interval);
	if (opt->synced)
		fmt_add(&f, "durability=synced\n");
	/* Clocks jump: what is not asked for does not go. */
	fmt_add(&f, "log.retention.ms=-1\n");
	if (opt->keep)
		fmt_add(&f, "log.retention.check.interval.ms=40\nlog.initial.task.delay.ms=0\n"
			    "log.cleaner.backoff.ms=30\nlog.segment.delete.delay.ms=100\n");
	if (opt->groups || opt->txns)
		fmt_add(&f, "offsets.topic.num.partitions=2\ngroup.initial.rebalance.delay.ms=100\n"
			    "group.min.session.timeout.ms=1000\ngroup.consumer.min.session.timeout.ms=1000\n"
			    "group.consumer.min.heartbeat.interval.ms=100\ngroup.consumer.heartbeat.interval.ms=500\n"
			    "group.consumer.session.timeout.ms=3000\ngroup.consumer.assignment.interval.ms=%d\n"
			    "offsets.retention.minutes=2147483647\n", opt->keep ? 0 : 200);
	if (opt->txns)
		fmt_add(&f, "transaction.state.log.num.partitions=2\ntransactional.id.expiration.ms=%lld\n"
			    "transaction.abort.timed.out.transaction.cleanup.interval.ms=100\n"
			    "transaction.remove.expired.transaction.cleanup.interval.ms=200\n",
			(long long)opt->txn_expire_ms);
	if (opt->dirs > 1) {
		fmt_add(&f, "metadata.log.dir=%s\nlog.dirs=", sim_options_dir(0));
		for (int i = 0; i < opt->dirs; i++)
			fmt_add(&f, "%s%s", i ? "," : "", sim_options_dir(i));
		fmt_add(&f, "\n");
	}
	if (opt->ballast)
		fmt_add(&f, "log.dir.warn.percent=50\nlog.dir.full.percent=%d\nlog.dir.ballast.bytes=%d\n",
			SIM_DISK_FULL_PERCENT, (int)SIM_DISK_BALLAST);
	for (int i = 0; opt->ballast && i < opt->dirs; i++)
		disk_dir_set_capacity(disk_of_node(r->w, 1), sim_options_dir(i), SIM_DISK_CAPACITY);
	if (opt->f_flip)
		fmt_add(&f, "log.flush.offset.checkpoint.interval.ms=200\n");
	if (opt->scrub)
		fmt_add(&f, "log.scrub.interval.ms=1000\nlog.scrub.max.bytes.per.second=10485760\n");
	CHECK(!f.cut);
	world_node_configure(r->w, 1, r->config);
}

static bool steps_left(const struct run *r)
{
	return !r->options->steps_max || r->w->events_n < r->options->steps_max;
}

typedef bool run_cond(struct run *r);

/* Steps until the condition holds; not in time is a failure of liveness. */
static bool run_until_cond(struct run *r, run_cond *cond, int64_t ms, const char *what)
{
	int64_t end_ns = r->w->now_ns + ms * NS_PER_MS;

	while (!cond(r)) {
		if (r->w->has_failed || !steps_left(r))
			return false;
		if (r->w->now_ns >= end_ns) {
			char who[256];

			workload_describe(r->wl, who, sizeof(who));
			world_fail(r->w, "%s not within %lld s of calm (%s)", what, (long long)(ms / 1000), who);
			return false;
		}
		world_run_ms(r->w, 20);
	}
	return !r->w->has_failed;
}

static bool is_ready(struct run *r)
{
	return world_node_is_ready(r->w, 1);
}

static bool is_off(struct run *r)
{
	return world_node(r->w, 1)->state == SIM_NODE_OFF;
}

/* Whoever starts it again may have done so between two looks. */
static bool has_ended(struct run *r)
{
	return is_off(r) || world_node(r->w, 1)->starts_n > r->starts_n;
}

static bool has_produced(struct run *r)
{
	return workload_has_produced(r->wl);
}

static bool has_read(struct run *r)
{
	return workload_has_read(r->wl);
}

static bool is_drained(struct run *r)
{
	return workload_is_drained(r->wl);
}

static bool is_verified(struct run *r)
{
	return workload_is_verified(r->wl);
}

static bool is_created(struct run *r)
{
	return r->wl->is_created;
}

static bool is_met(struct run *r)
{
	return wl_dirs_is_met(r->wl->dirs);
}

static bool has_no_leftovers(struct run *r)
{
	return check_dirs_left(disk_of_node(r->w, 1)) == 0;
}

/* One directory fails, nothing else does: what lies elsewhere goes on. Then it is in order again at the next start. */
static bool run_dir_fails(struct run *r)
{
	struct world *w = r->w;
	int dir = (int)rng_between(&w->rng, 1, w->opt.dirs - 1);

	wl_dirs_demand(r->wl->dirs, DIRS_KNOWN, dir);
	if (!run_until_cond(r, is_met, RUN_DIRS_MS, "places of all partitions"))
		return false;
	world_log(w, "run.dir_fails", "dir=%s", sim_options_dir(dir));
	disk_dir_break(disk_of_node(w, 1), sim_options_dir(dir),
		       world_chance(w, 1, 2) ? DISK_DIR_GONE : DISK_DIR_NO_WRITE);
	wl_dirs_demand(r->wl->dirs, DIRS_ELSEWHERE, dir);
	if (!run_until_cond(r, is_met, RUN_DIRS_MS, "partitions elsewhere while a directory fails"))
		return false;
	disk_heal(disk_of_node(w, 1));
	wl_dirs_demand(r->wl->dirs, DIRS_NOTHING, 0);
	r->starts_n = world_node(w, 1)->starts_n;
	if (world_chance(w, 1, 2))
		world_node_stop(w, 1);
	else
		world_node_kill(w, 1, world_chance(w, 1, 2) ? SIM_DEATH_POWER : SIM_DEATH_PROCESS);
	return run_until_cond(r, has_ended, RUN_STOP_MS, "the end after a directory failed") &&
	       run_until_cond(r, is_ready, RUN_START_MS, "ready after a directory failed");
}

/* A disk fills up to the share that is kept free: writes are refused, reads are not, and it resumes by itself. */
static bool run_dir_fills(struct run *r)
{
	struct world *w = r->w;
	int dir = (int)rng_below(&w->rng, (uint64_t)w->opt.dirs);

	wl_dirs_demand(r->wl->dirs, DIRS_KNOWN, dir);
	if (!run_until_cond(r, is_met, RUN_DIRS_MS, "places of all partitions"))
		return false;
	world_log(w, "run.dir_fills", "dir=%s", sim_options_dir(dir));
	disk_dir_fill(disk_of_node(w, 1), sim_options_dir(dir),
		      world_chance(w, 1, 3) ? 0 : rng_between(&w->rng, 0, SIM_DISK_RESERVE - 1));
	wl_dirs_demand(r->wl->dirs, DIRS_REFUSED, dir);
	if (!run_until_cond(r, is_met, RUN_DIRS_MS, "refusals of a full directory"))
		return false;
	disk_dirs_empty(disk_of_node(w, 1));
	wl_dirs_demand(r->wl->dirs, DIRS_TAKEN, dir);
	if (!run_until_cond(r, is_met, RUN_DIRS_MS, "writes when there is room again"))
		return false;
	wl_dirs_demand(r->wl->dirs, DIRS_NOTHING, 0);
	return true;
}

static bool run_dirs(struct run *r)
{
	const struct sim_options *opt = &r->w->opt;

	if (!r->wl->dirs || (!opt->f_dir && !opt->ballast))
		return true;
	return run_until_cond(r, is_created, RUN_PROGRESS_MS, "topics created") &&
	       (!opt->ballast || run_dir_fills(r)) && (!opt->f_dir || opt->dirs < 2 || run_dir_fails(r));
}

static bool flip_has_grown(struct run *r)
{
	return wl_flip_has_grown(r->wl->flip);
}

static bool is_started_again(struct run *r)
{
	return world_node(r->w, 1)->starts_n > r->starts_n && world_node_is_ready(r->w, 1);
}

/* Old segments lie on the disk for sure, and rot while the node is down. */
static bool run_flips(struct run *r)
{
	for (int i = 0; r->wl->flip && i < 2; i++) {
		if (!run_until_cond(r, flip_has_grown, RUN_PROGRESS_MS, "records that can rot"))
			return false;
		world_run_ms(r->w, 1000);
		r->starts_n = world_node(r->w, 1)->starts_n;
		if (world_chance(r->w, 1, 2))
			world_node_stop(r->w, 1);
		else
			world_node_kill(r->w, 1, SIM_DEATH_PROCESS);
		if (!run_until_cond(r, is_started_again, RUN_START_MS, "ready after a rotten sleep"))
			return false;
	}
	return true;
}

static void run_faults(struct run *r)
{
	int64_t end_ns = r->w->now_ns + r->w->opt.fault_ms * NS_PER_MS;

	faults_start(&r->faults);
	while (r->w->now_ns < end_ns && !r->w->has_failed && steps_left(r)) {
		world_run_ms(r->w, 20);
		if (world_chance(r->w, 1, 10))
			world_check(r->w);
	}
}

/* The node is off and the files lie as a clean stop left them. */
static void run_look_at_files(struct run *r)
{
	check_dirs(disk_of_node(r->w, 1), r->w);
	if (r->w->opt.f_eio || r->w->opt.f_sync || r->w->opt.f_dir)
		return; /* failed operations may leave less than tidy indexes until the next start */
	check_files(disk_of_node(r->w, 1), &r->wl->history);
}

static bool run_stop(struct run *r)
{
	workload_stop(r->wl);
	world_run_ms(r->w, 100);
	faults_deinit(&r->faults);
	world_node_stop(r->w, 1);
	return run_until_cond(r, is_off, RUN_STOP_MS, "a clean stop");
}

/* Started again, everything is there as before. */
static void run_once_more(struct run *r)
{
	world_log(r->w, "run.once_more", "faults=0");
	if (!world_node_start(r->w, 1)) {
		world_fail(r->w, "the start after a clean stop fails with error %d",
			   (int)world_node(r->w, 1)->start_err);
		return;
	}
	if (!run_until_cond(r, is_ready, RUN_START_MS, "ready after a clean stop"))
		return;
	workload_verify_again(r->wl);
	if (!run_until_cond(r, is_verified, RUN_VERIFY_MS, "the reading after a clean stop"))
		return;
	/* What deletions and moves left behind goes without being asked for. */
	if (!run_until_cond(r, has_no_leftovers, RUN_DIRS_MS, "the removal of what was deleted"))
		return;
	if (run_stop(r))
		run_look_at_files(r);
}

static void run_phases(struct run *r)
{
	struct world *w = r->w;

	if (!world_node_start(w, 1)) {
		world_fail(w, "the first start fails with error %d", (int)world_node(w, 1)->start_err);
		return;
	}
	if (!run_until_cond(r, is_ready, RUN_START_MS, "ready for the first time"))
		return;
	workload_start(r->wl);
	run_faults(r);
	if (w->has_failed || !steps_left(r))
		return;
	world_log(w, "run.heal", "faults=%d acked=%lld", r->faults.faults_n, (long long)r->wl->history.acked_n);
	faults_heal(&r->faults);
	if (!run_until_cond(r, is_ready, RUN_START_MS, "ready") || !run_flips(r) || !run_dirs(r))
		return;
	workload_calm(r->wl);
	if (!run_until_cond(r, has_produced, RUN_PROGRESS_MS, "produced"))
		return;
	world_check(w);
	workload_stop_producers(r->wl);
	if (!run_until_cond(r, is_drained, RUN_DRAIN_MS, "end of open produces"))
		return;
	if (!run_until_cond(r, has_read, RUN_PROGRESS_MS, "read to the end"))
		return;
	workload_verify(r->wl);
	if (!run_until_cond(r, is_verified, RUN_VERIFY_MS, "the last reading"))
		return;
	world_check(w);
	if (!run_stop(r))
		return;
	run_look_at_files(r);
	if (!w->has_failed && world_chance(w, 1, 3))
		run_once_more(r);
}

static void run_rot(void *ctx)
{
	struct workload *wl = ctx;

	wl_flip_rot(wl->flip);
}

struct sim_run_result sim_run(const struct sim_run_options *options)
{
	struct run r = {.options = options};
	struct sim_run_result result = {0};
	struct sim_options opt;
	enum err err = sim_run_options(options, &opt);

	CHECK_OP(err, ==, ERR_NONE);
	sim_first_epoch_set((int16_t)(INT16_MAX - 1 - opt.txn_epochs_left));
	r.w = world_new(options->seed, &opt, options->body);
	r.w->trace = options->trace;
	r.w->quiet = options->quiet;
	if (options->trace)
		r.w->nodes[1].sink.level = LOG_TRACE;
	run_configure(&r);
	r.wl = workload_new(r.w, 1);
	faults_init(&r.faults, r.w, 1, &r.wl->history);
	if (r.wl->flip) {
		r.faults.rot = run_rot;
		r.faults.rot_ctx = r.wl;
	}
	log_sink_set(&r.w->sink);
	run_phases(&r);
	if (r.w->has_failed && options->export_dir)
		disk_export(disk_of_node(r.w, 1), options->export_dir);
	result.hash = r.w->hash;
	result.events_n = r.w->events_n;
	result.virtual_ms = r.w->now_ns / NS_PER_MS;
	result.acked_n = r.wl->history.acked_n;
	result.read_n = r.wl->history.read_n;
	result.faults_n = r.faults.faults_n;
	result.has_failed = r.w->has_failed;
	memcpy(result.failure, r.w->failure, sizeof(result.failure));
	faults_deinit(&r.faults);
	workload_free(r.wl);
	log_sink_set(NULL);
	world_free(r.w);
	return result;
}
