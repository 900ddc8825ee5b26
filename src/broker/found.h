/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was found in the log directories at start: partition directories with their topic ids and checkpointed offsets.
 * Filled before the reactors turn, read by all of them, never changed after.
 */
#ifndef BROKER_FOUND_H
#define BROKER_FOUND_H

#include "log_dir.h"
#include "map.h"

struct found_partition {
	struct str name; /* "orders-4" */
	struct uuid topic_id; /* zero: unknown */
	int dir;
	int64_t recovery_point, log_start, high_watermark, cleaner; /* -1: none */
	struct found_partition *other; /* of the same name and another topic, in another directory; which counts the
					* metadata says */
	int64_t moved_start; /* of a marked copy (dir_copy.h): where it begins, -1 unknown; FOUND_NOT_MOVED: no copy */
};

#define FOUND_NOT_MOVED (-2)

struct found {
	struct map by_name; /* the first of each name */
	struct map futures; /* names of partitions that were on their way -> the directory they were going to, plus 1 */
	bool has_stale; /* a checkpoint file names a partition that does not lie there */
	struct map missing; /* names of such partitions -> struct found_missing, the last one */
	bool has_several; /* directories: a partition may have been moved between them */
	bool has_marks;   /* some partition is a marked copy */
	struct arena arena;
	VEC(struct str) deletable[64]; /* per directory: names left by interrupted deletions */
};

void found_init(struct found *found, uint64_t seed);
void found_deinit(struct found *found);
/* `paths` are those of all directories, `dir` the one to read. Lists one directory and reads its checkpoint files. A
 * damaged checkpoint file is reported and taken as missing: that costs time at recovery, not data. The same
 * partition in two directories is an error, unless one is a marked copy of the other (dir_copy.h). Several of one
 * name, but of other topics or without an id, are all kept: the older one was deleted, or the newer one begun, while a
 * directory was out of order. */
enum err found_read_dir(struct found *found, struct fs *fs, const char *const *paths, int dir,
			struct err_text *text) MUST_USE;
/* NULL when it was not there, or is of another topic. One whose id is nearly the same is of this topic, with a damaged
 * partition.metadata, which the opening of the log writes again. */
const struct found_partition *found_get(const struct found *found, struct str topic, int32_t partition,
					struct uuid topic_id);

/* One without a topic id, which has no records either: the node died while it made the directory. NULL: none. */
const struct found_partition *found_unnamed(const struct found *found, struct str topic, int32_t partition);
/* The recovery point of a partition that should lie in the directory and does not; -1: nothing is known of one. */
int64_t found_missing(const struct found *found, struct str topic, int32_t partition, int dir);
/* The directory that a move was going to when the node stopped; -1: none. What it had copied is among the deletable. */
int found_future(const struct found *found, struct str topic, int32_t partition);

#endif
