/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a partition's directory, see log_load.h. */
#include "log_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch_scan.h"
#include "checkpoint.h"
#include "fault.h"
#include "index_file.h"
#include "log.h"
#include "log_dir.h"
#include "mem.h"

#define METADATA_FILE "partition.metadata"
#define EPOCH_FILE "leader-epoch-checkpoint"
#define SMALL_FILE_MAX KIB(64)
#define EPOCH_FILE_MAX MIB(64)
#define SNAPSHOT_FILE_MAX MIB(512)

/* Names found in the directory. */
struct log_names {
	VEC(int64_t) logs;
	VEC(int64_t) indexes; /* segments that have an index of either kind */
	VEC(int64_t) snapshots;
	VEC(int64_t) swaps;   /* .log.swap */
	VEC(char *) remove;   /* file names */
	VEC(char *) index_swaps;
	int64_t cleaned_min;  /* least base with a .cleaned file, INT64_MAX */
	bool is_empty;        /* nothing at all in the directory */
	bool has_log_files;
};

static void log_names_deinit(struct log_names *names)
{
	for (size_t i = 0; i < names->remove.n; i++)
		mem_free(names->remove.v[i]);
	for (size_t i = 0; i < names->index_swaps.n; i++)
		mem_free(names->index_swaps.v[i]);
	vec_deinit(&names->logs);
	vec_deinit(&names->indexes);
	vec_deinit(&names->snapshots);
	vec_deinit(&names->swaps);
	vec_deinit(&names->remove);
	vec_deinit(&names->index_swaps);
}

static bool name_ends(struct str name, const char *suffix)
{
	size_t len = strlen(suffix);

	return name.len >= len && memcmp(name.p + name.len - len, suffix, len) == 0;
}

static bool log_names_add(void *ctx, const char *entry, enum fs_kind kind)
{
	struct log_names *names = ctx;
	struct str name = str_of(entry), suffix;
	int64_t base;

	names->is_empty = false;
	if (kind != FS_KIND_FILE)
		return true;
	if (name_ends(name, ".cleaned") || name_ends(name, ".deleted") || name_ends(name, ".tmp"))
		vec_push(&names->remove, mem_strdup_n(name.p, name.len));
	if (!segment_parse_name(name, &base, &suffix))
		return true;
	names->has_log_files = true;
	if (str_eq_c(suffix, ".log"))
		vec_push(&names->logs, base);
	else if (str_eq_c(suffix, ".index") || str_eq_c(suffix, ".timeindex") || str_eq_c(suffix, ".txnindex"))
		vec_push(&names->indexes, base);
	else if (str_eq_c(suffix, ".snapshot"))
		vec_push(&names->snapshots, base);
	else if (str_eq_c(suffix, ".log.swap"))
		vec_push(&names->swaps, base);
	else if (name_ends(name, ".swap"))
		vec_push(&names->index_swaps, mem_strdup_n(name.p, name.len));
	else if (name_ends(name, ".cleaned"))
		names->cleaned_min = MIN(names->cleaned_min, base);
	return true;
}

static int i64_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static bool load_path(const struct log_load *load, const char *name, char ret[FS_PATH_MAX])
{
	int len = snprintf(ret, FS_PATH_MAX, "%s/%s", load->path, name);

	return len > 0 && len < FS_PATH_MAX;
}

static enum err load_create_dir(struct log_load *load, struct fs *fs)
{
	enum err err = fs->ops->mkdir(fs, load->path);

	if (err && err != ERR_EXISTS)
		return err;
	load->is_changed = true;
	return fs->ops->sync_dir(fs, load->dir_path);
}

static enum err load_write_metadata(struct log_load *load, struct fs *fs)
{
	char path[FS_PATH_MAX];
	struct arena arena = {0};
	enum err err;

	if (uuid_is_zero(load->topic_id))
		return ERR_NONE;
	if (!load_path(load, METADATA_FILE, path))
		return ERR_TOO_LARGE;
	err = fs_write_atomic(fs, path, partition_metadata_encode(load->topic_id, &arena));
	arena_reset(&arena);
	return err;
}

