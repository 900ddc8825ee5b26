/* SPDX-License-Identifier: Apache-2.0 */
/* See dir_copy.h. */
#include "dir_copy.h"

#include <inttypes.h>
#include <stdio.h>

#include "fault.h"
#include "fmt.h"
#include "mem.h"
#include "segment.h"

#define COPY_BUF_LEN ((size_t)KIB(256))

struct names {
	VEC(char *) list;
};

static bool names_add(void *ctx, const char *name, enum fs_kind kind)
{
	struct names *names = ctx;

	if (kind == FS_KIND_FILE)
		vec_push(&names->list, mem_strdup_n(name, strlen(name)));
	return true;
}

static void names_deinit(struct names *names)
{
	for (size_t i = 0; i < names->list.n; i++)
		mem_free(names->list.v[i]);
	vec_deinit(&names->list);
}

static bool path_of(char ret[FS_PATH_MAX], const char *dir, const char *name)
{
	int len = snprintf(ret, FS_PATH_MAX, "%s/%s", dir, name);

	return len > 0 && len < FS_PATH_MAX;
}

/* [at, end) of one open file to another. */
static enum err copy_range(struct fs *fs, fs_file from, fs_file to, int64_t at, int64_t end)
{
	uint8_t *buf = mem_alloc(COPY_BUF_LEN);
	enum err err = ERR_NONE;

	while (!err && at < end) {
		size_t want = (size_t)MIN(end - at, (int64_t)COPY_BUF_LEN), got;

		err = fs_pread(fs, from, buf, want, at, FS_WAIT, &got);
		if (!err && got == 0)
			err = ERR_CORRUPT_FILE; /* shorter than it was */
		if (!err)
			err = fs_pwrite_all(fs, to, buf, got, at);
		at += err ? 0 : (int64_t)got;
	}
	mem_free(buf);
	return err;
}

/* Brings `to` to `size` bytes of `from`, at most bytes_max of them now. Synced when anything changed. */
static enum err copy_file(struct fs *fs, const char *from_path, const char *to_path, int64_t size, int64_t bytes_max,
			  bool anew, int64_t *ret_bytes)
{
	fs_file from, to;
	int64_t have = 0, end;
	enum err err = fs_open(fs, from_path, FS_READ, &from);

	*ret_bytes = 0;
	if (err)
		return err;
	err = fs_open(fs, to_path, FS_WRITE | FS_CREATE | (anew ? FS_TRUNCATE : 0), &to);
	if (err) {
		fs_close(fs, from);
		return err;
	}
	err = fs->ops->file_size(fs, to, &have);
	if (!err && size < 0)
		err = fs->ops->file_size(fs, from, &size);
	if (!err && have > size) {
		err = fs->ops->truncate(fs, to, size);
		have = size;
	}
	end = MIN(size, have + bytes_max);
	if (!err)
		err = copy_range(fs, from, to, have, end);
	if (!err && (anew || end > have))
		err = fs_sync(fs, to);
	fs_close(fs, to);
	fs_close(fs, from);
	if (!err)
		*ret_bytes = end - have;
	return err;
}

/* "<20 digits>.log" */
static bool name_is_log(const char *name, int64_t *ret_base)
{
	struct str suffix;

	return segment_parse_name(str_of(name), ret_base, &suffix) && str_eq_c(suffix, ".log");
}

static enum err copy_segment(struct dir_copy *copy, struct fs *fs, const char *name, int64_t base, bool *ret_done)
{
	char from[FS_PATH_MAX], to[FS_PATH_MAX];
	struct fs_stat have = {0}, there;
	int64_t size, bytes;
	enum err err;

	*ret_done = true;
	if (!path_of(from, copy->from, name) || !path_of(to, copy->to, name))
		return ERR_TOO_LARGE;
	err = fs->ops->stat(fs, from, &there);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_NONE : err;
	size = base == copy->bound.segment_base ? copy->bound.file_pos : there.size;
	err = fs->ops->stat(fs, to, &have);
	if (!err && have.size >= size)
		return ERR_NONE;
	err = copy_file(fs, from, to, size, copy->bytes_max - copy->bytes, false, &bytes);
	copy->bytes += bytes;
	*ret_done = have.size + bytes >= size;
	return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

enum err dir_copy_piece(struct dir_copy *copy, struct fs *fs)
{
	struct names names = {0};
	bool is_done = true;
	enum err err = fs->ops->mkdir(fs, copy->to);

