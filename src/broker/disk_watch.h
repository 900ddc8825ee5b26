/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches how full the disks of the data directories are: warns from log.dir.warn.percent on, with a forecast from the
 * rate at which space went and the biggest topics, and keeps the ballast, a file that is given up when space is really
 * short, so that what frees space (deletions, compaction, the metadata log) can still be written.
 *
 *    looks every 10 s, and when a directory becomes FULL:
 *        FULL and hardly anything left --> ballast removed, writes stay refused until there is room for it again
 *        ONLINE and enough room        --> ballast made
 *
 * 1. All of it runs on reactor 0; file work on a helper, one job at a time.
 * 2. Refusing is not done here: each shard's storage does it by what is usable (storage_dir.reserve_bytes).
 */
#ifndef BROKER_DISK_WATCH_H
#define BROKER_DISK_WATCH_H

#include "types.h"

#define BALLAST_FILE ".moldau_ballast"

struct broker;
struct fs;
struct disk_watch;

/* At start, blocking: what log.dir.full.percent keeps free of a directory's disk, in bytes. */
int64_t disk_watch_reserve(const struct broker *broker, int dir);
/* At start, blocking: gives up the ballast of the directory `path` where there is hardly room for what a start
 * writes. */
void disk_watch_make_room(struct fs *fs, const char *path);
struct disk_watch *disk_watch_new(struct broker *broker);
void disk_watch_free(struct disk_watch *watch);
void disk_watch_start(struct disk_watch *watch);
bool disk_watch_is_idle(const struct disk_watch *watch);
/* Looks at once. */
void disk_watch_look(struct disk_watch *watch);

#endif
