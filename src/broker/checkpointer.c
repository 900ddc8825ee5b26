/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpointer.h. One round: every shard reports, after a sync of its dirty logs where that is due; then one job a
 * directory writes. */
#include "checkpointer.h"

#include "broker.h"
#include "controller_io.h"
#include "log.h"
#include "mem.h"
#include "metadata_store.h"
#include "shard.h"

enum { FILE_RECOVERY, FILE_START, FILE_WATERMARK, FILE_CLEANER, FILES_N };

static const char *const checkpoint_files[] = {RECOVERY_POINT_FILE, LOG_START_FILE, HIGH_WATERMARK_FILE,
						CLEANER_FILE};

struct checkpoint_leg {
	struct msg msg;
	struct checkpointer *owner;
	struct shard *shard;
	struct arena arena; /* texts of this round */
	struct offset_checkpoint files[BROKER_DIRS_MAX][FILES_N];
	bool has_image; /* it knows which partitions there are */
	bool has_unopened[BROKER_DIRS_MAX]; /* a log that was not opened since the start */
	bool is_written[BROKER_DIRS_MAX];
	bool syncs;
};

/* Those who wait on one shard. The message is at home, or asks reactor 0 for a round on behalf of `asked`. */
struct checkpoint_saver {
	struct msg msg;
	struct list link; /* at reactor 0 */
	struct shard *shard;
	struct list waiting;
	struct list asked;
	bool is_out;
	bool is_saved[BROKER_DIRS_MAX]; /* the answer */
	struct msg due_msg;
	bool due_is_out;
};

struct checkpoint_job {
	struct io_op op;
	struct checkpointer *owner;
	int dir;
	bool mark_checked;
	bool is_offline; /* nothing is written there */
	struct offset_checkpoint files[FILES_N];
	struct log_dir_written written[FILES_N]; /* over all rounds */
};

struct checkpointer {
	struct broker *broker;
	struct checkpoint_leg **legs; /* per shard */
	struct checkpoint_saver **savers; /* per shard, and its own but for `link` */
	struct list wanting;  /* savers who wait for the next round */
	struct list in_round; /* and for the running one */
	struct checkpoint_job jobs[BROKER_DIRS_MAX];
	struct timer timer;
	int out; /* legs or jobs under way */
	bool is_marked[BROKER_DIRS_MAX]; /* the running mark names this boot */
	bool is_running;
	bool again; /* a round was asked for while one was under way */
	bool is_over; /* nothing is written any more */
	bool syncs; /* in this round every shard syncs first */
	bool syncs_next;
	bool is_saved[BROKER_DIRS_MAX]; /* the last round wrote all files there */
	bool is_told[BROKER_DIRS_MAX];  /* that it could not, since it last could */
	void (*done)(void *ctx);
	void *ctx;
};

static void checkpointer_round(struct checkpointer *c);

struct checkpointer *checkpointer_new(struct broker *broker)
{
	struct checkpointer *c = MEM_NEW(struct checkpointer);

	c->broker = broker;
	for (int d = 0; d < BROKER_DIRS_MAX; d++) {
		for (int f = 0; f < FILES_N; f++)
			c->jobs[d].written[f].is_kept = d < broker->dirs_n && broker->dirs[d].stop == LOG_DIR_CLEAN;
	}
	c->legs = mem_calloc((size_t)broker->shards_n, sizeof(*c->legs));
	c->savers = mem_calloc((size_t)broker->shards_n, sizeof(*c->savers));
	list_init(&c->wanting);
	list_init(&c->in_round);
	for (int i = 0; i < broker->shards_n; i++) {
		c->legs[i] = MEM_NEW(struct checkpoint_leg);
		c->legs[i]->owner = c;
		c->legs[i]->shard = &broker->shards[i];
		c->savers[i] = MEM_NEW(struct checkpoint_saver);
		c->savers[i]->shard = &broker->shards[i];
		list_init(&c->savers[i]->waiting);
		list_init(&c->savers[i]->asked);
	}
	return c;
}

