/* SPDX-License-Identifier: Apache-2.0 */
/* See found.h. */
#include "found.h"

#include <stdio.h>

#include "dir_copy.h"
#include "log.h"

/* More than any partition's directory has. */
#define FOUND_NAME_MAX 300

void found_init(struct found *found, uint64_t seed)
{
	map_init(&found->by_name, MAP_STR, seed);
	map_init(&found->futures, MAP_STR, seed);
	map_init(&found->missing, MAP_STR, seed);
}

void found_deinit(struct found *found)
{
	map_deinit(&found->by_name);
	map_deinit(&found->futures);
	map_deinit(&found->missing);
	for (size_t i = 0; i < ARRAY_N(found->deletable); i++)
		vec_deinit(&found->deletable[i]);
	arena_reset(&found->arena);
}

/* Kafka separates topic and partition by a blank in the checkpoint and a dash in the name. False: longer than any
 * that was found. */
static bool found_name(char text[FOUND_NAME_MAX], struct str topic, int32_t partition, struct str *ret)
{
	int len = snprintf(text, FOUND_NAME_MAX, "%.*s-%d", STR_ARGS(topic), partition);

	*ret = (struct str){text, (size_t)MAX(len, 0)};
	return len > 0 && len < FOUND_NAME_MAX;
}

/* What the map has under the partition's name. */
static void *found_in(const struct map *map, struct str topic, int32_t partition)
{
	char text[FOUND_NAME_MAX];
	struct str name;

	return found_name(text, topic, partition, &name) ? map_get_str(map, name) : NULL;
}

static void found_put(struct found *found, struct map *map, struct str topic, int32_t partition, void *value)
{
	char text[FOUND_NAME_MAX];
	struct str name;

	if (found_name(text, topic, partition, &name))
		map_put_str(map, arena_str(&found->arena, name), value);
}

struct found_missing {
	int dir;
	int64_t recovery_point;
};

static void found_add_missing(struct found *found, const struct offset_entry *entry, int dir)
{
	struct found_missing *missing = ARENA_NEW(&found->arena, struct found_missing);

	*missing = (struct found_missing){dir, entry->offset};
	found_put(found, &found->missing, entry->topic, entry->partition, missing);
}

int64_t found_missing(const struct found *found, struct str topic, int32_t partition, int dir)
{
	const struct found_missing *missing = found_in(&found->missing, topic, partition);

	return missing && missing->dir == dir ? missing->recovery_point : -1;
}

static void found_read_offsets(struct found *found, struct fs *fs, const char *path, const char *file, int dir,
			       size_t field)
{
	struct offset_checkpoint checkpoint = {0};
	struct arena arena = {0};
	enum err err = log_dir_read_offsets(fs, path, file, &arena, &checkpoint);

	if (err)
		log_warn("log_dir.checkpoint",
			 "code=ML1062 file=%s/%s error=%s text=\"the file cannot be used; the start "
			 "reads more of the logs instead\"",
			 path, file, err_name(err));
	for (size_t i = 0; !err && i < checkpoint.entries.n; i++) {
		const struct offset_entry *entry = &checkpoint.entries.v[i];
		struct found_partition *partition = found_in(&found->by_name, entry->topic, entry->partition);
		int64_t *value;

		while (partition && partition->dir != dir)
			partition = partition->other;
		value = partition ? (int64_t *)(void *)((char *)partition + field) : NULL;
		/* The start of a log never goes back: a copy may know a later one than the file. */
		if (value)
			*value = MAX(*value, entry->offset);
		else if (field == offsetof(struct found_partition, recovery_point))
			found_add_missing(found, entry, dir);
		found->has_stale |= !value;
	}
	vec_deinit(&checkpoint.entries);
	arena_reset(&arena);
}

/* The machine stopped while a partition changed its directory: two are there, and both have all of it. The copy is
 * marked; the other one goes. */
static enum err found_twice(struct found *found, struct fs *fs, const char *const *paths,
			    struct found_partition *before, struct found_partition *now)
{
	struct found_partition *old = now->moved_start >= -1 ? before : now;
	char away[300];

	if ((before->moved_start >= -1) == (now->moved_start >= -1) || !uuid_eq(before->topic_id, now->topic_id))
		return ERR_EXISTS;
	if (!log_dir_away_name(old->name, "-delete", old->topic_id, away, sizeof(away)))
		return ERR_EXISTS;
	if (log_dir_rename_away(fs, paths[old->dir], old->name, "-delete", old->topic_id))
		return ERR_EXISTS;
	log_info("log_dir.move_ended", "log=%.*s from=%s to=%s", STR_ARGS(old->name), paths[old->dir],
		 paths[old == now ? before->dir : now->dir]);
	vec_push(&found->deletable[old->dir], arena_str(&found->arena, str_of(away)));
	if (old == before) { /* in its place of the map */
		now->other = before->other;
		*before = *now;
	}
	return ERR_NONE;
}

