/* SPDX-License-Identifier: Apache-2.0 */
/* See compact.h. */
#include "compact.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "compact_reader.h"
#include "mem.h"

#define OUT_FLUSH_LEN ((size_t)256 << 10)
#define OUT_SYNC_LEN MIB(16)
#define OUT_KEEP ((size_t)4 << 20)

static const char *const compact_suffixes[] = {".index", ".timeindex", ".txnindex", ".log"};

void compact_init(struct compact *c, const char *path, const struct compact_options *options)
{
	*c = (struct compact){.path = path, .options = *options, .out = FS_FILE_NONE};
	offset_map_init(&c->map, options->map_bytes_max, options->map_load_factor, options->seed);
	map_init(&c->producers_by_id, MAP_U64, options->seed);
	compact_reader_init(&c->reader);
	compact_txns_init(&c->txns, &c->aborted, options->seed);
	c->compacted_to = options->first_dirty;
	c->filter.map = &c->map;
	c->filter.map_end = INT64_MAX;
	c->filter.round_end = options->round_end;
	c->filter.now_ms = options->now_ms;
	c->filter.delete_retention_ms = options->delete_retention_ms;
	c->filter.producers = &c->producers_by_id;
	c->filter.txns = &c->txns;
}

void compact_deinit(struct compact *c, struct fs *fs)
{
	compact_reader_close(&c->reader);
	compact_reader_deinit(&c->reader);
	if (c->out != FS_FILE_NONE)
		fs_close(fs, c->out);
	compact_filter_deinit(&c->filter);
	compact_txns_deinit(&c->txns);
	offset_map_deinit(&c->map);
	map_deinit(&c->producers_by_id);
	scratch_deinit(&c->out_bytes);
	vec_deinit(&c->aborted.list);
	vec_deinit(&c->made_aborted.list);
	vec_deinit(&c->segments.list);
	vec_deinit(&c->producers);
	vec_deinit(&c->index);
	vec_deinit(&c->times);
}

/* ---- what is known before anything is read ---- */

