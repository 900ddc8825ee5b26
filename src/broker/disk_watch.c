/* SPDX-License-Identifier: Apache-2.0 */
/* See disk_watch.h. */
#include "disk_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "log.h"
#include "mem.h"

#define LOOK_NS (10 * NS_PER_S)
/* What the forecast goes by is the mean of about this long. */
#define RATE_NS (10 * 60 * NS_PER_S)
#define SAY_AGAIN_NS (3600 * NS_PER_S)
#define BIGGEST_N 3
/* The ballast is made only where it is a small part of what is left. */
#define BALLAST_ROOM 8
/* A start writes marks, the state of the quorum, a few records of metadata, indexes that have to be made anew. */
#define START_ROOM MIB(1)

struct big_topic {
	char name[250];
	int64_t bytes;
};

struct disk {
	struct fs_space space;
	enum err err;
	bool has_ballast;
	bool may_ballast; /* until the file system says that it cannot */
	enum { BALLAST_KEEP, BALLAST_MAKE, BALLAST_REMOVE } ballast; /* for the job */
	int64_t looked_ns; /* 0: never */
	int64_t used;      /* then */
	double bytes_per_ns;
	int64_t said_ns; /* 0: it was not too full when it was looked at last */
	int said_percent;
	bool is_full_said;
};

/* A shard's biggest topics, on the way there and back. */
struct biggest_leg {
	struct msg msg;
	struct disk_watch *watch;
	struct shard *shard;
	struct big_topic topics[BIGGEST_N];
	bool has_unopened; /* the sizes of some are not known yet */
};

struct disk_watch {
	struct broker *broker;
	struct timer timer;
	struct io_op op;
	bool is_out, again, is_started;
	struct disk disks[BROKER_DIRS_MAX];
	/* What the job goes by. */
	bool looks[BROKER_DIRS_MAX], is_full[BROKER_DIRS_MAX];
	int64_t reserve[BROKER_DIRS_MAX];
	struct biggest_leg *legs; /* per shard */
	int legs_out, legs_dir;
	struct big_topic biggest[BIGGEST_N];
};

int64_t disk_watch_reserve(const struct broker *broker, int dir)
{
	struct fs *fs = broker->node->reactors[0].io->fs;
	const struct broker_config *config = &broker->config;
	struct fs_space space;

	if (broker->dirs[dir].is_offline || config->log_dir_full_percent >= 100 ||
	    fs->ops->space(fs, broker->dirs[dir].path, &space))
		return 0;
	return MIN(space.total / 100 * (100 - config->log_dir_full_percent), config->log_dir_full_reserve_max_bytes);
}

struct disk_watch *disk_watch_new(struct broker *broker)
{
	struct disk_watch *watch = MEM_NEW(struct disk_watch);

	watch->broker = broker;
	watch->legs = mem_calloc((size_t)broker->shards_n, sizeof(*watch->legs));
	for (int i = 0; i < broker->dirs_n; i++)
		watch->disks[i].may_ballast = true;
	return watch;
}

void disk_watch_free(struct disk_watch *watch)
{
	if (!watch)
		return;
	timer_stop(&watch->broker->shards[0].reactor->timers, &watch->timer);
	mem_free(watch->legs);
	mem_free(watch);
}

bool disk_watch_is_idle(const struct disk_watch *watch)
{
	return !watch->is_out && watch->legs_out == 0;
}

static struct storage_dir *disk_dir(const struct disk_watch *watch, int i)
{
	return &watch->broker->shards[0].storage.dirs[i];
}

static int disk_percent(const struct disk *disk)
{
	return disk->space.total > 0 ? (int)(100 - disk->space.usable * 100 / disk->space.total) : 0;
}

/* ---- the biggest topics of a directory ---- */

static void biggest_add(struct big_topic *list, const char *name, int64_t bytes)
{
	int at = BIGGEST_N;

	while (at > 0 && bytes > list[at - 1].bytes)
		at--;
	if (at == BIGGEST_N)
		return;
	memmove(&list[at + 1], &list[at], (size_t)(BIGGEST_N - 1 - at) * sizeof(*list));
	snprintf(list[at].name, sizeof(list[at].name), "%s", name);
	list[at].bytes = bytes;
}

