/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log events: a dotted name, then key=value facts in logfmt. The sink is injected per thread (a reactor sets its
 * own, which adds time and node), so that the simulator can hash the lines and stamp virtual time. One compact
 * line per state transition; rate limits per call site are the sink's.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>

#include "types.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_levels;

struct log_sink {
	enum log_level level; /* least level that is written, without `levels` */
	struct log_levels *levels; /* by logger (log_levels.h); may be NULL */
	/* One event; `text` has no newline. */
	void (*write)(struct log_sink *sink, enum log_level level, const char *event, const char *text);
};

/* Sets the sink of this thread (NULL: stderr at INFO); returns the one before. */
struct log_sink *log_sink_set(struct log_sink *sink);
bool log_is_on(enum log_level level);
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *log_level_name(enum log_level level);

#define log_trace(event, ...)                                         \
	do {                                                          \
		if (unlikely(log_is_on(LOG_TRACE)))                   \
			log_event(LOG_TRACE, event, __VA_ARGS__);     \
	} while (0)
#define log_debug(event, ...)                                         \
	do {                                                          \
		if (unlikely(log_is_on(LOG_DEBUG)))                   \
			log_event(LOG_DEBUG, event, __VA_ARGS__);     \
	} while (0)
#define log_info(event, ...) log_event(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_event(LOG_ERROR, event, __VA_ARGS__)

#endif
