/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file half of a backend: a small table of calls that may wait for a disk. Storage writes its slow paths
 * (open, recover, roll, truncate, checkpoint, delete) as plain sequential code over this table and runs them as
 * IO_WORK on a helper thread; the reactor itself calls only what cannot wait: is_cached, fs_pread with FS_NOWAIT of
 * what is cached (of anything else the kernel would begin to read for it), and IO_WRITE through io.h. The posix body
 * is thin system calls and may be used from any thread; the simulator's body works on a modelled disk that tears,
 * loses, fails and fills.
 *
 * Paths are absolute or relative to the process. Errors: ERR_NOT_FOUND, ERR_EXISTS, ERR_ACCESS, ERR_READ_ONLY,
 * ERR_DISK_FULL, ERR_TOO_MANY_FILES, ERR_WOULD_BLOCK (FS_NOWAIT only), ERR_BUSY (lock), ERR_IO for the rest;
 * fs_last_errno tells the number for messages.
 */
#ifndef RUNTIME_FS_H
#define RUNTIME_FS_H

#include <sys/uio.h>

#include "bytes.h"
#include "err.h"

typedef int64_t fs_file; /* a descriptor in the posix body, an index in the simulator */
#define FS_FILE_NONE (-1)

#define FS_PATH_MAX 4096

enum fs_open_flags {
	FS_READ = 0,
	FS_WRITE = 1,     /* read and write */
	FS_CREATE = 2,    /* create if missing */
	FS_EXCLUSIVE = 4, /* with FS_CREATE: ERR_EXISTS if it is there */
	FS_TRUNCATE = 8,
};

enum fs_read_flags {
	FS_WAIT = 0,
	FS_NOWAIT = 1, /* ERR_WOULD_BLOCK unless all of it is in the page cache */
};

enum fs_advice {
	FS_ADVICE_AS_ASKED, /* of the whole file: a read brings into memory what it asks for and no more */
	FS_ADVICE_WANTED,   /* the range is read soon: the disk may begin */
};

enum fs_kind { FS_KIND_FILE, FS_KIND_DIR, FS_KIND_OTHER };

struct fs_stat {
	enum fs_kind kind;
	int64_t size;        /* bytes */
	int64_t mtime_ms;    /* wall clock */
	int64_t disk_bytes;  /* allocated */
};

struct fs_space {
	int64_t total;  /* bytes */
	int64_t usable; /* bytes free for this process */
};

/* Called per entry, "." and ".." left out, in name order. Return false to stop. */
typedef bool fs_list_fn(void *ctx, const char *name, enum fs_kind kind);

struct fs;

struct fs_ops {
	enum err (*open)(struct fs *fs, const char *path, int open_flags, fs_file *ret);
	void (*close)(struct fs *fs, fs_file file);
	/* Reads up to len bytes; *ret_len < len only at the end of the file. */
	enum err (*pread)(struct fs *fs, fs_file file, void *p, size_t len, int64_t pos, int read_flags,
			  size_t *ret_len);
	/* Whether all of the range is in the page cache, as far as the system tells; asks nothing of the disk. */
	bool (*is_cached)(struct fs *fs, fs_file file, int64_t pos, size_t len);
	/* May do nothing. WANTED takes the time to hand the range to the disk: for helpers. */
	void (*advise)(struct fs *fs, fs_file file, int64_t pos, int64_t len, enum fs_advice advice);
	/* Writes all of it, or fails; *ret_len (always set) tells how much reached the file. */
	enum err (*pwritev)(struct fs *fs, fs_file file, const struct iovec *iov, int iov_n, int64_t pos,
			    size_t *ret_len);
	/* The file's data and size are on stable storage (fdatasync). */
	enum err (*sync)(struct fs *fs, fs_file file);
	/* Everything written to the file system that holds `file` is (syncfs). */
	enum err (*sync_all)(struct fs *fs, fs_file file);
	/* Entries created, renamed and removed in the directory are (fsync of the directory). */
	enum err (*sync_dir)(struct fs *fs, const char *path);
	enum err (*truncate)(struct fs *fs, fs_file file, int64_t size);
	/* Reserves space without changing the visible size where the file system can; ERR_NOT_SUPPORTED is fine. */
	enum err (*reserve)(struct fs *fs, fs_file file, int64_t size);
	enum err (*file_size)(struct fs *fs, fs_file file, int64_t *ret);
	/* When the file was last written, as others are to see it (wall clock); a later write moves it on. No sync is
	 * needed or made for it: a power cut may take it back. */
	enum err (*set_mtime)(struct fs *fs, fs_file file, int64_t ms);
	enum err (*stat)(struct fs *fs, const char *path, struct fs_stat *ret);
	enum err (*rename)(struct fs *fs, const char *from, const char *to);
	enum err (*unlink)(struct fs *fs, const char *path);
	enum err (*mkdir)(struct fs *fs, const char *path);
	enum err (*rmdir)(struct fs *fs, const char *path);
	enum err (*list)(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx);
	enum err (*space)(struct fs *fs, const char *path, struct fs_space *ret);
	/* Creates and locks the file until it is closed; ERR_BUSY when another process holds it. */
	enum err (*lock)(struct fs *fs, const char *path, fs_file *ret);
	/* Names the running boot of the machine: after a power cut or reboot it differs. 36 characters and a NUL. */
	enum err (*boot_id)(struct fs *fs, char ret[37]);
	int (*last_errno)(struct fs *fs); /* of this thread's last failed call */
};

