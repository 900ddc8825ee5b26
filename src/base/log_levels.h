/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels of loggers, as log4j has them: names with dots under one root, each with a level of its own or that of the
 * nearest name above it. The names are the original's, so that people's tools and habits work; which of our events
 * belongs to which is decided by the event's first word ("conn" of "conn.refused").
 *
 * 1. Loggers are added before threads log; from then on only levels change. Any thread may change and read them.
 * 2. `least` is the lowest level of all loggers, so that one comparison tells that an event is off.
 * 3. The root always has a level.
 */
#ifndef BASE_LOG_LEVELS_H
#define BASE_LOG_LEVELS_H

#include "fmt.h"
#include "log.h"

#define LOG_LEVELS_MAX 128     /* loggers */
#define LOG_LEVELS_NAME_MAX 120 /* bytes of a name */
#define LOG_LEVEL_FATAL (LOG_ERROR + 1) /* as a limit only: no event has it */

struct log_logger {
	char name[LOG_LEVELS_NAME_MAX + 1];
	int parent;	   /* index; the root is its own */
	_Atomic int level; /* -1: the parent's */
};

struct log_levels {
	struct log_logger loggers[LOG_LEVELS_MAX]; /* [0] is the root */
	size_t loggers_n;
	_Atomic int least;
};

/* The known loggers, all at the root's level. */
void log_levels_init(struct log_levels *levels, int root_level);
/* Adds a logger, which is for the time before threads log, or sets the level of one that is there, at any time.
 * ERR_TOO_LARGE when the name is too long, or there are too many. */
enum err log_levels_add(struct log_levels *levels, struct str name, int level) MUST_USE;
/* "kafka=INFO,kafka.controller=DEBUG", as KAFKA_LOG4J_LOGGERS has it: adds and sets. What cannot be read is left out
 * and named in `text` with ERR_INVALID_CONFIG. */
enum err log_levels_add_all(struct log_levels *levels, struct str list, struct err_text *text) MUST_USE;

/* By number, 0 <= i < loggers_n: the name, and the level in force as "INFO". */
struct str log_levels_name(const struct log_levels *levels, size_t i);
struct str log_levels_text(const struct log_levels *levels, size_t i);
bool log_levels_find(const struct log_levels *levels, struct str name, size_t *ret);

/* May this logger get this level (null: the one of its parent)? ERR_INVALID_CONFIG or ERR_INVALID_REQUEST with the
 * original's words. */
enum err log_levels_check(const struct log_levels *levels, struct str name, struct str level, struct err_text *text)
	MUST_USE;
/* Checks and sets, in force on all threads with their next event. */
enum err log_levels_set(struct log_levels *levels, struct str name, struct str level, struct err_text *text) MUST_USE;

/* TRACE DEBUG INFO WARN ERROR FATAL, in upper case or (is_nocase) any; false for other words. */
bool log_levels_parse(struct str text, bool is_nocase, int *ret);
/* The logger that an event belongs to. */
size_t log_levels_of_event(const struct log_levels *levels, const char *event);
bool log_levels_is_on(const struct log_levels *levels, enum log_level level, const char *event);

/* The table of this thread's sink; NULL when it has none (in the simulator, in tests). */
struct log_levels *log_levels_current(void);

#endif
