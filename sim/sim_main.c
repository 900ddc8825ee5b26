/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moldau-sim: runs seeds. Each seed runs in a process of its own, so that a failed CHECK, a sanitizer's report or an
 * endless loop (bounded by real time) is that seed's result and nobody else's.
 *
 *	moldau-sim [--seed N | --seeds A-B] [--reactors N] [--fault NAME] [--swarm KEY=VAL] [--steps N]
 *	           [--trace] [--twice] [--export DIR] [--body NAME] [--jobs N]
 *	moldau-sim --prove-bites [--limit N] [--fault NAME]...
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "sim_bodies.h"
#include "sim_run.h"

#define MAIN_SWARM_MAX 64
#define MAIN_SECONDS_MAX 120 /* real, per seed */

struct main_options {
	struct sim_run_options run;
	const char *swarm[MAIN_SWARM_MAX];
	uint64_t seed_first;
	uint64_t seed_last;
	enum fault fault;      /* of the run */
	uint64_t faults_named; /* bits: what --fault named */
	bool twice;
	bool prove_bites;
	uint64_t limit;
	bool keep_going;
};

/* Memory of a node that died is freed by scope, but what libraries allocate by themselves is not; leaks after a clean
 * stop are the world's to find. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

enum outcome { OUTCOME_OK, OUTCOME_FAILED, OUTCOME_CRASHED };

static void print_result(const struct main_options *o, uint64_t seed, const struct sim_run_result *result)
{
	printf("seed %" PRIu64 " hash %016" PRIx64 " %s: %" PRIu64 " events, %lld virtual ms, %d faults, %lld acked, "
	       "%lld read%s%s\n",
	       seed, result->hash, result->has_failed ? "FAILED" : "ok", result->events_n,
	       (long long)result->virtual_ms, result->faults_n, (long long)result->acked_n, (long long)result->read_n,
	       result->has_failed ? ": " : "", result->failure);
}

/* In the child. */
static int run_one(const struct main_options *o, uint64_t seed)
{
	struct sim_run_options run = o->run;
	struct sim_run_result result, again;
	int code = 0;

	run.seed = seed;
	run.quiet = o->prove_bites;
	fault_set(o->fault);
	alarm(MAIN_SECONDS_MAX);
	if (run.trace) {
		struct sim_options opt;

		if (sim_run_options(&run, &opt) == ERR_NONE)
			sim_options_print(&opt);
	}
	result = sim_run(&run);
	if (!o->prove_bites)
		print_result(o, seed, &result);
	code = result.has_failed ? OUTCOME_FAILED : OUTCOME_OK;
	if (o->twice) {
		again = sim_run(&run);
		if (again.hash != result.hash || again.events_n != result.events_n) {
			printf("seed %" PRIu64 " is not deterministic: %016" PRIx64 " then %016" PRIx64 "\n", seed,
			       result.hash, again.hash);
			code = OUTCOME_FAILED;
		}
	}
	if (o->prove_bites && result.has_failed)
		printf("  seed %" PRIu64 ": %s\n", seed, result.failure);
	fflush(stdout);
	return code;
}

static enum outcome run_child(const struct main_options *o, uint64_t seed)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		/* A crash on purpose needs no long report. */
		if (o->prove_bites && !freopen("/dev/null", "w", stderr))
			_exit(2);
		exit(run_one(o, seed));
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) <= OUTCOME_FAILED)
		return (enum outcome)WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		printf("%sseed %" PRIu64 " ended by signal %d\n", o->prove_bites ? "  " : "", seed, WTERMSIG(status));
	else
		printf("%sseed %" PRIu64 " ended with status %d\n", o->prove_bites ? "  " : "", seed,
		       WEXITSTATUS(status));
	return OUTCOME_CRASHED;
}

static int run_seeds(const struct main_options *o)
{
	int bad_n = 0;

	for (uint64_t seed = o->seed_first; seed <= o->seed_last; seed++)
		bad_n += run_child(o, seed) != OUTCOME_OK;
	if (o->seed_last > o->seed_first)
		printf("%" PRIu64 " seeds, %d failed\n", o->seed_last - o->seed_first + 1, bad_n);
	return bad_n ? 1 : 0;
}