static int aborted_cmp(const void *a, const void *b)
{
	const struct aborted_txn *x = a, *y = b;

	return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

static void compact_prepare(struct compact *c)
{
	c->is_prepared = true;
	for (size_t i = 0; i < c->producers.n; i++)
		map_put_u64(&c->producers_by_id, (uint64_t)c->producers.v[i].producer_id, &c->producers.v[i]);
	if (c->aborted.list.n)
		qsort(c->aborted.list.v, c->aborted.list.n, sizeof(struct aborted_txn), aborted_cmp);
	while (c->at < c->segments.list.n && c->segments.list.v[c->at].next_offset <= c->options.first_dirty)
		c->at++;
	for (size_t i = 0; i < c->segments.list.n; i++)
		c->bytes_total += c->segments.list.v[i].size * (i < c->at ? 1 : 2);
	compact_txns_skip(&c->txns, c->options.first_dirty);
}

static enum err compact_bad_batch(struct compact *c, enum err err, const struct batch_info *batch)
{
	int64_t base = c->segments.list.v[c->at].base;

	if (err == ERR_IO)
		return err_text_set(&c->text, err, "%s/%020" PRId64 ".log: reading at %" PRId64 " failed",
				    c->path, base, c->reader.pos);
	if (batch)
		return err_text_set(&c->text, ERR_CORRUPT_FILE,
				    "%s/%020" PRId64 ".log: the records of the batch at position %" PRId64
				    ", offset %" PRId64 ", cannot be read (%s)",
				    c->path, base, c->reader.pos - (int64_t)batch->size, batch->base_offset,
				    err_name(err));
	return err_text_set(&c->text, err, "%s/%020" PRId64 ".log: the batch at position %" PRId64 " is damaged or cut",
			    c->path, base, c->reader.pos);
}

static enum err compact_open_segment(struct compact *c, struct fs *fs)
{
	const struct segment *segment = &c->segments.list.v[c->at];
	enum err err = compact_reader_open(&c->reader, fs, c->path, segment);

	c->is_reading = !err;
	return err ? err_text_set(&c->text, err, "%s/%020" PRId64 ".log cannot be opened", c->path,
				 segment->base) : err;
}

static void compact_close_segment(struct compact *c)
{
	compact_reader_close(&c->reader);
	c->is_reading = false;
	c->at++;
}

/* ---- MAP ---- */

static enum err compact_begin_filter(struct compact *c, struct fs *fs);

/* compacted_to is behind the last batch whose keys are all in the map. */
static enum err compact_map_step(struct compact *c, struct fs *fs, int64_t *ret_bytes)
{
	struct batch_info batch;
	bool is_full = false;
	enum err err = ERR_NONE;

	if (c->at >= c->segments.list.n)
		return compact_begin_filter(c, fs);
	if (!c->is_reading)
		err = compact_open_segment(c, fs);
	if (err)
		return err;
	err = compact_reader_next(&c->reader, &batch);
	if (err == ERR_NOT_FOUND) {
		c->compacted_to = MAX(c->compacted_to, c->segments.list.v[c->at].next_offset);
		compact_close_segment(c);
		return ERR_NONE;
	}
	if (err)
		return compact_bad_batch(c, err, NULL);
	*ret_bytes += (int64_t)batch.size;
	c->bytes_done += (int64_t)batch.size;
	if (batch.last_offset < c->options.first_dirty)
		return ERR_NONE;
	err = compact_filter_map(&c->filter, &c->map, &batch, c->options.first_dirty, &is_full);
	if (err)
		return compact_bad_batch(c, err, &batch);
	if (is_full && c->compacted_to == c->options.first_dirty)
		return err_text_set(&c->text, ERR_TOO_LARGE,
				    "%s: the keys of one batch do not fit into the map of keys. Raise "
				    "log.cleaner.dedupe.buffer.size, or lower log.cleaner.threads", c->path);
	if (is_full) {
		compact_reader_close(&c->reader);
		c->is_reading = false;
		return compact_begin_filter(c, fs);
	}
	c->compacted_to = batch.last_offset + 1;
	return ERR_NONE;
}

/* ---- FILTER ---- */

static uint64_t compact_index_len(const struct segment *segment)
{
	return (uint64_t)segment->index_n * INDEX_ENTRY_LEN;
}

/* Segments from `group` on whose files together are within the limits of one. */
static void compact_choose_group(struct compact *c)
{
	const struct segment *first = &c->segments.list.v[c->group];
	int64_t size = first->size, base = first->base;
	uint64_t index_len = compact_index_len(first), time_len = (uint64_t)first->time_index_n * TIME_ENTRY_LEN;
	size_t end = c->group + 1;

	while (end < c->segments.list.n) {
		const struct segment *segment = &c->segments.list.v[end];

		index_len += compact_index_len(segment);
		time_len += (uint64_t)segment->time_index_n * TIME_ENTRY_LEN;
		size += segment->size;
		if (size > MIN(c->options.segment_bytes, (int64_t)INT32_MAX) || segment->base >= c->compacted_to ||
		    index_len > (uint64_t)c->options.index_bytes || time_len > (uint64_t)c->options.index_bytes ||
		    segment->next_offset - 1 - base > INT32_MAX)
			break;
		end++;
	}
	c->group_end = end;
}

static enum err compact_path(const struct compact *c, const char *suffix, const char *more, char ret[FS_PATH_MAX + 16])
{
	char path[FS_PATH_MAX];

	if (!segment_path(path, c->path, c->segments.list.v[c->group].base, suffix))
		return ERR_TOO_LARGE;
	snprintf(ret, FS_PATH_MAX + 16, "%s%s", path, more);
	return ERR_NONE;
}

static enum err compact_create(struct compact *c, struct fs *fs, const char *suffix, fs_file *ret)
{
	char path[FS_PATH_MAX + 16];
	enum err err = compact_path(c, suffix, ".cleaned", path);

	if (!err)
		err = fs_open(fs, path, FS_WRITE | FS_CREATE | FS_TRUNCATE, ret);
	return err ? err_text_set(&c->text, err, "%s cannot be written", path) : ERR_NONE;
}

/* Begins the next group's segment, or ends. */
static enum err compact_begin_group(struct compact *c, struct fs *fs)
{
	struct segment *first;

	if (c->group >= c->segments.list.n || c->segments.list.v[c->group].base >= c->compacted_to) {
		c->phase = COMPACT_DONE;
		c->bytes_done = c->bytes_total;
		return ERR_NONE;
	}
	compact_choose_group(c);
	first = &c->segments.list.v[c->group];
	c->at = c->group;
	c->made = SEGMENT_INIT(first->base);
	c->made.next_offset = c->segments.list.v[c->group_end - 1].next_offset;
	c->made.mtime_ms = c->segments.list.v[c->group_end - 1].mtime_ms;
	c->bytes_since_index = 0;
	c->last_index_ms = -1;
	c->index.n = c->times.n = 0;
	c->out_bytes.len = 0;
	c->made_txn_index = false;
	c->unsynced_bytes = 0;
	c->is_writing = true;
	return compact_create(c, fs, ".log", &c->out);
}

static enum err compact_begin_filter(struct compact *c, struct fs *fs)
{
	c->phase = COMPACT_FILTER;
	c->filter.map_end = c->compacted_to;
	c->at = c->group = 0;
	c->reader.order.leader_epoch = NO_LEADER_EPOCH;
	compact_txns_deinit(&c->txns);
	compact_txns_init(&c->txns, &c->aborted, c->options.seed);
	if (c->segments.list.n)
		compact_txns_skip(&c->txns, c->segments.list.v[0].base);
	return compact_begin_group(c, fs);
}

static enum err compact_flush(struct compact *c, struct fs *fs, int64_t *ret_bytes)
{
	size_t len = c->out_bytes.len;
	int64_t pos = c->made.size - (int64_t)len;
	enum err err = len ? fs_pwrite_all(fs, c->out, c->out_bytes.p, len, pos) : ERR_NONE;

	*ret_bytes += (int64_t)len;
	c->unsynced_bytes += (int64_t)len;
	/* What waits for the disk stays little: the system holds every writer, also of other logs, when it is much. */
	if (!err && c->unsynced_bytes >= OUT_SYNC_LEN) {
		c->unsynced_bytes = 0;
		err = fs_sync(fs, c->out);
	}
	scratch_trim(&c->out_bytes, OUT_KEEP);
	return err ? err_text_set(&c->text, err, "%s: the compacted segment cannot be written", c->path) : ERR_NONE;
}

/* What appending does to the indexes, see log_tail.c. */
static void compact_count(struct compact *c, const struct batch_info *batch, int64_t pos)
{
	struct segment *made = &c->made;

	if (made->size == 0)
		made->first_timestamp_ms = batch->max_timestamp;
	/* The time that an emptied batch still bears is of a record that is gone. */
	if (batch->records_n != 0 && batch->max_timestamp > made->max_timestamp_ms) {
		made->max_timestamp_ms = batch->max_timestamp;
		made->max_timestamp_offset = batch->last_offset;
	}
	if (c->bytes_since_index > c->options.index_interval_bytes) {
		struct index_entry entry = {batch->last_offset, pos};
		struct time_entry time = {made->max_timestamp_ms, made->max_timestamp_offset};

		vec_push(&c->index, entry);
		if (time.timestamp_ms > c->last_index_ms) {
			vec_push(&c->times, time);
			c->last_index_ms = time.timestamp_ms;
		}
		c->bytes_since_index = 0;
	}
	c->bytes_since_index += (int64_t)batch->size;
	made->size += (int64_t)batch->size;
}

static enum err compact_filter_one(struct compact *c, const struct batch_info *batch)
{
	size_t before = c->out_bytes.len;
	struct batch_info kept;
	enum err err = compact_filter_batch(&c->filter, batch, &c->out_bytes);

	if (err)
		return compact_bad_batch(c, err, batch);
	if (c->out_bytes.len == before)
		return ERR_NONE;
	err = batch_parse((struct bytes){c->out_bytes.p + before, c->out_bytes.len - before}, &kept);
	CHECK(!err && kept.size == c->out_bytes.len - before);
	compact_count(c, &kept, c->made.size);
	/* Packed anew, records may take more than they did. */
	if (c->made.size > INT32_MAX)
		return err_text_set(&c->text, ERR_TOO_LARGE, "%s: a compacted segment would be above 2 GB", c->path);
	return ERR_NONE;
}

/* ---- the other files of the new segment ---- */

/* As old as what it was made of: retention goes by it where records bear no time, Kafka's too. */
static enum err compact_date(const struct compact *c, struct fs *fs, fs_file file)
{
	enum err err = fs->ops->set_mtime(fs, file, c->made.mtime_ms);

	/* Where that cannot be said, a compaction is not to fail. */
	return err == ERR_ACCESS || err == ERR_NOT_SUPPORTED ? ERR_NONE : err;
}

static enum err compact_write_small(struct compact *c, struct fs *fs, const char *suffix, const uint8_t *p, size_t len)
{
	fs_file file;
	enum err err = compact_create(c, fs, suffix, &file);

	if (err)
		return err;
	if (len)
		err = fs_pwrite_all(fs, file, p, len, 0);
	if (!err)
		err = compact_date(c, fs, file);
	if (!err)
		err = fs_sync(fs, file);
	fs_close(fs, file);
	return err ? err_text_set(&c->text, err, "%s: the new index cannot be written", c->path) : ERR_NONE;
}

static enum err compact_write_indexes(struct compact *c, struct fs *fs)
{
	size_t len = c->index.n * INDEX_ENTRY_LEN, time_len = c->times.n * TIME_ENTRY_LEN;
	size_t txn_len = c->txns.kept.list.n * TXN_ENTRY_LEN;
	int64_t base = c->made.base;
	uint8_t *p = mem_alloc(len + time_len + txn_len + 1);
	enum err err;

	for (size_t i = 0; i < c->index.n; i++)
		index_entry_encode(&c->index.v[i], base, p + i * INDEX_ENTRY_LEN);
	err = compact_write_small(c, fs, ".index", p, len);
	for (size_t i = 0; i < c->times.n; i++)
		time_entry_encode(&c->times.v[i], base, p + i * TIME_ENTRY_LEN);
	if (!err)
		err = compact_write_small(c, fs, ".timeindex", p, time_len);
	for (size_t i = 0; i < c->txns.kept.list.n; i++)
		txn_entry_encode(&c->txns.kept.list.v[i], p + i * TXN_ENTRY_LEN);
	if (!err && txn_len) {
		c->made_txn_index = true;
		err = compact_write_small(c, fs, ".txnindex", p, txn_len);
	}
	mem_free(p);
	return err;
}

/* The group is written: everything of it goes to the disk. */
static enum err compact_seal(struct compact *c, struct fs *fs, int64_t *ret_bytes)
{
	struct time_entry last = {c->made.max_timestamp_ms, c->made.max_timestamp_offset};
	enum err err = compact_flush(c, fs, ret_bytes);

	if (!err && last.timestamp_ms > c->last_index_ms)
		vec_push(&c->times, last);
	c->made.index_n = (uint32_t)c->index.n;
	c->made.time_index_n = (uint32_t)c->times.n;
	if (!err)
		err = compact_write_indexes(c, fs);
	c->made_aborted.list.n = 0;
	for (size_t i = 0; i < c->txns.kept.list.n; i++)
		vec_push(&c->made_aborted.list, c->txns.kept.list.v[i]);
	c->txns.kept.list.n = 0;
	if (!err)
		err = compact_date(c, fs, c->out);
	if (!err)
		err = fs_sync(fs, c->out);
	fs_close(fs, c->out);
	c->out = FS_FILE_NONE;
	if (!err)
		err = fs->ops->sync_dir(fs, c->path);
	if (err)
		return c->text.text[0] ? err : err_text_set(&c->text, err, "%s: a sync failed", c->path);
	c->bytes_out += c->made.size;
	for (size_t i = c->group; i < c->group_end; i++)
		c->bytes_in += c->segments.list.v[i].size;
	c->phase = COMPACT_SWAP;
	return ERR_NONE;
}

static enum err compact_filter_step(struct compact *c, struct fs *fs, int64_t *ret_bytes)
{
	struct batch_info batch;
	enum err err = ERR_NONE;

	if (!c->is_writing) {
		err = compact_begin_group(c, fs);
		if (err || c->phase != COMPACT_FILTER)
			return err;
	}
	if (c->at >= c->group_end)
		return compact_seal(c, fs, ret_bytes);
	if (!c->is_reading) {
		const struct segment *segment = &c->segments.list.v[c->at];

		/* Old formats have no horizon: the file's age takes its place. */
		c->filter.keeps_old_tombstones = segment->next_offset > c->options.first_dirty ||
						 segment->mtime_ms > c->options.now_ms - c->options.delete_retention_ms;
		err = compact_open_segment(c, fs);
	}
	if (!err)
		err = compact_reader_next(&c->reader, &batch);
	if (err == ERR_NOT_FOUND && c->is_reading) {
		compact_close_segment(c);
		return ERR_NONE;
	}
	if (err)
		return c->is_reading ? compact_bad_batch(c, err, NULL) : err;
	*ret_bytes += (int64_t)batch.size;
	c->bytes_done += (int64_t)batch.size;
	err = compact_filter_one(c, &batch);
	if (!err && c->out_bytes.len >= OUT_FLUSH_LEN)
		err = compact_flush(c, fs, ret_bytes);
	return err;
}

enum err compact_step(struct compact *c, struct fs *fs, int64_t bytes, int64_t *ret_bytes)
{
	enum err err = ERR_NONE;

	*ret_bytes = 0;
	if (!c->is_prepared)
		compact_prepare(c);
	while (!err && *ret_bytes < bytes && (c->phase == COMPACT_MAP || c->phase == COMPACT_FILTER))
		err = c->phase == COMPACT_MAP ? compact_map_step(c, fs, ret_bytes)
					      : compact_filter_step(c, fs, ret_bytes);
	return err;
}

/* ---- SWAP ---- */

static enum err compact_rename(struct compact *c, struct fs *fs, const char *suffix, const char *from, const char *to)
{
	char old[FS_PATH_MAX + 16], new[FS_PATH_MAX + 16];
	enum err err = compact_path(c, suffix, from, old);

	if (!err)
		err = compact_path(c, suffix, to, new);
	return err ? err : fs->ops->rename(fs, old, new);
}

static bool compact_has_file(const struct compact *c, const char *suffix)
{
	return c->made_txn_index || strcmp(suffix, ".txnindex") != 0;
}

static enum err compact_remove_old(struct compact *c, struct fs *fs, int64_t base)
{
	static const char *const suffixes[] = {".index", ".timeindex", ".txnindex", ".snapshot", ".log"};
	char from[FS_PATH_MAX], to[FS_PATH_MAX + 16];

	for (size_t k = 0; k < ARRAY_N(suffixes); k++) {
		enum err err;

		/* The new segment begins where this one did: so does the state of the producers. */
		if (base == c->made.base && strcmp(suffixes[k], ".snapshot") == 0)
			continue;
		if (!segment_path(from, c->path, base, suffixes[k]))
			return ERR_TOO_LARGE;
		snprintf(to, sizeof(to), "%s.deleted", from);
		err = fs->ops->rename(fs, from, to);
		if (err && err != ERR_NOT_FOUND)
			return err;
	}
	return ERR_NONE;
}

enum err compact_swap(struct compact *c, struct fs *fs, bool *ret_is_begun)
{
	enum err err = ERR_NONE;

	CHECK(c->phase == COMPACT_SWAP);
	*ret_is_begun = false;
	for (size_t k = 0; !err && k < ARRAY_N(compact_suffixes); k++) {
		if (compact_has_file(c, compact_suffixes[k]))
			err = compact_rename(c, fs, compact_suffixes[k], ".cleaned", ".swap");
	}
	if (!err)
		err = fs->ops->sync_dir(fs, c->path);
	if (err)
		return err;
	*ret_is_begun = c->swap_is_begun = true;
	for (size_t i = c->group; !err && i < c->group_end; i++)
		err = compact_remove_old(c, fs, c->segments.list.v[i].base);
	/* An old segment that came back behind the new one would overlap it. */
	if (!err)
		err = fs->ops->sync_dir(fs, c->path);
	for (size_t k = 0; !err && k < ARRAY_N(compact_suffixes); k++) {
		if (compact_has_file(c, compact_suffixes[k]))
			err = compact_rename(c, fs, compact_suffixes[k], ".swap", "");
	}
	return err ? err : fs->ops->sync_dir(fs, c->path);
}

void compact_swapped(struct compact *c)
{
	CHECK(c->phase == COMPACT_SWAP);
	c->group = c->group_end;
	c->is_writing = c->swap_is_begun = false;
	c->phase = COMPACT_FILTER;
}

void compact_abandon(struct compact *c, struct fs *fs)
{
	static const char *const ends[] = {".cleaned", ".swap"};
	char path[FS_PATH_MAX + 16];

	if (!c->is_writing || c->swap_is_begun || c->group >= c->segments.list.n)
		return;
	/* .log last: as long as one .cleaned is there, no start takes a .swap for valid. */
	for (size_t k = 0; k < ARRAY_N(compact_suffixes); k++) {
		for (size_t e = ARRAY_N(ends); e-- > 0;) {
			if (!compact_path(c, compact_suffixes[k], ends[e], path) && fs->ops->unlink(fs, path))
				continue;
		}
	}
}