static void disk_say(struct disk_watch *watch, int i)
{
	struct disk *disk = &watch->disks[i];
	const struct storage_dir *dir = disk_dir(watch, i);
	char when[64] = "not to be foreseen", big[3 * 280] = "";
	size_t len = 0;

	if (disk->bytes_per_ns > 0) {
		double s = (double)disk->space.usable / disk->bytes_per_ns / 1e9;

		if (s < 400.0 * 86400)
			snprintf(when, sizeof(when), s < 5400 ? "in %.0f min" : s < 172800 ? "in %.0f h" : "in %.0f d",
				 s < 5400 ? s / 60 : s < 172800 ? s / 3600 : s / 86400);
	}
	for (int k = 0; k < BIGGEST_N && watch->biggest[k].bytes > 0; k++)
		len += (size_t)snprintf(big + len, sizeof(big) - len, "%s%s %.1f MB", k ? ", " : "",
					watch->biggest[k].name, (double)watch->biggest[k].bytes / 1e6);
	if (dir->state == LOG_DIR_FULL)
		log_warn("log_dir.full",
			 "code=ML1051 dir=%s usable_bytes=%" PRId64 " biggest=\"%s\" text=\"Writes paused; reads and "
			 "deletions go on. Free space, or keep less of the biggest topics: writes resume by "
			 "themselves%s\"", dir->path, disk->space.usable, big,
			 disk->space.usable > dir->reserve_bytes + MIB(1)
				 ? ". There are bytes left: look for inodes (df -i) and quotas" : "");
	else
		log_warn("log_dir.filling", "code=ML1050 dir=%s percent=%d usable_bytes=%" PRId64
			 " full=\"%s\" biggest=\"%s\"", dir->path, disk_percent(disk), disk->space.usable, when, big);
}

static void biggest_returns(struct reactor *reactor, struct msg *msg)
{
	struct biggest_leg *leg = container_of(msg, struct biggest_leg, msg);
	struct disk_watch *watch = leg->watch;
	struct disk *disk = &watch->disks[watch->legs_dir];
	bool has_unopened = false;

	if (--watch->legs_out > 0)
		return;
	for (int i = 0; i < watch->broker->shards_n; i++)
		has_unopened = has_unopened || watch->legs[i].has_unopened;
	/* A topic's partitions may lie on several shards; the names are few. */
	memset(watch->biggest, 0, sizeof(watch->biggest));
	for (int i = 0; i < watch->broker->shards_n; i++) {
		for (int k = 0; k < BIGGEST_N && watch->legs[i].topics[k].bytes > 0; k++) {
			const struct big_topic *topic = &watch->legs[i].topics[k];
			int64_t bytes = 0;
			bool is_counted = false;

			for (int j = 0; j < watch->broker->shards_n; j++) {
				for (int m = 0; m < BIGGEST_N; m++) {
					bool is_same = strcmp(watch->legs[j].topics[m].name, topic->name) == 0;

					is_counted = is_counted || (is_same && j < i);
					bytes += is_same ? watch->legs[j].topics[m].bytes : 0;
				}
			}
			if (!is_counted)
				biggest_add(watch->biggest, topic->name, bytes);
		}
	}
	/* Soon after a start nothing is known yet: the next look tells. */
	if (watch->biggest[0].bytes == 0 && has_unopened) {
		disk->said_ns = 0;
		disk->is_full_said = false;
		return;
	}
	disk_say(watch, watch->legs_dir);
}

static void biggest_arrives(struct reactor *reactor, struct msg *msg)
{
	struct biggest_leg *leg = container_of(msg, struct biggest_leg, msg);
	struct shard_topic *topic;
	uint32_t it = 0;

	memset(leg->topics, 0, sizeof(leg->topics));
	leg->has_unopened = leg->shard->unopened_n > 0 || leg->shard->opening_n > 0;
	while ((topic = map_next(&leg->shard->topics, &it)) != NULL) {
		const char *name = NULL;
		int64_t bytes = 0;

		for (int32_t i = 0; i < topic->partitions_n; i++) {
			const struct partition *partition = topic->partitions[i];

			if (!partition || partition->log->dir->index != leg->watch->legs_dir)
				continue;
			name = partition->topic;
			bytes += partition->log->size_bytes;
		}
		if (name)
			biggest_add(leg->topics, name, bytes);
	}
	msg->handle = biggest_returns;
	reactor_send(reactor, leg->shard->broker->shards[0].reactor, msg);
}

