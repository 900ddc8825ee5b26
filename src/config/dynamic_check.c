/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the original says to a change of dynamic node settings, step by step in its order: names, values in the order
 * of the table, what the settings say together, what single parts of a broker refuse to change.
 */
#include "dynamic_config.h"
#include "listeners.h"

#define REFUSE(text, ...) err_text_set((text), ERR_INVALID_REQUEST, __VA_ARGS__)
/* How the original wraps what a part of the broker says. */
#define WRAPPED(words)                                                                                       \
	"Invalid value org.apache.kafka.common.config.ConfigException: " words                               \
	" for configuration Invalid dynamic configuration"

static bool is_read_only(struct str name)
{
	const struct setting_def *def = setting_find(name);

	return def && !dynamic_config_is_dynamic(def);
}

/* Of one broker only: keys of the table, and keys of a listener but for three. */
static bool is_per_broker(struct str name)
{
	static const char *const for_all[] = {"max.connections", "max.connection.creation.rate", "num.network.threads"};
	const struct setting_def *def = setting_find(name);
	struct str listener, rest;

	if (def)
		return def->update == SETTING_UPDATE_PER_BROKER;
	if (!listener_key_split(name, &listener, &rest))
		return false;
	for (size_t i = 0; i < ARRAY_N(for_all); i++) {
		if (str_eq_c(rest, for_all[i]))
			return false;
	}
	return true;
}

static enum err refuse_names(struct config_layer proposed, bool (*is_bad)(struct str name), const char *why,
			     struct err_text *text)
{
	char names[400];
	struct fmt f;

	fmt_init(&f, names, sizeof(names));
	for (size_t i = 0; i < proposed.n; i++) {
		if (proposed.v[i].value.p && is_bad(proposed.v[i].name))
			fmt_add(&f, "%s%.*s", f.len ? ", " : "", STR_ARGS(proposed.v[i].name));
	}
	return f.len ? REFUSE(text, "%s: [%s]", why, names) : ERR_NONE;
}

/* The proposed value for a key, given for the node or for a listener. */
static const struct config_entry *proposed_for(struct config_layer proposed, struct str name)
{
	for (size_t i = 0; i < proposed.n; i++) {
		struct str listener, rest;

		if (!proposed.v[i].value.p)
			continue;
		if (str_eq(proposed.v[i].name, name) ||
		    (listener_key_split(proposed.v[i].name, &listener, &rest) && str_eq(rest, name)))
			return &proposed.v[i];
	}
	return NULL;
}

/* A value of the kind class must be a class the original can load; here, its own default. */
static bool is_foreign_class(const struct setting_def *def, struct str value)
{
	return def->type == SETTING_TYPE_CLASS && !(def->default_text && str_eq_c(setting_trim(value),
			def->default_text));
}

static enum err check_values(struct config_layer proposed, struct err_text *text)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_BROKER, &n);

	for (size_t i = 0; i < n; i++) {
		const struct config_entry *entry;
		struct setting_value value;

		if (!dynamic_config_is_dynamic(&defs[i]) || !(entry = proposed_for(proposed, defs[i].name)))
			continue;
		if (setting_parse(&defs[i], entry->value, &value, text) != ERR_NONE)
			return ERR_INVALID_REQUEST;
		if (is_foreign_class(&defs[i], entry->value))
			return REFUSE(text, "Invalid value %.*s for configuration %.*s: Class %.*s could not be found.",
				      STR_ARGS(entry->value), STR_ARGS(defs[i].name), STR_ARGS(entry->value));
	}
	return ERR_NONE;
}

/* ---- what the settings say together ---- */

static const struct config_entry *named(struct config_layer proposed, const char *name)
{
	for (size_t i = 0; i < proposed.n; i++) {
		if (proposed.v[i].value.p && str_eq_c(proposed.v[i].name, name))
			return &proposed.v[i];
	}
	return NULL;
}

/* Pairs key:number or key:name; the original's words for a missing colon are those of its string class. */
static enum err check_pairs(const struct config_entry *entry, bool is_number, struct err_text *text)
{
	struct setting_list_pos pos = {0};
	struct str item;