	copy->bytes = 0;
	copy->is_complete = false;
	if (err == ERR_EXISTS)
		err = ERR_NONE;
	if (!err)
		err = fs->ops->list(fs, copy->from, names_add, &names);
	for (size_t i = 0; !err && is_done && i < names.list.n; i++) {
		int64_t base;

		if (!name_is_log(names.list.v[i], &base) || base > copy->bound.segment_base)
			continue;
		copy->offset = base;
		if (copy->bytes >= copy->bytes_max)
			is_done = false;
		else
			err = copy_segment(copy, fs, names.list.v[i], base, &is_done);
	}
	names_deinit(&names);
	if (!err && is_done) {
		copy->is_complete = true;
		copy->offset = copy->bound.offset;
	}
	return err;
}

/* What retention took from the old place after it was copied. */
static enum err copy_remove_others(struct fs *fs, const struct names *from, const char *to)
{
	struct names there = {0};
	char path[FS_PATH_MAX];
	enum err err = fs->ops->list(fs, to, names_add, &there);

	for (size_t i = 0; !err && i < there.list.n; i++) {
		bool found = false;

		for (size_t k = 0; !found && k < from->list.n; k++)
			found = strcmp(there.list.v[i], from->list.v[k]) == 0;
		if (!found && path_of(path, to, there.list.v[i]))
			err = fs->ops->unlink(fs, path);
	}
	names_deinit(&there);
	return err;
}

/* What is on its way out, or was never finished. */
static bool name_is_passing(const char *name)
{
	static const char *const suffixes[] = {".deleted", ".tmp", ".cleaned"};
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_N(suffixes); i++) {
		size_t suffix_len = strlen(suffixes[i]);

		if (len > suffix_len && strcmp(name + len - suffix_len, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static enum err copy_mark(struct fs *fs, const char *to, const struct dir_mark *mark)
{
	char path[FS_PATH_MAX], text[64];
	int len = snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 "\n", mark->log_start, mark->end);

	if (!path_of(path, to, MOVED_FILE))
		return ERR_TOO_LARGE;
	return fs_write_atomic(fs, path, (struct bytes){(const uint8_t *)text, (size_t)len});
}

bool dir_copy_is_marked(struct fs *fs, const char *dir, struct dir_mark *ret)
{
	char path[FS_PATH_MAX];
	const char *space;
	size_t len, first;
	char *p;

	if (!path_of(path, dir, MOVED_FILE) || fs_read_all(fs, path, 64, &p, &len))
		return false;
	*ret = (struct dir_mark){-1, -1};
	space = memchr(p, ' ', len);
	first = space ? (size_t)(space - p) : 0;
	if (!space || p[len - 1] != '\n' || parse_i64((struct str){p, first}, &ret->log_start) ||
	    parse_i64((struct str){space + 1, len - first - 2}, &ret->end))
		*ret = (struct dir_mark){-1, -1};
	mem_free(p);
	return true;
}

enum err dir_copy_unmark(struct fs *fs, const char *dir)
{
	char path[FS_PATH_MAX];
	enum err err = path_of(path, dir, MOVED_FILE) ? fs->ops->unlink(fs, path) : ERR_TOO_LARGE;

	return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

enum err dir_copy_rest(struct fs *fs, const char *from, const char *to, const struct dir_mark *mark)
{
	struct names names = {0};
	char from_path[FS_PATH_MAX], to_path[FS_PATH_MAX];
	enum err err = fs->ops->mkdir(fs, to);

	if (err == ERR_EXISTS)
		err = ERR_NONE;
	if (!err)
		err = dir_copy_unmark(fs, from); /* of a move before this one */
	if (!err)
		err = fs->ops->sync_dir(fs, from);
	if (!err)
		err = fs->ops->list(fs, from, names_add, &names);
	if (!err)
		err = copy_remove_others(fs, &names, to);
	for (size_t i = 0; !err && i < names.list.n; i++) {
		int64_t base, bytes;

		if (name_is_passing(names.list.v[i]) || (FAULT(move_early) && name_is_log(names.list.v[i], &base)))
			continue;
		if (!path_of(from_path, from, names.list.v[i]) || !path_of(to_path, to, names.list.v[i]))
			err = ERR_TOO_LARGE;
		else
			err = copy_file(fs, from_path, to_path, -1, INT64_MAX / 2,
					!name_is_log(names.list.v[i], &base), &bytes);
	}
	names_deinit(&names);
	if (!err)
		err = copy_mark(fs, to, mark);
	return err ? err : fs->ops->sync_dir(fs, to);
}

enum err dir_copy_rename(struct fs *fs, const char *from_dir, const char *to_dir, const char *future, const char *name,
			 const char *away)
{
	char a[FS_PATH_MAX], b[FS_PATH_MAX];
	enum err err;

	if (!path_of(a, to_dir, future) || !path_of(b, to_dir, name))
		return ERR_TOO_LARGE;
	err = fs->ops->rename(fs, a, b);
	if (!err)
		err = fs->ops->sync_dir(fs, to_dir);
	if (!err && path_of(a, from_dir, name) && path_of(b, from_dir, away))
		err = fs->ops->rename(fs, a, b);
	return err ? err : fs->ops->sync_dir(fs, from_dir);
}
