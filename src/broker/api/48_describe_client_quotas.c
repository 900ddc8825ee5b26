/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeClientQuotas (key 48), versions 0-1: answered from the shard's image. A filter names entity types with an
 * exact name, the default, or any name; strict: the entity has no further part.
 */
#include "api.h"
#include "image.h"
#include "msg/describe_client_quotas.h"
#include "shard.h"

enum quota_match { MATCH_EXACT, MATCH_DEFAULT, MATCH_ANY };

static enum err quota_component_check(const struct describe_client_quotas_request *in, int32_t at,
				      struct err_text *text)
{
	const struct describe_client_quotas_request_components *component = &in->components[at];

	if (component->entity_type.len == 0)
		return err_text_set(text, ERR_INVALID_REQUEST, "Invalid empty entity type.");
	for (int32_t i = 0; i < at; i++) {
		if (str_eq(in->components[i].entity_type, component->entity_type))
			return err_text_set(text, ERR_INVALID_REQUEST,
					    "Entity type %.*s cannot appear more than once in the filter.",
					    STR_ARGS(component->entity_type));
	}
	if (!str_eq_c(component->entity_type, "user") && !str_eq_c(component->entity_type, "client-id") &&
	    !str_eq_c(component->entity_type, "ip"))
		return err_text_set(text, ERR_UNSUPPORTED_VERSION, "Unsupported entity type %.*s",
				    STR_ARGS(component->entity_type));
	switch (component->match_type) {
	case MATCH_EXACT:
		if (!component->match.p)
			return err_text_set(text, ERR_INVALID_REQUEST,
					    "Request specified MATCH_TYPE_EXACT, but set match string to null.");
		return ERR_NONE;
	case MATCH_DEFAULT:
	case MATCH_ANY:
		if (component->match.p)
			return err_text_set(text, ERR_INVALID_REQUEST,
					    "Request specified MATCH_TYPE_%s, but also specified a match string.",
					    component->match_type == MATCH_DEFAULT ? "DEFAULT" : "SPECIFIED");
		return ERR_NONE;
	default:
		return err_text_set(text, ERR_INVALID_REQUEST, "Unknown match type %d", component->match_type);
	}
}

static enum err quota_filter_check(const struct describe_client_quotas_request *in, struct err_text *text)
{
	bool has_ip = false;

	for (int32_t i = 0; i < in->components_n; i++) {
		enum err err = quota_component_check(in, i, text);

		if (err)
			return err;
		has_ip |= str_eq_c(in->components[i].entity_type, "ip");
	}
	if (has_ip && in->components_n > 1)
		return err_text_set(text, ERR_INVALID_REQUEST,
				    "Invalid entity filter component combination. IP filter component should not be "
				    "used with user or clientId filter component.");
	return ERR_NONE;
}

static bool quota_component_matches(const struct describe_client_quotas_request_components *component,
				    const struct quota_image *quota)
{
	for (int32_t i = 0; i < quota->parts_n; i++) {
		if (!str_eq(quota->parts[i].type, component->entity_type))
			continue;
		if (component->match_type == MATCH_EXACT)
			return quota->parts[i].name.p && str_eq(quota->parts[i].name, component->match);
		return component->match_type == MATCH_ANY || !quota->parts[i].name.p;
	}
	return false;
}

static bool quota_filter_matches(const struct describe_client_quotas_request *in, const struct quota_image *quota)
{
	if (in->strict && quota->parts_n != in->components_n)
		return false;
	for (int32_t i = 0; i < in->components_n; i++) {
		if (!quota_component_matches(&in->components[i], quota))
			return false;
	}
	return true;
}

/* Texts are copied: the answer may leave after the image has gone. */
static void quota_tell(const struct quota_image *quota, struct arena *arena,
		       struct describe_client_quotas_response_entries *out)
{
	out->entity = MSG_NEW_N(arena, describe_client_quotas_response_entries_entity, quota->parts_n);
	out->entity_n = quota->parts_n;
	for (int32_t i = 0; i < quota->parts_n; i++) {
		out->entity[i].entity_type = arena_str(arena, quota->parts[i].type);
		out->entity[i].entity_name = arena_str(arena, quota->parts[i].name);
	}
	out->values = MSG_NEW_N(arena, describe_client_quotas_response_entries_values, quota->values_n);
	out->values_n = quota->values_n;
	for (int32_t i = 0; i < quota->values_n; i++) {
		out->values[i].key = arena_str(arena, quota->values[i].key);
		out->values[i].value = quota->values[i].value;
	}
}

void api_describe_client_quotas(struct request *request)
{
	const struct describe_client_quotas_request *in = request->body;
	const struct image *image = request->shard->image;
	struct describe_client_quotas_response *out = MSG_NEW(&request->arena, describe_client_quotas_response);
	const struct quota_image *quota = NULL;
	struct err_text text = {{0}};
	enum err err = quota_filter_check(in, &text);

	if (err) {
		out->error_code = err_wire(err);
		out->error_message = arena_str(&request->arena, str_of(text.text));
		out->entries_n = -1;
		request_reply(request, out);
		return;
	}
	out->error_message = arena_str(&request->arena, STR(""));
	out->entries = MSG_NEW_N(&request->arena, describe_client_quotas_response_entries, image_quotas_n(image));
	out->entries_n = 0;
	while ((quota = image_quota_next(image, quota)) != NULL) {
		if (quota_filter_matches(in, quota))
			quota_tell(quota, &request->arena, &out->entries[out->entries_n++]);
	}
	request_reply(request, out);
}
