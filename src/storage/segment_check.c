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

/* The header at pos, read apart from the scan; false when it is none. */
static bool check_peek(const struct segment_check *check, struct fs *fs, const struct batch_scan *scan, int64_t pos,
		       struct batch_info *ret)
{
	uint8_t head[BATCH_HEADER_LEN];
	size_t got;

	return pos < check->segment.size && !fs_pread(fs, scan->file, head, sizeof(head), pos, FS_WAIT, &got) &&
	       !batch_parse((struct bytes){head, got}, ret);
}

/* Where the batch behind the one at pos may begin. */
static int64_t check_behind(const struct segment_check *check, struct fs *fs, const struct batch_scan *scan,
			    struct check_index *index, int64_t pos)
{
	int64_t behind = check_index_behind(check, fs, index, pos);
	struct batch_info info;

	return check_peek(check, fs, scan, pos, &info) ? MIN(behind, pos + (int64_t)info.size) : behind;
}

/* The checksum does not cover the base offset: whether the batch can be of this place. is_first: of a check that begins
 * with an offset that is wanted. */
static bool check_is_misplaced(const struct segment_check *check, const struct batch_info *info, bool is_first)
{
	int64_t next = is_first ? check->segment.base : MAX(check->segment.base, check->next_offset);

	return !batch_is_between(info, next, check->segment.next_offset) || info->last_offset < check->next_offset;
}

/* ---- epochs ---- */

void segment_check_set_epochs(struct segment_check *check, const struct epoch_cache *epochs)
{
	size_t n = epochs->entries.n, i = 0;

	while (i + 1 < n && epochs->entries.v[i + 1].start_offset <= check->segment.base)
		i++;
	/* And the first one behind. */
	for (; i < n; i++) {
		vec_push(&check->epochs.entries, epochs->entries.v[i]);
		if (epochs->entries.v[i].start_offset >= check->segment.next_offset)
			break;
	}
}

void segment_check_deinit(struct segment_check *check)
{
	epoch_cache_deinit(&check->epochs);
}

/* Whether the log knows another epoch than the batch says, and none is missing there that could be it. A batch is of
 * one epoch, but the log may begin within it. */
static bool check_epoch_differs(const struct segment_check *check, const struct batch_info *info)
{
	const struct epoch_cache *epochs = &check->epochs;
	size_t at = 0;

	if (info->magic < BATCH_MAGIC_NOW || info->leader_epoch == NO_LEADER_EPOCH)
		return false;
	while (at < epochs->entries.n && epochs->entries.v[at].start_offset <= info->last_offset)
		at++;
	if (epochs->entries.n == 0)
		return info->leader_epoch < NO_LEADER_EPOCH;
	/* Of what lies below the first one only so much is known. */
	if (at == 0)
		return info->leader_epoch < NO_LEADER_EPOCH || info->leader_epoch > epochs->entries.v[0].epoch;
	if (info->leader_epoch <= epochs->entries.v[at - 1].epoch)
		return info->leader_epoch < epochs->entries.v[at - 1].epoch;
	return at == epochs->entries.n || info->leader_epoch >= epochs->entries.v[at].epoch;
}

/* wrong_epoch: of the batch before, when it differed as well; -1. The scan stands behind the batch. */
static bool check_is_epoch_wrong(const struct segment_check *check, struct fs *fs, const struct batch_scan *scan,
				 const struct batch_info *info, int32_t *wrong_epoch)
{
	int32_t before = *wrong_epoch;
	struct batch_info next;

	*wrong_epoch = -1;
	if (!check_epoch_differs(check, info))
		return false;
	if (before != info->leader_epoch &&
	    (!check_peek(check, fs, scan, scan->pos, &next) || next.leader_epoch != info->leader_epoch ||
	     !check_epoch_differs(check, &next)))
		return true;
	*wrong_epoch = info->leader_epoch;
	return false;
}

/* ---- places ---- */

