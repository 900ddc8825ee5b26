/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a partition's directory: its segments, and the order of the steps. See log_load.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "batch_scan.h"
#include "fault.h"
#include "index_file.h"
#include "log.h"
#include "log_load_internal.h"
#include "mem.h"
#include "pass_over.h"

static int i64_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool i64_has(const int64_t *v, size_t n, int64_t x)
{
	return n && bsearch(&x, v, n, sizeof(int64_t), i64_cmp);
}

static enum err load_create_segment(struct log_load *load, struct fs *fs, int64_t base)
{
	struct segment segment = SEGMENT_INIT(base);
	static const char *const suffixes[] = {".log", ".index", ".timeindex"};
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && i < ARRAY_N(suffixes); i++) {
		fs_file file;

		err = segment_open_file(fs, load->path, base, suffixes[i], FS_WRITE | FS_CREATE | FS_TRUNCATE,
					&file);
		if (!err)
			fs_close(fs, file);
	}
	if (!err)
		err = fs->ops->sync_dir(fs, load->path);
	load->is_changed = true;
	vec_push(&load->segments.list, segment);
	return err;
}

static void load_tell_lost(const struct log_load *load, int64_t offset, int64_t end_offset)
{
	log_error("log.lost",
		  "code=ML1078 log=%s dir=%s offset=%" PRId64 " end_offset=%" PRId64
		  " text=\"these offsets were on the disk and are not there any more\"",
		  load->name, load->path, offset, end_offset);
}

/* An index without its log. Deletions and cuts that were interrupted leave such before and behind all others, and those
 * of a compaction are gone before it takes their place. */
static void load_tell_missing(const struct log_load *load, const struct log_names *names, size_t at)
{
	int64_t base = names->indexes.v[at];
	size_t n = 0;

	for (size_t i = 0; i < at; i++) {
		if (names->indexes.v[i] == base)
			return; /* of the other kind */
	}
	while (n < names->logs.n && names->logs.v[n] < base)
		n++;
	if (n > 0 && n < names->logs.n && base >= load->log_start)
		load_tell_lost(load, base, names->logs.v[n]);
}

static enum err load_segments(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	enum err err = ERR_NONE;

	for (size_t i = 0; i < names->indexes.n; i++) {
		if (!i64_has(names->logs.v, names->logs.n, names->indexes.v[i])) {
			load_tell_missing(load, names, i);
			err = segment_unlink(fs, load->path, names->indexes.v[i]);
			if (err)
				return err;
		}
	}
	for (size_t i = 0; i < names->logs.n; i++) {
		struct segment segment = SEGMENT_INIT(names->logs.v[i]);
		char path[FS_PATH_MAX];
		struct fs_stat stat;
		bool is_last = i + 1 == names->logs.n;

		/* Wholly below the start: a deletion that a crash interrupted. */
		if (!is_last && names->logs.v[i + 1] <= load->log_start) {
			err = segment_unlink(fs, load->path, segment.base);
			if (err)
				return err;
			continue;
		}
		if (!segment_path(path, load->path, segment.base, ".log"))
			return ERR_TOO_LARGE;
		err = fs->ops->stat(fs, path, &stat);
		if (err)
			return err;
		segment.size = stat.size;
		segment.mtime_ms = stat.mtime_ms;
		segment.next_offset = is_last ? segment.base : names->logs.v[i + 1];
		vec_push(&load->segments.list, segment);
	}
	if (load->segments.list.n == 0)
		return load_create_segment(load, fs, MAX(load->log_start, INT64_C(0)));
	return ERR_NONE;
}

/* Removes the segments from number `from` on, the last first. */
static enum err load_drop_segments(struct log_load *load, struct fs *fs, size_t from)
{
	enum err err = ERR_NONE;

	if (load->segments.list.n <= from)
		return ERR_NONE;
	while (!err && load->segments.list.n > from) {
		err = segment_unlink(fs, load->path, load->segments.list.v[load->segments.list.n - 1].base);
		load->segments.list.n--;
	}
	load->is_changed = true;
	return err ? err : fs->ops->sync_dir(fs, load->path);
}

