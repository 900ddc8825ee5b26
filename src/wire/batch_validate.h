/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leader does with the record set of a Produce request before it appends: refuse what must not be
 * stored, stamp offset and epoch, set timestamps as the topic wants them, pack anew where the topic's codec
 * is another. Most batches are good and pass through in place, with only bytes outside the checksum changed.
 *
 * Same as Kafka's leader, save that offset deltas which do not count 0, 1, 2, ... are refused in every codec
 * (Kafka stores them as they are when nothing is compressed, which no consumer can read in order), that bytes
 * behind the end of a gzip or lz4 stream are refused, and that a producer id needs an epoch.
 */
#ifndef WIRE_BATCH_VALIDATE_H
#define WIRE_BATCH_VALIDATE_H

#include "batch.h"
#include "compress.h"

/* The topic's settings and the append at hand. */
struct batch_rules {
	int64_t now_ms;
	int64_t offset;                  /* of the first record */
	int64_t timestamp_before_max_ms; /* message.timestamp.before.max.ms; INT64_MAX: any */
	int64_t timestamp_after_max_ms;
	size_t size_max;                 /* max.message.bytes, before and after packing anew; 0: any */
	int32_t leader_epoch;
	int level;                       /* of `codec` */
	enum codec codec;                /* compression.type, unless keep_codec */
	bool keep_codec;                 /* compression.type=producer */
	bool log_append_time;            /* message.timestamp.type */
	bool compacted;                  /* cleanup.policy contains compact: every record has a key */
};

enum record_fault {
	RECORD_NO_KEY,         /* on a compacted topic */
	RECORD_TIMESTAMP,      /* outside the window */
	RECORD_TIMESTAMP_TYPE, /* the producer says log append time, which only a leader may */
};

/* One bad record of a batch whose structure is good. */
struct record_error {
	int64_t timestamp;
	int32_t index;
	enum record_fault fault;
};

/* Errors beyond this many are counted, not kept: clients fail the whole batch anyway. */
#define RECORD_ERRORS_MAX 64

struct batch_verdict {
	/* On success: the batch to append, within the input or in ctx->built (until its next use). */
	struct batch_info batch;
	bool rebuilt;
	int64_t append_time;          /* with log append time now, else NO_TIMESTAMP: for the answer */
	int64_t max_timestamp;
	int64_t max_timestamp_offset; /* of the first record with it; a time index takes batch.last_offset */
	/* On failure. */
	const char *why;              /* static text: never NULL */
	int32_t errors_n;             /* bad records, all of them */
	struct record_error errors[RECORD_ERRORS_MAX];
};

/*
 * `records`: the record set of one partition, exactly one batch; part of another batch behind it is cut off,
 * as in Kafka. It is changed only when the answer is ERR_NONE. `verdict` is filled in every case.
 *
 * ERR_INVALID_RECORD     none or several batches, format 0 or 1, base offset not 0, counts, control batch,
 *                        producer without sequence or epoch, malformed records, bad packing, missing keys
 * ERR_CORRUPT_MESSAGE    checksum, size field, unknown format
 * ERR_MESSAGE_TOO_LARGE  size_max; the records unpack to too much
 * ERR_INVALID_TIMESTAMP  at least one record error is about a timestamp
 * ERR_UNSUPPORTED_COMPRESSION_TYPE  codec number 5 to 7
 *
 * Which codec which version of Produce may carry, transactions and producer state are the caller's matters.
 */
enum err batch_validate(uint8_t *records, size_t len, const struct batch_rules *rules,
			struct compress_ctx *ctx,
			struct batch_verdict *verdict) MUST_USE;

/* Stamps a validated batch again, when its place was decided later. */
static inline void batch_stamp(uint8_t *batch, int64_t offset, int32_t leader_epoch)
{
	batch_set_base_offset(batch, offset);
	batch_set_leader_epoch(batch, leader_epoch);
}

struct fmt;
/* The message of RecordErrors for one bad record, in Kafka's words, which people look for. `rules` are those of the
 * validation; `partition` is "topic-0". */
void record_error_format(struct fmt *f, const struct record_error *error, const struct batch_rules *rules,
			 struct str partition);

#endif
