/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a node's settings. Order: read the sources; sort every key into known, removed, of one listener,
 * unknown; read known values into their fields; fill defaults; work out what follows (broker_effective.c);
 * check keys against each other (broker_check.c); say which keys have no effect.
 */
#include "broker_config.h"

#include "listeners.h"

/* Keys that the original knew once. prefix: the name ends with a dot and stands for all keys below it. */
static const struct {
	const char *name;
	const char *why;
} removed_keys[] = {
	{"zookeeper.", "this broker keeps its own metadata"},
	{"control.plane.listener.name",
	 "controllers have their own listeners, see controller.listener.names"},
	{"inter.broker.protocol.version", "versions follow the cluster's metadata.version"},
	{"log.message.format.version", "records are always stored in format 2"},
	{"message.format.version", "records are always stored in format 2"},
	{"log.message.timestamp.difference.max.ms",
	 "use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms"},
	{"offsets.commit.required.acks", "offset commits always wait for all in-sync copies"},
	{"password.encoder.", "no passwords are kept in the metadata"},
	{"delegation.token.master.key", "its name is now delegation.token.secret.key"},
	{"broker.id.generation.enable", "every node needs its own node.id"},
	{"reserved.broker.max.id", "every node needs its own node.id"},
	{"controlled.shutdown.max.retries", "a stopping broker asks the controller until it may go"},
	{"controlled.shutdown.retry.backoff.ms", "a stopping broker asks the controller until it may go"},
	{"leader.imbalance.per.broker.percentage", "leadership is balanced without a threshold"},
	{"auto.include.jmx.reporter", "there is no JMX"},
	{"quota.producer.default",
	 "default quotas are set in the metadata, and no limit is in force from this line"},
	{"quota.consumer.default",
	 "default quotas are set in the metadata, and no limit is in force from this line"},
	{"group.coordinator.new.enable", "there is only one group coordinator"},
	{"group.share.max.groups", "the number of share groups has no limit"},
	{"metadata.log.segment.min.bytes", "it was only for tests"},
};

/* Keys of classes that the original loads; without the classes they mean nothing. */
static const char *const plugin_prefixes[] = {"rsm.config.", "rlmm.config.", "remote.log.metadata."};

struct load {
	struct broker_config config;
	struct config_report *report;
	struct config_pairs pairs;
	int unknown_n;
};

/* So many unknown keys get a suggestion; a file with more is not a settings file. */
#define SUGGESTIONS_MAX 50

static const char *removed_reason(struct str key)
{
	for (size_t i = 0; i < ARRAY_N(removed_keys); i++) {
		struct str name = str_of(removed_keys[i].name);
		bool is_prefix = name.p[name.len - 1] == '.';

		if (is_prefix ? str_starts(key, name) : str_eq(key, name))
			return removed_keys[i].why;
	}
	return NULL;
}

static void report_unknown(struct load *load, const struct config_pair *pair)
{
	const char *why = removed_reason(pair->key);
	const struct setting_def *near;

	if (why) {
		config_report_add(load->report, CONFIG_WARNING, "ML1100", pair->key, &pair->origin,
				  "%.*s is not used: %s. Remove the line.", STR_ARGS(pair->key), why);
		return;
	}
	if (str_starts(pair->key, STR("config.providers.")))
		return; /* config_provider.c has read it */
	for (size_t i = 0; i < ARRAY_N(plugin_prefixes); i++) {
		if (str_starts(pair->key, str_of(plugin_prefixes[i]))) {
			config_report_add(load->report, CONFIG_INFO, "ML1109", pair->key, &pair->origin,
					  "%.*s is for a Java class, which is not loaded here.",
					  STR_ARGS(pair->key));
			return;
		}
	}
	near = load->unknown_n++ < SUGGESTIONS_MAX ? setting_suggest(SETTING_FAMILY_BROKER, pair->key) : NULL;
	if (near)
		config_report_add(load->report, load->config.config_strict ? CONFIG_ERROR : CONFIG_WARNING,
				  "ML1101", pair->key, &pair->origin,
				  "%.*s is not a known setting. Did you mean %.*s?", STR_ARGS(pair->key),
				  STR_ARGS(near->name));
	else
		config_report_add(load->report, load->config.config_strict ? CONFIG_ERROR : CONFIG_WARNING,
				  "ML1101", pair->key, &pair->origin,
				  "%.*s is not a known setting and is ignored.", STR_ARGS(pair->key));
}

