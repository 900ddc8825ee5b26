/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the controller in which directory each partition of this broker lies (AssignReplicasToDirs), so that it knows
 * who goes offline with a directory. Shards say what they placed; reactor 0 gathers it and keeps one request under way.
 *
 *   shard: wanted --image applied--> message --> reactor 0: queue --request--> answered (or tried again)
 *
 * 1. What one shard says arrives in order, and is told in that order: the last word about a partition holds.
 * 2. Nothing is forgotten while the controller is away; after a restart the shards say it anew.
 */
#ifndef BROKER_DIR_ASSIGN_H
#define BROKER_DIR_ASSIGN_H

#include "uuid.h"

struct broker;
struct shard;
struct dir_assign;

struct dir_assign *dir_assign_new(struct broker *broker);
void dir_assign_free(struct dir_assign *assign);
/* On the partition's shard: it lies in this directory (UUID_DIR_LOST: in one that failed and whose id is not known). */
void dir_assign_want(struct shard *shard, struct uuid topic_id, int32_t partition, struct uuid directory);
/* Sends what was wanted since the last call. */
void dir_assign_flush(struct shard *shard);

#endif