static bool biggest_ask(struct disk_watch *watch, int dir)
{
	struct broker *broker = watch->broker;

	if (watch->legs_out > 0)
		return false;
	watch->legs_dir = dir;
	watch->legs_out = broker->shards_n;
	for (int i = 0; i < broker->shards_n; i++) {
		watch->legs[i].watch = watch;
		watch->legs[i].shard = &broker->shards[i];
		watch->legs[i].msg.handle = biggest_arrives;
		reactor_send(broker->shards[0].reactor, broker->shards[i].reactor, &watch->legs[i].msg);
	}
	return true;
}

/* ---- after looking ---- */

struct resume_news {
	struct msg msg;
	int dir;
	int64_t resume_more_bytes;
};

static void resume_arrives(struct reactor *reactor, struct msg *msg)
{
	struct resume_news *news = container_of(msg, struct resume_news, msg);

	reactor->shard->storage.dirs[news->dir].resume_more_bytes = news->resume_more_bytes;
	mem_free(news);
}

static void disk_tell_resume(struct disk_watch *watch, int dir, int64_t bytes)
{
	struct broker *broker = watch->broker;

	for (int i = 0; i < broker->shards_n; i++) {
		struct resume_news *news = MEM_NEW(struct resume_news);

		news->dir = dir;
		news->resume_more_bytes = bytes;
		news->msg.handle = resume_arrives;
		reactor_send(broker->shards[0].reactor, broker->shards[i].reactor, &news->msg);
	}
}

static void disk_measure(struct disk *disk, int64_t now_ns)
{
	int64_t used = disk->space.total - disk->space.usable;
	int64_t passed = now_ns - disk->looked_ns;

	if (disk->looked_ns > 0 && passed > 0) {
		double weight = MIN((double)passed / (double)RATE_NS, 1.0);

		disk->bytes_per_ns += ((double)(used - disk->used) / (double)passed - disk->bytes_per_ns) * weight;
	}
	disk->looked_ns = now_ns;
	disk->used = used;
}

static void disk_judge(struct disk_watch *watch, int i, int64_t now_ns)
{
	struct disk *disk = &watch->disks[i];
	bool is_full = disk_dir(watch, i)->state == LOG_DIR_FULL;
	int percent = disk_percent(disk);

	if (!is_full)
		disk->is_full_said = false;
	if (percent < watch->broker->config.log_dir_warn_percent && !is_full) {
		disk->said_ns = 0;
		return;
	}
	if (is_full ? disk->is_full_said
		    : disk->said_ns > 0 && percent <= disk->said_percent && now_ns - disk->said_ns < SAY_AGAIN_NS)
		return;
	if (!biggest_ask(watch, i))
		return;
	disk->said_ns = now_ns;
	disk->said_percent = percent;
	disk->is_full_said = is_full;
}

static void disk_ballast_done(struct disk_watch *watch, int i)
{
	struct disk *disk = &watch->disks[i];
	int64_t bytes = watch->broker->config.log_dir_ballast_bytes;

	if (disk->ballast == BALLAST_REMOVE)
		log_info("log_dir.ballast", "dir=%s text=\"given up: there is room to delete\"",
			 watch->broker->dirs[i].path);
	if (disk->ballast != BALLAST_KEEP)
		disk_tell_resume(watch, i, disk->has_ballast ? 0 : bytes);
	disk->ballast = BALLAST_KEEP;
}

static void disk_watch_fired(struct timer *timer)
{
	disk_watch_look(container_of(timer, struct disk_watch, timer));
}

static void disk_watch_done(struct io_op *op)
{
	struct disk_watch *watch = container_of(op, struct disk_watch, op);
	struct reactor *reactor = watch->broker->shards[0].reactor;

	watch->is_out = false;
	for (int i = 0; i < watch->broker->data_dirs_n; i++) {
		if (disk_dir(watch, i)->state == LOG_DIR_OFFLINE || watch->disks[i].err)
			continue;
		disk_measure(&watch->disks[i], reactor->now_ns);
		disk_judge(watch, i, reactor->now_ns);
		disk_ballast_done(watch, i);
	}
	if (watch->broker->phase == BROKER_STOPPING || watch->broker->phase == BROKER_FAILED)
		return;
	reactor_timer(reactor, &watch->timer, watch->again ? 0 : LOOK_NS, disk_watch_fired);
	watch->again = false;
}

