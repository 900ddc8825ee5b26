/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking one segment and making its indexes agree with it, see log_load.h. The walk starts at an index
 * entry that the log confirms; entries up to there stay, those behind are made anew as an append would have
 * made them.
 */
#include "batch_scan.h"
#include "fault.h"
#include "index_file.h"
#include "log.h"
#include "log_load_internal.h"
#include "mem.h"
#include "pass_over.h"

struct segment_check {
	struct log_load *load;
	struct fs *fs;
	struct segment *segment;
	fs_file log, index, time_index;
	int64_t file_size;
	int64_t end_max; /* the next segment begins here */
	bool is_last;
	bool is_trusted; /* its contents are on the disk: damage hides nothing behind it */
	uint32_t kept_n, time_kept_n; /* entries that stay */
	int64_t start;                /* position of the first batch to look at */
	int64_t free_pos;             /* of the batch before which nothing was read, or only damage; -1 */
	int64_t bad_pos;              /* of the last damage that was passed over, -1 */
	int64_t bytes_since_index;
	VEC(struct index_entry) entries; /* new ones */
	VEC(struct time_entry) times;
	struct time_entry last_time; /* in the index */
};

static enum err segment_check_open(struct segment_check *check)
{
	const char *path = check->load->path;
	int64_t base = check->segment->base;
	enum err err = segment_open_file(check->fs, path, base, ".log", FS_READ, &check->log);

	if (!err)
		err = segment_open_file(check->fs, path, base, ".index", FS_WRITE | FS_CREATE, &check->index);
	if (!err)
		err = segment_open_file(check->fs, path, base, ".timeindex", FS_WRITE | FS_CREATE,
					&check->time_index);
	if (!err)
		err = check->fs->ops->file_size(check->fs, check->log, &check->file_size);
	return err;
}

static void segment_check_close(struct segment_check *check)
{
	fs_close(check->fs, check->log);
	fs_close(check->fs, check->index);
	fs_close(check->fs, check->time_index);
	vec_deinit(&check->entries);
	vec_deinit(&check->times);
}

/* True when a batch that ends with entry->offset begins where the entry says. */
static bool segment_check_entry(struct segment_check *check, const struct index_entry *entry)
{
	struct batch_scan scan;
	struct batch_info info;
	int64_t pos;
	bool good;

	batch_scan_init(&scan, check->fs, check->log, entry->pos, check->file_size, false);
	good = batch_scan_next(&scan, &info, &pos) && info.last_offset == entry->offset;
	batch_scan_deinit(&scan);
	return good;
}

/* Chooses the entries to keep: the last one below from_offset, if it is right; else none. */
static enum err segment_check_start(struct segment_check *check, int64_t from_offset)
{
	struct segment *segment = check->segment;
	struct index_entry entry = {0, 0};
	uint32_t good = 0, time_good = 0;
	int64_t time_size = 0;
	enum err err = ERR_NONE;

	check->last_time = (struct time_entry){-1, -1};
	if (from_offset <= segment->base)
		return ERR_NONE;
	err = index_check(check->fs, check->index, segment->base, check->file_size, INT64_MAX, &good);
	if (!err && good)
		err = index_count_offset(check->fs, check->index, segment->base, good, from_offset - 1,
					 &check->kept_n);
	if (!err && check->kept_n)
		err = index_read(check->fs, check->index, segment->base, check->kept_n - 1, &entry);
	if (err || check->kept_n == 0)
		return err;
	if (!segment_check_entry(check, &entry)) {
		log_warn("log.index_wrong", "log=%s segment=%lld entry=%u", check->load->name,
			 (long long)segment->base,
			 check->kept_n - 1);
		check->kept_n = 0;
		return ERR_NONE;
	}
	check->start = entry.pos;
	err = time_index_check(check->fs, check->time_index, segment->base, INT64_MAX, &time_good);
	if (!err)
		err = check->fs->ops->file_size(check->fs, check->time_index, &time_size);
	if (!err)
		err = time_index_count_offset(check->fs, check->time_index, segment->base, time_good,
					      entry.offset,
					      &check->time_kept_n);
	if (!err && check->time_kept_n)
		err = time_index_read(check->fs, check->time_index, segment->base, check->time_kept_n - 1,
				      &check->last_time);
	if (err)
		return err;
	segment->max_timestamp_ms = check->last_time.timestamp_ms;
	segment->max_timestamp_offset = check->last_time.offset;
	/* Entries of the time index are written before their partners of the index. Where it was damaged all
	 * the same the greatest timestamp before the entry is not known. */
	if (check->time_kept_n == 0 || time_size % TIME_ENTRY_LEN) {
		check->kept_n = check->time_kept_n = 0;
		check->start = 0;
		check->last_time = (struct time_entry){-1, -1};
		segment->max_timestamp_ms = segment->max_timestamp_offset = -1;
	}
	return ERR_NONE;
}

