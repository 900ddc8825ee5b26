/* SPDX-License-Identifier: Apache-2.0 */
/* See check_history.h. */
#include "check_history.h"

#include <stdio.h>

#include "hash.h"

/* A partition of a run holds a few thousand records; an offset far beyond is an answer gone wrong. */
#define HISTORY_OFFSET_MAX 10000000

void history_init(struct history *h, struct world *w)
{
	*h = (struct history){.w = w};
}

void history_deinit(struct history *h)
{
	for (size_t i = 0; i < h->parts.n; i++) {
		vec_deinit(&h->parts.v[i]->entries);
		vec_deinit(&h->parts.v[i]->kept);
		vec_deinit(&h->parts.v[i]->cuts);
		mem_free(h->parts.v[i]);
	}
	for (size_t i = 0; i < h->writers.n; i++) {
		vec_deinit(&h->writers.v[i]->offsets);
		vec_deinit(&h->writers.v[i]->eras);
		vec_deinit(&h->writers.v[i]->acked);
		mem_free(h->writers.v[i]);
	}
	vec_deinit(&h->parts);
	vec_deinit(&h->writers);
}

struct hist_part *history_part(struct history *h, const char *topic, struct uuid topic_id, int32_t index)
{
	struct hist_part *part = MEM_NEW(struct hist_part);

	part->h = h;
	snprintf(part->topic, sizeof(part->topic), "%s", topic);
	part->topic_id = topic_id;
	part->era = h->w->era;
	part->index = index;
	vec_push(&h->parts, part);
	return part;
}

uint32_t history_writer(struct history *h, struct hist_part *part, bool is_idempotent)
{
	struct hist_writer *writer = MEM_NEW(struct hist_writer);

	writer->part = part;
	writer->is_idempotent = is_idempotent;
	vec_push(&h->writers, writer);
	return (uint32_t)(h->writers.n - 1);
}

size_t history_value(const struct history *h, uint32_t writer, uint32_t counter, uint8_t ret[HISTORY_VALUE_MAX])
{
	uint64_t x = hash_u64((uint64_t)writer << 32 | counter, h->w->seed);
	uint64_t most = (uint64_t)MIN(h->w->opt.value_len, INT64_C(HISTORY_VALUE_MAX - 12));
	size_t len = 12 + (size_t)(x % (most + 1));

	store_be32(ret, UINT32_C(0x6d6f6c64));
	store_be32(ret + 4, writer);
	store_be32(ret + 8, counter);
	for (size_t i = 12; i < len; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		ret[i] = (uint8_t)(x >> 56);
	}
	return len;
}

uint32_t history_sent(struct history *h, uint32_t writer, uint32_t n)
{
	struct hist_writer *wr = h->writers.v[writer];
	uint32_t first = (uint32_t)wr->offsets.n;

	for (uint32_t i = 0; i < n; i++) {
		vec_push(&wr->offsets, -1);
		vec_push(&wr->eras, wr->part->era);
		vec_push(&wr->acked, 0);
	}
	return first;
}

static void part_fail(struct hist_part *part, int64_t offset, const char *what)
{
	world_fail(part->h->w, "%s-%d offset %lld: %s", part->topic, part->index, (long long)offset, what);
}

static void forget(struct history *h, struct hist_entry *entry)
{
	if (entry->writer)
		h->writers.v[entry->writer - 1]->offsets.v[entry->counter] = -1;
	*entry = (struct hist_entry){0};
}

/* Remembers a bound; of bounds with the same eras only the strongest counts. */
static void bound_add(void *bounds, uint32_t era_from, uint32_t era_to, int64_t offset, bool is_least)
{
	VEC(struct hist_bound) *list = bounds;

	for (size_t i = 0; i < list->n; i++) {
		struct hist_bound *bound = &list->v[i];

		if (bound->era_from == era_from && bound->era_to == era_to) {
			bound->offset = is_least ? MIN(bound->offset, offset) : MAX(bound->offset, offset);
			return;
		}
	}
	vec_push(list, ((struct hist_bound){era_from, era_to, offset}));
}

/* The record last seen there in `seen_era` is not there in `era`. */
static void suffix_lost_at(struct hist_part *part, int64_t offset, uint32_t seen_era, uint32_t era)
{
	for (size_t i = 0; i < part->kept.n; i++) {
		const struct hist_bound *kept = &part->kept.v[i];

		if (kept->era_from <= seen_era && seen_era < kept->era_to && offset < kept->offset) {
			part_fail(part, offset,
				  "a record from before the power cut is gone, though later ones are there");
			return;
		}
	}
	bound_add(&part->cuts, seen_era, era, offset, true);
}