/* ERR_NOT_FOUND: no such file. */
static enum err load_read_metadata(struct log_load *load, struct fs *fs, struct uuid *ret)
{
	char path[FS_PATH_MAX];
	char *p;
	size_t len;
	enum err err;

	if (!load_path(load, METADATA_FILE, path))
		return ERR_TOO_LARGE;
	err = fs_read_all(fs, path, SMALL_FILE_MAX, &p, &len);
	if (err)
		return err;
	err = partition_metadata_parse((struct bytes){(const uint8_t *)p, len}, ret);
	mem_free(p);
	if (err)
		return err_text_set(&load->text, err, "%s is damaged", path);
	return ERR_NONE;
}

/* The directory exists afterwards and belongs to the topic id. One of another id is moved out of the way: records of
 * two topics must never mix, and nothing is deleted because somebody else's metadata does not name it. */
static enum err load_prepare_dir(struct log_load *load, struct fs *fs)
{
	struct fs_stat stat;
	struct uuid found;
	enum err err = fs->ops->stat(fs, load->path, &stat);

	if (err == ERR_NOT_FOUND) {
		err = load_create_dir(load, fs);
		return err ? err : load_write_metadata(load, fs);
	}
	if (err)
		return err;
	err = load_read_metadata(load, fs, &found);
	if (err == ERR_NOT_FOUND)
		return load_write_metadata(load, fs);
	if (err)
		return err;
	if (uuid_is_zero(load->topic_id) || uuid_eq(found, load->topic_id) || FAULT(delete_no_id_check))
		return ERR_NONE;
	log_warn("log.stray", "log=%s dir=%s reason=topic_id", load->name, load->dir_path);
	err = log_dir_rename_away(fs, load->dir_path, str_of(load->name), "-stray", load->unique);
	if (!err)
		err = load_create_dir(load, fs);
	/* What the checkpoints said was about the other one. */
	load->recovery_point = load->log_start = -1;
	return err ? err : load_write_metadata(load, fs);
}

static enum err load_remove_named(struct log_load *load, struct fs *fs, const char *name)
{
	char path[FS_PATH_MAX];
	enum err err;

	if (!load_path(load, name, path))
		return ERR_TOO_LARGE;
	err = fs->ops->unlink(fs, path);
	return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

/* Renames "<x>.swap" to "<x>". */
static enum err load_rename_swap(struct log_load *load, struct fs *fs, const char *name)
{
	char from[FS_PATH_MAX], to[FS_PATH_MAX];

	if (!load_path(load, name, from) || !load_path(load, name, to))
		return ERR_TOO_LARGE;
	to[strlen(to) - strlen(".swap")] = '\0';
	load->is_changed = true;
	return fs->ops->rename(fs, from, to);
}

/* A compaction that had got as far as .log.swap is finished: the segments it replaces go, it takes their place. */
static enum err load_finish_swap(struct log_load *load, struct fs *fs, struct log_names *names, int64_t base)
{
	char name[64];
	struct batch_scan scan;
	struct batch_info info;
	int64_t pos, size, next = base + 1;
	fs_file file;
	enum err err = segment_open_file(fs, load->path, base, ".log.swap", FS_READ, &file);

	if (err)
		return err;
	err = fs->ops->file_size(fs, file, &size);
	if (!err) {
		batch_scan_init(&scan, fs, file, 0, size, false);
		while (batch_scan_next(&scan, &info, &pos))
			next = info.last_offset + 1;
		err = scan.err;
		batch_scan_deinit(&scan);
	}
	fs_close(fs, file);
	for (size_t i = 0; !err && i < names->logs.n; i++) {
		if (names->logs.v[i] >= base && names->logs.v[i] < next)
			err = segment_unlink(fs, load->path, names->logs.v[i]);
	}
	if (!err && snprintf(name, sizeof(name), "%020" PRId64 ".log.swap", base) < (int)sizeof(name))
		err = load_rename_swap(load, fs, name);
	return err;
}

static enum err load_clean_names(struct log_load *load, struct fs *fs, struct log_names *names)
{
	enum err err = ERR_NONE;
	char name[64];
	bool has_swaps = names->swaps.n || names->index_swaps.n;

