/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a partition serves, read plainly from its start to its end, and what follows from it: which records are decided
 * and which aborted, and where a time is first. What the partition answers to committed readers and to queries by time
 * is held against that.
 */
#ifndef PARTITION_MODEL_H
#define PARTITION_MODEL_H

#include "live_partition.h"

struct model_batch {
	int64_t base, last;
	int64_t producer_id;
	uint32_t crc;
	bool is_transactional, is_control;
	bool is_abort; /* its marker */
};

struct model_record {
	int64_t offset;
	int64_t timestamp_ms;
	bool is_hidden; /* of a transaction that was aborted, or a marker */
};

struct model {
	int64_t log_start, end;
	int64_t stable; /* where the first transaction began that is not over; `end`: none */
	bool has_holes; /* damage was told of, or offsets are left out */
	VEC(struct model_batch) batches;
	VEC(struct model_record) records;
};

/* Reads it all, a few bytes at a time. Damage is passed over. */
void model_read(struct model *model, struct live_partition *live, int64_t max_bytes);
void model_deinit(struct model *model);
/* Reads as a consumer of committed records. knows_all: what its files say of transactions is as the log has it. */
void model_check_committed(const struct model *model, struct live_partition *live, int64_t max_bytes, bool knows_all);
void model_check_time(const struct model *model, struct live_partition *live, int64_t timestamp_ms, bool only_stable);
/* `after` has what `before` had below `end`, in the same places. */
void model_check_kept(const struct model *before, const struct model *after, int64_t end);

#endif
