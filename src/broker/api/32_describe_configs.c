/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeConfigs (key 32), versions 1-4: settings of topics, of this node or of all brokers, of groups, of
 * client-metrics subscriptions, and the levels of loggers. Anything but this node must be asked of the node concerned.
 *
 * Settings of this node that only we have are told when somebody set them, so that a node as it comes tells the keys
 * that Kafka's tells. Rows come in the order of the tables (Kafka's have none; tools sort them).
 *
 * 1. Resources without settings of their own share their rows; the others copy them and change what is theirs.
 * 2. An answer takes at most ANSWER_BYTES_MAX; resources beyond are refused, one by one.
 */
#include "api.h"
#include "broker.h"
#include "config_describe.h"
#include "log_levels.h"
#include "msg/describe_configs.h"
#include "shard.h"
#include "topic_name.h"

#define ANSWER_BYTES_MAX ((int64_t)192 << 20) /* on the wire and in the arena, together */

/* Rows of one resource. */
struct config_rows {
	struct describe_configs_response_results_configs *v;
	int32_t n;
	int64_t len; /* on the wire */
};

/* Which keys of a resource are wanted. */
struct config_wanted {
	bool all;
	const bool *ids; /* by setting_id */
	struct str *names; /* the rest of what was asked for */
	size_t names_n;
};

struct describe_configs {
	struct request *request;
	struct describe_configs_response out;
	struct config_describe describe;
	struct config_rows shared[SETTING_FAMILY_GROUP + 1]; /* all keys, without overrides */
	int64_t left; /* of ANSWER_BYTES_MAX */
};

/* A setting of a client-metrics subscription. */
static const struct {
	struct str name;
	enum setting_type type;
	struct str default_text;
	const char *prose;
} metrics_keys[] = {
	{{"interval.ms", 11}, SETTING_TYPE_INT, {"300000", 6}, "How often clients push what is asked of them, in ms."},
	{{"match", 5}, SETTING_TYPE_LIST, {"", 0}, "Which clients are asked, as label=pattern; empty: all."},
	{{"metrics", 7}, SETTING_TYPE_LIST, {"", 0}, "Beginnings of the names of the metrics that clients push."},
};

static struct describe_configs_response_results_configs *rows_push(struct config_rows *rows)
{
	return &rows->v[rows->n++];
}

static struct config_rows rows_new(struct describe_configs *d, size_t max)
{
	d->left -= (int64_t)(max * sizeof(struct describe_configs_response_results_configs));
	return (struct config_rows){
		.v = MSG_NEW_N(&d->request->arena, describe_configs_response_results_configs, max)};
}

static void rows_measure(struct config_rows *rows)
{
	for (int32_t i = 0; i < rows->n; i++)
		rows->len += config_describe_len(&rows->v[i]);
}

static void result_rows(struct describe_configs *d, struct describe_configs_response_results *out,
			const struct config_rows *rows)
{
	out->configs = rows->v;
	out->configs_n = rows->n;
	d->left -= rows->len;
}

static void result_refuse(struct describe_configs *d, struct describe_configs_response_results *out, enum err err,
			  struct str text)
{
	out->error_code = err_wire(err);
	out->error_message = arena_str(&d->request->arena, text);
}

/* ---- what is wanted ---- */

/* Sorts the asked keys into those of the family's table and the rest. */
static void wanted_fill(struct describe_configs *d, const struct describe_configs_request_resources *in,
			enum setting_family family, struct config_wanted *ret)
{
	bool *ids;

	*ret = (struct config_wanted){.all = in->configuration_keys_n <= 0};
	if (ret->all)
		return;
	ids = arena_alloc(&d->request->arena, SETTING_N);
	ret->ids = ids;
	ret->names = ARENA_NEW_N(&d->request->arena, struct str, in->configuration_keys_n);
	for (int32_t i = 0; i < in->configuration_keys_n; i++) {
		const struct setting_def *def = setting_find_in(family, in->configuration_keys[i]);

		if (def)
			ids[setting_id(def)] = true;
		else
			ret->names[ret->names_n++] = in->configuration_keys[i];
	}
}

