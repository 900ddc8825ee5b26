/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals arrive on a thread that does nothing but wait for them, so no handler ever interrupts the logic and the
 * callee may use what any thread may use. The thread lives as long as the process.
 */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mem.h"

/* Most turns are shorter. The kernel takes a fifth of it too, and then interrupts long turns for others' slices. */
#define SLICE_SHORT_NS 500000

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
	if (pthread_sigmask(SIG_BLOCK, &wait->set, NULL) != 0 ||
	    pthread_create(&thread, NULL, signal_loop, wait) != 0) {
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

/* The first version of what sched_setattr(2) takes. The libc of Debian 12 does not declare it, newer ones do, and the
 * header of the kernel contradicts both. */
struct slice_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

void process_thread_short_slice(void)
{
	struct slice_attr attr = {.size = sizeof(attr)};

	/* The nice value and the policy stay what whoever started the process gave it. A refusal costs time only. */
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0 || attr.policy != SCHED_OTHER)
		return;
	attr.size = sizeof(attr);
	attr.runtime_ns = SLICE_SHORT_NS;
	syscall(SYS_sched_setattr, 0, &attr, 0);
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

/* ---- counts ---- */

static int64_t process_files_n(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the one that reads */
}

/* The number behind `key` at the start of a line of a file of the system; -1. */
static int64_t process_number(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long long value = -1;

	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), " %lld", &value) != 1)
			value = -1;
	}
	fclose(f);
	return value;
}

/* Field 22 of stat: ticks after boot; fields are counted behind the name, which may hold anything. */
static double process_started_s(void)
{
	int64_t boot_s = process_number("/proc/stat", "btime");
	FILE *f = fopen("/proc/self/stat", "re");
	char text[1024];
	unsigned long long ticks = 0;
	const char *at;
	size_t n;

	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at || boot_s < 0 || sscanf(at, " %llu", &ticks) != 1)
		return 0;
	return (double)boot_s + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void process_stats_read(struct process_stats *ret)
{
	struct timespec cpu = {0};
	struct rlimit limit;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	*ret = (struct process_stats){
		.rss_bytes = process_rss_bytes(),
		.virtual_bytes = process_number("/proc/self/status", "VmSize:") * 1024,
		.cpu_s = (double)cpu.tv_sec + (double)cpu.tv_nsec / NS_PER_S,
		.files_n = process_files_n(),
		.files_max = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (int64_t)limit.rlim_cur : -1,
		.started_s = process_started_s(),
		.read_bytes = process_number("/proc/self/io", "read_bytes:"),
		.written_bytes = process_number("/proc/self/io", "write_bytes:"),
	};
}

/* ---- who holds what ---- */

#define TCP_LISTEN 0x0a
#define PORT_INODES_MAX 16

/* Sockets (by inode) that listen on a port; one port can have several. */
struct port_sockets {
	uint64_t inodes[PORT_INODES_MAX];
	int n;
};

/* Lines look like "  0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 33145 ...". */
static void port_sockets_read(const char *path, uint16_t port, struct port_sockets *sockets)
{
	char line[512];
	FILE *f = fopen(path, "re");

	while (f && sockets->n < PORT_INODES_MAX && fgets(line, sizeof(line), f)) {
		unsigned line_port, state;
		uint64_t inode;

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %" SCNu64, &line_port,
			   &state, &inode) == 3 && line_port == port && state == TCP_LISTEN && inode != 0)
			sockets->inodes[sockets->n++] = inode;
	}
	if (f)
		fclose(f);
}

/* Says whether a descriptor's link in /proc is the thing looked for. */
typedef bool descriptor_fn(const char *link, const void *thing);

static bool descriptor_is_socket(const char *link, const void *thing)
{
	const struct port_sockets *sockets = thing;
	uint64_t inode;

	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
		return false;
	for (int i = 0; i < sockets->n; i++) {
		if (sockets->inodes[i] == inode)
			return true;
	}
	return false;
}

static bool descriptor_is_file(const char *link, const void *thing)
{
	return strcmp(link, thing) == 0;
}

static bool process_holds(const char *pid, descriptor_fn *is_it, const void *thing)
{
	char path[300], target[PATH_MAX];
	struct dirent *entry;
	bool holds = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !holds && (entry = readdir(dir)) != NULL) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = 0;
		holds = is_it(target, thing);
	}
	if (dir)
		closedir(dir);
	return holds;
}

/* A name of another program's choice: only what prints goes to the user. */
static void process_name(const char *pid, char *ret, size_t cap)
{
	char path[64], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = 0;
	if (f)
		fclose(f);
	name[strcspn(name, "\n")] = 0;
	for (char *p = name; *p; p++) {
		if (!isprint((unsigned char)*p))
			*p = '?';
	}
	snprintf(ret, cap, "%s (pid %.20s)", name[0] ? name : "a program", pid);
}

static bool process_find_holder(descriptor_fn *is_it, const void *thing, char *ret, size_t cap)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir = opendir("/proc");

	while (dir && !found && (entry = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !process_holds(entry->d_name, is_it, thing))
			continue;
		process_name(entry->d_name, ret, cap);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

bool process_port_owner(uint16_t port, char *ret, size_t cap)
{
	struct port_sockets sockets = {.n = 0};

	port_sockets_read("/proc/net/tcp", port, &sockets);
	port_sockets_read("/proc/net/tcp6", port, &sockets);
	return sockets.n > 0 && process_find_holder(descriptor_is_socket, &sockets, ret, cap);
}

bool process_file_owner(const char *path, char *ret, size_t cap)
{
	char real[PATH_MAX];

	return realpath(path, real) && process_find_holder(descriptor_is_file, real, ret, cap);
}
