/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See stray.h. One job renames what is stray; then the marks of moves that a death interrupted go, directory by
 * directory; then one job after the other removes what is left of deletions.
 *
 * 1. A mark goes only when the checkpoint files of its directory know the partition: until then it alone holds the
 *    start of the log (dir_copy.h).
 */
#include "stray.h"

#include <stdio.h>

#include "broker.h"
#include "checkpointer.h"
#include "dir_copy.h"
#include "fault.h"
#include "log.h"
#include "mem.h"
#include "metadata_store.h"
#include "shard.h"

struct stray_dir {
	const char *path;
	struct str name;
	struct uuid topic_id, unique;
};

/* Named in the log, each; of more only their number is told. */
#define STRAYS_TOLD_MAX 100

struct stray_job {
	struct io_op op;
	struct broker *broker;
	VEC(struct stray_dir) strays;
	int renamed_n, failed_n;
	void (*done)(void *ctx, bool has_renamed);
	void *ctx;
};

static void stray_run(struct io_op *op, struct fs *fs)
{
	struct stray_job *job = container_of(op, struct stray_job, op);

	for (size_t i = 0; i < job->strays.n; i++) {
		const struct stray_dir *stray = &job->strays.v[i];
		char id[UUID_TEXT_LEN + 1];
		enum err err = log_dir_rename_away(fs, stray->path, stray->name, "-stray", stray->unique);

		if (err)
			job->failed_n++;
		else
			job->renamed_n++;
		uuid_format(stray->topic_id, id);
		if (i < STRAYS_TOLD_MAX)
			log_warn("log_dir.stray_found", "code=ML1019 dir=%s log=%.*s topic_id=%s result=%s",
				 stray->path, STR_ARGS(stray->name), id, err ? err_name(err) : "renamed");
	}
	op->err = ERR_NONE;
}

/* ---- what deletions left ---- */

struct stray_removal {
	struct io_op op;
	struct broker *broker;
	int dir;
	size_t next; /* in found.deletable[dir] */
	bool is_renaming; /* the job before it is under way */
	int mark_dir;     /* whose marks go next */
	bool is_saving;   /* waits for the checkpoint files */
	struct checkpoint_wait wait;
	char path[FS_PATH_MAX];
};

static void stray_removal_run(struct io_op *op, struct fs *fs)
{
	op->err = fs_remove_tree(fs, container_of(op, struct stray_removal, op)->path);
}

static void stray_removal_next(struct stray_removal *removal);

static void stray_removal_done(struct io_op *op)
{
	struct stray_removal *removal = container_of(op, struct stray_removal, op);

	if (op->err)
		log_warn("log_dir.remove_failed", "path=%s error=%s", removal->path, err_name(op->err));
	stray_removal_next(removal);
}

static void stray_removal_next(struct stray_removal *removal)
{
	struct broker *broker = removal->broker;

	while (removal->dir < broker->dirs_n && removal->next >= broker->found.deletable[removal->dir].n) {
		removal->dir++;
		removal->next = 0;
	}
	if (removal->dir >= broker->dirs_n || broker->phase == BROKER_STOPPING || FAULT(delete_forgotten))
		return;
	snprintf(removal->path, sizeof(removal->path), "%s/%.*s", broker->dirs[removal->dir].path,
		 STR_ARGS(broker->found.deletable[removal->dir].v[removal->next]));
	removal->next++;
	removal->op.kind = IO_WORK;
	removal->op.work.run = stray_removal_run;
	removal->op.done = stray_removal_done;
	io_submit(broker->shards[0].reactor->io, &removal->op);
}

bool stray_is_idle(const struct broker *broker)
{
	const struct stray_removal *removal = broker->removal;

	return !removal || (!removal->is_renaming && !removal->is_saving && !removal->op.is_under_way);
}

void stray_free(struct broker *broker)
{
	mem_free(broker->removal);
	broker->removal = NULL;
}

/* ---- what moves left ---- */

/* The next partition in the directory that bears a mark. *it: 0 first. */
static const struct found_partition *stray_marked(const struct broker *broker, int dir, uint32_t *it)
{
	const struct found_partition *found;

	while ((found = map_next(&broker->found.by_name, it)) != NULL) {
		for (; found; found = found->other) {
			if (found->dir == dir && found->moved_start != FOUND_NOT_MOVED)
				return found;
		}
	}
	return NULL;
}

