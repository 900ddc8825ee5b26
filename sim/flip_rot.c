/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flips bits of the rotting topic's files, and hears what the node tells about damage.
 *
 * 1. Only batches that are durable in segments below the durable recovery point: what differs there was not torn.
 * 2. A base offset flips where nothing else of the segment does: its neighbours have to tell.
 * 3. At most one bit of a batch, none of its leader epoch, which no checksum covers and nothing else tells, and
 *    none of its last offset: a read that walks headers to its place passes over a batch that seems to end too early.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim_disk.h"
#include "workload_flip.h"

#define ROT_SEGMENTS_MAX 512
#define ROT_LENGTH_AT 8
#define ROT_EPOCH_AT 12
#define ROT_EPOCH_END 16
#define ROT_DELTA_AT 23
#define ROT_DELTA_END 27

struct rot_look {
	char dir[64]; /* of the partition, with the last slash */
	int64_t bases[ROT_SEGMENTS_MAX];
	int n;
};

static void rot_look_at(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct rot_look *look = ctx;
	size_t dir_len = strlen(look->dir), len = strlen(path);

	if (!is_dir && strncmp(path, look->dir, dir_len) == 0 && len == dir_len + 24 &&
	    strcmp(path + len - 4, ".log") == 0 && look->n < ROT_SEGMENTS_MAX)
		look->bases[look->n++] = strtoll(path + dir_len, NULL, 10);
}

/* The recovery point that a start after a power cut would read; -1: none. */
static int64_t rot_recovery_point(struct sim_disk *d, const char *log_dir)
{
	char path[128], text[4096];
	struct bytes content;
	const char *line;

	snprintf(path, sizeof(path), "%s/recovery-point-offset-checkpoint", log_dir);
	content = disk_peek_durable(d, path);
	snprintf(text, sizeof(text), "%.*s", (int)content.len, content.len ? (const char *)content.p : "");
	line = strstr(text, "\n" FLIP_TOPIC " 0 ");
	return line ? strtoll(line + strlen("\n" FLIP_TOPIC " 0 "), NULL, 10) : -1;
}

static bool rot_is_new(const struct wl_flip *f, int64_t offset)
{
	for (int i = 0; i < f->flips_n; i++) {
		if (offset >= f->flips[i].offset && offset < f->flips[i].end_offset)
			return false;
	}
	return true;
}

/* The batch around the place, in the segment as it was written. */
static bool rot_find_batch(const struct wl_flip *f, struct bytes log, struct flip *flip, size_t *ret_in_batch)
{
	uint8_t *copy = mem_alloc(log.len);
	struct batch_iter it = batch_iter_of((struct bytes){copy, log.len}, BATCH_CHECK_CRC);
	struct batch_info info;
	bool is_found = false;
	size_t pos = 0;

	memcpy(copy, log.p, log.len);
	for (int i = 0; i < f->flips_n; i++) {
		if (f->flips[i].segment_base == flip->segment_base)
			copy[f->flips[i].pos] ^= (uint8_t)(1 << f->flips[i].bit);
	}
	flip->reach_from = flip->segment_base;
	while (!is_found && batch_iter_next(&it, &info)) {
		if (flip->pos < (int64_t)(pos + info.size)) {
			*ret_in_batch = (size_t)flip->pos - pos;
			flip->offset = info.base_offset;
			flip->end_offset = info.last_offset + 1;
			is_found = true;
		} else {
			flip->reach_from = info.base_offset;
		}
		pos += info.size;
	}
	if (it.err)
		world_fail(f->wl->w, FLIP_TOPIC ": segment %lld has damage of its own", (long long)flip->segment_base);
	mem_free(copy);
	return is_found;
}

