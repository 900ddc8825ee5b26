/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint files of the log directories (recovery points, log starts, high watermarks), written by reactor 0
 * from what every shard reports: every log.flush.offset.checkpoint.interval.ms, when a shard has much that is not
 * synced, and at the stop. A partition whose log was never opened keeps what its files said at start. Who has to know
 * that a mark is on the disk before he answers waits for the next round that begins.
 *
 *    timer, due --> [every shard syncs] --> collect --> write --> shards learn which recovery points were written
 *    save ------------------------------/                    \--> those who waited are told
 *
 * After a power cut the round that finds every log of a directory opened says so in the directory's running mark.
 *
 * 1. A recovery point is written after the data below it was synced, never before.
 * 2. Where a round could not write, no shard takes records for that directory until one has: what its files still say
 *    of a removed partition would cut a new one of the same name.
 */
#ifndef BROKER_CHECKPOINTER_H
#define BROKER_CHECKPOINTER_H

#include "err.h"
#include "list.h"

struct broker;
struct shard;
struct checkpointer;

struct checkpointer *checkpointer_new(struct broker *broker);
void checkpointer_free(struct checkpointer *checkpointer);
/* From RUNNING on. */
void checkpointer_start(struct checkpointer *checkpointer);
/* Writes once more, then calls done(ctx) on reactor 0. Nothing is written after. */
void checkpointer_finish(struct checkpointer *checkpointer, void (*done)(void *ctx), void *ctx);
/* On any reactor: the shard syncs, and so do the others; then everything is written. */
void checkpointer_due(struct shard *shard);

/* Somebody who waits on his shard until marks as they are now are in the files of a directory. */
struct checkpoint_wait {
	struct list link; /* taken out of it, done does not run */
	int dir;
	/* ERR_NONE, or why they may not be there after a crash. */
	void (*done)(struct checkpoint_wait *wait, enum err err);
};
void checkpointer_save(struct shard *shard, struct checkpoint_wait *wait);

/* The last round wrote every file of the directory. */
bool checkpointer_is_saved(const struct checkpointer *checkpointer, int dir);

#endif
