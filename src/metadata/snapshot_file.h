/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files of the metadata log ("<end offset>-<epoch>.checkpoint", bootstrap.checkpoint): batches in format 2
 * that begin with a SnapshotHeader (kraft.version 1: with KRaftVersion and KRaftVoters in the same batch), hold one
 * record each for what the image holds, and end with a SnapshotFooter. Pure: whole files in memory.
 */
#ifndef METADATA_SNAPSHOT_FILE_H
#define METADATA_SNAPSHOT_FILE_H

#include "arena.h"
#include "err.h"
#include "fmt.h"
#include "raft.h"
#include "replay.h"

struct snapshot_info {
	int64_t last_log_timestamp_ms;
	int16_t kraft_version;
	bool has_voters;
	struct raft_voters voters;
	int64_t records_n;
};

/* kraft_version 0: voters may be NULL. Memory is the caller's (mem_free of ret->p). ERR_BUSY within a metadata
 * transaction; ERR_TOO_LARGE above 1 GiB. */
enum err snapshot_file_encode(const struct image *image, int16_t kraft_version, const struct raft_voters *voters,
			      struct bytes *ret) MUST_USE;
/* A file of given records (bootstrap, 0-0 checkpoint). last_log_timestamp_ms is for the header: Kafka gives 0 in
 * bootstrap.checkpoint and the time of formatting in 0-0. */
enum err snapshot_file_encode_records(const struct bytes *records, size_t records_n, int64_t timestamp_ms,
				      int64_t last_log_timestamp_ms, int32_t epoch, int16_t kraft_version,
				      const struct raft_voters *voters, struct bytes *ret) MUST_USE;
/* Checks everything; calls fn with each record value, in order, and ends with its first error. Truncated, damaged or
 * foreign files are ERR_CORRUPT_FILE with a text; fn may have seen records by then. */
enum err snapshot_file_decode(struct bytes file, image_record_fn *fn, void *ctx, struct snapshot_info *ret,
			      struct err_text *text) MUST_USE;
/* "00000000000000000012-0000000003.checkpoint" and back. */
void snapshot_file_name(int64_t end_offset, int32_t epoch, char ret[64]);
bool snapshot_file_parse_name(const char *name, int64_t *ret_end_offset, int32_t *ret_epoch);

#endif
