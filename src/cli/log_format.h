/* SPDX-License-Identifier: Apache-2.0 */
/* How a log line looks: for people at a terminal, for the journal, for parsers of Kafka's logs, for machines. */
#ifndef CLI_LOG_FORMAT_H
#define CLI_LOG_FORMAT_H

#include <time.h>

#include "fmt.h"
#include "log.h"

enum log_format {
	LOG_FORMAT_LOGFMT,  /* 2026-11-21T15:02:38.665Z INFO  conn.refused peer=10.0.0.1 */
	LOG_FORMAT_KAFKA,   /* [2026-11-21 15:02:38,665] INFO conn.refused peer=10.0.0.1 (kafka.network.SocketServer) */
	LOG_FORMAT_JSON,    /* {"time":"...","level":"INFO","logger":"...","event":"...","message":"..."} */
	LOG_FORMAT_JOURNAL, /* <6>conn.refused peer=10.0.0.1 */
	LOG_FORMAT_SHORT,   /* 15:02:38 INFO  conn.refused peer=10.0.0.1 */
	LOG_FORMAT_COLOUR,  /* the same in colours */
};

/* The setting log.format for this descriptor: what it says, or for "auto" what suits a terminal, the journal, a
 * container, or a file. */
enum log_format log_format_choose(struct str name, int fd);
/* One line without its end. A text that is only text="..." is a sentence of its own and stands bare where the format
 * is for people or for parsers of Kafka's logs. What does not fit into `out` is cut, a JSON line within its text. */
void log_format_line(enum log_format format, const struct timespec *now, enum log_level level, struct str logger,
		     const char *event, const char *text, struct fmt *out);

#endif
