/* SPDX-License-Identifier: Apache-2.0 */
/* See config_describe.h. */
#include "config_describe.h"

#include "broker.h"
#include "dynamic_config.h"
#include "mem.h"
#include "msg/describe_configs.h"
#include "shard.h"

#define NAMES_MAX 3
#define SYNONYMS_MAX (4 * NAMES_MAX + 1) /* four sources, and the resource itself */

/* Keys that say the same in other units, the finest first. */
static const struct {
	size_t n;
	enum setting_id ids[NAMES_MAX];
} name_groups[] = {
	{3, {SETTING_LOG_RETENTION_MS, SETTING_LOG_RETENTION_MINUTES, SETTING_LOG_RETENTION_HOURS}},
	{2, {SETTING_LOG_ROLL_MS, SETTING_LOG_ROLL_HOURS}},
	{2, {SETTING_LOG_ROLL_JITTER_MS, SETTING_LOG_ROLL_JITTER_HOURS}},
	{2, {SETTING_LOG_FLUSH_INTERVAL_MS, SETTING_LOG_FLUSH_SCHEDULER_INTERVAL_MS}},
};

struct synonym {
	struct str name;
	struct str value; /* null: hidden */
	int8_t source;
};

struct synonyms {
	size_t n;
	struct synonym v[SYNONYMS_MAX];
};

