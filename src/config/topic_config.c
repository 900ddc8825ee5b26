/* SPDX-License-Identifier: Apache-2.0 */
/* Effective topic settings and their checks; see topic_config.h. */
#include "topic_config.h"

#include "check.h"

static const struct config_entry *layer_find(struct config_layer layer, struct str name)
{
	for (size_t i = 0; i < layer.n; i++) {
		if (layer.v[i].value.p && str_eq(layer.v[i].name, name))
			return &layer.v[i];
	}
	return NULL;
}

static enum setting_source *source_of(struct topic_config *config, const struct setting_def *def)
{
	return &config->source[(int)setting_id(def) - TOPIC_SETTING_FIRST];
}

static void put(struct topic_config *config, const struct setting_def *def, const struct setting_value *value,
		enum setting_source source)
{
	setting_store(def, config, value, NULL);
	*source_of(config, def) = source;
}

/* A value of a broker setting in the topic's terms. Hours and minutes of a negative number mean "for ever".
 */
static bool convert(const struct setting_def *def, const struct setting_synonym *synonym,
		    struct setting_value *value)
{
	if (value->is_null)
		return false;
	if (synonym->factor != 1) {
		if (value->i < 0)
			value->i = -1;
		else if (__builtin_mul_overflow(value->i, synonym->factor, &value->i))
			value->i = INT64_MAX;
	}
	return def->type != SETTING_TYPE_INT || (value->i <= INT32_MAX && value->i >= INT32_MIN);
}

static bool from_layer(struct config_layer layer, const struct setting_def *def,
		       const struct setting_synonym *synonym, struct setting_value *ret)
{
	const struct setting_def *broker_def = &setting_defs[synonym->id];
	const struct config_entry *entry = layer_find(layer, broker_def->name);

	return entry && setting_parse(broker_def, entry->value, ret, NULL) == ERR_NONE &&
	       convert(def, synonym, ret);
}

/* The field of a static node setting as a value. Lists give their text through their default only: the one
 * list with a synonym, cleanup.policy, is put together in `buf`. */
static void static_value(const struct broker_config *broker, const struct setting_def *def,
			 struct setting_value *ret)
{
	const void *field = (const char *)broker + def->offset;

	*ret = (struct setting_value){.is_null = broker->origin[setting_id(def)].is_null};
	switch (def->type) {
	case SETTING_TYPE_BOOLEAN:
		ret->b = *(const bool *)field;
		break;
	case SETTING_TYPE_SHORT:
		ret->i = *(const int16_t *)field;
		break;
	case SETTING_TYPE_INT:
		ret->i = *(const int32_t *)field;
		break;
	case SETTING_TYPE_LONG:
		ret->i = *(const int64_t *)field;
		break;
	case SETTING_TYPE_DOUBLE:
		ret->d = *(const double *)field;
		break;
	case SETTING_TYPE_LIST: {
		const struct str_list *list = field;

		/* Only cleanup policies: one of four constant texts. */
		ret->s = list->n == 0			   ? STR("")
			 : list->n == 1			   ? list->v[0]
			 : str_eq_c(list->v[0], "compact") ? STR("compact,delete")
							   : STR("delete,compact");
		break;
	}
	case SETTING_TYPE_STRING:
	case SETTING_TYPE_CLASS:
	case SETTING_TYPE_PASSWORD:
		ret->s = *(const struct str *)field;
		break;
	}
}

/* The first synonym that is set in any layer; false when the topic's own default stays. */
static bool from_synonyms(const struct topic_config_layers *layers, const struct setting_def *def,
			  struct setting_value *ret, enum setting_source *ret_source)
{
	for (size_t i = 0; i < def->synonyms_n; i++) {
		const struct setting_synonym *synonym = &def->synonyms[i];

		if (from_layer(layers->dynamic_broker, def, synonym, ret)) {
			*ret_source = SETTING_SOURCE_DYNAMIC_BROKER;
			return true;
		}
		if (from_layer(layers->dynamic_default, def, synonym, ret)) {
			*ret_source = SETTING_SOURCE_DYNAMIC_DEFAULT;
			return true;
		}
		static_value(layers->broker, &setting_defs[synonym->id], ret);
		if (convert(def, synonym, ret)) {
			*ret_source = layers->broker->origin[synonym->id].kind == CONFIG_ORIGIN_DEFAULT
					      ? SETTING_SOURCE_DEFAULT
					      : SETTING_SOURCE_STATIC;
			return true;
		}
	}
	return false;
}

static enum topic_compression compression_of(struct str name)
{
	static const struct {
		const char *name;
		enum topic_compression value;
	} names[] = {
		{"uncompressed", TOPIC_COMPRESSION_UNCOMPRESSED},
		{"gzip", TOPIC_COMPRESSION_GZIP},
		{"snappy", TOPIC_COMPRESSION_SNAPPY},
		{"lz4", TOPIC_COMPRESSION_LZ4},
		{"zstd", TOPIC_COMPRESSION_ZSTD},
	};

	for (size_t i = 0; i < ARRAY_N(names); i++) {
		if (str_eq_c(name, names[i].name))
			return names[i].value;
	}
	return TOPIC_COMPRESSION_PRODUCER;
}

