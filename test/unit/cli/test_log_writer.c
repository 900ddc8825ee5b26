/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines reach their descriptor whole and in order; a reader that does not read delays nobody. */
#include "log_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define PIPE_LEN 4096

struct pipe_log {
	int fds[2];
	struct log_levels levels;
	struct log_writer *writer;
};

static void pipe_log_open(struct pipe_log *log, enum log_level level)
{
	assert_int_equal(pipe(log->fds), 0);
	assert_int_equal(fcntl(log->fds[1], F_SETPIPE_SZ, PIPE_LEN), PIPE_LEN);
	log_levels_init(&log->levels, (int)level);
	assert_int_equal(log_writer_open(log->fds[1], &log->levels, LOG_FORMAT_LOGFMT, &log->writer), ERR_NONE);
	log_sink_set(log_writer_sink(log->writer));
}

static void *pipe_log_close(void *arg)
{
	struct pipe_log *log = arg;

	log_sink_set(NULL);
	log_writer_close(log->writer);
	close(log->fds[1]);
	return NULL;
}

/* Everything until the end; the caller frees. */
static char *read_all(int fd)
{
	char *text = calloc(1, 1 << 20);
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, (1 << 20) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	return text;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_lines(void **state)
{
	struct pipe_log log;
	char *text, *end;

	pipe_log_open(&log, LOG_INFO);
	log_info("one", "a=%d", 1);
	log_debug("unseen", "b=2");
	log_error("two", "text=\"x\ny\"");
	log_event(LOG_WARN, "three", "%s", "");
	pipe_log_close(&log);
	text = read_all(log.fds[0]);
	assert_int_equal(text[4], '-');
	assert_int_equal(text[10], 'T');
	assert_int_equal(text[23], 'Z');
	end = strchr(text, '\n');
	*end = '\0';
	assert_string_equal(text + 24, " INFO  one a=1");
	assert_memory_equal(end + 25, " ERROR two text=\"x y\"\n", 22);
	assert_string_equal(strchr(end + 1, '\n') + 25, " WARN  three\n");
	free(text);
}

/* Invariant 1: what was said is out before the call returns, when somebody reads. */
static void test_at_once(void **state)
{
	struct pipe_log log;
	char text[256];

	pipe_log_open(&log, LOG_INFO);
	log_info("last.words", "a=1");
	assert_int_equal(fcntl(log.fds[0], F_SETFL, O_NONBLOCK), 0);
	assert_true(read(log.fds[0], text, sizeof(text)) > 0);
	pipe_log_close(&log);
	close(log.fds[0]);
}

/* The pipe holds less than the lines; nobody reads until all are written. */
static void test_slow_reader(void **state)
{
	static const char *const events[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct pipe_log log;
	int64_t began = now_ms();
	char *text, *line, *rest = NULL;
	int n = 0;

	pipe_log_open(&log, LOG_INFO);
	for (int i = 0; i < 800; i++)
		log_info(events[i / 100], "number=%d filling=%0100d", i, 0);
	assert_true(now_ms() - began < 10000); /* it would be for ever */
	/* The end of the writer waits for the reader, so another thread closes. */
	{
		pthread_t thread;

		pthread_create(&thread, NULL, pipe_log_close, &log);
		text = read_all(log.fds[0]);
		pthread_join(thread, NULL);
	}
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char want[32];

		snprintf(want, sizeof(want), "number=%d ", n++);
		if (!strstr(line, want))
			fail_msg("%s is not in %s", want, line);
	}
	assert_int_equal(n, 800);
	free(text);
	log_sink_set(NULL);
}

static void test_nobody_reads(void **state)
{
	static const char *const events[] = {"a", "b", "c", "d", "e", "f", "g", "h",
					     "i", "j", "k", "l", "m", "n", "o", "p"};
	struct pipe_log log;
	int64_t began = now_ms();

	pipe_log_open(&log, LOG_INFO);
	for (int i = 0; i < 1600; i++)
		log_info(events[i / 100], "number=%d filling=%0500d", i, 0);
	log_sink_set(NULL);
	log_writer_close(log.writer); /* gives up */
	assert_true(now_ms() - began < 15000); /* it would be for ever */
	/* The thread may still write: the pipe stays. */
}

static void test_bursts_are_counted(void **state)
{
	struct pipe_log log;
	char *text, *p;
	int lines_n = 0;

	pipe_log_open(&log, LOG_INFO);
	fcntl(log.fds[1], F_SETPIPE_SZ, 1 << 20);
	for (int i = 0; i < 5000; i++)
		log_info("storm", "n=%d", i);
	pipe_log_close(&log);
	text = read_all(log.fds[0]);
	for (p = text; (p = strchr(p, '\n')); p++)
		lines_n++;
	/* Up to three seconds may have begun meanwhile. */
	assert_in_range(lines_n, LOG_WRITER_BURST + 1, 3 * LOG_WRITER_BURST + 3);
	assert_non_null(strstr(text, "storm left_out="));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	    cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_slow_reader), cmocka_unit_test(test_bursts_are_counted),
		cmocka_unit_test(test_nobody_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
