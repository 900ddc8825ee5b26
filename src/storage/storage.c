/* SPDX-License-Identifier: Apache-2.0 */
/* Storage of one reactor, see storage.h: directories and their states, the clock tick, what is to be removed
 * later. */
#include "storage.h"

#include <inttypes.h>

#include "log.h"
#include "mem.h"
#include "storage_internal.h"

#define TICK_NS NS_PER_S
/* Reactors know nothing of each other's writes: each asks again when it has used this share of the room. */
#define ROOM_SHARE 8
#define ROOM_MIN MIB(1)
/* Space that must be there before a full directory is tried again, besides full_reserve_bytes. */
#define FULL_SPACE_MIN KIB(256)

static void storage_forget_file(struct log_impl *log, int64_t base)
{
	log_forget_file(log, base);
}

static void storage_drive(struct flush_hook *hook)
{
	struct storage_core *core = container_of(hook, struct storage_core, hook);
	struct list logs, *node;

	list_init(&logs);
	list_splice(&logs, &core->driven);
	while ((node = list_pop_front(&logs)) != NULL)
		log_drive(list_entry(node, struct log_impl, drive_link));
}

void storage_init(struct storage *storage, struct reactor *reactor, const struct storage_options *options)
{
	struct storage_core *core = MEM_NEW(struct storage_core);

	*storage = (struct storage){.reactor = reactor, .options = *options, .priv = core};
	list_init(&storage->logs);
	storage->dirs = mem_calloc(STORAGE_DIRS_MAX, sizeof(*storage->dirs));
	core->storage = storage;
	core->checkpoint_ns = reactor->now_ns;
	list_init(&core->driven);
	storage_trash_init(storage);
	core->hook.flush = storage_drive;
	file_cache_init(&core->files, reactor->io->fs, options->open_files_max, storage_forget_file);
}

void storage_deinit(struct storage *storage)
{
	struct storage_core *core = core_of(storage);

	if (!core)
		return;
	CHECK(list_is_empty(&storage->logs));
	CHECK_OP(core->works, ==, 0);
	timer_stop(&storage->reactor->timers, &core->tick);
	list_remove(&core->hook.node);
	storage_trash_deinit(storage);
	for (int i = 0; i < storage->dirs_n; i++) {
		list_remove(&dir_core_of(&storage->dirs[i])->hook.node);
		timer_stop(&storage->reactor->timers, &dir_core_of(&storage->dirs[i])->gather);
		mem_free(storage->dirs[i].priv);
		mem_free(storage->dirs[i].path);
	}
	mem_free(storage->dirs);
	mem_free(core);
	storage->priv = NULL;
}

void storage_stop(struct storage *storage)
{
	struct storage_core *core = core_of(storage);

	core->is_stopped = true;
	timer_stop(&storage->reactor->timers, &core->tick);
}

bool storage_is_idle(const struct storage *storage)
{
	const struct storage_core *core = core_of(storage);

	return core->works == 0;
}

static void dir_commit_hook(struct flush_hook *hook)
{
	struct dir_core *core = container_of(hook, struct dir_core, hook);

	storage_commit_start(core->dir);
}

struct storage_dir *storage_add_dir(struct storage *storage, const char *path, struct uuid id,
				    enum log_dir_stop stop)
{
	struct storage_dir *dir = &storage->dirs[storage->dirs_n];
	struct dir_core *core = MEM_NEW(struct dir_core);

	CHECK_OP(storage->dirs_n, <, STORAGE_DIRS_MAX);
	*dir = (struct storage_dir){.storage = storage,
				    .index = storage->dirs_n++,
				    .path = mem_strdup_n(path, strlen(path)),
				    .id = id,
				    .stop = stop,
				    .priv = core};
	core->dir = dir;
	core->hook.flush = dir_commit_hook;
	list_init(&dir->commit_dirty);
	list_init(&dir->commit_running);
	return dir;
}

/* Fails the logs of an OFFLINE directory. A callback may free logs: then the walk begins anew. */
static void dir_fail_logs(struct storage_dir *dir)
{
	struct storage *storage = dir->storage;
	struct storage_core *core = core_of(storage);
	uint32_t frees;

	do {
		frees = core->frees;
		list_for_each(node, tmp, &storage->logs) {
			struct part_log *log = list_entry(node, struct part_log, link);

			if (log->dir != dir || log->state == PART_LOG_FAILED || log->state == PART_LOG_CLOSED)
				continue;
			log_fail(impl_of(log), ERR_DIR_OFFLINE);
			if (core->frees != frees)
				break;
		}
	} while (core->frees != frees);
}

void storage_dir_set_state(struct storage_dir *dir, enum log_dir_state state)
{
	static const char *const names[] = {"online", "full", "offline"};

	if (dir->state == state || dir->state == LOG_DIR_OFFLINE)
		return;
	log_warn("log_dir.state", "dir=%s from=%s to=%s", dir->path, names[dir->state], names[state]);
	dir->state = state;
	if (state == LOG_DIR_OFFLINE)
		dir_fail_logs(dir);
	if (state == LOG_DIR_FULL)
		storage_tick_start(dir->storage);
}

