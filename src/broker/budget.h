/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the requests under way on one reactor may take of memory, in two sums: what has come (frames, whole or in
 * part, and the receive blocks they lie in) and what is made of it (decoded requests, parts, answers). A connection
 * that would go beyond either waits, unread, until something ends.
 *
 * 1. A request is begun only while `work` is below its limit, so the sum stays below the limit plus one request, and
 *    one request takes at most REQUEST_WORK_MAX (see request.h).
 * 2. Frames are read only while they are below their limit, save for one connection at a time, the `grower`, that may
 *    end its frame: else frames that all lack their end could wait for each other.
 *    What a connection was already waiting for when the limit was reached comes on top: one receive each.
 * 3. What a request makes is guessed until its answer is made, and then measured. Answers that nobody reads count until
 *    they have left: while work is short, who has read nothing for CONN_STALLED_NS is closed (conns_close_stalled).
 * 4. Whoever waits is looked at again when a request ends, and twice a second.
 */
#ifndef BROKER_BUDGET_H
#define BROKER_BUDGET_H

#include "buf.h"
#include "list.h"

struct conn;

struct budget {
	int64_t frames_max, work_max; /* 0: no limit */
	int64_t frames; /* requests with their copied frames, and pinned receive blocks; request_bufs counts the rest */
	int64_t work;
	struct list waiting; /* struct conn by `waiting` */
	struct conn *grower;
};

#define BUDGET_FRAMES_MAX ((int64_t)512 << 20) /* of a node, unless queued.max.request.bytes is set */
#define BUDGET_WORK_MAX ((int64_t)512 << 20)

/* queued_max: queued.max.request.bytes, or less than 1 for none. */
void budget_init(struct budget *budget, int64_t queued_max, int shards_n);
static inline bool budget_is_short_of_frames(const struct budget *budget, const struct buf_pool *partials)
{
	return budget->frames_max > 0 && budget->frames + partials->bytes >= budget->frames_max;
}
static inline bool budget_is_short_of_work(const struct budget *budget)
{
	return budget->work_max > 0 && budget->work >= budget->work_max;
}
/* Something ended: up to n of those that wait look again. */
void budget_wake(struct budget *budget, int n);

#endif
