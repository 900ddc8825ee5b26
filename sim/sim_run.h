/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One seed from beginning to end: start, work under faults, heal, calm work within bounds, last reading, clean stop,
 * a look at the files, now and then another start and reading.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "sim_swarm.h"
#include "sim_world.h"

struct sim_run_result {
	uint64_t hash;
	uint64_t events_n;
	int64_t virtual_ms;
	int64_t acked_n;
	int64_t read_n;
	int faults_n;
	bool has_failed;
	char failure[512];
};

struct sim_run_options {
	const struct sim_body *body;
	uint64_t seed;
	const char *const *swarm; /* "name=value", over what the seed draws */
	int swarm_n;
	uint64_t steps_max; /* events; 0: no limit */
	bool trace;
	bool quiet;
	const char *export_dir; /* where the disk goes after a failure, or NULL */
};

/* Options of the run as drawn and pinned. */
enum err sim_run_options(const struct sim_run_options *run, struct sim_options *ret) MUST_USE;
struct sim_run_result sim_run(const struct sim_run_options *run);

#endif