	for (size_t i = 0; !err && i < names->remove.n; i++)
		err = load_remove_named(load, fs, names->remove.v[i]);
	for (size_t i = 0; !err && i < names->swaps.n; i++) {
		if (names->swaps.v[i] < names->cleaned_min) {
			err = load_finish_swap(load, fs, names, names->swaps.v[i]);
		} else {
			/* Its compaction made several files and had not finished all: the old segments stand. */
			snprintf(name, sizeof(name), "%020" PRId64 ".log.swap", names->swaps.v[i]);
			err = load_remove_named(load, fs, name);
		}
	}
	for (size_t i = 0; !err && i < names->index_swaps.n; i++) {
		struct str suffix;
		int64_t base = 0;

		if (segment_parse_name(str_of(names->index_swaps.v[i]), &base, &suffix) && base < names->cleaned_min)
			err = load_rename_swap(load, fs, names->index_swaps.v[i]);
		else
			err = load_remove_named(load, fs, names->index_swaps.v[i]);
	}
	if (!err && (names->remove.n || has_swaps))
		err = fs->ops->sync_dir(fs, load->path);
	return err;
}

/* Lists; when that found a compaction to finish, once more. */
static enum err load_list(struct log_load *load, struct fs *fs, struct log_names *names)
{
	enum err err;

	for (int round = 0;; round++) {
		*names = (struct log_names){.cleaned_min = INT64_MAX, .is_empty = true};
		err = fs->ops->list(fs, load->path, log_names_add, names);
		if (!err)
			err = load_clean_names(load, fs, names);
		if (err || round || (names->swaps.n == 0 && names->index_swaps.n == 0))
			break;
		log_names_deinit(names);
	}
	if (names->logs.n)
		qsort(names->logs.v, names->logs.n, sizeof(int64_t), i64_cmp);
	if (names->snapshots.n)
		qsort(names->snapshots.v, names->snapshots.n, sizeof(int64_t), i64_cmp);
	return err;
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

		err = segment_open_file(fs, load->path, base, suffixes[i], FS_WRITE | FS_CREATE | FS_TRUNCATE, &file);
		if (!err)
			fs_close(fs, file);
	}
	if (!err)
		err = fs->ops->sync_dir(fs, load->path);
	load->is_changed = true;
	vec_push(&load->segments.list, segment);
	return err;
}