/* What an append does to the indexes, see log_append.c. */
static void segment_check_count(struct segment_check *check, const struct batch_info *info, int64_t pos)
{
	struct segment *segment = check->segment;

	if (info->max_timestamp > segment->max_timestamp_ms) {
		segment->max_timestamp_ms = info->max_timestamp;
		segment->max_timestamp_offset = info->last_offset;
	}
	if (check->bytes_since_index > check->load->index_interval_bytes) {
		struct index_entry entry = {info->last_offset, pos};
		struct time_entry time = {segment->max_timestamp_ms, segment->max_timestamp_offset};

		vec_push(&check->entries, entry);
		if (time.timestamp_ms > check->last_time.timestamp_ms) {
			vec_push(&check->times, time);
			check->last_time = time;
		}
		check->bytes_since_index = 0;
	}
	check->bytes_since_index += (int64_t)info->size;
}

/* Offsets lie outside the checksum. They ascend within the segment; behind the recovery point of a log that we wrote no
 * compaction has been, and there is no gap. */
static bool segment_check_offsets(const struct segment_check *check, const struct batch_info *info, int64_t pos,
				  int64_t next, int64_t crc_from)
{
	const struct segment *segment = check->segment;
	enum log_dir_stop stop = check->load->stop;
	bool is_first = pos == check->free_pos;

	if (!batch_is_between(info, next, check->end_max) || info->last_offset - segment->base > INT32_MAX)
		return false;
	if (info->magic < BATCH_MAGIC_NOW)
		return true;
	if (!is_first && stop == LOG_DIR_KILLED && check->is_last)
		return info->base_offset == next || info->last_offset < check->load->recovery_point;
	if (!is_first && stop == LOG_DIR_POWER_CUT && next >= crc_from)
		return info->base_offset == next;
	/* Of a log that was closed the end is known: a gap that leads beyond it, where without it there is room, is
	 * none of a compaction. */
	if (stop == LOG_DIR_CLEAN && check->is_last && check->load->truncate_to == INT64_MAX)
		return info->base_offset == next || info->last_offset < check->load->recovery_point ||
		       next + info->last_offset_delta >= check->load->recovery_point;
	return true;
}

/* What the walk knows of the last good batch, should the next one show that it was none. */
struct walk_last {
	struct segment before; /* the segment without it */
	int64_t pos, next;     /* of it; expected there */
	int64_t gap;           /* offsets it left out; 0 where damage is before it */
	int64_t bytes_since_index;
	size_t entries_n, times_n;
	struct time_entry last_time;
};

static void walk_keep(const struct segment_check *check, const struct batch_info *info, int64_t pos, int64_t next,
		      struct walk_last *ret)
{
	int64_t gap = pos == check->free_pos ? 0 : info->base_offset - next;

	*ret = (struct walk_last){*check->segment, pos, next, gap, check->bytes_since_index, check->entries.n,
				  check->times.n, check->last_time};
}

/* The batch begins below the end of the last one, which left offsets out; without that gap it would begin right behind:
 * the last one is not where it belongs. */
static bool walk_blames_last(const struct walk_last *last, const struct batch_info *info, int64_t next)
{
	return last->gap > 0 && info->base_offset < next && info->base_offset == next - last->gap;
}

static void walk_back(struct segment_check *check, const struct walk_last *last)
{
	*check->segment = last->before;
	check->bytes_since_index = last->bytes_since_index;
	check->entries.n = last->entries_n;
	check->times.n = last->times_n;
	check->last_time = last->last_time;
}

/* The scan stands at a bad batch. A process that is killed leaves one torn write at most, with nothing behind it, and
 * one that ends in order none: where good batches follow, the disk has damaged it. So it has in a segment that is
 * trusted, whose indexes would else end there and hide what follows from queries by time. */