static bool wanted_has_name(const struct config_wanted *wanted, struct str name)
{
	for (size_t i = 0; i < wanted->names_n; i++) {
		if (str_eq(wanted->names[i], name))
			return true;
	}
	return wanted->all;
}

static bool wanted_has(const struct config_wanted *wanted, const struct setting_def *def)
{
	return wanted->all || wanted->ids[setting_id(def)];
}

static size_t wanted_count(const struct config_wanted *wanted, enum setting_family family)
{
	size_t defs_n, n = 0;
	const struct setting_def *defs = setting_family_defs(family, &defs_n);

	for (size_t i = 0; i < defs_n; i++)
		n += wanted_has(wanted, &defs[i]);
	return n;
}

/* ---- topics and groups ---- */

static bool is_shown(const struct describe_configs *d, const struct setting_def *def)
{
	const struct live_settings *live = &d->request->shard->live;

	if (def->visibility == SETTING_PUBLIC)
		return true;
	return def->family == SETTING_FAMILY_BROKER &&
	       (live->fixed->origin[setting_id(def)].kind != CONFIG_ORIGIN_DEFAULT ||
		config_layer_find(live->dynamic_broker, def->name) ||
		config_layer_find(live->dynamic_default, def->name));
}

/* Rows of a family as they are without overrides. */
static void family_rows(struct describe_configs *d, enum setting_family family, const struct config_wanted *wanted,
			struct config_layer overrides, struct config_rows *ret)
{
	size_t defs_n;
	const struct setting_def *defs = setting_family_defs(family, &defs_n);

	*ret = rows_new(d, wanted_count(wanted, family));
	for (size_t i = 0; i < defs_n; i++) {
		if (!wanted_has(wanted, &defs[i]))
			continue;
		if (is_shown(d, &defs[i]) || config_layer_find(overrides, defs[i].name))
			config_describe_row(&d->describe, &defs[i], rows_push(ret));
	}
}

static void override_rows(struct describe_configs *d, enum setting_family family, struct config_layer overrides,
			  struct config_rows *rows)
{
	for (size_t i = 0; i < overrides.n; i++) {
		const struct setting_def *def = setting_find_in(family, overrides.v[i].name);

		for (int32_t j = 0; def && j < rows->n; j++) {
			if (rows->v[j].name.p == def->name.p)
				config_describe_override(&d->describe, def, overrides.v[i].value, &rows->v[j]);
		}
	}
}

/* Does a key lie among the overrides that rows without overrides do not show? */
static bool has_hidden(enum setting_family family, struct config_layer overrides)
{
	for (size_t i = 0; i < overrides.n; i++) {
		const struct setting_def *def = setting_find_in(family, overrides.v[i].name);

		if (def && def->visibility != SETTING_PUBLIC)
			return true;
	}
	return false;
}

static void describe_overridden(struct describe_configs *d, const struct describe_configs_request_resources *in,
				enum setting_family family, struct config_layer overrides,
				struct describe_configs_response_results *out)
{
	struct config_rows *shared = &d->shared[family];
	struct config_rows rows;
	struct config_wanted wanted;

	wanted_fill(d, in, family, &wanted);
	if (!shared->v && wanted.all) {
		family_rows(d, family, &wanted, (struct config_layer){0}, shared);
		rows_measure(shared);
	}
	if (wanted.all && overrides.n == 0) {
		result_rows(d, out, shared);
		return;
	}
	if (wanted.all && !has_hidden(family, overrides)) {
		rows = rows_new(d, (size_t)shared->n);
		memcpy(rows.v, shared->v, (size_t)shared->n * sizeof(*rows.v));
		rows.n = shared->n;
	} else {
		family_rows(d, family, &wanted, overrides, &rows);
	}
	override_rows(d, family, overrides, &rows);
	rows_measure(&rows);
	result_rows(d, out, &rows);
}

