/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrubbing by the clock: every log.scrub.interval.hours each shard reads the old segments of its opened logs, one log
 * after another, in pieces with pauses that keep its share of log.scrub.max.bytes.per.second. See log_scrub.h for what
 * becomes of damage.
 *
 *    WAITING --time--> PASS: piece --> [pause] --> piece ... next log ... --all read--> WAITING
 *
 * 1. At most one piece of a shard is under way.
 * 2. Logs that are opened while a pass runs are read by the next one.
 */
#ifndef BROKER_SCRUBBER_H
#define BROKER_SCRUBBER_H

#include "types.h"

struct scrubber;
struct shard;

/* Since the start; for the metrics page. */
struct scrubber_stats {
	uint64_t read_bytes;
	uint64_t damaged_n; /* places found */
};

struct scrubber *scrubber_new(struct shard *shard);
void scrubber_free(struct scrubber *scrubber);
/* When the node serves. Nothing happens when the settings say so. */
void scrubber_start(struct scrubber *scrubber);
/* Begins nothing more. */
void scrubber_stop(struct scrubber *scrubber);
void scrubber_stats_read(const struct scrubber *scrubber, struct scrubber_stats *ret);

#endif