	while (entry && setting_list_next(entry->value, &pos, &item)) {
		const char *colon = item.len ? memrchr(item.p, ':', item.len) : NULL;
		struct str after;
		int32_t number;

		if (!colon)
			return REFUSE(text, "Error parsing configuration property '%.*s': begin 0, end -1, length %zu",
				      STR_ARGS(entry->name), item.len);
		after = setting_trim((struct str){colon + 1, item.len - (size_t)(colon + 1 - item.p)});
		if (is_number && parse_i32(after, &number) != ERR_NONE)
			return REFUSE(text, "For input string: \"%.*s\"", STR_ARGS(after));
		if (!is_number && !str_eq_c(after, "PLAINTEXT") && !str_eq_c(after, "SSL") &&
		    !str_eq_c(after, "SASL_PLAINTEXT") && !str_eq_c(after, "SASL_SSL"))
			return REFUSE(text, "Invalid security protocol `%.*s` defined in %.*s", STR_ARGS(after),
				      STR_ARGS(entry->name));
	}
	return ERR_NONE;
}

/* Does the map know the listener? An empty map knows none. */
static bool map_has(struct str map, struct str listener)
{
	struct setting_list_pos pos = {0};
	struct str item;

	while (setting_list_next(map, &pos, &item)) {
		const char *colon = item.len ? memrchr(item.p, ':', item.len) : NULL;

		if (colon && str_eq(setting_trim((struct str){item.p, (size_t)(colon - item.p)}), listener))
			return true;
	}
	return false;
}

static void show_list(struct str_list list, struct fmt *f)
{
	for (size_t i = 0; i < list.n; i++)
		fmt_add(f, "%s%.*s", i ? ", " : "", STR_ARGS(list.v[i]));
}

static enum err check_listeners(const struct broker_config *c, struct err_text *text)
{
	bool has_controller = !c->eff.is_controller;
	char shown[300];
	struct fmt f;

	fmt_init(&f, shown, sizeof(shown));
	show_list(c->listeners, &f);
	for (size_t i = 0; i < c->listeners.n; i++) {
		struct endpoint e;

		if (endpoint_parse(c->listeners.v[i], &e, NULL) != ERR_NONE)
			return REFUSE(text,
				      "Error creating broker listeners from '[%s]': Unable to parse %.*s to a broker "
				      "endpoint",
				      shown, STR_ARGS(c->listeners.v[i]));
		if (!map_has(c->listener_security_protocol_map, e.name))
			return REFUSE(text,
				      "Error creating broker listeners from '[%s]': No security protocol defined for "
				      "listener %.*s",
				      shown, STR_ARGS(e.name));
		for (size_t j = 0; j < c->controller_listener_names.n; j++)
			has_controller = has_controller || str_eq(c->controller_listener_names.v[j], e.name);
	}
	return has_controller ? ERR_NONE
			      : REFUSE(text, "requirement failed: controller.listener.names must contain at least one "
					     "value appearing in the 'listeners' configuration when running the KRaft "
					     "controller role");
}

static enum err check_cordoned(const struct broker_config *c, struct err_text *text)
{
	char missing[300];
	struct fmt f;
	bool has_all = false;

	fmt_init(&f, missing, sizeof(missing));
	for (size_t i = 0; i < c->cordoned_log_dirs.n; i++) {
		bool is_known = str_eq_c(c->cordoned_log_dirs.v[i], "*");

		has_all = has_all || is_known;
		for (size_t j = 0; j < c->eff.log_dirs.n; j++)
			is_known = is_known || str_eq(c->eff.log_dirs.v[j], c->cordoned_log_dirs.v[i]);
		if (!is_known)
			fmt_add(&f, "%s%.*s", f.len ? ", " : "", STR_ARGS(c->cordoned_log_dirs.v[i]));
	}
	if (has_all && c->cordoned_log_dirs.n > 1)
		return REFUSE(text, "requirement failed: When cordoned.log.dirs is set to *, it must not contain other "
				    "values");
	if (f.len)
		return REFUSE(text,
			      "requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or "
			      "log.dir. Missing entries : %s",
			      missing);
	return ERR_NONE;
}

/* Rules over several keys, in the original's order. */
static enum err check_together(const struct broker_config *c, struct config_layer proposed, struct err_text *text)
{
	enum err err;

