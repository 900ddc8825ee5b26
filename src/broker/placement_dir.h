/* SPDX-License-Identifier: Apache-2.0 */
/* Which log directory holds a partition: the one where it was found at start, else the one that the image names, else
 * (a new one) the one with the fewest partitions of those that are online and not cordoned. What may lie in a directory
 * that is missing is never begun anew elsewhere. */
#ifndef BROKER_PLACEMENT_DIR_H
#define BROKER_PLACEMENT_DIR_H

#include "shard.h"

/* `image` is the one being applied. When the controller does not know the place it is told. NULL: nowhere, the image
 * names a directory that this node does not have. */
struct storage_dir *placement_dir_choose(struct shard *shard, const struct image *image,
					 const struct topic_image *topic, int32_t partition);
/* Does cordoned.log.dirs keep new partitions out of it? */
bool placement_dir_is_cordoned(const struct shard *shard, int dir);
/* Gives the partition the offsets that the checkpoint files of its directory had at start. */
void placement_dir_checkpoints(struct shard *shard, struct partition *partition);
/* A partition of the directory is gone. */
void placement_dir_forget(struct shard *shard, int dir);

#endif
