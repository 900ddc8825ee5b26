/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The load generator: one thread, no client library, requests built before the clock starts.
 *
 *   bench_load MODE key=value... [-- COMMAND...]
 *
 * README.md describes modes and keys.
 */

#include "bench_load.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

struct target target_of(struct args *args)
{
	int64_t cpu = args_int(args, "cpu", -1);
	if (cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) != 0)
			die("cannot run on processor %d", (int)cpu);
	}
	return (struct target){
		.port = (uint16_t)args_int(args, "port", 9092),
		.pid = (pid_t)args_int(args, "pid", 0),
		.topic = args_str(args, "topic", "bench"),
		.configs = args_str(args, "configs", ""),
		.deletes = args_int(args, "delete", 0) != 0,
	};
}

void window_begin(struct window *w, const struct target *t)
{
	*w = (struct window){ .start_ns = clock_now_ns(), .self_cpu_ns = clock_self_cpu_ns() };
	w->server = proc_read(t->pid);
	w->machine_busy_ns = machine_busy_ns();
	w->rss_max_bytes = w->server.rss_bytes;
}

void window_tick(struct window *w, const struct target *t, uint64_t now_ns)
{
	if (now_ns < w->rss_due_ns || t->pid == 0)
		return;
	w->rss_due_ns = now_ns + 50 * 1000000;
	uint64_t rss = proc_rss_bytes(t->pid);
	w->rss_max_bytes = rss > w->rss_max_bytes ? rss : w->rss_max_bytes;
}

void window_print(const struct window *w, const struct target *t, uint64_t end_ns, uint64_t bytes,
		  uint64_t records_n)
{
	double secs = (double)(end_ns - w->start_ns) / 1e9;
	double self_cpu = (double)(clock_self_cpu_ns() - w->self_cpu_ns);
	double b = bytes == 0 ? 1 : (double)bytes;
	double r = records_n == 0 ? 1 : (double)records_n;
	printf(" secs=%.3f bytes=%llu records=%llu mbps=%.1f rec_per_s=%.0f", secs,
	       (unsigned long long)bytes,
	       (unsigned long long)records_n, b / 1e6 / secs, r / secs);
	printf(" gen_cpu_s_per_gb=%.3f gen_cpu_us_per_rec=%.3f", self_cpu / b, self_cpu / 1e3 / r);
	if (t->pid == 0)
		return;
	struct proc_sample server = proc_read(t->pid);
	double cpu = (double)(server.cpu_ns - w->server.cpu_ns);
	uint64_t rss_max = server.rss_bytes > w->rss_max_bytes ? server.rss_bytes : w->rss_max_bytes;
	printf(" cpu_s_per_gb=%.3f cpu_us_per_rec=%.3f cpu_cores=%.2f user_cores=%.2f", cpu / b,
	       cpu / 1e3 / r,
	       cpu / 1e9 / secs, (double)(server.user_ns - w->server.user_ns) / 1e9 / secs);
	double others = (double)(machine_busy_ns() - w->machine_busy_ns) - cpu - self_cpu;
	printf(" other_cores=%.2f", others > 0 ? others / 1e9 / secs : 0);
	printf(" rss_mb=%.1f rss_max_mb=%.1f", (double)server.rss_bytes / 1e6, (double)rss_max / 1e6);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct args *args);
		void (*run_command)(struct args *args, char **command);
	} modes[] = {
		{ "produce", mode_produce, NULL },
		{ "open", mode_open, NULL },
		{ "fetch", mode_fetch, NULL },
		{ "cold", mode_cold, NULL },
		{ "e2e", mode_e2e, NULL },
		{ "ping", mode_ping, NULL },
		{ "idle", mode_idle, NULL },
		{ "txn", mode_txn, NULL },
		{ "ids", mode_ids, NULL },
		{ "join", mode_join, NULL },
		{ "beats", mode_beats, NULL },
		{ "assign", mode_assign, NULL },
		{ "commit", mode_commit, NULL },
		{ "fill", mode_fill, NULL },
		{ "start", NULL, mode_start },
		{ "restart", NULL, mode_restart },
		{ "offset_load", NULL, mode_offset_load },
	};
	size_t modes_n = sizeof(modes) / sizeof(modes[0]);
	int args_n = 2;
	while (args_n < argc && strcmp(argv[args_n], "--") != 0)
		args_n++;
	for (size_t i = 0; argc > 1 && i < modes_n; i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		struct args args = args_of(argv + 2, args_n - 2);
		if (modes[i].run_command == NULL)
			modes[i].run(&args);
		else if (args_n + 1 < argc)
			modes[i].run_command(&args, argv + args_n + 1);
		else
			die("mode %s needs -- COMMAND", argv[1]);
		return 0;
	}
	die("usage: bench_load MODE key=value... [-- COMMAND...], see README.md");
}
