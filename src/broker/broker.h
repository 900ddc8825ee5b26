/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker of one node: what all shards share, and the order of start and stop.
 *
 *   start:  configuration -> listeners bound -> directories locked, checked, formatted when empty -> metadata log
 *           replayed -> [reactors turn] controller leads -> broker registers, is unfenced -> images reach every
 *           shard -> listeners accept ("ready")
 *   stop:   listeners closed -> controlled shutdown -> connections drained -> logs closed and synced -> checkpoints ->
 *           clean marks -> locks released
 *
 * 1. What several reactors read (configuration, cluster id, api table) does not change after the reactors turn; all
 *    else belongs to one shard, or to reactor 0 (controller, listeners, checkpoints).
 * 2. No client is answered before the broker is unfenced and every shard has the image that says so.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "acceptor.h"
#include "broker_config.h"
#include "found.h"
#include "log_dir.h"
#include "node.h"
#include "shard.h"

struct controller_io;
struct lifecycle;
struct checkpointer;
struct cleaner_desk;
struct stray_removal;
struct dir_assign;
struct disk_watch;

enum broker_phase { BROKER_STARTING, BROKER_RUNNING, BROKER_STOPPING, BROKER_STOPPED, BROKER_FAILED };

#define BROKER_DIRS_MAX 64

struct broker {
	struct broker_config config; /* as started; what may change is read from shard->config */
	struct broker_config *fixed; /* as read last: `config` until broker_reload_config; on reactor 0 */
	struct node *node;
	struct shard *shards;
	int shards_n;
	enum broker_phase phase;
	struct err_text failure; /* why the phase is FAILED */
	struct str cluster_id;   /* memory of `arena` */
	struct arena arena;
	int32_t node_id;
	struct uuid incarnation;
	struct log_dir dirs[BROKER_DIRS_MAX];
	int dirs_n;
	int data_dirs_n; /* the first of them, which hold partitions; one for metadata alone comes behind */
	int metadata_dir; /* index in dirs */
	int64_t metadata_recovery_point;
	struct found found;
	struct acceptor_set acceptors;
	struct controller_io *controller;
	struct lifecycle *lifecycle;
	struct checkpointer *checkpointer;
	struct cleaner_desk *cleaner_desk; /* reactor 0's */
	int moves_n; /* atomic: partitions on their way to another directory, of all shards */
	struct dir_assign *assigns; /* where partitions lie, on its way to the controller */
	struct disk_watch *disks; /* how full they are */
	struct stray_removal *removal; /* of what deletions left, from the start on */
	int64_t broker_epoch; /* of the running registration, -1 before */
	int64_t started_ns;
	const char *host_name; /* this machine's, for listeners that name no host */
	int64_t group_inline_max; /* what a turn may take on itself for a group's target; 0: CONSUMER_INLINE_MAX */
	/* process_port_owner, or NULL: who holds a port is not named. */
	bool (*port_owner)(uint16_t port, char *ret, size_t cap);
	/* process_file_owner, or NULL: who holds a directory is not named. */
	bool (*file_owner)(const char *path, char *ret, size_t cap);
	/* Called on reactor 0 when the phase becomes RUNNING, STOPPED or FAILED. */
	void (*phase_changed)(struct broker *broker);
	void *ctx;
};

/* Takes over the configuration's memory. Does the blocking part of the start: binds, locks, replays. On failure the
 * text tells the user; nothing on disk has changed unless it says so. */
enum err broker_open(struct broker *broker, struct node *node, struct broker_config *take_config,
		     struct err_text *text) MUST_USE;
/* Sets the reactors' first work; then the node is run. */
void broker_start(struct broker *broker);
/* On reactor 0: begins the clean stop; phase_changed tells its end. */
void broker_stop(struct broker *broker);
/* After the reactors have ended: frees everything, unlocks the directories. Also after a failed broker_open. */
void broker_close(struct broker *broker);

/* Inside the broker, on reactor 0. */
void broker_open_logs_in_background(struct broker *broker);
/* After all logs were closed: none of this directory failed, and none was left unchecked after an unclean stop. */
bool broker_logs_are_clean(const struct broker *broker, int dir);

#endif
