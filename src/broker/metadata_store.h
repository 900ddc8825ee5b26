/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of the metadata log's directory, as jobs on a helper: formatting an empty one, reading back what is there
 * (snapshot, then the log), writing quorum-state and new snapshots. The log itself is a part_log.
 *
 *   __cluster_metadata-0/  00000000000000000000.log ...   the records
 *                          <offset>-<epoch>.checkpoint    snapshots; 0-0 holds the first voters
 *                          quorum-state                   epoch and vote
 *   bootstrap.checkpoint   (in the log directory) the records of the first start
 *
 * 1. A snapshot is complete (written as .part, synced, renamed, directory synced) before an older one goes.
 * 2. The state read back is the snapshot plus every record of the log behind it; a damaged snapshot is passed over only
 *    if the log still holds everything since an older one.
 */
#ifndef BROKER_METADATA_STORE_H
#define BROKER_METADATA_STORE_H

#include "broker_config.h"
#include "image.h"
#include "io.h"
#include "raft.h"
#include "vec.h"

#define METADATA_TOPIC_NAME "__cluster_metadata"
#define METADATA_LOG_NAME METADATA_TOPIC_NAME "-0"

/* Has the directory no metadata at all: never formatted, or a format that was cut short? The order of a format is
 * meta.properties, 0-0 checkpoint, bootstrap.checkpoint, so the last one tells that it was whole. */
bool metadata_store_is_blank(struct fs *fs, const char *dir);

/* Formats `dir` (a log directory that has none yet). voters: this node, as the 0-0 checkpoint names it. */
enum err metadata_store_format(struct fs *fs, const char *dir, const struct raft_voters *voters, int64_t wall_ms,
			       int16_t metadata_version, struct err_text *text) MUST_USE;

/* Everything read back. */
struct metadata_load {
	struct io_op op;
	const char *dir;         /* in: the log directory */
	int64_t log_end_offset;  /* in: of the recovered log */
	bool cleans;             /* in: also removes what a death left of a snapshot that was being written */
	/* out */
	struct image *image;     /* one reference */
	int16_t kraft_version;
	struct raft_voters voters;
	bool has_voters;
	bool voters_in_log;
	struct quorum_state quorum; /* valid when has_quorum */
	bool has_quorum;
	int32_t log_last_epoch;
	struct { struct bytes *v; size_t n, cap; } bootstrap; /* record values of bootstrap.checkpoint, in arena */
	int64_t snapshot_offset; /* -1: none */
	struct arena arena;
	struct err_text text;
};
/* A run function for IO_WORK: sets op->err and, on an error, text. */
void metadata_load_run(struct io_op *op, struct fs *fs);
void metadata_load_deinit(struct metadata_load *load);

/* Writes quorum-state. */
struct quorum_save {
	struct io_op op;
	const char *dir;
	struct bytes content; /* memory of the caller */
};
void quorum_save_run(struct io_op *op, struct fs *fs);

/* Writes a snapshot, then removes those below `keep_offset`. */
struct snapshot_save {
	struct io_op op;
	const char *dir;
	struct bytes content; /* mem_free by the caller, after */
	int64_t end_offset;
	int32_t epoch;
};
void snapshot_save_run(struct io_op *op, struct fs *fs);

#endif