static void describe_topic(struct describe_configs *d, const struct describe_configs_request_resources *in,
			   struct describe_configs_response_results *out)
{
	const struct image *image = d->request->shard->image;
	struct arena *arena = &d->request->arena;
	struct err_text text;
	enum err err = topic_name_check(in->resource_name, &text);

	if (err) {
		result_refuse(d, out, err, str_of(text.text));
		return;
	}
	if (!image_topic(image, in->resource_name)) {
		out->error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	describe_overridden(d, in, SETTING_FAMILY_TOPIC,
			    live_settings_layer(image, CONFIG_RESOURCE_TYPE_TOPIC, in->resource_name, arena), out);
}

static void describe_group(struct describe_configs *d, const struct describe_configs_request_resources *in,
			   struct describe_configs_response_results *out)
{
	if (in->resource_name.len == 0) {
		result_refuse(d, out, ERR_INVALID_REQUEST, STR("Group name must not be empty"));
		return;
	}
	describe_overridden(d, in, SETTING_FAMILY_GROUP,
			    live_settings_layer(d->request->shard->image, CONFIG_RESOURCE_TYPE_GROUP, in->resource_name,
						&d->request->arena),
			    out);
}

/* ---- brokers ---- */

/* Dynamic settings that no table knows: of `layer`, unless `but` has them too. */
static void unknown_rows(struct describe_configs *d, struct config_layer layer, struct config_layer but,
			 const struct config_wanted *wanted, struct config_rows *rows)
{
	for (size_t i = 0; i < layer.n; i++) {
		struct str name = layer.v[i].name;

		if (!setting_find(name) && !config_layer_find(but, name) && wanted_has_name(wanted, name))
			config_describe_unknown(&d->describe, name, rows_push(rows));
	}
}

/* Of the node's own file, what no table knows and no layer says. */
static void extra_rows(struct describe_configs *d, const struct config_wanted *wanted, struct config_rows *rows)
{
	const struct live_settings *live = &d->request->shard->live;

	for (size_t i = 0; i < live->fixed->extra.n; i++) {
		struct str name = live->fixed->extra.v[i].key;

		if (!config_layer_find(live->dynamic_broker, name) && !config_layer_find(live->dynamic_default, name) &&
		    wanted_has_name(wanted, name))
			config_describe_unknown(&d->describe, name, rows_push(rows));
	}
}

static void describe_this_broker(struct describe_configs *d, const struct describe_configs_request_resources *in,
				 struct describe_configs_response_results *out)
{
	const struct live_settings *live = &d->request->shard->live;
	struct config_rows *shared = &d->shared[SETTING_FAMILY_BROKER];
	struct config_wanted wanted;
	struct config_rows rows;
	size_t defs_n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_BROKER, &defs_n);

	wanted_fill(d, in, SETTING_FAMILY_BROKER, &wanted);
	if (wanted.all && shared->v) {
		result_rows(d, out, shared);
		return;
	}
	rows = rows_new(d, wanted_count(&wanted, SETTING_FAMILY_BROKER) + live->dynamic_broker.n +
				   live->dynamic_default.n + live->fixed->extra.n);
	for (size_t i = 0; i < defs_n; i++) {
		if (wanted_has(&wanted, &defs[i]) && is_shown(d, &defs[i]))
			config_describe_row(&d->describe, &defs[i], rows_push(&rows));
	}
	unknown_rows(d, live->dynamic_broker, (struct config_layer){0}, &wanted, &rows);
	unknown_rows(d, live->dynamic_default, live->dynamic_broker, &wanted, &rows);
	extra_rows(d, &wanted, &rows);
	rows_measure(&rows);
	if (wanted.all)
		*shared = rows;
	result_rows(d, out, &rows);
}

