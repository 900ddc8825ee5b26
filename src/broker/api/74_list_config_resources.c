/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListConfigResources (key 74), versions 0-1 (KIP-714, KIP-1142): names of resources that have settings. Version 0
 * tells client-metrics subscriptions only. Groups and subscriptions are told when something is set for them; every
 * topic and every broker is told.
 */
#include <stdio.h>

#include "api.h"
#include "broker.h"
#include "msg/list_config_resources.h"
#include "shard.h"

/* In the order in which they are told. */
static const int8_t resource_types[] = {CONFIG_RESOURCE_TYPE_GROUP, CONFIG_RESOURCE_TYPE_CLIENT_METRICS,
					CONFIG_RESOURCE_TYPE_BROKER_LOGGER, CONFIG_RESOURCE_TYPE_BROKER,
					CONFIG_RESOURCE_TYPE_TOPIC};

struct resource_list {
	VEC(struct list_config_resources_response_config_resources) rows;
};

static void resource_add(struct resource_list *list, int8_t type, struct str name)
{
	struct list_config_resources_response_config_resources resource;

	msg_init(&list_config_resources_response_config_resources_type, &resource);
	resource.resource_name = name;
	resource.resource_type = type;
	vec_push(&list->rows, resource);
}

static void resource_add_brokers(struct request *request, struct resource_list *list, int8_t type)
{
	const struct image *image = request->shard->image;
	const struct broker_image *broker;

	for (int32_t id = -1; (broker = image_broker_next(image, id)) != NULL; id = broker->id) {
		if (!broker->fenced)
			resource_add(list, type, arena_printf(&request->arena, "%d", broker->id));
	}
}

static void resource_add_all(struct request *request, struct resource_list *list, int8_t type)
{
	const struct image *image = request->shard->image;
	const struct topic_image *topic;
	struct str name = STR_NULL;

	if (type == CONFIG_RESOURCE_TYPE_BROKER || type == CONFIG_RESOURCE_TYPE_BROKER_LOGGER) {
		resource_add_brokers(request, list, type);
		return;
	}
	if (type == CONFIG_RESOURCE_TYPE_TOPIC) {
		for (; (topic = image_topic_next(image, name)) != NULL; name = topic->name)
			resource_add(list, type, topic->name);
		return;
	}
	while (image_resource_next(image, type, name, &name))
		resource_add(list, type, name);
}

static bool resource_is_known(int8_t type)
{
	for (size_t i = 0; i < ARRAY_N(resource_types); i++) {
		if (resource_types[i] == type)
			return true;
	}
	return false;
}

static bool resource_is_asked(const struct request *request, int8_t type)
{
	const struct list_config_resources_request *in = request->body;

	if (request->version == 0)
		return type == CONFIG_RESOURCE_TYPE_CLIENT_METRICS;
	for (int32_t i = 0; i < in->resource_types_n; i++) {
		if (in->resource_types[i] == type)
			return true;
	}
	return in->resource_types_n <= 0;
}

void api_list_config_resources(struct request *request)
{
	const struct list_config_resources_request *in = request->body;
	struct list_config_resources_response out;
	struct resource_list list = {0};

	msg_init(&list_config_resources_response_type, &out);
	for (int32_t i = 0; i < in->resource_types_n; i++) {
		if (!resource_is_known(in->resource_types[i]))
			out.error_code = err_wire(ERR_UNSUPPORTED_VERSION);
	}
	for (size_t i = 0; !out.error_code && i < ARRAY_N(resource_types); i++) {
		if (resource_is_asked(request, resource_types[i]))
			resource_add_all(request, &list, resource_types[i]);
	}
	out.config_resources = list.rows.v;
	out.config_resources_n = (int32_t)list.rows.n;
	request_reply(request, &out); /* encodes at once */
	vec_deinit(&list.rows);
}
