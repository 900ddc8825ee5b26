/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compacting a log, as sequential code over struct fs that stops after a bounded piece of work and goes on where it
 * was: who drives it can pause, count and cancel between the pieces, and no helper is held for long.
 *
 *    MAP --dirty segments read, or the map full--> FILTER --a group of segments is written anew--> SWAP
 *                                                    ^                                              |
 *                                                    +------- compact_swapped: the next group ------+--> DONE
 *
 * Neighbouring segments that fit into one are a group: their survivors make one segment. Its files come into being as
 * .cleaned, synced; compact_swap renames them to .swap, which makes them valid as a whole, takes the old ones away,
 * and gives them their names. A start finishes or undoes what a crash leaves (log_load_dir.c), as Kafka's does.
 *
 * 1. Nothing of the log changes before compact_swap; until then giving up costs nothing.
 * 2. Every batch that is read was checked against its checksum; a bad one ends the compaction with its place.
 * 3. What `.swap` names is on the disk, and so are the new names before an old file is renamed.
 */
#ifndef STORAGE_COMPACT_H
#define STORAGE_COMPACT_H

#include "batch_scan.h"
#include "compact_filter.h"
#include "fmt.h"
#include "index_file.h"
#include "segment.h"

enum compact_phase { COMPACT_MAP, COMPACT_FILTER, COMPACT_SWAP, COMPACT_DONE };

struct compact_options {
	int64_t first_dirty; /* where the last one ended */
	int64_t round_end;   /* nothing at or above is touched: the base of a segment */
	int64_t now_ms;
	int64_t delete_retention_ms;
	int64_t segment_bytes;
	int64_t index_bytes;
	int64_t index_interval_bytes;
	size_t map_bytes_max;
	double map_load_factor;
	uint64_t seed;
};

/* Batches of one file, whole and in order. */
struct compact_reader {
	struct fs *fs;
	fs_file file;
	int64_t pos;   /* in the file, of the next batch */
	int64_t limit;
	struct batch_order order; /* the epoch is that of the batch before, in this file or those read before */
	uint8_t *buf;
	size_t cap, start, len; /* unread bytes lie at buf + start */
};

struct compact {
	/* in */
	const char *path; /* of the partition's directory; lent */
	struct compact_options options;
	struct segment_list segments;       /* copies: those below round_end, from the oldest */
	struct aborted_txns aborted;        /* copies: those that began below round_end, wherever their markers are */
	VEC(struct compact_producer) producers;
	/* how far it is */
	enum compact_phase phase;
	int64_t bytes_done, bytes_total; /* read and to be read, both walks */
	int64_t bytes_in, bytes_out;     /* of segments rewritten so far */
	int64_t compacted_to;            /* first offset that was not looked at; known after MAP */
	size_t group, group_end;         /* segments in hand: [group, group_end) */
	struct segment made;             /* in SWAP: what takes their place */
	struct aborted_txns made_aborted; /* of it */
	struct err_text text;            /* of an error */
	/* private */
	struct offset_map map;
	struct compact_filter filter;
	struct compact_txns txns;
	struct map producers_by_id;
	struct compact_reader reader;
	bool is_prepared, is_reading, is_writing, made_txn_index, swap_is_begun;
	size_t at; /* segment that is read */
	fs_file out;
	struct scratch out_bytes;
	int64_t unsynced_bytes; /* of the file that is written */
	int64_t bytes_since_index, last_index_ms, last_time_ms;
	VEC(struct index_entry) index;
	VEC(struct time_entry) times;
};

/* `segments`, `aborted` and `producers` are filled by the caller after this. */
void compact_init(struct compact *c, const char *path, const struct compact_options *options);
void compact_deinit(struct compact *c, struct fs *fs);
/* Goes on for about `bytes` of input, in MAP and FILTER. *ret_bytes: what was read and written. An error is final. */
enum err compact_step(struct compact *c, struct fs *fs, int64_t bytes, int64_t *ret_bytes) MUST_USE;
/* In SWAP: the group's segments give way on disk. ERR_IO and the like with *ret_is_begun: the directory is neither the
 * old nor the new; without: nothing has changed. */
enum err compact_swap(struct compact *c, struct fs *fs, bool *ret_is_begun) MUST_USE;
/* After a swap: the next group, or DONE. */
void compact_swapped(struct compact *c);
/* Removes what an unfinished compaction wrote; after a swap that was begun nothing: a start finishes it. */
void compact_abandon(struct compact *c, struct fs *fs);

#endif
