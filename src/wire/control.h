/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control records: what brokers and controllers write among the records, never clients. In a partition the
 * marker that ends a transaction; in the metadata log the records of the quorum. The key is a version and a
 * type; the values of the quorum's types are messages of their own, opaque here.
 */
#ifndef WIRE_CONTROL_H
#define WIRE_CONTROL_H

#include "batch_build.h"
#include "record.h"

enum control_type {
	CONTROL_ABORT = 0,
	CONTROL_COMMIT = 1,
	CONTROL_LEADER_CHANGE = 2,
	CONTROL_SNAPSHOT_HEADER = 3,
	CONTROL_SNAPSHOT_FOOTER = 4,
	CONTROL_KRAFT_VERSION = 5,
	CONTROL_KRAFT_VOTERS = 6,
	CONTROL_UNKNOWN = 255, /* of a newer version: to be skipped */
};

struct control_record {
	enum control_type type;
	int32_t coordinator_epoch; /* abort and commit, else -1 */
	struct bytes value;
};

/* Reads a record of a control batch. ERR_CORRUPT_MESSAGE: key or marker too short, or a negative version. */
enum err control_parse(const struct record *record, struct control_record *ret) MUST_USE;

/* Adds a record to a builder whose spec has BATCH_CONTROL. Type 2 to 6; errors as batch_builder_add. */
enum err control_add(struct batch_builder *b, int64_t timestamp, enum control_type type,
		     struct bytes value) MUST_USE;

/* The end of a transaction in one partition. */
struct control_marker {
	int64_t offset;
	int64_t timestamp;
	int64_t producer_id;
	int32_t leader_epoch;
	int32_t coordinator_epoch;
	int16_t producer_epoch;
	bool commit;
};

/* Size of the batch of a marker, always. */
#define CONTROL_MARKER_LEN 78

/* Writes the whole batch. */
void control_marker_build(uint8_t ret[CONTROL_MARKER_LEN], const struct control_marker *marker);

#endif