static enum err load_truncate_log(struct log_load *load, struct fs *fs, const struct segment *segment,
				  int64_t size)
{
	fs_file file;
	enum err err = segment_open_file(fs, load->path, segment->base, ".log", FS_WRITE, &file);

	if (err)
		return err;
	err = fs->ops->truncate(fs, file, size);
	if (!err)
		err = fs_sync(fs, file);
	fs_close(fs, file);
	load->is_changed = true;
	return err;
}

/* Takes off everything at and above truncate_to. The indexes follow when the last segment is scanned. */
static enum err load_cut(struct log_load *load, struct fs *fs)
{
	size_t keep = load->segments.list.n;
	struct segment *segment;
	struct segment_hit hit;
	fs_file file;
	enum err err;

	if (load->truncate_to == INT64_MAX)
		return ERR_NONE;
	while (keep > 1 && load->segments.list.v[keep - 1].base >= load->truncate_to)
		keep--;
	err = load_drop_segments(load, fs, keep);
	if (err)
		return err;
	segment = &load->segments.list.v[keep - 1];
	err = segment_open_file(fs, load->path, segment->base, ".log", FS_READ, &file);
	if (err)
		return err;
	segment->index_n = UINT32_MAX;
	err = segment_find(fs, load->path, segment, file, load->truncate_to, segment->size, &hit);
	segment->index_n = 0;
	fs_close(fs, file);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_NONE : err;
	segment->size = hit.pos;
	return load_truncate_log(load, fs, segment, hit.pos);
}

/* Index files of a segment that is not checked: present and of plausible end, or made anew. */
static bool load_index_is_plausible(struct log_load *load, struct fs *fs, struct segment *segment, bool *ret_is_cut)
{
	struct fs_stat stat, time_stat;
	char path[FS_PATH_MAX];
	struct index_entry last;
	struct time_entry last_time, before = {-1, 0};
	fs_file file;
	bool good = true;

	if (!segment_path(path, load->path, segment->base, ".index") || fs->ops->stat(fs, path, &stat) ||
	    !segment_path(path, load->path, segment->base, ".timeindex") ||
		fs->ops->stat(fs, path, &time_stat))
		return false;
	if (stat.size % INDEX_ENTRY_LEN || time_stat.size % TIME_ENTRY_LEN)
		return false;
	segment->index_n = (uint32_t)(stat.size / INDEX_ENTRY_LEN);
	segment->time_index_n = (uint32_t)(time_stat.size / TIME_ENTRY_LEN);
	if (segment->index_n) {
		if (segment_open_file(fs, load->path, segment->base, ".index", FS_READ, &file))
			return false;
		good = !index_read(fs, file, segment->base, segment->index_n - 1, &last) &&
		       last.offset > segment->base && last.offset < segment->next_offset && last.pos > 0 &&
		       last.pos < segment->size;
		fs_close(fs, file);
		/* Right for a log that was longer? */
		*ret_is_cut = !good && last.pos >= segment->size && last.offset > segment->base &&
			      last.offset < segment->next_offset;
	}
	/* Every segment that was rolled has at least one entry, unless its records have no time. */
	if (!good || segment->time_index_n == 0)
		return good;
	if (segment_open_file(fs, load->path, segment->base, ".timeindex", FS_READ, &file))
		return false;
	good = !time_index_read(fs, file, segment->base, segment->time_index_n - 1, &last_time) &&
	       (segment->time_index_n < 2 ||
		!time_index_read(fs, file, segment->base, segment->time_index_n - 2, &before)) &&
	       last_time.timestamp_ms > before.timestamp_ms && last_time.offset >= segment->base &&
	       last_time.offset < segment->next_offset;
	fs_close(fs, file);
	segment->max_timestamp_ms = last_time.timestamp_ms;
	segment->max_timestamp_offset = last_time.offset;
	return good;
}

