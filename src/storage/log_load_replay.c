/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers and epochs from the headers of a segment, as far as their files do not have them. Only headers are read,
 * or a start would take as long as the log is; and no checksum of them was looked at yet. So what a damaged header
 * could do is noticed by what comes next: a sequence that is not the next, a producer of another kind, an offset
 * that does not follow. Then, and for markers, the batch is looked at whole. A damaged one counts for nothing.
 */
#include <inttypes.h>

#include "batch_scan.h"
#include "log.h"
#include "log_load_internal.h"
#include "segment_check.h"

/* A marker is smaller. */
#define REPLAY_SMALL_MAX 256

/* A batch waits for the header of the next one. */
struct replay {
	struct log_load *load;
	struct fs *fs;
	const struct segment *segment;
	fs_file file;
	struct batch_scan scan;
	int64_t expected;  /* no batch from here on holds an offset below */
	bool is_wanted;    /* but the first may begin before */
	bool has_batch;
	struct batch_info batch;
	int64_t pos;
	uint8_t bytes[REPLAY_SMALL_MAX]; /* of a small one */
	int64_t bad_end_pos, bad_end_offset; /* of the last damage */
};

/* Whether the batch is not what its producer had to write next. */
static bool replay_doubts(const struct producer_state *state, const struct batch_info *batch)
{
	const struct producer_entry *entry;
	bool is_txn = batch_is_transactional(batch);

	if (batch->producer_id < 0)
		return batch->producer_id < NO_PRODUCER_ID || is_txn || batch_is_control(batch);
	entry = producer_table_get(&state->by_id, batch->producer_id);
	if (batch_is_control(batch) || !entry || entry->batches_n == 0)
		return true;
	if (is_txn != (entry->txn_first_offset >= 0 || entry->coordinator_epoch >= 0))
		return true;
	if (batch->producer_epoch != entry->epoch)
		return batch->producer_epoch < entry->epoch || batch->base_sequence != 0;
	return batch->base_sequence != sequence_add(entry->batches[entry->batches_n - 1].last_seq, 1);
}

/* Looks at the batch at pos whole. False: it is damaged; the scan goes on behind. */
static enum err replay_check(struct replay *replay, int64_t pos, bool *ret_good)
{
	struct segment_check check = {.dir = replay->load->path, .segment = *replay->segment, .pos = pos,
				      .next_offset = replay->expected, .is_wanted = replay->is_wanted};
	const struct log_bad *bad = &check.found[0];
	enum err err = segment_check_run(&check, replay->fs, replay->file, 1);

	if (err)
		return err;
	*ret_good = check.found_n == 0 || bad->pos > pos;
	if (*ret_good)
		return ERR_NONE;
	log_warn("log.damaged", "code=ML1075 log=%s file=%s/%020" PRId64 ".log position=%" PRId64 " text=\"what the "
		 "damaged batch said of its producer is left out\"", replay->load->name, replay->load->path,
		 replay->segment->base, bad->pos);
	replay->bad_end_pos = bad->end_pos;
	replay->bad_end_offset = bad->end_offset;
	return ERR_NONE;
}

/* A marker above the snapshot that aborts a transaction. Offsets rise, unless the log lies. */
static void replay_marker(struct log_load *load, const struct batch_info *batch)
{
	struct aborted_txn txn;
	size_t n = load->aborted.list.n;

	if (!producer_state_aborts(&load->producers, batch, &txn))
		return;
	if (n && load->aborted.list.v[n - 1].last_offset >= txn.last_offset)
		return;
	vec_push(&load->aborted.list, txn);
}

/* No checksum covers the epoch. None is above those in the file of a log that was closed, nor above the next one's. */
static void replay_epoch(struct log_load *load, const struct batch_info *batch, const struct batch_info *next)
{
	bool is_known = load->stop == LOG_DIR_CLEAN && load->has_epochs && load->epochs.entries.n > 0 &&
			load->truncate_to == INT64_MAX;

	if (batch->leader_epoch <= epoch_cache_latest(&load->epochs))
		return;
	if (is_known || (next && next->magic == BATCH_MAGIC_NOW && next->leader_epoch >= 0 &&
			 next->leader_epoch < batch->leader_epoch)) {
		log_warn("log.epoch_damaged", "code=ML1075 log=%s offset=%" PRId64 " epoch=%" PRId32, load->name,
			 batch->base_offset, batch->leader_epoch);
		return;
	}
	if (epoch_cache_assign(&load->epochs, batch->leader_epoch, batch->base_offset))
		load->is_changed = true;
}

