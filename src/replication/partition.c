/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Role, log and high watermark of a partition: see partition.h. With one replica the high watermark is what the
 * durability mode calls stored; with followers it will be the least of the in-sync set, at the same place.
 */
#include "partition.h"

#include <stdio.h>

#include "fault.h"
#include "log.h"
#include "mem.h"

static const char *partition_state_name(enum partition_state state)
{
	static const char *const names[] = {"idle", "leader", "stopped", "offline"};

	return names[state];
}

static void partition_move(struct partition *partition, enum partition_state state)
{
	static const uint8_t allowed[] = {
		[PARTITION_IDLE] = 1 << PARTITION_LEADER | 1 << PARTITION_STOPPED | 1 << PARTITION_OFFLINE,
		[PARTITION_LEADER] = 1 << PARTITION_IDLE | 1 << PARTITION_STOPPED | 1 << PARTITION_OFFLINE,
		[PARTITION_STOPPED] = 0,
		[PARTITION_OFFLINE] = 1 << PARTITION_STOPPED,
	};

	CHECK(allowed[partition->state] & (1 << state));
	log_debug("partition.move", "partition=%s-%d from=%s to=%s epoch=%d", partition->topic, partition->index,
		  partition_state_name(partition->state), partition_state_name(state), partition->leader_epoch);
	partition->state = state;
}

/* How far the log counts as stored. */
static const struct log_pos *partition_stored(const struct partition *partition)
{
	const struct part_log *log = partition->log;

	if (partition->storage->options.durability == STORAGE_SYNCED)
		return &log->durable;
	return &log->appended;
}

static void partition_advance(struct partition *partition)
{
	const struct log_pos *stored = partition_stored(partition);

	if (stored->offset <= partition->high_watermark.offset)
		return;
	partition->high_watermark = *stored;
	producer_state_settle(&partition->log->producers, stored->offset);
	if (FAULT(lose_wakeup) && stored->offset % 7 == 3)
		return;
	watch_list_advance(&partition->hw_watches, stored->offset);
}

static void partition_log_failed(struct partition *partition)
{
	log_error("partition.offline", "partition=%s-%d error=%s dir=%s", partition->topic, partition->index,
		  err_name(partition->log->failure), partition->log->dir->path);
	if (partition->state != PARTITION_OFFLINE && partition->state != PARTITION_STOPPED)
		partition_move(partition, PARTITION_OFFLINE);
	watch_list_fail(&partition->open_watches, ERR_KAFKA_STORAGE_ERROR);
	watch_list_fail(&partition->hw_watches, ERR_KAFKA_STORAGE_ERROR);
}

/* The log is open: leading begins. */
static void partition_log_opened(struct partition *partition)
{
	partition->is_open = true;
	/* What storage knows to have been on the disk, it tells by itself. */
	if (partition->checkpoint_high_watermark > partition->log->end &&
	    partition->checkpoint_recovery_point <= partition->log->end)
		log_error("log.lost",
			  "code=ML1078 log=%s dir=%s offset=%lld end_offset=%lld text=\"these offsets were "
			  "acknowledged and are not there any more\"",
			  partition->log->name, partition->log->dir->path, (long long)partition->log->end,
			  (long long)partition->checkpoint_high_watermark);
	partition->high_watermark = *partition_stored(partition);
	producer_state_settle(&partition->log->producers, partition->high_watermark.offset);
	if (partition->state == PARTITION_LEADER)
		part_log_start_epoch(partition->log, partition->leader_epoch);
	watch_list_advance(&partition->open_watches, 0);
	/* What was still being written when the log was closed to change its directory. */
	watch_list_advance(&partition->hw_watches, partition->high_watermark.offset);
}

static void partition_log_advanced(struct part_log *log)
{
	struct partition *partition = log->ctx;

	if (log->state == PART_LOG_FAILED) {
		partition_log_failed(partition);
	} else if (log->state == PART_LOG_OPEN) {
		if (!partition->is_open)
			partition_log_opened(partition);
		partition_advance(partition);
	} else if (log->state == PART_LOG_CLOSED && log->failure) {
		/* The disk is full. Who waits is told; the next one tries again. */
		watch_list_fail(&partition->open_watches, ERR_KAFKA_STORAGE_ERROR);
	}
	if (partition->log_changed)
		partition->log_changed(partition);
}

struct partition *partition_new(struct storage *storage, struct storage_dir *dir, const struct topic_image *topic,
				int32_t index, const struct partition_config *config)
{
	struct partition *partition = MEM_NEW(struct partition);
	char name[300];
	int len = snprintf(name, sizeof(name), "%.*s-%d", STR_ARGS(topic->name), index);

	CHECK_OP(len, <, (int)sizeof(name));
	partition->storage = storage;
	partition->topic_id = topic->id;
	partition->topic = mem_strdup_n(topic->name.p, topic->name.len);
	partition->index = index;
	partition->config = *config;
	partition->leader_epoch = -1;
	partition->checkpoint_recovery_point = -1;
	partition->checkpoint_log_start = -1;
	partition->checkpoint_high_watermark = -1;
	partition->recovery_collected = -1;
	partition->cleaner_offset = -1;
	watch_list_init(&partition->hw_watches);
	watch_list_init(&partition->open_watches);
	partition->log = part_log_new(storage, dir, (struct str){name, (size_t)len}, topic->id, &config->log);
	partition->log->ctx = partition;
	partition->log->advanced = partition_log_advanced;
	return partition;
}