static void checkpointer_clear(struct checkpointer *c)
{
	for (int i = 0; i < c->broker->shards_n; i++) {
		arena_reset(&c->legs[i]->arena);
		for (int d = 0; d < BROKER_DIRS_MAX; d++) {
			for (int f = 0; f < FILES_N; f++)
				vec_deinit(&c->legs[i]->files[d][f].entries);
		}
	}
	for (int d = 0; d < BROKER_DIRS_MAX; d++) {
		for (int f = 0; f < FILES_N; f++)
			vec_deinit(&c->jobs[d].files[f].entries);
	}
}

void checkpointer_free(struct checkpointer *c)
{
	if (!c)
		return;
	checkpointer_clear(c);
	for (int i = 0; i < c->broker->shards_n; i++) {
		mem_free(c->legs[i]);
		mem_free(c->savers[i]);
	}
	mem_free(c->legs);
	mem_free(c->savers);
	mem_free(c);
}

static void checkpoint_saver_start(struct checkpoint_saver *saver);

/* On the shard: the round that began after they asked is over. */
static void checkpoint_saver_returns(struct reactor *reactor, struct msg *msg)
{
	struct checkpoint_saver *saver = container_of(msg, struct checkpoint_saver, msg);
	struct list told, *node;

	list_init(&told);
	list_splice(&told, &saver->asked);
	saver->is_out = false;
	while ((node = list_pop_front(&told)) != NULL) {
		struct checkpoint_wait *wait = list_entry(node, struct checkpoint_wait, link);

		wait->done(wait, saver->is_saved[wait->dir] ? ERR_NONE : ERR_KAFKA_STORAGE_ERROR);
	}
	if (!saver->is_out && !list_is_empty(&saver->waiting))
		checkpoint_saver_start(saver);
}

static void checkpointer_tell_savers(struct checkpointer *c)
{
	struct list *node;

	while ((node = list_pop_front(&c->in_round)) != NULL) {
		struct checkpoint_saver *saver = list_entry(node, struct checkpoint_saver, link);

		memcpy(saver->is_saved, c->is_saved, sizeof(saver->is_saved));
		saver->msg.handle = checkpoint_saver_returns;
		reactor_send(c->broker->shards[0].reactor, saver->shard->reactor, &saver->msg);
	}
}

/* On reactor 0. */
static void checkpoint_saver_asks(struct reactor *reactor, struct msg *msg)
{
	struct checkpoint_saver *saver = container_of(msg, struct checkpoint_saver, msg);
	struct checkpointer *c = saver->shard->broker->checkpointer;

	list_push_back(&c->wanting, &saver->link);
	if (!c->is_over) {
		checkpointer_round(c);
		return;
	}
	list_remove(&saver->link);
	memset(saver->is_saved, 0, sizeof(saver->is_saved));
	msg->handle = checkpoint_saver_returns;
	reactor_send(reactor, saver->shard->reactor, msg);
}

static void checkpoint_saver_start(struct checkpoint_saver *saver)
{
	list_splice(&saver->asked, &saver->waiting);
	saver->is_out = true;
	saver->msg.handle = checkpoint_saver_asks;
	reactor_send(saver->shard->reactor, saver->shard->broker->shards[0].reactor, &saver->msg);
}

void checkpointer_save(struct shard *shard, struct checkpoint_wait *wait)
{
	struct checkpoint_saver *saver = shard->broker->checkpointer->savers[shard->index];

	wait->link = (struct list){NULL, NULL};
	list_push_back(&saver->waiting, &wait->link);
	if (!saver->is_out)
		checkpoint_saver_start(saver);
}

static void checkpoint_due_returns(struct reactor *reactor, struct msg *msg)
{
	container_of(msg, struct checkpoint_saver, due_msg)->due_is_out = false;
}

