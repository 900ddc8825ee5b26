/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fresh directory holds, as `kafka-storage format --standalone` of 4.3 makes it: feature levels, and the dynamic
 * default settings that come with them, as records for bootstrap.checkpoint; voters and kraft.version for the 0-0
 * checkpoint. Pure.
 */
#ifndef METADATA_FORMAT_H
#define METADATA_FORMAT_H

#include "arena.h"
#include "bytes.h"
#include "vec.h"

struct format_records {
	VEC(struct bytes) values; /* framed record values, memory of the arena */
};

/* Records of bootstrap.checkpoint for metadata_version (30 unless the user asked for an older release). */
void format_bootstrap_records(int16_t metadata_version, struct arena *arena, struct format_records *ret);

#endif
