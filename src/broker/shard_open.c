/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs open on first use; the rest is opened in the background, a few at a time, so that a start with many partitions
 * serves at once and is whole soon. After an unclean end opening is also checking: what is left is told.
 */
#include <inttypes.h>

#include "broker.h"
#include "cleaner.h"
#include "housekeeper.h"
#include "log.h"
#include "scrubber.h"
#include "shard.h"

#define SHARD_OPENING_MAX 32

void shard_open(struct shard *shard, struct partition *partition)
{
	if (partition->is_opening || partition->log->state != PART_LOG_CLOSED)
		return;
	partition->is_opening = true;
	shard->opening_n++;
	partition_open(partition);
}

/* How far the start's opening is, which checks what an unclean end left: a line each PROGRESS_SAY_NS, and one when all
 * are open if it took so long that any was told. */
static void shard_tell_opening(struct shard *shard)
{
	struct progress *opening = &shard->opening;
	int64_t now_ns = shard->reactor->now_ns;

	if (opening->total == 0)
		return;
	opening->done = opening->total - shard->unopened_n - shard->opening_n;
	if (shard->unopened_n + shard->opening_n == 0) {
		if (opening->said_ns > opening->began_ns)
			log_info("logs.opened", "shard=%d partitions=%" PRId64 " took_s=%.0f", shard->index,
				 opening->total, (double)(now_ns - opening->began_ns) / 1e9);
		opening->total = 0;
	} else if (progress_is_due(opening, now_ns)) {
		log_info("logs.opening",
			 "shard=%d done_partitions=%" PRId64 " total_partitions=%" PRId64 " rate=%.0f eta_s=%.0f",
			 shard->index, opening->done, opening->total, progress_rate(opening, now_ns),
			 progress_eta_s(opening, now_ns));
	}
}

void shard_open_more(struct shard *shard)
{
	if (shard->is_stopping || !shard->opens_unasked)
		return;
	shard_tell_opening(shard);
	while (shard->opening_n < SHARD_OPENING_MAX && !list_is_empty(&shard->unopened)) {
		struct partition *partition = list_entry(list_pop_front(&shard->unopened), struct partition, link);

		list_push_back(&shard->opened, &partition->link);
		partition->is_unopened = false;
		shard->unopened_n--;
		shard_open(shard, partition);
	}
}

void shard_open_in_background(struct shard *shard)
{
	shard->opens_unasked = true;
	progress_begin(&shard->opening, shard->unopened_n + shard->opening_n, shard->reactor->now_ns);
	shard_open_more(shard);
	housekeeper_start(shard->keeper);
	cleaner_start(shard->cleaner);
	scrubber_start(shard->scrubber);
}
