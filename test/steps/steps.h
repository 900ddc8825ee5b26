/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death and error at every single file operation of what a node does: one table of stories, one way to judge.
 *
 * A story prepares a node of the simulator, then does one thing (a start, a stop, a deletion...). The harness counts
 * the changing file operations of that thing in an undisturbed run. Then, for each of them and each kind of
 * disturbance, it does the same in a process forked from the prepared state: that operation kills the process, cuts the
 * power, or fails while the process goes on. The node starts again (with a second blow during that start, in pairs),
 * and is judged:
 *
 * 1. What was acknowledged is there, at its place; under durability=page-cache a power cut may take a suffix, but
 *    nothing below the recovery point that the disk has. Nothing is there twice, nothing that was never sent.
 * 2. Start and end are the same by ListOffsets, Fetch, OffsetForLeaderEpoch, and the checkpoint files of a stopped
 *    node; the start does not go back behind what was acknowledged, nor further than what was asked for.
 * 3. Topics are those that were made and not deleted; each partition has one directory, of the size of its files.
 * 4. The node takes records, the last batch of each producer again (as a repetition), and new topics.
 * 5. After a while nothing is left of deletions, compactions, moves and temporary files; every file is of a known kind,
 *    and agrees with the log.
 * 6. It stops clean, and the start after that finds nothing to repair, although the power was cut in between.
 *
 *      prepare --fork--> operate, struck at k --> [start, struck at j] --> start --> judge --> stop, cut
 *                                                                                         --> start --> judge
 */
#ifndef STEPS_H
#define STEPS_H

#include "scenario.h"
#include "sim_client.h"
#include "uuid.h"
#include "vec.h"

#define STEPS_PARTS_MAX 8
#define STEPS_KEYS_N 3
#define STEPS_GO_ON_MS 400 /* after a start, or an error: what was put off comes */

enum steps_kind {
	STEPS_KILL,      /* the process */
	STEPS_POWER,     /* the machine; what is left is drawn */
	STEPS_LOST,      /* ... of what was not synced nothing is left */
	STEPS_NAMES,     /* ... the names */
	STEPS_BYTES,     /* ... the bytes */
	STEPS_TORN,      /* ... all, but half of each last write */
	STEPS_ZEROS,     /* ... names and sizes, zeros for bytes */
	STEPS_EIO,       /* one operation fails; a clean stop if it still runs */
	STEPS_EIO_POWER, /* ... and what was not synced is lost later */
	STEPS_FULL,      /* one operation fails for want of space; a clean stop */
	STEPS_FULL_LONG, /* so do all writes from it on, until there is room again; a clean stop */
	STEPS_KINDS_N
};

struct steps_record { /* by its number in the partition */
	int64_t offset; /* -1: not acknowledged */
	uint8_t key;
	bool is_seen;
	bool is_visible; /* to readers of committed records */
	enum { STEPS_PLAIN, STEPS_UNDECIDED, STEPS_ABORTED } txn; /* PLAIN: committed, or of no transaction */
};

/* Where a partition's topic is, as far as its clients know. */
enum steps_topic { STEPS_TOPIC_NONE, STEPS_TOPIC_ASKED, STEPS_TOPIC_THERE, STEPS_TOPIC_LEAVING, STEPS_TOPIC_GONE };

struct steps_part {
	char topic[32];
	struct uuid id; /* zero: not told yet */
	int32_t index;
	enum steps_topic is;
	bool is_compacted;
	VEC(struct steps_record) records;
	int64_t start_least; /* acknowledged: not lower than that */
	int64_t start_most;  /* asked for, or allowed: not higher */
	int64_t floor;       /* what a power cut may not take */
	int64_t start, end;  /* as read */
	int64_t producer_id;
	int32_t sequence_next;
	uint32_t batch_first, batch_n; /* the last batch, by number of its records; batch_n 0: none */
	bool is_batch_acked;
	int64_t batch_offset;
	bool is_batch_of_txn;
};

struct steps_story;

