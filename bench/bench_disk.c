/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the file system can do without any broker:
 *
 *   bench_disk warm file=F bytes=N           touch free memory, write a file of N bytes, delete it
 *   bench_disk sync file=F chunk=N secs=S    sequential write + fdatasync: the bound of synced durability
 *   bench_disk read file=F                   read a file once, from the page cache if it is there
 *   bench_disk evict dir=D suffix=S          sync the files of a folder, drop them from the page cache, and tell how
 *                                            much of them (mincore) still stands there
 *
 * `warm` matters on virtual machines: memory that the guest never touched is given by the host on first use,
 * and page cache writes then cost three to four times the CPU.
 */

#include "bench_util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_LEN = 1 << 20 };

static void write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0)
			die("write: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

static char *block_new(size_t len)
{
	char *p = malloc(len);
	if (p == NULL)
		die("out of memory");
	uint32_t x = 1;
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (char)(x >> 24);
	}
	return p;
}

static int file_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void memory_touch(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	for (size_t i = 0; i < len; i += 4096)
		p[i] = 1;
	munmap(p, len);
}

static void run_warm(struct args *args)
{
	const char *path = args_str(args, "file", "bench-warm.tmp");
	size_t bytes = (size_t)args_int(args, "bytes", 2ll << 30);
	size_t memory = (size_t)args_int(args, "memory", 0);
	args_finish(args);
	uint64_t start = clock_now_ns();
	memory_touch(memory);
	uint64_t touched = clock_now_ns();
	char *block = block_new(BLOCK_LEN);
	int fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC);
	for (size_t done = 0; done < bytes; done += BLOCK_LEN)
		write_all(fd, block, BLOCK_LEN);
	uint64_t end = clock_now_ns();
	close(fd);
	unlink(path);
	free(block);
	printf("mode=warm memory_s=%.2f file_s=%.2f file_mbps=%.0f\n", (double)(touched - start) / 1e9,
	       (double)(end - touched) / 1e9, (double)bytes * 1e3 / (double)(end - touched));
}

static void run_sync(struct args *args)
{
	const char *path = args_str(args, "file", "bench-sync.tmp");
	size_t chunk = (size_t)args_int(args, "chunk", 1 << 20);
	double secs = args_double(args, "secs", 3);
	args_finish(args);
	char *block = block_new(chunk);
	int fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC);
	struct hist *h = hist_new();
	uint64_t start = clock_now_ns();
	uint64_t end = start + (uint64_t)(secs * 1e9);
	uint64_t now = start;
	uint64_t bytes = 0;
	while (now < end) {
		write_all(fd, block, chunk);
		uint64_t before = clock_now_ns();
		if (fdatasync(fd) != 0)
			die("fdatasync: %s", strerror(errno));
		now = clock_now_ns();
		hist_add(h, now - before);
		bytes += chunk;
	}
	close(fd);
	unlink(path);
	free(block);
	printf("mode=sync chunk=%zu mbps=%.1f syncs_per_s=%.0f", chunk,
	       (double)bytes * 1e3 / (double)(now - start),
	       (double)h->n * 1e9 / (double)(now - start));
	hist_print(h, "sync_");
	printf("\n");
	free(h);
}

static void run_read(struct args *args)
{
	const char *path = args_str(args, "file", "");
	double mbps = args_double(args, "mbps", 0);
	args_finish(args);
	char *block = block_new(BLOCK_LEN);
	int fd = file_open(path, O_RDONLY);
	uint64_t start = clock_now_ns();
	uint64_t bytes = 0;
	for (;;) {
		ssize_t n = read(fd, block, BLOCK_LEN);
		if (n < 0)
			die("read: %s", strerror(errno));
		if (n == 0)
			break;
		bytes += (uint64_t)n;
		double due_ns = mbps > 0 ? (double)bytes * 1e3 / mbps : 0;
		double early_ns = due_ns - (double)(clock_now_ns() - start);
		if (early_ns > 50e3)
			usleep((useconds_t)(early_ns / 1e3));
	}
	uint64_t ns = clock_now_ns() - start;
	close(fd);
	free(block);
	printf("mode=read bytes=%llu mbps=%.0f\n", (unsigned long long)bytes,
	       (double)bytes * 1e3 / (double)ns);
}

/* Bytes of the file that stand in the page cache. */
static uint64_t file_resident(int fd, size_t len)
{
	enum { PAGES = 1 << 16 };
	static unsigned char there[PAGES];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t bytes = 0;
	for (size_t pos = 0; pos < len; pos += PAGES * page) {
		size_t part = len - pos < PAGES * page ? len - pos : PAGES * page;
		void *p = mmap(NULL, part, PROT_READ, MAP_SHARED, fd, (off_t)pos);
		if (p == MAP_FAILED || mincore(p, part, there) != 0)
			die("mincore: %s", strerror(errno));
		for (size_t i = 0; i * page < part; i++)
			bytes += (there[i] & 1) * page;
		munmap(p, part);
	}
	return bytes;
}

static void run_evict(struct args *args)
{
	const char *folder = args_str(args, "dir", ".");
	const char *suffix = args_str(args, "suffix", "");
	args_finish(args);
	DIR *dir = opendir(folder);
	if (dir == NULL)
		die("%s: %s", folder, strerror(errno));
	uint64_t bytes = 0, before = 0, after = 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		char path[4096];
		size_t len = strlen(e->d_name), end = strlen(suffix);
		struct stat st;
		if (len < end || strcmp(e->d_name + len - end, suffix) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
			continue;
		int fd = file_open(path, O_RDONLY);
		before += file_resident(fd, (size_t)st.st_size);
		if (fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
			die("%s: %s", path, strerror(errno));
		after += file_resident(fd, (size_t)st.st_size);
		bytes += (uint64_t)st.st_size;
		close(fd);
	}
	closedir(dir);
	printf("mode=evict bytes=%llu resident_before=%llu resident=%llu\n", (unsigned long long)bytes,
	       (unsigned long long)before, (unsigned long long)after);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: bench_disk warm|sync|read|evict key=value...");
	struct args args = args_of(argv + 2, argc - 2);
	if (strcmp(argv[1], "warm") == 0)
		run_warm(&args);
	else if (strcmp(argv[1], "sync") == 0)
		run_sync(&args);
	else if (strcmp(argv[1], "read") == 0)
		run_read(&args);
	else if (strcmp(argv[1], "evict") == 0)
		run_evict(&args);
	else
		die("unknown mode %s", argv[1]);
	return 0;
}
