/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs and producers of a log that is opened: their files, then the headers behind them. See log_load.h. */
#include <inttypes.h>

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

/* One segment's index. Where it is no good, or empty, which no file is that was written to its end, what it said is
 * found again in the log. */
static enum err load_aborted_file(struct log_load *load, struct fs *fs, int64_t base)
{
	size_t n = load->aborted.list.n;
	enum err err = txn_index_read(fs, load->path, base, &load->aborted);

	for (size_t i = n; !err && i < load->aborted.list.n; i++) {
		if (!aborted_txn_is_sane(&load->aborted.list.v[i], base))
			err = ERR_CORRUPT_FILE;
	}
	if (err && err != ERR_CORRUPT_FILE)
		return err;
	if (!err && load->aborted.list.n > n)
		return ERR_NONE;
	if (err)
		log_warn("log.txn_index_damaged", "code=ML1074 log=%s segment=%" PRId64, load->name, base);
	load->aborted.list.n = n;
	if (!load->is_txn_index_bad || base < load->txn_index_bad_base)
		load->txn_index_bad_base = base;
	load->is_txn_index_bad = true;
	return ERR_NONE;
}

enum err load_aborted(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && i < names->txn_indexes.n; i++) {
		if (load_is_segment_base(load, names->txn_indexes.v[i]))
			err = load_aborted_file(load, fs, names->txn_indexes.v[i]);
	}
	if (!err)
		aborted_txns_sort(&load->aborted);
	return err;
}

/* The files are complete below the snapshot (see log_tail.c). What is above, a crash may have torn, and a shorter end
 * cut off: the replay finds it again. */
static void load_aborted_keep(struct log_load *load, int64_t snapshot_offset)
{
	struct aborted_txns *aborted = &load->aborted;

	while (aborted->list.n && aborted->list.v[aborted->list.n - 1].last_offset >= snapshot_offset)
		aborted->list.n--;
}

/* How many of a list, ascending, follow `at` below `to`. */
static size_t aborted_below(const struct aborted_txns *txns, size_t at, int64_t to)
{
	size_t n = 0;

	while (at + n < txns->list.n && txns->list.v[at + n].last_offset < to)
		n++;
	return n;
}

static enum err load_remove_aborted_file(struct log_load *load, struct fs *fs, int64_t base)
{
	char path[FS_PATH_MAX];
	enum err err;

	if (!segment_path(path, load->path, base, ".txnindex"))
		return ERR_TOO_LARGE;
	err = fs->ops->unlink(fs, path);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_NONE : err;
	/* It must not come back below a later snapshot, and be believed. */
	return fs->ops->sync_dir(fs, load->path);
}

static enum err load_write_aborted_file(struct log_load *load, struct fs *fs, int64_t base, size_t at, size_t n)
{
	uint8_t *bytes;
	char path[FS_PATH_MAX];
	enum err err = ERR_TOO_LARGE;

	if (n == 0)
		return load_remove_aborted_file(load, fs, base);
	bytes = mem_alloc(n * TXN_ENTRY_LEN);
	for (size_t i = 0; i < n; i++)
		txn_entry_encode(&load->aborted.list.v[at + i], bytes + i * TXN_ENTRY_LEN);
	if (segment_path(path, load->path, base, ".txnindex"))
		err = fs_write_atomic(fs, path, (struct bytes){bytes, n * TXN_ENTRY_LEN});
	mem_free(bytes);
	return err;
}

/* Brings the files up to what is known now: `before` is what they said. */
static enum err load_write_aborted(struct log_load *load, struct fs *fs, const struct aborted_txns *before)
{
	const struct aborted_txns *now = &load->aborted;
	size_t at = 0, old_at = 0;
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && i < load->segments.list.n; i++) {
		int64_t next = i + 1 < load->segments.list.n ? load->segments.list.v[i + 1].base : INT64_MAX;
		size_t n = aborted_below(now, at, next), old_n = aborted_below(before, old_at, next);
		bool is_same = n == old_n && !(load->is_txn_index_bad &&
					       load->segments.list.v[i].base >= load->txn_index_bad_base);

		if (is_same && n)
			is_same = memcmp(&now->list.v[at], &before->list.v[old_at], n * sizeof(now->list.v[0])) == 0;
		if (!is_same)
			err = load_write_aborted_file(load, fs, load->segments.list.v[i].base, at, n);
		at += n;
		old_at += old_n;
	}
	return err;
}

/* Producers and epochs: from the newest good snapshot that is not beyond the end, nor behind where aborted transactions
 * have to be found again, then the headers behind it.
 * Snapshots that no start needs any more, and bad ones, are removed. */
static enum err load_snapshot(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	bool has_later = false; /* than the end: of what was cut off */
	enum err err = ERR_NONE;

	load->snapshot_offset = -1;
	for (size_t i = names->snapshots.n; i-- > 0;) {
		int64_t offset = names->snapshots.v[i];
		bool is_keeper = load_is_segment_base(load, offset) || offset == load->snapshot_keep;
		bool is_behind = load->is_txn_index_bad && offset > load->txn_index_bad_base;

		if (!is_behind && offset <= load->end && offset >= load->log_start && load->snapshot_offset < 0) {
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
		has_later |= offset > load->end;
	}
	/* One that came back when the log is longer again would be taken for right. */
	err = has_later ? fs->ops->sync_dir(fs, load->path) : ERR_NONE;
	if (err)
		return err;
	/* Epochs below a snapshot are in their file. Without the file all headers are read; also when the
	 * start of the log was moved up in the file of epochs, but not in the checkpoint before the crash. */
	if (load->stop != LOG_DIR_CLEAN && load->end > load->log_start &&
	    (!load->epochs.entries.n || load->epochs.entries.v[0].start_offset > load->log_start)) {
		load->epochs.entries.n = 0;
		load->has_epochs = false;
	}
	if (!load->has_epochs && load->snapshot_offset >= 0) {
		producer_state_truncate_all(&load->producers);
		load->snapshot_offset = -1;
	}
	load->producers.map_end_offset = MAX(load->snapshot_offset, load->log_start);
	return ERR_NONE;
}

enum err load_producers(struct log_load *load, struct fs *fs, const struct log_names *names)
{
	struct aborted_txns before = {0};
	enum err err = load_snapshot(load, fs, names);

	if (err)
		return err;
	for (size_t i = 0; i < load->aborted.list.n; i++)
		vec_push(&before.list, load->aborted.list.v[i]);
	load_aborted_keep(load, load->producers.map_end_offset);
	for (size_t i = 0; !err && i < load->segments.list.n; i++) {
		const struct segment *segment = &load->segments.list.v[i];

		if (segment->next_offset > load->producers.map_end_offset && segment->size > 0)
			err = log_load_replay(load, fs, segment);
	}
	load->producers.map_end_offset = load->end;
	if (!err)
		err = load_write_aborted(load, fs, &before);
	vec_deinit(&before.list);
	return err;
}