/* What a fault needs to show itself and few seeds draw by themselves. */
static const struct fault_pins {
	enum fault fault;
	const char *swarm[5];
} fault_pins[] = {
	/* A batch but the newest is sent again, which was stored. */
	{FAULT_dup_window_short, {"f_reset=1", "idem_pct=100", "in_flight=5"}},
	/* An answer leaves before the sync, then the power goes. */
	{FAULT_meta_commit_early, {"f_power=1", "f_slow_disk=1", "churn=1", "fault_gap_ms=300", "keep=0"}},
	/* Of one replica the mark is what is stored, or synced: that takes time when syncs do. */
	{FAULT_ack_early, {"synced=1", "f_power=1", "f_slow_disk=1", "fault_gap_ms=300"}},
	{FAULT_delete_no_id_check, {"churn=1"}},
	{FAULT_time_query_stale, {"keep=1", "work_us=4000"}},
	{FAULT_marker_any_epoch, {"txns=1"}},
	{FAULT_txn_epoch_unchecked, {"txns=1"}},
	{FAULT_txn_epoch_overflow, {"txns=1", "txn_epochs_left=5"}},
	{FAULT_txn_answer_early, {"txns=1", "f_kill=1", "f_full=1"}},
	{FAULT_end_retry_fenced, {"txns=1"}},
	{FAULT_marker_given_up, {"txns=1", "f_full=1", "f_eio=1", "fault_gap_ms=300"}},
	/* Snapshots are written when a log closes cleanly, or is rolled. */
	{FAULT_open_forgotten, {"txns=1", "f_stop=1"}},
	{FAULT_stable_is_high, {"txns=1"}},
	{FAULT_aborted_unlisted, {"txns=1"}},
	{FAULT_dup_any_epoch, {"txns=1"}},
	{FAULT_pending_early, {"txns=1"}},
	{FAULT_unstable_served, {"txns=1"}},
	{FAULT_coord_answer_early, {"groups=1"}},
	{FAULT_coord_no_undo, {"groups=1"}},
	{FAULT_group_taken_ignored, {"groups=1"}},
	{FAULT_group_commit_unchecked, {"groups=1"}},
	/* What a start finds behind the written recovery point looks like a tail that never reached the disk. */
	{FAULT_compact_past_recovery, {"keep=1", "synced=1", "f_power=1", "fault_gap_ms=1000"}},
	{FAULT_static_unfenced, {"groups=1"}},
	{FAULT_host_unawaited, {"groups=1", "partitions=4"}},
	{FAULT_regex_never_anew, {"groups=1"}},
	{FAULT_upgrade_forgets, {"groups=1"}},
	{FAULT_dir_begun_anew, {"dirs=2", "f_dir=1"}},
	{FAULT_dir_acks_on, {"dirs=2", "f_dir=1"}},
	{FAULT_move_early, {"dirs=2", "moves=1"}},
	{FAULT_delete_forgotten, {"churn=1", "f_kill=1"}},
	{FAULT_check_skipped, {"f_flip=1"}},
	{FAULT_scrub_no_crc, {"f_flip=1", "scrub=1"}},
};

static void pin_swarm(struct main_options *o, enum fault fault)
{
	for (size_t i = 0; i < ARRAY_N(fault_pins); i++) {
		for (size_t k = 0; fault_pins[i].fault == fault && k < ARRAY_N(fault_pins[i].swarm); k++) {
			if (fault_pins[i].swarm[k] && o->run.swarm_n < MAIN_SWARM_MAX)
				o->swarm[o->run.swarm_n++] = fault_pins[i].swarm[k];
		}
	}
}

/* A seed that fails without the fault too proves nothing about it. */
static bool seed_bites(struct main_options *o, uint64_t seed)
{
	enum fault fault = o->fault;
	bool fails_anyway;

	if (run_child(o, seed) == OUTCOME_OK)
		return false;
	o->fault = FAULT_NONE;
	fails_anyway = run_child(o, seed) != OUTCOME_OK;
	o->fault = fault;
	if (fails_anyway)
		printf("  seed %" PRIu64 " does not count: it fails without the fault too\n", seed);
	return !fails_anyway;
}

/* Every deliberate fault has to be found within the limit. */
static int prove_bites(struct main_options *o)
{
	int missed_n = 0, swarm_n = o->run.swarm_n;

	for (int fault = 1; fault < FAULT_N; fault++) {
		uint64_t seed = o->seed_first;

		if (o->faults_named && !(o->faults_named >> fault & 1))
			continue;
		o->fault = (enum fault)fault;
		o->run.swarm_n = swarm_n;
		pin_swarm(o, o->fault);
		while (seed < o->seed_first + o->limit && !seed_bites(o, seed))
			seed++;
		if (seed < o->seed_first + o->limit) {
			printf("%s: found after %" PRIu64 " seeds\n", fault_name(o->fault), seed - o->seed_first + 1);
		} else {
			printf("%s: NOT FOUND within %" PRIu64 " seeds\n", fault_name(o->fault), o->limit);
			missed_n++;
		}
	}
	return missed_n ? 1 : 0;
}

