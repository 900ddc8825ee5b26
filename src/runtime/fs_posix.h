/* SPDX-License-Identifier: Apache-2.0 */
/* The posix body of the file table, for the posix backend; everybody else reaches it through struct fs. */
#ifndef RUNTIME_FS_POSIX_H
#define RUNTIME_FS_POSIX_H

#include "fs.h"

/* Fills in the table. It holds no state: the error number of a failed call is the thread's errno. */
void fs_posix_init(struct fs *fs);
enum err fs_posix_error(int number);
/* Reads what of the range stands in the page cache from its start on: *ret_len < len where the cache or the file
 * ends. ERR_WOULD_BLOCK when the first byte would have to be waited for; *ret_len 0 at the end of the file. */
enum err fs_posix_read_cached(int fd, void *p, size_t len, int64_t pos, size_t *ret_len) MUST_USE;
/* Waits for the disk. */
enum err fs_posix_read_waiting(int fd, void *p, size_t len, int64_t pos, size_t *ret_len) MUST_USE;

/* fs_posix_cache.c */
enum fs_posix_cached {
	FS_POSIX_CACHED,
	FS_POSIX_NOT_CACHED,
	FS_POSIX_UNKNOWN, /* the system has no call that tells */
};

/* Whether the range stands in the page cache and has arrived there; len > 0. Asks nothing of the disk. */
enum fs_posix_cached fs_posix_look(int fd, int64_t pos, size_t len);
/* Of struct fs_ops. */
bool fs_posix_is_cached(struct fs *fs, fs_file file, int64_t pos, size_t len);
void fs_posix_advise(struct fs *fs, fs_file file, int64_t pos, int64_t len, enum fs_advice advice);

#endif
