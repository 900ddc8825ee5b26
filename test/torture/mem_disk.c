/* SPDX-License-Identifier: Apache-2.0 */
/* See mem_disk.h. */
#include "mem_disk.h"

#include <stdio.h>
#include <stdlib.h>

#include "mem.h"

struct mem_inode {
	bool is_dir;
	uint8_t *data, *durable;
	size_t len, durable_len;
	int64_t mtime_ms; /* 0: never set */
};

static struct mem_disk *disk_of(struct fs *fs)
{
	return container_of(fs, struct mem_disk, fs);
}

/* One changing operation; the error it fails with. *ret_part: a write may leave a part of itself. */
static enum err disk_change(struct mem_disk *disk, bool *ret_part)
{
	*ret_part = false;
	if (disk->is_dead)
		return ERR_IO;
	disk->changes++;
	if (disk->changes == disk->crash_at) {
		disk->is_dead = true;
		*ret_part = true;
		return ERR_IO;
	}
	if (disk->changes == disk->fail_at) {
		disk->has_failed = true;
		*ret_part = true;
		return disk->fail_err;
	}
	return ERR_NONE;
}

static size_t names_find(const struct mem_names *names, const char *path, bool *ret_found)
{
	size_t low = 0, high = names->list.n;

	*ret_found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(names->list.v[mid].path, path);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct mem_inode *names_get(const struct mem_names *names, const char *path)
{
	bool found;
	size_t at = names_find(names, path, &found);

	return found ? names->list.v[at].inode : NULL;
}

static void names_put(struct mem_names *names, const char *path, struct mem_inode *inode)
{
	bool found;
	size_t at = names_find(names, path, &found);

	if (found) {
		names->list.v[at].inode = inode;
		return;
	}
	vec_reserve(&names->list, 1);
	memmove(&names->list.v[at + 1], &names->list.v[at], (names->list.n - at) * sizeof(names->list.v[0]));
	names->list.v[at] = (struct mem_name){mem_strdup_n(path, strlen(path)), inode};
	names->list.n++;
}

static void names_remove_at(struct mem_names *names, size_t at)
{
	mem_free(names->list.v[at].path);
	memmove(&names->list.v[at], &names->list.v[at + 1],
		(names->list.n - at - 1) * sizeof(names->list.v[0]));
	names->list.n--;
}

static void names_clear(struct mem_names *names)
{
	while (names->list.n)
		names_remove_at(names, names->list.n - 1);
	vec_deinit(&names->list);
}

/* True when path lies directly in dir. */
static bool is_child(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static struct mem_inode *disk_new_inode(struct mem_disk *disk, bool is_dir)
{
	struct mem_inode *inode = MEM_NEW(struct mem_inode);

	inode->is_dir = is_dir;
	vec_push(&disk->inodes, inode);
	return inode;
}

static enum err mem_open(struct fs *fs, const char *path, int flags, fs_file *ret)
{
	struct mem_disk *disk = disk_of(fs);
	struct mem_inode *inode = names_get(&disk->visible, path);
	bool part;

	if (disk->is_dead)
		return ERR_IO;
	if (!inode && !(flags & FS_CREATE))
		return ERR_NOT_FOUND;
	if (inode && (flags & FS_EXCLUSIVE))
		return ERR_EXISTS;
	if (!inode || ((flags & FS_TRUNCATE) && inode->len)) {
		enum err err = disk_change(disk, &part);

		if (err)
			return err;
	}
	if (!inode) {
		inode = disk_new_inode(disk, false);
		names_put(&disk->visible, path, inode);
	}
	if (flags & FS_TRUNCATE)
		inode->len = 0;
	vec_push(&disk->files, inode);
	*ret = (fs_file)disk->files.n - 1;
	return ERR_NONE;
}

static void mem_close(struct fs *fs, fs_file file)
{
	struct mem_disk *disk = disk_of(fs);

	CHECK(disk->files.v[file]);
	disk->files.v[file] = NULL;
}

static struct mem_inode *inode_of(struct mem_disk *disk, fs_file file)
{
	CHECK_OP(file, <, (fs_file)disk->files.n);
	CHECK(disk->files.v[file]);
	return disk->files.v[file];
}

static enum err mem_pread(struct fs *fs, fs_file file, void *p, size_t len, int64_t pos, int flags,
			  size_t *ret_len)
{
	struct mem_disk *disk = disk_of(fs);
	struct mem_inode *inode = inode_of(disk, file);

	if (disk->is_dead)
		return ERR_IO;
	if ((flags & FS_NOWAIT) && rng_chance(&disk->rng, 1, 3))
		return ERR_WOULD_BLOCK;
	*ret_len = (size_t)pos >= inode->len ? 0 : MIN(len, inode->len - (size_t)pos);
	if (*ret_len)
		memcpy(p, inode->data + pos, *ret_len);
	return ERR_NONE;
}

static bool mem_is_cached(struct fs *fs, fs_file file, int64_t pos, size_t len)
{
	struct mem_disk *disk = disk_of(fs);

	return !rng_chance(&disk->rng, 1, 3);
}

static void mem_advise(struct fs *fs, fs_file file, int64_t pos, int64_t len, enum fs_advice advice)
{
}

static void inode_resize(struct mem_inode *inode, size_t len)
{
	if (len > inode->len) {
		inode->data = mem_realloc(inode->data, len);
		memset(inode->data + inode->len, 0, len - inode->len);
	}
	inode->len = len;
}

static enum err mem_pwritev(struct fs *fs, fs_file file, const struct iovec *iov, int iov_n, int64_t pos,
			    size_t *ret_len)
{
	struct mem_disk *disk = disk_of(fs);
	struct mem_inode *inode = inode_of(disk, file);
	size_t total = 0, done = 0;
	bool part;
	enum err err = disk_change(disk, &part);

	for (int i = 0; i < iov_n; i++)
		total += iov[i].iov_len;
	*ret_len = 0;
	if (!err && disk->capacity && disk->used + (int64_t)total > disk->capacity) {
		err = ERR_DISK_FULL;
		part = true;
	}
	if (err && !part)
		return err;
	if (err)
		total = (size_t)rng_below(&disk->rng, total + 1);
	for (int i = 0; i < iov_n && done < total; i++) {
		size_t n = MIN(iov[i].iov_len, total - done);

		if ((size_t)pos + done + n > inode->len) {
			disk->used += (int64_t)((size_t)pos + done + n - inode->len);
			inode_resize(inode, (size_t)pos + done + n);
		}
		memcpy(inode->data + (size_t)pos + done, iov[i].iov_base, n);
		done += n;
	}
	*ret_len = done;
	return err;
}

static void inode_sync(struct mem_inode *inode)
{
	mem_free(inode->durable);
	inode->durable = mem_alloc(inode->len);
	if (inode->len)
		memcpy(inode->durable, inode->data, inode->len);
	inode->durable_len = inode->len;
}

static enum err mem_sync(struct fs *fs, fs_file file)
{
	struct mem_disk *disk = disk_of(fs);
	bool part;
	enum err err = disk_change(disk, &part);

	if (!err)
		inode_sync(inode_of(disk, file));
	return err;
}

/* The durable names below (or directly in) dir become the visible ones. */
static void names_sync(struct mem_disk *disk, const char *dir)
{
	for (size_t i = disk->durable.list.n; i-- > 0;) {
		if (!dir || is_child(disk->durable.list.v[i].path, dir))
			names_remove_at(&disk->durable, i);
	}
	for (size_t i = 0; i < disk->visible.list.n; i++) {
		if (!dir || is_child(disk->visible.list.v[i].path, dir))
			names_put(&disk->durable, disk->visible.list.v[i].path,
				  disk->visible.list.v[i].inode);
	}
}

static enum err mem_sync_all(struct fs *fs, fs_file file)
{
	struct mem_disk *disk = disk_of(fs);
	bool part;
	enum err err = disk_change(disk, &part);

	if (err)
		return err;
	for (size_t i = 0; i < disk->inodes.n; i++)
		inode_sync(disk->inodes.v[i]);
	names_sync(disk, NULL);
	return ERR_NONE;
}

static enum err mem_sync_dir(struct fs *fs, const char *path)
{
	struct mem_disk *disk = disk_of(fs);
	bool part;
	enum err err = disk_change(disk, &part);

	if (err)
		return err;
	if (!names_get(&disk->visible, path))
		return ERR_NOT_FOUND;
	names_sync(disk, path);
	return ERR_NONE;
}

static enum err mem_truncate(struct fs *fs, fs_file file, int64_t size)
{
	struct mem_disk *disk = disk_of(fs);
	struct mem_inode *inode = inode_of(disk, file);
	bool part;
	enum err err = disk_change(disk, &part);

	if (err)
		return err;
	disk->used += size - (int64_t)inode->len;
	inode_resize(inode, (size_t)size);
	return ERR_NONE;
}

static enum err mem_reserve(struct fs *fs, fs_file file, int64_t size)
{
	return ERR_NOT_SUPPORTED;
}

static enum err mem_file_size(struct fs *fs, fs_file file, int64_t *ret)
{
	struct mem_disk *disk = disk_of(fs);

	if (disk->is_dead)
		return ERR_IO;
	*ret = (int64_t)inode_of(disk, file)->len;
	return ERR_NONE;
}

static enum err mem_set_mtime(struct fs *fs, fs_file file, int64_t ms)
{
	struct mem_disk *disk = disk_of(fs);

	if (disk->is_dead)
		return ERR_IO;
	inode_of(disk, file)->mtime_ms = ms;
	return ERR_NONE;
}

static enum err mem_stat(struct fs *fs, const char *path, struct fs_stat *ret)
{
	struct mem_disk *disk = disk_of(fs);
	struct mem_inode *inode = names_get(&disk->visible, path);

	if (disk->is_dead)
		return ERR_IO;
	if (!inode)
		return ERR_NOT_FOUND;
	*ret = (struct fs_stat){.kind = inode->is_dir ? FS_KIND_DIR : FS_KIND_FILE,
				.size = (int64_t)inode->len,
				.mtime_ms = inode->mtime_ms};
	return ERR_NONE;
}

static enum err mem_rename(struct fs *fs, const char *from, const char *to)
{
	struct mem_disk *disk = disk_of(fs);
	struct mem_names moved = {0};
	size_t from_len = strlen(from);
	bool part;
	enum err err = disk_change(disk, &part);

	if (err)
		return err;
	if (!names_get(&disk->visible, from))
		return ERR_NOT_FOUND;
	for (size_t i = disk->visible.list.n; i-- > 0;) {
		const char *path = disk->visible.list.v[i].path;
		char name[FS_PATH_MAX];

		if (strcmp(path, from) != 0 && !is_below(path, from))
			continue;
		snprintf(name, sizeof(name), "%s%s", to, path + from_len);
		names_put(&moved, name, disk->visible.list.v[i].inode);
		names_remove_at(&disk->visible, i);
	}
	/* What lies below a renamed directory moves with it on the disk too, when the name does. */
	if (moved.list.n > 1) {
		for (size_t i = disk->durable.list.n; i-- > 0;) {
			char name[FS_PATH_MAX];

			if (!is_below(disk->durable.list.v[i].path, from))
				continue;
			snprintf(name, sizeof(name), "%s%s", to, disk->durable.list.v[i].path + from_len);
			names_put(&disk->durable, name, disk->durable.list.v[i].inode);
		}
	}
	for (size_t i = 0; i < moved.list.n; i++)
		names_put(&disk->visible, moved.list.v[i].path, moved.list.v[i].inode);
	names_clear(&moved);
	return ERR_NONE;
}

static enum err mem_remove(struct fs *fs, const char *path)
{
	struct mem_disk *disk = disk_of(fs);
	bool part, found;
	enum err err;
	size_t at = names_find(&disk->visible, path, &found);

	if (disk->is_dead)
		return ERR_IO;
	if (!found)
		return ERR_NOT_FOUND;
	err = disk_change(disk, &part);
	if (err)
		return err;
	disk->used -= (int64_t)disk->visible.list.v[at].inode->len;
	names_remove_at(&disk->visible, at);
	return ERR_NONE;
}

static enum err mem_mkdir(struct fs *fs, const char *path)
{
	struct mem_disk *disk = disk_of(fs);
	bool part;
	enum err err;

	if (names_get(&disk->visible, path))
		return ERR_EXISTS;
	err = disk_change(disk, &part);
	if (!err)
		names_put(&disk->visible, path, disk_new_inode(disk, true));
	return err;
}

static enum err mem_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx)
{
	struct mem_disk *disk = disk_of(fs);

	if (disk->is_dead)
		return ERR_IO;
	if (!names_get(&disk->visible, path))
		return ERR_NOT_FOUND;
	for (size_t i = 0; i < disk->visible.list.n; i++) {
		const struct mem_name *name = &disk->visible.list.v[i];

		if (is_child(name->path, path) &&
		    !fn(ctx, name->path + strlen(path) + 1, name->inode->is_dir ? FS_KIND_DIR : FS_KIND_FILE))
			break;
	}
	return ERR_NONE;
}

static enum err mem_space(struct fs *fs, const char *path, struct fs_space *ret)
{
	struct mem_disk *disk = disk_of(fs);

	*ret = (struct fs_space){MIB(1024), disk->capacity ? disk->capacity - disk->used : MIB(1024)};
	return disk->is_dead ? ERR_IO : ERR_NONE;
}

static enum err mem_lock(struct fs *fs, const char *path, fs_file *ret)
{
	return mem_open(fs, path, FS_WRITE | FS_CREATE, ret);
}

static enum err mem_boot_id(struct fs *fs, char ret[37])
{
	memcpy(ret, "11111111-1111-1111-1111-111111111111", 37);
	return ERR_NONE;
}

static int mem_last_errno(struct fs *fs)
{
	return 0;
}

static const struct fs_ops mem_fs_ops = {
	.open = mem_open,
	.close = mem_close,
	.pread = mem_pread,
	.is_cached = mem_is_cached,
	.advise = mem_advise,
	.pwritev = mem_pwritev,
	.sync = mem_sync,
	.sync_all = mem_sync_all,
	.sync_dir = mem_sync_dir,
	.truncate = mem_truncate,
	.reserve = mem_reserve,
	.file_size = mem_file_size,
	.set_mtime = mem_set_mtime,
	.stat = mem_stat,
	.rename = mem_rename,
	.unlink = mem_remove,
	.mkdir = mem_mkdir,
	.rmdir = mem_remove,
	.list = mem_list,
	.space = mem_space,
	.lock = mem_lock,
	.boot_id = mem_boot_id,
	.last_errno = mem_last_errno,
};

void mem_disk_init(struct mem_disk *disk, uint64_t seed)
{
	*disk = (struct mem_disk){.fs = {&mem_fs_ops}, .now_ns = NS_PER_S};
	mem_disk_init_io(disk);
	rng_init(&disk->rng, seed);
	names_put(&disk->visible, "/d", disk_new_inode(disk, true));
	names_sync(disk, NULL);
}

void mem_disk_deinit(struct mem_disk *disk)
{
	names_clear(&disk->visible);
	names_clear(&disk->durable);
	for (size_t i = 0; i < disk->inodes.n; i++) {
		mem_free(disk->inodes.v[i]->data);
		mem_free(disk->inodes.v[i]->durable);
		mem_free(disk->inodes.v[i]);
	}
	vec_deinit(&disk->inodes);
	vec_deinit(&disk->files);
}

void mem_disk_kill(struct mem_disk *disk)
{
	CHECK(list_is_empty(&disk->submitted));
	disk->files.n = 0;
	disk->is_dead = disk->has_failed = false;
	disk->crash_at = disk->fail_at = 0;
}

/* Of a file: what was synced, then a prefix of what was written behind it, then zeros or nothing. */
static void inode_cut(struct mem_disk *disk, struct mem_inode *inode)
{
	size_t len = inode->durable_len, keep;
	bool rewritten = inode->len < inode->durable_len ||
			 (len && memcmp(inode->data, inode->durable, len) != 0);

	if (rng_chance(&disk->rng, 1, 4)) {
		/* Everything made it. */
	} else if (rewritten || rng_chance(&disk->rng, 1, 4)) {
		inode_resize(inode, len);
		if (len)
			memcpy(inode->data, inode->durable, len);
	} else {
		size_t end = len + (size_t)rng_below(&disk->rng, inode->len - len + 1);

		keep = len + (size_t)rng_below(&disk->rng, end - len + 1);
		if (end > keep)
			memset(inode->data + keep, 0, end - keep);
		inode_resize(inode, end);
	}
	inode_sync(inode);
}

void mem_disk_power_cut(struct mem_disk *disk)
{
	bool keep_names = rng_chance(&disk->rng, 1, 3);

	mem_disk_kill(disk);
	for (size_t i = 0; i < disk->inodes.n; i++) {
		if (!disk->inodes.v[i]->is_dir)
			inode_cut(disk, disk->inodes.v[i]);
	}
	if (!keep_names) {
		names_clear(&disk->visible);
		for (size_t i = 0; i < disk->durable.list.n; i++)
			names_put(&disk->visible, disk->durable.list.v[i].path,
				  disk->durable.list.v[i].inode);
	}
	/* A name in a directory that is not there is not there. */
	for (size_t i = disk->visible.list.n; i-- > 0;) {
		char parent[FS_PATH_MAX];
		char *slash;

		snprintf(parent, sizeof(parent), "%s", disk->visible.list.v[i].path);
		slash = strrchr(parent, '/');
		*slash = '\0';
		if (parent[0] && !names_get(&disk->visible, parent))
			names_remove_at(&disk->visible, i);
	}
	names_sync(disk, NULL);
	disk->used = 0;
	for (size_t i = 0; i < disk->visible.list.n; i++)
		disk->used += (int64_t)disk->visible.list.v[i].inode->len;
}

struct bytes mem_disk_peek(struct mem_disk *disk, const char *path)
{
	struct mem_inode *inode = names_get(&disk->visible, path);

	return inode ? (struct bytes){inode->data ? inode->data : (const uint8_t *)"", inode->len}
		: BYTES_NULL;
}
