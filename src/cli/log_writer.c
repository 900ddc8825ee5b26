/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines of all threads; invariants in log_writer.h. One mutex guards everything; it is held across a write only
 * when poll has said that the write will not wait. (Another process can fill a shared pipe in between: then one line
 * waits for its reader.)
 *
 *    line -> limit per event -> queue empty and descriptor ready? -> write
 *                                        | no
 *                                        v
 *                                      queue -> helper thread -> write
 */
#include "log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fmt.h"
#include "mem.h"

#define LINE_MAX_LEN 2560         /* an event's text is cut at 2 KiB before it comes here; below PIPE_BUF */
#define QUEUE_LEN ((size_t)256 * 1024)
#define EVENTS_N 64               /* events whose rate is watched; slots are shared by what hashes alike */
#define CLOSE_WAIT_MS 1000

struct event_rate {
	const char *event;
	int64_t second;
	int lines_n;   /* in that second */
	int64_t left_out_n;
};

struct log_writer {
	struct log_sink sink;
	int fd;
	enum log_format format;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_ending;
	bool is_writing; /* the helper has bytes that are not out yet */
	int64_t lost_n;  /* lines that found the queue full */
	size_t len;      /* bytes in queue */
	char *queue;
	char *taken;     /* what the helper writes now */
	struct event_rate rates[EVENTS_N];
};

static void log_writer_out(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			struct pollfd wait = {.fd = fd, .events = POLLOUT};

			poll(&wait, 1, 100);
			continue;
		}
		if (n < 0)
			return; /* nobody listens: there is no place to say so */
		p += n;
		len -= (size_t)n;
	}
}

static void *log_writer_loop(void *arg)
{
	struct log_writer *writer = arg;

	pthread_mutex_lock(&writer->lock);
	while (writer->len > 0 || !writer->is_ending) {
		char *batch = writer->queue;
		size_t len = writer->len;

		if (len == 0) {
			pthread_cond_wait(&writer->changed, &writer->lock);
			continue;
		}
		writer->queue = writer->taken;
		writer->taken = batch;
		writer->len = 0;
		writer->is_writing = true;
		pthread_mutex_unlock(&writer->lock);
		log_writer_out(writer->fd, batch, len);
		pthread_mutex_lock(&writer->lock);
		writer->is_writing = false;
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}

/* Called with the lock. */
static void log_writer_put(struct log_writer *writer, const char *line, size_t len)
{
	struct pollfd ready = {.fd = writer->fd, .events = POLLOUT};

	if (writer->len == 0 && !writer->is_writing && poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT)) {
		log_writer_out(writer->fd, line, len);
		return;
	}
	if (QUEUE_LEN - writer->len < len) {
		writer->lost_n++;
		return;
	}
	memcpy(writer->queue + writer->len, line, len);
	writer->len += len;
	pthread_cond_signal(&writer->changed);
}

static void log_writer_line(struct log_writer *writer, const struct timespec *now, enum log_level level,
			    const char *event, const char *text)
{
	char line[LINE_MAX_LEN];
	struct fmt out;

	fmt_init(&out, line, sizeof(line) - 1);
	log_format_line(writer->format, now, level,
			log_levels_name(writer->sink.levels, log_levels_of_event(writer->sink.levels, event)),
					event, text,
			&out);
	line[out.len] = '\n';
	log_writer_put(writer, line, out.len + 1);
}

/* False when this second has had its share. Called with the lock. */
static bool log_writer_may(struct log_writer *writer, const struct timespec *now, const char *event)
{
	struct event_rate *rate = &writer->rates[(uintptr_t)event / 8 * 0x9e3779b1U % EVENTS_N];
	char text[64];
	struct fmt out;

	if (rate->event != event || rate->second != now->tv_sec) {
		if (rate->left_out_n > 0) {
			fmt_init(&out, text, sizeof(text));
			fmt_add(&out, "left_out=%lld", (long long)rate->left_out_n);
			log_writer_line(writer, now, LOG_WARN, rate->event, text);
		}
		*rate = (struct event_rate){.event = event, .second = now->tv_sec};
	}
	if (rate->lines_n == LOG_WRITER_BURST) {
		rate->left_out_n++;
		return false;
	}
	rate->lines_n++;
	return true;
}

static void log_writer_write(struct log_sink *sink, enum log_level level, const char *event, const char *text)
{
	struct log_writer *writer = container_of(sink, struct log_writer, sink);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&writer->lock);
	if (writer->lost_n > 0 && QUEUE_LEN - writer->len > LINE_MAX_LEN) {
		char lost[64];
		struct fmt out;

		fmt_init(&out, lost, sizeof(lost));
		fmt_add(&out, "lost=%lld", (long long)writer->lost_n);
		writer->lost_n = 0;
		log_writer_line(writer, &now, LOG_WARN, "log", lost);
	}
	if (log_writer_may(writer, &now, event))
		log_writer_line(writer, &now, level, event, text);
	pthread_mutex_unlock(&writer->lock);
}

static void log_writer_free(struct log_writer *writer)
{
	pthread_mutex_destroy(&writer->lock);
	pthread_cond_destroy(&writer->changed);
	mem_free(writer->queue);
	mem_free(writer->taken);
	mem_free(writer);
}

enum err log_writer_open(int fd, struct log_levels *levels, enum log_format format, struct log_writer **ret)
{
	struct log_writer *writer = MEM_NEW(struct log_writer);

	writer->sink = (struct log_sink){.level = LOG_INFO, .levels = levels, .write = log_writer_write};
	writer->fd = fd;
	writer->format = format;
	writer->queue = mem_alloc(QUEUE_LEN);
	writer->taken = mem_alloc(QUEUE_LEN);
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->changed, NULL);
	if (pthread_create(&writer->thread, NULL, log_writer_loop, writer) != 0) {
		log_writer_free(writer);
		return ERR_IO;
	}
	*ret = writer;
	return ERR_NONE;
}

void log_writer_close(struct log_writer *writer)
{
	struct timespec until;

	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	for (int i = 0; i < EVENTS_N; i++) {
		struct timespec later;

		clock_gettime(CLOCK_REALTIME, &later);
		later.tv_sec += 1; /* another second, so that what was left out is said */
		if (writer->rates[i].left_out_n > 0)
			log_writer_may(writer, &later, writer->rates[i].event);
	}
	writer->is_ending = true;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WAIT_MS / 1000;
	if (pthread_timedjoin_np(writer->thread, NULL, &until) != 0) {
		/* Its reader does not read. The process ends in a moment; the memory goes with it. */
		pthread_detach(writer->thread);
		return;
	}
	log_writer_free(writer);
}

struct log_sink *log_writer_sink(struct log_writer *writer)
{
	return &writer->sink;
}
