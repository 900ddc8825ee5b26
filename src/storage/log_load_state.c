/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs and producers of a log that is opened: their files, then the headers behind them. See log_load.h. */
#include <inttypes.h>

#include <stdlib.h>

#include "batch_scan.h"
#include "log.h"
#include "log_load_internal.h"
#include "mem.h"

#define EPOCH_FILE "leader-epoch-checkpoint"
#define EPOCH_FILE_MAX MIB(64)
#define SNAPSHOT_FILE_MAX MIB(512)

enum err load_read_epochs(struct log_load *load, struct fs *fs)
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

enum err load_write_epochs(struct log_load *load, struct fs *fs)
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

static int aborted_cmp(const void *a, const void *b)
{
	const struct aborted_txn *x = a, *y = b;

	return (x->last_offset > y->last_offset) - (x->last_offset < y->last_offset);
}

enum err load_aborted(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	size_t n = 0;

	for (size_t i = 0; i < names->txn_indexes.n; i++) {
		enum err err;

		if (!load_is_segment_base(load, names->txn_indexes.v[i]))
			continue;
		err = txn_index_read(fs, load->path, names->txn_indexes.v[i], &load->aborted);
		if (err == ERR_CORRUPT_FILE)
			log_warn("log.txn_index_damaged", "code=ML1074 log=%s segment=%" PRId64, load->name,
				 names->txn_indexes.v[i]);
		else if (err)
			return err;
	}
	/* What a shorter end cut off is no transaction any more. */
	for (size_t i = 0; i < load->aborted.list.n; i++) {
		if (load->aborted.list.v[i].last_offset < load->end)
			load->aborted.list.v[n++] = load->aborted.list.v[i];
	}
	load->aborted.list.n = n;
	if (n)
		qsort(load->aborted.list.v, n, sizeof(struct aborted_txn), aborted_cmp);
	return ERR_NONE;
}

/* The marker of an aborted transaction that no file tells of: the machine went down before it was written. */
static void load_replay_marker(struct log_load *load, const struct batch_info *batch)
{
	struct aborted_txns *aborted = &load->aborted;
	struct aborted_txn txn;
	size_t at = aborted->list.n;

	if (!producer_state_aborts(&load->producers, batch, &txn))
		return;
	while (at > 0 && aborted->list.v[at - 1].last_offset > txn.last_offset)
		at--;
	if (at > 0 && aborted->list.v[at - 1].last_offset == txn.last_offset)
		return;
	vec_push(&aborted->list, txn);
	memmove(&aborted->list.v[at + 1], &aborted->list.v[at], (aborted->list.n - 1 - at) * sizeof(txn));
	aborted->list.v[at] = txn;
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
	err = segment_find(fs, load->path, segment, file, load->producers.map_end_offset, segment->size,
			   &hit);
	if (err) {
		fs_close(fs, file);
		/* Damage below the recovery point keeps nobody from the rest of the log. */
		if (err == ERR_CORRUPT_FILE)
			log_warn("log.damaged", "log=%s segment=%" PRId64, load->name, segment->base);
		return err == ERR_NOT_FOUND || err == ERR_CORRUPT_FILE ? ERR_NONE : err;
	}
	batch_scan_init(&scan, fs, file, hit.pos, segment->size, false);
	while (batch_scan_next(&scan, &hit.info, &hit.pos)) {
		load_replay_marker(load, &hit.info);
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

/* Producers and epochs: from the newest good snapshot that is not beyond the end, then the headers behind it.
 * Snapshots that no start needs any more, and bad ones, are removed. */
enum err load_producers(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	enum err err = ERR_NONE;

	load->snapshot_offset = -1;
	for (size_t i = names->snapshots.n; i-- > 0;) {
		int64_t offset = names->snapshots.v[i];
		bool is_keeper = load_is_segment_base(load, offset) || offset == load->snapshot_keep;

		if (offset <= load->end && offset >= load->log_start && load->snapshot_offset < 0) {
			err = load_read_snapshot(load, fs, offset);
			if (err == ERR_CORRUPT_FILE)
				log_warn("log.snapshot_damaged", "log=%s offset=%" PRId64, load->name,
					 offset);
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
	/* Epochs below a snapshot are in their file. Without the file all headers are read; also when the
	 * start of the log was moved up in the file of epochs, but not in the checkpoint before the crash. */
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
