/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the broker that one reactor owns: connections, partitions, storage, its reference to the published
 * image. Everything here is touched by its own reactor only.
 *
 * 1. partitions holds exactly the partitions that the shard's image assigns to this broker and this reactor, plus
 *    those that are still closing.
 * 2. A partition's directory has been renamed away before the image that removed it counts as applied here: a topic
 *    of the same name, which a later image brings, finds the name free on whichever reactor, and no checkpoint file
 *    that still says of it what was true of the one before.
 * 3. `image` is the newest one published to this shard; the one before is handed back once nothing of this turn
 *    uses it.
 */
#ifndef BROKER_SHARD_H
#define BROKER_SHARD_H

#include "budget.h"
#include "checkpointer.h"
#include "compress.h"
#include "conn.h"
#include "image.h"
#include "live_settings.h"
#include "map.h"
#include "metrics.h"
#include "partition.h"
#include "progress.h"
#include "said.h"
#include "storage.h"
#include "vec.h"

struct broker;
struct fetch_sessions;
struct coordinator_io;
struct housekeeper;
struct cleaner;
struct scrubber;
struct mover;
struct client_quotas;
struct telemetry;

struct shard {
	struct broker *broker;
	struct reactor *reactor;
	int index;
	struct storage storage;
	struct image *image;   /* borrowed until handed back */
	const struct broker_config *config; /* in force now; not kept across turns */
	struct live_settings live;
	struct map topics;     /* topic id -> struct shard_topic */
	struct list conns;     /* least recently active first */
	int conns_n;
	struct compress_ctx *compress;
	struct fetch_sessions *sessions;
	struct producer_ids *producer_ids;
	struct coordinator_io *coordinators;
	struct housekeeper *keeper;
	struct cleaner *cleaner;
	struct scrubber *scrubber;
	struct mover *mover;
	struct telemetry *telemetry;
	struct client_quotas *quotas; /* NULL while nobody has a limit */
	struct buf_pool request_bufs; /* frames under construction */
	struct budget budget;
	struct said said;
	struct metrics metrics;
	struct list free_requests;
	int free_requests_n;
	int requests_n; /* under way or unsent */
	struct list unopened; /* partitions whose log nobody asked for yet (by partition->link) */
	struct list opened;
	struct list closing;  /* taken out of topics; they go when their log is closed */
	int opening_n;
	struct msg open_msg; /* to this shard, once after the start: open what lies in `unopened` */
	int32_t unopened_n; /* in `unopened` */
	int removing_n; /* partitions taken out whose files, or marks in checkpoint files, still bear their name */
	int renamed_n;  /* of them: only marks are left */
	int forgotten_n; /* of them: the round of checkpoints that is under way is without them */
	struct checkpoint_wait forget;
	VEC(struct uuid) missing_dirs; /* named by the metadata, none of log.dirs, and told; at most BROKER_DIRS_MAX */
	void (*settled)(struct shard *shard); /* called when removing_n becomes 0; NULL: nobody waits */
	void *settled_ctx;
	int32_t dir_partitions_n[64]; /* partitions of this shard per directory */
	struct timer idle_timer;
	bool opens_unasked; /* logs nobody asked for are opened too */
	struct progress opening; /* of those that were there at the start; total 0: told to its end */
	bool is_stopping;
};

/* One topic of which this shard owns partitions. */
struct shard_topic {
	struct uuid id;
	int32_t partitions_n;
	struct partition **partitions; /* NULL where another reactor owns it */
	struct metrics_topic metrics;
};

/* Which reactor owns a partition: reactor 0 has the controller and, when there are more, no partitions. */
int shard_of_partition(int reactors_n, struct uuid topic_id, int32_t partition);
/* NULL: not ours or not there. */
struct partition *shard_partition(struct shard *shard, struct uuid topic_id, int32_t partition);
/* What is counted of a topic here; NULL: nothing, as no partition of it is ours. */
struct metrics_topic *shard_topic_metrics(struct shard *shard, struct uuid topic_id);


void shard_init(struct shard *shard, struct broker *broker, struct reactor *reactor);
void shard_deinit(struct shard *shard);
/* After storage_init: what a directory of this shard does is logged and told to the other shards. */
void shard_watch_dirs(struct shard *shard);
/* A new image is published (on this reactor): opens, moves and closes partitions by what changed. The image stays
 * referenced by the publisher until the shard has sent the one before back. */
void shard_apply_image(struct shard *shard, struct image *image);
/* Opens a partition's log if it is closed. */
void shard_open(struct shard *shard, struct partition *partition);
/* Opens the logs nobody has asked for, a few at a time; from then on each that is open lets the next one follow. */
void shard_open_in_background(struct shard *shard);
void shard_open_more(struct shard *shard);
/* The log of a partition of this shard changed its state, or is no longer held. */
void shard_partition_log_changed(struct partition *partition);
/* Lets what runs be answered and starts nothing more; shard_is_drained tells when that is over. */
void shard_drain(struct shard *shard);
bool shard_is_drained(const struct shard *shard);
/* Ends what connections are left, fails all waiters and closes all logs; shard_is_closed tells when that is over. */
void shard_stop(struct shard *shard);
bool shard_is_closed(const struct shard *shard);
/* When closed: the directory did not fail, and every log in it was opened and closed in order, or needed no check. */
bool shard_is_clean(const struct shard *shard, int dir);

#endif
