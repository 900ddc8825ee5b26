/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a log that is opened: whose it is, what lies in it, what a compaction left. See
 * log_load.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch_scan.h"
#include "checkpoint.h"
#include "fault.h"
#include "log.h"
#include "log_dir.h"
#include "log_load_internal.h"
#include "mem.h"

#define METADATA_FILE "partition.metadata"
#define SMALL_FILE_MAX KIB(64)

bool load_path(const struct log_load *load, const char *name, char ret[FS_PATH_MAX])
{
	int len = snprintf(ret, FS_PATH_MAX, "%s/%s", load->path, name);

	return len > 0 && len < FS_PATH_MAX;
}

void log_names_deinit(struct log_names *names)
{
	for (size_t i = 0; i < names->remove.n; i++)
		mem_free(names->remove.v[i]);
	for (size_t i = 0; i < names->index_swaps.n; i++)
		mem_free(names->index_swaps.v[i]);
	vec_deinit(&names->logs);
	vec_deinit(&names->indexes);
	vec_deinit(&names->snapshots);
	vec_deinit(&names->txn_indexes);
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
	if (str_eq_c(suffix, ".txnindex"))
		vec_push(&names->txn_indexes, base);
	if (str_eq_c(suffix, ".log"))
		vec_push(&names->logs, base);
	else if (str_eq_c(suffix, ".index") || str_eq_c(suffix, ".timeindex") ||
		 str_eq_c(suffix, ".txnindex"))
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

static enum err load_create_dir(struct log_load *load, struct fs *fs)
{
	enum err err = fs->ops->mkdir(fs, load->path);

	if (err && err != ERR_EXISTS)
		return err;
	load->is_changed = true;
	load->is_fresh = !err && load->log_start <= 0 && load->truncate_to == INT64_MAX;
	/* That of a fresh one comes at the end. */
	return load->is_fresh ? ERR_NONE : fs->ops->sync_dir(fs, load->dir_path);
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
	if (load->is_fresh)
		err = fs_write_renamed(fs, path, partition_metadata_encode(load->topic_id, &arena));
	else
		err = fs_write_atomic(fs, path, partition_metadata_encode(load->topic_id, &arena));
	arena_reset(&arena);
	return err;
}

/* One byte of it is not what it is to be. Two ids that were made at random are never that near. */
static bool load_is_nearly(const struct log_load *load, struct bytes content)
{
	struct arena arena = {0};
	struct bytes want = partition_metadata_encode(load->topic_id, &arena);
	size_t wrong_n = content.len == want.len ? 0 : 2;

	for (size_t i = 0; i < want.len && wrong_n < 2; i++)
		wrong_n += content.p[i] != want.p[i];
	arena_reset(&arena);
	return wrong_n == 1;
}

/* Whose the directory is. ERR_NOT_FOUND: no such file. *ret_is_ours: the file is damaged, but it is known what it has
 * to be; nobody else has a log that is strict. */
static enum err load_read_metadata(struct log_load *load, struct fs *fs, struct uuid *ret, bool *ret_is_ours)
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
	*ret_is_ours = !uuid_is_zero(load->topic_id) && (err || !uuid_eq(*ret, load->topic_id)) &&
		       (load->is_strict || load_is_nearly(load, (struct bytes){(const uint8_t *)p, len}));
	mem_free(p);
	if (*ret_is_ours) {
		log_error("log.metadata_damaged",
			  "code=ML1080 log=%s file=%s text=\"it is damaged and written again: the metadata says "
			  "whose the directory is\"", load->name, path);
		return ERR_NONE;
	}
	if (err)
		return err_text_set(&load->text, err, "%s is damaged", path);
	return ERR_NONE;
}

/* The directory exists afterwards and belongs to the topic id. One of another id is moved out of the way:
 * records of two topics must never mix, and nothing is deleted because somebody else's metadata does not name
 * it. */
enum err load_prepare_dir(struct log_load *load, struct fs *fs)
{
	struct fs_stat stat;
	struct uuid found;
	bool is_ours = false;
	enum err err = fs->ops->stat(fs, load->path, &stat);

	if (err == ERR_NOT_FOUND) {
		err = load_create_dir(load, fs);
		return err ? err : load_write_metadata(load, fs);
	}
	if (err)
		return err;
	err = load_read_metadata(load, fs, &found, &is_ours);
	if (err == ERR_NOT_FOUND || is_ours)
		return load_write_metadata(load, fs);
	if (err)
		return err;
	if (uuid_is_zero(load->topic_id) || uuid_eq(found, load->topic_id) || FAULT(delete_no_id_check))
		return ERR_NONE;
	log_warn("log.stray", "log=%s dir=%s reason=topic_id", load->name, load->dir_path);
	err = log_dir_rename_away(fs, load->dir_path, str_of(load->name), "-stray", load->unique);
	/* What the checkpoints said was about the other one. */
	load->recovery_point = load->log_start = -1;
	if (!err)
		err = load_create_dir(load, fs);
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

/* A compaction that had got as far as .log.swap is finished: the segments it replaces go, it takes their
 * place. */
static enum err load_finish_swap(struct log_load *load, struct fs *fs, struct log_names *names, int64_t base)
{
	char name[64];
	struct batch_scan scan;
	struct batch_info info;
	int64_t pos, size, next = base;
	fs_file file;
	enum err err = segment_open_file(fs, load->path, base, ".log.swap", FS_READ, &file);

	if (err)
		return err;
	err = fs->ops->file_size(fs, file, &size);
	if (!err) {
		/* What it covers is removed: nothing that a damaged header says may be. */
		batch_scan_init(&scan, fs, file, 0, size, true);
		while (batch_scan_next(&scan, &info, &pos) && info.base_offset >= next)
			next = info.last_offset + 1;
		err = scan.err;
		batch_scan_deinit(&scan);
	}
	fs_close(fs, file);
	next = MAX(next, base + 1);
	/* The last segment is never compacted. */
	for (size_t i = 0; !err && i < names->logs.n; i++) {
		if (names->logs.v[i] >= base && names->logs.v[i] < next &&
		    (names->logs.v[i] == base || i + 1 < names->logs.n))
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
			/* Its compaction made several files and had not finished all: the old segments stand.
			 * */
			snprintf(name, sizeof(name), "%020" PRId64 ".log.swap", names->swaps.v[i]);
			err = load_remove_named(load, fs, name);
		}
	}
	for (size_t i = 0; !err && i < names->index_swaps.n; i++) {
		struct str suffix;
		int64_t base = 0;

		if (segment_parse_name(str_of(names->index_swaps.v[i]), &base, &suffix) &&
		    base < names->cleaned_min)
			err = load_rename_swap(load, fs, names->index_swaps.v[i]);
		else
			err = load_remove_named(load, fs, names->index_swaps.v[i]);
	}
	if (!err && (names->remove.n || has_swaps))
		err = fs->ops->sync_dir(fs, load->path);
	return err;
}

/* Lists; when that found a compaction to finish, once more. */
enum err load_list(struct log_load *load, struct fs *fs, struct log_names *names)
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