static enum err load_segments(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	enum err err = ERR_NONE;

	for (size_t i = 0; i < names->indexes.n; i++) {
		if (!i64_has(names->logs.v, names->logs.n, names->indexes.v[i])) {
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

static enum err load_truncate_log(struct log_load *load, struct fs *fs, const struct segment *segment, int64_t size)
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
static bool load_index_is_plausible(struct log_load *load, struct fs *fs, struct segment *segment)
{
	struct fs_stat stat, time_stat;
	char path[FS_PATH_MAX];
	struct index_entry last;
	struct time_entry last_time, before = {-1, 0};
	fs_file file;
	bool good = true;

	if (!segment_path(path, load->path, segment->base, ".index") || fs->ops->stat(fs, path, &stat) ||
	    !segment_path(path, load->path, segment->base, ".timeindex") || fs->ops->stat(fs, path, &time_stat))
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

static enum err load_trust_segment(struct log_load *load, struct fs *fs, size_t at)
{
	struct segment *segment = &load->segments.list.v[at];
	int64_t size = segment->size, next = segment->next_offset;
	bool is_bad = false;
	enum err err;

	if (load_index_is_plausible(load, fs, segment))
		return ERR_NONE;
	log_warn("log.index_rebuild", "log=%s segment=%" PRId64, load->name, segment->base);
	load->is_changed = true;
	err = log_load_scan(load, fs, at, segment->base, INT64_MAX, &is_bad);
	/* Damage here lies below the recovery point: it stays for a reader to meet and to name. */
	segment = &load->segments.list.v[at];
	segment->size = size;
	segment->next_offset = next;
	return err;
}

/* The first bad batch of segment number `at` ends the log. */
static enum err load_end_at(struct log_load *load, struct fs *fs, size_t at, int64_t file_size)
{
	const struct segment *segment = &load->segments.list.v[at];
	size_t later = load->segments.list.n - at - 1;
	enum err err;

	log_warn("log.truncated", "log=%s offset=%" PRId64 " segment=%" PRId64 " bytes=%" PRId64 " segments_dropped=%zu",
		 load->name, segment->next_offset, segment->base, file_size - segment->size, later);
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

static enum err load_check(struct log_load *load, struct fs *fs)
{
	size_t first = load->segments.list.n - 1;
	int64_t from = INT64_MAX, crc_from = load->stop == LOG_DIR_CLEAN ? INT64_MAX : 0;
	enum err err = ERR_NONE;

	if (log_load_is_suspect(load)) {
		from = MAX(load->recovery_point, INT64_C(0));
		crc_from = from;
		while (first > 0 && load->segments.list.v[first].base > from)
			first--;
	}
	for (size_t i = 0; !err && i < first; i++)
		err = load_trust_segment(load, fs, i);
	for (size_t i = first; !err && i < load->segments.list.n; i++) {
		int64_t file_size = load->segments.list.v[i].size;
		bool is_bad = false;

		err = log_load_scan(load, fs, i, from, crc_from, &is_bad);
		/* Of a segment that ends at a batch, but too early, the tail was never written to the disk. */
		if (!err && load->stop == LOG_DIR_POWER_CUT && i + 1 < load->segments.list.n &&
		    load->segments.list.v[i].next_offset < load->segments.list.v[i + 1].base)
			is_bad = true;
		if (!err && is_bad)
			err = load_end_at(load, fs, i, file_size);
	}
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

static enum err load_read_epochs(struct log_load *load, struct fs *fs)
{
	char path[FS_PATH_MAX];
	char *p;
	size_t len;
	enum err err;

	if (!load_path(load, EPOCH_FILE, path))
		return ERR_TOO_LARGE;
	err = fs_read_all(fs, path, EPOCH_FILE_MAX, &p, &len);
	load->has_epochs = !err;
	if (err == ERR_NOT_FOUND)
		return ERR_NONE;
	if (err)
		return err;
	if (epoch_cache_decode(&load->epochs, (struct bytes){(const uint8_t *)p, len})) {
		log_warn("log.epochs_damaged", "log=%s", load->name);
		load->has_epochs = false;
	}
	mem_free(p);
	return ERR_NONE;
}

static enum err load_write_epochs(struct log_load *load, struct fs *fs)
{
	char path[FS_PATH_MAX];
	struct bytes text;
	enum err err;

	if (!load_path(load, EPOCH_FILE, path))
		return ERR_TOO_LARGE;
	text = epoch_cache_encode(&load->epochs);
	err = fs_write_atomic(fs, path, text);
	mem_free((void *)(uintptr_t)text.p);
	return err;
}

static enum err load_read_snapshot(struct log_load *load, struct fs *fs, int64_t offset)
{
	char path[FS_PATH_MAX];
	char *p;
	size_t len;
	enum err err;

	if (!segment_path(path, load->path, offset, ".snapshot"))
		return ERR_TOO_LARGE;
	err = fs_read_all(fs, path, SNAPSHOT_FILE_MAX, &p, &len);
	if (err)
		return err;
	err = producer_state_decode(&load->producers, (struct bytes){(const uint8_t *)p, len});
	mem_free(p);
	return err;
}

static bool load_is_segment_base(const struct log_load *load, int64_t offset)
{
	for (size_t i = 0; i < load->segments.list.n; i++) {
		if (load->segments.list.v[i].base == offset)
			return true;
	}
	return false;
}

/* Replays the headers of one segment from map_end_offset on. */
static enum err load_replay_segment(struct log_load *load, struct fs *fs, const struct segment *segment)
{
	struct batch_scan scan;
	struct segment_hit hit;
	fs_file file;
	enum err err = segment_open_file(fs, load->path, segment->base, ".log", FS_READ, &file);

	if (err)
		return err;
	err = segment_find(fs, load->path, segment, file, load->producers.map_end_offset, segment->size, &hit);
	if (err) {
		fs_close(fs, file);
		return err == ERR_NOT_FOUND ? ERR_NONE : err;
	}
	batch_scan_init(&scan, fs, file, hit.pos, segment->size, false);
	while (batch_scan_next(&scan, &hit.info, &hit.pos)) {
		producer_state_append(&load->producers, &hit.info, NULL);
		load->producers.map_end_offset = hit.info.last_offset + 1;
		if (hit.info.leader_epoch > epoch_cache_latest(&load->epochs) &&
		    epoch_cache_assign(&load->epochs, hit.info.leader_epoch, hit.info.base_offset))
			load->is_changed = true;
	}
	err = scan.err;
	batch_scan_deinit(&scan);
	fs_close(fs, file);
	return err;
}

/* Producers and epochs: from the newest good snapshot that is not beyond the end, then the headers behind it. Snapshots that no start needs
 * any more, and bad ones, are removed. */
static enum err load_producers(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	enum err err = ERR_NONE;

	load->snapshot_offset = -1;
	for (size_t i = names->snapshots.n; i-- > 0;) {
		int64_t offset = names->snapshots.v[i];
		bool is_keeper = load_is_segment_base(load, offset) || offset == load->snapshot_keep;

		if (offset <= load->end && offset >= load->log_start && load->snapshot_offset < 0) {
			err = load_read_snapshot(load, fs, offset);
			if (err == ERR_CORRUPT_FILE)
				log_warn("log.snapshot_damaged", "log=%s offset=%" PRId64, load->name, offset);
			else if (err)
				return err;
			is_keeper = !err;
			if (!err)
				load->snapshot_offset = offset;
		}
		if (offset <= load->end && is_keeper)
			continue;
		char path[FS_PATH_MAX];

		if (!segment_path(path, load->path, offset, ".snapshot"))
			return ERR_TOO_LARGE;
		err = fs->ops->unlink(fs, path);
		if (err && err != ERR_NOT_FOUND)
			return err;
	}
	/* Epochs below a snapshot are in their file. Without the file all headers are read; also when the start of the log
	 * was moved up in the file of epochs, but not in the checkpoint before the crash. */
	if (load->stop != LOG_DIR_CLEAN && load->epochs.entries.n &&
	    load->epochs.entries.v[0].start_offset > load->log_start) {
		load->epochs.entries.n = 0;
		load->has_epochs = false;
	}
	if (!load->has_epochs && load->snapshot_offset >= 0) {
		producer_state_truncate_all(&load->producers);
		load->snapshot_offset = -1;
	}
	load->producers.map_end_offset = MAX(load->snapshot_offset, load->log_start);
	err = ERR_NONE;
	for (size_t i = 0; !err && i < load->segments.list.n; i++) {
		const struct segment *segment = &load->segments.list.v[i];

		if (segment->next_offset > load->producers.map_end_offset && segment->size > 0)
			err = load_replay_segment(load, fs, segment);
	}
	load->producers.map_end_offset = load->end;
	return err;
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
	load->recovery_point = MIN(MAX(load->recovery_point, load->log_start), load->end);
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
	bool is_new = !names->has_log_files;
	size_t epochs_read;
	int32_t epoch_read;
	enum err err = load_read_epochs(load, fs);

	if (err)
		return err;
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
		err = load_producers(load, fs, names);
	if (err)
		return err;
	epoch_cache_truncate_end(&load->epochs, load->end);
	epoch_cache_truncate_start(&load->epochs, load->log_start);
	if (load->epochs.entries.n != epochs_read || epoch_cache_latest(&load->epochs) != epoch_read)
		err = load_write_epochs(load, fs);
	if (!err)
		err = load_find_recovery(load, fs);
	if (!err)
		err = load_open_active(load, fs);
	if (!err && is_new)
		load->is_changed = false;
	return err;
}

enum err log_load_run(struct log_load *load, struct fs *fs)
{
	struct log_names names = {0};
	enum err err;

	load->active = FS_FILE_NONE;
	err = load_prepare_dir(load, fs);
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
	producer_state_deinit(&load->producers);
}