/* Settings of one listener; max.connections is honoured after the listeners are known. */
static void report_listener_key(struct load *load, const struct config_pair *pair, struct str rest)
{
	static const char *const known[] = {"ssl.",
					    "sasl.",
					    "max.connection",
					    "num.network.threads",
					    "connections.max.",
					    "principal.builder.class"};

	if (str_eq_c(rest, "max.connections") || str_eq_c(rest, "max.connection.creation.rate"))
		return;
	for (size_t i = 0; i < ARRAY_N(known); i++) {
		if (str_starts(rest, str_of(known[i]))) {
			config_report_add(load->report, CONFIG_INFO, "ML1109", pair->key, &pair->origin,
					  "%.*s has no effect yet.", STR_ARGS(pair->key));
			return;
		}
	}
	/* SASL settings carry their mechanism in front. */
	if (memmem(rest.p, rest.len, ".sasl.", 6))
		return;
	config_report_add(load->report, CONFIG_WARNING, "ML1101", pair->key, &pair->origin,
			  "%.*s: %.*s cannot be set for one listener.", STR_ARGS(pair->key), STR_ARGS(rest));
}

static void store_default(struct load *load, const struct setting_def *def)
{
	struct setting_value value = setting_default(def);

	setting_store(def, &load->config, &value, &load->config.arena);
	load->config.origin[setting_id(def)] =
		(struct setting_origin){.is_null = value.is_null, .where = STR("")};
}

static void store_given(struct load *load, const struct setting_def *def, const struct config_pair *pair)
{
	struct setting_origin *origin = &load->config.origin[setting_id(def)];
	struct setting_value value;
	struct err_text text;

	if (setting_parse(def, pair->value, &value, &text) != ERR_NONE) {
		config_report_add(load->report, CONFIG_ERROR, "ML1103", pair->key, &pair->origin, "%s",
				  text.text);
		return;
	}
	setting_store(def, &load->config, &value, &load->config.arena);
	*origin = pair->origin;
	origin->is_null = false;
}

/* node.id and broker.id are one setting under two names. */
static void settle_node_id(struct load *load)
{
	struct setting_origin *node = &load->config.origin[SETTING_NODE_ID];
	struct setting_origin *broker = &load->config.origin[SETTING_BROKER_ID];

	if (node->kind == CONFIG_ORIGIN_DEFAULT && broker->kind != CONFIG_ORIGIN_DEFAULT &&
	    load->config.broker_id >= 0) {
		load->config.node_id = load->config.broker_id;
		*node = *broker;
	} else if (node->kind != CONFIG_ORIGIN_DEFAULT && broker->kind != CONFIG_ORIGIN_DEFAULT &&
		   load->config.node_id != load->config.broker_id) {
		config_report_add(
			load->report, CONFIG_ERROR, "ML1105", STR("broker.id"), broker,
			"node.id is %d and broker.id is %d. They are the same setting; remove broker.id.",
			load->config.node_id, load->config.broker_id);
	}
	if (broker->kind == CONFIG_ORIGIN_DEFAULT)
		load->config.broker_id = load->config.node_id;
}

static void read_values(struct load *load)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_BROKER, &n);

	for (size_t i = 0; i < n; i++)
		store_default(load, &defs[i]);
	for (size_t i = 0; i < n; i++) {
		const struct config_pair *pair = config_pairs_find(&load->pairs, defs[i].name);

		if (pair)
			store_given(load, &defs[i], pair);
	}
	settle_node_id(load);
	for (size_t i = 0; i < n; i++) {
		if (defs[i].is_required && load->config.origin[i].kind == CONFIG_ORIGIN_DEFAULT &&
		    !config_pairs_find(&load->pairs, defs[i].name))
			config_report_add(load->report, CONFIG_ERROR, "ML1104", defs[i].name, NULL,
					  "%.*s is missing. %s", STR_ARGS(defs[i].name), defs[i].prose);
	}
}

static void read_unknown(struct load *load)
{
	struct config_extra *extra = ARENA_NEW_N(&load->config.arena, struct config_extra, load->pairs.pairs.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < load->pairs.pairs.n; i++) {
		const struct config_pair *pair = &load->pairs.pairs.v[i];
		struct str listener, rest;

		if (setting_find(pair->key))
			continue;
		extra[n++] = (struct config_extra){pair->key, pair->value, pair->origin};
		if (listener_key_split(pair->key, &listener, &rest))
			report_listener_key(load, pair, rest);
		else
			report_unknown(load, pair);
	}
	load->config.extra = (struct config_extra_list){extra, n};
}

/* Copies of the internal topics: on one node there is one unless the file says otherwise (broker_effective.c). */
static bool is_number_of_copies(const struct setting_def *def)
{
	enum setting_id id = setting_id(def);

	return id == SETTING_OFFSETS_TOPIC_REPLICATION_FACTOR ||
	       id == SETTING_TRANSACTION_STATE_LOG_REPLICATION_FACTOR || id == SETTING_TRANSACTION_STATE_LOG_MIN_ISR ||
	       id == SETTING_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR ||
	       id == SETTING_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR;
}

