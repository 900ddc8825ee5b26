/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint files of the log directories (recovery points, log starts, high watermarks), written by reactor 0 from
 * what every shard reports: every log.flush.offset.checkpoint.interval.ms, and at the stop. A partition whose log was
 * never opened keeps what its files said at start.
 *
 * After a power cut the round that finds every log of a directory opened says so in the directory's running mark.
 *
 * 1. A recovery point is written after the data below it was synced, never before.
 */
#ifndef BROKER_CHECKPOINTER_H
#define BROKER_CHECKPOINTER_H

#include "err.h"

struct broker;
struct checkpointer;

struct checkpointer *checkpointer_new(struct broker *broker);
void checkpointer_free(struct checkpointer *checkpointer);
/* From RUNNING on. */
void checkpointer_start(struct checkpointer *checkpointer);
/* Writes once more, then calls done(ctx) on reactor 0. Nothing is written after. */
void checkpointer_finish(struct checkpointer *checkpointer, void (*done)(void *ctx), void *ctx);
/* The last round wrote every file of the directory. */
bool checkpointer_is_saved(const struct checkpointer *checkpointer, int dir);

#endif