/* The log was rolled right at the recovery point: the last entries of that segment's indexes were written behind it. */
static enum err load_index_again(struct log_load *load, struct fs *fs, size_t at, int64_t from)
{
	struct segment *segment = &load->segments.list.v[at];
	int64_t size = segment->size, next = segment->next_offset;
	bool is_bad = false;
	enum err err = log_load_scan(load, fs, at, from, INT64_MAX, &is_bad);

	segment->size = size;
	segment->next_offset = next;
	return err;
}

static enum err load_trust_segment(struct log_load *load, struct fs *fs, size_t at)
{
	struct segment *segment = &load->segments.list.v[at];
	int64_t size = segment->size, next = segment->next_offset;
	bool is_bad = false, is_cut = false;
	enum err err;

	if (load_index_is_plausible(load, fs, segment, &is_cut))
		return ERR_NONE;
	log_warn("log.index_rebuild", "log=%s segment=%" PRId64, load->name, segment->base);
	load->is_changed = true;
	err = log_load_scan(load, fs, at, segment->base, INT64_MAX, &is_bad);
	/* Damage here lies below the recovery point: it stays for a reader to meet and to name. */
	segment = &load->segments.list.v[at];
	if (!err && is_cut && segment->next_offset < next)
		load_tell_lost(load, segment->next_offset, next);
	segment->size = size;
	segment->next_offset = next;
	/* It lies below the recovery point, where no checkpoint looks. */
	if (!err)
		err = load_sync_segment(load, fs, segment);
	return err ? err : fs->ops->sync_dir(fs, load->path);
}

/* Whether the bad batch that a segment ends with may be a write that was cut, and whether good ones follow. */
static bool load_is_torn(const struct log_load *load, struct fs *fs, const struct segment *segment, int64_t file_size,
			 bool *ret_has_good_behind)
{
	struct batch_scan scan;
	fs_file file;
	bool is_cut;

	*ret_has_good_behind = false;
	if (segment->size >= file_size || segment_open_file(fs, load->path, segment->base, ".log", FS_READ, &file))
		return true;
	batch_scan_init(&scan, fs, file, segment->size, file_size, true);
	is_cut = pass_over_is_cut(&scan, segment->next_offset);
	*ret_has_good_behind = pass_over(&scan, segment->next_offset, INT64_MAX);
	batch_scan_deinit(&scan);
	fs_close(fs, file);
	return is_cut && !*ret_has_good_behind;
}

/* A process that was killed leaves one torn write at most; after a power cut the tail may be anything, but where good
 * batches follow, records that were written are lost. */
static void load_tell_end(const struct log_load *load, struct fs *fs, const struct segment *segment, int64_t file_size,
			  size_t later)
{
	bool has_good_behind;
	bool is_torn = load_is_torn(load, fs, segment, file_size, &has_good_behind);

	if (is_torn || (log_load_is_suspect(load) && !has_good_behind && later == 0)) {
		log_warn("log.truncated", "log=%s offset=%" PRId64 " segment=%" PRId64 " position=%" PRId64 " bytes=%"
			 PRId64 " segments_dropped=%zu", load->name, segment->next_offset, segment->base, segment->size,
			 file_size - segment->size, later);
		return;
	}
	log_error("log.truncated",
		  "code=ML1079 log=%s file=%s/%020" PRId64 ".log position=%" PRId64 " offset=%" PRId64 " bytes=%" PRId64
		  " segments_dropped=%zu text=\"the log ends there: the batch is damaged, and %s\"",
		  load->name, load->path, segment->base, segment->size, segment->next_offset,
		  file_size - segment->size, later,
		  has_good_behind || later > 0 ? "what is behind it is given up" : "nothing good follows");
}

/* The first bad batch of segment number `at` ends the log. */
static enum err load_end_at(struct log_load *load, struct fs *fs, size_t at, int64_t file_size)
{
	const struct segment *segment = &load->segments.list.v[at];
	size_t later = load->segments.list.n - at - 1;
	enum err err;

