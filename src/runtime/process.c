/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals arrive on a thread that does nothing but wait for them, so no handler ever interrupts the logic and the
 * callee may use what any thread may use. The thread lives as long as the process.
 */
#include "process.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mem.h"

struct signal_wait {
	sigset_t set;
	signal_fn *fn;
	void *ctx;
};

static void *signal_loop(void *arg)
{
	struct signal_wait *wait = arg;

	for (;;) {
		int number;

		if (sigwait(&wait->set, &number) == 0)
			wait->fn(number, wait->ctx);
	}
	return NULL;
}

enum err signal_start(signal_fn *fn, void *ctx)
{
	struct signal_wait *wait = MEM_NEW(struct signal_wait);
	pthread_t thread;

	signal(SIGPIPE, SIG_IGN);
	wait->fn = fn;
	wait->ctx = ctx;
	sigemptyset(&wait->set);
	sigaddset(&wait->set, SIGTERM);
	sigaddset(&wait->set, SIGINT);
	sigaddset(&wait->set, SIGHUP);
	if (pthread_sigmask(SIG_BLOCK, &wait->set, NULL) != 0 || pthread_create(&thread, NULL, signal_loop, wait) != 0) {
		mem_free(wait);
		return ERR_IO;
	}
	pthread_detach(thread);
	return ERR_NONE;
}

int64_t process_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		struct rlimit more = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

int process_cpus(void)
{
	cpu_set_t set;
	long n;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (int)n : 1;
}

int64_t process_rss_bytes(void)
{
	long long size, resident;
	FILE *f = fopen("/proc/self/statm", "re");
	int n;

	if (!f)
		return 0;
	n = fscanf(f, "%lld %lld", &size, &resident);
	fclose(f);
	return n == 2 ? (int64_t)resident * sysconf(_SC_PAGESIZE) : 0;
}
