/* SPDX-License-Identifier: Apache-2.0 */
/* Names of segment files and the search for a batch, see segment.h. */
#include "segment.h"

#include <inttypes.h>
#include <stdio.h>

#include "batch_scan.h"
#include "fmt.h"
#include "index_file.h"
#include "mem.h"

#define SEGMENT_DIGITS 20

bool segment_path(char ret[FS_PATH_MAX], const char *dir, int64_t base, const char *suffix)
{
	int len = snprintf(ret, FS_PATH_MAX, "%s/%020" PRId64 "%s", dir, base, suffix);

	return len > 0 && len < FS_PATH_MAX;
}

bool segment_parse_name(struct str name, int64_t *ret_base, struct str *ret_suffix)
{
	if (name.len <= SEGMENT_DIGITS || name.p[SEGMENT_DIGITS] != '.')
		return false;
	for (size_t i = 0; i < SEGMENT_DIGITS; i++) {
		if (name.p[i] < '0' || name.p[i] > '9')
			return false;
	}
	if (parse_i64((struct str){name.p, SEGMENT_DIGITS}, ret_base))
		return false;
	*ret_suffix = (struct str){name.p + SEGMENT_DIGITS, name.len - SEGMENT_DIGITS};
	return true;
}

enum err segment_open_file(struct fs *fs, const char *dir, int64_t base, const char *suffix, int flags,
			   fs_file *ret)
{
	char path[FS_PATH_MAX];

	if (!segment_path(path, dir, base, suffix))
		return ERR_TOO_LARGE;
	return fs_open(fs, path, flags, ret);
}

enum err segment_unlink(struct fs *fs, const char *dir, int64_t base)
{
	static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};
	char path[FS_PATH_MAX];

	for (size_t i = 0; i < ARRAY_N(suffixes); i++) {
		enum err err;

		if (!segment_path(path, dir, base, suffixes[i]))
			return ERR_TOO_LARGE;
		err = fs->ops->unlink(fs, path);
		if (err && err != ERR_NOT_FOUND)
			return err;
	}
	return ERR_NONE;
}

/* The last index entry below `offset`: from its batch on, walking headers finds the one that holds it. pos 0: the
 * start of the segment. */
static enum err segment_find_start(struct fs *fs, const char *dir, const struct segment *segment, int64_t offset,
				   int64_t limit, struct index_entry *ret)
{
	fs_file file;
	int64_t size;
	uint32_t n = 0;
	struct index_entry entry = {0, 0};
	enum err err = segment_open_file(fs, dir, segment->base, ".index", FS_READ, &file);

	*ret = (struct index_entry){-1, 0};
	if (err == ERR_NOT_FOUND)
		return ERR_NONE;
	if (err)
		return err;
	err = fs->ops->file_size(fs, file, &size);
	if (!err)
		err = index_count_offset(fs, file, segment->base,
					 (uint32_t)MIN((int64_t)segment->index_n, size / INDEX_ENTRY_LEN),
					 offset - 1, &n);
	if (!err && n)
		err = index_read(fs, file, segment->base, n - 1, &entry);
	fs_close(fs, file);
	if (!err && n && entry.pos > 0 && entry.pos < limit)
		*ret = entry;
	return err;
}

bool segment_is_good_at(struct fs *fs, fs_file log, int64_t pos, int64_t limit)
{
	struct batch_scan scan;
	struct batch_info info;
	bool is_good;

	batch_scan_init(&scan, fs, log, pos, limit, true);
	is_good = batch_scan_next(&scan, &info, &pos);
	batch_scan_deinit(&scan);
	return is_good;
}

/* ERR_CORRUPT_FILE also when the entry is wrong: the batch there must end with its offset (-1: whichever). */
static enum err segment_walk(struct fs *fs, fs_file log, struct index_entry start, const struct segment *segment,
			     int64_t offset, int64_t limit, struct segment_hit *ret)
{
	/* A start looks for the end of a segment whose next offset it does not know yet. */
	bool is_end_known = segment->next_offset > offset;
	int64_t next_offset = MAX(segment->base, start.offset);
	int64_t before_pos = -1, before_next = next_offset;
	struct batch_scan scan;
	struct segment_hit hit;
	enum err err = ERR_NOT_FOUND;

	batch_scan_init(&scan, fs, log, start.pos, limit, false);
	while (batch_scan_next(&scan, &hit.info, &hit.pos)) {
		bool is_start = start.pos > 0 && hit.pos == start.pos;

		hit.info.bytes = BYTES_NULL;
		if (is_start && start.offset >= 0 && hit.info.last_offset != start.offset) {
			err = ERR_CORRUPT_FILE;
			break;
		}
		/* No checksum covers the base offset: one that went back is damage, of a segment whose end is known. */
		if (is_end_known && (hit.info.last_offset >= segment->next_offset ||
				     (!is_start && hit.info.base_offset < next_offset))) {
			scan.pos = hit.pos;
			scan.is_bad = true;
			break;
		}
		/* Where the offset lies between two batches, the first may only say that it ends before. */
		if (before_pos >= 0 && hit.info.base_offset > offset &&
		    !segment_is_good_at(fs, log, before_pos, limit)) {
			scan.pos = before_pos;
			scan.is_bad = true;
			next_offset = before_next;
			break;
		}
		before_pos = hit.pos;
		before_next = next_offset;
		next_offset = hit.info.last_offset + 1;
		if (next_offset <= offset)
			continue;
		*ret = hit;
		err = ERR_NONE;
		break;
	}
	/* Or that the segment does. */
	if (err == ERR_NOT_FOUND && !scan.err && !scan.is_bad && is_end_known && before_pos >= 0 &&
	    !segment_is_good_at(fs, log, before_pos, limit)) {
		scan.pos = before_pos;
		scan.is_bad = true;
		next_offset = before_next;
	}
	if (scan.err) {
		err = scan.err;
	} else if (scan.is_bad) {
		*ret = (struct segment_hit){.info.base_offset = next_offset, .pos = scan.pos};
		err = ERR_CORRUPT_FILE;
	}
	batch_scan_deinit(&scan);
	return err;
}

enum err segment_find_behind(struct fs *fs, const struct segment *segment, fs_file log, int64_t pos, int64_t offset,
			     int64_t limit, struct segment_hit *ret)
{
	return segment_walk(fs, log, (struct index_entry){-1, pos}, segment, offset, limit, ret);
}

enum err segment_find(struct fs *fs, const char *dir, const struct segment *segment, fs_file log,
		      int64_t offset,
		      int64_t limit, struct segment_hit *ret)
{
	struct index_entry start;
	enum err err = segment_find_start(fs, dir, segment, offset, limit, &start);

	if (err)
		return err;
	err = segment_walk(fs, log, start, segment, offset, limit, ret);
	/* A wrong index entry leads anywhere: the log itself decides. */
	if (err == ERR_CORRUPT_FILE && start.pos > 0)
		err = segment_walk(fs, log, (struct index_entry){-1, 0}, segment, offset, limit, ret);
	return err;
}
