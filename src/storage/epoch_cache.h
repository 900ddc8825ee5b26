/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader epochs of a log: where each epoch's records begin. Kept in the file leader-epoch-checkpoint; answers
 * OffsetForLeaderEpoch. Pure.
 *
 * 1. Epochs and start offsets both ascend strictly.
 */
#ifndef STORAGE_EPOCH_CACHE_H
#define STORAGE_EPOCH_CACHE_H

#include "bytes.h"
#include "err.h"
#include "vec.h"

struct epoch_entry {
	int32_t epoch;
	int64_t start_offset;
};

struct epoch_cache {
	VEC(struct epoch_entry) entries;
};

void epoch_cache_deinit(struct epoch_cache *cache);
/* Adds (epoch, start); entries with a larger epoch or a start at or after it are replaced. True when changed. */
bool epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset);
/* Newest epoch, -1 when empty. */
int32_t epoch_cache_latest(const struct epoch_cache *cache);
/* The epoch that holds `offset`, -1 when none. */
int32_t epoch_cache_of(const struct epoch_cache *cache, int64_t offset);
/* End of the largest epoch <= epoch: *ret_epoch and the start of the next one (log_end for the newest); -1/-1 when
 * unknown. */
void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
		     int64_t *ret_end);
/* Drops what begins at or above `offset`. True when changed. */
bool epoch_cache_truncate_end(struct epoch_cache *cache, int64_t offset);
/* Drops the epochs above `epoch`. True when changed. */
bool epoch_cache_truncate_above(struct epoch_cache *cache, int32_t epoch);
/* Lets nothing begin below `offset`, keeping the epoch that holds it. True when changed. */
bool epoch_cache_truncate_start(struct epoch_cache *cache, int64_t offset);
/* Text form of the checkpoint file, freed with mem_free by the caller; parse refuses with ERR_CORRUPT_FILE. */
struct bytes epoch_cache_encode(const struct epoch_cache *cache);
enum err epoch_cache_decode(struct epoch_cache *cache, struct bytes text) MUST_USE;

#endif
