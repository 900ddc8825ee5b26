/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files by system calls. A file is its descriptor. There is no state, so every call may come from any thread; after
 * an error the thread's errno still holds the number (close and free keep it).
 */
#include "fs_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mem.h"
#include "vec.h"

#define FS_POSIX_IOV_MAX 64

enum err fs_posix_error(int number)
{
	switch (number) {
	case 0:
		return ERR_NONE;
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
	case ENOTEMPTY:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
		return ERR_ACCESS;
	case EROFS:
		return ERR_READ_ONLY;
	case ENOSPC:
	case EDQUOT:
		return ERR_DISK_FULL;
	case EMFILE:
	case ENFILE:
		return ERR_TOO_MANY_FILES;
	case EAGAIN:
		return ERR_WOULD_BLOCK;
	case EOPNOTSUPP:
		return ERR_NOT_SUPPORTED;
	default:
		return ERR_IO;
	}
}

/* Of a call that returns -1 and sets errno. */
static enum err fs_posix_result(int rc)
{
	return rc < 0 ? fs_posix_error(errno) : ERR_NONE;
}

static void fs_posix_close_fd(int fd)
{
	int number = errno;

	/* Linux frees the descriptor whatever close returns, also on EINTR. */
	close(fd);
	errno = number;
}

static enum err fs_posix_open(struct fs *fs, const char *path, int open_flags, fs_file *ret)
{
	int flags = O_CLOEXEC | (open_flags & FS_WRITE ? O_RDWR : O_RDONLY);
	int fd;

	flags |= open_flags & FS_CREATE ? O_CREAT : 0;
	flags |= open_flags & FS_EXCLUSIVE ? O_EXCL : 0;
	flags |= open_flags & FS_TRUNCATE ? O_TRUNC : 0;
	do
		fd = open(path, flags, 0644);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return fs_posix_error(errno);
	*ret = fd;
	return ERR_NONE;
}

static void fs_posix_close(struct fs *fs, fs_file file)
{
	fs_posix_close_fd((int)file);
}

enum err fs_posix_read_waiting(int fd, void *p, size_t len, int64_t pos, size_t *ret_len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)p + done, len - done, pos + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fs_posix_error(errno);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_len = done;
	return ERR_NONE;
}

/* Some file systems refuse RWF_NOWAIT. One that lives in memory cannot wait; of any other we must assume it. */
static enum err fs_posix_read_unknown_cache(int fd, void *p, size_t len, int64_t pos, size_t *ret_len)
{
	struct statfs st;

	if (fstatfs(fd, &st) == 0 && (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC))
		return fs_posix_read_waiting(fd, p, len, pos, ret_len);
	errno = EAGAIN;
	return ERR_WOULD_BLOCK;
}

enum err fs_posix_read_cached(int fd, void *p, size_t len, int64_t pos, size_t *ret_len)
{
	struct iovec iov = {.iov_base = p, .iov_len = len};
	ssize_t n;

