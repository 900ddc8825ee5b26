/* SPDX-License-Identifier: Apache-2.0 */
/* The one operation that a run is about: where the node dies, or is told of an error. See sim_disk.h. */
#include <stdio.h>

#include "sim_disk_internal.h"

void disk_crash_at(struct sim_disk *d, uint64_t n, enum sim_death death)
{
	d->crash_in = n;
	d->crash_death = death;
}

void disk_crash_on(struct sim_disk *d, const char *text, int n, enum sim_death death)
{
	d->crash_on = text;
	d->crash_on_n = n;
	d->crash_death = death;
}

void disk_fail_at(struct sim_disk *d, uint64_t n, enum err err, bool lasts)
{
	d->fail_in = n;
	d->fail_err = err;
	d->fail_lasts = lasts;
}

const char *disk_struck(const struct sim_disk *d)
{
	return d->struck;
}

void disk_set_cut(struct sim_disk *d, enum disk_cut cut)
{
	d->cut = cut;
}

struct path_search {
	const struct disk_inode *inode;
	char *ret;
	size_t cap;
};

/* Two levels below the root are enough for what a node writes. */
static bool path_search(const struct disk_inode *dir, const char *prefix, int depth, struct path_search *search)
{
	for (size_t i = 0; i < dir->names.entries.n; i++) {
		const struct disk_entry *entry = &dir->names.entries.v[i];
		char path[FS_PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", prefix, entry->name);
		if (entry->inode == search->inode) {
			snprintf(search->ret, search->cap, "%s", path);
			return true;
		}
		if (entry->inode->is_dir && depth > 0 && path_search(entry->inode, path, depth - 1, search))
			return true;
	}
	return false;
}

void disk_note_struck(struct sim_disk *d, enum disk_op op, const char *path, const struct disk_inode *inode)
{
	static const char *const names[] = {"open", "read", "write", "sync", "truncate", "change of names"};
	char found[FS_PATH_MAX] = "a file without a name";
	struct path_search search = {inode, found, sizeof(found)};

	if (!path)
		path_search(d->root, "", 3, &search);
	snprintf(d->struck, sizeof(d->struck), "%s %s", names[op], path ? path : found);
}

void disk_name_made(struct sim_disk *d, const char *path)
{
	if (d->crash_on && strstr(path, d->crash_on) && --d->crash_on_n == 0)
		d->sn->doom = d->crash_death;
}
