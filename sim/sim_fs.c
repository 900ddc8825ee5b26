/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator's body of struct fs: each call decides whether it fails, then changes the model of sim_disk.c. Called
 * by node code, so every function leaves the node's memory scope first. Calls take no virtual time; what waits for
 * the disk runs as WORK, which does.
 */
#include <errno.h>

#include "sim_disk_internal.h"

static struct sim_disk *disk_of(struct fs *fs)
{
	return container_of(fs, struct sim_disk, fs);
}

static enum err fail(struct sim_disk *d, enum err err)
{
	/* Codes that never leave this file have no number of their own. */
	if (err == ERR_NOT_FOUND)
		d->last_errno = ENOENT;
	else if (err == ERR_EXISTS)
		d->last_errno = EEXIST;
	else if (err == ERR_DISK_FULL)
		d->last_errno = ENOSPC;
	else if (err == ERR_WOULD_BLOCK)
		d->last_errno = EAGAIN;
	else if (err == ERR_BUSY)
		d->last_errno = EWOULDBLOCK;
	else
		d->last_errno = EIO;
	return err;
}

/* Does the fault set for `op` strike? `path` is NULL for calls on handles. */
static enum err fault_strikes(struct sim_disk *d, enum disk_op op, const char *path, int volume)
{
	struct disk_fault *fault = &d->faults[op];
	enum err err = fault->err ? fault->err : ERR_IO;

	if (disk_volume_fails(d, op, volume))
		return fail(d, ERR_IO);
	if (fault->path && path && !str_starts(str_of(path), str_of(fault->path)))
		return ERR_NONE;
	if (fault->next_n > 0) {
		fault->next_n--;
		return fail(d, err);
	}
	if (fault->ppm && rng_below(&d->w->rng, 1000000) < fault->ppm)
		return fail(d, err);
	return ERR_NONE;
}

static bool is_dying(const struct sim_disk *d)
{
	return d->sn->doom != SIM_DEATH_NONE;
}

/* Before each changing operation: counts it and lets the crash strike. */
static enum err change_begins(struct sim_disk *d, enum disk_op op, const char *path, const struct disk_inode *inode,
			      int volume, bool *ret_strikes)
{
	uint64_t mark[2];

	*ret_strikes = false;
	if (is_dying(d))
		return fail(d, ERR_IO);
	d->changes_n++;
	mark[0] = (uint64_t)op;
	mark[1] = d->changes_n;
	world_hash(d->w, mark, sizeof(mark));
	if (d->crash_in && --d->crash_in == 0) {
		disk_note_struck(d, op, path, inode);
		d->sn->doom = d->crash_death;
		*ret_strikes = true;
		return fail(d, ERR_IO);
	}
	if (d->fail_in && --d->fail_in == 0) {
		disk_note_struck(d, op, path, inode);
		d->is_failing = d->fail_lasts;
		return fail(d, d->fail_err);
	}
	if (d->is_failing && op == DISK_OP_WRITE)
		return fail(d, d->fail_err);
	return fault_strikes(d, op, path, volume);
}

static enum err path_change(struct sim_disk *d, enum disk_op op, const char *path)
{
	bool strikes;

	return change_begins(d, op, path, NULL, disk_volume_of_path(d, path), &strikes);
}

static enum err file_change(struct sim_disk *d, enum disk_op op, const struct disk_inode *inode)
{
	bool strikes;

	return change_begins(d, op, NULL, inode, inode->volume, &strikes);
}

static struct disk_handle *handle_of(struct sim_disk *d, fs_file file)
{
	struct disk_handle *handle = map_get_u64(&d->handles, (uint64_t)file);

	CHECK(handle); /* a file that was closed, or never opened */
	return handle;
}

static fs_file handle_new(struct sim_disk *d, struct disk_inode *inode, bool can_write)
{
	struct disk_handle *handle = MEM_NEW(struct disk_handle);

	handle->inode = inode;
	handle->can_write = can_write;
	inode->opens_n++;
	map_put_u64(&d->handles, d->handle_next, handle);
	return (fs_file)d->handle_next++;
}

static enum err open_create(struct sim_disk *d, const char *path, struct disk_inode **ret)
{
	struct str name;
	struct disk_inode *dir = disk_find_parent(d, str_of(path), &name);
	enum err err;

