/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's disk: a tree in memory that knows what is visible and what is durable.
 *
 * 1. A write, a truncation, a new name is visible at once.
 * 2. Content and size become durable by sync of that file or sync_all, names by sync_dir of their directory or
 *    sync_all. Nothing else makes them so.
 * 3. A power cut keeps, per cut by seed, either an ordered part (of each file a prefix of its unsynced changes with a
 *    torn or zeroed last one; of all names a prefix of the changes) or any subset of the unsynced changes, each also
 *    torn at a sector boundary.
 * 4. A failed sync leaves its changes unsynced for good: a later sync does not bring them to the disk.
 * 5. From the crash counter's strike on no operation has an effect and every one fails, until the node is dead.
 * 6. Disks outlive nodes; handles and locks end with the process.
 * 7. Each directory of the root is a volume: it fails and fills for itself, and no name goes from one to another.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "sim_world.h"

#define DISK_SECTOR 512
#define DISK_VOLUMES_MAX 8
#define DISK_NO_LIMIT (INT64_C(1) << 50)

enum disk_op {
	DISK_OP_OPEN,
	DISK_OP_READ,
	DISK_OP_WRITE,
	DISK_OP_SYNC, /* all three kinds */
	DISK_OP_TRUNCATE,
	DISK_OP_NAMES, /* mkdir, rmdir, rename, unlink */
	DISK_OP_N
};

/* What a power cut leaves of what was not synced. */
enum disk_cut {
	DISK_CUT_DRAWN, /* as 3. says, by seed */
	DISK_CUT_LOST,  /* nothing */
	DISK_CUT_NAMES, /* all names, no bytes: new files are empty */
	DISK_CUT_BYTES, /* all bytes, no names: what was renamed or removed is as it was */
	DISK_CUT_TORN,  /* all names and bytes, but half of each file's last write, the rest of it zeros */
	DISK_CUT_ZEROS, /* all names and sizes, but zeros for bytes that are new */
	DISK_CUT_N
};

struct disk_fault {
	uint32_t ppm;     /* chance of failing, per million */
	int next_n;       /* the next so many fail */
	enum err err;     /* ERR_IO unless set */
	const char *path; /* only below this path; NULL: everywhere. Borrowed. */
};

/* How one directory of the root fails, until it is healed. */
enum disk_dir_fault {
	DISK_DIR_WELL,
	DISK_DIR_GONE,     /* every operation fails */
	DISK_DIR_NO_WRITE, /* every change fails, and every sync */
	DISK_DIR_NO_SYNC   /* every sync fails */
};

struct sim_disk *disk_new(struct world *w, struct sim_node *sn);
void disk_free(struct sim_disk *d);
struct fs *disk_fs(struct sim_disk *d);

void disk_process_end(struct sim_disk *d);
void disk_power_cut(struct sim_disk *d);

/* Faults. */
void disk_fault(struct sim_disk *d, enum disk_op op, struct disk_fault fault);
void disk_heal(struct sim_disk *d);
void disk_set_capacity(struct sim_disk *d, int64_t bytes);
int64_t disk_used(const struct sim_disk *d);
int64_t disk_capacity(const struct sim_disk *d);
/* `dir`: "/data2". */
void disk_dir_break(struct sim_disk *d, const char *dir, enum disk_dir_fault fault);
bool disk_dir_is_well(struct sim_disk *d, const char *dir);
/* Its size; DISK_NO_LIMIT at first. */
void disk_dir_set_capacity(struct sim_disk *d, const char *dir, int64_t bytes);
/* Others fill it until so much is left; disk_dirs_empty takes away what they wrote, everywhere. */
void disk_dir_fill(struct sim_disk *d, const char *dir, int64_t left);
void disk_dirs_empty(struct sim_disk *d);
/* Extra delay of everything that waits for the disk, at most so long. */
void disk_slow(struct sim_disk *d, int64_t max_us);
int64_t disk_delay_us(const struct sim_disk *d);
/* The node dies at its n-th changing operation from now (1: the next); 0: never. A write that it strikes may leave a
 * part of itself. */
void disk_crash_at(struct sim_disk *d, uint64_t n, enum sim_death death);
/* The node dies right after the n-th change of names that makes a path with `text` in it (borrowed); NULL: no more. */
void disk_crash_on(struct sim_disk *d, const char *text, int n, enum sim_death death);
uint64_t disk_changes_n(const struct sim_disk *d); /* changing operations so far */
/* The n-th changing operation from now fails with `err`, and all others do not; `lasts`: all writes from it
 * on, until disk_heal. 0: never. */
void disk_fail_at(struct sim_disk *d, uint64_t n, enum err err, bool lasts);
/* What the last operation was that the crash counter or disk_fail_at struck: "write /data/t-0/x.log"; "" none. */
const char *disk_struck(const struct sim_disk *d);
/* How power cuts go from now on. */
void disk_set_cut(struct sim_disk *d, enum disk_cut cut);
/* Flips one bit of a file, durable and visible. False when there is no such byte. */
bool disk_flip(struct sim_disk *d, const char *path, int64_t pos, int bit);

/* Looking from outside, no faults, no trace. */
struct bytes disk_peek(struct sim_disk *d, const char *path, bool *ret_exists);
/* What a power cut would leave of it for certain; empty when nothing. */
struct bytes disk_peek_durable(struct sim_disk *d, const char *path);
/* Calls fn for every file and directory of the tree, parents first, names in order. */
void disk_walk(struct sim_disk *d, void (*fn)(void *ctx, const char *path, bool is_dir, struct bytes content),
	       void *ctx);
/* Writes the visible tree below the real directory `to`, for a look with other tools. */
bool disk_export(struct sim_disk *d, const char *to);

#endif