/* The batch that waits. next: NULL at the end. *ret_good false: it was damaged. */
static enum err replay_take(struct replay *replay, const struct batch_info *next, bool *ret_good)
{
	struct log_load *load = replay->load;
	struct batch_info *batch = &replay->batch;
	int64_t behind = next ? next->base_offset : replay->segment->next_offset;
	enum err err = ERR_NONE;

	*ret_good = true;
	replay->has_batch = false;
	if (batch->base_offset < replay->expected || batch->last_offset + 1 != behind ||
	    replay_doubts(&load->producers, batch))
		err = replay_check(replay, replay->pos, ret_good);
	if (err || !*ret_good)
		return err;
	replay_marker(load, batch);
	producer_state_append(&load->producers, batch, NULL);
	replay_epoch(load, batch, next);
	replay->expected = load->producers.map_end_offset = batch->last_offset + 1;
	replay->is_wanted = false;
	return ERR_NONE;
}

static void replay_keep(struct replay *replay, const struct batch_info *batch, int64_t pos)
{
	replay->has_batch = true;
	replay->batch = *batch;
	replay->pos = pos;
	replay->batch.bytes = BYTES_NULL;
	if (batch->size > sizeof(replay->bytes) || batch->bytes.len != batch->size)
		return;
	memcpy(replay->bytes, batch->bytes.p, batch->size);
	replay->batch.bytes = (struct bytes){replay->bytes, batch->size};
}

/* Goes on behind damage; false at the end. */
static bool replay_pass_over(struct replay *replay)
{
	replay->scan.pos = replay->bad_end_pos;
	replay->scan.is_bad = false;
	replay->expected = MAX(replay->expected, replay->bad_end_offset);
	replay->is_wanted = replay->has_batch = false;
	return replay->bad_end_pos < replay->segment->size;
}

static enum err replay_walk(struct replay *replay)
{
	struct batch_scan *scan = &replay->scan;
	struct batch_info info;
	bool is_good;
	int64_t pos;
	enum err err = ERR_NONE;

	for (;;) {
		bool has_next = batch_scan_next(scan, &info, &pos);

		is_good = true;
		if (scan->err)
			return scan->err;
		if (replay->has_batch)
			err = replay_take(replay, has_next ? &info : NULL, &is_good);
		if (!err && is_good && scan->is_bad)
			err = replay_check(replay, scan->pos, &is_good);
		if (err)
			return err;
		if (!is_good && !replay_pass_over(replay))
			return ERR_NONE;
		if (is_good && !has_next)
			return ERR_NONE;
		if (is_good)
			replay_keep(replay, &info, pos);
	}
}

enum err log_load_replay(struct log_load *load, struct fs *fs, const struct segment *segment)
{
	struct replay replay = {.load = load, .fs = fs, .segment = segment, .is_wanted = true,
				.expected = MAX(load->producers.map_end_offset, segment->base)};
	struct segment_hit hit;
	enum err err = segment_open_file(fs, load->path, segment->base, ".log", FS_READ, &replay.file);

	if (err)
		return err;
	err = segment_find(fs, load->path, segment, replay.file, load->producers.map_end_offset, segment->size, &hit);
	/* The walk meets the damage again. */
	if (err == ERR_CORRUPT_FILE) {
		replay.expected = hit.info.base_offset;
		replay.is_wanted = false;
		err = ERR_NONE;
	}
	if (!err) {
		batch_scan_init(&replay.scan, fs, replay.file, hit.pos, segment->size, false);
		err = replay_walk(&replay);
		batch_scan_deinit(&replay.scan);
	}
	fs_close(fs, replay.file);
	return err == ERR_NOT_FOUND ? ERR_NONE : err;
}
