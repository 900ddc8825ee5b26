/* SPDX-License-Identifier: Apache-2.0 */
/* What of a log that was opened must be brought to the disk at once. See log_load.h. */
#include "log_dir.h"
#include "log_load_internal.h"
#include "mem.h"

#define REWRITE_BYTES MIB(1)

/* Writes the bytes from `pos` to the file's end once more. A file that is not there needs none. */
static enum err load_rewrite_file(struct log_load *load, struct fs *fs, int64_t base, const char *suffix, int64_t pos)
{
	uint8_t *bytes;
	int64_t size = 0;
	fs_file file;
	enum err err = segment_open_file(fs, load->path, base, suffix, FS_WRITE, &file);

	if (err)
		return err == ERR_NOT_FOUND ? ERR_NONE : err;
	bytes = mem_alloc(REWRITE_BYTES);
	err = fs->ops->file_size(fs, file, &size);
	while (!err && pos < size) {
		size_t len = (size_t)MIN(size - pos, (int64_t)REWRITE_BYTES), read_len = 0;

		err = fs_pread(fs, file, bytes, len, pos, FS_WAIT, &read_len);
		if (!err && read_len < len)
			err = ERR_CORRUPT_FILE;
		if (!err)
			err = fs_pwrite_all(fs, file, bytes, len, pos);
		pos += (int64_t)len;
	}
	mem_free(bytes);
	fs_close(fs, file);
	return err;
}

/* Their names bear the offsets they are of, the newest snapshot's also one within a segment. */
static enum err load_rewrite_small(struct log_load *load, struct fs *fs)
{
	static const char *const suffixes[] = {".index", ".timeindex", ".txnindex", ".snapshot"};
	enum err err = ERR_NONE;

	for (size_t i = 0; i < load->segments.list.n; i++) {
		const struct segment *segment = &load->segments.list.v[i];

		/* Also of the segment that was rolled right at the recovery point. */
		for (size_t k = 0; !err && segment->next_offset >= load->recovery_point && k < ARRAY_N(suffixes); k++)
			err = load_rewrite_file(load, fs, segment->base, suffixes[k], 0);
	}
	if (!err && load->snapshot_offset >= load->recovery_point)
		err = load_rewrite_file(load, fs, load->snapshot_offset, ".snapshot", 0);
	return err;
}

enum err load_rewrite_tail(struct log_load *load, struct fs *fs)
{
	enum err err = ERR_NONE;

	if (!load->rewrites_tail || load->stop == LOG_DIR_CLEAN || load->truncate_to != INT64_MAX)
		return ERR_NONE;
	for (size_t i = 0; !err && i < load->segments.list.n; i++) {
		const struct segment *segment = &load->segments.list.v[i];

		if (segment->base >= load->recovery_base)
			err = load_rewrite_file(load, fs, segment->base, ".log",
						segment->base == load->recovery_base ? load->recovery_pos : 0);
	}
	return err || !load->has_lost_syncs ? err : load_rewrite_small(load, fs);
}

enum err load_sync_segment(struct log_load *load, struct fs *fs, const struct segment *segment)
{
	static const char *const suffixes[] = {".log", ".index", ".timeindex"};
	enum err err = ERR_NONE;

	for (size_t i = 0; !err && i < ARRAY_N(suffixes); i++) {
		fs_file file;

		err = segment_open_file(fs, load->path, segment->base, suffixes[i], FS_WRITE, &file);
		if (err)
			return err;
		err = fs_sync(fs, file);
		fs_close(fs, file);
		if (err)
			log_dir_note_lost_sync(load->dir_path, fs);
	}
	return err;
}

enum err load_settle_gaps(struct log_load *load, struct fs *fs)
{
	bool has_gaps = load->has_gaps && load->stop == LOG_DIR_UNKNOWN;
	enum err err = ERR_NONE;

	if (load->recovery_point == load->end || (!has_gaps && !load->has_damage))
		return ERR_NONE;
	for (size_t i = 0; !err && i < load->segments.list.n; i++) {
		if (load->segments.list.v[i].base >= load->recovery_base)
			err = load_sync_segment(load, fs, &load->segments.list.v[i]);
	}
	if (!err)
		err = fs->ops->sync_dir(fs, load->path);
	if (err)
		return err;
	load->recovery_point = load->end;
	load->recovery_base = load->segments.list.v[load->segments.list.n - 1].base;
	load->recovery_pos = load->segments.list.v[load->segments.list.n - 1].size;
	return ERR_NONE;
}