	if (!dir || !dir->is_dir)
		return fail(d, ERR_NOT_FOUND);
	err = path_change(d, DISK_OP_NAMES, path);
	if (err)
		return err;
	/* A full disk sometimes has room for one more inode. */
	if (disk_room_of(d, dir->volume) <= 0 && world_chance(d->w, 1, 2))
		return fail(d, ERR_DISK_FULL);
	*ret = disk_inode_new(d, false, dir->volume);
	disk_change_names(d, NULL, STR_NULL, dir, name, *ret);
	disk_name_made(d, path);
	return ERR_NONE;
}

static enum err do_open(struct sim_disk *d, const char *path, int flags, fs_file *ret)
{
	struct disk_inode *inode = disk_find(d, str_of(path));
	enum err err;

	if (is_dying(d))
		return fail(d, ERR_IO);
	err = fault_strikes(d, DISK_OP_OPEN, path, disk_volume_of_path(d, path));
	if (err)
		return err;
	if (inode && (flags & FS_CREATE) && (flags & FS_EXCLUSIVE))
		return fail(d, ERR_EXISTS);
	if (!inode && !(flags & FS_CREATE))
		return fail(d, ERR_NOT_FOUND);
	if (!inode) {
		err = open_create(d, path, &inode);
		if (err)
			return err;
	} else if (inode->is_dir && (flags & FS_WRITE)) {
		return fail(d, ERR_IO);
	} else if ((flags & FS_TRUNCATE) && inode->now.len) {
		err = path_change(d, DISK_OP_TRUNCATE, path);
		if (err)
			return err;
		disk_change_size(d, inode, 0);
	}
	*ret = handle_new(d, inode, flags & FS_WRITE);
	return ERR_NONE;
}

static enum err sim_fs_open(struct fs *fs, const char *path, int flags, fs_file *ret)
{
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = do_open(disk_of(fs), path, flags, ret);

	mem_scope_enter(scope);
	return err;
}

static void sim_fs_close(struct fs *fs, fs_file file)
{
	struct sim_disk *d = disk_of(fs);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct disk_handle *handle = handle_of(d, file);

	map_remove_u64(&d->handles, (uint64_t)file);
	handle->inode->opens_n--;
	if (handle->has_lock)
		handle->inode->is_locked = false;
	disk_inode_released(d, handle->inode);
	mem_free(handle);
	mem_scope_enter(scope);
}

static enum err sim_fs_pread(struct fs *fs, fs_file file, void *p, size_t len, int64_t pos, int flags, size_t *ret_len)
{
	struct sim_disk *d = disk_of(fs);
	const struct disk_inode *inode = handle_of(d, file)->inode;
	enum err err;

	CHECK_OP(pos, >=, 0);
	if (is_dying(d) || inode->is_dir)
		return fail(d, ERR_IO);
	if ((flags & FS_NOWAIT) && len && world_chance(d->w, d->w->opt.nowait_pct, 100))
		return fail(d, ERR_WOULD_BLOCK);
	err = fault_strikes(d, DISK_OP_READ, NULL, inode->volume);
	if (err)
		return err;
	len = (size_t)pos >= inode->now.len ? 0 : MIN(len, inode->now.len - (size_t)pos);
	if (len)
		memcpy(p, inode->now.p + pos, len);
	*ret_len = len;
	return ERR_NONE;
}

static bool sim_fs_is_cached(struct fs *fs, fs_file file, int64_t pos, size_t len)
{
	struct sim_disk *d = disk_of(fs);

	return len == 0 || !world_chance(d->w, d->w->opt.nowait_pct, 100);
}

static void sim_fs_advise(struct fs *fs, fs_file file, int64_t pos, int64_t len, enum fs_advice advice)
{
}

/* Writes the first `max` bytes of what iov names. */
static void write_part(struct sim_disk *d, struct disk_inode *inode, const struct iovec *iov, int iov_n, size_t pos,
		       size_t max)
{
	uint8_t *all = mem_alloc(max);
	size_t len = 0;

	for (int i = 0; i < iov_n && len < max; i++) {
		size_t n = MIN(iov[i].iov_len, max - len);

		if (n)
			memcpy(all + len, iov[i].iov_base, n);
		len += n;
	}
	if (len)
		disk_change_data(d, inode, pos, all, len);
	mem_free(all);
}

