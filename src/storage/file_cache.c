/* SPDX-License-Identifier: Apache-2.0 */
/* Open segment files under a budget, see file_cache.h. */
#include "file_cache.h"

#include "mem.h"

/* One in so many new files counts as just used. */
#define NEW_STAYS_EACH 4

void file_cache_init(struct file_cache *cache, struct fs *fs, int64_t open_max,
		     void (*forget)(struct log_impl *, int64_t))
{
	*cache = (struct file_cache){.fs = fs, .open_max = MAX(open_max, INT64_C(8)), .forget = forget};
	list_init(&cache->idle);
}

static void log_file_close(struct log_file *file)
{
	list_remove(&file->node);
	file->cache->open_n--;
	fs_close(file->cache->fs, file->file);
	mem_free(file);
}

static void file_cache_trim(struct file_cache *cache)
{
	while (cache->open_n > cache->open_max && !list_is_empty(&cache->idle)) {
		struct log_file *file = list_entry(cache->idle.next, struct log_file, node);

		cache->forget(file->log, file->base);
		log_file_close(file);
	}
}

struct log_file *file_cache_add(struct file_cache *cache, struct log_impl *log, int64_t base,
				fs_file take_file)
{
	struct log_file *file = MEM_NEW(struct log_file);

	CHECK_OP(take_file, !=, (fs_file)FS_FILE_NONE);
	*file = (struct log_file){.cache = cache, .log = log, .base = base, .file = take_file, .pins = 1};
	/* Who reads what is not in memory asks for it in full; see log_check.c. */
	cache->fs->ops->advise(cache->fs, take_file, 0, 0, FS_ADVICE_AS_ASKED);
	cache->open_n++;
	file->is_new = cache->open_n > cache->open_max;
	file_cache_trim(cache);
	/* As just used, whatever it is: whoever has asked for it has still to use it. */
	file->pins = 0;
	list_push_back(&cache->idle, &file->node);
	return file;
}

struct log_file *log_file_pin(struct log_file *file)
{
	file->pins++;
	list_remove(&file->node);
	return file;
}

void log_file_unpin(struct log_file *file)
{
	CHECK_OP(file->pins, >, 0);
	if (--file->pins > 0)
		return;
	if (!file->log) {
		log_file_close(file);
		return;
	}
	if (file->is_new && ++file->cache->new_n % NEW_STAYS_EACH)
		list_push_front(&file->cache->idle, &file->node);
	else
		list_push_back(&file->cache->idle, &file->node);
	file->is_new = false;
}

void log_file_drop(struct log_file *file)
{
	if (!file)
		return;
	CHECK(file->log);
	file->log = NULL;
	if (file->pins == 0)
		log_file_close(file);
}