struct steps {
	const struct steps_story *story;
	struct world *w;
	char config[2048];
	struct steps_part parts[STEPS_PARTS_MAX];
	int parts_n;
	struct sim_conn conn;
	bool is_lossy; /* a power cut may have taken a suffix */
	enum disk_cut cut_stopped; /* how the power goes after the clean stop */
	bool is_strict; /* lines of the log that tell of a repair are failures */
	uint32_t batches_n; /* for the names of new topics */
	int64_t txn_producer_id;
	int16_t txn_epoch;
	/* Told to who waits for the process. */
	uint64_t changes;       /* of the operation */
	uint64_t start_changes; /* of the first start after the death */
	char struck[160];
};

struct steps_story {
	const char *name;
	const char *config;  /* lines of server.properties, or NULL */
	const char *options; /* "name=value" of sim_swarm.h, or NULL */
	void (*prepare)(struct steps *s);
	/* Goes on as well as it can when something fails in the middle. */
	void (*operate)(struct steps *s);
	/* After an undisturbed run: did it happen what the story is about? NULL: nothing to ask. */
	bool (*has_happened)(struct steps *s);
	bool synced_only; /* durability; else both are run */
};

extern const struct steps_story steps_stories[];
extern const int steps_stories_n;

/* ---- a client that waits: steps_client.c, steps_admin.c ---- */

#define STEPS_TRIES 60
#define STEPS_PAUSE_MS 50

/* Up and connected; false when the node went down. */
bool steps_connect(struct steps *s);
void steps_disconnect(struct steps *s);
/* A request, waited for; take (may be NULL) sees the answer. An error of the connection. */
enum err steps_call(struct steps *s, int16_t api, const void *body, void (*take)(void *ctx, const void *response),
		    void *ctx);
/* The same, again while the answer is an error that passes; `told` is where take puts it. */
enum err steps_ask(struct steps *s, int16_t api, const void *body, void (*take)(void *ctx, const void *response),
		   void *ctx, const enum err *told);
/* The timestamp of a record, by its number. */
int64_t steps_time_ms(const struct steps *s, int64_t number);
/* Makes a topic, with one partition for each of the parts added. config: "name=value,..." or NULL. */
struct steps_part *steps_create(struct steps *s, const char *topic, int32_t partitions, const char *config);
void steps_delete_topic(struct steps *s, const char *topic);
/* A batch of n records, padded to about `len` bytes each, of a producer with sequences; part of the transaction that is
 * open if `in_txn`. */
enum err steps_produce(struct steps *s, struct steps_part *part, uint32_t n, int len);
enum err steps_produce_txn(struct steps *s, struct steps_part *part, uint32_t n);
void steps_txn_begin(struct steps *s);
void steps_txn_end(struct steps *s, struct steps_part *part, uint32_t first, bool commit);
/* The last batch again. */
enum err steps_produce_again(struct steps *s, struct steps_part *part);
enum err steps_delete_records(struct steps *s, struct steps_part *part, int64_t offset);
enum err steps_alter(struct steps *s, const char *topic, const char *name, const char *value);
enum err steps_move(struct steps *s, const struct steps_part *part, const char *dir);
/* ListOffsets; -1: it failed. */
int64_t steps_offset(struct steps *s, const struct steps_part *part, int64_t timestamp, int8_t isolation);

/* ---- judging: steps_judge.c, steps_files.c ---- */

/* Reads everything. */
void steps_read(struct steps *s);
/* The node is off, after a death: what the disk says of recovery points. */
void steps_note_floors(struct steps *s);
/* The whole end of a story, from a node that is off. */
void steps_judge(struct steps *s);
/* The node stopped clean. */
void steps_check_stopped(struct steps *s);
/* Is there a file or directory whose path holds `text`? */
bool steps_has_path(struct steps *s, const char *text);
/* The sum of a partition's .log files in all directories that bear its name; *ret_dirs_n: how many. */
int64_t steps_log_bytes(struct steps *s, const struct steps_part *part, int *ret_dirs_n);

/* ---- running: steps_run.c ---- */

struct steps_options {
	bool lists;    /* only names */
	bool all;      /* every kind at every operation, every pair; else some, evenly spread */
	const char *only; /* a story, or what its name begins with; NULL: all */
	int synced;    /* -1: both ways */
	int kind;      /* -1: all */
	uint64_t at;   /* 0: every operation */
	int kind_again; /* with at_again: in the start after it */
	uint64_t at_again;
	bool trace;
	int jobs_n;
};

/* How many runs failed. */
int steps_run_all(const struct steps_options *options);
const char *steps_kind_name(int kind);

#endif
