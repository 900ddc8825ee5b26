/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what clients push of their metrics: an OpenTelemetry MetricsData message (protobuf). Only numbers are told
 * (gauges and sums); histograms and summaries are looked through and left out. The bytes are hostile: depth is fixed by
 * the message's own levels, nothing is allocated, and every length is checked.
 */
#ifndef WIRE_OTLP_H
#define WIRE_OTLP_H

#include "bytes.h"
#include "err.h"

#define OTLP_LABELS_MAX 16 /* of a point; further ones are left out */

enum otlp_label_kind { OTLP_TEXT, OTLP_INT, OTLP_DOUBLE, OTLP_BOOL };

/* Views into the message. */
struct otlp_label {
	struct str key;
	enum otlp_label_kind kind;
	struct str text;
	int64_t number; /* also of OTLP_BOOL */
	double real;
};

struct otlp_point {
	struct str name;
	bool is_sum;   /* else a gauge */
	bool is_delta; /* of a sum: since the last push; else since the start */
	bool is_monotonic;
	double value;
	int labels_n;
	struct otlp_label labels[OTLP_LABELS_MAX];
};

typedef void otlp_point_fn(void *ctx, const struct otlp_point *point);

/* Calls fn for each number, in order. ERR_CORRUPT_MESSAGE when the bytes are no such message: fn may have been called
 * for what stands before; fn NULL only checks. */
enum err otlp_read(struct bytes message, otlp_point_fn *fn, void *ctx) MUST_USE;

#endif
