/* SPDX-License-Identifier: Apache-2.0 */
/* See retention.h. Each reason begins with the first segment that the ones before it left. */
#include "retention.h"

struct retention {
	const struct retention_input *in;
	struct retention_verdict *verdict;
};

static int64_t retention_upper(const struct retention_input *in, size_t at)
{
	return at + 1 < in->segments_n ? in->segments[at + 1].base : in->log_end;
}

/* What every reason asks: all of it is replicated, and it is not the empty active segment. */
static bool retention_may_go(const struct retention_input *in, size_t at)
{
	if (at >= in->segments_n || in->high_watermark < retention_upper(in, at))
		return false;
	return at + 1 < in->segments_n || in->segments[at].size > 0;
}

static void retention_take(struct retention *r, enum retention_reason reason)
{
	r->verdict->bytes += r->in->segments[r->verdict->segments_n].size;
	r->verdict->segments_n++;
	r->verdict->reasons_n[reason]++;
}

static void retention_by_start(struct retention *r)
{
	const struct retention_input *in = r->in;
	size_t *at = &r->verdict->segments_n;

	while (*at + 1 < in->segments_n && in->segments[*at + 1].base <= in->log_start && retention_may_go(in, *at))
		retention_take(r, RETENTION_START);
}

static void retention_by_size(struct retention *r)
{
	const struct retention_input *in = r->in;
	size_t *at = &r->verdict->segments_n;
	int64_t excess = -in->retention_bytes;

	if (in->retention_bytes < 0)
		return;
	for (size_t i = *at; i < in->segments_n; i++)
		excess += in->segments[i].size;
	while (retention_may_go(in, *at) && excess - in->segments[*at].size >= 0) {
		excess -= in->segments[*at].size;
		retention_take(r, RETENTION_SIZE);
	}
}

static void retention_by_time(struct retention *r)
{
	const struct retention_input *in = r->in;
	size_t *at = &r->verdict->segments_n;

	if (in->retention_ms < 0)
		return;
	while (retention_may_go(in, *at) &&
	       in->now_ms - segment_newest_ms(&in->segments[*at]) > in->retention_ms)
		retention_take(r, RETENTION_TIME);
	if (retention_may_go(in, *at) && segment_newest_ms(&in->segments[*at]) > in->now_ms)
		r->verdict->is_in_future = true;
}

void retention_decide(const struct retention_input *in, struct retention_verdict *ret)
{
	struct retention r = {in, ret};

	*ret = (struct retention_verdict){.log_start = in->log_start};
	retention_by_start(&r);
	if (in->is_deleted) {
		retention_by_size(&r);
		retention_by_time(&r);
	}
	if (ret->segments_n == 0)
		return;
	ret->rolls = ret->segments_n == in->segments_n;
	ret->log_start = MAX(in->log_start, retention_upper(in, ret->segments_n - 1));
}