	do
		n = preadv2(fd, &iov, 1, pos, RWF_NOWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
		return fs_posix_read_unknown_cache(fd, p, len, pos, ret_len);
	if (n < 0)
		return fs_posix_error(errno);
	*ret_len = (size_t)n;
	return ERR_NONE;
}

static enum err fs_posix_pread(struct fs *fs, fs_file file, void *p, size_t len, int64_t pos, int read_flags,
			       size_t *ret_len)
{
	size_t done = 0;

	if (!(read_flags & FS_NOWAIT))
		return fs_posix_read_waiting((int)file, p, len, pos, ret_len);
	/* A short read may mean the end of the file or of the cached part; the next one tells. */
	while (done < len) {
		size_t n;
		enum err err = fs_posix_read_cached((int)file, (char *)p + done, len - done, pos + (int64_t)done,
						    &n);

		if (err)
			return err;
		if (n == 0)
			break;
		done += n;
	}
	*ret_len = done;
	return ERR_NONE;
}

/* Writes what follows the first `skip` bytes of iov, as one call. */
static ssize_t fs_posix_write_rest(int fd, const struct iovec *iov, int iov_n, size_t skip, int64_t pos)
{
	struct iovec part[FS_POSIX_IOV_MAX];
	int part_n = 0;

	for (int i = 0; i < iov_n && part_n < FS_POSIX_IOV_MAX; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		part[part_n].iov_base = (char *)iov[i].iov_base + skip;
		part[part_n].iov_len = iov[i].iov_len - skip;
		skip = 0;
		part_n++;
	}
	return pwritev(fd, part, part_n, pos);
}

static enum err fs_posix_pwritev(struct fs *fs, fs_file file, const struct iovec *iov, int iov_n, int64_t pos,
				 size_t *ret_len)
{
	size_t total = 0, done = 0;

	for (int i = 0; i < iov_n; i++)
		total += iov[i].iov_len;
	while (done < total) {
		ssize_t n;

		if (done == 0 && iov_n <= FS_POSIX_IOV_MAX)
			n = pwritev((int)file, iov, iov_n, pos);
		else
			n = fs_posix_write_rest((int)file, iov, iov_n, done, pos + (int64_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*ret_len = done;
			return n < 0 ? fs_posix_error(errno) : ERR_IO;
		}
		done += (size_t)n;
	}
	*ret_len = done;
	return ERR_NONE;
}

static enum err fs_posix_sync(struct fs *fs, fs_file file)
{
	return fs_posix_result(fdatasync((int)file));
}

static enum err fs_posix_sync_all(struct fs *fs, fs_file file)
{
	return fs_posix_result(syncfs((int)file));
}

static enum err fs_posix_sync_dir(struct fs *fs, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err err;

	if (fd < 0)
		return fs_posix_error(errno);
	err = fs_posix_result(fsync(fd));
	fs_posix_close_fd(fd);
	return err;
}

static enum err fs_posix_truncate(struct fs *fs, fs_file file, int64_t size)
{
	int rc;

	do
		rc = ftruncate((int)file, size);
	while (rc < 0 && errno == EINTR);
	return fs_posix_result(rc);
}

static enum err fs_posix_reserve(struct fs *fs, fs_file file, int64_t size)
{
	int rc;

	do
		rc = fallocate((int)file, FALLOC_FL_KEEP_SIZE, 0, size);
	while (rc < 0 && errno == EINTR);
	return rc < 0 && errno == ENOSYS ? ERR_NOT_SUPPORTED : fs_posix_result(rc);
}

static enum err fs_posix_file_size(struct fs *fs, fs_file file, int64_t *ret)
{
	struct stat st;

	if (fstat((int)file, &st) < 0)
		return fs_posix_error(errno);
	*ret = st.st_size;
	return ERR_NONE;
}

static enum err fs_posix_set_mtime(struct fs *fs, fs_file file, int64_t ms)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

	/* Times before 1970 too: the nanoseconds count forward. */
	times[1].tv_sec = (ms - (ms % 1000 + 1000) % 1000) / 1000;
	times[1].tv_nsec = (ms % 1000 + 1000) % 1000 * NS_PER_MS;
	return fs_posix_result(futimens((int)file, times));
}

static enum fs_kind fs_posix_kind(mode_t mode)
{
	return S_ISREG(mode) ? FS_KIND_FILE : S_ISDIR(mode) ? FS_KIND_DIR : FS_KIND_OTHER;
}

static enum err fs_posix_stat(struct fs *fs, const char *path, struct fs_stat *ret)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return fs_posix_error(errno);
	ret->kind = fs_posix_kind(st.st_mode);
	ret->size = st.st_size;
	ret->mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / NS_PER_MS;
	ret->disk_bytes = (int64_t)st.st_blocks * 512;
	return ERR_NONE;
}

static enum err fs_posix_rename(struct fs *fs, const char *from, const char *to)
{
	return fs_posix_result(rename(from, to));
}

static enum err fs_posix_unlink(struct fs *fs, const char *path)
{
	return fs_posix_result(unlink(path));
}

static enum err fs_posix_mkdir(struct fs *fs, const char *path)
{
	return fs_posix_result(mkdir(path, 0755));
}

static enum err fs_posix_rmdir(struct fs *fs, const char *path)
{
	return fs_posix_result(rmdir(path));
}

struct fs_posix_entry {
	char *name;
	enum fs_kind kind;
};

static int fs_posix_entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct fs_posix_entry *)a)->name, ((const struct fs_posix_entry *)b)->name);
}

