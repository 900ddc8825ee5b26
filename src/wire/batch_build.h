/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a batch of format 2: for metadata records, control batches, compaction, clients and tests. Records
 * go straight into the caller's memory; with a codec they gather in the context's `plain` and are packed at
 * the end.
 *
 *	batch_builder_init(&b, &spec, &out, &ctx);
 *	err = batch_builder_add(&b, timestamp, &fields);	... more
 *	err = batch_builder_finish(&b, &batch);
 *
 * 1. Between init and finish nobody else writes to `out` (nor, with a codec, to ctx->plain).
 * 2. Offsets rise; the first record sets the base timestamp, unless a delete horizon stands there.
 */
#ifndef WIRE_BATCH_BUILD_H
#define WIRE_BATCH_BUILD_H

#include "batch.h"
#include "record.h"

struct batch_spec {
	int64_t base_offset;
	int64_t producer_id;
	int64_t append_time;    /* with BATCH_LOG_APPEND_TIME: the max timestamp */
	int64_t delete_horizon; /* with BATCH_DELETE_HORIZON */
	int32_t leader_epoch;
	int32_t base_sequence;
	int level;              /* of the codec */
	enum codec codec;
	uint16_t attributes;    /* all bits but the codec */
	int16_t producer_epoch;
};

/* No producer, no codec, create time, base offset 0. */
#define BATCH_SPEC_INIT                                                                      \
	((struct batch_spec){.producer_id = NO_PRODUCER_ID, .producer_epoch = NO_PRODUCER_EPOCH, \
			     .base_sequence = NO_SEQUENCE, .leader_epoch = NO_LEADER_EPOCH,      \
			     .append_time = NO_TIMESTAMP, .delete_horizon = NO_TIMESTAMP,        \
			     .level = COMPRESS_LEVEL_DEFAULT})

struct batch_builder {
	struct batch_spec spec;
	struct compress_ctx *ctx;
	struct scratch *out;
	struct scratch *records;  /* `out`, or ctx->plain with a codec */
	size_t start;             /* of the batch in `out` */
	int64_t base_timestamp;
	int64_t max_timestamp;
	int32_t last_offset_delta;
	int32_t records_n;
};

/* Begins a batch at the end of `out`. ctx may be NULL without a codec. ERR_TOO_LARGE by out->max. */
enum err batch_builder_init(struct batch_builder *b, const struct batch_spec *spec, struct scratch *out,
			    struct compress_ctx *ctx) MUST_USE;
/* The next offset. ERR_TOO_LARGE: `out` is full; the batch is as before and can still be finished. */
enum err batch_builder_add(struct batch_builder *b, int64_t timestamp,
			   const struct record_fields *fields) MUST_USE;
/* At `offset`, which is above the last one. */
enum err batch_builder_add_at(struct batch_builder *b, int64_t offset, int64_t timestamp,
			      const struct record_fields *fields) MUST_USE;
/* Size so far, before compression. */
size_t batch_builder_len(const struct batch_builder *b);
/* For compaction, where the last record may be gone: what the header says, at least the last record's. */
void batch_builder_set_last_offset(struct batch_builder *b, int64_t last_offset);
/*
 * Packs and writes the header. *ret is the batch within `out`. A batch without records becomes what
 * compaction leaves of a producer's last batch: no codec, base timestamp -1, max timestamp from the spec's
 * append_time. ERR_TOO_LARGE by out->max; `out` is then cut back to before the batch.
 */
enum err batch_builder_finish(struct batch_builder *b, struct bytes *ret) MUST_USE;

/*
 * Writes the header of `info` (all fields but crc, last_offset and bytes; magic is 2) and, over the whole
 * batch of info->size bytes at p, its checksum.
 */
void batch_header_write(uint8_t *p, const struct batch_info *info);

#endif