static void derive(struct topic_config *config)
{
	struct topic_effective *eff = &config->eff;
	struct setting_list_pos pos = {0};
	struct str policy;

	*eff = (struct topic_effective){
		.is_log_append_time = str_eq_c(config->message_timestamp_type, "LogAppendTime"),
		.compression = compression_of(config->compression_type),
		.segment_bytes = config->internal_segment_bytes > 0 ? config->internal_segment_bytes
								    : config->segment_bytes,
	};
	while (setting_list_next(config->cleanup_policy, &pos, &policy)) {
		if (str_eq_c(policy, "compact"))
			eff->is_compacted = true;
		else
			eff->is_deleted = true;
	}
}

void topic_config_base(struct topic_config *ret, const struct topic_config_layers *layers)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_TOPIC, &n);

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < n; i++) {
		struct setting_value value;
		enum setting_source source = SETTING_SOURCE_DEFAULT;

		if (!from_synonyms(layers, &defs[i], &value, &source))
			value = setting_default(&defs[i]);
		put(ret, &defs[i], &value, source);
	}
	derive(ret);
}

void topic_config_build(struct topic_config *ret, const struct topic_config *base,
			struct config_layer overrides)
{
	*ret = *base;
	for (size_t i = 0; i < overrides.n; i++) {
		const struct setting_def *def = setting_find_in(SETTING_FAMILY_TOPIC, overrides.v[i].name);
		struct setting_value value;

		if (def && overrides.v[i].value.p &&
		    setting_parse(def, overrides.v[i].value, &value, NULL) == ERR_NONE)
			put(ret, def, &value, SETTING_SOURCE_TOPIC);
	}
	if (overrides.n > 0)
		derive(ret);
}

static enum err unknown(struct str name, struct err_text *text)
{
	return err_text_set(text, ERR_INVALID_CONFIG, "Unknown topic config name: %.*s", STR_ARGS(name));
}

/* Remote storage is not there; the original refuses with these words while its own is switched off. */
static enum err check_remote(const struct setting_def *def, const struct setting_value *value,
			     struct err_text *text)
{
	if (setting_id(def) == TOPIC_SETTING_REMOTE_STORAGE_ENABLE && value->b)
		return err_text_set(
			text, ERR_INVALID_CONFIG,
			"Tiered Storage functionality is disabled in the broker. Topic cannot be configured "
			"with remote log storage.");
	return ERR_NONE;
}

/* Overrides without a value: all their names in one sentence. */
static enum err refuse_nulls(struct config_layer overrides, struct err_text *text)
{
	char names[400];
	struct fmt f;

	fmt_init(&f, names, sizeof(names));
	for (size_t i = 0; i < overrides.n; i++) {
		if (!overrides.v[i].value.p)
			fmt_add(&f, "%s%.*s", f.len ? "," : "", STR_ARGS(overrides.v[i].name));
	}
	if (f.len == 0)
		return ERR_NONE;
	return err_text_set(text, ERR_INVALID_CONFIG, "Null value not supported for topic configs: %s",
			    names);
}

enum err topic_config_check_override(struct str name, struct str value, struct err_text *text)
{
	const struct setting_def *def = setting_find_in(SETTING_FAMILY_TOPIC, name);
	struct setting_value parsed;
	enum err err;

	if (!value.p)
		return refuse_nulls((struct config_layer){&(struct config_entry){name, value}, 1}, text);
	if (!def)
		return unknown(name, text);
	err = setting_parse(def, value, &parsed, text);
	return err == ERR_NONE ? check_remote(def, &parsed, text) : err;
}

enum err topic_config_check(const struct topic_config *base, struct config_layer overrides,
			    struct err_text *text)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_TOPIC, &n);
	struct topic_config config;
	struct setting_value value;
	enum err err;

	err = refuse_nulls(overrides, text);
	if (err != ERR_NONE)
		return err;
	for (size_t i = 0; i < overrides.n; i++) {
		if (!setting_find_in(SETTING_FAMILY_TOPIC, overrides.v[i].name))
			return unknown(overrides.v[i].name, text);
	}
	for (size_t i = 0; i < n; i++) {
		const struct config_entry *entry = layer_find(overrides, defs[i].name);

		if (!entry)
			continue;
		err = setting_parse(&defs[i], entry->value, &value, text);
		if (err != ERR_NONE)
			return err;
	}
	topic_config_build(&config, base, overrides);
	if (config.min_compaction_lag_ms > config.max_compaction_lag_ms)
		return err_text_set(
			text, ERR_INVALID_CONFIG,
			"conflict topic config setting min.compaction.lag.ms (%lld) > max.compaction.lag.ms "
			"(%lld)",
			(long long)config.min_compaction_lag_ms, (long long)config.max_compaction_lag_ms);
	value = (struct setting_value){.b = config.remote_storage_enable};
	return check_remote(&setting_defs[TOPIC_SETTING_REMOTE_STORAGE_ENABLE], &value, text);
}

bool topic_config_is_null(const struct topic_config *config, enum setting_id id)
{
	CHECK((int)id >= TOPIC_SETTING_FIRST);
	CHECK((int)id < TOPIC_SETTING_FIRST + TOPIC_SETTING_N);
	return setting_defs[id].default_text == NULL &&
	       config->source[(int)id - TOPIC_SETTING_FIRST] == SETTING_SOURCE_DEFAULT;
}

void topic_config_format(const struct topic_config *config, enum setting_id id, struct fmt *ret)
{
	setting_format_field(&setting_defs[id], config, topic_config_is_null(config, id), ret);
}
