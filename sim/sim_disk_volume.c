/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of the root as disks of their own: how full they are, and how they fail. See sim_disk.h. */
#include <stdio.h>

#include "sim_disk_internal.h"

int disk_volume_find(const struct sim_disk *d, struct str name)
{
	for (int i = 1; i < d->volumes_n; i++) {
		if (str_eq_c(name, d->volumes[i].name))
			return i;
	}
	return 0;
}

int disk_volume_of(struct sim_disk *d, struct str name)
{
	int i = disk_volume_find(d, name);

	/* More directories than anybody wants to break share the root's. */
	if (!i && d->volumes_n < DISK_VOLUMES_MAX) {
		i = d->volumes_n++;
		snprintf(d->volumes[i].name, sizeof(d->volumes[i].name), "%.*s", STR_ARGS(name));
		d->volumes[i].capacity = DISK_NO_LIMIT;
	}
	return i;
}

int64_t disk_room_of(const struct sim_disk *d, int volume)
{
	const struct disk_volume *v = &d->volumes[volume];

	return MIN(d->capacity - d->used, v->capacity - v->used - v->used_by_others);
}

int disk_volume_of_path(const struct sim_disk *d, const char *path)
{
	size_t len;

	while (*path == '/')
		path++;
	len = strcspn(path, "/");
	return disk_volume_find(d, (struct str){path, len});
}

bool disk_volume_fails(const struct sim_disk *d, enum disk_op op, int volume)
{
	switch (d->volumes[volume].fault) {
	case DISK_DIR_GONE:
		return true;
	case DISK_DIR_NO_WRITE:
		return op != DISK_OP_OPEN && op != DISK_OP_READ;
	case DISK_DIR_NO_SYNC:
		return op == DISK_OP_SYNC;
	case DISK_DIR_WELL:
		break;
	}
	return false;
}

static struct disk_volume *volume_named(struct sim_disk *d, const char *dir)
{
	CHECK(dir[0] == '/');
	return &d->volumes[disk_volume_of(d, str_of(dir + 1))];
}

void disk_dir_break(struct sim_disk *d, const char *dir, enum disk_dir_fault fault)
{
	volume_named(d, dir)->fault = fault;
}

bool disk_dir_is_well(struct sim_disk *d, const char *dir)
{
	return volume_named(d, dir)->fault == DISK_DIR_WELL;
}

void disk_dir_set_capacity(struct sim_disk *d, const char *dir, int64_t bytes)
{
	volume_named(d, dir)->capacity = bytes;
}

void disk_dir_fill(struct sim_disk *d, const char *dir, int64_t left)
{
	struct disk_volume *v = volume_named(d, dir);

	v->used_by_others = MAX(v->capacity - v->used - left, INT64_C(0));
}

void disk_dirs_empty(struct sim_disk *d)
{
	for (int i = 0; i < d->volumes_n; i++)
		d->volumes[i].used_by_others = 0;
}

struct bytes disk_peek_durable(struct sim_disk *d, const char *path)
{
	const struct disk_inode *inode = d->root;

	while (inode && *path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		inode = inode->is_dir ? disk_names_get(&inode->names_kept, (struct str){path, len}) : NULL;
		path += len;
	}
	return inode ? (struct bytes){inode->kept.p, inode->kept.len} : BYTES_NULL;
}
