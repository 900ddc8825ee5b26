/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message formats 0 and 1, read only: they can no longer be produced, but old segments hold them and are
 * read, recovered, indexed and served as they are. batch_iter (batch.h) walks them from message to message,
 * checksum included; here is what is inside one.
 *
 * A message with a codec is a wrapper: its value is a packed set of messages of the same format. The offset
 * of a wrapper is that of its last message. Offsets inside are absolute in format 0; in format 1 they count
 * from the first, so the base is known only once the last has been seen. A wrapper's timestamp is the highest
 * inside (create time) or that of all (log append time): batch_info.max_timestamp is right without unpacking.
 */
#ifndef WIRE_LEGACY_H
#define WIRE_LEGACY_H

#include "batch.h"
#include "compress.h"

struct legacy_record {
	int64_t offset;
	int64_t timestamp;  /* format 0: NO_TIMESTAMP */
	struct bytes key;   /* null has p == NULL */
	struct bytes value; /* the same; of a wrapper that is not unpacked: the packed set */
	struct bytes bytes; /* the whole message as stored */
};

/* Walks the records of one message, be it plain or a wrapper. Usage as record_iter. */
struct legacy_iter {
	struct batch_iter inner;
	struct batch_info self;  /* the message, when it is plain */
	int64_t offset_add;      /* to inner offsets */
	int64_t append_time;     /* of all inside, when has_append_time */
	int8_t magic;
	bool has_append_time;
	bool plain;              /* self is still to be handed out */
	enum err err;            /* ERR_CORRUPT_MESSAGE */
};

/*
 * `batch` is whole and of format 0 or 1. A wrapper is unpacked behind what *into holds, which must stay until
 * the walk ends. `flags`: BATCH_CHECK_CRC checks the messages inside too. Errors as codec_decompress();
 * ERR_CORRUPT_MESSAGE also for a wrapper in a wrapper, mixed formats, an empty wrapper.
 */
enum err legacy_iter_init(struct legacy_iter *it, const struct batch_info *batch, unsigned flags,
			  struct compress_ctx *ctx, struct scratch *into) MUST_USE;
bool legacy_iter_next(struct legacy_iter *it, struct legacy_record *ret);

/* Key and value of one message as stored, a wrapper not unpacked. ERR_CORRUPT_MESSAGE when lengths do not
 * fit. */
enum err legacy_parse(const struct batch_info *batch, struct legacy_record *ret) MUST_USE;

#endif