	err = check_pairs(named(proposed, "max.connections.per.ip.overrides"), true, text);
	if (err == ERR_NONE)
		err = check_pairs(named(proposed, "listener.security.protocol.map"), false, text);
	if (err != ERR_NONE)
		return err;
	if (c->eff.roll_ms < 1)
		return REFUSE(text, "requirement failed: log.roll.ms must be greater than or equal to 1");
	if (c->eff.roll_jitter_ms < 0)
		return REFUSE(text, "requirement failed: log.roll.jitter.ms must be greater than or equal to 0");
	if (c->eff.retention_ms == 0)
		return REFUSE(text, "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or "
				    "equal to 1");
	err = check_cordoned(c, text);
	if (err != ERR_NONE)
		return err;
	if (c->log_cleaner_threads == 0)
		return REFUSE(text, "/ by zero");
	if (c->log_cleaner_dedupe_buffer_size / c->log_cleaner_threads <= MIB(1))
		return REFUSE(text, "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per "
				    "cleaner thread.");
	err = check_listeners(c, text);
	if (err != ERR_NONE)
		return err;
	if (c->max_connections_per_ip == 0 && c->max_connections_per_ip_overrides.len == 0)
		return REFUSE(text, "requirement failed: max.connections.per.ip can be set to zero only if "
				    "max.connections.per.ip.overrides property is set.");
	return ERR_NONE;
}

/* ---- what parts of a broker refuse ---- */

static int32_t int_of(const struct broker_config *c, int id)
{
	return *(const int32_t *)((const char *)c + setting_defs[id].offset);
}

/* Half to double in one step. */
static enum err check_step(struct str name, int32_t before, int32_t after, struct err_text *text)
{
	if (after < before / 2)
		return REFUSE(text,
			      WRAPPED("Dynamic thread count update validation failed for %.*s=%d, value should be at "
				      "least half the current value %d"),
			      STR_ARGS(name), after, before);
	if (after > (int64_t)before * 2)
		return REFUSE(text,
			      WRAPPED("Dynamic thread count update validation failed for %.*s=%d, value should not be "
				      "greater than double the current value %d"),
			      STR_ARGS(name), after, before);
	return ERR_NONE;
}

static enum err check_threads(const struct broker_config *before, const struct broker_config *after,
			      struct err_text *text)
{
	static const int ids[] = {
		SETTING_NUM_NETWORK_THREADS,
		SETTING_NUM_IO_THREADS,
		SETTING_NUM_REPLICA_FETCHERS,
		SETTING_NUM_RECOVERY_THREADS_PER_DATA_DIR,
		SETTING_BACKGROUND_THREADS,
		SETTING_REMOTE_LOG_READER_THREADS,
		SETTING_REMOTE_LOG_MANAGER_COPIER_THREAD_POOL_SIZE,
		SETTING_REMOTE_LOG_MANAGER_EXPIRATION_THREAD_POOL_SIZE,
		SETTING_REMOTE_LOG_MANAGER_FOLLOWER_THREAD_POOL_SIZE,
	};

	for (size_t i = 0; i < ARRAY_N(ids); i++) {
		enum err err = check_step(setting_defs[ids[i]].name, int_of(before, ids[i]), int_of(after,
				ids[i]), text);

		if (err != ERR_NONE)
			return err;
	}
	if (after->log_cleaner_threads < before->log_cleaner_threads / 2)
		return REFUSE(text,
			      WRAPPED("Log cleaner threads cannot be reduced to less than half the current value %d"),
			      before->log_cleaner_threads);
	if (after->log_cleaner_threads > (int64_t)before->log_cleaner_threads * 2)
		return REFUSE(text,
			      WRAPPED("Log cleaner threads cannot be increased to more than double the current "
				      "value %d"),
			      before->log_cleaner_threads);
	return ERR_NONE;
}

/* Limits of connections, for the node and for a listener. */
static enum err check_limits(const struct broker_config *before, struct config_layer proposed, struct err_text *text)
{
	for (size_t i = 0; i < proposed.n; i++) {
		const struct config_entry *entry = &proposed.v[i];
		const struct setting_def *def = entry->value.p ? dynamic_config_def(entry->name) : NULL;
		struct setting_value value;
		enum setting_id id;

		if (!def || !dynamic_config_is_dynamic(def) || setting_parse(def, entry->value, &value,
				NULL) != ERR_NONE)
			continue;
		id = setting_id(def);
		if ((id == SETTING_MAX_CONNECTIONS || id == SETTING_MAX_CONNECTION_CREATION_RATE) && value.i <= 0)
			return REFUSE(text, WRAPPED("Invalid %.*s %lld"), STR_ARGS(def->name), (long long)value.i);
		if (id == SETTING_NUM_NETWORK_THREADS) {
			enum err err = check_step(def->name, before->num_network_threads, (int32_t)value.i, text);

			if (err != ERR_NONE)
				return err;
		}
	}
	return ERR_NONE;
}