/* The record last seen there in `seen_era` is there in `era`. */
static void kept_at(struct hist_part *part, int64_t offset, uint32_t seen_era, uint32_t era)
{
	for (size_t i = 0; i < part->cuts.n; i++) {
		const struct hist_bound *cut = &part->cuts.v[i];

		if (seen_era <= cut->era_from && cut->era_to <= era && offset >= cut->offset) {
			part_fail(part, offset, "a record shows up again though the log was cut below it");
			return;
		}
	}
	bound_add(&part->kept, seen_era, era, offset, false);
}

/* The record is known at another offset. True when it may stand at `offset` all the same. */
static bool observe_moved(struct hist_part *part, struct hist_writer *wr, uint32_t era, uint32_t writer,
			  uint32_t counter, int64_t offset)
{
	int64_t before = wr->offsets.v[counter];
	struct hist_entry *entry;

	if (before < 0 || before == offset)
		return true;
	entry = &part->entries.v[before];
	if (entry->era == era) {
		char text[160];

		snprintf(text, sizeof(text), "record %u of writer %u is also at offset %lld (duplicate)", counter,
			 writer, (long long)before);
		part_fail(part, offset, text);
		return false;
	}
	if (entry->era > era) {
		suffix_lost_at(part, offset, era, entry->era);
		return false;
	}
	suffix_lost_at(part, before, entry->era, era);
	forget(part->h, entry);
	return true;
}

/* The same record was known here. */
static void observe_again(struct hist_part *part, struct hist_entry *entry, uint32_t era, int64_t offset)
{
	if (entry->era >= era)
		return;
	kept_at(part, offset, entry->era, era);
	entry->era = era;
}

/* Another record was known here. True when the new one takes its place. */
static bool observe_other(struct hist_part *part, struct hist_entry *entry, uint32_t era, uint32_t writer,
			  uint32_t counter, int64_t offset)
{
	if (entry->era == era) {
		char text[200];

		snprintf(text, sizeof(text), "holds record %u of writer %u and %s record %u of writer %u", counter,
			 writer, entry->is_acked ? "the acknowledged" : "the seen", entry->counter,
			 entry->writer - 1);
		part_fail(part, offset, text);
		return false;
	}
	suffix_lost_at(part, offset, MIN(entry->era, era), MAX(entry->era, era));
	if (entry->era > era)
		return false;
	forget(part->h, entry);
	return true;
}

/* The record (writer, counter) stood at `offset` in the era. */
static struct hist_entry *observe(struct history *h, uint32_t era, struct hist_part *part, uint32_t writer,
				  uint32_t counter, int64_t offset)
{
	struct hist_writer *wr = h->writers.v[writer];
	struct hist_entry *entry;

	if (offset < 0 || offset > HISTORY_OFFSET_MAX) {
		part_fail(part, offset, "impossible offset");
		return NULL;
	}
	if (wr->part != part) {
		part_fail(part, offset, "a record that was sent to another partition or topic");
		return NULL;
	}
	if (counter >= wr->offsets.n) {
		part_fail(part, offset, "a record that nobody sent");
		return NULL;
	}
	if (!observe_moved(part, wr, era, writer, counter, offset))
		return NULL;
	while ((int64_t)part->entries.n <= offset)
		vec_push(&part->entries, ((struct hist_entry){0}));
	entry = &part->entries.v[offset];
	if (entry->writer == writer + 1 && entry->counter == counter) {
		observe_again(part, entry, era, offset);
		return entry;
	}
	if (entry->writer && !observe_other(part, entry, era, writer, counter, offset))
		return NULL;
	*entry = (struct hist_entry){
		.writer = writer + 1, .counter = counter, .era = era, .at_ns = h->w->now_ns};
	wr->offsets.v[counter] = offset;
	return entry;
}

void history_acked(struct history *h, uint32_t era, uint32_t writer, uint32_t counter, uint32_t n, int64_t base_offset)
{
	struct hist_writer *wr = h->writers.v[writer];
	struct hist_part *part = wr->part;

	h->acked_n += n;
	part->acked_n += n;
	for (uint32_t i = 0; i < n; i++)
		wr->acked.v[counter + i] = era + 1;
	for (uint32_t i = 0; i < n && base_offset >= 0 && !part->is_gone; i++) {
		struct hist_entry *entry = observe(h, era, part, writer, counter + i, base_offset + i);

		if (entry)
			entry->is_acked = true;
	}
}

