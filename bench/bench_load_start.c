/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From exec to service. `start` runs a server on an empty directory and measures the first ApiVersions answer
 * and the first acks=all record on a new topic. `restart` runs it on a directory with data and measures the
 * first acknowledged record, the first record read back, and when every partition of a topic has taken one.
 *
 * The server is ended with SIGTERM (kill=1: SIGKILL) and waited for; nothing of it is left behind.
 */

#include "bench_load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double ms_since(uint64_t ns)
{
	return (double)(clock_now_ns() - ns) / 1e6;
}

static pid_t server_exec(char **command, const char *log)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* so that a failed measurement leaves no server behind */
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	execvp(command[0], command);
	die("%s: %s", command[0], strerror(errno));
}

/* Sends the ApiVersions request and waits for its answer; false when the connection ends first. */
static bool api_versions_answered(int fd)
{
	struct wbuf ping = { 0 };
	struct wbuf in = { 0 };
	wire_api_versions(&ping);
	bool sent = send(fd, ping.p, ping.len, MSG_NOSIGNAL) == (ssize_t)ping.len;
	bool answered = sent && net_receive(fd, &in);
	wbuf_deinit(&ping);
	wbuf_deinit(&in);
	return answered;
}

struct started server_start(uint16_t port, char **command, const char *log, double timeout_s)
{
	int probe = net_connect(port);
	if (probe >= 0)
		die("something listens on port %u already", (unsigned)port);
	struct started s = { .exec_ns = clock_now_ns(), .fd = -1 };
	s.pid = server_exec(command, log);
	const struct timespec nap = { .tv_nsec = 50000 };
	for (;;) {
		s.fd = net_connect(port);
		if (s.fd >= 0 && api_versions_answered(s.fd))
			break;
		if (s.fd >= 0)
			close(s.fd);
		if (waitpid(s.pid, NULL, WNOHANG) == s.pid)
			die("the server ended, see %s", log);
		if (ms_since(s.exec_ns) > timeout_s * 1000) {
			kill(s.pid, SIGKILL);
			die("no answer for %.0f s, see %s", timeout_s, log);
		}
		nanosleep(&nap, NULL);
	}
	s.api_ms = ms_since(s.exec_ns);
	return s;
}

double server_stop(struct started *s, bool kills)
{
	uint64_t start = clock_now_ns();
	close(s->fd);
	kill(s->pid, kills ? SIGKILL : SIGTERM);
	waitpid(s->pid, NULL, 0);
	return ms_since(start);
}

void mode_start(struct args *args, char **command)
{
	struct target t = target_of(args);
	const char *log = args_str(args, "log", "/dev/null");
	uint64_t settle_ms = (uint64_t)args_int(args, "settle_ms", 300);
	bool kills = args_int(args, "kill", 0) != 0;
	args_finish(args);
	struct wbuf batch = { 0 };
	wire_batch(&batch, 1, 100, 1, (int64_t)time(NULL) * 1000);
	struct started s = server_start(t.port, command, log, 60);
	topic_prepare(s.fd, t.topic, 1, t.configs);
	double topic_ms = ms_since(s.exec_ns);
	topic_produce_one(s.fd, t.topic, 0, &batch);
	double record_ms = ms_since(s.exec_ns);
	usleep((useconds_t)settle_ms * 1000);
	struct proc_sample p = proc_read(s.pid);
	double stop_ms = server_stop(&s, kills);
	printf("mode=start api_ms=%.2f topic_ms=%.2f record_ms=%.2f rss_mb=%.1f cpu_ms=%.1f stop_ms=%.1f\n", s.api_ms,
	       topic_ms, record_ms, (double)p.rss_bytes / 1e6, (double)p.cpu_ns / 1e6, stop_ms);
	wbuf_deinit(&batch);
}

static double first_record_back_ms(const struct started *s, const struct wire_topic *topic, int64_t offset)
{
	struct wbuf w = { 0 };
	struct wire_fetch_args fetch = { .offset = offset, .max_wait_ms = 500, .min_bytes = 1,
					 .partition_bytes_max = 1 << 20 };
	memcpy(fetch.topic_id, topic->id, 16);
	for (;;) {
		struct wire_fetched fetched;
		w.len = 0;
		wire_fetch(&w, &fetch);
		net_send(s->fd, w.p, w.len);
		if (!net_receive(s->fd, &w) || !wire_fetch_parse(rbuf_of(w.p, w.len), &fetched))
			die("malformed Fetch answer");
		if (fetched.error == 0 && fetched.records_len > 0)
			break;
		if (fetched.error != 0 && !error_is_retriable(fetched.error))
			die("fetching after the restart: error %d", fetched.error);
	}
	wbuf_deinit(&w);
	return ms_since(s->exec_ns);
}

void mode_restart(struct args *args, char **command)
{
	struct target t = target_of(args);
	const char *log = args_str(args, "log", "/dev/null");
	int32_t partitions_n = (int32_t)args_int(args, "partitions", 1000);
	double timeout_s = args_double(args, "timeout", 120);
	bool kills = args_int(args, "kill", 1) != 0;
	args_finish(args);
	struct wbuf batch = { 0 };
	wire_batch(&batch, 1, 100, 1, (int64_t)time(NULL) * 1000);
	struct started s = server_start(t.port, command, log, timeout_s);
	struct wire_topic topic = topic_describe(s.fd, t.topic);
	while (topic.error != 0 || topic.leaders_n == 0) {
		if (ms_since(s.exec_ns) > timeout_s * 1000)
			die("topic %s did not come back: error %d", t.topic, topic.error);
		usleep(500);
		topic = topic_describe(s.fd, t.topic);
	}
	int64_t offset = topic_produce_one(s.fd, t.topic, 0, &batch);
	double record_ms = ms_since(s.exec_ns);
	double read_ms = first_record_back_ms(&s, &topic, offset);
	for (int32_t i = 1; i < partitions_n; i++)
		topic_produce_one(s.fd, t.topic, i, &batch);
	double all_ms = ms_since(s.exec_ns);
	struct proc_sample p = proc_read(s.pid);
	double stop_ms = server_stop(&s, kills);
	printf("mode=restart partitions=%d api_ms=%.1f record_ms=%.1f read_ms=%.1f all_ms=%.1f end_offset=%lld "
	       "rss_mb=%.1f cpu_ms=%.0f stop_ms=%.1f\n",
	       partitions_n, s.api_ms, record_ms, read_ms, all_ms, (long long)offset + 1,
		(double)p.rss_bytes / 1e6,
	       (double)p.cpu_ns / 1e6, stop_ms);
	wbuf_deinit(&batch);
}