const struct config_entry *config_layer_find(struct config_layer layer, struct str name)
{
	size_t low = 0, high = layer.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = str_cmp(name, layer.v[mid].name);

		if (order == 0)
			return &layer.v[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* ---- values as text, in the arena ---- */

struct field {
	const void *base; /* of a struct of the definition's family; NULL: `value` */
	struct setting_value value;
	bool is_null;
};

static void field_format(const struct setting_def *def, const struct field *field, struct fmt *f)
{
	if (field->base)
		setting_format_field(def, field->base, field->is_null, f);
	else
		setting_format(def, &field->value, f);
}

static struct str field_text(struct config_describe *describe, const struct setting_def *def, const struct field *field)
{
	char text[2048];
	struct fmt f;
	struct str copy;
	char *large;

	if (field->is_null)
		return STR_NULL;
	fmt_init(&f, text, sizeof(text));
	field_format(def, field, &f);
	if (!f.cut)
		return arena_str(describe->arena, (struct str){text, f.len});
	large = mem_alloc(SETTING_VALUE_MAX + 1);
	fmt_init(&f, large, SETTING_VALUE_MAX + 1);
	field_format(def, field, &f);
	copy = arena_str(describe->arena, (struct str){large, f.len});
	mem_free(large);
	return copy;
}

/* node.id gives broker.id too. */
static bool is_static(const struct broker_config *fixed, enum setting_id id)
{
	if (id == SETTING_BROKER_ID && fixed->origin[SETTING_NODE_ID].kind != CONFIG_ORIGIN_DEFAULT)
		return true;
	return fixed->origin[id].kind != CONFIG_ORIGIN_DEFAULT;
}

static struct str static_text(struct config_describe *describe, enum setting_id id)
{
	const struct broker_config *fixed = describe->shard->live.fixed;

	return field_text(describe, &setting_defs[id],
			  &(struct field){.base = fixed, .is_null = fixed->origin[id].is_null});
}

static struct str default_text(struct config_describe *describe, enum setting_id id)
{
	struct field field = {.value = setting_default(&setting_defs[id])};

	/* The original knows no defaults of what can only be set while it runs. */
	if (setting_defs[id].visibility == SETTING_DYNAMIC_ONLY)
		return STR_NULL;
	/* Where nobody said anything the field has the default, or what this node makes of it. */
	if (!is_static(describe->shard->live.fixed, id))
		return static_text(describe, id);
	field.is_null = field.value.is_null;
	return field_text(describe, &setting_defs[id], &field);
}

/* What a layer says of a broker key, if that is good; in its usual form. */
static bool layer_text(struct config_describe *describe, struct config_layer layer, const struct setting_def *def,
		       struct str *ret)
{
	const struct config_entry *entry = config_layer_find(layer, def->name);
	struct field field = {0};

	if (!entry || !entry->value.p || setting_parse(def, entry->value, &field.value, NULL) != ERR_NONE)
		return false;
	*ret = field_text(describe, def, &field);
	return true;
}

static struct str broker_text(struct config_describe *describe, const struct setting_def *def)
{
	const struct live_settings *live = &describe->shard->live;
	struct str text;

	if (layer_text(describe, live->dynamic_broker, def, &text) ||
	    layer_text(describe, live->dynamic_default, def, &text))
		return text;
	return static_text(describe, setting_id(def));
}

/* ---- synonyms ---- */

static void synonym_add(struct synonyms *list, const struct setting_def *def, struct str value, int8_t source)
{
	if (!value.p)
		return;
	CHECK_OP(list->n, <, (size_t)SYNONYMS_MAX);
	list->v[list->n++] = (struct synonym){def->name, setting_is_sensitive(def) ? STR_NULL : value, source};
}

static void synonyms_dynamic(struct synonyms *list, const struct config_layer layer, const enum setting_id *ids,
			     size_t ids_n, int8_t source)
{
	for (size_t i = 0; i < ids_n; i++) {
		const struct setting_def *def = &setting_defs[ids[i]];
		const struct config_entry *entry = config_layer_find(layer, def->name);

		if (entry)
			synonym_add(list, def, entry->value, source);
	}
}

static void synonyms_of_broker(struct config_describe *describe, enum setting_id asked, struct synonyms *ret)
{
	const struct live_settings *live = &describe->shard->live;
	const enum setting_id *ids = &asked;
	size_t ids_n = 1, skip = 0;

	for (size_t i = 0; i < ARRAY_N(name_groups); i++) {
		for (size_t j = 0; j < name_groups[i].n; j++) {
			if (name_groups[i].ids[j] == asked) {
				ids = name_groups[i].ids;
				ids_n = name_groups[i].n;
			}
		}
	}
	ret->n = 0;
	synonyms_dynamic(ret, live->dynamic_broker, ids, ids_n, SETTING_SOURCE_DYNAMIC_BROKER);
	synonyms_dynamic(ret, live->dynamic_default, ids, ids_n, SETTING_SOURCE_DYNAMIC_DEFAULT);
	for (size_t i = 0; i < ids_n; i++) {
		if (is_static(live->fixed, ids[i]))
			synonym_add(ret, &setting_defs[ids[i]], static_text(describe, ids[i]), SETTING_SOURCE_STATIC);
	}
	for (size_t i = 0; i < ids_n; i++)
		synonym_add(ret, &setting_defs[ids[i]], default_text(describe, ids[i]), SETTING_SOURCE_DEFAULT);
	while (skip < ret->n && !str_eq(ret->v[skip].name, setting_defs[asked].name))
		skip++;
	ret->n -= skip;
	memmove(ret->v, ret->v + skip, ret->n * sizeof(ret->v[0]));
}

static void row_synonyms(struct config_describe *describe, const struct synonyms *list,
			 struct describe_configs_response_results_configs *ret)
{
	ret->config_source = list->n > 0 ? list->v[0].source : SETTING_SOURCE_DEFAULT;
	if (!describe->has_synonyms || list->n == 0)
		return;
	ret->synonyms = MSG_NEW_N(describe->arena, describe_configs_response_results_configs_synonyms, list->n);
	ret->synonyms_n = (int32_t)list->n;
	for (size_t i = 0; i < list->n; i++) {
		ret->synonyms[i].name = list->v[i].name;
		ret->synonyms[i].value = list->v[i].value;
		ret->synonyms[i].source = list->v[i].source;
	}
}

/* ---- rows ---- */

static void row_start(const struct config_describe *describe, const struct setting_def *def,
		      struct describe_configs_response_results_configs *ret)
{
	msg_init(&describe_configs_response_results_configs_type, ret);
	ret->name = def->name;
	ret->value = STR_NULL;
	ret->documentation = STR_NULL;
	ret->config_type = (int8_t)def->type;
	ret->is_sensitive = setting_is_sensitive(def);
	if (describe->has_documentation)
		ret->documentation = str_of(def->prose);
}

static void row_of_broker(struct config_describe *describe, const struct setting_def *def,
			  struct describe_configs_response_results_configs *ret)
{
	struct synonyms list;

	row_start(describe, def, ret);
	ret->read_only = def->update == SETTING_UPDATE_READ_ONLY;
	if (!ret->is_sensitive)
		ret->value = broker_text(describe, def);
	synonyms_of_broker(describe, setting_id(def), &list);
	row_synonyms(describe, &list, ret);
}

/* As Kafka: of the broker keys that give a topic's default only the first, and its other names, are told. */
static void synonyms_of_base(struct config_describe *describe, const struct setting_def *def, struct synonyms *ret)
{
	ret->n = 0;
	if (def->synonyms_n > 0)
		synonyms_of_broker(describe, (enum setting_id)def->synonyms[0].id, ret);
}

static struct str base_text(struct config_describe *describe, const struct setting_def *def)
{
	const struct topic_config *base = &describe->shard->live.topic_base;
	struct field field = {.value = setting_default(def)};

	if (def->family == SETTING_FAMILY_TOPIC) {
		field.base = base;
		field.is_null = topic_config_is_null(base, setting_id(def));
	} else if (def->synonyms_n > 0) {
		return broker_text(describe, &setting_defs[def->synonyms[0].id]);
	} else {
		field.is_null = field.value.is_null;
	}
	return field_text(describe, def, &field);
}

static void row_of_base(struct config_describe *describe, const struct setting_def *def,
			struct describe_configs_response_results_configs *ret)
{
	struct synonyms list;

	row_start(describe, def, ret);
	ret->value = base_text(describe, def);
	synonyms_of_base(describe, def, &list);
	/* A key of groups that no broker key gives is told with its own default. */
	if (def->family == SETTING_FAMILY_GROUP && def->synonyms_n == 0)
		synonym_add(&list, def, ret->value, SETTING_SOURCE_DEFAULT);
	row_synonyms(describe, &list, ret);
}

void config_describe_row(struct config_describe *describe, const struct setting_def *def,
			 struct describe_configs_response_results_configs *ret)
{
	struct describe_configs_response_results_configs **made = &describe->made[setting_id(def)];

	if (!*made) {
		*made = MSG_NEW(describe->arena, describe_configs_response_results_configs);
		if (def->family == SETTING_FAMILY_BROKER)
			row_of_broker(describe, def, *made);
		else
			row_of_base(describe, def, *made);
	}
	*ret = **made;
}

void config_describe_override(struct config_describe *describe, const struct setting_def *def, struct str value,
			      struct describe_configs_response_results_configs *ret)
{
	const struct describe_configs_response_results_configs base = *ret;
	struct field field = {0};
	struct describe_configs_response_results_configs_synonyms *list;

	if (!value.p || setting_parse(def, value, &field.value, NULL) != ERR_NONE)
		return;
	ret->value = field_text(describe, def, &field);
	ret->config_source = def->family == SETTING_FAMILY_TOPIC ? SETTING_SOURCE_TOPIC : SETTING_SOURCE_GROUP;
	if (!describe->has_synonyms)
		return;
	list = MSG_NEW_N(describe->arena, describe_configs_response_results_configs_synonyms, base.synonyms_n + 1);
	list[0].name = def->name;
	list[0].value = ret->value;
	list[0].source = ret->config_source;
	if (base.synonyms_n > 0)
		memcpy(list + 1, base.synonyms, (size_t)base.synonyms_n * sizeof(*list));
	ret->synonyms = list;
	ret->synonyms_n = base.synonyms_n + 1;
}

/* What nobody knows may be a secret: its value is hidden. */
static void row_of_unknown(const struct config_describe *describe, struct str name,
			   struct describe_configs_response_results_configs *ret)
{
	const struct setting_def *def = dynamic_config_def(name); /* of one listener */

	msg_init(&describe_configs_response_results_configs_type, ret);
	ret->name = arena_str(describe->arena, name);
	ret->value = STR_NULL;
	ret->documentation = STR_NULL;
	ret->read_only = true;
	ret->is_sensitive = !def || setting_is_sensitive(def);
	ret->config_type = def ? (int8_t)def->type : SETTING_TYPE_UNKNOWN;
	if (def && describe->has_documentation)
		ret->documentation = str_of(def->prose);
}

static void unknown_synonym(struct config_describe *describe, const struct config_entry *entry, int8_t source,
			    const struct describe_configs_response_results_configs *row, struct synonyms *list)
{
	struct str value;

	if (!entry || !entry->value.p)
		return;
	value = row->is_sensitive ? STR_NULL : arena_str(describe->arena, entry->value);
	list->v[list->n++] = (struct synonym){row->name, value, source};
}

void config_describe_unknown(struct config_describe *describe, struct str name,
			     struct describe_configs_response_results_configs *ret)
{
	const struct live_settings *live = &describe->shard->live;
	struct synonyms list = {0};

	row_of_unknown(describe, name, ret);
	unknown_synonym(describe, config_layer_find(live->dynamic_broker, name), SETTING_SOURCE_DYNAMIC_BROKER, ret,
			&list);
	unknown_synonym(describe, config_layer_find(live->dynamic_default, name), SETTING_SOURCE_DYNAMIC_DEFAULT, ret,
			&list);
	for (size_t i = 0; i < live->fixed->extra.n; i++) {
		const struct config_extra *extra = &live->fixed->extra.v[i];

		if (str_eq(extra->key, name))
			unknown_synonym(describe, &(struct config_entry){name, extra->value}, SETTING_SOURCE_STATIC,
					ret, &list);
	}
	if (list.n > 0)
		ret->value = list.v[0].value;
	row_synonyms(describe, &list, ret);
}

void config_describe_default(struct config_describe *describe, const struct config_entry *entry,
			     struct describe_configs_response_results_configs *ret)
{
	const struct setting_def *def = setting_find(entry->name);
	struct synonyms list = {0};

	if (def) {
		row_start(describe, def, ret);
		ret->read_only = def->update == SETTING_UPDATE_READ_ONLY;
	} else {
		row_of_unknown(describe, entry->name, ret);
	}
	unknown_synonym(describe, entry, SETTING_SOURCE_DYNAMIC_DEFAULT, ret, &list);
	if (list.n > 0)
		ret->value = list.v[0].value;
	row_synonyms(describe, &list, ret);
}

int64_t config_describe_len(const struct describe_configs_response_results_configs *row)
{
	size_t len = 20 + row->name.len + row->value.len + row->documentation.len;

	for (int32_t i = 0; i < row->synonyms_n; i++)
		len += 8 + row->synonyms[i].name.len + row->synonyms[i].value.len;
	return (int64_t)len;
}