static void stray_unmark_run(struct io_op *op, struct fs *fs)
{
	struct stray_removal *removal = container_of(op, struct stray_removal, op);
	const char *dir = removal->broker->dirs[removal->mark_dir].path;
	const struct found_partition *found;
	uint32_t it = 0;

	op->err = ERR_NONE;
	while ((found = stray_marked(removal->broker, removal->mark_dir, &it)) != NULL) {
		char path[FS_PATH_MAX];
		enum err err = ERR_TOO_LARGE;

		if (snprintf(path, sizeof(path), "%s/%.*s", dir, STR_ARGS(found->name)) < FS_PATH_MAX)
			err = dir_copy_unmark(fs, path);
		op->err = op->err ? op->err : err;
	}
}

static void stray_unmark_next(struct stray_removal *removal);

static void stray_unmark_done(struct io_op *op)
{
	struct stray_removal *removal = container_of(op, struct stray_removal, op);

	if (op->err)
		log_warn("move.left", "dir=%s error=%s text=\"marks of moves could not be removed\"",
			 removal->broker->dirs[removal->mark_dir].path, err_name(op->err));
	removal->mark_dir++;
	stray_unmark_next(removal);
}

/* Not saved: the marks stay until the next start. */
static void stray_unmark_saved(struct checkpoint_wait *wait, enum err err)
{
	struct stray_removal *removal = container_of(wait, struct stray_removal, wait);

	removal->is_saving = false;
	if (err) {
		removal->mark_dir++;
		stray_unmark_next(removal);
		return;
	}
	removal->op.kind = IO_WORK;
	removal->op.work.run = stray_unmark_run;
	removal->op.done = stray_unmark_done;
	io_submit(removal->broker->shards[0].reactor->io, &removal->op);
}

static void stray_unmark_next(struct stray_removal *removal)
{
	struct broker *broker = removal->broker;
	uint32_t it = 0;

	while (removal->mark_dir < broker->dirs_n && !stray_marked(broker, removal->mark_dir, &it)) {
		removal->mark_dir++;
		it = 0;
	}
	if (removal->mark_dir >= broker->dirs_n || broker->phase == BROKER_STOPPING) {
		stray_removal_next(removal);
		return;
	}
	removal->is_saving = true;
	removal->wait.dir = removal->mark_dir;
	removal->wait.done = stray_unmark_saved;
	checkpointer_save(&broker->shards[0], &removal->wait);
}

/* ---- what the metadata does not know ---- */

static void stray_done(struct io_op *op)
{
	struct stray_job *job = container_of(op, struct stray_job, op);
	struct broker *broker = job->broker;

	if (job->renamed_n || job->failed_n)
		log_warn("log_dir.stray", "code=ML1019 renamed=%d failed=%d text=\"directories of partitions that the "
			 "metadata does not know were renamed -stray and kept; remove them when you are sure\"",
			 job->renamed_n, job->failed_n);
	vec_deinit(&job->strays);
	job->done(job->ctx, job->renamed_n > 0);
	mem_free(job);
	broker->removal->is_renaming = false;
	if (broker->found.has_marks)
		stray_unmark_next(broker->removal);
	else
		stray_removal_next(broker->removal);
}

/* Does the image know this partition, with this topic id? */
static bool stray_is_known(const struct broker *broker, const struct found_partition *found)
{
	const struct image *image = broker->shards[0].image;
	const struct topic_image *topic;
	struct str name;
	int32_t partition;

	if (str_eq_c(found->name, METADATA_LOG_NAME))
		return true;
	if (log_dir_parse_name(found->name, &name, &partition))
		return true;
	topic = image_topic(image, name);
	if (!topic || !topic_partition(topic, partition))
		return false;
	/* Begun and left without an id: used, unless the partition lies elsewhere. */
	if (uuid_is_zero(found->topic_id))
		return !found_get(&broker->found, name, partition, topic->id) &&
		       found == found_unnamed(&broker->found, name, partition);
	return found == found_get(&broker->found, name, partition, topic->id);
}

void stray_rename_all(struct broker *broker, void (*done)(void *ctx, bool has_renamed), void *ctx)
{
	struct stray_job *job = MEM_NEW(struct stray_job);
	struct reactor *reactor = broker->shards[0].reactor;
	const struct found_partition *found;
	uint32_t it = 0;

	broker->removal = MEM_NEW(struct stray_removal);
	broker->removal->broker = broker;
	broker->removal->is_renaming = true;
	job->broker = broker;
	job->done = done;
	job->ctx = ctx;
	while ((found = map_next(&broker->found.by_name, &it)) != NULL) {
		for (; found; found = found->other) {
			struct stray_dir stray = {broker->dirs[found->dir].path, found->name,
						  found->topic_id, uuid_random(&reactor->rng)};

			if (!stray_is_known(broker, found))
				vec_push(&job->strays, stray);
		}
	}
	job->op.kind = IO_WORK;
	job->op.work.run = stray_run;
	job->op.done = stray_done;
	io_submit(reactor->io, &job->op);
}