static void checkpoint_due_asks(struct reactor *reactor, struct msg *msg)
{
	struct checkpoint_saver *saver = container_of(msg, struct checkpoint_saver, due_msg);
	struct checkpointer *c = saver->shard->broker->checkpointer;

	if (!c->done && !c->is_over) {
		c->syncs_next = true;
		checkpointer_round(c);
	}
	msg->handle = checkpoint_due_returns;
	reactor_send(reactor, saver->shard->reactor, msg);
}

void checkpointer_due(struct shard *shard)
{
	struct checkpoint_saver *saver = shard->broker->checkpointer->savers[shard->index];

	if (saver->due_is_out || shard->is_stopping)
		return;
	saver->due_is_out = true;
	saver->due_msg.handle = checkpoint_due_asks;
	reactor_send(shard->reactor, shard->broker->shards[0].reactor, &saver->due_msg);
}

static void checkpointer_end(struct checkpointer *c)
{
	c->is_running = false;
	checkpointer_clear(c);
	checkpointer_tell_savers(c);
	if (c->again) {
		c->again = false;
		checkpointer_round(c);
	} else if (c->done) {
		c->is_over = true;
		c->done(c->ctx);
	}
}

/* ---- after writing: the shards learn what is in the files ---- */

static void checkpoint_confirm_returns(struct reactor *reactor, struct msg *msg)
{
	struct checkpointer *c = container_of(msg, struct checkpoint_leg, msg)->owner;

	if (--c->out == 0)
		checkpointer_end(c);
}

static void checkpoint_confirm_run(struct reactor *reactor, struct msg *msg)
{
	struct checkpoint_leg *leg = container_of(msg, struct checkpoint_leg, msg);
	struct storage *storage = &leg->shard->storage;
	struct shard_topic *topic;
	uint32_t it = 0;

	for (int d = 0; d < storage->dirs_n; d++)
		storage_dir_checkpointed(&storage->dirs[d], leg->is_written[d]);
	while ((topic = map_next(&leg->shard->topics, &it)) != NULL) {
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			struct partition *partition = topic->partitions[i];

			if (!partition)
				continue;
			if (partition->recovery_collected >= 0 && leg->is_written[partition->log->dir->index])
				partition->log->recovery_written = partition->recovery_collected;
			partition->recovery_collected = -1;
		}
	}
	msg->handle = checkpoint_confirm_returns;
	reactor_send(reactor, leg->shard->broker->shards[0].reactor, msg);
}

static void checkpointer_confirm(struct checkpointer *c)
{
	c->out = c->broker->shards_n;
	for (int i = 0; i < c->broker->shards_n; i++) {
		memcpy(c->legs[i]->is_written, c->is_saved, sizeof(c->is_saved));
		c->legs[i]->msg.handle = checkpoint_confirm_run;
		reactor_send(c->broker->shards[0].reactor, c->broker->shards[i].reactor, &c->legs[i]->msg);
	}
}

/* ---- writing ---- */

static void checkpoint_job_run(struct io_op *op, struct fs *fs)
{
	struct checkpoint_job *job = container_of(op, struct checkpoint_job, op);
	const char *path = job->owner->broker->dirs[job->dir].path;

	op->err = job->is_offline ? ERR_DIR_OFFLINE : ERR_NONE;
	for (int f = 0; !op->err && f < FILES_N; f++)
		op->err = log_dir_write_offsets(fs, path, checkpoint_files[f], &job->files[f], &job->written[f]);
	if (!op->err && job->mark_checked)
		op->err = log_dir_mark_checked(path, fs);
}

static void checkpoint_job_done(struct io_op *op)
{
	struct checkpoint_job *job = container_of(op, struct checkpoint_job, op);
	struct checkpointer *c = job->owner;

	c->is_saved[job->dir] = !op->err;
	if (!op->err && job->mark_checked)
		c->is_marked[job->dir] = true;
	if (op->err && c->broker->shards[0].storage.dirs[job->dir].state != LOG_DIR_OFFLINE) {
		/* A full disk is tried every second. */
		if (!c->is_told[job->dir])
			log_warn("checkpoint.failed",
				 "code=ML1061 dir=%s error=%s text=\"recovery points could not be written; a "
				 "start after a crash reads more\"",
				 c->broker->dirs[job->dir].path, err_name(op->err));
		storage_dir_failed(&c->broker->shards[0].storage.dirs[job->dir], op->err);
	}
	c->is_told[job->dir] = op->err;
	if (--c->out == 0)
		checkpointer_confirm(c);
}

