/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The modes of the load generator. Each takes the arguments behind the mode's name, measures, and prints one
 * line of key=value pairs. Arguments that all of them know: port, pid (of the server, for its CPU time and
 * memory), topic.
 */

#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench_util.h"

#include <sys/types.h>

struct target {
	uint16_t port;
	pid_t pid;
	const char *topic;
	const char *configs;
	bool deletes; /* the topic, at the end */
};
/* Also pins the generator to processor `cpu`, when that is given. */
struct target target_of(struct args *args);

/* The part of a run that counts: started after the warm-up. */
struct window {
	uint64_t start_ns;
	uint64_t self_cpu_ns;
	uint64_t machine_busy_ns;
	struct proc_sample server;
	uint64_t rss_max_bytes;
	uint64_t rss_due_ns;
};
void window_begin(struct window *w, const struct target *t);
/* Samples the server's memory, at most every 50 ms. */
void window_tick(struct window *w, const struct target *t, uint64_t now_ns);
/* " secs=... mbps=... rec_per_s=... cpu_s_per_gb=... ..." for what was done since. */
void window_print(const struct window *w, const struct target *t, uint64_t end_ns, uint64_t bytes,
		  uint64_t records_n);

/* A server that was executed, and has answered ApiVersions on `fd`. It ends with this program. */
struct started {
	pid_t pid;
	uint64_t exec_ns;
	int fd;
	double api_ms;
};
struct started server_start(uint16_t port, char **command, const char *log, double timeout_s);
/* Milliseconds until it was gone. */
double server_stop(struct started *s, bool kills);

/* Waits until the group's coordinator answers. */
void group_prepare(const struct target *t, const char *group);
/* Sorts them. */
double median_of(double *values, size_t n);

void mode_produce(struct args *args);
void mode_open(struct args *args);
void mode_fetch(struct args *args);
void mode_cold(struct args *args);
void mode_e2e(struct args *args);
void mode_ping(struct args *args);
void mode_idle(struct args *args);
void mode_txn(struct args *args);
void mode_ids(struct args *args);
void mode_join(struct args *args);
void mode_beats(struct args *args);
void mode_assign(struct args *args);
void mode_commit(struct args *args);
void mode_fill(struct args *args);
/* `command` is what follows "--". */
void mode_start(struct args *args, char **command);
void mode_restart(struct args *args, char **command);
void mode_offset_load(struct args *args, char **command);

#endif
