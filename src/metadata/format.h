/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fresh directory holds, as `kafka-storage format --standalone` of 4.3 makes it: the feature levels as records
 * for bootstrap.checkpoint; voters and kraft.version stand in the 0-0 checkpoint (snapshot_file.h). The dynamic default
 * min.insync.replicas that comes with eligible leader replicas is not in a file: the first controller writes it. Pure.
 */
#ifndef METADATA_FORMAT_H
#define METADATA_FORMAT_H

#include "arena.h"
#include "bytes.h"
#include "vec.h"

struct format_records {
	VEC(struct bytes) values; /* framed record values, memory of the arena */
};

/* Records of bootstrap.checkpoint for metadata_version (METADATA_VERSION_MIN to _MAX; the newest unless the user asked
 * for an older release): metadata.version first, then the features by name. */
void format_bootstrap_records(int16_t metadata_version, struct arena *arena, struct format_records *ret);

#endif