/* Would it be the same without the line? */
static bool is_default_value(const struct broker_config *config, const struct setting_def *def)
{
	char given[2048], usual[2048];
	struct setting_value value = setting_default(def);
	struct fmt g, u;

	if (is_number_of_copies(def))
		value.i = 1;
	fmt_init(&g, given, sizeof(given));
	fmt_init(&u, usual, sizeof(usual));
	setting_format_field(def, config, config->origin[setting_id(def)].is_null, &g);
	setting_format(def, &value, &u);
	return !g.cut && strcmp(given, usual) == 0;
}

/* Says of each given key that it is refused, or has no effect (yet). */
static void report_classes(struct load *load)
{
	size_t n;
	const struct setting_def *defs = setting_family_defs(SETTING_FAMILY_BROKER, &n);

	for (size_t i = 0; i < n; i++) {
		const struct setting_origin *origin = &load->config.origin[i];

		if (origin->kind == CONFIG_ORIGIN_DEFAULT || is_default_value(&load->config, &defs[i]))
			continue;
		if (defs[i].visibility == SETTING_DYNAMIC_ONLY)
			config_report_add(load->report, CONFIG_WARNING, "ML1101", defs[i].name, origin,
					  "%.*s can only be set while the broker runs; the line is ignored.",
					  STR_ARGS(defs[i].name));
		else if (defs[i].cls == SETTING_CLASS_REFUSED && !origin->is_null)
			config_report_add(load->report, CONFIG_ERROR, "ML1102", defs[i].name, origin,
					  "%.*s is refused. %s", STR_ARGS(defs[i].name), defs[i].note);
		else if (defs[i].cls == SETTING_CLASS_NOT_YET)
			config_report_add(load->report, CONFIG_INFO, "ML1109", defs[i].name, origin,
					  "%.*s has no effect yet. %s", STR_ARGS(defs[i].name), defs[i].note);
		else if (defs[i].cls == SETTING_CLASS_ACCEPTED)
			config_report_add(load->report, CONFIG_INFO, "ML1109", defs[i].name, origin,
					  "%.*s has no effect here. %s", STR_ARGS(defs[i].name),
					  defs[i].note);
	}
}

enum err broker_config_load(struct broker_config *ret, struct config_report *report,
			    const struct config_source *source)
{
	struct load *load = MEM_NEW(struct load);
	size_t errors_before = report->errors_n;
	enum err err = ERR_BAD_CONFIG;

	load->report = report;
	config_source_read(source, &load->config.arena, report, &load->pairs);
	read_values(load);
	read_unknown(load);
	report_classes(load);
	if (report->errors_n == errors_before) {
		broker_effective_fill(&load->config, report);
		broker_listener_limits_fill(&load->config, report);
		broker_check(&load->config, report);
	}
	config_pairs_deinit(&load->pairs);
	if (report->errors_n == errors_before) {
		*ret = load->config;
		err = ERR_NONE;
	} else {
		arena_reset(&load->config.arena);
	}
	mem_free(load);
	return err;
}

void broker_config_deinit(struct broker_config *config)
{
	arena_reset(&config->arena);
	memset(config, 0, sizeof(*config));
}

int16_t internal_topic_copies(const struct internal_topic *topic, int32_t brokers_n)
{
	if (topic->is_given)
		return topic->replication_factor;
	return (int16_t)(brokers_n < 1 ? 1 : brokers_n > 3 ? 3 : brokers_n);
}

int32_t broker_config_ip_limit(const struct broker_config *config, struct str address)
{
	for (size_t i = config->eff.ip_limits.n; i > 0; i--) {
		if (str_eq(config->eff.ip_limits.v[i - 1].host, address))
			return config->eff.ip_limits.v[i - 1].max;
	}
	return config->max_connections_per_ip;
}

void broker_config_format(const struct broker_config *config, enum setting_id id, struct fmt *ret)
{
	CHECK((size_t)id < BROKER_SETTING_N);
	if (setting_is_sensitive(&setting_defs[id]) && !config->origin[id].is_null)
		fmt_add(ret, "[hidden]");
	else
		setting_format_field(&setting_defs[id], config, config->origin[id].is_null, ret);
}

void broker_config_format_origin(const struct broker_config *config, enum setting_id id, struct fmt *ret)
{
	const struct setting_origin *origin = &config->origin[id];

	if (origin->kind == CONFIG_ORIGIN_DEFAULT)
		fmt_add(ret, "default");
	else if (origin->kind == CONFIG_ORIGIN_FILE)
		fmt_add(ret, "%.*s:%d", STR_ARGS(origin->where), origin->line);
	else
		fmt_add_str(ret, origin->where);
}