/* After a power cut every log has been opened now. */
static bool checkpoint_is_newly_checked(const struct checkpointer *c, int dir)
{
	enum log_dir_stop stop = c->broker->dirs[dir].stop;

	if (c->is_marked[dir] || (stop != LOG_DIR_POWER_CUT && stop != LOG_DIR_UNKNOWN))
		return false;
	for (int i = 0; i < c->broker->shards_n; i++) {
		if (c->legs[i]->has_unopened[dir])
			return false;
	}
	return true;
}

/* A stop before the metadata was read: what the last life wrote still holds, and what it left unchecked still is. */
static bool checkpointer_knows_nothing(const struct checkpointer *c)
{
	for (int i = 0; i < c->broker->shards_n; i++) {
		if (!c->legs[i]->has_image)
			return true;
	}
	return false;
}

static void checkpointer_write(struct checkpointer *c)
{
	struct broker *broker = c->broker;

	if (checkpointer_knows_nothing(c)) {
		for (int d = 0; d < broker->dirs_n; d++)
			c->is_saved[d] = broker->dirs[d].stop == LOG_DIR_CLEAN && !broker->dirs[d].is_offline;
		checkpointer_end(c);
		return;
	}
	c->out = broker->dirs_n;
	for (int d = 0; d < broker->dirs_n; d++) {
		struct checkpoint_job *job = &c->jobs[d];

		for (int f = 0; f < FILES_N; f++) {
			for (int i = 0; i < broker->shards_n; i++) {
				const struct offset_checkpoint *part = &c->legs[i]->files[d][f];

				for (size_t e = 0; e < part->entries.n; e++)
					vec_push(&job->files[f].entries, part->entries.v[e]);
			}
		}
		job->owner = c;
		job->dir = d;
		job->is_offline = broker->shards[0].storage.dirs[d].state == LOG_DIR_OFFLINE;
		job->mark_checked = checkpoint_is_newly_checked(c, d);
		job->op.kind = IO_WORK;
		job->op.work.run = checkpoint_job_run;
		job->op.done = checkpoint_job_done;
		io_submit(broker->shards[0].reactor->io, &job->op);
	}
}

/* ---- collecting ---- */

static void checkpoint_add(struct checkpoint_leg *leg, int dir, int file, const struct partition *partition,
			   int64_t offset)
{
	struct offset_entry entry = {
		.topic = arena_str(&leg->arena, str_of(partition->topic)),
		.partition = partition->index,
		.offset = offset,
	};

	if (offset >= 0)
		vec_push(&leg->files[dir][file].entries, entry);
}

static void checkpoint_collect(struct checkpoint_leg *leg, struct partition *partition)
{
	const struct part_log *log = partition->log;
	int dir = log->dir->index;

	if (!partition->is_open) {
		leg->has_unopened[dir] = true;
		checkpoint_add(leg, dir, FILE_CLEANER, partition, partition->cleaner_offset);
		checkpoint_add(leg, dir, FILE_RECOVERY, partition, partition->checkpoint_recovery_point);
		checkpoint_add(leg, dir, FILE_START, partition, partition->checkpoint_log_start);
		checkpoint_add(leg, dir, FILE_WATERMARK, partition, partition->checkpoint_high_watermark);
		return;
	}
	partition->recovery_collected = log->recovery_point;
	checkpoint_add(leg, dir, FILE_RECOVERY, partition, log->recovery_point);
	checkpoint_add(leg, dir, FILE_CLEANER, partition, partition->cleaner_offset);
	checkpoint_add(leg, dir, FILE_START, partition, log->log_start > 0 ? log->log_start : -1);
	checkpoint_add(leg, dir, FILE_WATERMARK, partition, partition->high_watermark.offset);
}