static bool walk_pass_over(struct segment_check *check, struct batch_scan *scan)
{
	struct log_load *load = check->load;
	int64_t bad = check->segment->size, next = check->segment->next_offset;

	if (load->is_strict || (!check->is_trusted && (log_load_is_suspect(load) || !check->is_last)))
		return false;
	/* Where the one before it ends is not known yet. */
	if (check->start > 0 && check->segment->size == check->start)
		return false;
	/* What followed was good, and is not of this place. */
	if (bad == check->bad_pos)
		return false;
	check->bad_pos = bad;
	scan->pos = bad;
	scan->is_bad = true;
	if (!pass_over(scan, next, check->end_max))
		return false;
	log_error("log.damaged",
		  "code=ML1075 log=%s file=%s/%020lld.log position=%lld text=\"a batch behind offset %lld is damaged, "
		  "and what follows at position %lld is not: it stays, and only the damage is not served\"",
		  load->name, load->path, (long long)check->segment->base, (long long)bad, (long long)(next - 1),
		  (long long)scan->pos);
	check->free_pos = scan->pos;
	/* Readers find the first one behind by the index. */
	check->bytes_since_index = INT64_MAX / 2;
	load->has_damage = load->has_damage || check->is_last;
	return true;
}

static enum err segment_check_walk(struct segment_check *check, int64_t crc_from, bool *ret_is_bad)
{
	struct segment *segment = check->segment;
	struct batch_scan scan;
	struct batch_info info;
	struct walk_last last = {0};
	int64_t pos, next = segment->base;
	enum err err;

	batch_scan_init(&scan, check->fs, check->log, check->start, check->file_size, false);
	segment->size = check->start;
	check->free_pos = check->start > 0 ? check->start : -1;
	check->bad_pos = -1;
	for (;;) {
		/* A batch cannot be known to reach crc_from before its header is read, so the one that begins
		 * below it is checked too. */
		scan.want_crc = crc_from != INT64_MAX && !FAULT(recover_no_crc);
		if (scan.want_crc && next < crc_from && log_load_is_suspect(check->load))
			scan.want_crc = false;
		if (!batch_scan_next(&scan, &info, &pos)) {
			if (!scan.is_bad || !walk_pass_over(check, &scan))
				break;
			continue;
		}
		if (!segment_check_offsets(check, &info, pos, next, crc_from)) {
			if (walk_blames_last(&last, &info, next))
				walk_back(check, &last);
			next = segment->next_offset;
			if (walk_pass_over(check, &scan))
				continue;
			scan.is_bad = true;
			break;
		}
		walk_keep(check, &info, pos, next, &last);
		if (info.base_offset > next && info.last_offset >= check->load->recovery_point)
			check->load->has_gaps = true;
		next = info.last_offset + 1;
		segment_check_count(check, &info, pos);
		segment->size = scan.pos;
		segment->next_offset = next;
	}
	*ret_is_bad = scan.is_bad;
	err = scan.err;
	batch_scan_deinit(&scan);
	return err;
}

/* The entry that a roll forces: the greatest timestamp of a segment that is not the last must be found in its
 * index. */
static void segment_check_seal(struct segment_check *check)
{
	struct time_entry time = {check->segment->max_timestamp_ms, check->segment->max_timestamp_offset};

	if (time.timestamp_ms <= check->last_time.timestamp_ms)
		return;
	vec_push(&check->times, time);
	check->last_time = time;
}

/* The end is damaged and stays: what the last life wrote of the greatest timestamp may be of what is not readable. */
static enum err segment_check_keep_end_time(struct segment_check *check)
{
	struct segment *segment = check->segment;
	struct time_entry time;
	int64_t size, n;
	enum err err = check->fs->ops->file_size(check->fs, check->time_index, &size);

	n = err ? 0 : size / (int64_t)TIME_ENTRY_LEN;
	if (err || n == 0 || n > UINT32_MAX)
		return err;
	err = time_index_read(check->fs, check->time_index, segment->base, (uint32_t)(n - 1), &time);
	if (!err && time.timestamp_ms > segment->max_timestamp_ms && time.offset >= segment->next_offset &&
	    time.offset < check->load->recovery_point) {
		segment->max_timestamp_ms = time.timestamp_ms;
		segment->max_timestamp_offset = time.offset;
	}
	return err;
}

/* What the last life wrote when it closed the log or made a checkpoint: it need not be done again. */
static enum err segment_check_keep_last_time(struct segment_check *check)
{
	struct time_entry time = {check->segment->max_timestamp_ms, check->segment->max_timestamp_offset}, there;
	int64_t n = (int64_t)check->time_kept_n + (int64_t)check->times.n, size;
	enum err err;

