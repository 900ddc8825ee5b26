/* SPDX-License-Identifier: Apache-2.0 */
/* See controller_settings.h. */
#include "controller_settings.h"

#include <stdio.h>

#include "config_changes.h"
#include "broker.h"
#include "client_metrics_config.h"
#include "dynamic_config.h"
#include "group_config.h"
#include "live_settings.h"
#include "topic_describe.h"

/* The longest default of a list. */
#define LIST_DEFAULT_MAX 512
/* Longer texts of listeners are never those of the file, and so refused when changed. */
#define LISTENERS_TEXT_MAX 4096

static enum err check_topic(struct controller_io *io, struct config_layer layer, struct err_text *text)
{
	struct topic_config base;

	topic_settings_base(io->broker, io->controller.latest, &base);
	return topic_config_check(&base, layer, text);
}

static struct str layer_value(struct config_layer layer, struct str name)
{
	for (size_t i = 0; i < layer.n; i++) {
		if (str_eq(layer.v[i].name, name))
			return layer.v[i].value;
	}
	return STR_NULL;
}

/* Unlike Kafka, sockets are opened when the broker starts and not while it runs: to take a change and do nothing would
 * be a lie. What the file says, and what is stored already, may stay. */
static enum err check_sockets(const struct broker_config *fixed, struct config_layer before, struct config_layer after,
			      struct err_text *text)
{
	static const enum setting_id ids[] = {SETTING_LISTENERS, SETTING_LISTENER_SECURITY_PROTOCOL_MAP};

	for (size_t i = 0; i < ARRAY_N(ids); i++) {
		const struct setting_def *def = &setting_defs[ids[i]];
		struct str old = layer_value(before, def->name), new = layer_value(after, def->name);
		char running[LISTENERS_TEXT_MAX];
		struct fmt f;

		if (!new.p || (old.p && str_eq(old, new)))
			continue;
		fmt_init(&f, running, sizeof(running));
		setting_format_field(def, fixed, false, &f);
		if (!str_eq(new, (struct str){running, f.len}))
			return err_text_set(text, ERR_INVALID_REQUEST,
					    "Listeners are opened when a broker starts: %.*s cannot change while it "
					    "runs. Set it in the broker's configuration file and start it again.",
					    STR_ARGS(def->name));
	}
	return ERR_NONE;
}

static enum err check_broker(struct controller_io *io, struct str resource, struct config_layer layer,
			     struct err_text *text)
{
	const struct image *image = io->controller.latest;
	struct topic_config_layers layers = {.broker = io->broker->fixed};
	struct arena arena = {0};
	char id[16];
	enum err err;

	snprintf(id, sizeof(id), "%d", io->broker->node_id);
	layers.dynamic_default = live_settings_layer(image, CONFIG_RESOURCE_TYPE_BROKER, STR(""), &arena);
	layers.dynamic_broker = live_settings_layer(image, CONFIG_RESOURCE_TYPE_BROKER, str_of(id), &arena);
	err = dynamic_config_check(&layers, resource.len == 0, layer, text);
	if (!err && resource.len > 0)
		err = check_sockets(io->broker->fixed, layers.dynamic_broker, layer, text);
	arena_reset(&arena);
	return err;
}

static enum err controller_settings_check(void *ctx, int8_t type, struct str resource,
					  const struct controller_config *configs, size_t n, struct err_text *text)
{
	struct config_entry *entries = mem_calloc(n + 1, sizeof(*entries));
	struct config_layer layer = {entries, n};
	enum err err = ERR_NONE;

	for (size_t i = 0; i < n; i++)
		entries[i] = (struct config_entry){configs[i].name, configs[i].value};
	switch (type) {
	case CONFIG_RESOURCE_TYPE_TOPIC:
		err = check_topic(ctx, layer, text);
		break;
	case CONFIG_RESOURCE_TYPE_BROKER:
		err = check_broker(ctx, resource, layer, text);
		break;
	case CONFIG_RESOURCE_TYPE_GROUP:
		err = group_config_check(((struct controller_io *)ctx)->broker->fixed, layer, text);
		break;
	case CONFIG_RESOURCE_TYPE_CLIENT_METRICS:
		err = client_metrics_config_check(resource, layer, text);
		break;
	default:
		break;
	}
	mem_free(entries);
	return err;
}

static enum controller_list controller_settings_list(void *ctx UNUSED, int8_t type, struct str key,
						     struct arena *arena, struct str *ret)
{
	const struct setting_def *def = NULL;
	struct setting_value value;
	char text[LIST_DEFAULT_MAX];
	struct fmt f;

	if (type == CONFIG_RESOURCE_TYPE_TOPIC)
		def = setting_find_in(SETTING_FAMILY_TOPIC, key);
	else if (type == CONFIG_RESOURCE_TYPE_BROKER)
		def = setting_find_in(SETTING_FAMILY_BROKER, key);
	if (!def)
		return CONTROLLER_LIST_UNKNOWN;
	if (def->type != SETTING_TYPE_LIST)
		return CONTROLLER_LIST_NOT;
	value = setting_default(def);
	if (!value.is_null) {
		fmt_init(&f, text, sizeof(text));
		setting_format(def, &value, &f);
		*ret = arena_str(arena, (struct str){text, f.len});
	}
	return CONTROLLER_LIST_IS;
}

static void controller_settings_effective(void *ctx, const struct controller_config *configs, size_t n,
					  struct arena *arena, struct create_topics_response_topics_configs **ret,
					  int32_t *ret_n)
{
	struct controller_io *io = ctx;
	struct config_entry *entries = ARENA_NEW_N(arena, struct config_entry, n);

	for (size_t i = 0; i < n; i++)
		entries[i] = (struct config_entry){configs[i].name, configs[i].value};
	topic_describe_new(io->broker, io->controller.latest, (struct config_layer){entries, n}, arena, ret, ret_n);
}

void controller_settings_set(struct controller_io *io, struct controller_defaults *ret)
{
	ret->check_configs = controller_settings_check;
	ret->list_default = controller_settings_list;
	ret->effective_configs = controller_settings_effective;
	ret->config_ctx = io;
}
