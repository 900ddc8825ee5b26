/* SPDX-License-Identifier: Apache-2.0 */
/* See client_metrics_config.h; what the original said is in test/unit/config/resource_values.tsv. */
#include "client_metrics_config.h"

#include "pattern.h"

static const char *const label_names[CLIENT_METRICS_LABEL_N] = {
	[CLIENT_METRICS_LABEL_INSTANCE_ID] = "client_instance_id",
	[CLIENT_METRICS_LABEL_ID] = "client_id",
	[CLIENT_METRICS_LABEL_SOFTWARE_NAME] = "client_software_name",
	[CLIENT_METRICS_LABEL_SOFTWARE_VERSION] = "client_software_version",
	[CLIENT_METRICS_LABEL_SOURCE_ADDRESS] = "client_source_address",
	[CLIENT_METRICS_LABEL_SOURCE_PORT] = "client_source_port",
};

static const struct setting_def interval_def = {.name = {"interval.ms", 11}, .type = SETTING_TYPE_INT};
static const struct setting_def list_defs[] = {
	{.name = {"metrics", 7}, .type = SETTING_TYPE_LIST},
	{.name = {"match", 5}, .type = SETTING_TYPE_LIST},
};

static const struct config_entry *find(struct config_layer layer, struct str name)
{
	for (size_t i = 0; i < layer.n; i++) {
		if (layer.v[i].value.p && str_eq(layer.v[i].name, name))
			return &layer.v[i];
	}
	return NULL;
}

bool client_metrics_match_parse(struct str item, enum client_metrics_label *ret_label, struct str *ret_pattern)
{
	const char *equals = item.len ? memchr(item.p, '=', item.len) : NULL;
	struct str label, pattern;

	if (!equals)
		return false;
	label = setting_trim((struct str){item.p, (size_t)(equals - item.p)});
	pattern = setting_trim((struct str){equals + 1, item.len - (size_t)(equals + 1 - item.p)});
	if (pattern.len == 0 || memchr(pattern.p, '=', pattern.len))
		return false;
	for (int i = 0; i < CLIENT_METRICS_LABEL_N; i++) {
		if (str_eq_c(label, label_names[i])) {
			*ret_label = (enum client_metrics_label)i;
			*ret_pattern = pattern;
			return true;
		}
	}
	return false;
}

static enum err check_match(struct str match, struct err_text *text)
{
	struct setting_list_pos pos = {0};
	struct str item;

	while (setting_list_next(match, &pos, &item)) {
		enum client_metrics_label label;
		struct pattern *pattern;
		struct str source;

		if (!client_metrics_match_parse(item, &label, &source) ||
		    pattern_new(source, PATTERN_JAVA, &pattern, NULL) != ERR_NONE)
			return err_text_set(text, ERR_INVALID_CONFIG, "Illegal client matching pattern: %.*s",
					    STR_ARGS(item));
		pattern_free(pattern);
	}
	return ERR_NONE;
}

static enum err check_interval(const struct config_entry *entry, struct err_text *text)
{
	struct setting_value value;
	enum err err = entry ? setting_parse(&interval_def, entry->value, &value, text) : ERR_NONE;

	if (err || !entry)
		return err;
	if (value.i < CLIENT_METRICS_INTERVAL_MS_MIN || value.i > CLIENT_METRICS_INTERVAL_MS_MAX)
		return err_text_set(text, ERR_INVALID_REQUEST,
				    "Invalid value %lld for interval.ms, interval must be between 100 and 3600000 (1 "
				    "hour)",
				    (long long)value.i);
	return ERR_NONE;
}

enum err client_metrics_config_check(struct str subscription, struct config_layer layer, struct err_text *text)
{
	const struct config_entry *entry;
	struct setting_value value;
	enum err err;

	if (subscription.len == 0)
		return err_text_set(text, ERR_INVALID_REQUEST, "Subscription name can't be empty");
	for (size_t i = 0; i < layer.n; i++) {
		struct str name = layer.v[i].name;

		if (!str_eq(name, interval_def.name) && !str_eq(name, list_defs[0].name) &&
		    !str_eq(name, list_defs[1].name))
			return err_text_set(text, ERR_INVALID_REQUEST, "Unknown client metrics configuration: %.*s",
					    STR_ARGS(name));
	}
	for (size_t i = 0; i < ARRAY_N(list_defs); i++) {
		entry = find(layer, list_defs[i].name);
		err = entry ? setting_parse(&list_defs[i], entry->value, &value, text) : ERR_NONE;
		if (err)
			return err;
	}
	err = check_interval(find(layer, interval_def.name), text);
	if (err)
		return err;
	entry = find(layer, list_defs[1].name);
	return entry ? check_match(entry->value, text) : ERR_NONE;
}

void client_metrics_config_build(struct client_metrics_config *ret, struct config_layer layer)
{
	const struct config_entry *interval = find(layer, interval_def.name), *metrics = find(layer, list_defs[0].name),
				  *match = find(layer, list_defs[1].name);
	struct setting_value value;

	*ret = (struct client_metrics_config){
		.interval_ms = CLIENT_METRICS_INTERVAL_MS_DEFAULT, .metrics = STR(""), .match = STR("")};
	if (check_interval(interval, NULL) == ERR_NONE && interval &&
	    setting_parse(&interval_def, interval->value, &value, NULL) == ERR_NONE)
		ret->interval_ms = (int32_t)value.i;
	if (metrics && setting_parse(&list_defs[0], metrics->value, &value, NULL) == ERR_NONE)
		ret->metrics = value.s;
	if (match && check_match(match->value, NULL) == ERR_NONE)
		ret->match = match->value;
}