static enum err check_local_retention(const struct broker_config *c, struct err_text *text)
{
	if (c->log_local_retention_ms != -2 && c->eff.retention_ms != -1 &&
	    c->log_local_retention_ms > c->eff.retention_ms)
		return REFUSE(text,
			      WRAPPED("Invalid value %lld for configuration log.local.retention.ms: Value must not be "
				      "more than log.retention.ms property value: %lld"),
			      (long long)c->log_local_retention_ms, (long long)c->eff.retention_ms);
	if (c->log_local_retention_bytes != -2 && c->log_retention_bytes != -1 &&
	    c->log_local_retention_bytes > c->log_retention_bytes)
		return REFUSE(text,
			      WRAPPED("Invalid value %lld for configuration log.local.retention.bytes: Value must not "
				      "be "
				      "more than log.retention.bytes property value: %lld"),
			      (long long)c->log_local_retention_bytes, (long long)c->log_retention_bytes);
	return ERR_NONE;
}

/* Reporters are classes; the one for JMX is taken and means nothing here. */
static enum err check_reporters(const struct broker_config *c, struct config_layer proposed, struct err_text *text)
{
	if (!named(proposed, "metric.reporters"))
		return ERR_NONE;
	for (size_t i = 0; i < c->metric_reporters.n; i++) {
		if (!str_eq_c(c->metric_reporters.v[i], "org.apache.kafka.common.metrics.JmxReporter"))
			return REFUSE(text,
					WRAPPED("Validation of dynamic config update of Set(metric.reporters) failed "
						    "with class class kafka.server.DynamicMetricsReporters"));
	}
	return ERR_NONE;
}

static enum err check_built(const struct topic_config_layers *layers, const struct topic_config_layers *then,
			    struct config_layer proposed, struct err_text *text)
{
	struct config_report report = {0}, ignored = {0};
	struct broker_config before, after;
	bool is_sound = dynamic_config_build(&after, then, &report);
	enum err err = check_together(&after, proposed, text);

	broker_config_with_dynamic(&before, layers, &ignored);
	if (err == ERR_NONE)
		err = check_limits(&before, proposed, text);
	if (err == ERR_NONE)
		err = check_threads(&before, &after, text);
	if (err == ERR_NONE)
		err = check_local_retention(&after, text);
	if (err == ERR_NONE)
		err = check_reporters(&after, proposed, text);
	for (size_t i = 0; err == ERR_NONE && !is_sound && i < report.findings.n; i++) {
		if (report.findings.v[i].severity == CONFIG_ERROR)
			err = REFUSE(text, "%.*s", STR_ARGS(report.findings.v[i].text));
	}
	broker_config_deinit(&before);
	broker_config_deinit(&after);
	config_report_deinit(&report);
	config_report_deinit(&ignored);
	return err;
}

enum err dynamic_config_check(const struct topic_config_layers *layers, bool is_default, struct config_layer proposed,
			      struct err_text *text)
{
	struct topic_config_layers then = *layers;
	enum err err;

	err = refuse_names(proposed, is_read_only, "Cannot update these configs dynamically", text);
	if (err == ERR_NONE)
		err = refuse_names(proposed, dynamic_config_needs_listener,
				   "These security configs can be dynamically updated only per-listener using the "
				   "listener prefix",
				   text);
	if (err == ERR_NONE)
		err = check_values(proposed, text);
	if (err == ERR_NONE && is_default)
		err = refuse_names(proposed, is_per_broker,
				   "Cannot update these configs at default cluster level, broker id must be specified",
				   text);
	if (err != ERR_NONE)
		return err;
	*(is_default ? &then.dynamic_default : &then.dynamic_broker) = proposed;
	return check_built(layers, &then, proposed, text);
}