static enum err do_pwritev(struct sim_disk *d, fs_file file, const struct iovec *iov, int iov_n, int64_t pos,
			   size_t *ret_len)
{
	struct disk_handle *handle = handle_of(d, file);
	struct disk_inode *inode = handle->inode;
	size_t len = 0, fits;
	int64_t room;
	bool strikes;
	enum err err;

	CHECK_OP(pos, >=, 0);
	CHECK(handle->can_write);
	for (int i = 0; i < iov_n; i++)
		len += iov[i].iov_len;
	*ret_len = 0;
	if (is_dying(d))
		return fail(d, ERR_IO);
	err = change_begins(d, DISK_OP_WRITE, NULL, inode, inode->volume, &strikes);
	if (err) {
		/* Some of it may have got there; of a dying process nobody learns how much. */
		fits = len && world_chance(d->w, 1, 2) ? (size_t)rng_below(&d->w->rng, len) : 0;
		write_part(d, inode, iov, iov_n, (size_t)pos, fits);
		*ret_len = strikes ? 0 : fits;
		return err;
	}
	room = disk_room_of(d, inode->volume) + disk_inode_bytes(inode) - pos;
	fits = room <= 0 ? 0 : MIN(len, (size_t)room);
	if ((size_t)pos + len <= (size_t)disk_inode_bytes(inode))
		fits = len; /* no new space */
	write_part(d, inode, iov, iov_n, (size_t)pos, fits);
	*ret_len = fits;
	return fits == len ? ERR_NONE : fail(d, ERR_DISK_FULL);
}