/* What is set for all brokers, and nothing else. */
static void describe_all_brokers(struct describe_configs *d, const struct describe_configs_request_resources *in,
				 struct describe_configs_response_results *out)
{
	struct config_layer layer = d->request->shard->live.dynamic_default;
	struct config_rows rows = rows_new(d, layer.n);
	struct config_wanted wanted;

	wanted_fill(d, in, SETTING_FAMILY_BROKER, &wanted);
	for (size_t i = 0; i < layer.n; i++) {
		const struct setting_def *def = setting_find(layer.v[i].name);

		if (def ? wanted_has(&wanted, def) : wanted_has_name(&wanted, layer.v[i].name))
			config_describe_default(&d->describe, &layer.v[i], rows_push(&rows));
	}
	rows_measure(&rows);
	result_rows(d, out, &rows);
}

/* False, and refused, when the name is not that of this node. */
static bool is_this_node(struct describe_configs *d, struct str name, const char *expected,
			 struct describe_configs_response_results *out)
{
	struct arena *arena = &d->request->arena;
	int32_t node_id = d->request->shard->broker->node_id;
	int32_t id;

	if (parse_i32(name, &id) != ERR_NONE) {
		result_refuse(d, out, ERR_INVALID_REQUEST,
			      arena_printf(arena, "Broker id must be an integer, but it is: %.*s", STR_ARGS(name)));
		return false;
	}
	if (id == node_id)
		return true;
	result_refuse(d, out, ERR_INVALID_REQUEST,
		      arena_printf(arena, "Unexpected broker id, expected %d%s but received %.*s", node_id, expected,
				   STR_ARGS(name)));
	return false;
}

static void describe_broker(struct describe_configs *d, const struct describe_configs_request_resources *in,
			    struct describe_configs_response_results *out)
{
	if (in->resource_name.len == 0)
		describe_all_brokers(d, in, out);
	else if (is_this_node(d, in->resource_name, " or empty string,", out))
		describe_this_broker(d, in, out);
}

/* ---- client metrics ---- */

static void describe_metrics(struct describe_configs *d, const struct describe_configs_request_resources *in,
			     struct describe_configs_response_results *out)
{
	struct config_rows rows;
	struct config_wanted wanted;

	if (in->resource_name.len == 0) {
		result_refuse(d, out, ERR_INVALID_REQUEST, STR("Client metrics subscription name must not be empty"));
		return;
	}
	wanted = (struct config_wanted){
		.all = in->configuration_keys_n <= 0,
		.names = in->configuration_keys,
		.names_n = (size_t)MAX(in->configuration_keys_n, 0),
	};
	rows = rows_new(d, ARRAY_N(metrics_keys));
	for (size_t i = 0; i < ARRAY_N(metrics_keys); i++) {
		struct describe_configs_response_results_configs *row;
		struct str value;

		if (!wanted_has_name(&wanted, metrics_keys[i].name))
			continue;
		row = rows_push(&rows);
		row->name = metrics_keys[i].name;
		row->value = metrics_keys[i].default_text;
		row->config_source = SETTING_SOURCE_DEFAULT;
		row->config_type = (int8_t)metrics_keys[i].type;
		row->documentation = d->describe.has_documentation ? str_of(metrics_keys[i].prose) : STR_NULL;
		if (!image_config(d->request->shard->image, CONFIG_RESOURCE_TYPE_CLIENT_METRICS, in->resource_name,
				  metrics_keys[i].name, &value) || !value.p)
			continue;
		row->value = value;
		row->config_source = SETTING_SOURCE_CLIENT_METRICS;
		if (!d->describe.has_synonyms)
			continue;
		row->synonyms = MSG_NEW_N(&d->request->arena, describe_configs_response_results_configs_synonyms, 1);
		row->synonyms_n = 1;
		row->synonyms[0].name = row->name;
		row->synonyms[0].value = value;
		row->synonyms[0].source = SETTING_SOURCE_CLIENT_METRICS;
	}
	rows_measure(&rows);
	result_rows(d, out, &rows);
}

