/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves partitions of a shard from one log directory to another while they are written and read.
 *
 *    COPYING --caught up--> CLOSING --log closed--> LAST --names changed--> SAVING --> REMOVING --> (gone)
 *       |                      |                     |
 *       +--another target, an error, the topic goes, the source fails--> CLEARING --> (gone)
 *
 * COPYING copies the files below `appended` in pieces, at most replica.alter.log.dirs.io.max.bytes.per.second. Then the
 * log is closed, requests wait, the rest is copied and the names change (dir_copy.h), and the log opens in its new
 * place; SAVING waits until the checkpoint files know it there.
 *
 * 1. The log is never written while LAST runs, so the copy is all of it.
 * 2. A move that was not over when the node stopped begins anew at the next start.
 * 3. A log that is being moved is not compacted: copied files do not change.
 */
#ifndef BROKER_MOVER_H
#define BROKER_MOVER_H

#include "err.h"
#include "uuid.h"

struct shard;
struct partition;
struct mover;

struct mover *mover_new(struct shard *shard);
void mover_free(struct mover *mover);
bool mover_is_idle(const struct mover *mover);
/* Moves the partition to a directory of this shard's storage; a move to another one ends. Nothing happens when it lies
 * there, or is on its way there. ERR_KAFKA_STORAGE_ERROR when either directory is offline. */
enum err mover_start(struct shard *shard, struct partition *partition, int dir) MUST_USE;
/* Goes on with what the last stop interrupted. */
void mover_resume(struct shard *shard, struct partition *partition);
/* Its log changed its state, and `partition->move` is set. */
void mover_log_changed(struct partition *partition);
/* The partition stops. */
void mover_forget(struct partition *partition);

/* How far a partition's copy is. False: it is not on its way. */
struct move_status {
	int dir;
	int64_t bytes;
	int64_t offset_lag;
};
bool mover_status(const struct partition *partition, struct move_status *ret);

#endif
