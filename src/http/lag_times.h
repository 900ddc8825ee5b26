/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How old what a group has not read yet is: the time of the record at each committed offset that is behind, found in
 * the partition's files by their indexes. Lives on the HTTP thread and reads files only, as a tool beside the node
 * would; what is not there (retention took it, a compaction swaps it) is not known this time.
 *
 * 1. A look reads at most LAG_TIMES_READS_MAX places, so that a page costs the same however many groups are behind;
 *    the rest keeps what was found before, or comes with a later look.
 * 2. What was found is kept while its group asks for the same place, and read again after LAG_TIMES_KEEP looks: the
 *    topic may have been made anew.
 */
#ifndef HTTP_LAG_TIMES_H
#define HTTP_LAG_TIMES_H

#include "map.h"

#define LAG_TIMES_READS_MAX 500
#define LAG_TIMES_KEEP 20

struct harvest;

struct lag_times {
	struct map found; /* hash of topic, partition, offset -> struct lag_time */
	uint64_t seed;
	uint32_t look;
	int reads_left;
};

void lag_times_init(struct lag_times *times, uint64_t seed);
void lag_times_deinit(struct lag_times *times);
/* Sets time_ms of the offsets that are behind. */
void lag_times_join(struct lag_times *times, struct harvest *harvest);

#endif