/* ---- loggers ---- */

static void describe_loggers(struct describe_configs *d, const struct describe_configs_request_resources *in,
			     struct describe_configs_response_results *out)
{
	const struct log_levels *levels = log_levels_current();
	struct config_rows rows;
	struct config_wanted wanted;

	if (in->resource_name.len == 0) {
		result_refuse(d, out, ERR_INVALID_REQUEST, STR("Broker id must not be empty"));
		return;
	}
	if (!is_this_node(d, in->resource_name, "", out))
		return;
	wanted = (struct config_wanted){
		.all = in->configuration_keys_n <= 0,
		.names = in->configuration_keys,
		.names_n = (size_t)MAX(in->configuration_keys_n, 0),
	};
	rows = rows_new(d, levels ? levels->loggers_n : 0);
	for (size_t i = 0; levels && i < levels->loggers_n; i++) {
		struct describe_configs_response_results_configs *row;
		struct str name = log_levels_name(levels, i);

		if (!wanted_has_name(&wanted, name))
			continue;
		row = rows_push(&rows);
		row->name = name;
		row->value = log_levels_text(levels, i);
		row->config_source = SETTING_SOURCE_LOGGER;
		row->config_type = SETTING_TYPE_UNKNOWN;
		row->documentation = STR("");
	}
	rows_measure(&rows);
	result_rows(d, out, &rows);
}

/* ---- the request ---- */

static void describe_resource(struct describe_configs *d, const struct describe_configs_request_resources *in,
			      struct describe_configs_response_results *out)
{
	out->resource_type = in->resource_type;
	out->resource_name = in->resource_name;
	out->error_message = STR("");
	d->left -= (int64_t)(sizeof(*out) + in->resource_name.len);
	if (d->left < 0) {
		result_refuse(d, out, ERR_INVALID_REQUEST,
			      STR("The answer would be too large: ask for fewer resources at a time."));
		return;
	}
	switch (in->resource_type) {
	case CONFIG_RESOURCE_TYPE_TOPIC:
		describe_topic(d, in, out);
		break;
	case CONFIG_RESOURCE_TYPE_BROKER:
		describe_broker(d, in, out);
		break;
	case CONFIG_RESOURCE_TYPE_BROKER_LOGGER:
		describe_loggers(d, in, out);
		break;
	case CONFIG_RESOURCE_TYPE_CLIENT_METRICS:
		describe_metrics(d, in, out);
		break;
	case CONFIG_RESOURCE_TYPE_GROUP:
		describe_group(d, in, out);
		break;
	default:
		result_refuse(d, out, ERR_INVALID_REQUEST,
			      arena_printf(&d->request->arena, "Resources of type %d have no settings.",
					   in->resource_type));
		break;
	}
}

void api_describe_configs(struct request *request)
{
	const struct describe_configs_request *in = request->body;
	struct describe_configs *d = ARENA_NEW(&request->arena, struct describe_configs);
	int64_t charge;

	d->request = request;
	d->left = ANSWER_BYTES_MAX;
	d->describe = (struct config_describe){
		.shard = request->shard,
		.arena = &request->arena,
		.has_synonyms = in->include_synonyms,
		.has_documentation = in->include_documentation,
	};
	msg_init(&describe_configs_response_type, &d->out);
	d->out.results_n = MAX(in->resources_n, 0);
	d->out.results = MSG_NEW_N(&request->arena, describe_configs_response_results, d->out.results_n);
	for (int32_t i = 0; i < d->out.results_n; i++)
		describe_resource(d, &in->resources[i], &d->out.results[i]);
	charge = ANSWER_BYTES_MAX - MAX(d->left, 0);
	request->work_charge += charge;
	request->shard->budget.work += charge;
	request_reply(request, &d->out);
}
