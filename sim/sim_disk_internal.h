/* SPDX-License-Identifier: Apache-2.0 */
/* What sim_disk.c (the model) and sim_fs.c (the table of calls) share. */
#ifndef SIM_DISK_INTERNAL_H
#define SIM_DISK_INTERNAL_H

#include "map.h"
#include "sim_disk.h"
#include "vec.h"

struct disk_content {
	uint8_t *p;
	size_t len;
	size_t cap;
};

/* An unsynced change of a file. */
struct disk_change {
	size_t pos;    /* of a write; the new size of a truncation */
	size_t len;
	uint8_t *data; /* NULL: a truncation */
	bool is_lost;  /* a failed sync dropped it */
};

struct disk_entry {
	char *name; /* owned */
	struct disk_inode *inode;
};

struct disk_names {
	VEC(struct disk_entry) entries; /* in name order */
};

struct disk_inode {
	struct list link; /* in sim_disk.inodes */
	uint64_t id;
	bool is_dir;
	bool is_marked;   /* while collecting */
	bool is_linked;   /* has a visible name */
	bool is_locked;
	int volume; /* index in sim_disk.volumes */
	int opens_n;
	int64_t mtime_ms;
	int64_t reserved; /* bytes */
	struct disk_content now;  /* visible */
	struct disk_content kept; /* durable */
	VEC(struct disk_change) changes;
	struct disk_names names;      /* visible */
	struct disk_names names_kept; /* durable */
};

/* An unsynced change of names: `from_name` goes, `to_name` comes; either may be NULL. Rename is one change. */
struct disk_name_change {
	struct disk_inode *from_dir;
	char *from_name;
	struct disk_inode *to_dir;
	char *to_name;
	struct disk_inode *inode;
};

struct disk_handle {
	struct disk_inode *inode;
	bool can_write;
	bool has_lock;
};

/* A directory of the root is a volume with space and faults of its own; [0]: the root itself, no limits. */
struct disk_volume {
	char name[32];
	int64_t capacity;
	int64_t used; /* bytes of its files that are linked or open */
	int64_t used_by_others;
	enum disk_dir_fault fault;
};

struct sim_disk {
	struct fs fs;
	struct world *w;
	struct sim_node *sn;
	struct list inodes;
	struct disk_inode *root;
	VEC(struct disk_name_change) name_changes;
	struct map handles; /* fs_file -> disk_handle */
	uint64_t handle_next;
	uint64_t inode_next;
	int64_t capacity;
	int64_t used; /* bytes of files that are linked or open */
	struct disk_volume volumes[DISK_VOLUMES_MAX];
	int volumes_n;
	int64_t slow_us;
	struct disk_fault faults[DISK_OP_N];
	uint64_t changes_n;
	uint64_t crash_in;
	enum sim_death crash_death;
	const char *crash_on;
	int crash_on_n;
	uint64_t fail_in;
	enum err fail_err;
	bool fail_lasts, is_failing;
	enum disk_cut cut;
	char struck[FS_PATH_MAX + 16];
	char boot_id[37];
	int last_errno;
	uint64_t collect_at; /* inode count that starts a collection */
	uint64_t inodes_n;
};

extern const struct fs_ops disk_fs_ops;

struct disk_inode *disk_inode_new(struct sim_disk *d, bool is_dir, int volume);
/* The volume of the directory `name` of the root; 0: none. */
int disk_volume_find(const struct sim_disk *d, struct str name);
/* The same, made when it is new. */
int disk_volume_of(struct sim_disk *d, struct str name);
/* That of a path, by its first part. */
int disk_volume_of_path(const struct sim_disk *d, const char *path);
/* Does the volume fail operations of this kind? */
bool disk_volume_fails(const struct sim_disk *d, enum disk_op op, int volume);
/* What is free for a file of the volume. */
int64_t disk_room_of(const struct sim_disk *d, int volume);
int64_t disk_inode_bytes(const struct disk_inode *inode);
/* So many bytes more of the inode's volume are taken. */
void disk_use(struct sim_disk *d, const struct disk_inode *inode, int64_t bytes);
struct disk_inode *disk_names_get(const struct disk_names *names, struct str name);
/* inode NULL removes. */
void disk_names_set(struct disk_names *names, struct str name, struct disk_inode *inode);
/* The visible inode, or NULL. */
struct disk_inode *disk_find(struct sim_disk *d, struct str path);
/* The directory that holds the last part of `path`, and that part. */
struct disk_inode *disk_find_parent(struct sim_disk *d, struct str path, struct str *ret_name);
/* A visible and unsynced change of names. */
void disk_change_names(struct sim_disk *d, struct disk_inode *from_dir, struct str from, struct disk_inode *to_dir,
		       struct str to, struct disk_inode *inode);
void disk_change_data(struct sim_disk *d, struct disk_inode *inode, size_t pos, const void *p, size_t len);
void disk_change_size(struct sim_disk *d, struct disk_inode *inode, size_t size);
void disk_keep_data(struct disk_inode *inode);
void disk_keep_names(struct sim_disk *d, const struct disk_inode *dir);
void disk_keep_volume_names(struct sim_disk *d, int volume);
void disk_lose_changes(struct disk_inode *inode);
/* For who reads of a failure: which operation was struck. path NULL: it is of the inode. */
void disk_note_struck(struct sim_disk *d, enum disk_op op, const char *path, const struct disk_inode *inode);
/* After a name was made: disk_crash_on. */
void disk_name_made(struct sim_disk *d, const char *path);
/* An inode may have lost its last name or handle. */
void disk_inode_released(struct sim_disk *d, struct disk_inode *inode);

#endif
