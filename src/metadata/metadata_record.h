/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a record value in __cluster_metadata: frame version 1, record type and version as unsigned varints, then
 * the message.
 */
#ifndef METADATA_METADATA_RECORD_H
#define METADATA_METADATA_RECORD_H

#include "codec.h"
#include "msg/metadata_records.h"

struct metadata_record {
	int16_t type; /* enum metadata_record_id */
	int16_t version;
	const struct msg_type *schema;
	struct bytes message;
};

/* ERR_DECODE for a broken frame; ERR_NOT_SUPPORTED for a frame version, type or version that this build does not know.
 * The message is not looked into. */
enum err metadata_record_parse(struct bytes value, struct metadata_record *ret, struct err_text *text) MUST_USE;
/* The name of a record type, "PartitionRecord". */
const char *metadata_record_name(int16_t type);
/* A framed value in the arena. The object must be one that the version can carry: anything else is a programmer
 * error. */
struct bytes metadata_record_encode(enum metadata_record_id type, int16_t version, const void *obj,
				    struct arena *arena);

#endif
