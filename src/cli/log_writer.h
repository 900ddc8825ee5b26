/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a process: lines in one of the formats of log_format.h on a descriptor, from any thread.
 *
 * 1. A thread that logs never waits for the reader of the descriptor: a line is written at once when poll says that
 *    it fits, else it joins a queue that a helper thread writes. So what a crashing process said last is out.
 * 2. Lines leave in the order in which they came.
 * 3. The queue is bounded; what does not fit is counted, and the count is said.
 * 4. Of one event at most LOG_WRITER_BURST lines go out per second; the rest is counted, and the count is said.
 */
#ifndef CLI_LOG_WRITER_H
#define CLI_LOG_WRITER_H

#include "err.h"
#include "log_format.h"
#include "log_levels.h"

#define LOG_WRITER_BURST 100

struct log_writer;

/* Starts the helper thread; block signals before. ERR_IO when there is no thread to be had. `levels` must stay as long
 * as threads log. */
enum err log_writer_open(int fd, struct log_levels *levels, enum log_format format, struct log_writer **ret) MUST_USE;
/* Writes what is queued, waiting for at most a second, and ends the thread. NULL is fine. */
void log_writer_close(struct log_writer *writer);
/* For log_sink_set, on as many threads as there are. */
struct log_sink *log_writer_sink(struct log_writer *writer);

#endif