	load_tell_end(load, fs, segment, file_size, later);
	err = load_drop_segments(load, fs, at + 1);
	if (err)
		return err;
	segment = &load->segments.list.v[at];
	return load_truncate_log(load, fs, segment, segment->size);
}

/* A batch too few, on purpose. */
static enum err load_fault_off_by_one(struct log_load *load, struct fs *fs)
{
	size_t at = load->segments.list.n - 1;
	struct segment *segment = &load->segments.list.v[at];
	struct segment_hit hit;
	fs_file file;
	bool is_bad;
	enum err err;

	if (segment->size == 0)
		return ERR_NONE;
	err = segment_open_file(fs, load->path, segment->base, ".log", FS_READ, &file);
	if (err)
		return err;
	err = segment_find(fs, load->path, segment, file, segment->next_offset - 1, segment->size, &hit);
	fs_close(fs, file);
	if (!err)
		err = load_truncate_log(load, fs, segment, hit.pos);
	return err ? err : log_load_scan(load, fs, at, INT64_MAX, INT64_MAX, &is_bad);
}

bool log_load_is_end_damaged(const struct log_load *load)
{
	return load->stop == LOG_DIR_CLEAN && load->truncate_to == INT64_MAX &&
	       load->recovery_point > load->segments.list.v[load->segments.list.n - 1].next_offset;
}

/* A log that was closed ends at its recovery point: what is wrong before is damage of the disk. It stays where it is,
 * for readers to meet, and what comes next begins a new segment. */
static enum err load_keep_damaged_end(struct log_load *load, struct fs *fs, int64_t file_size)
{
	size_t at = load->segments.list.n - 1;
	struct segment *segment = &load->segments.list.v[at];
	enum err err;

	log_error("log.end_damaged",
		  "code=ML1076 log=%s file=%s/%020" PRId64 ".log position=%" PRId64 " text=\"the log was closed at "
		  "offset %" PRId64 ", but behind offset %" PRId64 " the file is damaged: what is left of it is not "
		  "served, and a new segment begins\"",
		  load->name, load->path, segment->base, segment->size, load->recovery_point,
		  segment->next_offset - 1);
	err = load_create_segment(load, fs, load->recovery_point);
	segment = &load->segments.list.v[at];
	segment->size = file_size;
	segment->next_offset = load->recovery_point;
	load->bytes_since_index = 0;
	load->last_time_ms = -1;
	return err;
}

/* A log that may not lose anything is left as it is. */
static enum err load_refuse(struct log_load *load, struct fs *fs, const struct segment *segment, int64_t file_size)
{
	bool has_good_behind;

	if (!load->is_strict)
		return ERR_NONE;
	if (segment->next_offset < load->recovery_point)
		return err_text_set(&load->text, ERR_CORRUPT_FILE,
				    "%s/%020" PRId64 ".log ends at position %" PRId64 " with offset %" PRId64
				    ", but offsets to %" PRId64 " were on the disk", load->path, segment->base,
				    segment->size, segment->next_offset - 1, load->recovery_point - 1);
	if (load->stop == LOG_DIR_CLEAN)
		return err_text_set(&load->text, ERR_CORRUPT_FILE, "%s/%020" PRId64 ".log: the batch at position %"
				    PRId64 " is damaged or cut, and it was closed in order", load->path, segment->base,
				    segment->size);
	if (load->stop == LOG_DIR_KILLED && !load_is_torn(load, fs, segment, file_size, &has_good_behind))
		return err_text_set(&load->text, ERR_CORRUPT_FILE, "%s/%020" PRId64 ".log: the batch at position %"
				    PRId64 " is damaged, %s", load->path, segment->base, segment->size,
				    has_good_behind ? "and what follows is not" : "which no crash explains");
	return ERR_NONE;
}

static enum err load_check(struct log_load *load, struct fs *fs)
{
	size_t first = load->segments.list.n - 1;
	int64_t from = INT64_MAX, crc_from = 0;
	enum err err = ERR_NONE;