void storage_dir_failed(struct storage_dir *dir, enum err err)
{
	enum log_dir_state before = dir->state;

	/* A busy descriptor table passes: it is no fault of the disk. */
	if (err == ERR_TOO_MANY_FILES)
		return;
	storage_dir_set_state(dir, err == ERR_DISK_FULL ? LOG_DIR_FULL : LOG_DIR_OFFLINE);
	if (dir->state != before && dir->storage->dir_changed)
		dir->storage->dir_changed(dir->storage, dir, err);
}

/* --- a full directory: asks for space until there is some --- */

struct probe_job {
	struct io_op op;
	struct storage_dir *dir;
	struct fs_space space;
};

static int64_t dir_reserve(const struct storage_dir *dir)
{
	return MAX(dir->storage->options.full_reserve_bytes, dir->reserve_bytes);
}

static void probe_job_run(struct io_op *op, struct fs *fs)
{
	struct probe_job *job = container_of(op, struct probe_job, op);

	op->err = fs->ops->space(fs, job->dir->path, &job->space);
}

static void probe_job_done(struct io_op *op)
{
	struct probe_job *job = container_of(op, struct probe_job, op);
	struct storage_dir *dir = job->dir;
	struct storage *storage = dir->storage;
	int64_t reserve = dir_reserve(dir);
	/* Some more than the limit, or the state would change with every deleted segment. */
	int64_t enough = MAX(reserve + reserve / 8, FULL_SPACE_MIN) + dir->resume_more_bytes;
	bool has_space = !op->err && job->space.usable >= enough;
	bool is_back = dir->state == LOG_DIR_FULL && has_space;

	core_of(storage)->works--;
	dir_core_of(dir)->probe_is_running = false;
	dir_core_of(dir)->room_bytes = MAX((job->space.usable - reserve) / ROOM_SHARE, ROOM_MIN);
	if (is_back && dir->needs_checkpoint && storage->checkpoint_due) {
		storage->checkpoint_due(storage);
	} else if (is_back) {
		storage_dir_set_state(dir, LOG_DIR_ONLINE);
		if (storage->dir_changed)
			storage->dir_changed(storage, dir, ERR_NONE);
	} else if (dir->state == LOG_DIR_ONLINE && !op->err && job->space.usable < reserve) {
		storage_dir_set_state(dir, LOG_DIR_FULL);
		if (storage->dir_changed)
			storage->dir_changed(storage, dir, ERR_DISK_FULL);
	}
	mem_free(job);
}

void storage_dir_checkpointed(struct storage_dir *dir, bool is_written)
{
	dir->needs_checkpoint = !is_written;
	if (!is_written)
		storage_dir_set_state(dir, LOG_DIR_FULL);
}

static void dir_probe_start(struct storage_dir *dir)
{
	struct storage *storage = dir->storage;
	struct probe_job *job;

	if (dir_core_of(dir)->probe_is_running)
		return;
	job = MEM_NEW(struct probe_job);
	job->dir = dir;
	job->op.kind = IO_WORK;
	job->op.work.run = probe_job_run;
	job->op.done = probe_job_done;
	dir_core_of(dir)->probe_is_running = true;
	core_of(storage)->works++;
	io_submit(storage->reactor->io, &job->op);
}

void storage_dir_written(struct storage_dir *dir, int64_t bytes)
{
	struct dir_core *core = dir_core_of(dir);

	core->was_written = true;
	core->room_bytes -= bytes;
	/* Once a second is not enough where little room is left, and nothing is known of it before the first write. */
	if (core->room_bytes < 0 && dir->state == LOG_DIR_ONLINE && dir_reserve(dir) > 0)
		dir_probe_start(dir);
}

/* --- the tick --- */

static void storage_tick(struct timer *timer)
{
	struct storage_core *core = container_of(timer, struct storage_core, tick);
	struct storage *storage = core->storage;
	bool again = storage_trash_waits(storage);

	for (int i = 0; i < storage->dirs_n; i++) {
		struct storage_dir *dir = &storage->dirs[i];
		bool is_dirty = !list_is_empty(&dir->commit_dirty);
		bool was_written = is_dirty || dir_core_of(dir)->was_written;

		/* What a fast commit has synced long ago has taken space too. */
		dir_core_of(dir)->was_written = false;
		if (dir->state == LOG_DIR_FULL || (was_written && dir_reserve(dir) > 0))
			dir_probe_start(dir);
		again = again || dir->state == LOG_DIR_FULL ||
			(dir->state != LOG_DIR_OFFLINE && (is_dirty || dir_core_of(dir)->wants_checkpoint));
	}
	storage_sync_tick(storage);
	storage_trash_tick(storage);
	if (again)
		storage_tick_start(storage);
}

void storage_tick_start(struct storage *storage)
{
	struct storage_core *core = core_of(storage);

	if (!core->is_stopped && !timer_is_on(&core->tick))
		reactor_timer(storage->reactor, &core->tick, TICK_NS, storage_tick);
}
