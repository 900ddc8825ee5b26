/* SPDX-License-Identifier: Apache-2.0 */
/* What a topic's settings mean to its partitions, merged from the topic, the dynamic broker settings in the image, the
 * node's own settings, and the defaults, in Kafka's order. */
#ifndef BROKER_TOPIC_SETTINGS_H
#define BROKER_TOPIC_SETTINGS_H

#include "live_settings.h"
#include "partition.h"

struct broker;

/* Settings of a topic without overrides, at this image. Texts are borrowed from image and configuration. */
void topic_settings_base(const struct broker *broker, const struct image *image, struct topic_config *ret);
/* Overrides of a topic as a layer; memory of the arena, texts of the image. */
struct config_layer topic_settings_overrides(const struct image *image, struct str topic, struct arena *arena);
void topic_settings_partition(const struct topic_config *config, struct partition_config *ret);
/* All of the above for one topic. */
void topic_settings_build(const struct topic_config *base, const struct image *image, struct str topic,
			  struct partition_config *ret);

#endif
