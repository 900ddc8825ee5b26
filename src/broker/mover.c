/* SPDX-License-Identifier: Apache-2.0 */
/* See mover.h. */
#include "mover.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker.h"
#include "checkpointer.h"
#include "dir_assign.h"
#include "dir_copy.h"
#include "log.h"
#include "log_compact.h"
#include "mem.h"
#include "placement_dir.h"
#include "progress.h"

#define MOVE_PIECE_BYTES MIB(4)
/* With no more than this left to copy the log is closed for the rest of it. */
#define MOVE_CLOSE_BYTES MIB(1)
#define MOVE_WAIT_NS (100 * NS_PER_MS)

enum move_state { MOVE_COPYING, MOVE_CLOSING, MOVE_LAST, MOVE_SAVING, MOVE_REMOVING, MOVE_CLEARING };

struct move {
	struct list link; /* the mover's */
	struct mover *mover;
	struct partition *partition; /* NULL: it went away, or has another move */
	enum move_state state;
	int dir, from_dir;
	bool is_cancelled;
	bool is_named;      /* the names may have changed */
	struct io_op op;
	struct timer timer;
	struct dir_copy copy;
	struct checkpoint_wait wait;
	int64_t bytes;      /* copied in all */
	int64_t bytes_left; /* when the last piece ended, about */
	int64_t copied_offset; /* then; `copy` is a helper's while a piece is under way */
	int64_t log_start, end; /* of the closed log */
	int64_t closed_ns;
	struct progress progress;
	char name[300];     /* "orders-4" */
	char future[300];
	char away[300];
	char from[FS_PATH_MAX], to[FS_PATH_MAX]; /* to: the future directory, then the final one */
};

struct mover {
	struct shard *shard;
	struct list moves;
};

static void move_go_on(struct move *move);
static void move_clear(struct move *move);

struct mover *mover_new(struct shard *shard)
{
	struct mover *mover = MEM_NEW(struct mover);

	mover->shard = shard;
	list_init(&mover->moves);
	return mover;
}

void mover_free(struct mover *mover)
{
	struct list *node;

	while (mover && (node = list_pop_front(&mover->moves)) != NULL)
		mem_free(list_entry(node, struct move, link));
	mem_free(mover);
}

bool mover_is_idle(const struct mover *mover)
{
	return list_is_empty(&mover->moves);
}

static const char *move_path(const struct move *move, int dir)
{
	return move->mover->shard->broker->dirs[dir].path;
}

/* replica.alter.log.dirs.io.max.bytes.per.second is for all that are on their way, on whatever shard. */
static int64_t move_rate(const struct move *move)
{
	const struct shard *shard = move->mover->shard;
	int64_t moves_n = __atomic_load_n(&shard->broker->moves_n, __ATOMIC_RELAXED);
	int64_t rate = shard->config->replica_alter_log_dirs_io_max_bytes_per_second / moves_n;

	return MAX(rate, INT64_C(1));
}

static void move_free(struct move *move)
{
	__atomic_fetch_sub(&move->mover->shard->broker->moves_n, 1, __ATOMIC_RELAXED);
	timer_stop(&move->mover->shard->reactor->timers, &move->timer);
	if (move->partition && move->partition->move == move)
		move->partition->move = NULL;
	list_remove(&move->link);
	mem_free(move);
}

static void move_submit(struct move *move, void (*run)(struct io_op *, struct fs *), void (*done)(struct io_op *))
{
	move->op = (struct io_op){.kind = IO_WORK, .work.run = run, .done = done};
	io_submit(move->mover->shard->reactor->io, &move->op);
}

static void move_timer_fired(struct timer *timer)
{
	move_go_on(container_of(timer, struct move, timer));
}

static void move_later(struct move *move, int64_t delay_ns)
{
	reactor_timer(move->mover->shard->reactor, &move->timer, delay_ns, move_timer_fired);
}

/* ---- the end ---- */

