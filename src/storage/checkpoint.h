/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's small text files. Offset checkpoints (version 0: "topic partition offset" lines), partition.metadata,
 * meta.properties, .kafka_cleanshutdown. Pure parsing and writing; files go through fs_read_all and
 * fs_write_atomic. Everything that is not exactly the format is ERR_CORRUPT_FILE.
 */
#ifndef STORAGE_CHECKPOINT_H
#define STORAGE_CHECKPOINT_H

#include "arena.h"
#include "err.h"
#include "uuid.h"
#include "vec.h"

struct offset_entry {
	struct str topic; /* lent by the text or by the caller */
	int32_t partition;
	int64_t offset;
};

struct offset_checkpoint {
	VEC(struct offset_entry) entries;
};

/* An empty file counts as one without entries. */
enum err offset_checkpoint_parse(struct bytes text, struct arena *arena, struct offset_checkpoint *ret) MUST_USE;
struct bytes offset_checkpoint_encode(const struct offset_checkpoint *checkpoint, struct arena *arena);

enum err partition_metadata_parse(struct bytes text, struct uuid *ret_topic_id) MUST_USE;
/* Of a damaged one, of which a character is wrong: an id that is near the right one (uuid_is_near); else zero. */
struct uuid partition_metadata_guess(struct bytes text);
struct bytes partition_metadata_encode(struct uuid topic_id, struct arena *arena);

struct meta_properties {
	int version;           /* 1; 0 is a ZooKeeper-era directory */
	struct str cluster_id; /* null when absent */
	int32_t node_id;       /* -1 when absent */
	struct uuid directory_id; /* zero when absent */
};

enum err meta_properties_parse(struct bytes text, struct arena *arena, struct meta_properties *ret) MUST_USE;
struct bytes meta_properties_encode(const struct meta_properties *meta, int64_t wall_ms, struct arena *arena);

/* *ret_broker_epoch is -1 when the file names none. */
enum err clean_shutdown_parse(struct bytes text, int64_t *ret_broker_epoch) MUST_USE;
struct bytes clean_shutdown_encode(int64_t broker_epoch, struct arena *arena);

#endif