/* One more partition; `first` has its name already, or is NULL. */
static enum err found_add(struct found *found, struct fs *fs, const char *const *paths, struct found_partition *first,
			  struct found_partition *now)
{
	if (!first)
		return map_put_str(&found->by_name, now->name, now) ? ERR_EXISTS : ERR_NONE;
	for (struct found_partition *it = first; it; it = it->other) {
		if (it->dir == now->dir)
			return ERR_EXISTS;
		if (uuid_eq(it->topic_id, now->topic_id) && !uuid_is_zero(now->topic_id))
			return found_twice(found, fs, paths, it, now);
	}
	now->other = first->other;
	first->other = now;
	return ERR_NONE;
}

static void found_add_futures(struct found *found, const struct log_dir_listing *listing, int dir)
{
	for (size_t i = 0; i < listing->futures.n; i++) {
		const struct log_dir_entry *entry = &listing->futures.v[i];

		vec_push(&found->deletable[dir], entry->name);
		found_put(found, &found->futures, entry->topic, entry->partition, (void *)(intptr_t)(dir + 1));
	}
}

int found_future(const struct found *found, struct str topic, int32_t partition)
{
	return (int)(intptr_t)found_in(&found->futures, topic, partition) - 1;
}

static void found_look_for_mark(struct found *found, struct fs *fs, const char *path,
				struct found_partition *partition)
{
	char full[FS_PATH_MAX];
	struct dir_mark mark;

	partition->moved_start = FOUND_NOT_MOVED;
	if (!found->has_several ||
	    snprintf(full, sizeof(full), "%s/%.*s", path, STR_ARGS(partition->name)) >= FS_PATH_MAX ||
	    !dir_copy_is_marked(fs, full, &mark))
		return;
	found->has_marks = true;
	partition->moved_start = MAX(mark.log_start, INT64_C(-1));
	partition->log_start = partition->moved_start;
	partition->recovery_point = MAX(mark.end, INT64_C(-1));
}

enum err found_read_dir(struct found *found, struct fs *fs, const char *const *paths, int dir, struct err_text *text)
{
	struct log_dir_listing listing = {0};
	const char *path = paths[dir];
	struct found_partition *before;
	enum err err = log_dir_list(fs, path, &found->arena, &listing);

	if (err)
		return err_text_set(text, err, "ML1017 %s cannot be listed: %s", path, err_text(err));
	for (size_t i = 0; i < listing.partitions.n; i++) {
		const struct log_dir_entry *entry = &listing.partitions.v[i];
		struct found_partition *partition = ARENA_NEW(&found->arena, struct found_partition);

		*partition = (struct found_partition){entry->name, entry->topic_id, dir, -1, -1, -1, -1, NULL, 0};
		found_look_for_mark(found, fs, path, partition);
		before = map_get_str(&found->by_name, partition->name);
		if (found_add(found, fs, paths, before, partition)) {
			err = err_text_set(text, ERR_CORRUPT_FILE,
					   "ML1018 %.*s lies in two log directories, one is %s. Move the older one "
					   "away",
					   STR_ARGS(entry->name), path);
			break;
		}
	}
	for (size_t i = 0; i < listing.deletable.n; i++)
		vec_push(&found->deletable[dir], listing.deletable.v[i]);
	found_add_futures(found, &listing, dir);
	log_dir_listing_deinit(&listing);
	if (err)
		return err;
	found_read_offsets(found, fs, path, RECOVERY_POINT_FILE, dir, offsetof(struct found_partition, recovery_point));
	found_read_offsets(found, fs, path, LOG_START_FILE, dir, offsetof(struct found_partition, log_start));
	found_read_offsets(found, fs, path, HIGH_WATERMARK_FILE, dir, offsetof(struct found_partition, high_watermark));
	found_read_offsets(found, fs, path, CLEANER_FILE, dir, offsetof(struct found_partition, cleaner));
	return ERR_NONE;
}

static const struct found_partition *found_exact(const struct found *found, struct str topic, int32_t partition,
						 struct uuid topic_id)
{
	const struct found_partition *it = found_in(&found->by_name, topic, partition);

	while (it && !uuid_eq(it->topic_id, topic_id))
		it = it->other;
	return it;
}

const struct found_partition *found_get(const struct found *found, struct str topic, int32_t partition,
					struct uuid topic_id)
{
	const struct found_partition *it = found_exact(found, topic, partition, topic_id);

	if (it)
		return it;
	it = found_in(&found->by_name, topic, partition);
	while (it && (uuid_is_zero(it->topic_id) || !uuid_is_near(it->topic_id, topic_id)))
		it = it->other;
	return it;
}

const struct found_partition *found_unnamed(const struct found *found, struct str topic, int32_t partition)
{
	return found_exact(found, topic, partition, UUID_ZERO);
}