static NORETURN void usage(void)
{
	fprintf(stderr,
		"moldau-sim [--seed N | --seeds A-B] [--reactors N] [--fault NAME] [--swarm KEY=VAL] [--steps N]\n"
		"           [--trace] [--twice] [--export DIR] [--body NAME]\n"
		"moldau-sim --prove-bites [--limit N] [--fault NAME]...\n");
	exit(2);
}

static void add_swarm(struct main_options *o, const char *text)
{
	struct sim_options opt;

	if (o->run.swarm_n == MAIN_SWARM_MAX || sim_options_set(&opt, text) != ERR_NONE) {
		fprintf(stderr, "unknown option or value: %s\n", text);
		exit(2);
	}
	o->swarm[o->run.swarm_n++] = text;
}

static void parse_seeds(struct main_options *o, const char *text)
{
	char *end;

	o->seed_first = o->seed_last = strtoull(text, &end, 10);
	if (*end == '-')
		o->seed_last = strtoull(end + 1, &end, 10);
	if (*end || o->seed_last < o->seed_first)
		usage();
}

enum { OPT_SEED = 1, OPT_REACTORS, OPT_FAULT, OPT_SWARM, OPT_STEPS, OPT_TRACE, OPT_TWICE, OPT_EXPORT, OPT_BODY,
       OPT_PROVE, OPT_LIMIT };

static const struct option main_long[] = {
	{"seed", required_argument, NULL, OPT_SEED},	 {"seeds", required_argument, NULL, OPT_SEED},
	{"reactors", required_argument, NULL, OPT_REACTORS}, {"fault", required_argument, NULL, OPT_FAULT},
	{"swarm", required_argument, NULL, OPT_SWARM},	 {"steps", required_argument, NULL, OPT_STEPS},
	{"trace", no_argument, NULL, OPT_TRACE},	 {"twice", no_argument, NULL, OPT_TWICE},
	{"export", required_argument, NULL, OPT_EXPORT}, {"body", required_argument, NULL, OPT_BODY},
	{"prove-bites", no_argument, NULL, OPT_PROVE},	 {"limit", required_argument, NULL, OPT_LIMIT},
	{0},
};

static void parse_one(struct main_options *o, int c, char reactors[32])
{
	switch (c) {
	case OPT_SEED:
		parse_seeds(o, optarg);
		break;
	case OPT_REACTORS:
		snprintf(reactors, 32, "reactors=%s", optarg);
		add_swarm(o, reactors);
		break;
	case OPT_FAULT:
		o->fault = fault_find(optarg);
		if (o->fault == FAULT_NONE) {
			fprintf(stderr, "unknown fault: %s\n", optarg);
			exit(2);
		}
		o->faults_named |= UINT64_C(1) << o->fault;
		break;
	case OPT_SWARM:
		add_swarm(o, optarg);
		break;
	case OPT_STEPS:
		o->run.steps_max = strtoull(optarg, NULL, 10);
		break;
	case OPT_TRACE:
		o->run.trace = true;
		break;
	case OPT_TWICE:
		o->twice = true;
		break;
	case OPT_EXPORT:
		o->run.export_dir = optarg;
		break;
	case OPT_BODY:
		o->run.body = sim_body_find(optarg);
		if (!o->run.body)
			usage();
		break;
	case OPT_PROVE:
		o->prove_bites = true;
		break;
	case OPT_LIMIT:
		o->limit = strtoull(optarg, NULL, 10);
		break;
	default:
		usage();
	}
}

int main(int argc, char **argv)
{
	struct main_options o = {.seed_first = 1, .seed_last = 1, .limit = 100};
	char reactors[32];
	int c;

	o.run.body = sim_body_find(NULL);
	while ((c = getopt_long(argc, argv, "", main_long, NULL)) != -1)
		parse_one(&o, c, reactors);
	if (optind != argc)
		usage();
	o.run.swarm = o.swarm;
	return o.prove_bites ? prove_bites(&o) : run_seeds(&o);
}
