/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log whose contents are known, of which a bit of one batch's header is changed, and comparing what is left of it
 * with what was there: segments of some 20 batches, an idempotent producer, a transactional one that aborts and
 * commits, three leader epochs, keys.
 */
#ifndef DAMAGE_H
#define DAMAGE_H

#include "log.h"
#include "storage_test.h"

#define BATCHES_N 60
#define FILES_MAX 40
#define EPOCH_NOW 8
#define PID_PLAIN 7
#define PID_TXN 9
#define TIME_OF(i) (INT64_C(1700000000000) + (i) * 100)

struct damage_batch {
	int64_t base, last, segment, pos;
	size_t len;
	uint8_t *bytes;
	int32_t epoch;
};

struct damage_file {
	char name[256];
	uint8_t *bytes;
	size_t len;
};

struct damage {
	struct storage_test t;
	struct part_log *log;
	struct damage_batch batches[BATCHES_N];
	struct damage_file files[FILES_MAX];
	size_t files_n;
	int64_t end;
	int victim;
	struct log_sink sink, *sink_before;
	bool has_told; /* something in the log names the damage */
	bool is_done;
	bool is_good; /* nothing was changed */
	int found_n;
	int32_t seq, txn_seq;
	uint64_t compacted; /* what the good log is after a compaction */
};

enum outcome { HARMLESS, NOTICED, SILENT };

/* Of a file in a directory of a log; name "": of the directory. */
void damage_path(const struct damage *m, const char *log, const char *name, char ret[600]);
/* The directories of which the name begins so. */
void damage_remove(const struct damage *m, const char *log);
/* The files as they were, but for one bit of the victim's header; bit -1: none. */
void damage_flip(struct damage *m, int at, int bit);
/* As a process that was killed leaves it: without what closing wrote. */
void damage_unclose(struct damage *m);
/* What the helper tells, after the storage was started again. */
void damage_listen(struct damage *m);
/* The good log, closed. */
void damage_make(struct damage *m);
void damage_free(struct damage *m);
/* The worse of two. */
enum outcome worse(enum outcome a, enum outcome b);
/* An epoch that the log does not know, between two that it does, passes: a directory may have lost what it knew of it.
 * Whoever asks where that epoch ends is told the end of the one before, which is not before the batch. p: n bytes. */
bool damage_is_between(const struct damage *m, int i, const uint8_t *p, size_t n);
/* One read against what was written, byte for byte. */
enum outcome damage_read(struct damage *m, int64_t offset, int64_t max_bytes);
/* Everything near the victim, and samples. */
enum outcome damage_read_all(struct damage *m, int64_t max_bytes);
/* Epochs, producers and aborted transactions that a start found, against the batches below the end it found. */
enum outcome damage_compare_state(struct damage *m);

#endif
