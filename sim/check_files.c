/* SPDX-License-Identifier: Apache-2.0 */
/* See check_files.h. The formats are Kafka's; numbers are read where they lie. */
#include "check_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "crc32c.h"

#define FILE_BATCH_HEADER 61
#define FILE_BATCH_PREFIX 12

struct files_ctx {
	struct sim_disk *d;
	struct world *w;
	char dir[FS_PATH_MAX]; /* of the segment before */
	int64_t next_offset;   /* after the segment before, in the same directory */
};

struct seen_batch {
	int64_t base;
	int64_t last;
	int64_t max_timestamp;
	size_t pos;
};

struct segment {
	const char *path; /* without the ending */
	int64_t base;
	VEC(struct seen_batch) batches;
};

static void read_batches(struct files_ctx *c, struct segment *s, struct bytes log)
{
	int64_t next = s->base;
	size_t pos = 0;

	while (pos < log.len && !c->w->has_failed) {
		const uint8_t *p = log.p + pos;
		size_t left = log.len - pos;
		struct seen_batch batch;
		size_t len;

		if (left < FILE_BATCH_HEADER || (len = load_be32(p + 8) + (size_t)FILE_BATCH_PREFIX) > left ||
		    len < FILE_BATCH_HEADER || p[16] != 2) {
			world_fail(c->w, "%s.log: no whole batch at %zu of %zu", s->path, pos, log.len);
			return;
		}
		if (crc32c(0, p + 21, len - 21) != load_be32(p + 17)) {
			world_fail(c->w, "%s.log: wrong checksum at %zu", s->path, pos);
			return;
		}
		batch = (struct seen_batch){
			.base = (int64_t)load_be64(p),
			.last = (int64_t)load_be64(p) + (int32_t)load_be32(p + 23),
			.max_timestamp = (int64_t)load_be64(p + 35),
			.pos = pos,
		};
		if (batch.base < next) {
			world_fail(c->w, "%s.log: offset %lld at %zu, expected %lld or more", s->path,
				   (long long)batch.base, pos, (long long)next);
			return;
		}
		next = batch.last + 1;
		vec_push(&s->batches, batch);
		pos += len;
	}
	c->next_offset = next;
}

static const struct seen_batch *batch_at(const struct segment *s, size_t pos)
{
	for (size_t i = 0; i < s->batches.n; i++) {
		if (s->batches.v[i].pos == pos)
			return &s->batches.v[i];
	}
	return NULL;
}

static const struct seen_batch *batch_of_offset(const struct segment *s, int64_t offset)
{
	for (size_t i = 0; i < s->batches.n; i++) {
		if (s->batches.v[i].base <= offset && offset <= s->batches.v[i].last)
			return &s->batches.v[i];
	}
	return NULL;
}

static struct bytes segment_file(struct files_ctx *c, const struct segment *s, const char *ending)
{
	char path[FS_PATH_MAX];
	bool exists;

	snprintf(path, sizeof(path), "%s.%s", s->path, ending);
	return disk_peek(c->d, path, &exists);
}

static void check_index(struct files_ctx *c, const struct segment *s)
{
	struct bytes index = segment_file(c, s, "index");
	int64_t before = -1;

	if (index.len % 8)
		world_fail(c->w, "%s.index: %zu bytes", s->path, index.len);
	for (size_t at = 0; at + 8 <= index.len && !c->w->has_failed; at += 8) {
		int64_t offset = s->base + load_be32(index.p + at);
		size_t pos = load_be32(index.p + at + 4);
		const struct seen_batch *batch = batch_at(s, pos);

		if (!batch || batch->last != offset)
			world_fail(c->w, "%s.index: entry %zu says that offset %lld is at %zu, where %s", s->path,
				   at / 8, (long long)offset, pos,
				   batch ? "another batch begins" : "no batch begins");
		if (offset <= before)
			world_fail(c->w, "%s.index: offset %lld after %lld", s->path, (long long)offset,
				   (long long)before);
		before = offset;
	}
}

static void check_timeindex(struct files_ctx *c, const struct segment *s)
{
	struct bytes index = segment_file(c, s, "timeindex");
	int64_t before = -1;

	if (index.len % 12)
		world_fail(c->w, "%s.timeindex: %zu bytes", s->path, index.len);
	for (size_t at = 0; at + 12 <= index.len && !c->w->has_failed; at += 12) {
		int64_t timestamp = (int64_t)load_be64(index.p + at);
		int64_t offset = s->base + load_be32(index.p + at + 8);
		const struct seen_batch *batch = batch_of_offset(s, offset);

		if (!batch || batch->max_timestamp != timestamp)
			world_fail(c->w, "%s.timeindex: entry %zu says that %lld is at offset %lld, which %s", s->path,
				   at / 12, (long long)timestamp, (long long)offset,
				   batch ? "has another time" : "is not there");
		if (timestamp <= before)
			world_fail(c->w, "%s.timeindex: time %lld after %lld", s->path, (long long)timestamp,
				   (long long)before);
		before = timestamp;
	}
}

/* Compaction leaves gaps between segments. */
static bool is_compacted(const char *path)
{
	return strstr(path, "/compacted-") || strstr(path, "/__consumer_offsets-") ||
	       strstr(path, "/__transaction_state-");
}

static void look(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct files_ctx *c = ctx;
	size_t len = strlen(path);
	struct segment s = {0};
	char stem[FS_PATH_MAX];
	const char *name;

	if (is_dir || len < 25 || strcmp(path + len - 4, ".log") != 0 || c->w->has_failed)
		return;
	snprintf(stem, sizeof(stem), "%.*s", (int)(len - 4), path);
	name = strrchr(stem, '/') + 1;
	/* Bits of the first were flipped on purpose; nobody opened what was put aside: it lies as the last power cut
	 * left it. */
	if (strstr(path, "/flipped-") || strlen(name) != 20 || strspn(name, "0123456789") != 20 ||
	    strstr(path, "-delete/") || strstr(path, "-stray/"))
		return;
	s.path = stem;
	s.base = strtoll(name, NULL, 10);
	if (strncmp(c->dir, path, (size_t)(name - stem)) != 0 || c->dir[name - stem]) {
		snprintf(c->dir, sizeof(c->dir), "%.*s", (int)(name - stem), path);
	} else if (is_compacted(path) ? s.base < c->next_offset : s.base != c->next_offset) {
		world_fail(c->w, "%s: the segment before ends at %lld", path, (long long)c->next_offset);
		return;
	}
	read_batches(c, &s, content);
	check_index(c, &s);
	check_timeindex(c, &s);
	vec_deinit(&s.batches);
}

void check_files(struct sim_disk *d, struct history *h)
{
	struct files_ctx c = {.d = d, .w = h->w};

	disk_walk(d, look, &c);
}
