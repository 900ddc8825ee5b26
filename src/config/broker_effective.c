/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from several node settings together; see struct broker_effective. */
#include "broker_config.h"
#include "listeners.h"

#define MS_PER_MINUTE INT64_C(60000)
#define MS_PER_HOUR INT64_C(3600000)

static bool is_set(const struct broker_config *config, enum setting_id id)
{
	return !config->origin[id].is_null;
}

static bool is_given(const struct broker_config *config, enum setting_id id)
{
	return config->origin[id].kind != CONFIG_ORIGIN_DEFAULT;
}

/* The finer unit wins. */
static void fill_times(struct broker_config *config)
{
	struct broker_effective *eff = &config->eff;

	eff->retention_ms = is_set(config, SETTING_LOG_RETENTION_MS) ? config->log_retention_ms
			    : is_set(config, SETTING_LOG_RETENTION_MINUTES)
				    ? config->log_retention_minutes * MS_PER_MINUTE
				    : config->log_retention_hours * MS_PER_HOUR;
	if (eff->retention_ms < 0)
		eff->retention_ms = -1;
	eff->roll_ms = is_set(config, SETTING_LOG_ROLL_MS) ? config->log_roll_ms
							   : config->log_roll_hours * MS_PER_HOUR;
	eff->roll_jitter_ms = is_set(config, SETTING_LOG_ROLL_JITTER_MS)
				      ? config->log_roll_jitter_ms
				      : config->log_roll_jitter_hours * MS_PER_HOUR;
	eff->flush_ms = is_set(config, SETTING_LOG_FLUSH_INTERVAL_MS)
				? config->log_flush_interval_ms
				: config->log_flush_scheduler_interval_ms;
}

static void fill_roles(struct broker_config *config)
{
	for (size_t i = 0; i < config->process_roles.n; i++) {
		if (str_eq_c(config->process_roles.v[i], "broker"))
			config->eff.is_broker = true;
		else
			config->eff.is_controller = true;
	}
	config->eff.node_id = config->node_id;
}

static void fill_dirs(struct broker_config *config, struct config_report *report)
{
	struct broker_effective *eff = &config->eff;
	enum setting_id id = is_set(config, SETTING_LOG_DIRS) ? SETTING_LOG_DIRS : SETTING_LOG_DIR;
	struct str_list dirs = id == SETTING_LOG_DIRS ? config->log_dirs : config->log_dir;

	for (size_t i = 0; i < dirs.n; i++) {
		struct str d = dirs.v[i];

		if (d.p[0] != '/')
			config_report_add(
				report, CONFIG_INFO, "ML1103", setting_defs[id].name, &config->origin[id],
				"%.*s is a relative path; it is taken from the directory in which the server "
				"was started.",
				STR_ARGS(d));
	}
	eff->log_dirs = dirs;
	eff->metadata_log_dir = is_set(config, SETTING_METADATA_LOG_DIR) && config->metadata_log_dir.len > 0
					? config->metadata_log_dir
					: dirs.v[0];
}

static void fill_voters(struct broker_config *config, struct config_report *report)
{
	struct str_list texts = config->controller_quorum_voters;
	struct voter *v = ARENA_NEW_N(&config->arena, struct voter, texts.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < texts.n; i++) {
		struct str t = texts.v[i];
		const char *at = t.len ? memchr(t.p, '@', t.len) : NULL;
		struct voter voter;

		if (!at || parse_i32((struct str){t.p, (size_t)(at - t.p)}, &voter.id) != ERR_NONE ||
		    voter.id < 0 ||
		    host_port_parse((struct str){at + 1, t.len - (size_t)(at + 1 - t.p)}, &voter.host,
				    &voter.port) != ERR_NONE) {
			config_report_add(
				report, CONFIG_ERROR, "ML1103", STR("controller.quorum.voters"),
				&config->origin[SETTING_CONTROLLER_QUORUM_VOTERS],
				"\"%.*s\" in controller.quorum.voters is not of the form id@host:port.",
				STR_ARGS(t));
			continue;
		}
		for (size_t j = 0; j < n; j++) {
			if (v[j].id == voter.id)
				config_report_add(
					report, CONFIG_ERROR, "ML1105", STR("controller.quorum.voters"),
					&config->origin[SETTING_CONTROLLER_QUORUM_VOTERS],
					"Voter %d stands twice in controller.quorum.voters.", voter.id);
		}
		v[n++] = voter;
	}
	config->eff.voters = (struct voter_list){v, n};
}

static void fill_bootstrap(struct broker_config *config, struct config_report *report)
{
	struct str_list texts = config->controller_quorum_bootstrap_servers;
	struct voter *v = ARENA_NEW_N(&config->arena, struct voter, texts.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < texts.n; i++) {
		v[n].id = -1;
		if (host_port_parse(texts.v[i], &v[n].host, &v[n].port) == ERR_NONE)
			n++;
		else
			config_report_add(report, CONFIG_ERROR, "ML1103",
					  STR("controller.quorum.bootstrap.servers"),
					  &config->origin[SETTING_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS],
					  "\"%.*s\" in controller.quorum.bootstrap.servers is not of the "
					  "form host:port.",
					  STR_ARGS(texts.v[i]));
	}
	config->eff.bootstrap_servers = (struct voter_list){v, n};
}

