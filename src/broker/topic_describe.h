/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a topic as clients are told them: every public key with its value and where that comes from. */
#ifndef BROKER_TOPIC_DESCRIBE_H
#define BROKER_TOPIC_DESCRIBE_H

#include "topic_settings.h"

struct create_topics_response_topics_configs;

/* For CreateTopics from version 5: a topic that will have these overrides. Memory of the arena. */
void topic_describe_new(const struct broker *broker, const struct image *image, struct config_layer overrides,
			struct arena *arena, struct create_topics_response_topics_configs **ret, int32_t *ret_n);

#endif
