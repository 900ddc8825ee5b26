/* SPDX-License-Identifier: Apache-2.0 */
/* What storage and configuration do with whole files and trees, written once over the table of any backend. */
#include "fs.h"

#include <stdio.h>

#include "mem.h"
#include "vec.h"

enum err fs_read_all(struct fs *fs, const char *path, size_t max, char **ret, size_t *ret_len)
{
	fs_file file;
	int64_t size;
	size_t len = 0;
	char *p = NULL;
	enum err err = fs_open(fs, path, FS_READ, &file);

	if (err)
		return err;
	err = fs->ops->file_size(fs, file, &size);
	if (!err && (uint64_t)size > max)
		err = ERR_TOO_LARGE;
	if (!err) {
		p = mem_alloc((size_t)size + 1);
		err = fs_pread(fs, file, p, (size_t)size, 0, FS_WAIT, &len);
	}
	fs_close(fs, file);
	if (err) {
		mem_free(p);
		return err;
	}
	p[len] = '\0';
	*ret = p;
	*ret_len = len;
	return ERR_NONE;
}

/* The directory that holds `path`; false when it does not fit. */
static bool fs_parent(const char *path, char ret[FS_PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len;

	if (!slash) {
		memcpy(ret, ".", 2);
		return true;
	}
	len = slash == path ? 1 : (size_t)(slash - path);
	if (len >= FS_PATH_MAX)
		return false;
	memcpy(ret, path, len);
	ret[len] = '\0';
	return true;
}

enum err fs_sync_parent(struct fs *fs, const char *path)
{
	char parent[FS_PATH_MAX];
	enum err err;

	if (!fs_parent(path, parent))
		return ERR_TOO_LARGE;
	err = fs->ops->sync_dir(fs, parent);
	return err == ERR_ACCESS ? ERR_NONE : err;
}

static enum err fs_write_new(struct fs *fs, const char *path, struct bytes content, bool sync)
{
	char tmp[FS_PATH_MAX];
	fs_file file;
	enum err err;
	int len = snprintf(tmp, sizeof(tmp), "%s.tmp", path);

	if (len < 0 || (size_t)len >= sizeof(tmp))
		return ERR_TOO_LARGE;
	err = fs_open(fs, tmp, FS_WRITE | FS_CREATE | FS_TRUNCATE, &file);
	if (err)
		return err;
	err = fs_pwrite_all(fs, file, content.p, content.len, 0);
	if (!err && sync)
		err = fs_sync(fs, file);
	fs_close(fs, file);
	/* The name may be reused later; what is left does no harm when even this fails. */
	if (err && fs->ops->unlink(fs, tmp))
		return err;
	return err;
}

enum err fs_write_tmp(struct fs *fs, const char *path, struct bytes content)
{
	return fs_write_new(fs, path, content, false);
}

enum err fs_rename_tmp(struct fs *fs, const char *path)
{
	char tmp[FS_PATH_MAX];
	enum err err;
	int len = snprintf(tmp, sizeof(tmp), "%s.tmp", path);

	if (len < 0 || (size_t)len >= sizeof(tmp))
		return ERR_TOO_LARGE;
	err = fs->ops->rename(fs, tmp, path);
	if (err && fs->ops->unlink(fs, tmp))
		return err;
	return err;
}

enum err fs_write_renamed(struct fs *fs, const char *path, struct bytes content)
{
	enum err err = fs_write_new(fs, path, content, true);

	return err ? err : fs_rename_tmp(fs, path);
}

enum err fs_write_atomic(struct fs *fs, const char *path, struct bytes content)
{
	char parent[FS_PATH_MAX];
	enum err err;

	if (!fs_parent(path, parent))
		return ERR_TOO_LARGE;
	err = fs_write_renamed(fs, path, content);
	return err ? err : fs->ops->sync_dir(fs, parent);
}

enum err fs_pwrite_all(struct fs *fs, fs_file file, const void *p, size_t len, int64_t pos)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = len};
	size_t written;

	return len ? fs_pwritev(fs, file, &iov, 1, pos, &written) : ERR_NONE;
}

enum err fs_mkdir_all(struct fs *fs, const char *path)
{
	char part[FS_PATH_MAX];
	size_t len = strlen(path);
	struct fs_stat stat;
	enum err err = ERR_NONE;

	if (len == 0)
		return ERR_NOT_FOUND;
	if (len >= sizeof(part))
		return ERR_TOO_LARGE;
	if (!fs->ops->stat(fs, path, &stat))
		return stat.kind == FS_KIND_DIR ? ERR_NONE : ERR_EXISTS;
	for (size_t i = 1; i <= len; i++) {
		if (i < len && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		err = fs->ops->mkdir(fs, part);
		/* A parent may exist where we could not make it: only the whole path decides. */
		if (err && err != ERR_EXISTS && fs->ops->stat(fs, part, &stat))
			return err;
		err = err ? ERR_NONE : fs_sync_parent(fs, part);
		if (err)
			return err;
	}
	err = fs->ops->stat(fs, path, &stat);
	if (err)
		return err;
	return stat.kind == FS_KIND_DIR ? ERR_NONE : ERR_EXISTS;
}

/* Paths of one walk. The list is made before anything is removed: a listing of a changing directory may repeat. */
struct fs_walk {
	VEC(char *) dirs;  /* parents before children */
	VEC(char *) files; /* of the directory at hand */
	const char *dir;
	bool too_long;
};

static bool fs_walk_entry(void *ctx, const char *name, enum fs_kind kind)
{
	struct fs_walk *walk = ctx;
	size_t dir_len = strlen(walk->dir);
	size_t name_len = strlen(name);
	char *path;

	if (dir_len + 1 + name_len >= FS_PATH_MAX) {
		walk->too_long = true;
		return false;
	}
	path = mem_alloc(dir_len + name_len + 2);
	memcpy(path, walk->dir, dir_len);
	path[dir_len] = '/';
	memcpy(path + dir_len + 1, name, name_len + 1);
	if (kind == FS_KIND_DIR)
		vec_push(&walk->dirs, path);
	else
		vec_push(&walk->files, path);
	return true;
}

static enum err fs_walk_empty_dir(struct fs *fs, struct fs_walk *walk, const char *dir)
{
	enum err err;

	walk->dir = dir;
	err = fs->ops->list(fs, dir, fs_walk_entry, walk);
	if (!err && walk->too_long)
		err = ERR_TOO_LARGE;
	for (size_t i = 0; i < walk->files.n; i++) {
		if (!err)
			err = fs->ops->unlink(fs, walk->files.v[i]);
		mem_free(walk->files.v[i]);
	}
	walk->files.n = 0;
	return err;
}

enum err fs_remove_tree(struct fs *fs, const char *path)
{
	struct fs_walk walk = {0};
	enum err err = ERR_NONE;

	vec_push(&walk.dirs, mem_strdup_n(path, strlen(path)));
	for (size_t i = 0; !err && i < walk.dirs.n; i++)
		err = fs_walk_empty_dir(fs, &walk, walk.dirs.v[i]);
	for (size_t i = walk.dirs.n; i-- > 0;) {
		if (!err)
			err = fs->ops->rmdir(fs, walk.dirs.v[i]);
		mem_free(walk.dirs.v[i]);
	}
	vec_deinit(&walk.dirs);
	vec_deinit(&walk.files);
	return err;
}