	if (log_load_is_suspect(load)) {
		from = MAX(load->recovery_point, INT64_C(0));
		crc_from = from;
		while (first > 0 && load->segments.list.v[first].base > from)
			first--;
	}
	for (size_t i = 0; !err && i < first; i++)
		err = load_trust_segment(load, fs, i);
	if (!err && first > 0 && load->segments.list.v[first].base == from)
		err = load_index_again(load, fs, first - 1, from);
	for (size_t i = first; !err && i < load->segments.list.n; i++) {
		int64_t file_size = load->segments.list.v[i].size;
		bool is_bad = false;

		err = log_load_scan(load, fs, i, from, crc_from, &is_bad);
		if (!err && i + 1 < load->segments.list.n &&
		    load->segments.list.v[i].next_offset < load->segments.list.v[i + 1].base) {
			/* Of a segment that ends at a batch, but too early, the tail was never written to the disk. */
			if (load->stop == LOG_DIR_POWER_CUT)
				is_bad = true;
			load->has_gaps = true;
		}
		if (!err && is_bad)
			err = load_refuse(load, fs, &load->segments.list.v[i], file_size);
		if (!err && is_bad && log_load_is_end_damaged(load))
			return load_keep_damaged_end(load, fs, file_size);
		if (!err && is_bad)
			err = load_end_at(load, fs, i, file_size);
	}
	if (!err && load->segments.list.v[load->segments.list.n - 1].next_offset < load->recovery_point)
		err = load_refuse(load, fs, &load->segments.list.v[load->segments.list.n - 1], 0);
	if (!err && FAULT(recover_off_by_one) && load->stop != LOG_DIR_CLEAN)
		err = load_fault_off_by_one(load, fs);
	return err;
}

/* The end, and the start that fits it. */
static enum err load_bounds(struct log_load *load, struct fs *fs)
{
	struct segment *last = &load->segments.list.v[load->segments.list.n - 1];
	enum err err;

	load->end = last->next_offset;
	if (load->truncate_to == INT64_MAX && load->recovery_point > MAX(load->end, load->log_start))
		load_tell_lost(load, MAX(load->end, load->log_start), load->recovery_point);
	/* What was deleted on purpose reaches beyond what survived: an empty log that begins there. */
	if (load->log_start > load->end) {
		err = load_drop_segments(load, fs, 0);
		if (!err)
			err = load_create_segment(load, fs, load->log_start);
		if (err)
			return err;
		load->end = load->log_start;
		load->bytes_since_index = 0;
		load->last_time_ms = -1;
	}
	load->log_start = MAX(load->log_start, load->segments.list.v[0].base);
	return ERR_NONE;
}

/* Position of the recovery point, which is a bound that readers may get. */
static enum err load_find_recovery(struct log_load *load, struct fs *fs)
{
	size_t at = load->segments.list.n - 1;
	const struct segment *segment;
	struct segment_hit hit;
	fs_file file;
	enum err err;

	if (load->stop == LOG_DIR_CLEAN && load->truncate_to == INT64_MAX)
		load->recovery_point = load->end;
	/* Not raised to a start within the segment: see part_log_set_start. */
	load->recovery_point = MIN(MAX(load->recovery_point, load->segments.list.v[0].base), load->end);
	while (at > 0 && load->segments.list.v[at].base > load->recovery_point)
		at--;
	segment = &load->segments.list.v[at];
	load->recovery_base = segment->base;
	load->recovery_pos = segment->size;
	if (load->recovery_point >= segment->next_offset)
		return ERR_NONE;
	err = segment_open_file(fs, load->path, segment->base, ".log", FS_READ, &file);
	if (err)
		return err;
	err = segment_find(fs, load->path, segment, file, load->recovery_point, segment->size, &hit);
	fs_close(fs, file);
	if (!err)
		load->recovery_pos = hit.pos;
	if (err == ERR_CORRUPT_FILE) {
		/* No batch is found beyond the damage: what is known to be durable ends where the segment begins. */
		load->recovery_point = MAX(segment->base, load->log_start);
		load->recovery_pos = 0;
		return ERR_NONE;
	}
	return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

static enum err load_open_active(struct log_load *load, struct fs *fs)
{
	struct segment *last = &load->segments.list.v[load->segments.list.n - 1];
	struct batch_scan scan;
	struct batch_info info;
	int64_t pos;
	enum err err = segment_open_file(fs, load->path, last->base, ".log", FS_WRITE, &load->active);

