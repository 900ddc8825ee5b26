/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a partition when a broker goes or comes: its new in-sync set, leader, and eligible leader replicas
 * (KIP-966), as one PartitionChangeRecord. The rules are those of the original, so that either can go on with a log of
 * the other.
 */
#ifndef CONTROLLER_PARTITION_CHANGE_H
#define CONTROLLER_PARTITION_CHANGE_H

#include "arena.h"
#include "image.h"

#define BROKER_NONE (-1)

struct partition_change {
	const struct image *image;
	int32_t leaving;  /* broker that leaves the in-sync set, or BROKER_NONE */
	int32_t arriving; /* broker that counts as alive already, or BROKER_NONE */
	int32_t unclean;  /* broker that leaves and may have lost data, or BROKER_NONE */
	const struct uuid *directory; /* only what `leaving` has in this directory is touched; NULL: everything */
	bool is_elr_enabled;
	bool prefers_first;     /* the first replica shall lead, if it may */
	bool may_elect_unclean; /* unclean.leader.election.enable of the topic */
	int32_t min_isr;        /* of the topic */
};

struct partition_change_record;

/* False when nothing changes. Arrays of *ret lie in the arena or are the partition's. */
bool partition_change_decide(const struct partition_change *change, const struct partition_image *partition,
			     struct uuid topic_id, int32_t index, struct arena *arena,
			     struct partition_change_record *ret);

/* The broker may lead: registered, not fenced, not leaving. */
bool broker_is_active(const struct image *image, int32_t id);
/* Where a broker's replica lies; UUID_DIR_UNASSIGNED when nobody said. */
struct uuid partition_directory(const struct partition_image *partition, int32_t broker);
/* The directory works, or may well: one that nobody named yet does. */
bool broker_has_directory(const struct broker_image *broker, struct uuid directory);

#endif
