/* SPDX-License-Identifier: Apache-2.0 */
/* See lag_times.h. */
#include "lag_times.h"

#include <inttypes.h>
#include <stdio.h>

#include "harvest.h"
#include "hash.h"
#include "mem.h"
#include "segment.h"

struct lag_time {
	uint64_t key;
	int32_t partition;
	int64_t offset;
	int64_t time_ms;   /* -1: not known */
	uint32_t read_at;  /* look */
	uint32_t asked_at; /* look */
	size_t topic_len;
	char topic[];
};

void lag_times_init(struct lag_times *times, uint64_t seed)
{
	*times = (struct lag_times){.seed = seed};
	map_init(&times->found, MAP_U64, seed);
}

void lag_times_deinit(struct lag_times *times)
{
	struct lag_time *time;

	for (uint32_t it = 0; (time = map_next(&times->found, &it)) != NULL;)
		mem_free(time);
	map_deinit(&times->found);
}

/* ---- files ---- */

/* The segments where an offset may be: the last that begins at or below it, and the one behind. */
struct lag_names {
	int64_t offset;
	int64_t at, after; /* -1: none */
};

static bool lag_names_add(void *ctx, const char *entry, enum fs_kind kind)
{
	struct lag_names *names = ctx;
	struct str suffix;
	int64_t base;

	if (kind != FS_KIND_FILE || !segment_parse_name(str_of(entry), &base, &suffix) || !str_eq_c(suffix, ".log"))
		return true;
	if (base <= names->offset)
		names->at = MAX(names->at, base);
	else if (names->after < 0 || base < names->after)
		names->after = base;
	return true;
}

static enum err lag_find_in(struct fs *fs, const char *dir, int64_t base, int64_t offset, struct segment_hit *ret)
{
	struct segment segment = SEGMENT_INIT(base);
	int64_t size;
	fs_file file;
	enum err err = segment_open_file(fs, dir, base, ".log", FS_READ, &file);

	if (err)
		return err;
	segment.index_n = UINT32_MAX; /* as many as the file has */
	err = fs->ops->file_size(fs, file, &size);
	if (!err)
		err = segment_find(fs, dir, &segment, file, offset, size, ret);
	fs_close(fs, file);
	return err;
}

/* The first record of a batch has its time in the header; of others the batch's greatest is near enough. */
static int64_t lag_batch_time(const struct batch_info *batch, int64_t offset)
{
	bool is_first = batch->magic == BATCH_MAGIC_NOW && offset <= batch->base_offset;

	if (is_first && !batch_is_log_append_time(batch) && !batch_has_delete_horizon(batch) &&
	    batch->base_timestamp >= 0)
		return batch->base_timestamp;
	return batch->max_timestamp;
}

/* -1 when it cannot be told. */
static int64_t lag_read(struct fs *fs, const char *log_dir, struct str topic, int32_t partition, int64_t offset)
{
	struct lag_names names = {.offset = offset, .at = -1, .after = -1};
	struct segment_hit hit;
	char dir[FS_PATH_MAX];
	enum err err;
	int len = snprintf(dir, sizeof(dir), "%s/%.*s-%" PRId32, log_dir, STR_ARGS(topic), partition);

	if (len < 0 || (size_t)len >= sizeof(dir) || fs->ops->list(fs, dir, lag_names_add, &names))
		return -1;
	err = names.at >= 0 ? lag_find_in(fs, dir, names.at, offset, &hit) : ERR_NOT_FOUND;
	if (err == ERR_NOT_FOUND && names.after >= 0)
		err = lag_find_in(fs, dir, names.after, offset, &hit);
	return err ? -1 : lag_batch_time(&hit.info, offset);
}

/* ---- what is known ---- */

static struct lag_time *lag_time_of(struct lag_times *times, struct str topic, int32_t partition, int64_t offset)
{
	uint64_t key = hash_str(topic, times->seed) ^ hash_u64((uint64_t)partition, times->seed + 1) ^
		       hash_u64((uint64_t)offset, times->seed + 2);
	struct lag_time *time = map_get_u64(&times->found, key);

	if (time && time->partition == partition && time->offset == offset &&
	    str_eq((struct str){time->topic, time->topic_len}, topic))
		return time;
	/* Two that meet take turns; nothing is mixed up. */
	mem_free(map_remove_u64(&times->found, key));
	time = mem_alloc(sizeof(*time) + topic.len);
	*time = (struct lag_time){.key = key, .partition = partition, .offset = offset, .time_ms = -1,
				  .topic_len = topic.len};
	memcpy(time->topic, topic.p, topic.len);
	map_put_u64(&times->found, key, time);
	return time;
}

static void lag_times_forget(struct lag_times *times)
{
	struct lag_time *time;

	for (uint32_t it = 0; (time = map_next(&times->found, &it)) != NULL;) {
		if (time->asked_at == times->look)
			continue;
		map_remove_u64(&times->found, time->key);
		mem_free(time);
	}
}

static int64_t lag_time_at(struct lag_times *times, struct harvest *harvest, const struct metrics_partition_row *row,
			   int64_t offset)
{
	struct fs *fs = harvest->broker->node->reactors[0].io->fs;
	struct str topic = harvest->topics.v[row->topic].name;
	struct lag_time *time = lag_time_of(times, topic, row->index, offset);
	bool is_old = time->read_at == 0 || time->time_ms < 0 || times->look - time->read_at > LAG_TIMES_KEEP;

	time->asked_at = times->look;
	if (is_old && times->reads_left > 0) {
		times->reads_left--;
		time->read_at = times->look;
		time->time_ms = lag_read(fs, harvest->sampler->node.dirs[row->dir].path, topic, row->index, offset);
	}
	return time->time_ms;
}

void lag_times_join(struct lag_times *times, struct harvest *harvest)
{
	times->look++;
	times->reads_left = LAG_TIMES_READS_MAX;
	for (size_t i = 0; i < harvest->offsets.n; i++) {
		struct harvest_offset *offset = &harvest->offsets.v[i];
		const struct metrics_partition_row *row = offset->row;

		if (!row || offset->lag <= 0 || row->dir < 0 || row->dir >= harvest->sampler->node.dirs_n)
			continue;
		offset->time_ms = lag_time_at(times, harvest, row, MAX(offset->offset, row->log_start));
	}
	lag_times_forget(times);
}
