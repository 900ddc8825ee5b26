/* SPDX-License-Identifier: Apache-2.0 */
/* See stray.h. One job for all directories, on a helper. */
#include "stray.h"

#include <stdio.h>

#include "broker.h"
#include "log.h"
#include "mem.h"
#include "metadata_store.h"

struct stray_dir {
	const char *path;
	struct str name;
	struct uuid unique;
};

struct stray_job {
	struct io_op op;
	struct broker *broker;
	VEC(struct stray_dir) strays;
	VEC(struct stray_dir) deletable;
	int renamed_n, removed_n, failed_n;
	void (*done)(void *ctx);
	void *ctx;
};

static void stray_run(struct io_op *op, struct fs *fs)
{
	struct stray_job *job = container_of(op, struct stray_job, op);

	for (size_t i = 0; i < job->strays.n; i++) {
		const struct stray_dir *stray = &job->strays.v[i];

		if (log_dir_rename_away(fs, stray->path, stray->name, "-stray", stray->unique))
			job->failed_n++;
		else
			job->renamed_n++;
	}
	for (size_t i = 0; i < job->deletable.n; i++) {
		char path[FS_PATH_MAX];

		snprintf(path, sizeof(path), "%s/%.*s", job->deletable.v[i].path, STR_ARGS(job->deletable.v[i].name));
		if (fs_remove_tree(fs, path))
			job->failed_n++;
		else
			job->removed_n++;
	}
	op->err = ERR_NONE;
}

static void stray_done(struct io_op *op)
{
	struct stray_job *job = container_of(op, struct stray_job, op);

	if (job->renamed_n || job->failed_n)
		log_warn("log_dir.stray", "code=ML1019 renamed=%d failed=%d text=\"directories of partitions that the "
			 "metadata does not know were renamed -stray and kept; remove them when you are sure\"",
			 job->renamed_n, job->failed_n);
	vec_deinit(&job->strays);
	vec_deinit(&job->deletable);
	job->done(job->ctx);
	mem_free(job);
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
	return topic && topic_partition(topic, partition) &&
	       (uuid_is_zero(found->topic_id) || uuid_eq(topic->id, found->topic_id));
}

void stray_rename_all(struct broker *broker, void (*done)(void *ctx), void *ctx)
{
	struct stray_job *job = MEM_NEW(struct stray_job);
	struct reactor *reactor = broker->shards[0].reactor;
	const struct found_partition *found;
	uint32_t it = 0;

	job->broker = broker;
	job->done = done;
	job->ctx = ctx;
	while ((found = map_next(&broker->found.by_name, &it)) != NULL) {
		struct stray_dir stray = {broker->dirs[found->dir].path, found->name, uuid_random(&reactor->rng)};

		if (!stray_is_known(broker, found))
			vec_push(&job->strays, stray);
	}
	for (int d = 0; d < broker->dirs_n; d++) {
		for (size_t i = 0; i < broker->found.deletable[d].n; i++) {
			struct stray_dir gone = {.path = broker->dirs[d].path, .name = broker->found.deletable[d].v[i]};

			vec_push(&job->deletable, gone);
		}
	}
	job->op.kind = IO_WORK;
	job->op.work.run = stray_run;
	job->op.done = stray_done;
	io_submit(reactor->io, &job->op);
}