/* The scan stands at a damaged batch: takes it to behind the next good one from min_pos on. */
static void check_pass_over(struct segment_check *check, struct fs *fs, struct batch_scan *scan, int64_t min_pos)
{
	struct log_bad *bad = &check->found[check->found_n++];
	int64_t pos = scan->pos, good_pos;
	struct check_index index;
	struct batch_info info;
	int32_t wrong_epoch = -1;

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
		if (good_pos < min_pos || check_is_misplaced(check, &info, false) ||
		    check_is_epoch_wrong(check, fs, scan, &info, &wrong_epoch))
			continue;
		bad->end_pos = good_pos;
		bad->end_offset = info.base_offset;
		check->next_offset = info.last_offset + 1;
		check->batches_n++;
		if (check->see)
			check->see(check, &info, good_pos);
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

/* Two batches overlap when one of them is not where it belongs. */
enum check_overlap {
	OVERLAP_NONE, /* or the later one is it: no doubt falls on the last */
	OVERLAP_LAST,
	OVERLAP_BOTH, /* nobody knows which */
};

/* The batch that ends at end_pos begins below next_offset: which of it and the last is it? Where one of them fits what
 * comes behind, to the offset, it is the other. */
static enum check_overlap check_overlap(const struct segment_check *check, struct fs *fs, const struct batch_scan *scan,
					const struct check_last *last, const struct batch_info *info, int64_t end_pos)
{
	int64_t behind = check->segment.next_offset;
	struct batch_info next;

	if (!last->may_be_behind || info->base_offset >= check->next_offset || info->base_offset < check->segment.base)
		return OVERLAP_NONE;
	if (check_peek(check, fs, scan, end_pos, &next))
		behind = next.base_offset;
	if (info->last_offset + 1 == behind)
		return OVERLAP_LAST;
	return check->next_offset + info->last_offset_delta + 1 == behind ? OVERLAP_NONE : OVERLAP_BOTH;
}

/* What follows the last batch is looked at by the next check, but tells about this one. *ret_end_pos: its end. */
static enum check_overlap check_next_overlaps(const struct segment_check *check, struct fs *fs,
					      const struct batch_scan *scan, const struct check_last *last,
					      int64_t *ret_end_pos)
{
	struct batch_info info;

	if (!last->may_be_behind || !check_peek(check, fs, scan, scan->pos, &info))
		return OVERLAP_NONE;
	*ret_end_pos = scan->pos + (int64_t)info.size;
	return check_overlap(check, fs, scan, last, &info, *ret_end_pos);
}

static void check_back_to(struct segment_check *check, struct batch_scan *scan, struct check_last *last)
{
	scan->pos = last->pos;
	scan->is_bad = true;
	check->next_offset = last->expected;
	last->may_be_behind = false;
}

bool segment_check_aborts(struct producer_state *open, const struct batch_info *batch, struct aborted_txn *ret)
{
	bool aborts;

	if (!batch_is_transactional(batch) || batch->records_n == 0)
		return false;
	aborts = producer_state_aborts(open, batch, ret);
	producer_state_append(open, batch, NULL);
	producer_state_settle(open, batch->last_offset + 1);
	return aborts;
}

enum err segment_check_run(struct segment_check *check, struct fs *fs, fs_file log, int64_t bytes)
{
	int64_t begin = check->pos, pos;
	struct check_last last = {.pos = begin};
	int32_t wrong_epoch = -1;
	struct batch_scan scan;
	struct batch_info info;
	enum err err;

	check->found_n = 0;
	check->batches_n = 0;
	batch_scan_init(&scan, fs, log, begin, check->segment.size, true);
	while (scan.pos - begin < bytes && !scan.err && check->found_n < SEGMENT_CHECK_FOUND_MAX) {
		bool is_found = batch_scan_next(&scan, &info, &pos);
		bool is_first = is_found && check->is_wanted && pos == begin;
		enum check_overlap overlap = OVERLAP_NONE;
		int64_t end_pos = scan.pos;

		if (is_found && pos != begin)
			overlap = check_overlap(check, fs, &scan, &last, &info, end_pos);
		if (is_found && overlap == OVERLAP_NONE &&
		    (check_is_misplaced(check, &info, is_first) ||
		     check_is_epoch_wrong(check, fs, &scan, &info, &wrong_epoch))) {
			scan.pos = pos;
			scan.is_bad = true;
		} else if (is_found && overlap == OVERLAP_NONE) {
			last = (struct check_last){pos, check->next_offset,
						   info.base_offset > check->next_offset ||
							   (is_first && (pos > 0 ||
									 info.base_offset > check->segment.base))};
			check->next_offset = info.last_offset + 1;
			check->batches_n++;
			if (check->see)
				check->see(check, &info, pos);
			if (scan.pos - begin >= bytes)
				overlap = check_next_overlaps(check, fs, &scan, &last, &end_pos);
			if (overlap == OVERLAP_NONE)
				continue;
		}
		if (overlap != OVERLAP_NONE)
			check_back_to(check, &scan, &last);
		if (!scan.is_bad)
			break;
		last.may_be_behind = false;
		check_pass_over(check, fs, &scan, overlap == OVERLAP_BOTH ? end_pos : 0);
	}
	err = scan.err;
	check->pos = scan.pos;
	batch_scan_deinit(&scan);
	return err;
}