static void move_removed(struct io_op *op)
{
	struct move *move = container_of(op, struct move, op);

	if (op->err && op->err != ERR_NOT_FOUND)
		log_warn("move.left", "log=%s error=%s text=\"files of a move could not be removed\"", move->name,
			 err_name(op->err));
	move_free(move);
}

static void move_remove_run(struct io_op *op, struct fs *fs)
{
	struct move *move = container_of(op, struct move, op);
	char path[FS_PATH_MAX];

	op->err = dir_copy_unmark(fs, move->to);
	if (snprintf(path, sizeof(path), "%s/%s", move_path(move, move->from_dir), move->away) < FS_PATH_MAX) {
		enum err err = fs_remove_tree(fs, path);

		op->err = op->err ? op->err : err;
	}
}

static void move_saved(struct checkpoint_wait *wait, enum err err)
{
	struct move *move = container_of(wait, struct move, wait);

	if (err) { /* the mark stays, and the old files as "-delete": the next start clears both up */
		log_warn("move.unsaved", "log=%s error=%s", move->name, err_name(err));
		move_free(move);
		return;
	}
	move->state = MOVE_REMOVING;
	move_submit(move, move_remove_run, move_removed);
}

static void move_clear_run(struct io_op *op, struct fs *fs)
{
	op->err = fs_remove_tree(fs, container_of(op, struct move, op)->to);
}

/* Given up: what was copied goes. At a stop it stays, as the sign to begin anew. */
static void move_clear(struct move *move)
{
	if (move->partition && move->partition->move == move)
		move->partition->move = NULL;
	move->partition = NULL;
	timer_stop(&move->mover->shard->reactor->timers, &move->timer);
	if (move->mover->shard->is_stopping && !move->is_cancelled) {
		move_free(move);
		return;
	}
	move->state = MOVE_CLEARING;
	move_submit(move, move_clear_run, move_removed);
}

static void move_failed(struct move *move, int dir, enum err err)
{
	struct shard *shard = move->mover->shard;

	log_error("move.failed", "log=%s from=%s to=%s error=%s", move->name, move_path(move, move->from_dir),
		  move_path(move, move->dir), err_name(err));
	if (err != ERR_DISK_FULL)
		storage_dir_failed(&shard->storage.dirs[dir], err);
}

/* ---- the names ---- */

static void move_last_run(struct io_op *op, struct fs *fs)
{
	struct move *move = container_of(op, struct move, op);

	op->err = dir_copy_rest(fs, move->from, move->to, &(struct dir_mark){move->log_start, move->end});
	if (op->err)
		return;
	move->is_named = true;
	op->err = dir_copy_rename(fs, move_path(move, move->from_dir), move_path(move, move->dir), move->future,
				  move->name, move->away);
}

/* The partition lies in its new place. */
static void move_arrived(struct move *move)
{
	struct shard *shard = move->mover->shard;
	struct partition *partition = move->partition;

	snprintf(move->to, sizeof(move->to), "%s/%s", move_path(move, move->dir), move->name);
	partition_change_dir(partition, &shard->storage.dirs[move->dir]);
	shard->dir_partitions_n[move->from_dir]--;
	shard->dir_partitions_n[move->dir]++;
	dir_assign_want(shard, partition->topic_id, partition->index, shard->storage.dirs[move->dir].id);
	dir_assign_flush(shard);
	log_info("move.done", "log=%s from=%s to=%s bytes=%" PRId64 " took_ms=%" PRId64 " held_ms=%" PRId64,
		 move->name, move_path(move, move->from_dir), move_path(move, move->dir), move->bytes,
		 (shard->reactor->now_ns - move->progress.began_ns) / NS_PER_MS,
		 (shard->reactor->now_ns - move->closed_ns) / NS_PER_MS);
	partition->move = NULL;
	move->partition = NULL;
	move->state = MOVE_SAVING;
	move->wait.dir = move->dir;
	move->wait.done = move_saved;
	checkpointer_save(shard, &move->wait);
}