/* ---- looking, on a helper ---- */

static bool ballast_path(char ret[FS_PATH_MAX], const char *dir)
{
	return snprintf(ret, FS_PATH_MAX, "%s/" BALLAST_FILE, dir) < FS_PATH_MAX;
}

void disk_watch_make_room(struct fs *fs, const char *path)
{
	char ballast[FS_PATH_MAX];
	struct fs_space space;

	if (fs->ops->space(fs, path, &space) || space.usable >= START_ROOM || !ballast_path(ballast, path))
		return;
	if (!fs->ops->unlink(fs, ballast))
		log_info("log_dir.ballast", "dir=%s text=\"given up: there is room to start\"", path);
}

static enum err ballast_make(struct fs *fs, const char *path, int64_t bytes)
{
	fs_file file;
	enum err err = fs_open(fs, path, FS_WRITE | FS_CREATE, &file);

	if (err)
		return err;
	err = fs->ops->reserve(fs, file, bytes);
	fs_close(fs, file);
	if (err && fs->ops->unlink(fs, path))
		log_debug("log_dir.ballast_stays", "path=%s", path);
	return err;
}

static void disk_look(struct disk_watch *watch, struct fs *fs, int i, bool is_full, int64_t reserve)
{
	struct disk *disk = &watch->disks[i];
	int64_t bytes = watch->broker->config.log_dir_ballast_bytes;
	const char *dir = watch->broker->dirs[i].path;
	char path[FS_PATH_MAX];
	struct fs_stat stat;

	disk->err = fs->ops->space(fs, dir, &disk->space);
	if (disk->err || !ballast_path(path, dir))
		return;
	disk->has_ballast = !fs->ops->stat(fs, path, &stat);
	if (bytes == 0 || (is_full && disk->space.usable < bytes)) {
		if (disk->has_ballast && !fs->ops->unlink(fs, path)) {
			disk->has_ballast = false;
			disk->ballast = BALLAST_REMOVE;
		}
	} else if (!is_full && !disk->has_ballast && disk->may_ballast &&
		   disk->space.usable > reserve + reserve / 8 + BALLAST_ROOM * bytes) {
		enum err err = ballast_make(fs, path, bytes);

		disk->may_ballast = err != ERR_NOT_SUPPORTED;
		disk->has_ballast = !err;
		if (!err)
			disk->ballast = BALLAST_MAKE;
	}
}

static void disk_watch_run(struct io_op *op, struct fs *fs)
{
	struct disk_watch *watch = container_of(op, struct disk_watch, op);

	for (int i = 0; i < watch->broker->data_dirs_n; i++) {
		if (watch->looks[i])
			disk_look(watch, fs, i, watch->is_full[i], watch->reserve[i]);
	}
	op->err = ERR_NONE;
}

void disk_watch_look(struct disk_watch *watch)
{
	struct broker *broker = watch->broker;

	if (!watch->is_started || broker->phase == BROKER_STOPPING || broker->phase == BROKER_FAILED)
		return;
	watch->again = watch->is_out;
	if (watch->is_out)
		return;
	timer_stop(&broker->shards[0].reactor->timers, &watch->timer);
	for (int i = 0; i < broker->data_dirs_n; i++) {
		watch->looks[i] = disk_dir(watch, i)->state != LOG_DIR_OFFLINE;
		watch->is_full[i] = disk_dir(watch, i)->state == LOG_DIR_FULL;
		watch->reserve[i] = disk_dir(watch, i)->reserve_bytes;
	}
	watch->is_out = true;
	watch->op = (struct io_op){.kind = IO_WORK, .work.run = disk_watch_run, .done = disk_watch_done};
	io_submit(broker->shards[0].reactor->io, &watch->op);
}

void disk_watch_start(struct disk_watch *watch)
{
	watch->is_started = true;
	disk_watch_look(watch);
}
