/* SPDX-License-Identifier: Apache-2.0 */

/* See bench_util.h. */

#include "bench_util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

struct args args_of(char **v, int n)
{
	if (n > 64)
		die("too many arguments");
	return (struct args){ .v = v, .n = n };
}

const char *args_str(struct args *args, const char *key, const char *fallback)
{
	size_t len = strlen(key);
	const char *found = fallback;
	for (int i = 0; i < args->n; i++) {
		if (strncmp(args->v[i], key, len) == 0 && args->v[i][len] == '=') {
			args->used |= (uint64_t)1 << i;
			found = args->v[i] + len + 1;
		}
	}
	return found;
}

int64_t args_int(struct args *args, const char *key, int64_t fallback)
{
	const char *text = args_str(args, key, NULL);
	if (text == NULL)
		return fallback;
	char *end = NULL;
	int64_t v = strtoll(text, &end, 10);
	const char *units = "kmg";
	const char *unit = *end != 0 ? strchr(units, *end | 0x20) : NULL;
	if (unit != NULL) {
		v *= (int64_t)1 << (10 * (unit - units + 1));
		end++;
	}
	if (end == text || *end != 0)
		die("%s=%s is not a number", key, text);
	return v;
}

double args_double(struct args *args, const char *key, double fallback)
{
	const char *text = args_str(args, key, NULL);
	if (text == NULL)
		return fallback;
	char *end = NULL;
	double v = strtod(text, &end);
	if (end == text || *end != 0)
		die("%s=%s is not a number", key, text);
	return v;
}

void args_finish(const struct args *args)
{
	for (int i = 0; i < args->n; i++) {
		if ((args->used >> i & 1) == 0)
			die("unknown argument %s", args->v[i]);
	}
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts = { 0 };
	if (clock_gettime(id, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t clock_self_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

struct hist *hist_new(void)
{
	struct hist *h = calloc(1, sizeof(*h));
	if (h == NULL)
		die("out of memory");
	return h;
}

static size_t hist_slot(uint64_t ns)
{
	if (ns < HIST_STEPS)
		return (size_t)ns;
	size_t power = 63 - (size_t)__builtin_clzll(ns); /* at least 6 */
	size_t step = (size_t)(ns >> (power - 6)) & (HIST_STEPS - 1);
	size_t slot = (power - 5) * HIST_STEPS + step;
	return slot < HIST_SLOTS ? slot : HIST_SLOTS - 1;
}

static double hist_slot_middle_ns(size_t slot)
{
	if (slot < HIST_STEPS)
		return (double)slot;
	size_t shift = slot / HIST_STEPS - 1;
	uint64_t low = (uint64_t)(HIST_STEPS + slot % HIST_STEPS) << shift;
	return (double)low + (double)((uint64_t)1 << shift) / 2;
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->slot_n[hist_slot(ns)]++;
	h->n++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

double hist_percentile_us(const struct hist *h, double percent)
{
	uint64_t rank = (uint64_t)((double)h->n * percent / 100);
	uint64_t seen = 0;
	for (size_t i = 0; i < HIST_SLOTS; i++) {
		seen += h->slot_n[i];
		if (seen > rank)
			return hist_slot_middle_ns(i) / 1000;
	}
	return (double)h->max_ns / 1000;
}

void hist_print(const struct hist *h, const char *prefix)
{
	static const double percents[] = { 50, 90, 99, 99.9 };
	static const char *const names[] = { "p50", "p90", "p99", "p999" };
	for (size_t i = 0; i < 4; i++)
		printf(" %s%s_us=%.1f", prefix, names[i], hist_percentile_us(h, percents[i]));
	printf(" %smax_us=%.1f", prefix, (double)h->max_ns / 1000);
}

static size_t file_read(const char *path, char *ret, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, ret, cap - 1);
	close(fd);
	n = n < 0 ? 0 : n;
	ret[n] = 0;
	return (size_t)n;
}

uint64_t proc_rss_bytes(pid_t pid)
{
	char path[64];
	char text[256];
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if (pid == 0 || file_read(path, text, sizeof(text)) == 0)
		return 0;
	unsigned long pages_n = 0;
	if (sscanf(text, "%*u %lu", &pages_n) != 1)
		return 0;
	return (uint64_t)pages_n * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct proc_sample proc_read(pid_t pid)
{
	struct proc_sample s = { 0 };
	char path[64];
	char text[1024];
	if (pid == 0)
		return s;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read(path, text, sizeof(text)) == 0)
		die("process %d is gone", (int)pid);
	const char *after_name = strrchr(text, ')');
	unsigned long utime = 0;
	unsigned long stime = 0;
	if (after_name == NULL ||
	    sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &utime,
		   &stime) != 2)
		die("cannot read %s", path);
	uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	s.user_ns = utime * tick_ns;
	s.cpu_ns = (utime + stime) * tick_ns;
	/* The same sum in nanoseconds, where the kernel gives it. */
	clockid_t id;
	if (clock_getcpuclockid(pid, &id) == 0) {
		uint64_t ns = clock_ns(id);
		s.cpu_ns = ns != 0 ? ns : s.cpu_ns;
	}
	s.rss_bytes = proc_rss_bytes(pid);
	return s;
}

uint64_t machine_busy_ns(void)
{
	char text[256];
	unsigned long long v[8] = { 0 }; /* user nice system idle iowait irq softirq steal */
	file_read("/proc/stat", text, sizeof(text));
	if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
		   &v[4], &v[5],
		   &v[6], &v[7]) != 8)
		return 0;
	uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) * tick_ns;
}