static void move_last_done(struct io_op *op)
{
	struct move *move = container_of(op, struct move, op);
	struct partition *partition = move->partition;
	enum err err = op->err;

	if (!err) {
		move_arrived(move);
	} else if (move->is_named) {
		/* Which of the two the next start takes is not known: nothing more may be written to either. */
		move_failed(move, move->dir, ERR_IO);
		storage_dir_failed(&move->mover->shard->storage.dirs[move->from_dir], ERR_IO);
		move_free(move);
	} else {
		move_failed(move, move->dir, err);
		move->is_cancelled = true;
		move_clear(move);
	}
	partition_release(partition);
	shard_partition_log_changed(partition);
}

/* ---- copying ---- */

static void move_say(struct move *move)
{
	int64_t now_ns = move->mover->shard->reactor->now_ns;

	move->progress.done = move->bytes;
	move->progress.total = move->bytes + move->bytes_left;
	if (progress_is_due(&move->progress, now_ns))
		log_info("move.progress",
			 "log=%s to=%s done_bytes=%" PRId64 " total_bytes=%" PRId64 " rate_mb_s=%.1f eta_s=%.0f",
			 move->name, move_path(move, move->dir), move->progress.done, move->progress.total,
			 progress_rate(&move->progress, now_ns) / 1e6, progress_eta_s(&move->progress, now_ns));
}

static void move_copied(struct io_op *op)
{
	struct move *move = container_of(op, struct move, op);
	struct shard *shard = move->mover->shard;
	int64_t rate = move_rate(move), delay_ns = 0;

	move->bytes += move->copy.bytes;
	move->copied_offset = move->copy.offset;
	if (!move->partition || move->is_cancelled || shard->is_stopping) {
		move_clear(move);
		return;
	}
	if (op->err) {
		move_failed(move, move->dir, op->err);
		move->is_cancelled = true;
		move_clear(move);
		return;
	}
	move->bytes_left = MAX(move->partition->log->size_bytes - move->bytes, INT64_C(0));
	move_say(move);
	delay_ns = (int64_t)((double)move->copy.bytes / (double)rate * (double)NS_PER_S);
	move_later(move, delay_ns);
}

static void move_copy_run(struct io_op *op, struct fs *fs)
{
	op->err = dir_copy_piece(&container_of(op, struct move, op)->copy, fs);
}

static void move_copy(struct move *move)
{
	const struct part_log *log = move->partition->log;
	int64_t rate = move_rate(move);

	move->copy.from = move->from;
	move->copy.to = move->to;
	move->copy.bound = log->appended;
	/* In a quarter of a second, so that a low limit is met evenly. */
	move->copy.bytes_max = MAX(MIN(rate / 4, (int64_t)MOVE_PIECE_BYTES), INT64_C(1));
	move_submit(move, move_copy_run, move_copied);
}

static void move_go_on(struct move *move)
{
	struct partition *partition = move->partition;
	const struct log_pos *bound = &move->copy.bound;
	struct part_log *log;

	if (!partition || move->mover->shard->is_stopping) {
		move_clear(move);
		return;
	}
	log = partition->log;
	if (log->state == PART_LOG_CLOSED)
		partition_open(partition);
	if (log->state != PART_LOG_OPEN || part_log_is_compacting(log)) {
		move_later(move, MOVE_WAIT_NS);
		return;
	}
	if (!move->copy.is_complete || log->appended.segment_base != bound->segment_base ||
	    log->appended.file_pos - bound->file_pos > (int64_t)MOVE_CLOSE_BYTES) {
		move_copy(move);
		return;
	}
	move->state = MOVE_CLOSING;
	move->closed_ns = move->mover->shard->reactor->now_ns;
	partition_hold(partition);
}

