/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings in force on one reactor: what the node was started with, under what the image says for all brokers,
 * under what it says for this one. Everybody on the reactor reads `shard->config`; partitions hold what their topic's
 * settings come to, and get it anew when it changes.
 *
 *   image differs in settings of brokers --> config and topic_base anew --> every partition of the shard
 *   image differs in settings of a topic -----------------------------> the partitions of that topic
 *   node's own file read again ----------> (as the first)
 *
 * 1. Settings follow the image in the turn in which the shard applies it: what an operation changed is in force on
 *    every reactor before the operation is answered.
 * 2. A change costs what it changes: one topic's settings touch that topic's partitions only.
 * 3. Nothing here points into an image: the layers are copies.
 * 4. `broker->config` is what the node was started with and never changes; it is right for what cannot change while
 *    the node runs, and for nothing else.
 */
#ifndef BROKER_LIVE_SETTINGS_H
#define BROKER_LIVE_SETTINGS_H

#include "config_changes.h"
#include "image.h"
#include "topic_config.h"

struct broker;
struct shard;

struct live_settings {
	const struct broker_config *fixed;   /* from file, environment and command line; the broker owns it */
	struct broker_config merged;         /* with the layers over it; zeroed while both are empty */
	struct config_layer dynamic_default; /* for all brokers */
	struct config_layer dynamic_broker;  /* for this one */
	struct topic_config topic_base;      /* of a topic without settings of its own */
	struct arena arena;                  /* of the layers */
};

/* Before any image. shard->config is valid from here on. */
void live_settings_init(struct shard *shard);
void live_settings_deinit(struct shard *shard);
/* The shard is about to go from one image to another; its partitions are still those of `before`. */
void live_settings_follow(struct shard *shard, const struct image *before, const struct image *after);

/* Settings of one resource as a layer; memory of the arena, texts of the image. */
struct config_layer live_settings_layer(const struct image *image, int8_t type, struct str resource,
					struct arena *arena);

/* On reactor 0: the node's own settings were read again. What may change while the node runs is in force on every
 * reactor soon after; of the rest the log says that it waits for a restart. Takes over the memory. */
void broker_reload_config(struct broker *broker, struct broker_config *take_config);

#endif
