/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a long job is: done, total, rate and time left, and when it is time to say so again. The caller brings the
 * clock (any that does not go back) and writes the line.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include "types.h"

#define PROGRESS_SAY_NS (10 * NS_PER_S)

struct progress {
	int64_t done, total; /* bytes, mostly */
	int64_t began_ns, said_ns;
};

static inline void progress_begin(struct progress *progress, int64_t total, int64_t now_ns)
{
	*progress = (struct progress){.total = total, .began_ns = now_ns, .said_ns = now_ns};
}

/* True at most every PROGRESS_SAY_NS. */
static inline bool progress_is_due(struct progress *progress, int64_t now_ns)
{
	if (now_ns - progress->said_ns < PROGRESS_SAY_NS)
		return false;
	progress->said_ns = now_ns;
	return true;
}

/* Done per second since it began. */
static inline double progress_rate(const struct progress *progress, int64_t now_ns)
{
	int64_t took_ns = now_ns - progress->began_ns;

	return took_ns > 0 ? (double)progress->done * 1e9 / (double)took_ns : 0;
}

/* Seconds; -1: not known. */
static inline double progress_eta_s(const struct progress *progress, int64_t now_ns)
{
	double rate = progress_rate(progress, now_ns);
	int64_t left = progress->total - progress->done;

	if (left <= 0)
		return 0;
	return rate > 0 ? (double)left / rate : -1;
}

#endif