static void fill_ip_limits(struct broker_config *config, struct config_report *report)
{
	struct str text = config->max_connections_per_ip_overrides;
	struct setting_list_pos pos = {0};
	struct ip_limit *v;
	struct str entry;
	size_t max = 1, n = 0;

	for (size_t i = 0; i < text.len; i++)
		max += text.p[i] == ',';
	v = ARENA_NEW_N(&config->arena, struct ip_limit, max);
	while (setting_list_next(text, &pos, &entry)) {
		const char *colon = entry.len ? memrchr(entry.p, ':', entry.len) : NULL;
		struct str host, count;

		if (colon) {
			host = setting_trim((struct str){entry.p, (size_t)(colon - entry.p)});
			if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
				host = (struct str){host.p + 1, host.len - 2};
			count = setting_trim(
				(struct str){colon + 1, entry.len - (size_t)(colon + 1 - entry.p)});
		}
		if (!colon || parse_i32(count, &v[n].max) != ERR_NONE || v[n].max < 0) {
			config_report_add(report, CONFIG_ERROR, "ML1103",
					  STR("max.connections.per.ip.overrides"),
					  &config->origin[SETTING_MAX_CONNECTIONS_PER_IP_OVERRIDES],
					  "\"%.*s\" in max.connections.per.ip.overrides is not of the form "
					  "address:count.",
					  STR_ARGS(entry));
			continue;
		}
		if (host.len == 0)
			config_report_add(report, CONFIG_WARNING, "ML1105", STR("max.connections.per.ip.overrides"),
					  &config->origin[SETTING_MAX_CONNECTIONS_PER_IP_OVERRIDES],
					  "\"%.*s\" in max.connections.per.ip.overrides names no address, so it "
					  "limits nobody.",
					  STR_ARGS(entry));
		v[n++].host = arena_str(&config->arena, host);
	}
	config->eff.ip_limits = (struct ip_limit_list){v, n};
}

/* Without a word from the user an internal topic has one copy on one node. The fields are changed too, so
 * that whoever shows them shows what is in force. */
static void fill_internal_topics(struct broker_config *config)
{
	struct broker_effective *eff = &config->eff;

	eff->offsets_topic.is_given = is_given(config, SETTING_OFFSETS_TOPIC_REPLICATION_FACTOR);
	eff->transaction_topic.is_given = is_given(config, SETTING_TRANSACTION_STATE_LOG_REPLICATION_FACTOR);
	eff->share_topic.is_given =
		is_given(config, SETTING_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR);
	eff->transaction_topic.is_min_isr_given = is_given(config, SETTING_TRANSACTION_STATE_LOG_MIN_ISR);
	eff->share_topic.is_min_isr_given = is_given(config, SETTING_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR);
	if (!eff->offsets_topic.is_given)
		config->offsets_topic_replication_factor = 1;
	if (!eff->transaction_topic.is_given)
		config->transaction_state_log_replication_factor = 1;
	if (!eff->share_topic.is_given)
		config->share_coordinator_state_topic_replication_factor = 1;
	if (!eff->transaction_topic.is_min_isr_given)
		config->transaction_state_log_min_isr = 1;
	if (!eff->share_topic.is_min_isr_given)
		config->share_coordinator_state_topic_min_isr = 1;
	eff->offsets_topic.replication_factor = config->offsets_topic_replication_factor;
	eff->offsets_topic.min_isr = config->min_insync_replicas;
	eff->transaction_topic.replication_factor = config->transaction_state_log_replication_factor;
	eff->transaction_topic.min_isr = config->transaction_state_log_min_isr;
	eff->share_topic.replication_factor = config->share_coordinator_state_topic_replication_factor;
	eff->share_topic.min_isr = config->share_coordinator_state_topic_min_isr;
}

void broker_effective_fill(struct broker_config *config, struct config_report *report)
{
	fill_roles(config);
	fill_times(config);
	fill_dirs(config, report);
	fill_voters(config, report);
	fill_bootstrap(config, report);
	fill_ip_limits(config, report);
	fill_internal_topics(config);
	config->eff.durability =
		str_eq_c(config->durability, "synced") ? DURABILITY_SYNCED : DURABILITY_PAGE_CACHE;
	config->eff.io_backend = str_eq_c(config->io_backend, "posix") ? IO_BACKEND_POSIX : IO_BACKEND_AUTO;
	listeners_resolve(config, report);
}

/* One limit of one listener out of the keys listener.name.<name>.<rest>; the later of two wins. */
static void fill_limit(const struct broker_config *config, const struct listener *listener, enum setting_id id,
		       int32_t *ret, struct config_report *report)
{
	const struct setting_def *def = &setting_defs[id];

	for (size_t i = 0; i < config->extra.n; i++) {
		const struct config_extra *extra = &config->extra.v[i];
		struct setting_value value;
		struct err_text text;
		struct str name, rest;

		if (!listener_key_split(extra->key, &name, &rest) || !str_eq(rest, def->name) ||
		    !listener_is_key_name(listener, name))
			continue;
		if (setting_parse(def, extra->value, &value, &text) == ERR_NONE)
			*ret = (int32_t)value.i;
		else
			config_report_add(report, CONFIG_ERROR, "ML1103", extra->key, &extra->origin, "%s",
					  text.text);
	}
}

void broker_listener_limits_fill(struct broker_config *config, struct config_report *report)
{
	struct listener_list *list = &config->eff.listeners;
	struct listener *v = ARENA_NEW_N(&config->arena, struct listener, list->n + 1);

	for (size_t i = 0; i < list->n; i++) {
		v[i] = list->v[i];
		fill_limit(config, &v[i], SETTING_MAX_CONNECTIONS, &v[i].max_connections, report);
		fill_limit(config, &v[i], SETTING_MAX_CONNECTION_CREATION_RATE, &v[i].max_connection_creation_rate,
			   report);
	}
	list->v = v;
}