static enum err sim_fs_pwritev(struct fs *fs, fs_file file, const struct iovec *iov, int iov_n, int64_t pos,
			       size_t *ret_len)
{
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = do_pwritev(disk_of(fs), file, iov, iov_n, pos, ret_len);

	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_sync(struct fs *fs, fs_file file)
{
	struct sim_disk *d = disk_of(fs);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct disk_inode *inode = handle_of(d, file)->inode;
	enum err err = file_change(d, DISK_OP_SYNC, inode);

	if (err && !is_dying(d))
		disk_lose_changes(inode);
	else if (!err && inode->is_dir)
		disk_keep_names(d, inode);
	else if (!err)
		disk_keep_data(inode);
	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_sync_all(struct fs *fs, fs_file file)
{
	struct sim_disk *d = disk_of(fs);
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = file_change(d, DISK_OP_SYNC, handle_of(d, file)->inode);

	list_for_each(link, tmp, &d->inodes) {
		struct disk_inode *inode = list_entry(link, struct disk_inode, link);

		if (inode->volume != handle_of(d, file)->inode->volume)
			continue;
		if (err && !is_dying(d))
			disk_lose_changes(inode);
		else if (!err)
			disk_keep_data(inode);
	}
	if (!err)
		disk_keep_volume_names(d, handle_of(d, file)->inode->volume);
	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_sync_dir(struct fs *fs, const char *path)
{
	struct sim_disk *d = disk_of(fs);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct disk_inode *dir = disk_find(d, str_of(path));
	enum err err = dir && dir->is_dir ? path_change(d, DISK_OP_SYNC, path) : fail(d, ERR_NOT_FOUND);

	if (!err)
		disk_keep_names(d, dir);
	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_truncate(struct fs *fs, fs_file file, int64_t size)
{
	struct sim_disk *d = disk_of(fs);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct disk_handle *handle = handle_of(d, file);
	enum err err = file_change(d, DISK_OP_TRUNCATE, handle->inode);

	CHECK(handle->can_write);
	CHECK_OP(size, >=, 0);
	if (!err)
		disk_change_size(d, handle->inode, (size_t)size);
	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_reserve(struct fs *fs, fs_file file, int64_t size)
{
	struct sim_disk *d = disk_of(fs);
	struct mem_scope *scope = mem_scope_enter(NULL);
	struct disk_inode *inode = handle_of(d, file)->inode;
	int64_t more = size - disk_inode_bytes(inode);
	enum err err = file_change(d, DISK_OP_TRUNCATE, inode);

	if (!err && more > 0 && more > disk_room_of(d, inode->volume))
		err = fail(d, ERR_DISK_FULL);
	if (!err && more > 0) {
		disk_use(d, inode, more);
		inode->reserved = size;
	}
	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_file_size(struct fs *fs, fs_file file, int64_t *ret)
{
	struct sim_disk *d = disk_of(fs);

	if (is_dying(d))
		return fail(d, ERR_IO);
	*ret = (int64_t)handle_of(d, file)->inode->now.len;
	return ERR_NONE;
}

static enum err sim_fs_set_mtime(struct fs *fs, fs_file file, int64_t ms)
{
	struct sim_disk *d = disk_of(fs);

	if (is_dying(d))
		return fail(d, ERR_IO);
	handle_of(d, file)->inode->mtime_ms = ms;
	return ERR_NONE;
}

static enum err sim_fs_stat(struct fs *fs, const char *path, struct fs_stat *ret)
{
	struct sim_disk *d = disk_of(fs);
	const struct disk_inode *inode = disk_find(d, str_of(path));
	enum err err = is_dying(d) ? fail(d, ERR_IO)
				   : fault_strikes(d, DISK_OP_OPEN, path, disk_volume_of_path(d, path));

	if (err)
		return err;
	if (!inode)
		return fail(d, ERR_NOT_FOUND);
	*ret = (struct fs_stat){
		.kind = inode->is_dir ? FS_KIND_DIR : FS_KIND_FILE,
		.size = (int64_t)inode->now.len,
		.mtime_ms = inode->mtime_ms,
		.disk_bytes = disk_inode_bytes(inode),
	};
	return ERR_NONE;
}

static enum err do_rename(struct sim_disk *d, const char *from, const char *to)
{
	struct str from_name, to_name;
	struct disk_inode *from_dir = disk_find_parent(d, str_of(from), &from_name);
	struct disk_inode *to_dir = disk_find_parent(d, str_of(to), &to_name);
	struct disk_inode *inode = disk_find(d, str_of(from));
	struct disk_inode *there = disk_find(d, str_of(to));
	enum err err;

	if (!from_dir || !to_dir || !inode)
		return fail(d, ERR_NOT_FOUND);
	if (from_dir->volume != to_dir->volume || inode->volume != from_dir->volume)
		return fail(d, ERR_IO); /* other disks */
	if (there == inode)
		return ERR_NONE;
	if (there && (there->is_dir != inode->is_dir || there->names.entries.n))
		return fail(d, ERR_EXISTS);
	err = path_change(d, DISK_OP_NAMES, from);
	if (err)
		return err;
	disk_change_names(d, from_dir, from_name, to_dir, to_name, inode);
	disk_name_made(d, to);
	return ERR_NONE;
}

static enum err sim_fs_rename(struct fs *fs, const char *from, const char *to)
{
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = do_rename(disk_of(fs), from, to);

	mem_scope_enter(scope);
	return err;
}

static enum err do_remove(struct sim_disk *d, const char *path, bool is_dir)
{
	struct str name;
	struct disk_inode *dir = disk_find_parent(d, str_of(path), &name);
	struct disk_inode *inode = disk_find(d, str_of(path));
	enum err err;

	if (!dir || !inode)
		return fail(d, ERR_NOT_FOUND);
	if (inode->is_dir != is_dir || inode->names.entries.n)
		return fail(d, ERR_IO);
	err = path_change(d, DISK_OP_NAMES, path);
	if (err)
		return err;
	disk_change_names(d, dir, name, NULL, STR_NULL, inode);
	return ERR_NONE;
}

static enum err sim_fs_unlink(struct fs *fs, const char *path)
{
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = do_remove(disk_of(fs), path, false);

	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_rmdir(struct fs *fs, const char *path)
{
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = do_remove(disk_of(fs), path, true);

	mem_scope_enter(scope);
	return err;
}

static enum err do_mkdir(struct sim_disk *d, const char *path)
{
	struct str name;
	struct disk_inode *dir = disk_find_parent(d, str_of(path), &name);
	enum err err;
	int volume;

	if (disk_find(d, str_of(path)))
		return fail(d, ERR_EXISTS);
	if (!dir || !dir->is_dir)
		return fail(d, ERR_NOT_FOUND);
	err = path_change(d, DISK_OP_NAMES, path);
	if (err)
		return err;
	volume = dir == d->root ? disk_volume_of(d, name) : dir->volume;
	disk_change_names(d, NULL, STR_NULL, dir, name, disk_inode_new(d, true, volume));
	return ERR_NONE;
}

static enum err sim_fs_mkdir(struct fs *fs, const char *path)
{
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = do_mkdir(disk_of(fs), path);

	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx)
{
	struct sim_disk *d = disk_of(fs);
	const struct disk_inode *dir = disk_find(d, str_of(path));
	enum err err = is_dying(d) ? fail(d, ERR_IO)
				   : fault_strikes(d, DISK_OP_OPEN, path, disk_volume_of_path(d, path));
	struct mem_scope *scope;
	VEC(struct disk_entry) entries = {0};
	bool goes_on = true;

	if (err)
		return err;
	if (!dir || !dir->is_dir)
		return fail(d, ERR_NOT_FOUND);
	/* A copy: fn may remove what it sees. */
	scope = mem_scope_enter(NULL);
	for (size_t i = 0; i < dir->names.entries.n; i++) {
		struct disk_entry entry = dir->names.entries.v[i];

		entry.name = mem_strdup_n(entry.name, strlen(entry.name));
		vec_push(&entries, entry);
	}
	mem_scope_enter(scope);
	for (size_t i = 0; i < entries.n; i++) {
		enum fs_kind kind = entries.v[i].inode->is_dir ? FS_KIND_DIR : FS_KIND_FILE;

		goes_on = goes_on && fn(ctx, entries.v[i].name, kind);
		mem_free(entries.v[i].name);
	}
	mem_free(entries.v);
	return ERR_NONE;
}

static enum err sim_fs_space(struct fs *fs, const char *path, struct fs_space *ret)
{
	struct sim_disk *d = disk_of(fs);

	int volume = disk_volume_of_path(d, path);

	if (is_dying(d) || d->volumes[volume].fault == DISK_DIR_GONE)
		return fail(d, ERR_IO);
	ret->total = MIN(d->capacity, d->volumes[volume].capacity);
	ret->usable = MAX(disk_room_of(d, volume), INT64_C(0));
	return ERR_NONE;
}

static enum err do_lock(struct sim_disk *d, const char *path, fs_file *ret)
{
	struct disk_handle *handle;
	fs_file file;
	enum err err = do_open(d, path, FS_WRITE | FS_CREATE, &file);

	if (err)
		return err;
	handle = handle_of(d, file);
	if (handle->inode->is_locked) {
		sim_fs_close(&d->fs, file);
		return fail(d, ERR_BUSY);
	}
	handle->inode->is_locked = true;
	handle->has_lock = true;
	*ret = file;
	return ERR_NONE;
}

static enum err sim_fs_lock(struct fs *fs, const char *path, fs_file *ret)
{
	struct mem_scope *scope = mem_scope_enter(NULL);
	enum err err = do_lock(disk_of(fs), path, ret);

	mem_scope_enter(scope);
	return err;
}

static enum err sim_fs_boot_id(struct fs *fs, char ret[37])
{
	struct sim_disk *d = disk_of(fs);

	memcpy(ret, d->boot_id, sizeof(d->boot_id));
	return ERR_NONE;
}

static int sim_fs_last_errno(struct fs *fs)
{
	return disk_of(fs)->last_errno;
}

const struct fs_ops disk_fs_ops = {
	.open = sim_fs_open,
	.close = sim_fs_close,
	.pread = sim_fs_pread,
	.is_cached = sim_fs_is_cached,
	.advise = sim_fs_advise,
	.pwritev = sim_fs_pwritev,
	.sync = sim_fs_sync,
	.sync_all = sim_fs_sync_all,
	.sync_dir = sim_fs_sync_dir,
	.truncate = sim_fs_truncate,
	.reserve = sim_fs_reserve,
	.file_size = sim_fs_file_size,
	.set_mtime = sim_fs_set_mtime,
	.stat = sim_fs_stat,
	.rename = sim_fs_rename,
	.unlink = sim_fs_unlink,
	.mkdir = sim_fs_mkdir,
	.rmdir = sim_fs_rmdir,
	.list = sim_fs_list,
	.space = sim_fs_space,
	.lock = sim_fs_lock,
	.boot_id = sim_fs_boot_id,
	.last_errno = sim_fs_last_errno,
};