static void partition_keep_marks(struct partition *partition)
{
	partition->checkpoint_recovery_point = partition->log->recovery_point;
	partition->checkpoint_log_start = partition->log->log_start;
	partition->checkpoint_high_watermark = partition->high_watermark.offset;
	partition->recovery_collected = -1;
}

void partition_hold(struct partition *partition)
{
	CHECK(partition->log->state == PART_LOG_OPEN);
	partition_keep_marks(partition);
	partition->is_held = true;
	partition->is_open = false;
	part_log_close(partition->log);
}

void partition_release(struct partition *partition)
{
	partition->is_held = false;
	partition_open(partition);
}

void partition_change_dir(struct partition *partition, struct storage_dir *dir)
{
	struct part_log *before = partition->log;

	CHECK(before->state == PART_LOG_CLOSED);
	partition_keep_marks(partition);
	partition->is_open = false;
	partition->log = part_log_new(partition->storage, dir, str_of(before->name), partition->topic_id,
				      &partition->config.log);
	partition->log->ctx = partition;
	partition->log->advanced = partition_log_advanced;
	part_log_inherit(partition->log, before);
	part_log_free(before);
}

void partition_free(struct partition *partition)
{
	if (!partition)
		return;
	watch_list_deinit(&partition->hw_watches, ERR_NOT_LEADER_OR_FOLLOWER);
	watch_list_deinit(&partition->open_watches, ERR_NOT_LEADER_OR_FOLLOWER);
	txn_guards_deinit(&partition->txn_guards);
	if (partition->log)
		part_log_free(partition->log);
	mem_free(partition->topic);
	mem_free(partition);
}

void partition_set_config(struct partition *partition, const struct partition_config *config)
{
	partition->config = *config;
	part_log_set_config(partition->log, &config->log);
}

void partition_become_leader(struct partition *partition, int32_t leader_epoch)
{
	if (partition->state == PARTITION_OFFLINE || partition->state == PARTITION_STOPPED)
		return;
	CHECK_OP(leader_epoch, >, partition->leader_epoch);
	partition->leader_epoch = leader_epoch;
	if (partition->state != PARTITION_LEADER)
		partition_move(partition, PARTITION_LEADER);
	if (partition->is_open)
		part_log_start_epoch(partition->log, leader_epoch);
}

void partition_resign(struct partition *partition, int32_t leader_epoch)
{
	partition->leader_epoch = leader_epoch;
	if (partition->state != PARTITION_LEADER)
		return;
	partition_move(partition, PARTITION_IDLE);
	watch_list_fail(&partition->hw_watches, ERR_NOT_LEADER_OR_FOLLOWER);
	watch_list_fail(&partition->open_watches, ERR_NOT_LEADER_OR_FOLLOWER);
}

void partition_stop(struct partition *partition, enum err err)
{
	if (partition->state != PARTITION_STOPPED)
		partition_move(partition, PARTITION_STOPPED);
	watch_list_fail(&partition->hw_watches, err);
	watch_list_fail(&partition->open_watches, err);
	if (partition->log->state == PART_LOG_OPEN)
		partition_close(partition);
}

void partition_close(struct partition *partition)
{
	if (partition->is_deleted)
		part_log_discard(partition->log);
	else
		part_log_close(partition->log);
}

void partition_open(struct partition *partition)
{
	if (partition->log->state == PART_LOG_CLOSED && partition->state != PARTITION_STOPPED && !partition->is_held)
		part_log_open(partition->log, partition->checkpoint_recovery_point, partition->checkpoint_log_start);
}

enum err partition_check_leader(struct partition *partition, int32_t epoch)
{
	switch (partition->state) {
	case PARTITION_IDLE:
	case PARTITION_STOPPED:
		return ERR_NOT_LEADER_OR_FOLLOWER;
	case PARTITION_OFFLINE:
		return ERR_KAFKA_STORAGE_ERROR;
	case PARTITION_LEADER:
		break;
	default:
		UNREACHABLE();
	}
	if (epoch >= 0 && epoch < partition->leader_epoch)
		return ERR_FENCED_LEADER_EPOCH;
	if (epoch >= 0 && epoch > partition->leader_epoch)
		return ERR_UNKNOWN_LEADER_EPOCH;
	if (partition->is_open)
		return ERR_NONE;
	partition_open(partition);
	return ERR_WOULD_BLOCK;
}
