/* SPDX-License-Identifier: Apache-2.0 */
/* Process matters: SIGTERM and SIGINT as messages to a reactor, the descriptor limit, cores. Posix only. */
#ifndef RUNTIME_PROCESS_H
#define RUNTIME_PROCESS_H

#include "err.h"

/* Blocks SIGTERM, SIGINT, SIGHUP for all threads (call before any exist), ignores SIGPIPE, and starts a small thread
 * that calls `fn(signal, ctx)` for each that arrives: the callee only sends wakes. */
typedef void signal_fn(int signal, void *ctx);
enum err signal_start(signal_fn *fn, void *ctx) MUST_USE;
/* Raises the soft descriptor limit to the hard one; returns it. */
int64_t process_raise_file_limit(void);
int process_cpus(void);
/* The calling thread runs sooner after it is woken than threads that compute at that moment, for it is content with a
 * short slice of the processor. It gets no larger share for that. Linux 6.12; before, nothing changes. */
void process_thread_short_slice(void);
int64_t process_rss_bytes(void);
/* What the system counts of this process. */
struct process_stats {
	int64_t rss_bytes, virtual_bytes;
	double cpu_s; /* user and system, all threads */
	int64_t files_n, files_max; /* descriptors; -1: the system does not tell */
	double started_s;           /* since 1970; 0: the system does not tell */
	int64_t read_bytes, written_bytes; /* of disks; -1: the system does not tell */
};
void process_stats_read(struct process_stats *ret);
/* Who listens on a TCP port of this machine: "java (pid 3311)". False, and `ret` untouched, when nobody does or the
 * system does not let us see it. */
bool process_port_owner(uint16_t port, char *ret, size_t cap);
/* The same for who has a file open. */
bool process_file_owner(const char *path, char *ret, size_t cap);

#endif