	if (err)
		return err;
	batch_scan_init(&scan, fs, load->active, 0, last->size, false);
	if (batch_scan_next(&scan, &info, &pos))
		last->first_timestamp_ms = info.max_timestamp;
	err = scan.err;
	batch_scan_deinit(&scan);
	return err;
}

static enum err load_contents(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	bool is_new = !names->has_log_files, is_stale;
	size_t epochs_read;
	int32_t epoch_read;
	enum err err = load_read_epochs(load, fs);

	if (err)
		return err;
	/* The last one of a log that is closed in order is written at its end. */
	for (size_t i = 0; load->is_strict && load->stop == LOG_DIR_CLEAN && i < names->snapshots.n; i++)
		load->recovery_point = MAX(load->recovery_point, names->snapshots.v[i]);
	epochs_read = load->epochs.entries.n;
	epoch_read = epoch_cache_latest(&load->epochs);
	err = load_segments(load, fs, names);
	if (!err)
		err = load_cut(load, fs);
	if (!err)
		err = load_check(load, fs);
	if (!err)
		err = load_bounds(load, fs);
	if (!err)
		err = load_aborted(load, fs, names);
	if (!err)
		err = load_producers(load, fs, names);
	if (err)
		return err;
	is_stale = epoch_cache_truncate_end(&load->epochs, load->end);
	epoch_cache_truncate_start(&load->epochs, load->log_start);
	load->epochs_changed = load->epochs.entries.n != epochs_read || epoch_cache_latest(&load->epochs) != epoch_read;
	/* What the headers say besides can wait for the next checkpoint; what is wrong by now cannot. */
	if (is_stale || (load->epochs_changed && load->truncate_to != INT64_MAX)) {
		err = load_write_epochs(load, fs);
		load->epochs_changed = false;
	}
	if (!err)
		err = load_find_recovery(load, fs);
	if (!err)
		err = load_rewrite_tail(load, fs);
	if (!err)
		err = load_settle_gaps(load, fs);
	if (!err)
		err = load_open_active(load, fs);
	if (!err && is_new)
		load->is_changed = false;
	return err;
}

/* The same for a directory that was made just now. */
static enum err load_fresh(struct log_load *load, struct fs *fs)
{
	enum err err = load_create_segment(load, fs, 0);

	if (!err)
		err = fs->ops->sync_dir(fs, load->dir_path);
	if (!err)
		err = segment_open_file(fs, load->path, 0, ".log", FS_WRITE, &load->active);
	load->log_start = load->recovery_point = load->end = 0;
	load->last_time_ms = load->snapshot_offset = -1;
	load->is_changed = false;
	return err;
}

enum err log_load_run(struct log_load *load, struct fs *fs)
{
	struct log_names names = {0};
	enum err err;

	load->active = FS_FILE_NONE;
	err = load_prepare_dir(load, fs);
	if (!err && load->is_fresh)
		return load_fresh(load, fs);
	if (!err)
		err = load_list(load, fs, &names);
	if (!err)
		err = load_contents(load, fs, &names);
	log_names_deinit(&names);
	return err;
}

void log_load_deinit(struct log_load *load, struct fs *fs)
{
	if (load->active != FS_FILE_NONE)
		fs_close(fs, load->active);
	load->active = FS_FILE_NONE;
	vec_deinit(&load->segments.list);
	epoch_cache_deinit(&load->epochs);
	vec_deinit(&load->aborted.list);
	producer_state_deinit(&load->producers);
}
