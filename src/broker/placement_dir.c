/* SPDX-License-Identifier: Apache-2.0 */
/* See placement_dir.h. */
#include "placement_dir.h"

#include "broker.h"

static struct storage_dir *placement_dir_named(struct shard *shard, const struct topic_image *topic, int32_t partition)
{
	const struct partition_image *image = topic_partition(topic, partition);

	for (int32_t i = 0; i < image->replicas_n && i < image->directories_n; i++) {
		if (image->replicas[i] != shard->broker->node_id)
			continue;
		for (int d = 0; d < shard->storage.dirs_n; d++) {
			if (uuid_eq(shard->storage.dirs[d].id, image->directories[i]))
				return &shard->storage.dirs[d];
		}
	}
	return NULL;
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

struct storage_dir *placement_dir_choose(struct shard *shard, const struct topic_image *topic, int32_t partition)
{
	const struct found_partition *found = found_get(&shard->broker->found, topic->name, partition, topic->id);
	struct storage_dir *dir;

	if (found)
		dir = &shard->storage.dirs[found->dir];
	else
		dir = placement_dir_named(shard, topic, partition);
	if (!dir)
		dir = placement_dir_least(shard, false);
	/* The controller places nothing on a broker that is cordoned whole, but may have done so before it knew. */
	if (!dir)
		dir = placement_dir_least(shard, true);
	if (!dir)
		dir = &shard->storage.dirs[0];
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
