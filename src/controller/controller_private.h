/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the controller share. */
#ifndef CONTROLLER_CONTROLLER_PRIVATE_H
#define CONTROLLER_CONTROLLER_PRIVATE_H

#include "controller.h"
#include "map.h"
#include "metadata_record.h"
#include "partition_change.h"

#define RECORDS_PER_OPERATION_MAX 10000
#define CONFIG_TYPE_TOPIC 2
#define CONFIG_TYPE_BROKER 4

/* A broker as this controller has heard it; gone with the controller. */
struct broker_session {
	int32_t id;
	int64_t epoch;
	int64_t heard_ms;        /* last heartbeat or registration */
	int64_t register_offset; /* of its registration record */
};

struct controller_private {
	struct map sessions; /* by broker id */
	int64_t tick_ms;     /* last controller_tick; 0: none */
	int64_t reused_producer_id;
};

/* The metadata.version of `latest`. */
int16_t controller_metadata_version(const struct controller *controller);
bool controller_has_elr(const struct controller *controller);
/* min.insync.replicas of a topic. */
int32_t controller_min_isr(const struct controller *controller, struct str topic);
/* Encodes a record into the operation's. */
void controller_add(struct controller_records *records, struct arena *arena, enum metadata_record_id type,
		    int16_t version, const void *record);
/* A text in the arena. */
struct str controller_text(struct arena *arena, const struct err_text *text);
/* Adds the changes that follow when a broker leaves, arrives or was lost (BROKER_NONE where not), for all partitions
 * it touches. */
void controller_change_partitions(struct controller *controller, int32_t leaving, int32_t arriving, int32_t unclean,
				  struct controller_records *records, struct arena *arena);
/* A directory of a broker failed: what lies in it leaves the in-sync sets and is led by others, or nobody. */
void controller_fail_directory(struct controller *controller, int32_t broker, struct uuid directory,
			       struct controller_records *records, struct arena *arena);
/* Those of the directories in a heartbeat that were in order until now leave the broker's registration. */
void controller_directories_offline(struct controller *controller, const struct broker_image *broker,
				    const struct uuid *offline, int32_t offline_n, struct controller_records *records,
				    struct arena *arena);
/* Partitions that the operation makes or deletes, before its records are added. ERR_THROTTLING_QUOTA_EXCEEDED when its
 * client has to wait. */
enum err controller_charge(struct controller *controller, int32_t partitions_n) MUST_USE;
/* ERR_STALE_BROKER_EPOCH unless the broker is registered with this epoch. */
enum err controller_check_epoch(const struct controller *controller, int32_t broker_id, int64_t epoch) MUST_USE;

#endif
