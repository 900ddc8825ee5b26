/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formats log events and hands them to the sink of the thread. The pointer to the sink is thread-local
 * because a reactor is a thread: base code that logs (a state machine, say) has no reactor to ask. The
 * pointer is the only writable variable here.
 */
#include "log.h"

#include <stdatomic.h>
#include <stdio.h>

#include "log_levels.h"

#define LOG_TEXT_MAX 2048 /* bytes; longer events are cut */

static _Thread_local struct log_sink *log_sink;

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_TRACE:
		return "trace";
	case LOG_DEBUG:
		return "debug";
	case LOG_INFO:
		return "info";
	case LOG_WARN:
		return "warn";
	case LOG_ERROR:
		return "error";
	}
	return "unknown";
}

struct log_sink *log_sink_set(struct log_sink *sink)
{
	struct log_sink *before = log_sink;

	log_sink = sink;
	return before;
}

bool log_is_on(enum log_level level)
{
	if (log_sink && log_sink->levels)
		return (int)level >= atomic_load_explicit(&log_sink->levels->least, memory_order_relaxed);
	return level >= (log_sink ? log_sink->level : LOG_INFO);
}

struct log_levels *log_levels_current(void)
{
	return log_sink ? log_sink->levels : NULL;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list args;

	if (!log_is_on(level) ||
	    (log_sink && log_sink->levels && !log_levels_is_on(log_sink->levels, level, event)))
		return;
	va_start(args, fmt);
	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = '\0';
	va_end(args);
	/* One event is one line whatever a client's name contains. */
	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	if (log_sink)
		log_sink->write(log_sink, level, event, text);
	else
		fprintf(stderr, "%s %s %s\n", log_level_name(level), event, text);
}