	if (time.timestamp_ms <= check->last_time.timestamp_ms)
		return ERR_NONE;
	err = check->fs->ops->file_size(check->fs, check->time_index, &size);
	if (err || size != (n + 1) * (int64_t)TIME_ENTRY_LEN)
		return err;
	err = time_index_read(check->fs, check->time_index, check->segment->base, (uint32_t)n, &there);
	if (!err && there.timestamp_ms == time.timestamp_ms && there.offset == time.offset)
		segment_check_seal(check);
	return err;
}

/* Where the file holds just that nothing is written: the files of a log that was closed stay as they are. */
static enum err index_write_tail(struct fs *fs, fs_file file, const uint8_t *p, size_t len, int64_t at)
{
	uint8_t *there = mem_alloc(len + 1);
	size_t got = 0;
	int64_t size;
	enum err err = fs_pread(fs, file, there, len, at, 0, &got);
	bool is_same = !err && got == len && memcmp(there, p, len) == 0;

	mem_free(there);
	if (!err && !is_same)
		err = fs_pwrite_all(fs, file, p, len, at);
	if (!err)
		err = fs->ops->file_size(fs, file, &size);
	if (!err && size != at + (int64_t)len)
		err = fs->ops->truncate(fs, file, at + (int64_t)len);
	return err;
}

static enum err segment_check_write(struct segment_check *check)
{
	struct segment *segment = check->segment;
	size_t len = check->entries.n * INDEX_ENTRY_LEN, time_len = check->times.n * TIME_ENTRY_LEN;
	uint8_t *p = mem_alloc(MAX(len, time_len));
	enum err err;

	for (size_t i = 0; i < check->entries.n; i++)
		index_entry_encode(&check->entries.v[i], segment->base, p + i * INDEX_ENTRY_LEN);
	err = index_write_tail(check->fs, check->index, p, len, (int64_t)check->kept_n * INDEX_ENTRY_LEN);
	for (size_t i = 0; i < check->times.n; i++)
		time_entry_encode(&check->times.v[i], segment->base, p + i * TIME_ENTRY_LEN);
	if (!err)
		err = index_write_tail(check->fs, check->time_index, p, time_len,
				       (int64_t)check->time_kept_n * TIME_ENTRY_LEN);
	mem_free(p);
	segment->index_n = check->kept_n + (uint32_t)check->entries.n;
	segment->time_index_n = check->time_kept_n + (uint32_t)check->times.n;
	return err;
}

static enum err segment_check_run(struct segment_check *check, int64_t from_offset, int64_t crc_from,
				  bool *ret_is_bad)
{
	struct segment *segment = check->segment;
	enum err err;

	segment->max_timestamp_ms = segment->max_timestamp_offset = -1;
	segment->next_offset = segment->base;
	check->kept_n = check->time_kept_n = 0;
	check->start = check->bytes_since_index = 0;
	err = segment_check_start(check, from_offset);
	return err ? err : segment_check_walk(check, crc_from, ret_is_bad);
}

enum err log_load_scan(struct log_load *load, struct fs *fs, size_t at, int64_t from_offset, int64_t crc_from,
		       bool *ret_is_bad)
{
	struct segment_check check = {.load = load, .fs = fs, .segment = &load->segments.list.v[at],
				      .log = FS_FILE_NONE, .index = FS_FILE_NONE, .time_index = FS_FILE_NONE};
	enum err err = segment_check_open(&check);

	check.is_last = at + 1 == load->segments.list.n;
	check.is_trusted = crc_from == INT64_MAX && !check.is_last;
	check.end_max = check.is_last ? INT64_MAX : load->segments.list.v[at + 1].base;
	if (!err)
		err = segment_check_run(&check, from_offset, crc_from, ret_is_bad);
	/* The batch of the index entry is itself bad: where the one before it ends only a walk from the start tells. */
	if (!err && *ret_is_bad && check.start > 0 && check.segment->next_offset == check.segment->base)
		err = segment_check_run(&check, check.segment->base, crc_from, ret_is_bad);
	if (!err && *ret_is_bad && log_load_is_end_damaged(load)) {
		err = segment_check_keep_end_time(&check);
		check.is_last = false;
	}
	if (!err && !check.is_last)
		segment_check_seal(&check);
	else if (!err)
		err = segment_check_keep_last_time(&check);
	if (!err)
		err = segment_check_write(&check);
	load->bytes_since_index = check.bytes_since_index;
	load->last_time_ms = check.last_time.timestamp_ms;
	segment_check_close(&check);
	return err;
}
