/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the page cache holds, and what it is told. The look is `cachestat` (Linux 6.5), which touches nothing. A read
 * that may not wait is no look: where the page is missing, or marks the end of what was read ahead, the kernel begins
 * to read, a whole window of up to megabytes, and finding memory for it takes the caller milliseconds, in which a
 * kernel without preemption gives its processor to nobody. So reactors look first, helpers read, and the window is
 * turned off (FS_ADVICE_AS_ASKED): a helper names what it wants, a little at a time.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs_posix.h"

/* Between two bytes that are tried; what is on its way from the disk is the end of a range, a window of this order. */
#define CACHE_PROBE_STEP (256 * 1024)

/* In one call the kernel begins at most its own window, which is this or more, and gives way to nobody meanwhile. */
#define CACHE_WANTED_STEP (128 * 1024)

#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

/* What the system call takes and gives; older headers do not have it. */
struct cache_range {
	uint64_t pos;
	uint64_t len;
};

struct cache_pages {
	uint64_t cached;
	uint64_t dirty;
	uint64_t writeback;
	uint64_t evicted;
	uint64_t recently_evicted;
};

static bool cache_byte_has_arrived(int fd, int64_t pos)
{
	uint8_t byte;
	size_t n;

	return !fs_posix_read_cached(fd, &byte, 1, pos, &n) && n == 1;
}

/* From the end on, which is the last to come. */
static bool cache_has_arrived(int fd, int64_t pos, size_t len)
{
	for (int64_t at = pos + (int64_t)len - 1; at > pos; at -= CACHE_PROBE_STEP) {
		if (!cache_byte_has_arrived(fd, at))
			return false;
	}
	return cache_byte_has_arrived(fd, pos);
}

enum fs_posix_cached fs_posix_look(int fd, int64_t pos, size_t len)
{
	struct cache_range range = {.pos = (uint64_t)pos, .len = len};
	struct cache_pages pages;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (syscall(__NR_cachestat, fd, &range, &pages, 0) < 0)
		return FS_POSIX_UNKNOWN;
	return pages.cached > (range.pos + len - 1) / page - range.pos / page && cache_has_arrived(fd, pos, len)
		       ? FS_POSIX_CACHED : FS_POSIX_NOT_CACHED;
}

bool fs_posix_is_cached(struct fs *fs, fs_file file, int64_t pos, size_t len)
{
	enum fs_posix_cached cached;

	if (len == 0)
		return true;
	cached = fs_posix_look((int)file, pos, len);
	return cached == FS_POSIX_CACHED ||
	       (cached == FS_POSIX_UNKNOWN && cache_byte_has_arrived((int)file, pos) &&
		cache_byte_has_arrived((int)file, pos + (int64_t)len - 1));
}

void fs_posix_advise(struct fs *fs, fs_file file, int64_t pos, int64_t len, enum fs_advice advice)
{
	if (advice == FS_ADVICE_AS_ASKED)
		posix_fadvise((int)file, 0, 0, POSIX_FADV_RANDOM);
	for (int64_t done = 0; advice == FS_ADVICE_WANTED && done < len; done += CACHE_WANTED_STEP)
		posix_fadvise((int)file, pos + done, MIN(len - done, (int64_t)CACHE_WANTED_STEP), POSIX_FADV_WILLNEED);
}
