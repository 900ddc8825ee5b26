/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of a disk: what is visible, what is durable, what a power cut leaves. See sim_disk.h; the calls that
 * node code makes are in sim_fs.c.
 *
 * 1. inode.now == inode.kept with all `changes` that are not lost applied in order, plus the lost ones' effect.
 * 2. names likewise against names_kept and name_changes.
 * 3. used == sum of disk_inode_bytes over files that are linked or open, of each volume and of all.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "sim_disk_internal.h"
#include "uuid.h"

/* --- content --- */

static void content_resize(struct disk_content *c, size_t len)
{
	if (len > c->cap) {
		c->cap = MAX(len, c->cap * 2);
		c->p = mem_realloc(c->p, c->cap);
	}
	if (len > c->len)
		memset(c->p + c->len, 0, len - c->len);
	c->len = len;
}

static void content_put(struct disk_content *c, size_t pos, const uint8_t *p, size_t len)
{
	if (!len)
		return;
	if (pos + len > c->len)
		content_resize(c, pos + len);
	memcpy(c->p + pos, p, len);
}

static void content_apply(struct disk_content *c, const struct disk_change *change)
{
	if (change->data)
		content_put(c, change->pos, change->data, change->len);
	else
		content_resize(c, change->pos);
}

static void changes_clear(struct disk_inode *inode)
{
	for (size_t i = 0; i < inode->changes.n; i++)
		mem_free(inode->changes.v[i].data);
	inode->changes.n = 0;
}

void disk_keep_data(struct disk_inode *inode)
{
	size_t left = 0;

	for (size_t i = 0; i < inode->changes.n; i++) {
		struct disk_change *change = &inode->changes.v[i];

		if (change->is_lost) {
			inode->changes.v[left++] = *change;
			continue;
		}
		content_apply(&inode->kept, change);
		mem_free(change->data);
	}
	inode->changes.n = left;
}

void disk_lose_changes(struct disk_inode *inode)
{
	for (size_t i = 0; i < inode->changes.n; i++)
		inode->changes.v[i].is_lost = true;
}

int64_t disk_inode_bytes(const struct disk_inode *inode)
{
	return MAX((int64_t)inode->now.len, inode->reserved);
}

void disk_use(struct sim_disk *d, const struct disk_inode *inode, int64_t bytes)
{
	d->used += bytes;
	d->volumes[inode->volume].used += bytes;
}

void disk_change_data(struct sim_disk *d, struct disk_inode *inode, size_t pos, const void *p, size_t len)
{
	struct disk_change change = {.pos = pos, .len = len, .data = mem_alloc(len)};

	memcpy(change.data, p, len);
	vec_push(&inode->changes, change);
	disk_use(d, inode, -disk_inode_bytes(inode));
	content_put(&inode->now, pos, p, len);
	disk_use(d, inode, disk_inode_bytes(inode));
	inode->mtime_ms = sim_node_clock(d->sn, IO_CLOCK_WALL) / NS_PER_MS;
}

void disk_change_size(struct sim_disk *d, struct disk_inode *inode, size_t size)
{
	struct disk_change change = {.pos = size};

	vec_push(&inode->changes, change);
	disk_use(d, inode, -disk_inode_bytes(inode));
	content_resize(&inode->now, size);
	inode->reserved = MIN(inode->reserved, (int64_t)size);
	disk_use(d, inode, disk_inode_bytes(inode));
	inode->mtime_ms = sim_node_clock(d->sn, IO_CLOCK_WALL) / NS_PER_MS;
}

/* --- names --- */

