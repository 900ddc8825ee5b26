/* SPDX-License-Identifier: Apache-2.0 */
/* See topic_describe.h. */
#include "topic_describe.h"

#include <stdio.h>

#include "broker.h"
#include "msg/create_topics.h"

#define TOPIC_VALUE_MAX 4096

static const struct config_entry *layer_find(struct config_layer layer, struct str name)
{
	for (size_t i = 0; i < layer.n; i++) {
		if (str_eq(layer.v[i].name, name))
			return &layer.v[i];
	}
	return NULL;
}

/* Is a broker setting that gives this key's default set in the image (for all brokers, or for this one)? */
static bool topic_is_dynamic(const struct image *image, const struct setting_def *def, struct str resource)
{
	struct str value;

	for (size_t i = 0; image && i < def->synonyms_n; i++) {
		if (image_config(image, CONFIG_RESOURCE_TYPE_BROKER, resource, setting_defs[def->synonyms[i].id].name,
				 &value))
			return true;
	}
	return false;
}

static enum setting_source topic_source(const struct broker *broker, const struct image *image,
					const struct setting_def *def)
{
	char id[16];

	snprintf(id, sizeof(id), "%d", broker->node_id);
	if (topic_is_dynamic(image, def, str_of(id)))
		return SETTING_SOURCE_DYNAMIC_BROKER;
	if (topic_is_dynamic(image, def, STR("")))
		return SETTING_SOURCE_DYNAMIC_DEFAULT;
	for (size_t i = 0; i < def->synonyms_n; i++) {
		if (broker->config.origin[def->synonyms[i].id].kind != CONFIG_ORIGIN_DEFAULT)
			return SETTING_SOURCE_STATIC;
	}
	return SETTING_SOURCE_DEFAULT;
}

void topic_describe_new(const struct broker *broker, const struct image *image, struct config_layer overrides,
			struct arena *arena, struct create_topics_response_topics_configs **ret, int32_t *ret_n)
{
	struct topic_config config;
	size_t defs_n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_TOPIC, &defs_n);
	int32_t n = 0;

	*ret = MSG_NEW_N(arena, create_topics_response_topics_configs, defs_n);
	topic_settings_base(broker, image, &config);
	for (size_t i = 0; i < defs_n; i++) {
		const struct setting_def *def = &defs[i];
		const struct config_entry *override = layer_find(overrides, def->name);
		struct create_topics_response_topics_configs *out = &(*ret)[n];
		char text[TOPIC_VALUE_MAX];
		struct fmt f;

		if (def->visibility != SETTING_PUBLIC)
			continue;
		fmt_init(&f, text, sizeof(text));
		topic_config_format(&config, setting_id(def), &f);
		out->name = def->name;
		/* Overrides are shown as they were given, as Kafka does. */
		out->value = override ? arena_str(arena, override->value) : arena_str(arena, (struct str){text, f.len});
		out->config_source = override ? SETTING_SOURCE_TOPIC : (int8_t)topic_source(broker, image, def);
		n++;
	}
	*ret_n = n;
}
