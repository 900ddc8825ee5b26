/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which segments of a log have to go, by Kafka's rules: whole segments from the oldest on, those below the start of the
 * log, then while the rest is larger than retention.bytes, then those whose newest record is older than retention.ms.
 * Pure: facts and settings in, a decision out.
 *
 * 1. Nothing that reaches above the high watermark goes.
 * 2. A segment goes only when all before it go.
 * 3. The active segment goes only when it holds something and all others go: then the log rolls first.
 */
#ifndef STORAGE_RETENTION_H
#define STORAGE_RETENTION_H

#include "segment.h"

enum retention_reason { RETENTION_START, RETENTION_SIZE, RETENTION_TIME, RETENTION_REASONS_N };

struct retention_input {
	const struct segment *segments; /* from the oldest to the active one, at least one */
	size_t segments_n;
	int64_t log_start;
	int64_t log_end;
	int64_t high_watermark;
	int64_t now_ms;       /* wall clock */
	bool is_deleted;      /* cleanup.policy names delete: by size and time too */
	int64_t retention_ms;    /* below 0: for ever */
	int64_t retention_bytes; /* below 0: no limit */
};

struct retention_verdict {
	size_t segments_n; /* the first ones, which go */
	int64_t bytes;     /* in them */
	size_t reasons_n[RETENTION_REASONS_N];
	int64_t log_start; /* afterwards; with `rolls` the end of the log */
	bool rolls;        /* the active segment is among them: a new one is begun first */
	bool is_in_future; /* a segment stays for a timestamp that has not come yet */
};

void retention_decide(const struct retention_input *in, struct retention_verdict *ret);

#endif
