/* SPDX-License-Identifier: Apache-2.0 */
/* Static settings under the two dynamic layers; see dynamic_config.h. */
#include "dynamic_config.h"

#include "listeners.h"

bool dynamic_config_is_dynamic(const struct setting_def *def)
{
	return def->update != SETTING_UPDATE_READ_ONLY;
}

bool dynamic_config_needs_listener(struct str name)
{
	static const char *const names[] = {
		"ssl.key.password",	"ssl.keystore.certificate.chain", "ssl.keystore.key",
		"ssl.keystore.location", "ssl.keystore.password",	  "ssl.keystore.type",
		"ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password",
		"ssl.truststore.type",
	};

	for (size_t i = 0; i < ARRAY_N(names); i++) {
		if (str_eq_c(name, names[i]))
			return true;
	}
	return false;
}

const struct setting_def *dynamic_config_def(struct str name)
{
	const struct setting_def *def = setting_find(name);
	struct str listener, rest;
	const char *dot;

	if (def || !listener_key_split(name, &listener, &rest))
		return def;
	def = setting_find(rest);
	if (def)
		return def;
	dot = memchr(rest.p, '.', rest.len);
	return dot ? setting_find((struct str){dot + 1, rest.len - (size_t)(dot + 1 - rest.p)}) : NULL;
}

static struct str_list copy_list(struct arena *arena, struct str_list list)
{
	struct str *v = ARENA_NEW_N(arena, struct str, list.n + 1);

	for (size_t i = 0; i < list.n; i++)
		v[i] = arena_str(arena, list.v[i]);
	return (struct str_list){v, list.n};
}

/* A copy with texts of its own; eff is not filled. */
static void copy_fixed(struct broker_config *ret, const struct broker_config *fixed)
{
	struct config_extra *extra;

	*ret = *fixed;
	ret->arena = (struct arena){0};
	ret->eff = (struct broker_effective){0};
	for (size_t i = 0; i < BROKER_SETTING_N; i++) {
		void *field = (char *)ret + setting_defs[i].offset;

		ret->origin[i].where = arena_str(&ret->arena, fixed->origin[i].where);
		if (setting_defs[i].type == SETTING_TYPE_LIST)
			*(struct str_list *)field = copy_list(&ret->arena, *(struct str_list *)field);
		else if (setting_defs[i].type == SETTING_TYPE_STRING || setting_defs[i].type == SETTING_TYPE_CLASS ||
			 setting_defs[i].type == SETTING_TYPE_PASSWORD)
			*(struct str *)field = arena_str(&ret->arena, *(struct str *)field);
	}
	extra = ARENA_NEW_N(&ret->arena, struct config_extra, fixed->extra.n + 1);
	for (size_t i = 0; i < fixed->extra.n; i++) {
		extra[i] = fixed->extra.v[i];
		extra[i].key = arena_str(&ret->arena, extra[i].key);
		extra[i].value = arena_str(&ret->arena, extra[i].value);
		extra[i].origin.where = arena_str(&ret->arena, extra[i].origin.where);
	}
	ret->extra.v = extra;
}

static struct setting_origin origin_of(bool is_default)
{
	return (struct setting_origin){
		.kind = is_default ? CONFIG_ORIGIN_DYNAMIC_DEFAULT : CONFIG_ORIGIN_DYNAMIC_BROKER,
		.where = is_default ? STR("metadata, all brokers") : STR("metadata, this broker"),
	};
}

static bool is_allowed(const struct setting_def *def, bool is_default)
{
	return dynamic_config_is_dynamic(def) && !dynamic_config_needs_listener(def->name) &&
	       !(is_default && def->update == SETTING_UPDATE_PER_BROKER);
}

static void lay_entry(struct broker_config *ret, const struct config_entry *entry, bool is_default)
{
	const struct setting_def *def = setting_find(entry->name);
	struct setting_value value;

	if (!def || !is_allowed(def, is_default) || setting_parse(def, entry->value, &value, NULL) != ERR_NONE)
		return;
	setting_store(def, ret, &value, &ret->arena);
	ret->origin[setting_id(def)] = origin_of(is_default);
}

/* Names outside the table replace their like or are added. */
static void lay_extras(struct broker_config *ret, struct config_layer layer, bool is_default)
{
	struct config_extra *v = ARENA_NEW_N(&ret->arena, struct config_extra, ret->extra.n + layer.n + 1);
	size_t n = ret->extra.n;

	if (n)
		memcpy(v, ret->extra.v, n * sizeof(*v));
	for (size_t i = 0; i < layer.n; i++) {
		const struct config_entry *entry = &layer.v[i];
		size_t at = 0;

		if (!entry->value.p || setting_find(entry->name))
			continue;
		while (at < n && !str_eq(v[at].key, entry->name))
			at++;
		v[at] = (struct config_extra){
			arena_str(&ret->arena, entry->name), arena_str(&ret->arena, entry->value),
			origin_of(is_default)};
		n += at == n;
	}
	ret->extra = (struct config_extra_list){v, n};
}

static void lay(struct broker_config *ret, struct config_layer layer, bool is_default)
{
	for (size_t i = 0; i < layer.n; i++) {
		if (layer.v[i].value.p)
			lay_entry(ret, &layer.v[i], is_default);
	}
	lay_extras(ret, layer, is_default);
}

bool dynamic_config_build(struct broker_config *ret, const struct topic_config_layers *layers,
			  struct config_report *report)
{
	size_t errors_before = report->errors_n;

	copy_fixed(ret, layers->broker);
	lay(ret, layers->dynamic_default, true);
	lay(ret, layers->dynamic_broker, false);
	broker_effective_fill(ret, report);
	broker_listener_limits_fill(ret, report);
	broker_check(ret, report);
	return report->errors_n == errors_before;
}

void broker_config_with_dynamic(struct broker_config *ret, const struct topic_config_layers *layers,
				struct config_report *report)
{
	struct topic_config_layers some = *layers;
	struct config_report own = {0};

	/* The static settings alone have passed all this when they were read, so the third try is the last. */
	for (int left_out = 0;; left_out++) {
		if (dynamic_config_build(ret, &some, report ? report : &own))
			break;
		CHECK(left_out < 2);
		broker_config_deinit(ret);
		if (left_out == 0)
			some.dynamic_broker = (struct config_layer){NULL, 0};
		else
			some.dynamic_default = (struct config_layer){NULL, 0};
	}
	config_report_deinit(&own);
}
