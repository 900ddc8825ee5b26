/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removal of files and directories after a delay.
 *
 *    WAITING --its time has come--> DUE --a place is free--> at a helper --> gone
 *
 * 1. At most TRASH_RUNNING_MAX are at helpers: others wait for those too, to roll, to open, to sync, and a topic of
 *    thousands of partitions must not stand before them.
 * 2. What is due is a job while anything of it is left: every PROGRESS_SAY_NS the log has how far it is.
 * 3. What a stop leaves is found by its name, and removed, at the next start.
 */
#include <inttypes.h>

#include "log.h"
#include "mem.h"
#include "storage_internal.h"

#define TRASH_RUNNING_MAX 2

struct trash {
	struct list node;
	struct io_op op;
	struct storage *storage;
	char *path;
	int64_t due_ns;
	bool is_dir;
};

static void trash_more(struct storage *storage);

static void trash_free(struct trash *trash)
{
	mem_free(trash->path);
	mem_free(trash);
}

void storage_trash_init(struct storage *storage)
{
	list_init(&core_of(storage)->trash);
	list_init(&core_of(storage)->trash_due);
}

void storage_trash_deinit(struct storage *storage)
{
	struct storage_core *core = core_of(storage);
	struct list *node;

	list_splice(&core->trash, &core->trash_due);
	while ((node = list_pop_front(&core->trash)) != NULL)
		trash_free(list_entry(node, struct trash, node));
}

bool storage_trash_waits(const struct storage *storage)
{
	return !list_is_empty(&core_of(storage)->trash);
}

void storage_trash(struct storage *storage, const char *path, bool is_dir, int64_t delay_ms)
{
	struct trash *trash = MEM_NEW(struct trash);

	trash->storage = storage;
	trash->path = mem_strdup_n(path, strlen(path));
	trash->is_dir = is_dir;
	trash->due_ns = storage->reactor->now_ns + MAX(delay_ms, INT64_C(0)) * NS_PER_MS;
	list_push_back(&core_of(storage)->trash, &trash->node);
	storage_tick_start(storage);
}

static void trash_tell(struct storage *storage)
{
	struct progress *removal = &core_of(storage)->removal;
	int64_t now_ns = storage->reactor->now_ns;

	if (removal->done < removal->total) {
		if (progress_is_due(removal, now_ns))
			log_info("storage.removing",
				 "done=%" PRId64 " total=%" PRId64 " rate=%.1f eta_s=%.0f text=\"files and "
				 "directories of what was deleted\"",
				 removal->done, removal->total, progress_rate(removal, now_ns),
				 progress_eta_s(removal, now_ns));
		return;
	}
	if (removal->said_ns > removal->began_ns)
		log_info("storage.removed", "total=%" PRId64 " took_s=%.0f", removal->total,
			 (double)(now_ns - removal->began_ns) / 1e9);
	*removal = (struct progress){0};
}

static void trash_run(struct io_op *op, struct fs *fs)
{
	struct trash *trash = container_of(op, struct trash, op);

	op->err = trash->is_dir ? fs_remove_tree(fs, trash->path) : fs->ops->unlink(fs, trash->path);
}

static void trash_done(struct io_op *op)
{
	struct trash *trash = container_of(op, struct trash, op);
	struct storage *storage = trash->storage;
	struct storage_core *core = core_of(storage);

	core->works--;
	core->removals_n--;
	core->removal.done++;
	if (op->err && op->err != ERR_NOT_FOUND)
		log_warn("storage.remove_failed", "path=%s error=%s", trash->path, err_name(op->err));
	trash_free(trash);
	trash_tell(storage);
	trash_more(storage);
}

static void trash_more(struct storage *storage)
{
	struct storage_core *core = core_of(storage);

	while (!core->is_stopped && core->removals_n < TRASH_RUNNING_MAX && !list_is_empty(&core->trash_due)) {
		struct trash *trash = list_entry(list_pop_front(&core->trash_due), struct trash, node);

		core->works++;
		core->removals_n++;
		trash->op.kind = IO_WORK;
		trash->op.work.run = trash_run;
		trash->op.done = trash_done;
		io_submit(storage->reactor->io, &trash->op);
	}
}

void storage_trash_tick(struct storage *storage)
{
	struct storage_core *core = core_of(storage);
	int64_t now_ns = storage->reactor->now_ns;

	list_for_each(node, tmp, &core->trash) {
		struct trash *trash = list_entry(node, struct trash, node);

		if (trash->due_ns > now_ns)
			continue;
		list_remove(node);
		list_push_back(&core->trash_due, node);
		if (core->removal.total == 0)
			progress_begin(&core->removal, 0, now_ns);
		core->removal.total++;
	}
	trash_more(storage);
}