/* The original keeps the metadata log's recovery point among those of its directory. */
static void checkpoint_collect_metadata(struct checkpoint_leg *leg)
{
	const struct broker *broker = leg->shard->broker;
	struct offset_entry entry = {.topic = STR(METADATA_TOPIC_NAME)};

	if (leg->shard->index > 0)
		return; /* it is reactor 0's */
	entry.offset = controller_io_recovery_point(broker);
	if (entry.offset >= 0)
		vec_push(&leg->files[broker->metadata_dir][FILE_RECOVERY].entries, entry);
}

static void checkpoint_leg_returns(struct reactor *reactor, struct msg *msg)
{
	struct checkpointer *c = container_of(msg, struct checkpoint_leg, msg)->owner;

	if (--c->out == 0)
		checkpointer_write(c);
}

static void checkpoint_leg_collect(struct checkpoint_leg *leg)
{
	struct shard *shard = leg->shard;
	struct shard_topic *topic;
	uint32_t it = 0;

	leg->has_image = shard->image->offset > 0;
	memset(leg->has_unopened, 0, sizeof(leg->has_unopened));
	checkpoint_collect_metadata(leg);
	while ((topic = map_next(&shard->topics, &it)) != NULL) {
		for (int32_t i = 0; i < topic->partitions_n; i++) {
			if (topic->partitions[i])
				checkpoint_collect(leg, topic->partitions[i]);
		}
	}
	leg->msg.handle = checkpoint_leg_returns;
	reactor_send(shard->reactor, shard->broker->shards[0].reactor, &leg->msg);
}

static void checkpoint_leg_synced(struct storage *storage)
{
	struct shard *shard = storage->ctx;

	checkpoint_leg_collect(shard->broker->checkpointer->legs[shard->index]);
}

static void checkpoint_leg_run(struct reactor *reactor, struct msg *msg)
{
	struct checkpoint_leg *leg = container_of(msg, struct checkpoint_leg, msg);

	/* One that runs already was begun by a closing log: what it reaches is reported the next time. */
	if (!leg->syncs || !storage_checkpoint_due(&leg->shard->storage, checkpoint_leg_synced))
		checkpoint_leg_collect(leg);
}

static void checkpointer_round(struct checkpointer *c)
{
	if (c->is_running) {
		c->again = true;
		return;
	}
	c->is_running = true;
	c->syncs = c->syncs_next;
	c->syncs_next = false;
	list_splice(&c->in_round, &c->wanting);
	c->out = c->broker->shards_n;
	for (int i = 0; i < c->broker->shards_n; i++) {
		c->legs[i]->syncs = c->syncs;
		c->legs[i]->msg.handle = checkpoint_leg_run;
		reactor_send(c->broker->shards[0].reactor, c->broker->shards[i].reactor, &c->legs[i]->msg);
	}
}

static void checkpointer_tick(struct timer *timer)
{
	struct checkpointer *c = container_of(timer, struct checkpointer, timer);

	if (c->done)
		return;
	checkpointer_round(c);
	reactor_timer(c->broker->shards[0].reactor, &c->timer,
		      c->broker->config.log_flush_offset_checkpoint_interval_ms * NS_PER_MS, checkpointer_tick);
}

void checkpointer_start(struct checkpointer *c)
{
	reactor_timer(c->broker->shards[0].reactor, &c->timer,
		      c->broker->config.log_flush_offset_checkpoint_interval_ms * NS_PER_MS, checkpointer_tick);
}

bool checkpointer_is_saved(const struct checkpointer *c, int dir)
{
	return c->is_saved[dir];
}

void checkpointer_finish(struct checkpointer *c, void (*done)(void *ctx), void *ctx)
{
	timer_stop(&c->broker->shards[0].reactor->timers, &c->timer);
	c->done = done;
	c->ctx = ctx;
	checkpointer_round(c);
}