static void rot_one(struct wl_flip *f, const struct rot_look *look, int at)
{
	struct world *w = f->wl->w;
	struct sim_disk *d = world_node(w, f->wl->node)->disk;
	struct flip flip = {.segment_base = look->bases[at], .bit = (int)rng_below(&w->rng, 8)};
	size_t in_batch = 0;
	struct bytes log;
	char path[128];
	bool exists;

	snprintf(path, sizeof(path), "%s%020lld.log", look->dir, (long long)flip.segment_base);
	log = disk_peek(d, path, &exists);
	if (!exists || !log.len || disk_peek_durable(d, path).len != log.len)
		return;
	flip.pos = rng_between(&w->rng, 0, (int64_t)log.len - 1);
	if (!rot_find_batch(f, log, &flip, &in_batch) || !rot_is_new(f, flip.offset))
		return;
	/* Headers are small, and lead further. */
	if (world_chance(w, 1, 3)) {
		flip.pos -= (int64_t)in_batch;
		in_batch = (size_t)rng_below(&w->rng, BATCH_HEADER_LEN);
		flip.pos += (int64_t)in_batch;
	}
	if ((in_batch >= ROT_EPOCH_AT && in_batch < ROT_EPOCH_END) ||
	    (in_batch >= ROT_DELTA_AT && in_batch < ROT_DELTA_END))
		return;
	if (in_batch >= ROT_LENGTH_AT)
		flip.reach_from = flip.offset;
	flip.batch_pos = flip.pos - (int64_t)in_batch;
	for (int i = 0; i < f->flips_n; i++) {
		const struct flip *other = &f->flips[i];

		if (other->segment_base == flip.segment_base &&
		    (in_batch < ROT_LENGTH_AT || other->pos < other->batch_pos + ROT_LENGTH_AT))
			return;
	}
	flip.reach_offset = in_batch < BATCH_HEADER_LEN ? look->bases[at + 1] : flip.end_offset;
	flip.life = world_node(w, f->wl->node)->starts_n;
	for (int i = 0; i < f->flips_n; i++) {
		/* It may have been passed over already. */
		if (flip.offset >= f->flips[i].reach_from && flip.offset < f->flips[i].reach_offset)
			flip.is_told = true;
	}
	world_log(w, "flip", "file=%s position=%lld bit=%d batch=%lld-%lld at=%zu", path, (long long)flip.pos, flip.bit,
		  (long long)flip.offset, (long long)flip.end_offset - 1, in_batch);
	CHECK(disk_flip(d, path, flip.pos, flip.bit));
	f->flips[f->flips_n++] = flip;
}

void wl_flip_rot(struct wl_flip *f)
{
	struct world *w = f->wl->w;
	struct sim_disk *d = world_node(w, f->wl->node)->disk;

	for (int i = 0; i < w->opt.dirs; i++) {
		struct rot_look look = {.n = 0};
		int64_t synced_to = rot_recovery_point(d, sim_options_dir(i));
		int closed_n = 0;

		snprintf(look.dir, sizeof(look.dir), "%s/" FLIP_TOPIC "-0/", sim_options_dir(i));
		disk_walk(d, rot_look_at, &look);
		while (closed_n + 1 < look.n && look.bases[closed_n + 1] <= synced_to)
			closed_n++;
		f->synced_to = MAX(f->synced_to, synced_to);
		for (int64_t n = rng_between(&w->rng, 1, 3); n > 0 && closed_n > 0 && f->flips_n < FLIPS_MAX; n--)
			rot_one(f, &look, (int)rng_below(&w->rng, (uint64_t)closed_n));
	}
}

/* ---- what the node tells ---- */

static int64_t rot_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* A read that met damage knows the place, and of the offsets what it was asked for. */
static void rot_told(struct wl_flip *f, int64_t segment_base, int64_t pos, int64_t offset, int64_t end_offset)
{
	bool is_explained = false;

	for (int i = 0; i < f->flips_n; i++) {
		struct flip *flip = &f->flips[i];

		if (flip->segment_base != segment_base)
			continue;
		is_explained |= offset >= flip->reach_from && offset < flip->reach_offset;
		if (flip->batch_pos == pos || (flip->offset >= offset && flip->offset < end_offset))
			flip->is_told = true;
	}
	if (!is_explained)
		world_fail(f->wl->w, FLIP_TOPIC ": damage is told at offset %lld, and nothing flipped there",
			   (long long)offset);
}

void wl_flip_heard(struct world *w, void *ctx, const char *event, const char *text)
{
	struct workload *wl = ctx;
	bool is_scrub = strcmp(event, "scrub.damaged") == 0;
	const char *at;

	if (!is_scrub && strcmp(event, "log.not_served") != 0)
		return;
	at = strstr(text, "/" FLIP_TOPIC "-0/");
	if (!wl->flip || !at) {
		world_fail(w, "%s where nothing is damaged: %s", event, text);
		return;
	}
	rot_told(wl->flip, strtoll(at + strlen("/" FLIP_TOPIC "-0/"), NULL, 10), rot_number(text, " position="),
		 rot_number(text, is_scrub ? " offset=" : " from "),
		 is_scrub ? rot_number(text, " end_offset=") : rot_number(text, " to ") + 1);
}