void history_read(struct history *h, uint32_t era, struct hist_part *part, const char *reader, int64_t offset,
		  int64_t expected, struct bytes value, int64_t high_watermark)
{
	uint8_t right[HISTORY_VALUE_MAX];
	uint32_t writer, counter;
	char text[200];
	size_t len;

	if (part->is_gone)
		return;
	part->read_n++;
	h->read_n++;
	if (offset != expected) {
		snprintf(text, sizeof(text), "reader %s expected offset %lld", reader, (long long)expected);
		part_fail(part, offset, text);
		return;
	}
	if (offset >= high_watermark) {
		snprintf(text, sizeof(text), "reader %s got it above the high watermark %lld", reader,
			 (long long)high_watermark);
		part_fail(part, offset, text);
		return;
	}
	if (value.len < 12 || load_be32(value.p) != UINT32_C(0x6d6f6c64) ||
	    load_be32(value.p + 4) >= h->writers.n) {
		part_fail(part, offset, "a value that nobody wrote");
		return;
	}
	writer = load_be32(value.p + 4);
	counter = load_be32(value.p + 8);
	len = history_value(h, writer, counter, right);
	if (len != value.len || memcmp(value.p, right, len) != 0) {
		part_fail(part, offset, "the value was changed");
		return;
	}
	(void)observe(h, era, part, writer, counter, offset);
}

void history_final(struct history *h, struct hist_part *part, int64_t offset)
{
	if (offset >= 0 && (size_t)offset < part->entries.n)
		part->entries.v[offset].is_final = true;
}

void history_read_again(struct history *h)
{
	for (size_t i = 0; i < h->parts.n; i++) {
		struct hist_part *part = h->parts.v[i];

		for (size_t k = 0; k < part->entries.n; k++)
			part->entries.v[k].is_final = false;
	}
}

void history_lossy_cut(struct history *h)
{
	h->w->era++;
	for (size_t i = 0; i < h->parts.n; i++)
		h->parts.v[i]->era = h->w->era;
}

void history_finish_part(struct history *h, struct hist_part *part, int64_t end_offset, int64_t asked_ns)
{
	for (size_t i = 0; i < part->entries.n && !part->is_gone; i++) {
		struct hist_entry *entry = &part->entries.v[i];

		if (!entry->writer || entry->is_final || entry->at_ns >= asked_ns)
			continue;
		if (entry->era != part->era) {
			suffix_lost_at(part, (int64_t)i, entry->era, part->era);
			if (h->w->has_failed)
				return;
			forget(h, entry);
			continue;
		}
		part_fail(part, (int64_t)i,
			  entry->is_acked ? "an acknowledged record is lost" : "a record that was read is lost");
		return;
	}
	if ((int64_t)part->entries.n < end_offset && !part->is_gone)
		part_fail(part, (int64_t)part->entries.n, "below the log's end, but nothing was read there");
}

void history_begins_late(struct history *h, uint32_t writer)
{
	h->writers.v[writer]->begins_late = true;
}

static void finish_writer(struct history *h, uint32_t writer)
{
	const struct hist_writer *wr = h->writers.v[writer];
	int64_t last = -1;
	bool gap = false;
	uint32_t gap_at = 0;
	char text[160];

	for (uint32_t i = 0; i < wr->offsets.n; i++) {
		int64_t offset = wr->offsets.v[i];

		if (offset < 0 && wr->acked.v[i] == wr->part->era + 1) {
			snprintf(text, sizeof(text), "acknowledged record %u of writer %u is lost", i, writer);
			part_fail(wr->part, -1, text);
			return;
		}
		if (!wr->is_idempotent)
			continue;
		if (offset < 0) {
			/* What was sent before a lossy cut may be missing for that reason. */
			bool is_allowed = wr->begins_late && last < 0;

			if (!gap && !is_allowed && wr->eras.v[i] == wr->part->era)
				gap = true, gap_at = i;
			continue;
		}
		if (gap) {
			snprintf(text, sizeof(text), "record %u of idempotent writer %u is there, its record %u is not",
				 i, writer, gap_at);
			part_fail(wr->part, offset, text);
			return;
		}
		if (offset <= last) {
			snprintf(text, sizeof(text), "record %u of idempotent writer %u stands before its record %u", i,
				 writer, i - 1);
			part_fail(wr->part, offset, text);
			return;
		}
		last = offset;
	}
}

void history_finish(struct history *h)
{
	for (size_t i = 0; i < h->writers.n && !h->w->has_failed; i++) {
		if (!h->writers.v[i]->part->is_gone)
			finish_writer(h, (uint32_t)i);
	}
}

int64_t history_known_ns(const struct hist_part *part, int64_t offset)
{
	const struct hist_entry *entry = (uint64_t)offset < part->entries.n ? &part->entries.v[offset] : NULL;

	/* What was known before a lossy cut may be gone, and another record may come to stand there at any time. */
	return entry && entry->writer && entry->era == part->era ? entry->at_ns : INT64_MAX;
}

int64_t history_end(const struct hist_part *part)
{
	return (int64_t)part->entries.n;
}
