/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What all measuring programs share: key=value arguments, the clock, a log-linear histogram, what the kernel
 * says about a process, and blocking calls over one loopback connection for everything that is not measured.
 */

#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include "bench_wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Prints "bench: ..." and ends the program: there is nothing to save in a measurement that cannot go on. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Arguments of the form key=value. Each lookup marks its key; args_finish() refuses what nobody asked for. */
struct args {
	char **v;
	int n;
	uint64_t used; /* bit per argument */
};
struct args args_of(char **v, int n);
int64_t args_int(struct args *args, const char *key, int64_t fallback);
double args_double(struct args *args, const char *key, double fallback);
const char *args_str(struct args *args, const char *key, const char *fallback);
void args_finish(const struct args *args);

uint64_t clock_now_ns(void);
uint64_t clock_self_cpu_ns(void);

/* Percentiles to 1.6 % (64 steps for each power of two), from 1 ns to 2^42 ns. */
enum { HIST_STEPS = 64, HIST_POWERS = 37, HIST_SLOTS = HIST_STEPS * HIST_POWERS };
struct hist {
	uint64_t n;
	uint64_t max_ns;
	uint64_t slot_n[HIST_SLOTS];
};
struct hist *hist_new(void);
void hist_add(struct hist *h, uint64_t ns);
double hist_percentile_us(const struct hist *h, double percent);
/* " p50_us=... p90_us=... p99_us=... p999_us=... max_us=...", each key behind `prefix`. */
void hist_print(const struct hist *h, const char *prefix);

/* A process seen from outside; pid 0 gives zeros. */
struct proc_sample {
	uint64_t cpu_ns; /* user and system, all threads */
	uint64_t user_ns; /* by clock ticks, so in steps of 10 ms */
	uint64_t rss_bytes;
};
struct proc_sample proc_read(pid_t pid);
uint64_t proc_rss_bytes(pid_t pid);
/* Time that all processors together have been busy with anything, in steps of 10 ms. */
uint64_t machine_busy_ns(void);

/* Makes room for `n` descriptors, as far as the hard limit (or root) allows. */
void fd_limit_raise(uint64_t n);

/* A connection to 127.0.0.1, without delay for small segments. -1 when refused. */
int net_connect(uint16_t port);
void net_set_nonblocking(int fd, bool on);
void net_send(int fd, const void *p, size_t len);
/* Reads one frame into `ret` (without its size); false at end of stream. */
bool net_receive(int fd, struct wbuf *ret);

/* Connects, retrying until `timeout_ms`, or ends the program. */
int net_connect_wait(uint16_t port, uint64_t timeout_ms);

/* Creates the topic, unless it is there, and waits until every partition has a leader. */
struct wire_topic topic_prepare(int fd, const char *topic, int32_t partitions_n, const char *configs);
struct wire_topic topic_describe(int fd, const char *topic);
void topic_delete(int fd, const char *topic);
/* Produces one batch with acks=all until it is accepted; its base offset. */
int64_t topic_produce_one(int fd, const char *topic, int32_t partition, const struct wbuf *batch);

/* Whether a client repeats a request that was answered so. */
bool error_is_retriable(int16_t error);

#endif
