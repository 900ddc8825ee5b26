/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients sent, were told and saw, and what must follow. Each record carries who wrote it and the how-manieth it
 * is, so one look at a value tells where it belongs; the rest of its bytes follow from that and are compared.
 *
 * Found as soon as seen: an offset that holds two values; a value at two offsets; an offset acknowledged twice; a
 * changed, torn or never sent value; a record at or above the high watermark of its own response; a reader that goes
 * back, or jumps over a record. Found by history_finish, after everything was read once more: an acknowledged or seen
 * record that is gone; a gap or a wrong order within an idempotent session.
 *
 * Loss. A lossy cut (power cut under durability=page-cache) starts a new era of a node's partitions: of what was known
 * before, a suffix may be gone, no more. The place where the suffix begins is not known, but what is seen bounds it.
 * A record last seen in era a that shows up again in era b was never cut: whatever below it was seen from a on and
 * before b must be there (`kept`). Another record in era b at the place of one last seen in era a says that the log was
 * cut there: whatever from there on was last seen in a or before must not show up in b or later (`cuts`).
 */
#ifndef CHECK_HISTORY_H
#define CHECK_HISTORY_H

#include "sim_world.h"
#include "uuid.h"
#include "vec.h"

struct hist_entry {
	uint32_t writer; /* index + 1; 0: nothing known */
	uint32_t counter;
	uint32_t era;
	bool is_acked;
	bool is_final; /* seen by the last reading */
	int64_t at_ns; /* first known */
};

struct hist_bound {
	uint32_t era_from;
	uint32_t era_to;
	int64_t offset;
};

struct hist_part {
	struct history *h;
	char topic[64];
	struct uuid topic_id; /* zero where not known */
	int32_t index;
	int32_t leader_epoch; /* that the last reading was told in that start of the node; 0: none yet */
	int leader_start;
	bool is_gone; /* the topic is being deleted: nothing is demanded any more */
	uint32_t era;
	VEC(struct hist_bound) kept;
	VEC(struct hist_bound) cuts;
	int64_t acked_n;
	int64_t read_n;
	VEC(struct hist_entry) entries; /* by offset */
};

/* One producer session on one partition. */
struct hist_writer {
	struct hist_part *part;
	bool is_idempotent;
	bool begins_late; /* the first ones were refused, and then others taken, which is allowed of them */
	VEC(int64_t) offsets;  /* by counter; -1: not known */
	VEC(uint32_t) eras;    /* of the partition when it was sent */
	VEC(uint32_t) acked;   /* the era in which it was acknowledged, plus 1; 0: not */
};

struct history {
	struct world *w;
	VEC(struct hist_part *) parts;
	VEC(struct hist_writer *) writers;
	int64_t acked_n;
	int64_t read_n;
};

void history_init(struct history *h, struct world *w);
void history_deinit(struct history *h);
struct hist_part *history_part(struct history *h, const char *topic, struct uuid topic_id, int32_t index);
uint32_t history_writer(struct history *h, struct hist_part *part, bool is_idempotent);
/* The broker did not know the producer when it took the first batch: what comes before it is missing and may. */
void history_begins_late(struct history *h, uint32_t writer);

#define HISTORY_VALUE_MAX 8192
/* The value of a writer's record: at least 12 bytes, at most max_len + 12. Returns its length. */
size_t history_value(const struct history *h, uint32_t writer, uint32_t counter, uint8_t ret[HISTORY_VALUE_MAX]);

/* The next n counters of the writer are on their way; returns the first. */
uint32_t history_sent(struct history *h, uint32_t writer, uint32_t n);
/* base_offset -1: acknowledged, place unknown. era: of the connection that told, which may be older than the last cut:
 * what was on its way when the power went. */
void history_acked(struct history *h, uint32_t era, uint32_t writer, uint32_t counter, uint32_t n, int64_t base_offset);
/* A record as a reader got it. `expected`: the reader's position, which the record must have. */
void history_read(struct history *h, uint32_t era, struct hist_part *part, const char *reader, int64_t offset,
		  int64_t expected, struct bytes value, int64_t high_watermark);
/* During the last reading: remembers that the record is there. */
void history_final(struct history *h, struct hist_part *part, int64_t offset);
/* Everything has to be read once more. */
void history_read_again(struct history *h);
/* A suffix of every partition may be gone. */
void history_lossy_cut(struct history *h);
/* After the last reading of a partition, which ended at end_offset at asked_ns: what became known later is not asked
 * for. */
void history_finish_part(struct history *h, struct hist_part *part, int64_t end_offset, int64_t asked_ns);
void history_finish(struct history *h);
/* When the record at this offset became known; INT64_MAX: not yet, or not since the last lossy cut. */
int64_t history_known_ns(const struct hist_part *part, int64_t offset);
/* One more than the greatest offset known. */
int64_t history_end(const struct hist_part *part);

#endif