void mover_log_changed(struct partition *partition)
{
	struct move *move = partition->move;
	enum part_log_state state = partition->log->state;

	if (move->state == MOVE_CLOSING && state == PART_LOG_CLOSED && partition->log->failure) {
		/* The disk is full: it stays where it is, and who needs it tries to open it. */
		mover_forget(partition);
		partition_release(partition);
	} else if (move->state == MOVE_CLOSING && state == PART_LOG_CLOSED) {
		move->state = MOVE_LAST;
		move->log_start = partition->log->log_start;
		move->end = partition->log->end;
		move_submit(move, move_last_run, move_last_done);
	} else if (state == PART_LOG_FAILED && (move->state == MOVE_CLOSING || move->state == MOVE_COPYING)) {
		partition->is_held = false;
		mover_forget(partition);
	}
}

void mover_forget(struct partition *partition)
{
	struct move *move = partition->move;

	/* In LAST the partition waits, whatever becomes of it. */
	if (!move || move->state == MOVE_LAST)
		return;
	partition->move = NULL;
	partition->is_held = false;
	move->partition = NULL;
	move->is_cancelled = !move->mover->shard->is_stopping;
	if (!move->op.is_under_way)
		move_clear(move);
}

/* ---- the beginning ---- */

enum err mover_start(struct shard *shard, struct partition *partition, int dir)
{
	struct storage_dir *dirs = shard->storage.dirs;
	struct uuid unique = uuid_random(&shard->reactor->rng);
	int from = partition->log->dir->index;
	struct move *move = partition->move;

	if (dirs[dir].state == LOG_DIR_OFFLINE || dirs[from].state == LOG_DIR_OFFLINE ||
	    partition->state == PARTITION_OFFLINE)
		return ERR_KAFKA_STORAGE_ERROR;
	if (move && move->dir == dir)
		return ERR_NONE;
	if (move && (move->state == MOVE_LAST || move->state == MOVE_CLOSING))
		return ERR_KAFKA_STORAGE_ERROR; /* it arrives in a moment: to be tried again */
	mover_forget(partition);
	if (from == dir)
		return ERR_NONE;
	move = MEM_NEW(struct move);
	move->mover = shard->mover;
	move->partition = partition;
	move->dir = dir;
	move->from_dir = from;
	progress_begin(&move->progress, 0, shard->reactor->now_ns);
	move->bytes_left = partition->log->size_bytes;
	snprintf(move->name, sizeof(move->name), "%s", partition->log->name);
	if (!log_dir_away_name(str_of(move->name), "-future", unique, move->future, sizeof(move->future)) ||
	    !log_dir_away_name(str_of(move->name), "-delete", unique, move->away, sizeof(move->away)) ||
	    snprintf(move->from, sizeof(move->from), "%s/%s", dirs[from].path, move->name) >= FS_PATH_MAX ||
	    snprintf(move->to, sizeof(move->to), "%s/%s", dirs[dir].path, move->future) >= FS_PATH_MAX) {
		mem_free(move);
		return ERR_KAFKA_STORAGE_ERROR;
	}
	list_push_back(&shard->mover->moves, &move->link);
	__atomic_fetch_add(&shard->broker->moves_n, 1, __ATOMIC_RELAXED);
	partition->move = move;
	log_info("move.begun", "log=%s from=%s to=%s", move->name, dirs[from].path, dirs[dir].path);
	move_later(move, 0);
	return ERR_NONE;
}

void mover_resume(struct shard *shard, struct partition *partition)
{
	int dir = found_future(&shard->broker->found, str_of(partition->topic), partition->index);
	enum err err = ERR_NONE;

	if (dir < 0 || !found_get(&shard->broker->found, str_of(partition->topic), partition->index,
				  partition->topic_id))
		return;
	err = mover_start(shard, partition, dir);
	if (err)
		log_warn("move.not_resumed", "log=%s error=%s", partition->log->name, err_name(err));
}

bool mover_status(const struct partition *partition, struct move_status *ret)
{
	const struct move *move = partition->move;
	int64_t copied;

	if (!move)
		return false;
	copied = MAX(move->copied_offset, partition->log->log_start);
	ret->dir = move->dir;
	ret->bytes = move->bytes;
	ret->offset_lag = MAX(partition->log->end - copied, INT64_C(0));
	return true;
}