static size_t names_place(const struct disk_names *names, struct str name, bool *ret_found)
{
	size_t lo = 0, hi = names->entries.n;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		struct str at = str_of(names->entries.v[mid].name);
		size_t n = MIN(at.len, name.len);
		int c = n ? memcmp(at.p, name.p, n) : 0;

		if (c == 0 && at.len == name.len) {
			*ret_found = true;
			return mid;
		}
		if (c < 0 || (c == 0 && at.len < name.len))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct disk_inode *disk_names_get(const struct disk_names *names, struct str name)
{
	bool found;
	size_t i = names_place(names, name, &found);

	return found ? names->entries.v[i].inode : NULL;
}

void disk_names_set(struct disk_names *names, struct str name, struct disk_inode *inode)
{
	bool found;
	size_t i = names_place(names, name, &found);
	struct disk_entry entry;

	if (found && inode) {
		names->entries.v[i].inode = inode;
	} else if (found) {
		mem_free(names->entries.v[i].name);
		names->entries.n--;
		memmove(&names->entries.v[i], &names->entries.v[i + 1],
			(names->entries.n - i) * sizeof(names->entries.v[0]));
	} else if (inode) {
		entry = (struct disk_entry){mem_strdup_n(name.p, name.len), inode};
		vec_push(&names->entries, entry);
		memmove(&names->entries.v[i + 1], &names->entries.v[i],
			(names->entries.n - 1 - i) * sizeof(names->entries.v[0]));
		names->entries.v[i] = entry;
	}
}

static void names_clear(struct disk_names *names)
{
	for (size_t i = 0; i < names->entries.n; i++)
		mem_free(names->entries.v[i].name);
	names->entries.n = 0;
}

/* The next part of a path; false at its end. */
static bool path_next(struct str *path, struct str *ret)
{
	size_t len = 0;

	do {
		path->p += len;
		path->len -= len;
		while (path->len && *path->p == '/') {
			path->p++;
			path->len--;
		}
		for (len = 0; len < path->len && path->p[len] != '/'; len++)
			;
	} while (len == 1 && path->p[0] == '.');
	*ret = (struct str){path->p, len};
	path->p += len;
	path->len -= len;
	return len > 0;
}

struct disk_inode *disk_find(struct sim_disk *d, struct str path)
{
	struct disk_inode *inode = d->root;
	struct str part;

	while (inode && path_next(&path, &part))
		inode = inode->is_dir ? disk_names_get(&inode->names, part) : NULL;
	return inode;
}

struct disk_inode *disk_find_parent(struct sim_disk *d, struct str path, struct str *ret_name)
{
	struct disk_inode *dir = d->root;
	struct str part, next;

	if (!path_next(&path, &part))
		return NULL;
	while (path_next(&path, &next)) {
		dir = disk_names_get(&dir->names, part);
		if (!dir || !dir->is_dir)
			return NULL;
		part = next;
	}
	*ret_name = part;
	return dir;
}

static char *str_copy(struct str s)
{
	return s.p ? mem_strdup_n(s.p, s.len) : NULL;
}

void disk_change_names(struct sim_disk *d, struct disk_inode *from_dir, struct str from, struct disk_inode *to_dir,
		       struct str to, struct disk_inode *inode)
{
	struct disk_name_change change = {from_dir, str_copy(from), to_dir, str_copy(to), inode};
	struct disk_inode *before;

	vec_push(&d->name_changes, change);
	if (from_dir) {
		before = disk_names_get(&from_dir->names, from);
		disk_names_set(&from_dir->names, from, NULL);
		if (before) {
			before->is_linked = false;
			disk_inode_released(d, before);
		}
	}
	if (to_dir) {
		before = disk_names_get(&to_dir->names, to);
		if (before && before != inode) {
			before->is_linked = false;
			disk_inode_released(d, before);
		}
		disk_names_set(&to_dir->names, to, inode);
		if (!inode->is_linked && !inode->is_dir && !inode->opens_n)
			disk_use(d, inode, disk_inode_bytes(inode));
		inode->is_linked = true;
	}
}

static void name_change_keep(struct disk_name_change *change)
{
	if (change->from_dir)
		disk_names_set(&change->from_dir->names_kept, str_of(change->from_name), NULL);
	if (change->to_dir)
		disk_names_set(&change->to_dir->names_kept, str_of(change->to_name), change->inode);
}

static void name_change_free(struct disk_name_change *change)
{
	mem_free(change->from_name);
	mem_free(change->to_name);
}

static void keep_names_of(struct sim_disk *d, const struct disk_inode *dir, int volume)
{
	size_t left = 0;

	for (size_t i = 0; i < d->name_changes.n; i++) {
		struct disk_name_change change = d->name_changes.v[i];

		if (dir ? change.from_dir != dir && change.to_dir != dir : change.inode->volume != volume) {
			d->name_changes.v[left++] = change;
			continue;
		}
		name_change_keep(&change);
		name_change_free(&change);
	}
	d->name_changes.n = left;
}

void disk_keep_names(struct sim_disk *d, const struct disk_inode *dir)
{
	keep_names_of(d, dir, 0);
}

void disk_keep_volume_names(struct sim_disk *d, int volume)
{
	keep_names_of(d, NULL, volume);
}

/* --- inodes --- */

struct disk_inode *disk_inode_new(struct sim_disk *d, bool is_dir, int volume)
{
	struct disk_inode *inode = MEM_NEW(struct disk_inode);

	inode->id = d->inode_next++;
	inode->volume = volume;
	inode->is_dir = is_dir;
	inode->mtime_ms = sim_node_clock(d->sn, IO_CLOCK_WALL) / NS_PER_MS;
	list_push_back(&d->inodes, &inode->link);
	d->inodes_n++;
	return inode;
}

static void inode_free(struct sim_disk *d, struct disk_inode *inode)
{
	changes_clear(inode);
	vec_deinit(&inode->changes);
	names_clear(&inode->names);
	names_clear(&inode->names_kept);
	vec_deinit(&inode->names.entries);
	vec_deinit(&inode->names_kept.entries);
	mem_free(inode->now.p);
	mem_free(inode->kept.p);
	list_remove(&inode->link);
	d->inodes_n--;
	mem_free(inode);
}

void disk_inode_released(struct sim_disk *d, struct disk_inode *inode)
{
	if (!inode->is_dir && !inode->is_linked && !inode->opens_n)
		disk_use(d, inode, -disk_inode_bytes(inode));
}

struct inode_vec {
	struct disk_inode **v;
	size_t n;
	size_t cap;
};

static void mark(struct inode_vec *todo, struct disk_inode *inode)
{
	if (inode && !inode->is_marked) {
		inode->is_marked = true;
		vec_push(todo, inode);
	}
}

static void mark_names(struct inode_vec *todo, const struct disk_names *names)
{
	for (size_t i = 0; i < names->entries.n; i++)
		mark(todo, names->entries.v[i].inode);
}

/* Frees inodes that no name, handle or unsynced change reaches. */
static void disk_collect(struct sim_disk *d)
{
	struct inode_vec todo = {0};
	struct disk_handle *handle;

	list_for_each(link, tmp, &d->inodes)
		list_entry(link, struct disk_inode, link)->is_marked = false;
	mark(&todo, d->root);
	for (uint32_t it = 0; (handle = map_next(&d->handles, &it)) != NULL;)
		mark(&todo, handle->inode);
	for (size_t i = 0; i < d->name_changes.n; i++) {
		mark(&todo, d->name_changes.v[i].from_dir);
		mark(&todo, d->name_changes.v[i].to_dir);
		mark(&todo, d->name_changes.v[i].inode);
	}
	for (size_t i = 0; i < todo.n; i++) {
		struct disk_inode *inode = todo.v[i];

		mark_names(&todo, &inode->names);
		mark_names(&todo, &inode->names_kept);
	}
	vec_deinit(&todo);
	list_for_each(link, tmp, &d->inodes) {
		struct disk_inode *inode = list_entry(link, struct disk_inode, link);

		if (!inode->is_marked)
			inode_free(d, inode);
	}
}

/* --- ends of processes and of power --- */

void disk_process_end(struct sim_disk *d)
{
	struct disk_handle *handle;

	for (uint32_t it = 0; (handle = map_next(&d->handles, &it)) != NULL;) {
		handle->inode->opens_n--;
		if (handle->has_lock)
			handle->inode->is_locked = false;
		disk_inode_released(d, handle->inode);
		mem_free(handle);
	}
	map_deinit(&d->handles);
	map_init(&d->handles, MAP_U64, d->w->seed);
	d->crash_in = 0;
	d->crash_on = NULL;
	disk_collect(d);
}

/* Applies a part of a write that the power cut caught: whole sectors of it, the others as they were or zero. */
static void tear(struct sim_disk *d, struct disk_inode *inode, const struct disk_change *change, bool is_prefix)
{
	struct rng *rng = &d->w->rng;
	size_t end = change->pos + change->len;
	uint64_t sectors = (end - 1) / DISK_SECTOR - change->pos / DISK_SECTOR + 1;
	uint64_t keep_n = rng_below(rng, sectors + 1);
	bool is_zeroed = rng_chance(rng, 1, 2); /* the size got there, not all data */
	uint64_t i = 0;

	if (is_zeroed && end > inode->kept.len)
		content_resize(&inode->kept, end);
	for (size_t at = change->pos; at < end; i++) {
		size_t next = MIN((at / DISK_SECTOR + 1) * DISK_SECTOR, end);

		if (is_prefix ? i < keep_n : rng_chance(rng, 1, 2))
			content_put(&inode->kept, at, change->data + (at - change->pos), next - at);
		at = next;
	}
}

static void cut_file_ordered(struct sim_disk *d, struct disk_inode *inode)
{
	size_t keep_n = (size_t)rng_below(&d->w->rng, inode->changes.n + 1);

	/* Often all or nothing of it: the ends matter most. */
	if (rng_chance(&d->w->rng, 1, 3))
		keep_n = rng_chance(&d->w->rng, 1, 2) ? inode->changes.n : 0;
	for (size_t i = 0; i < inode->changes.n; i++) {
		const struct disk_change *change = &inode->changes.v[i];

		if (change->is_lost)
			continue;
		if (i < keep_n) {
			content_apply(&inode->kept, change);
		} else {
			if (change->data && change->len && rng_chance(&d->w->rng, 1, 2))
				tear(d, inode, change, true);
			break;
		}
	}
}

static void cut_file_any(struct sim_disk *d, struct disk_inode *inode)
{
	for (size_t i = 0; i < inode->changes.n; i++) {
		const struct disk_change *change = &inode->changes.v[i];
		uint64_t fate = rng_below(&d->w->rng, 4);

		if (change->is_lost || fate == 0)
			continue;
		if (fate == 1 && change->data && change->len)
			tear(d, inode, change, false);
		else
			content_apply(&inode->kept, change);
	}
}

static void cut_names(struct sim_disk *d, bool is_ordered)
{
	size_t n = d->name_changes.n;
	size_t keep_n = (size_t)rng_below(&d->w->rng, n + 1);
	bool is_drawn = d->cut == DISK_CUT_DRAWN;
	bool is_kept_by_mode = d->cut == DISK_CUT_NAMES || d->cut == DISK_CUT_TORN ||
			       d->cut == DISK_CUT_ZEROS;

	for (size_t i = 0; i < n; i++) {
		struct disk_name_change *change = &d->name_changes.v[i];

		if (is_kept_by_mode || (is_drawn && (is_ordered ? i < keep_n : rng_chance(&d->w->rng, 1, 2))))
			name_change_keep(change);
		name_change_free(change);
	}
	d->name_changes.n = 0;
}

static void names_copy(struct disk_names *to, const struct disk_names *from)
{
	names_clear(to);
	for (size_t i = 0; i < from->entries.n; i++)
		disk_names_set(to, str_of(from->entries.v[i].name), from->entries.v[i].inode);
}

static void draw_boot_id(struct sim_disk *d)
{
	uint64_t a = rng_u64(&d->w->rng), b = rng_u64(&d->w->rng);

	snprintf(d->boot_id, sizeof(d->boot_id), "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(a >> 32),
		 (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 48 & 0xfff),
		 (unsigned long long)(b & 0xffffffffffffULL));
}

static void cut_file_torn(struct disk_inode *inode)
{
	for (size_t i = 0; i < inode->changes.n; i++) {
		const struct disk_change *change = &inode->changes.v[i];

		if (change->is_lost)
			continue;
		if (i + 1 < inode->changes.n || !change->data) {
			content_apply(&inode->kept, change);
			continue;
		}
		if (change->pos + change->len > inode->kept.len)
			content_resize(&inode->kept, change->pos + change->len);
		content_put(&inode->kept, change->pos, change->data, change->len / 2);
	}
}

static void cut_file_zeros(struct disk_inode *inode)
{
	for (size_t i = 0; i < inode->changes.n; i++) {
		const struct disk_change *change = &inode->changes.v[i];
		size_t end = change->pos + (change->data ? change->len : 0);

		if (!change->is_lost && (!change->data || end > inode->kept.len))
			content_resize(&inode->kept, end);
	}
}

static void cut_file(struct sim_disk *d, struct disk_inode *inode, bool is_ordered)
{
	switch (d->cut) {
	case DISK_CUT_DRAWN:
		if (is_ordered)
			cut_file_ordered(d, inode);
		else
			cut_file_any(d, inode);
		break;
	case DISK_CUT_TORN:
		cut_file_torn(inode);
		break;
	case DISK_CUT_BYTES:
		disk_keep_data(inode);
		break;
	case DISK_CUT_ZEROS:
		cut_file_zeros(inode);
		break;
	case DISK_CUT_LOST:
	case DISK_CUT_NAMES:
	case DISK_CUT_N:
		break;
	}
}

void disk_power_cut(struct sim_disk *d)
{
	bool is_ordered = rng_chance(&d->w->rng, 1, 2);

	disk_process_end(d);
	list_for_each(link, tmp, &d->inodes) {
		struct disk_inode *inode = list_entry(link, struct disk_inode, link);

		cut_file(d, inode, is_ordered);
		changes_clear(inode);
	}
	cut_names(d, is_ordered);
	d->used = 0;
	for (int i = 0; i < d->volumes_n; i++)
		d->volumes[i].used = 0;
	list_for_each(link, tmp, &d->inodes) {
		struct disk_inode *inode = list_entry(link, struct disk_inode, link);

		names_copy(&inode->names, &inode->names_kept);
		content_resize(&inode->now, inode->kept.len);
		if (inode->kept.len)
			memcpy(inode->now.p, inode->kept.p, inode->kept.len);
		inode->reserved = 0;
		inode->is_linked = false;
	}
	disk_collect(d);
	list_for_each(link, tmp, &d->inodes) {
		struct disk_inode *inode = list_entry(link, struct disk_inode, link);

		inode->is_linked = true;
		if (!inode->is_dir)
			disk_use(d, inode, disk_inode_bytes(inode));
	}
	draw_boot_id(d);
}

/* --- faults --- */

void disk_fault(struct sim_disk *d, enum disk_op op, struct disk_fault fault)
{
	d->faults[op] = fault;
}

void disk_heal(struct sim_disk *d)
{
	memset(d->faults, 0, sizeof(d->faults));
	for (int i = 0; i < d->volumes_n; i++)
		d->volumes[i].fault = DISK_DIR_WELL;
	d->slow_us = 0;
	d->crash_in = 0;
	d->fail_in = 0;
	d->is_failing = false;
}

void disk_set_capacity(struct sim_disk *d, int64_t bytes)
{
	d->capacity = bytes;
}

int64_t disk_used(const struct sim_disk *d)
{
	return d->used;
}

int64_t disk_capacity(const struct sim_disk *d)
{
	return d->capacity;
}

void disk_slow(struct sim_disk *d, int64_t max_us)
{
	d->slow_us = max_us;
}

int64_t disk_delay_us(const struct sim_disk *d)
{
	return d->slow_us;
}

uint64_t disk_changes_n(const struct sim_disk *d)
{
	return d->changes_n;
}

bool disk_flip(struct sim_disk *d, const char *path, int64_t pos, int bit)
{
	struct disk_inode *inode = disk_find(d, str_of(path));

	if (!inode || inode->is_dir || pos < 0 || (size_t)pos >= inode->now.len)
		return false;
	disk_keep_data(inode);
	inode->now.p[pos] ^= (uint8_t)(1 << bit);
	if ((size_t)pos < inode->kept.len)
		inode->kept.p[pos] ^= (uint8_t)(1 << bit);
	return true;
}

/* --- looking from outside --- */

struct bytes disk_peek(struct sim_disk *d, const char *path, bool *ret_exists)
{
	struct disk_inode *inode = disk_find(d, str_of(path));

	*ret_exists = inode != NULL;
	return inode ? (struct bytes){inode->now.p, inode->now.len} : BYTES_NULL;
}

struct walk_step {
	char *path;
	struct disk_inode *inode;
};

void disk_walk(struct sim_disk *d, void (*fn)(void *ctx, const char *path, bool is_dir, struct bytes content),
	       void *ctx)
{
	VEC(struct walk_step) todo = {0};
	struct walk_step step = {mem_strdup_n("", 0), d->root};

	vec_push(&todo, step);
	while (todo.n) {
		char path[FS_PATH_MAX];

		step = todo.v[--todo.n];
		if (step.inode != d->root)
			fn(ctx, step.path, step.inode->is_dir,
			   (struct bytes){step.inode->now.p, step.inode->now.len});
		for (size_t i = step.inode->names.entries.n; i-- > 0;) {
			const struct disk_entry *entry = &step.inode->names.entries.v[i];
			int len = snprintf(path, sizeof(path), "%s/%s", step.path, entry->name);
			struct walk_step next = {mem_strdup_n(path, (size_t)len), entry->inode};

			vec_push(&todo, next);
		}
		mem_free(step.path);
	}
	vec_deinit(&todo);
}

struct export_ctx {
	const char *to;
	bool failed;
};

static void export_one(void *ctx, const char *path, bool is_dir, struct bytes content)
{
	struct export_ctx *e = ctx;
	char real[FS_PATH_MAX];
	FILE *f;

	snprintf(real, sizeof(real), "%s%s", e->to, path);
	if (is_dir) {
		e->failed |= mkdir(real, 0777) != 0 && errno != EEXIST;
		return;
	}
	f = fopen(real, "wb");
	if (!f) {
		e->failed = true;
		return;
	}
	e->failed |= content.len && fwrite(content.p, 1, content.len, f) != content.len;
	e->failed |= fclose(f) != 0;
}

bool disk_export(struct sim_disk *d, const char *to)
{
	struct export_ctx e = {.to = to};

	e.failed = mkdir(to, 0777) != 0 && errno != EEXIST;
	disk_walk(d, export_one, &e);
	return !e.failed;
}

/* --- life --- */

struct sim_disk *disk_new(struct world *w, struct sim_node *sn)
{
	struct sim_disk *d = MEM_NEW(struct sim_disk);

	d->fs.ops = &disk_fs_ops;
	d->w = w;
	d->sn = sn;
	d->handle_next = 3;
	d->inode_next = 1;
	d->capacity = DISK_NO_LIMIT;
	d->volumes_n = 1;
	d->volumes[0].capacity = DISK_NO_LIMIT;
	list_init(&d->inodes);
	map_init(&d->handles, MAP_U64, w->seed);
	d->root = disk_inode_new(d, true, 0);
	d->root->is_linked = true;
	draw_boot_id(d);
	return d;
}

void disk_free(struct sim_disk *d)
{
	struct disk_handle *handle;

	for (uint32_t it = 0; (handle = map_next(&d->handles, &it)) != NULL;)
		mem_free(handle);
	map_deinit(&d->handles);
	for (size_t i = 0; i < d->name_changes.n; i++)
		name_change_free(&d->name_changes.v[i]);
	vec_deinit(&d->name_changes);
	list_for_each(link, tmp, &d->inodes)
		inode_free(d, list_entry(link, struct disk_inode, link));
	mem_free(d);
}

struct fs *disk_fs(struct sim_disk *d)
{
	return &d->fs;
}
