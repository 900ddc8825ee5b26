/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the image, for image.c, replay.c and image_snapshot.c only. Every object in a map is one block of memory
 * with its arrays and names behind it, counted by the maps that hold it.
 *
 * 1. by_name and by_id hold the same topics.
 * 2. A topic that only one state can see is held exactly twice, in nodes that only that state can see.
 * 3. A chunk or partition with one reference belongs to one topic object.
 */
#ifndef METADATA_IMAGE_STATE_H
#define METADATA_IMAGE_STATE_H

#include "image.h"
#include "pmap.h"

#define CHUNK_PARTITIONS 64
#define CONFIG_OF_TOPIC 2 /* resource type in ConfigRecord */
#define LEADER_SAME (-2)  /* in a PartitionChangeRecord */
#define RECOVERY_STATE_SAME (-1)
#define QUOTA_ENTITY_PARTS_MAX 8 /* user, client-id, ip exist */

struct partition_node {
	int32_t refs;
	struct partition_image pub;
	/* its arrays */
};

struct partition_chunk {
	int32_t refs;
	struct partition_node *partitions[CHUNK_PARTITIONS]; /* NULL: a hole */
};

struct topic_node {
	struct pmap_item item;
	struct topic_image pub; /* the name lies behind this struct */
	struct partition_chunk **chunks;
	int32_t chunks_n;
};

struct broker_node {
	struct pmap_item item;
	struct broker_image pub;
	/* its arrays and names */
};

struct feature_node {
	struct pmap_item item;
	int16_t level;
	struct str name;
};

/* The settings of one resource. */
struct resource_node {
	struct pmap_item item;
	int8_t type;
	struct str name;
	struct pmap entries; /* struct config_node */
};

struct config_node {
	struct pmap_item item;
	struct str key;
	struct str value;
};

struct quota_node {
	struct pmap_item item;
	struct quota_image pub;
	/* its parts, values and texts */
};

/* A record that is kept as it came, found by what makes it unique. */
struct kept_node {
	struct pmap_item item;
	int16_t type; /* record type */
	struct bytes key;
	struct bytes record; /* framed value */
};

struct resource_key {
	int8_t type;
	struct str name;
};

struct kept_key {
	int16_t type;
	struct bytes key;
};

/* Everything that records say. */
struct state {
	struct pmap by_name;   /* struct str -> topic_node */
	struct pmap by_id;     /* struct uuid -> topic_node */
	struct pmap brokers;   /* int32_t -> broker_node */
	struct pmap features;  /* struct str -> feature_node */
	struct pmap resources; /* struct resource_key -> resource_node */
	struct pmap quotas;    /* struct quota_image (its parts) -> quota_node */
	struct pmap kept;      /* struct kept_key -> kept_node */
	int64_t partitions_n;
	int64_t next_producer_id;
};

struct image_node {
	struct image pub;
	struct state state;
	struct state pending; /* with what an open transaction says */
	bool in_transaction;
};

static inline const struct image_node *image_node_of(const struct image *image)
{
	return (const struct image_node *)(const void *)image;
}

static inline const struct topic_node *topic_node_of(const struct topic_image *topic)
{
	return container_of((struct topic_image *)topic, struct topic_node, pub);
}

extern const struct pmap_class topic_name_class, topic_id_class, broker_class, feature_class, resource_class,
	config_class, quota_class, kept_class;

void state_init(struct state *state);
struct state state_copy(const struct state *state);
void state_deinit(struct state *state);
struct image *image_new(struct state *take_state, const struct state *take_pending, int64_t offset, int32_t epoch,
			int64_t timestamp_ms);

/* Copies with one reference for the caller (partitions, chunks) or none (items, which the map counts). */
struct partition_node *partition_node_new(const struct partition_image *partition);
void partition_node_unref(struct partition_node *node);
struct topic_node *topic_node_new(struct str name, struct uuid id);
struct topic_node *topic_node_copy(const struct topic_node *topic);
/* Takes the partition's reference; grows the topic. The topic must be the caller's alone. */
void topic_node_put(struct topic_node *topic, int32_t index, struct partition_node *take_partition);
struct broker_node *broker_node_new(const struct broker_image *broker);
struct feature_node *feature_node_new(struct str name, int16_t level);
struct resource_node *resource_node_new(int8_t type, struct str name);
struct resource_node *resource_node_copy(const struct resource_node *resource);
struct config_node *config_node_new(struct str key, struct str value);
/* Parts and values in order, each type and key once. */
struct quota_node *quota_node_new(const struct quota_part *parts, int32_t parts_n, const struct quota_value *values,
				  int32_t values_n);
/* The same values, whoever they are for. */
bool quota_image_equal(const struct quota_image *a, const struct quota_image *b);
struct kept_node *kept_node_new(int16_t type, struct bytes key, struct bytes record);

#endif
