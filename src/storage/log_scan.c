/* SPDX-License-Identifier: Apache-2.0 */
/* Sequential reading of a log directory for helpers and offline tools, see part_log.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "batch_scan.h"
#include "mem.h"
#include "part_log.h"
#include "segment.h"

struct log_scan_names {
	VEC(int64_t) bases;
};

static bool log_scan_name(void *ctx, const char *name, enum fs_kind kind)
{
	struct log_scan_names *names = ctx;
	struct str suffix;
	int64_t base;

	if (kind == FS_KIND_FILE && segment_parse_name(str_of(name), &base, &suffix) &&
	    str_eq_c(suffix, ".log"))
		vec_push(&names->bases, base);
	return true;
}

struct log_scan_state {
	struct fs *fs;
	const char *dir;
	int64_t offset;
	log_scan_fn *fn;
	void *ctx;
	bool is_over;
	struct err_text *text;
	struct batch_order order;
};

static enum err log_scan_batches(struct log_scan_state *state, struct batch_scan *scan, int64_t base)
{
	struct batch_info info;
	int64_t pos;
	uint8_t *p;

	while (!state->is_over && batch_scan_next(scan, &info, &pos)) {
		enum err err;

		if (!batch_order_take(&state->order, &info))
			return err_text_set(state->text, ERR_CORRUPT_FILE,
					    "%s/%020" PRId64 ".log: the batch at position %" PRId64 ", of offset %"
					    PRId64 " and epoch %" PRId32 ", is not of this place", state->dir, base,
					    pos, info.base_offset, info.leader_epoch);
		if (info.last_offset < state->offset)
			continue;
		err = batch_scan_load(scan, pos, &info, &p);
		if (err)
			return err_text_set(state->text, err,
					    "%s/%020" PRId64 ".log: reading %zu bytes at %" PRId64
					    " failed", state->dir, base, info.size, pos);
		state->is_over = !state->fn(state->ctx, &info, info.bytes);
		mem_free(p);
	}
	if (scan->err)
		return err_text_set(state->text, scan->err,
				    "%s/%020" PRId64 ".log: reading at %" PRId64 " failed", state->dir,
				    base, scan->pos);
	if (scan->is_bad)
		return err_text_set(state->text, ERR_CORRUPT_FILE,
				    "%s/%020" PRId64 ".log: the batch at position %" PRId64
				    " is damaged or cut", state->dir, base, scan->pos);
	return ERR_NONE;
}

/* `end`: where the next one begins. */
static enum err log_scan_segment(struct log_scan_state *state, int64_t base, int64_t end)
{
	struct segment segment = SEGMENT_INIT(base);
	struct segment_hit hit;
	struct batch_scan scan;
	fs_file file;
	enum err err = segment_open_file(state->fs, state->dir, base, ".log", FS_READ, &file);

	if (!err)
		err = state->fs->ops->file_size(state->fs, file, &segment.size);
	if (err)
		return err_text_set(state->text, err, "%s/%020" PRId64 ".log cannot be opened", state->dir,
				    base);
	segment.index_n = UINT32_MAX;
	hit.pos = 0;
	/* Only a way to begin further behind; what it does not find, the walk does. */
	if (state->offset > base &&
	    segment_find(state->fs, state->dir, &segment, file, state->offset, segment.size, &hit))
		hit.pos = 0;
	state->order.next_offset = base;
	state->order.end_offset = end;
	batch_scan_init(&scan, state->fs, file, hit.pos, segment.size, true);
	err = log_scan_batches(state, &scan, base);
	batch_scan_deinit(&scan);
	fs_close(state->fs, file);
	return err;
}

static int base_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

enum err log_scan(struct fs *fs, const char *dir, int64_t offset, log_scan_fn *fn, void *ctx,
		  struct err_text *text)
{
	struct log_scan_state state = {.fs = fs, .dir = dir, .offset = offset, .fn = fn, .ctx = ctx,
				       .text = text, .order.leader_epoch = NO_LEADER_EPOCH};
	struct log_scan_names names = {0};
	enum err err = fs->ops->list(fs, dir, log_scan_name, &names);

	if (err)
		return err_text_set(text, err, "%s cannot be listed", dir);
	if (names.bases.n)
		qsort(names.bases.v, names.bases.n, sizeof(int64_t), base_cmp);
	for (size_t i = 0; !err && !state.is_over && i < names.bases.n; i++) {
		if (i + 1 < names.bases.n && names.bases.v[i + 1] <= offset)
			continue;
		err = log_scan_segment(&state, names.bases.v[i],
				       i + 1 < names.bases.n ? names.bases.v[i + 1] : INT64_MAX);
	}
	vec_deinit(&names.bases);
	return err;
}