static enum fs_kind fs_posix_entry_kind(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type == DT_REG)
		return FS_KIND_FILE;
	if (entry->d_type == DT_DIR)
		return FS_KIND_DIR;
	/* Some file systems do not tell in the listing. A link is not followed: what is removed is the link. */
	if (entry->d_type == DT_UNKNOWN && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return fs_posix_kind(st.st_mode);
	return FS_KIND_OTHER;
}

static enum err fs_posix_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx)
{
	VEC(struct fs_posix_entry) entries = {0};
	DIR *dir = opendir(path);
	struct dirent *entry;
	int number;
	bool go_on;

	if (!dir)
		return fs_posix_error(errno);
	while (errno = 0, (entry = readdir(dir)) != NULL) {
		struct fs_posix_entry e;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		e.kind = fs_posix_entry_kind(dir, entry);
		e.name = mem_strdup_n(entry->d_name, strlen(entry->d_name));
		vec_push(&entries, e);
	}
	number = errno;
	closedir(dir);
	if (entries.n)
		qsort(entries.v, entries.n, sizeof(entries.v[0]), fs_posix_entry_cmp);
	go_on = number == 0;
	for (size_t i = 0; i < entries.n; i++) {
		if (go_on)
			go_on = fn(ctx, entries.v[i].name, entries.v[i].kind);
		mem_free(entries.v[i].name);
	}
	vec_deinit(&entries);
	errno = number;
	return fs_posix_error(number);
}

static enum err fs_posix_space(struct fs *fs, const char *path, struct fs_space *ret)
{
	struct statvfs st;

	if (statvfs(path, &st) < 0)
		return fs_posix_error(errno);
	ret->total = (int64_t)(st.f_blocks * st.f_frsize);
	ret->usable = (int64_t)(st.f_bavail * st.f_frsize);
	return ERR_NONE;
}

/* A record lock that belongs to the open file: it meets the record locks of Java's FileChannel in other processes,
 * and unlike those also a second open in this one. */
static enum err fs_posix_lock(struct fs *fs, const char *path, fs_file *ret)
{
	struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int rc;
	enum err err = ERR_NONE;

	if (fd < 0)
		return fs_posix_error(errno);
	rc = fcntl(fd, F_OFD_SETLK, &range);
	if (rc < 0 && errno == EINVAL)
		rc = flock(fd, LOCK_EX | LOCK_NB);
	if (rc < 0)
		err = errno == EAGAIN || errno == EACCES ? ERR_BUSY : fs_posix_error(errno);
	if (err) {
		fs_posix_close_fd(fd);
		return err;
	}
	*ret = fd;
	return ERR_NONE;
}

static enum err fs_posix_boot_id(struct fs *fs, char ret[37])
{
	char text[37] = {0};
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	enum err err;

	if (fd < 0)
		return fs_posix_error(errno);
	err = fs_posix_read_waiting(fd, text, 36, 0, &len);
	fs_posix_close_fd(fd);
	if (err)
		return err;
	if (len != 36)
		return ERR_IO;
	memcpy(ret, text, sizeof(text));
	return ERR_NONE;
}

static int fs_posix_last_errno(struct fs *fs)
{
	return errno;
}

static const struct fs_ops fs_posix_ops = {
	.open = fs_posix_open,
	.close = fs_posix_close,
	.pread = fs_posix_pread,
	.is_cached = fs_posix_is_cached,
	.advise = fs_posix_advise,
	.pwritev = fs_posix_pwritev,
	.sync = fs_posix_sync,
	.sync_all = fs_posix_sync_all,
	.sync_dir = fs_posix_sync_dir,
	.truncate = fs_posix_truncate,
	.reserve = fs_posix_reserve,
	.file_size = fs_posix_file_size,
	.set_mtime = fs_posix_set_mtime,
	.stat = fs_posix_stat,
	.rename = fs_posix_rename,
	.unlink = fs_posix_unlink,
	.mkdir = fs_posix_mkdir,
	.rmdir = fs_posix_rmdir,
	.list = fs_posix_list,
	.space = fs_posix_space,
	.lock = fs_posix_lock,
	.boot_id = fs_posix_boot_id,
	.last_errno = fs_posix_last_errno,
};

void fs_posix_init(struct fs *fs)
{
	fs->ops = &fs_posix_ops;
}
