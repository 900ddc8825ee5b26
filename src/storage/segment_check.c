/* SPDX-License-Identifier: Apache-2.0 */
/* See segment_check.h. */
#include "segment_check.h"

#include "batch_scan.h"
#include "index_file.h"

struct check_index {
	fs_file file;
	uint32_t at, n;
};

static void check_index_open(const struct segment_check *check, struct fs *fs, struct check_index *ret)
{
	int64_t size;

	*ret = (struct check_index){.file = FS_FILE_NONE};
	if (segment_open_file(fs, check->dir, check->segment.base, ".index", FS_READ, &ret->file)) {
		ret->file = FS_FILE_NONE;
		return;
	}
	if (!fs->ops->file_size(fs, ret->file, &size))
		ret->n = (uint32_t)MIN((int64_t)check->segment.index_n, size / INDEX_ENTRY_LEN);
}

/* The first place behind pos that the index knows; the end of the segment when it knows none. */
static int64_t check_index_behind(const struct segment_check *check, struct fs *fs, struct check_index *index,
				  int64_t pos)
{
	struct index_entry entry;

	for (; index->at < index->n; index->at++) {
		if (index_read(fs, index->file, check->segment.base, index->at, &entry))
			break;
		if (entry.pos > pos)
			return MIN(entry.pos, check->segment.size);
	}
	return check->segment.size;
}

/* Where the batch behind the one at pos may begin. */
static int64_t check_behind(const struct segment_check *check, struct fs *fs, const struct batch_scan *scan,
			    struct check_index *index, int64_t pos)
{
	int64_t behind = check_index_behind(check, fs, index, pos);
	uint8_t head[BATCH_HEADER_LEN];
	struct batch_info info;
	size_t got;

	if (fs_pread(fs, scan->file, head, sizeof(head), pos, FS_WAIT, &got) ||
	    batch_parse((struct bytes){head, got}, &info))
		return behind;
	return MIN(behind, pos + (int64_t)info.size);
}

/* The checksum does not cover the base offset: whether the batch can be of this place. is_first: of a check that begins
 * with an offset that is wanted. */
static bool check_is_misplaced(const struct segment_check *check, const struct batch_info *info, bool is_first)
{
	if (info->base_offset < check->segment.base || info->last_offset >= check->segment.next_offset)
		return true;
	return (is_first ? info->last_offset : info->base_offset) < check->next_offset;
}

/* The scan stands at a damaged batch: takes it to behind the next good one. */
static void check_pass_over(struct segment_check *check, struct fs *fs, struct batch_scan *scan)
{
	struct log_bad *bad = &check->found[check->found_n++];
	int64_t pos = scan->pos, good_pos;
	struct check_index index;
	struct batch_info info;

	*bad = (struct log_bad){check->segment.base, pos, check->segment.size, check->next_offset,
				check->segment.next_offset, false};
	check_index_open(check, fs, &index);
	for (;;) {
		pos = check_behind(check, fs, scan, &index, pos);
		scan->pos = pos;
		scan->is_bad = false;
		if (!batch_scan_next(scan, &info, &good_pos)) {
			if (scan->err || pos >= check->segment.size)
				break;
			continue;
		}
		if (check_is_misplaced(check, &info, false))
			continue;
		bad->end_pos = good_pos;
		bad->end_offset = info.base_offset;
		check->next_offset = info.last_offset + 1;
		break;
	}
	fs_close(fs, index.file);
}

/* The last good batch. */
struct check_last {
	int64_t pos;
	int64_t expected;   /* next_offset before it */
	bool may_be_behind; /* it left offsets out, or nobody knows: its own offset may be too high */
};

/* A batch that begins below next_offset is in its place when the one before was not. */
static bool check_doubts_last(const struct segment_check *check, const struct check_last *last, int64_t base_offset)
{
	return last->may_be_behind && base_offset < check->next_offset && base_offset >= check->segment.base;
}

/* What follows the last batch is looked at by the next check, but tells about this one. */
static bool check_next_doubts(const struct segment_check *check, struct fs *fs, const struct batch_scan *scan,
			      const struct check_last *last)
{
	uint8_t head[BATCH_HEADER_LEN];
	struct batch_info info;
	size_t got;

	return last->may_be_behind && scan->pos < check->segment.size &&
	       !fs_pread(fs, scan->file, head, sizeof(head), scan->pos, FS_WAIT, &got) &&
	       !batch_parse((struct bytes){head, got}, &info) && check_doubts_last(check, last, info.base_offset);
}

static void check_back_to(struct segment_check *check, struct batch_scan *scan, struct check_last *last)
{
	scan->pos = last->pos;
	scan->is_bad = true;
	check->next_offset = last->expected;
	last->may_be_behind = false;
}

enum err segment_check_run(struct segment_check *check, struct fs *fs, fs_file log, int64_t bytes)
{
	int64_t begin = check->pos, pos;
	struct check_last last = {.pos = begin};
	struct batch_scan scan;
	struct batch_info info;
	enum err err;

	check->found_n = 0;
	batch_scan_init(&scan, fs, log, begin, check->segment.size, true);
	while (scan.pos - begin < bytes && !scan.err && check->found_n < SEGMENT_CHECK_FOUND_MAX) {
		bool is_found = batch_scan_next(&scan, &info, &pos);
		bool is_first = is_found && check->is_wanted && pos == begin;

		if (is_found && pos != begin && check_doubts_last(check, &last, info.base_offset)) {
			check_back_to(check, &scan, &last);
		} else if (is_found && check_is_misplaced(check, &info, is_first)) {
			scan.pos = pos;
			scan.is_bad = true;
		} else if (is_found) {
			last = (struct check_last){pos, check->next_offset,
						   info.base_offset > check->next_offset ||
							   (is_first && (pos > 0 ||
									 info.base_offset > check->segment.base))};
			check->next_offset = info.last_offset + 1;
			if (scan.pos - begin < bytes || !check_next_doubts(check, fs, &scan, &last))
				continue;
			check_back_to(check, &scan, &last);
		}
		if (!scan.is_bad)
			break;
		last.may_be_behind = false;
		check_pass_over(check, fs, &scan);
	}
	err = scan.err;
	check->pos = scan.pos;
	batch_scan_deinit(&scan);
	return err;
}
