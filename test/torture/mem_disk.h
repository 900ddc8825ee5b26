/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory for torture tests, with an io that runs everything on the calling thread. It knows what is
 * visible and what would survive a power cut: contents become durable by sync of the file, names by sync of
 * their directory, both by sync of all. Changing operations are counted; from a chosen one on everything
 * fails (a crash), or just that one fails.
 */
#ifndef MEM_DISK_H
#define MEM_DISK_H

#include "io.h"
#include "rng.h"
#include "vec.h"

struct mem_inode;

struct mem_name {
	char *path;
	struct mem_inode *inode;
};

struct mem_names {
	VEC(struct mem_name) list; /* sorted by path */
};

struct mem_disk {
	struct fs fs;
	struct io io;
	struct mem_names visible, durable;
	VEC(struct mem_inode *) inodes;
	VEC(struct mem_inode *) files; /* open ones by number; NULL: closed */
	struct list submitted;
	struct list ended;
	struct rng rng;
	int64_t now_ns;
	int64_t capacity, used; /* bytes */
	uint64_t changes;  /* changing operations so far */
	uint64_t crash_at; /* 0: never */
	uint64_t fail_at;
	enum err fail_err;
	bool is_dead; /* crashed: every operation fails */
	bool has_failed;
};

void mem_disk_init(struct mem_disk *disk, uint64_t seed);
/* Its part in mem_disk_io.c. */
void mem_disk_init_io(struct mem_disk *disk);
void mem_disk_deinit(struct mem_disk *disk);
/* The process is gone: open files are closed, the disk works again. */
void mem_disk_kill(struct mem_disk *disk);
/* The machine was off: of what was not synced some is there, some is not. */
void mem_disk_power_cut(struct mem_disk *disk);
/* Content of a visible file; NULL pointer when missing. */
struct bytes mem_disk_peek(struct mem_disk *disk, const char *path);

#endif
