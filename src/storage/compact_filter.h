/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compaction does to one batch: whole, thinned out, emptied, or gone. Pure: bytes in, bytes out.
 *
 * By Kafka's rules: a record stays when nothing newer of its key was seen; one without a value (a tombstone) goes
 * when the delete horizon has passed that the batch was given by the compaction that first met it, in its base
 * timestamp; records without a key go. Aborted records go; a marker goes after its horizon, when nothing of its
 * transaction is left. The last batch of a producer stays, if need be empty: a start reads its sequence from there;
 * and so does the last batch of all, for its offset.
 *
 * 1. A batch of which every record stays is copied as it is, unless it is given a horizon.
 * 2. Offsets never change, nor does the last offset that a batch names.
 */
#ifndef STORAGE_COMPACT_FILTER_H
#define STORAGE_COMPACT_FILTER_H

#include "compact_txn.h"
#include "compress.h"
#include "offset_map.h"
#include "record.h"

/* A producer as the log knows it when the compaction begins. */
struct compact_producer {
	int64_t producer_id;
	int64_t last_offset; /* of its newest batch; -1: only a marker is known */
	int16_t epoch;
};

struct compact_filter {
	const struct offset_map *map;
	int64_t map_end;   /* records at or above were not put into the map: they stay */
	int64_t round_end; /* the batch that ends here stays */
	int64_t now_ms;
	int64_t delete_retention_ms;
	bool keeps_old_tombstones; /* of formats 0 and 1, in this segment */
	const struct map *producers; /* producer id -> struct compact_producer */
	struct compact_txns *txns;
	struct compress_ctx ctx;
	struct scratch plain;
	VEC(struct offset_map_key) keys; /* of the batch in hand */
	VEC(uint8_t) keep;
	/* counts */
	int64_t records_in, records_out, keyless_n;
};

void compact_filter_deinit(struct compact_filter *filter);
/* Appends what stays of a whole batch to `out`. ERR_CORRUPT_MESSAGE and the like: the batch cannot be read. */
enum err compact_filter_batch(struct compact_filter *filter, const struct batch_info *batch, struct scratch *out)
	MUST_USE;
/* Puts the keys of a batch at or above `from` into the map; *ret_full when one found no room: then the batch does not
 * count as seen. */
enum err compact_filter_map(struct compact_filter *filter, struct offset_map *map, const struct batch_info *batch,
			    int64_t from, bool *ret_full) MUST_USE;

#endif
