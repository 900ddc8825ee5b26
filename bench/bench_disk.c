/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the file system can do without any broker:
 *
 *   bench_disk warm file=F bytes=N           touch free memory, write a file of N bytes, delete it
 *   bench_disk sync file=F chunk=N secs=S    sequential write + fdatasync: the bound of synced durability
 *   bench_disk read file=F                   read a file once, from the page cache if it is there
 *
 * `warm` matters on virtual machines: memory that the guest never touched is given by the host on first use,
 * and page cache writes then cost three to four times the CPU.
 */

#include "bench_util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
	}
	uint64_t ns = clock_now_ns() - start;
	close(fd);
	free(block);
	printf("mode=read bytes=%llu mbps=%.0f\n", (unsigned long long)bytes,
	       (double)bytes * 1e3 / (double)ns);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: bench_disk warm|sync|read key=value...");
	struct args args = args_of(argv + 2, argc - 2);
	if (strcmp(argv[1], "warm") == 0)
		run_warm(&args);
	else if (strcmp(argv[1], "sync") == 0)
		run_sync(&args);
	else if (strcmp(argv[1], "read") == 0)
		run_read(&args);
	else
		die("unknown mode %s", argv[1]);
	return 0;
}