void fd_limit_raise(uint64_t n)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= n)
		return;
	struct rlimit wanted = { .rlim_cur = n, .rlim_max = limit.rlim_max > n ? limit.rlim_max : n };
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int net_connect(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket: %s", strerror(errno));
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

void net_set_nonblocking(int fd, bool on)
{
	if (fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0) != 0)
		die("fcntl: %s", strerror(errno));
}

int net_connect_wait(uint16_t port, uint64_t timeout_ms)
{
	uint64_t end = clock_now_ns() + timeout_ms * 1000000;
	for (;;) {
		int fd = net_connect(port);
		if (fd >= 0)
			return fd;
		if (clock_now_ns() > end)
			die("nothing listens on 127.0.0.1:%u", (unsigned)port);
		usleep(200);
	}
}

void net_send(int fd, const void *p, size_t len)
{
	const char *at = p;
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("send: %s", strerror(errno));
		at += n;
		len -= (size_t)n;
	}
}

static bool receive_all(int fd, void *p, size_t len)
{
	char *at = p;
	while (len > 0) {
		ssize_t n = recv(fd, at, len, MSG_WAITALL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

bool net_receive(int fd, struct wbuf *ret)
{
	uint8_t size[4];
	if (!receive_all(fd, size, 4))
		return false;
	int32_t len = wire_get_i32(size);
	if (len < 4 || len > WIRE_FRAME_LEN_MAX)
		die("the server answered with a frame of %d bytes", len);
	ret->len = 0;
	wbuf_reserve(ret, (size_t)len);
	ret->len = (size_t)len;
	return receive_all(fd, ret->p, (size_t)len);
}

/* Sends `w`, then leaves the answer in it. */
static struct rbuf call(int fd, struct wbuf *w)
{
	net_send(fd, w->p, w->len);
	if (!net_receive(fd, w))
		die("the server closed the connection");
	return rbuf_of(w->p, w->len);
}

struct wire_topic topic_describe(int fd, const char *topic)
{
	struct wbuf w = { 0 };
	struct wire_topic ret;
	wire_metadata(&w, topic);
	if (!wire_metadata_parse(call(fd, &w), &ret))
		die("malformed Metadata answer");
	wbuf_deinit(&w);
	return ret;
}

struct wire_topic topic_prepare(int fd, const char *topic, int32_t partitions_n, const char *configs)
{
	enum { TOPIC_ALREADY_EXISTS = 36 };
	struct wbuf w = { 0 };
	int16_t error = 0;
	wire_create_topic(&w, topic, partitions_n, configs);
	if (!wire_topics_error_parse(call(fd, &w), WIRE_CREATE_TOPICS, &error))
		die("malformed CreateTopics answer");
	wbuf_deinit(&w);
	if (error != 0 && error != TOPIC_ALREADY_EXISTS)
		die("creating topic %s: error %d", topic, error);
	uint64_t end = clock_now_ns() + 120ull * 1000000000;
	for (;;) {
		struct wire_topic t = topic_describe(fd, topic);
		if (t.error == 0 && t.partitions_n > 0 && t.leaders_n == t.partitions_n)
			return t;
		if (clock_now_ns() > end)
			die("topic %s: error %d, %d of %d partitions have a leader", topic, t.error,
			    t.leaders_n,
			    t.partitions_n);
		usleep(500);
	}
}

void topic_delete(int fd, const char *topic)
{
	struct wbuf w = { 0 };
	int16_t error = 0;
	wire_delete_topic(&w, topic);
	if (!wire_topics_error_parse(call(fd, &w), WIRE_DELETE_TOPICS, &error) || error != 0)
		die("deleting topic %s: error %d", topic, error);
	wbuf_deinit(&w);
}

bool error_is_retriable(int16_t error)
{
	/* unknown topic or partition, leader not available, not leader, timed out, unknown topic id */
	return error == 3 || error == 5 || error == 6 || error == 7 || error == 100;
}

int64_t topic_produce_one(int fd, const char *topic, int32_t partition, const struct wbuf *batch)
{
	static const uint8_t tail[WIRE_PRODUCE_TAIL_LEN];
	uint64_t end = clock_now_ns() + 60ull * 1000000000;
	for (;;) {
		struct wbuf w = { 0 };
		int16_t error = 0;
		int64_t base_offset = 0;
		wire_produce_head(&w, topic, partition, -1, batch->len);
		wbuf_bytes(&w, batch->p, batch->len);
		wbuf_bytes(&w, tail, sizeof(tail));
		if (!wire_produce_parse(call(fd, &w), &error, &base_offset))
			die("malformed Produce answer");
		wbuf_deinit(&w);
		if (error == 0)
			return base_offset;
		if (!error_is_retriable(error) || clock_now_ns() > end)
			die("producing to %s-%d: error %d", topic, partition, error);
		usleep(200);
	}
}