struct fs {
	const struct fs_ops *ops;
};

static inline MUST_USE enum err fs_open(struct fs *fs, const char *path, int flags, fs_file *ret)
{
	return fs->ops->open(fs, path, flags, ret);
}

static inline void fs_close(struct fs *fs, fs_file file)
{
	if (file != FS_FILE_NONE)
		fs->ops->close(fs, file);
}

static inline MUST_USE enum err fs_pread(struct fs *fs, fs_file file, void *p, size_t len, int64_t pos, int flags,
					 size_t *ret_len)
{
	return fs->ops->pread(fs, file, p, len, pos, flags, ret_len);
}

static inline MUST_USE enum err fs_pwritev(struct fs *fs, fs_file file, const struct iovec *iov, int iov_n,
					   int64_t pos, size_t *ret_len)
{
	return fs->ops->pwritev(fs, file, iov, iov_n, pos, ret_len);
}

static inline MUST_USE enum err fs_sync(struct fs *fs, fs_file file)
{
	return fs->ops->sync(fs, file);
}

/* Whole small files, used for checkpoints and properties. */

/* Reads up to max bytes into memory the caller frees with mem_free (NUL-terminated behind *ret_len);
 * ERR_TOO_LARGE beyond max. */
enum err fs_read_all(struct fs *fs, const char *path, size_t max, char **ret, size_t *ret_len) MUST_USE;
/* Writes `path`.tmp, syncs it, renames it over `path`, syncs the directory: after a crash the old or the new
 * content is there, never a mix. */
enum err fs_write_atomic(struct fs *fs, const char *path, struct bytes content) MUST_USE;
/* The same without the sync of the directory: until the caller does that, a power cut may leave the old content. */
enum err fs_write_renamed(struct fs *fs, const char *path, struct bytes content) MUST_USE;
/* The same for many files with few syncs: writes `path`.tmp; when that is synced (sync_all), the other renames it over
 * `path`, which lasts once the directory is synced. */
enum err fs_write_tmp(struct fs *fs, const char *path, struct bytes content) MUST_USE;
enum err fs_rename_tmp(struct fs *fs, const char *path) MUST_USE;
/* Syncs the directory that holds `path`: a directory whose name a power cut takes away takes all that was synced in it
 * along. A parent that may be searched and written but not read cannot be synced, and is passed over. */
enum err fs_sync_parent(struct fs *fs, const char *path) MUST_USE;
/* fs_pwritev of one range. */
enum err fs_pwrite_all(struct fs *fs, fs_file file, const void *p, size_t len, int64_t pos) MUST_USE;
/* mkdir of all missing parents, their names synced; an existing directory is fine. */
enum err fs_mkdir_all(struct fs *fs, const char *path) MUST_USE;
/* Removes a directory and everything in it. */
enum err fs_remove_tree(struct fs *fs, const char *path) MUST_USE;

#endif
