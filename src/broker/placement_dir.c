/* SPDX-License-Identifier: Apache-2.0 */
/* See placement_dir.h. */
#include "placement_dir.h"

#include "broker.h"
#include "dir_assign.h"
#include "fault.h"
#include "log.h"

static bool placement_dir_is_reserved(struct uuid id)
{
	return id.hi == 0 && id.lo < 100;
}

/* The id of a directory that the image gives this node's replica. */
static struct uuid placement_dir_id(const struct shard *shard, const struct topic_image *topic, int32_t partition)
{
	const struct partition_image *image = topic_partition(topic, partition);

	for (int32_t i = 0; i < image->replicas_n && i < image->directories_n; i++) {
		if (image->replicas[i] == shard->broker->node_id)
			return image->directories[i];
	}
	return UUID_DIR_UNASSIGNED;
}

static struct storage_dir *placement_dir_named(struct shard *shard, struct uuid id)
{
	for (int d = 0; d < shard->storage.dirs_n && !placement_dir_is_reserved(id); d++) {
		if (uuid_eq(shard->storage.dirs[d].id, id))
			return &shard->storage.dirs[d];
	}
	return NULL;
}

/* One that was out of order at the start; NULL: all were in order. */
static struct storage_dir *placement_dir_missing(struct shard *shard)
{
	for (int d = 0; d < shard->broker->data_dirs_n; d++) {
		if (shard->broker->dirs[d].is_offline)
			return &shard->storage.dirs[d];
	}
	return NULL;
}

/* Made in this life of the broker, so that nothing of it can lie in a directory that is missing. */
static bool placement_dir_is_new(const struct shard *shard, const struct image *image, const struct topic_image *topic,
				 int32_t partition)
{
	const struct partition_image *it = topic_partition(topic, partition);
	const struct broker_image *broker = image_broker(image, shard->broker->node_id);

	return broker && uuid_eq(broker->incarnation, shard->broker->incarnation) && it->leader_epoch == 0 &&
	       it->partition_epoch == 0;
}

bool placement_dir_is_cordoned(const struct shard *shard, int dir)
{
	const struct str_list *cordoned = &shard->config->cordoned_log_dirs;

	for (size_t i = 0; i < cordoned->n; i++) {
		if (str_eq_c(cordoned->v[i], "*") || str_eq_c(cordoned->v[i], shard->broker->dirs[dir].path))
			return true;
	}
	return false;
}

/* The one with the fewest partitions of this shard; NULL when none may be taken. */
static struct storage_dir *placement_dir_least(struct shard *shard, bool may_be_cordoned)
{
	struct storage_dir *best = NULL;

	for (int d = 0; d < shard->broker->data_dirs_n; d++) {
		struct storage_dir *dir = &shard->storage.dirs[d];

		if (dir->state == LOG_DIR_OFFLINE || (!may_be_cordoned && placement_dir_is_cordoned(shard, d)))
			continue;
		if (!best || shard->dir_partitions_n[d] < shard->dir_partitions_n[best->index])
			best = dir;
	}
	return best;
}

/* The directory is in order, but the partition is gone from it, and had records. */
static void placement_dir_tell_lost(const struct shard *shard, const struct topic_image *topic, int32_t partition,
				    const struct storage_dir *dir)
{
	int64_t end_offset = found_missing(&shard->broker->found, topic->name, partition, dir->index);

	if (end_offset > 0)
		log_error("log.lost",
			  "code=ML1078 log=%.*s-%d dir=%s offset=0 end_offset=%lld text=\"the directory of the "
			  "partition is not there any more: begun anew\"", STR_ARGS(topic->name), partition, dir->path,
			  (long long)end_offset);
}

/* Once a directory. */
static void placement_dir_tell_missing(struct shard *shard, const struct topic_image *topic, int32_t partition,
				       struct uuid id)
{
	char text[UUID_TEXT_LEN + 1];

	for (size_t i = 0; i < shard->missing_dirs.n; i++) {
		if (uuid_eq(shard->missing_dirs.v[i], id))
			return;
	}
	if (shard->missing_dirs.n == BROKER_DIRS_MAX)
		return;
	vec_push(&shard->missing_dirs, id);
	uuid_format(id, text);
	log_error("log_dir.missing",
		  "code=ML1077 directory.id=%s partition=%.*s-%d text=\"none of log.dirs has this id: the partitions "
		  "that lie there, this one for one, are offline\"", text, STR_ARGS(topic->name), partition);
}

/* Where what is not in any directory has to go. */
static struct storage_dir *placement_dir_for_unfound(struct shard *shard, const struct image *image,
						     const struct topic_image *topic, int32_t partition,
						     struct uuid id)
{
	const struct found_partition *unnamed = found_unnamed(&shard->broker->found, topic->name, partition);
	struct storage_dir *missing = placement_dir_missing(shard);
	struct storage_dir *dir = placement_dir_named(shard, id);

	if (FAULT(dir_begun_anew))
		return placement_dir_least(shard, true);
	/* Also what the image places elsewhere may lie in the missing directory: a move may have ended just before, and
	 * the controller not have been told. An empty log would be a loss that nobody sees. */
	if (missing && !placement_dir_is_new(shard, image, topic, partition))
		return missing;
	/* A directory that was taken out of log.dirs. */
	if (!dir && !placement_dir_is_reserved(id)) {
		placement_dir_tell_missing(shard, topic, partition, id);
		return NULL;
	}
	if (unnamed && !placement_dir_is_new(shard, image, topic, partition))
		return &shard->storage.dirs[unnamed->dir];
	if (dir) {
		placement_dir_tell_lost(shard, topic, partition, dir);
		return dir;
	}
	/* It was looked for in vain while a directory was missing, and all are there now: begun anew, as Kafka. */
	if (uuid_eq(id, UUID_DIR_LOST))
		log_warn("partition.not_found", "partition=%.*s-%d text=\"it lies in none of log.dirs: begun anew\"",
			 STR_ARGS(topic->name), partition);
	dir = placement_dir_least(shard, false);
	/* The controller places nothing on a broker that is cordoned whole, but may have done so before it knew. */
	return dir ? dir : placement_dir_least(shard, true);
}

struct storage_dir *placement_dir_choose(struct shard *shard, const struct image *image,
					 const struct topic_image *topic, int32_t partition)
{
	const struct found_partition *found = found_get(&shard->broker->found, topic->name, partition, topic->id);
	struct uuid id = placement_dir_id(shard, topic, partition), actual;
	struct storage_dir *dir = found ? &shard->storage.dirs[found->dir]
					: placement_dir_for_unfound(shard, image, topic, partition, id);

	if (!dir)
		return NULL;
	actual = shard->broker->dirs[dir->index].is_offline ? UUID_DIR_LOST : dir->id;
	if (!uuid_eq(actual, id) && (placement_dir_is_reserved(id) || !uuid_eq(actual, UUID_DIR_LOST)))
		dir_assign_want(shard, topic->id, partition, actual);
	shard->dir_partitions_n[dir->index]++;
	return dir;
}

void placement_dir_checkpoints(struct shard *shard, struct partition *partition)
{
	const struct found_partition *found = found_get(&shard->broker->found, str_of(partition->topic),
							partition->index, partition->topic_id);

	if (!found)
		return;
	partition->checkpoint_recovery_point = found->recovery_point;
	partition->checkpoint_log_start = found->log_start;
	partition->checkpoint_high_watermark = found->high_watermark;
	partition->cleaner_offset = found->cleaner;
}

void placement_dir_forget(struct shard *shard, int dir)
{
	shard->dir_partitions_n[dir]--;
}
